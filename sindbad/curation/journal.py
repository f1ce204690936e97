"""The curator's journal: one event a line, on disk (fsync) before anybody is told.

Invariant: what :meth:`EventJournal.append` returned from is replayed by every later opening; a torn last line was never
acted upon and is cut off. One writer at a time, readers any number (:func:`read_events`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sindbad.errors import Unavailable
from sindbad.journal import Apply, Journal, Place, Record, read_journal

JOURNAL_VERSION = 1
Event = Record
_REMEDY = "restore the journal"


class EventJournal(Journal):
    """Opening hands every event to ``take``. Raises Unavailable where another curator writes, Corrupt."""

    def __init__(self, path: Path, take: Callable[[Event], object]) -> None:
        busy = Unavailable(f"another curator writes {path}; stop it first", reason="JOURNAL_LOCKED")
        super().__init__(path, _checked(take), busy=busy, remedy=_REMEDY)

    def append(self, record: Event) -> Place:
        """One event, synced."""
        place = super().append(record)
        self.sync()
        return place


def read_events(path: Path) -> list[Event]:
    """The events of a journal that somebody else may be writing; a line still being written is left out.

    Raises NotFound or Corrupt.
    """
    events: list[Event] = []
    read_journal(path, _checked(events.append), remedy=_REMEDY)
    return events


def _checked(take: Callable[[Event], object]) -> Apply:
    def apply(record: Record, _: Place) -> None:
        if "event" not in record:
            raise KeyError("event")
        take(record)

    return apply
