"""Searches of many callers, carried out by threads in few hops, so that the event loop never waits for a search.

Callers that wait while every worker is busy become the next batch: under load a hop is shared, without load nobody
waits for company. Equal searches in flight are carried out once; recent answers are kept: a snapshot never changes.
Invariant: every caller gets the answer of its own search, in whatever company it was made; a caller that leaves takes
nobody else's answer with it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

from sindbad.errors import Unavailable
from sindbad.retrieval.index import Found, PageIndex
from sindbad.retrieval.page import Hit

Search: TypeAlias = tuple[str, str, str, int]
"""Corpus, language, query, k."""
Answer: TypeAlias = Found | Exception
MAX_BATCH: Final = 64
BATCH_SECONDS: Final = 0.004
KEPT_ANSWERS: Final = 4096
MAX_WORKERS: Final = 8


@dataclass(slots=True)
class BatchCounts:
    """Since the start. ``searches`` are callers' searches; the others say how they were answered."""

    searches: int = 0
    kept: int = 0
    coalesced: int = 0
    batches: int = 0
    carried_out: int = 0


class SearchBatcher:
    """Searches ``index`` for tasks of one event loop (of another one, after the first has ended)."""

    def __init__(
        self,
        index: PageIndex,
        *,
        workers: int | None = None,
        kept_answers: int = KEPT_ANSWERS,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        """``workers`` threads (default: one a core, at most eight); ``kept_answers`` 0 keeps none.

        ``batch_seconds``: a batch is cut at what takes about this long, because the first of it waits for the last.
        """
        self._index = index
        self._workers = workers or min(MAX_WORKERS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="search")
        self._kept: OrderedDict[Search, list[Hit]] = OrderedDict()
        self._room = kept_answers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flights: dict[Search, asyncio.Future[list[Hit]]] = {}
        self._waiting: deque[Search] = deque()
        self._idle = self._workers
        self._batch_seconds = batch_seconds
        self._seconds = min(batch_seconds, 1.0)  # of one search, a running mean: the first batches are of one
        self.counts = BatchCounts()

    async def search(self, corpus: str, language: str, query: str, k: int) -> list[Hit]:
        """As :meth:`PageIndex.search`."""
        wanted = (corpus, language, query, k)
        self.counts.searches += 1
        if (known := self._kept.get(wanted)) is not None:
            self._kept.move_to_end(wanted)
            self.counts.kept += 1
            return list(known)
        return list(await asyncio.shield(self._flight(wanted)))

    def close(self) -> None:
        """Free the threads when they have finished what they were given. Idempotent; other searches are Unavailable."""
        self._pool.shutdown(wait=False)

    def _flight(self, wanted: Search) -> asyncio.Future[list[Hit]]:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin(loop)
        if (flight := self._flights.get(wanted)) is not None:
            self.counts.coalesced += 1
            return flight
        flight = self._flights[wanted] = loop.create_future()
        self._waiting.append(wanted)
        if len(self._waiting) == 1:
            loop.call_soon(self._hand_over)  # after this tick's other callers have come
        return flight

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget what tasks of a loop that has ended were waiting for."""
        self._loop, self._idle = loop, self._workers
        self._flights, self._waiting = {}, deque()

    def _hand_over(self) -> None:
        """Give what waits to idle workers, in equal parts."""
        loop = asyncio.get_running_loop()
        while self._waiting and self._idle:
            fair = -(-len(self._waiting) // self._idle)
            size = min(fair, MAX_BATCH, max(1, int(self._batch_seconds / self._seconds)))
            batch = [self._waiting.popleft() for _ in range(size)]
            try:
                self._pool.submit(self._carry_out, loop, batch)
            except RuntimeError:  # the threads are gone: nobody may wait for an answer that never comes
                for wanted in batch:
                    self._land(
                        wanted, self._flights.pop(wanted), Unavailable("the index is closed; ask another replica")
                    )
                continue
            self._idle -= 1
            self.counts.batches += 1
            self.counts.carried_out += size

    def _carry_out(self, loop: asyncio.AbstractEventLoop, batch: Sequence[Search]) -> None:
        """In a worker."""
        started = time.perf_counter()
        answers = [self._answer(wanted) for wanted in batch]
        seconds = (time.perf_counter() - started) / len(batch)
        try:
            loop.call_soon_threadsafe(self._deliver, loop, batch, answers, seconds)
        except RuntimeError:
            return  # the loop has ended, and with it everyone who waited

    def _answer(self, wanted: Search) -> Answer:
        try:
            return self._index.find(*wanted)
        except Exception as error:  # whatever it is, it is the caller's: raised where the search was asked for
            return error

    def _deliver(
        self, loop: asyncio.AbstractEventLoop, batch: Sequence[Search], answers: Sequence[Answer], seconds: float
    ) -> None:
        if loop is not self._loop:
            return
        self._idle += 1
        self._hand_over()  # before ranking: the workers are in Tantivy meanwhile
        self._seconds += (max(seconds, 1e-6) - self._seconds) / 8
        for wanted, answer in zip(batch, answers, strict=True):
            flight = self._flights.pop(wanted)
            self._land(wanted, flight, answer)

    def _land(self, wanted: Search, flight: asyncio.Future[list[Hit]], answer: Answer) -> None:
        try:
            if isinstance(answer, Exception):
                raise answer
            hits = self._index.rank(answer)
        except Exception as error:  # likewise; a flight that never lands would hold its callers for ever
            flight.set_exception(error)
            flight.exception()  # its callers may all have left
        else:
            flight.set_result(hits)
            self._keep(wanted, hits)

    def _keep(self, wanted: Search, answer: list[Hit]) -> None:
        self._kept[wanted] = answer
        if len(self._kept) > self._room:
            self._kept.popitem(last=False)
