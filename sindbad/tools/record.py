"""Record what providers answered: every finished call is on disk before its caller sees the answer.

Invariants: a call is one write to this process's journal, so kill -9 loses at most the call being written; memory does
not grow with the recording; a recorder that can't write (a full disk) says so once and counts, and never fails a call.
Recording sits below the toolbox and above the scheduler: it holds what the agent saw, whichever provider, cache or
retry it came from. Programs do not pass through here: the sandbox records them (:mod:`sindbad.tools.programs`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope
from sindbad.tools.provider import Article, Fetched, Provider, ProviderError, ScholarProvider
from sindbad.tools.reader import PageReader, Reading
from sindbad.tools.record_format import (
    JOURNAL,
    RecordedCall,
    call_key,
    compact,
    lock,
    reading_of,
    recover,
    split_attempt,
)
from sindbad.tools.scheduler.errand import Errand, errand

log = logging.getLogger(__name__)
T = TypeVar("T")
_MOST_PENDING: Final = 4
"""Journals waiting to be compacted; more stay journals until the recorder closes, which costs disk, not memory."""


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """When a journal is closed and becomes a Parquet shard: whichever comes first."""

    part_rows: int = 50_000
    part_bytes: int = 256_000_000


@dataclass(slots=True)
class RecorderCounts:
    """Since start. ``failed``: calls that could not be written."""

    calls: int = 0
    bytes: int = 0
    shards: int = 0
    failed: int = 0


class CallRecorder:
    """Writes one process's recorded calls into a folder that many processes may share.

    Opening compacts what dead writers left there. Thread-safe. Close, or the last journal stays a journal, which a
    replay reads as well.
    """

    def __init__(self, folder: str | Path, settings: RecorderSettings | None = None) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.counts = RecorderCounts()
        self._settings = settings or RecorderSettings()
        self._writer = f"{int(time.time() * 1000):013x}-{uuid.uuid4().hex[:8]}"  # names sort by age
        self._number = self._rows = self._bytes = 0
        self._handle = -1
        self._path = self.folder
        self._lock = threading.Lock()
        self._pending = 0
        self._closed = False
        self._compactor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")
        self._compactor.submit(self._recover)

    def write(self, call: RecordedCall) -> None:
        """Append one call; it reaches the kernel before this returns. Never raises."""
        line = call.to_line()
        with self._lock:
            try:
                self._append(line)
            except OSError as error:
                if not self.counts.failed:
                    log.error("calls can't be recorded in %s: %s", self.folder, error)
                self.counts.failed += 1
                return
        self.counts.calls += 1
        self.counts.bytes += len(line)

    def close(self) -> None:
        """Compact everything and give back the file; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._rotate()
        self._compactor.shutdown(wait=True)
        self._recover()  # those that were too many to queue

    def _append(self, line: bytes) -> None:
        if self._closed:
            raise OSError("the recorder is closed")
        if self._handle < 0:
            self._open()
        written = os.write(self._handle, line)
        if written != len(line):  # a full disk: cut the half line off, so that the next one starts whole
            os.ftruncate(self._handle, self._bytes)
            raise OSError("the disk is full")
        self._rows, self._bytes = self._rows + 1, self._bytes + written
        if self._rows >= self._settings.part_rows or self._bytes >= self._settings.part_bytes:
            self._rotate()

    def _open(self) -> None:
        """A new journal that is certainly ours: another process's recovery may take one before we have locked it."""
        while True:
            self._path = self.folder / f"calls-{self._writer}-{self._number:06d}{JOURNAL}"
            self._number += 1
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            if lock(handle) and self._path.exists():
                self._handle, self._rows, self._bytes = handle, 0, 0
                return
            os.close(handle)

    def _rotate(self) -> None:
        if self._handle < 0:
            return
        handle, path, self._handle = self._handle, self._path, -1
        if self._pending >= _MOST_PENDING:
            os.close(handle)
            return
        self._pending += 1
        self._compactor.submit(self._compact, handle, path)

    def _compact(self, handle: int, path: Path) -> None:
        """In the compactor's thread; the lock is held until the shard is there."""
        try:
            os.fsync(handle)
            compact(path)
            self.counts.shards += 1
        except Exception:
            log.exception("%s could not be compacted; it stays a journal", path)
        finally:
            os.close(handle)
            with self._lock:
                self._pending -= 1

    def _recover(self) -> None:
        try:
            self.counts.shards += len(recover(self.folder))
        except Exception:
            log.exception("journals in %s could not be compacted; they stay journals", self.folder)


