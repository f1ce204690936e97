"""Append-only files of JSON lines, by which killed work goes on.

Invariants: a line is one write, in the kernel before :meth:`Journal.append` returns, so kill -9 loses at most the line
being written; a torn last line was never acted upon, and whoever opens the file for writing cuts it off. What an append
could not write whole is taken back at once. Lines stay on disk: of each its place is told, so that a journal may be
larger than memory. A power cut may cost lines since the last sync.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from sindbad import atomic
from sindbad.errors import Corrupt, NotFound, SindbadError

Record = dict[str, Any]
NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system says that has no locks (some network mounts)."""


class Place(NamedTuple):
    """Where a line lies: first byte, and how many, the line's end included."""

    start: int
    length: int


Apply = Callable[[Record, Place], object]
"""Takes in a line. A ValueError, KeyError or TypeError of it says that the line is none of its journal's."""


class Journal:
    """Opening reads what is there, line by line, into ``apply``; appending does not.

    Args:
        busy: raised where another process writes the file; None takes no lock. The lock goes with the process; a file
            system that has none (some network mounts) is written without.
        remedy: what to do about a damaged file, for the message.

    Raises:
        Corrupt: a whole line is no JSON object, or not one of this journal's. What ``apply`` raises of Sindbad's own.
    """

    def __init__(
        self, path: Path, apply: Apply, *, busy: SindbadError | None = None, remedy: str = "remove the file"
    ) -> None:
        self.path = path
        self._end = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        created = not path.exists()
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if busy is not None:
                self._lock(busy)
            self._end, torn = _replay(path, apply, remedy)
            if torn:
                os.ftruncate(self._handle, self._end)
            if created:
                atomic.sync_directory(path.parent)
        except BaseException:
            self.close()
            raise

    def _lock(self, busy: SindbadError) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise

    @property
    def empty(self) -> bool:
        """Whether it holds no line."""
        return self._end == 0

    def append(self, record: Record) -> Place:
        """Write one line. Raises OSError, with nothing of it left in the file."""
        line = _line(record)
        try:
            written = os.write(self._handle, line)
            if written != len(line):
                raise OSError(f"{self.path}: the line was cut short; the disk is full")
        except OSError:
            os.ftruncate(self._handle, self._end)
            raise
        place = Place(self._end, len(line))
        self._end += len(line)
        return place

    def read(self, place: Place) -> Record:
        """The line that lies there."""
        record: Record = json.loads(os.pread(self._handle, place.length, place.start))
        return record

    def sync(self) -> None:
        """fsync: from here on a power cut loses nothing either."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file and give the lock back. Idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_journal(path: Path, apply: Apply, *, remedy: str = "remove the file") -> None:
    """Read a journal that somebody else may be writing; a line still being written is left out.

    Raises NotFound, Corrupt.
    """
    try:
        _replay(path, apply, remedy)
    except FileNotFoundError:
        raise NotFound(f"there is no journal at {path}") from None


def _replay(path: Path, apply: Apply, remedy: str) -> tuple[int, bool]:
    """Where the last whole line ends, and whether anything stands behind it."""
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return end, True
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise TypeError("no object")
                apply(record, Place(end, len(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise Corrupt(f"{path}:{number} is no line of this journal ({error!r}); {remedy}") from error
            end += len(line)
    return end, False


def _line(record: Record) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which a page may hold: as an escape it survives
        return json.dumps(record).encode() + b"\n"
