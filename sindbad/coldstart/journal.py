"""What a cold-start run has paid for so far, on disk: every attempt and every rewriting, once.

One :class:`sindbad.journal.Journal`. Attempts stay on disk: memory holds where they lie, so that a set may be larger
than memory. One process at a time writes.

The key names what made the attempts (teacher, agent, environment, seed). Filters and de-contamination are no part of
it: they are computed again from the record, so another filter costs no rollout.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from sindbad.agent.trajectory import Trajectory
from sindbad.coldstart.thoughts import Rewritten
from sindbad.errors import InvalidInput
from sindbad.journal import Journal, Place, Record
from sindbad.training.journal import trajectory_from_record, trajectory_record


class AttemptJournal:
    """Opening reads what is there.

    Raises:
        InvalidInput: another process writes it (JOURNAL_BUSY), or it was made with another key (OTHER_SETTINGS).
        Corrupt: a whole line is none of ours.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._attempts: dict[str, Place] = {}
        self._refused: dict[str, str] = {}
        self._rewritten: dict[tuple[str, str], Rewritten] = {}
        message = f"{path} is being written by another process; wait for it, or choose another folder"
        self._lines = Journal(path, self._apply, busy=InvalidInput(message, reason="JOURNAL_BUSY"))
        if self._lines.empty:
            self._lines.append({"kind": "key", "key": key})

    def _apply(self, row: Record, place: Place) -> None:
        if row["kind"] == "key":
            if row["key"] != self._key:
                message = (
                    f"{self._path} holds attempts by another teacher or under other limits; choose another folder, or "
                    "remove it to begin anew"
                )
                raise InvalidInput(message, reason="OTHER_SETTINGS")
        elif row["kind"] == "attempt":
            self._attempts.setdefault(row["id"], place)
        elif row["kind"] == "refused":
            self._refused.setdefault(row["id"], row["why"])
        else:
            made = Rewritten(tuple(row["thoughts"]), tuple(row["writers"]), row["fault"])
            self._rewritten.setdefault((row["id"], row["by"]), made)

    @property
    def count(self) -> int:
        """Attempts on disk, those included that the teacher refused."""
        return len(self._attempts) + len(self._refused)

    def attempt(self, trajectory_id: str) -> Trajectory | str | None:
        """The attempt; why the teacher could not make it; or None where it has not been made."""
        if trajectory_id in self._refused:
            return self._refused[trajectory_id]
        place = self._attempts.get(trajectory_id)
        if place is None:
            return None
        return trajectory_from_record(self._lines.read(place)["trajectory"])

    def add_attempt(self, made: Trajectory) -> None:
        """Record an attempt, judged."""
        row = {"kind": "attempt", "id": made.trajectory_id, "trajectory": trajectory_record(made)}
        place = self._lines.append(row)
        self._attempts.setdefault(made.trajectory_id, place)

    def refuse(self, trajectory_id: str, why: str) -> None:
        """Record that this attempt can't be made: the question does not fit, the teacher does not know its kind."""
        self._lines.append({"kind": "refused", "id": trajectory_id, "why": why})
        self._refused.setdefault(trajectory_id, why)

    def rewritten(self, trajectory_id: str, by: str) -> Rewritten | None:
        """What a writer with these settings made of it, or None."""
        return self._rewritten.get((trajectory_id, by))

    def add_rewritten(self, trajectory_id: str, by: str, made: Rewritten) -> None:
        """Record new thoughts; ``by`` names the writer and its settings."""
        self._lines.append({"kind": "thoughts", "id": trajectory_id, "by": by, **asdict(made)})
        self._rewritten.setdefault((trajectory_id, by), made)

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
