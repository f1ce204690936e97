"""What a step's rollouts have produced so far, on disk, so that a killed learner repeats no finished episode.

One JSONL file a step, four kinds of line: ``version`` (the number of the weights that what follows will train),
``group`` (a group was opened for a question), ``trajectory`` (an episode finished), ``abandoned`` (a group was given
up; whatever it holds no longer counts). What a killed writer leaves is :class:`sindbad.journal.Journal`'s business. A
trajectory id counts once: the first line wins. With a seal (questions of a protected benchmark) a line is ``{"kind":
"sealed", "data": …}``: nothing of a question or an attempt at it is readable on disk.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from sindbad.agent.trajectory import EnvironmentKind, Segment, Step, Termination, Trajectory
from sindbad.errors import Corrupt, InvalidInput
from sindbad.journal import Journal, Record
from sindbad.questions.question import Question


def trajectory_record(trajectory: Trajectory) -> dict[str, Any]:
    """JSON-ready form, lossless (floats round-trip exactly). Shares its lists with the trajectory.

    (``asdict`` would copy thousands of token ids one by one, in the loop that drives all episodes.)
    """
    segments, steps = map(_fields, trajectory.segments), map(_fields, trajectory.steps)
    return _fields(trajectory) | {"segments": list(segments), "steps": list(steps)}


def _fields(item: Trajectory | Segment | Step) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in fields(item)}


def trajectory_from_record(record: dict[str, Any]) -> Trajectory:
    """Inverse of :func:`trajectory_record`."""
    values = dict(record)
    values["segments"] = [Segment(**segment) for segment in values["segments"]]
    values["steps"] = [Step(**step) for step in values["steps"]]
    values["environment"] = EnvironmentKind(values["environment"])
    values["termination"] = Termination(values["termination"])
    return Trajectory(**values)


class Seal(Protocol):
    """Makes text unreadable and readable again (sindbad.evaluation.sets.cipher)."""

    def close(self, text: str) -> str:
        """As it may lie on a disk."""
        ...

    def open(self, sealed: str) -> str:
        """Inverse of :meth:`close`. Raises Corrupt."""
        ...


def in_use(path: Path) -> InvalidInput:
    """What to say where another process writes a run's journal: both would train on a mix of the two."""
    message = f"{path} is being written by another process; wait until it ends or stop it, or train in another folder"
    return InvalidInput(message, reason="JOURNAL_BUSY")


class RolloutJournal:
    """The journal of one step. Opening reads what is there; sealed lines need the same seal again.

    Raises InvalidInput (JOURNAL_BUSY) where another process writes it; Corrupt.

    Attributes:
        groups: question of every group that was opened, by group index, in order of opening.
        trajectories: finished episodes of groups that still count, by trajectory id.
        abandoned: indices of groups given up.
        version: number of the weights that the newest episodes will train; None before :meth:`train_at`.
    """

    def __init__(self, path: Path, seal: Seal | None = None) -> None:
        self._path, self._seal = path, seal
        self.groups: dict[int, Question] = {}
        self.trajectories: dict[str, Trajectory] = {}
        self.abandoned: set[int] = set()
        self.version: int | None = None
        self._lines = Journal(path, lambda row, _: self._apply(self._unsealed(row)), busy=in_use(path))

    def _unsealed(self, row: Record) -> Record:
        if row["kind"] != "sealed":
            return row
        if self._seal is None:
            raise Corrupt(f"{self._path} is sealed; open it with its benchmark's canary")
        opened: Record = json.loads(self._seal.open(row["data"]))
        return opened

    def _apply(self, row: Record) -> None:
        if row["kind"] == "version":
            self._renumber(row["version"])
        elif row["kind"] == "group":
            self.groups[row["index"]] = Question.from_record(row["question"])
        elif row["kind"] == "abandoned":
            self.abandoned.add(row["index"])
            gone = [key for key, value in self.trajectories.items() if value.group_id == row["group_id"]]
            for key in gone:
                del self.trajectories[key]
        else:
            trajectory = trajectory_from_record(row["trajectory"])
            self.trajectories.setdefault(trajectory.trajectory_id, trajectory)

    def _renumber(self, version: int) -> None:
        """The same weights have a new number: finished episodes carry it from here on, as old as they were."""
        shift = 0 if self.version is None else version - self.version
        for trajectory in self.trajectories.values() if shift else ():
            for segment in trajectory.segments:
                segment.weight_versions = [old if old < 0 else old + shift for old in segment.weight_versions]
        self.version = version

    def train_at(self, version: int) -> None:
        """Record the number of the weights that this step trains.

        A learner that was killed may find its numbers taken by another publisher; it then goes on with the same weights
        under a higher one.
        """
        if version != self.version:
            self._append({"kind": "version", "version": version})

    def open_group(self, index: int, question: Question) -> None:
        """Record that group ``index`` asks ``question``."""
        self._append({"kind": "group", "index": index, "question": question.to_record()})

    def finish(self, trajectory: Trajectory) -> None:
        """Record a finished episode."""
        self._append({"kind": "trajectory", "trajectory": trajectory_record(trajectory)})

    def abandon(self, index: int, group_id: str, reason: str) -> None:
        """Record that a group is given up; its finished episodes no longer count."""
        self._append({"kind": "abandoned", "index": index, "group_id": group_id, "reason": reason})

    def _append(self, row: Record) -> None:
        if self._seal is None:
            self._lines.append(row)
        else:
            self._lines.append({"kind": "sealed", "data": self._seal.close(json.dumps(row, ensure_ascii=False))})
        self._apply(row)

    def sync(self) -> None:
        """fsync: from here on a power cut loses nothing either."""
        self._lines.sync()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._lines.close()
