"""What a build has finished, kept as it goes: killed at any moment, it goes on without asking again.

A line a finished tool call or extraction, under a key that says what was asked (never when). The builder is a function
of its inputs and of these answers, so a build that starts again with the journal ends with the graph of a build that
was never interrupted; with another budget it asks only for what is new.

Invariants: those of :class:`sindbad.journal.Journal`; one process writes at a time. Calls that failed are kept once a
later one succeeds: while everything fails the tools are down, and a restart asks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sindbad.errors import InvalidInput
from sindbad.journal import Journal, Place, Record

_VERSION: Final = 1
_SYNC_EVERY: Final = 64
_MOST_WAITING: Final = 4096


class BuildJournal:
    """``header`` says what the answers depend on (environment, corpus); a journal of another one is refused.

    Raises InvalidInput: another header, or another process holds the file. Corrupt: a whole line is no record.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self._path, self._header = path, {"version": _VERSION, **header}
        self._known: dict[str, Any] = {}
        self._failed: list[tuple[str, Any]] = []
        self._unsynced = 0
        self.reused = 0
        busy = InvalidInput(f"{path} is being written by another build; wait for it or choose another --out.")
        self._lines = Journal(path, self._apply, busy=busy, remedy="delete it to start again")

    def _apply(self, record: Record, place: Place) -> None:
        if place.start > 0:
            self._known[record["k"]] = record["v"]
        elif "version" not in record:
            raise KeyError("version")
        elif record != self._header:
            mine = {key: value for key, value in self._header.items() if record.get(key) != value}
            theirs = ", ".join(f"{key} {record.get(key)!r}, not {value!r}" for key, value in mine.items())
            raise InvalidInput(
                f"{self._path} belongs to another build ({theirs}); choose another --out, or begin again with --fresh."
            )

    def __len__(self) -> int:
        return len(self._known)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Sync and unlock; idempotent."""
        if self._unsynced:
            self._sync()
        self._lines.close()

    def find(self, *asked: Any) -> Any:
        """The answer to exactly this, or None."""
        answer = self._known.get(_key(asked))
        self.reused += answer is not None
        return answer

    def keep(self, answer: Any, *asked: Any) -> None:
        """A finished answer, and with it the failures that waited for one."""
        for key, failed in self._failed:
            self._write(key, failed)
        self._failed.clear()
        self._write(_key(asked), answer)

    def keep_failure(self, answer: Any, *asked: Any) -> None:
        """A call that failed for good; written with the next success."""
        if len(self._failed) < _MOST_WAITING:
            self._failed.append((_key(asked), answer))

    def _write(self, key: str, answer: Any) -> None:
        self._known[key] = answer
        if self._lines.empty:  # only now: a build that came to nothing claims no folder
            self._lines.append(self._header)
        self._lines.append({"k": key, "v": answer})
        self._unsynced += 1
        if self._unsynced >= _SYNC_EVERY:
            self._sync()

    def _sync(self) -> None:
        self._lines.sync()
        self._unsynced = 0


def _key(asked: tuple[Any, ...]) -> str:
    plain = json.dumps(asked, ensure_ascii=False, sort_keys=True)
    return plain if len(plain) <= 200 else hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
