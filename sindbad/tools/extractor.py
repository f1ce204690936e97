"""Extraction that neither blocks the event loop nor outlives its time: large pages go to processes that can be killed.

Invariant: however hostile a page, the answer comes within ``seconds`` (and the wait for a free process, which is
bounded, too), and the process that hung is dead. The result is the same on both ways. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from sindbad.retrieval.extraction import Extracted, PageUnreadable, extract
from sindbad.tools.extraction_worker import MAX_FRAME, frame
from sindbad.tools.provider import ProviderError

INLINE_BYTES: Final = 32_768
INLINE_TAGS: Final = 1_500
"""Pages up to this size are extracted in milliseconds whatever is in them: less than a process is worth."""
_START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class ExtractorLimits:
    """``processes`` at most; ``seconds`` and ``memory_bytes`` (address space) for one page."""

    processes: int = 2
    seconds: float = 10.0
    memory_bytes: int = 2_000_000_000


class Extractor:
    """:func:`sindbad.retrieval.extraction.extract`, bounded in time. Processes start when first needed."""

    def __init__(self, limits: ExtractorLimits | None = None) -> None:
        self._limits = limits or ExtractorLimits()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._free = asyncio.Semaphore(self._limits.processes)

    async def extract(self, body: bytes, content_type: str) -> Extracted:
        """Raises PageUnreadable; ProviderError when every process stays busy."""
        if len(body) <= INLINE_BYTES and body.count(b"<") <= INLINE_TAGS and b"%PDF-" not in body[:1024]:
            return extract(body, content_type)
        async with self._worker() as worker:
            try:
                async with asyncio.timeout(self._limits.seconds + (0 if worker.warm else _START_SECONDS)):
                    answer = await worker.ask(body, content_type)
            except (TimeoutError, OSError, asyncio.IncompleteReadError, ValueError):
                raise PageUnreadable("the page takes too long to be read") from None
        return _result(answer)

    async def close(self) -> None:
        """Kill every process and wait for it; idempotent."""
        workers = list(self._all)
        self._idle.clear()
        self._all.clear()
        await asyncio.gather(*(worker.kill() for worker in workers))

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[_Worker]:
        """A process of one's own; one that is left in the middle of a page is killed, whoever left it."""
        try:
            async with asyncio.timeout(3 * self._limits.seconds):
                await self._free.acquire()
        except TimeoutError:
            raise ProviderError("the site is busy, try again", retryable=True) from None
        worker: _Worker | None = None
        try:
            worker = self._idle.pop() if self._idle else await self._start()
            yield worker
        finally:
            if worker is not None:
                if worker.usable and worker in self._all:
                    self._idle.append(worker)
                else:
                    self._all.discard(worker)
                    await asyncio.shield(worker.kill())
            self._free.release()

    async def _start(self) -> _Worker:
        try:
            worker = await _Worker.start(self._limits)
        except OSError:
            raise ProviderError("the page can't be read now, try again", retryable=True) from None
        self._all.add(worker)
        return worker


class _Worker:
    """One process. ``usable`` while it owes no answer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.usable = True
        self.warm = False

    @classmethod
    async def start(cls, limits: ExtractorLimits) -> _Worker:
        alarm = math.ceil(limits.seconds) + int(_START_SECONDS)
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sindbad.tools.extraction_worker",
                str(alarm),
                str(limits.memory_bytes),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        )

    async def ask(self, body: bytes, content_type: str) -> Any:
        """The worker's answer. Raises OSError, IncompleteReadError when it died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.usable = False
        self._process.stdin.write(frame(content_type.encode("utf-8", "replace")[:1000]) + frame(body[:MAX_FRAME]))
        await self._process.stdin.drain()
        (length,) = struct.unpack(">I", await self._process.stdout.readexactly(4))
        answer = json.loads(await self._process.stdout.readexactly(length))
        self.usable = self.warm = True
        return answer

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


def _result(answer: Any) -> Extracted:
    if "unreadable" in answer:
        raise PageUnreadable(str(answer["unreadable"]))
    return Extracted(**answer)