class RecordingProvider:
    """``inner``, with every call written to ``recorder``. Closing it closes ``inner``, not the recorder."""

    def __init__(self, inner: Provider, recorder: CallRecorder, *, clock: Callable[[], float] = time.time) -> None:
        self._inner = inner
        self._tape = Tape(inner.name, recorder, clock)
        self.name = inner.name

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        return await self._tape.through("search", query, scope, k, lambda: self._inner.search(query, scope, k))

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        return await self._tape.through("fetch", target, scope, 0, lambda: self._inner.fetch(target, scope))

    async def close(self) -> None:
        await self._inner.close()


class RecordingScholar:
    """As :class:`RecordingProvider`, for articles."""

    def __init__(
        self, inner: ScholarProvider, recorder: CallRecorder, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._inner = inner
        self._tape = Tape(inner.name, recorder, clock)
        self.name = inner.name

    async def articles(self, query: str, scope: Scope, k: int) -> list[Article]:
        return await self._tape.through("scholar", query, scope, k, lambda: self._inner.articles(query, scope, k))


class RecordingReader:
    """A page reader that may answer differently each time (a language model), with every reading written down."""

    def __init__(
        self, inner: PageReader, recorder: CallRecorder, *, name: str = "reader", clock: Callable[[], float] = time.time
    ) -> None:
        self._inner = inner
        self._tape = Tape(name, recorder, clock)

    async def read(
        self, text: str, goal: str, *, language: str, max_chars: int, deadline_seconds: float = 0.0
    ) -> Reading:
        """A reading for nobody in particular."""
        return await self.within(Scope("", language)).read(
            text, goal, language=language, max_chars=max_chars, deadline_seconds=deadline_seconds
        )

    def within(self, scope: Scope) -> PageReader:
        """The reader for one episode's call."""
        return _ScopedRecording(self._inner, self._tape, scope)


@dataclass(frozen=True, slots=True)
class _ScopedRecording:
    inner: PageReader
    tape: Tape
    scope: Scope

    async def read(
        self, text: str, goal: str, *, language: str, max_chars: int, deadline_seconds: float = 0.0
    ) -> Reading:
        return await self.tape.through(
            "read", reading_of(text, goal), self.scope, max_chars,
            lambda: self.inner.read(
                text, goal, language=language, max_chars=max_chars, deadline_seconds=deadline_seconds
            ),
        )  # fmt: skip


class Tape:
    """Runs calls of one provider and writes how each ended."""

    def __init__(self, provider: str, recorder: CallRecorder, clock: Callable[[], float] = time.time) -> None:
        self._provider, self._recorder, self._clock = provider, recorder, clock

    async def through(self, tool: str, what: str, scope: Scope, k: int, ask: Callable[[], Awaitable[T]]) -> T:
        """What ``ask`` gives or raises, once it has been written down."""
        at, started = self._clock(), time.perf_counter()
        ended: dict[str, Any] = {}
        paid = Errand()
        try:
            with errand() as paid:
                answer = await ask()
            ended = {"answer": canonical_json(answer)}
            return answer
        except ProviderError as error:
            ended = {"error": str(error), "retryable": error.retryable, "retry_after": error.retry_after}
            raise
        except asyncio.CancelledError:
            ended = {"cut": True}
            raise
        finally:
            if ended:  # a provider that breaks its contract is a bug, and nothing to replay
                ended |= {"seconds": time.perf_counter() - started, "cost": paid.cost}
                provider = ",".join(paid.providers) or self._provider
                self._recorder.write(self._call(tool, what, scope, k, at=at, provider=provider, **ended))

    def _call(self, tool: str, what: str, scope: Scope, k: int, **ended: Any) -> RecordedCall:
        episode, attempt = split_attempt(scope.caller.episode or scope.trace_id)
        return RecordedCall(
            call_key(tool, what, scope, k), tool, what, scope.corpus, scope.language, k, run=scope.caller.run,
            purpose=str(scope.caller.purpose), episode=episode, attempt=attempt, **ended,
        )  # fmt: skip


def canonical_json(answer: Any) -> str:
    """Flat dataclasses and lists of them, so that :mod:`sindbad.tools.replay` gives back equal ones.

    (``asdict`` would copy every value one by one, in the loop that drives all episodes.)
    """
    plain = [_fields(item) for item in answer] if isinstance(answer, list) else _fields(answer)
    return json.dumps(plain, separators=(",", ":"))


def _fields(item: Any) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
