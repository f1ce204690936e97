"""What a cold-start run has paid for so far, on disk: every attempt and every rewriting, once.

One :class:`sindbad.journal.Journal`. Attempts stay on disk: memory holds where they lie, so that a set may be larger
than memory. One process at a time writes.

The key names what made the attempts (teacher, agent, environment, seed). Filters and de-contamination are no part of
it: they are computed again from the record, so another filter costs no rollout. Ids of questions come again in other
files (`questions make` counts from 0), so an attempt is found by what was asked, too: one at another question, or under
another gold answer, is none. Not compared: further forms of the answer, which decide a verdict as well.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from sindbad.agent.trajectory import Trajectory
from sindbad.coldstart.thoughts import Rewritten
from sindbad.errors import InvalidInput
from sindbad.journal import Journal, Place, Record
from sindbad.training.journal import trajectory_from_record, trajectory_record


class Attempted(NamedTuple):
    """What the journal finds an attempt by. ``about``: digest of the question's text and its answer."""

    trajectory_id: str
    about: str

    @classmethod
    def at(cls, trajectory_id: str, question: str, answer: str) -> Attempted:
        """The attempt of this id at the question with this text and gold answer."""
        return cls(trajectory_id, hashlib.sha256(json.dumps([question, answer]).encode()).hexdigest()[:16])

    @classmethod
    def of(cls, made: Trajectory) -> Attempted:
        """An attempt that was made."""
        return cls.at(made.trajectory_id, made.question, made.gold_answer)


class AttemptJournal:
    """Opening reads what is there.

    Raises:
        InvalidInput: another process writes it (JOURNAL_BUSY), or it was made with another key (OTHER_SETTINGS).
        Corrupt: a whole line is none of ours.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._attempts: dict[Attempted, Place] = {}
        self._refused: dict[Attempted, str] = {}
        self._rewritten: dict[tuple[Attempted, str], Rewritten] = {}
        self._last: dict[str, str] = {}  # trajectory id -> what the last attempt of that id was about
        message = f"{path} is being written by another process; wait for it, or choose another folder"
        self._lines = Journal(path, self._apply, busy=InvalidInput(message, reason="JOURNAL_BUSY"))
        if self._lines.empty:
            self._lines.append({"kind": "key", "key": key})

    def _apply(self, row: Record, place: Place) -> None:
        if row["kind"] == "key":
            if row["key"] != self._key:
                message = (
                    f"{self._path} holds attempts by another teacher or under other limits or tools; choose another "
                    "folder, or remove it to begin anew"
                )
                raise InvalidInput(message, reason="OTHER_SETTINGS")
        elif row["kind"] == "attempt":
            key = Attempted.at(row["id"], row["trajectory"]["question"], row["trajectory"]["gold_answer"])
            self._attempts.setdefault(key, place)
            self._last[key.trajectory_id] = key.about
        elif row["kind"] == "refused":
            # Without "about" in an older journal: a refusal costs nothing, so it is asked for again.
            self._refused.setdefault(Attempted(row["id"], row.get("about", "")), row["why"])
        else:
            made = Rewritten(tuple(row["thoughts"]), tuple(row["writers"]), row["fault"])
            key = Attempted(row["id"], row.get("about", self._last.get(row["id"], "")))
            self._rewritten.setdefault((key, row["by"]), made)

    @property
    def count(self) -> int:
        """Attempts on disk, those included that the teacher refused."""
        return len(self._attempts) + len(self._refused)

    def attempt(self, key: Attempted) -> Trajectory | str | None:
        """The attempt; why the teacher could not make it; or None where it has not been made."""
        if key in self._refused:
            return self._refused[key]
        place = self._attempts.get(key)
        if place is None:
            return None
        return trajectory_from_record(self._lines.read(place)["trajectory"])

    def add_attempt(self, made: Trajectory) -> None:
        """Record an attempt, judged."""
        row = {"kind": "attempt", "id": made.trajectory_id, "trajectory": trajectory_record(made)}
        place = self._lines.append(row)
        self._attempts.setdefault(Attempted.of(made), place)

    def refuse(self, key: Attempted, why: str) -> None:
        """Record that this attempt can't be made: the question does not fit, the teacher does not know its kind."""
        self._lines.append({"kind": "refused", "id": key.trajectory_id, "about": key.about, "why": why})
        self._refused.setdefault(key, why)

    def rewritten(self, key: Attempted, by: str) -> Rewritten | None:
        """What a writer with these settings made of it, or None."""
        return self._rewritten.get((key, by))

    def add_rewritten(self, key: Attempted, by: str, made: Rewritten) -> None:
        """Record new thoughts; ``by`` names the writer and its settings."""
        self._lines.append({"kind": "thoughts", "id": key.trajectory_id, "about": key.about, "by": by, **asdict(made)})
        self._rewritten.setdefault((key, by), made)

    def sync(self) -> None:
        """fsync: from here on a power cut loses nothing either."""
        self._lines.sync()

    def close(self) -> None:
        """Close the file and give the lock back. Idempotent."""
        self._lines.close()

    def __enter__(self) -> AttemptJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
