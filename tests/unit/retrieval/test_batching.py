"""Searches of many callers: each gets its own answer, equal ones are made once, the loop is never held up."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sindbad.errors import Unavailable
from sindbad.retrieval.batching import MAX_BATCH, SearchBatcher
from sindbad.retrieval.index import PageIndex, build
from sindbad.retrieval.page import Hit
from tests.unit.tools.corpus import pages, worlds


class Slow:
    """Stands for an index; answers a query with itself when the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: Counter[str] = Counter()
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def rank(self, found: list[Hit]) -> list[Hit]:
        return found

    def find(self, corpus: str, language: str, query: str, k: int) -> list[Hit]:
        with self._lock:
            self.asked[query] += 1
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            assert self.gate.wait(20)
            if query == "bad":
                raise ValueError("bad query")
            return [Hit(f"{corpus}/{language}/{query}/{k}", "", "", 1.0)]
        finally:
            with self._lock:
                self._now -= 1


def batcher(index: Any, **options: Any) -> SearchBatcher:
    return SearchBatcher(index, **options)


async def ask(searches: SearchBatcher, *queries: str) -> list[str]:
    found = await asyncio.gather(*(searches.search("c", "en", query, 3) for query in queries))
    return [hits[0].url for hits in found]


async def started(index: Slow) -> None:
    async with asyncio.timeout(20):
        while not index.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_every_caller_gets_the_answer_of_its_own_search() -> None:
    index = Slow()
    index.gate.set()
    searches = batcher(index, workers=2)
    queries = [f"q{number % 30}" for number in range(300)]
    assert await ask(searches, *queries) == [f"c/en/{query}/3" for query in queries]
    searches.close()


async def test_equal_searches_in_flight_are_made_once_and_later_ones_not_at_all() -> None:
    index = Slow()
    searches = batcher(index, workers=1)
    task = asyncio.create_task(ask(searches, *["same"] * 10, "other"))
    await started(index)
    index.gate.set()
    await task
    await ask(searches, "same", "other")
    assert index.asked == {"same": 1, "other": 1}
    counts = searches.counts
    assert (counts.searches, counts.coalesced, counts.kept, counts.carried_out) == (13, 9, 2, 2)
    searches.close()


async def test_the_loop_runs_while_searches_do_and_callers_who_waited_share_a_batch() -> None:
    index = Slow()
    searches = batcher(index, workers=1, kept_answers=0, batch_seconds=1e9)
    first = asyncio.create_task(ask(searches, "first"))
    await started(index)
    rest = asyncio.create_task(ask(searches, *(f"q{n}" for n in range(MAX_BATCH))))
    await asyncio.sleep(0.05)  # returns although the worker is stuck in "first"
    assert index.asked == {"first": 1}
    index.gate.set()
    await asyncio.gather(first, rest)
    assert searches.counts.batches == 2
    assert index.most == 1
    searches.close()


async def test_a_search_that_fails_fails_for_those_who_made_it_and_is_not_kept() -> None:
    index = Slow()
    index.gate.set()
    searches = batcher(index, workers=1)
    for _ in range(2):
        results = await asyncio.gather(
            *(searches.search("c", "en", query, 3) for query in ("good", "bad", "bad")), return_exceptions=True
        )
        assert [type(result) for result in results] == [list, ValueError, ValueError]
    assert index.asked == {"good": 1, "bad": 2}
    searches.close()


async def test_a_caller_that_leaves_takes_nobody_with_it() -> None:
    index = Slow()
    searches = batcher(index, workers=1)
    leaving = asyncio.create_task(ask(searches, "same"))
    staying = asyncio.create_task(ask(searches, "same"))
    await started(index)
    leaving.cancel()
    index.gate.set()
    assert await staying == ["c/en/same/3"]
    with pytest.raises(asyncio.CancelledError):
        await leaving
    searches.close()


async def test_after_closing_what_is_under_way_is_answered_and_nothing_else_waits_for_ever() -> None:
    index = Slow()
    searches = batcher(index, workers=1)
    under_way = asyncio.create_task(ask(searches, "first"))
    await started(index)
    waiting = asyncio.create_task(ask(searches, "second"))
    await asyncio.sleep(0)
    searches.close()
    index.gate.set()
    async with asyncio.timeout(20):
        assert await under_way == ["c/en/first/3"]
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            await ask(searches, "third")
    assert index.asked == {"first": 1}


def test_a_batcher_outlives_its_event_loop() -> None:
    index = Slow()
    searches = batcher(index, workers=1)

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask(searches, "stuck")

    asyncio.run(leave())
    index.gate.set()
    assert asyncio.run(ask(searches, "next", "stuck")) == ["c/en/next/3", "c/en/stuck/3"]
    searches.close()


async def test_batched_answers_are_those_of_the_open_index(tmp_path: Path) -> None:
    build(pages(), tmp_path / "i")
    index, world = PageIndex(tmp_path / "i"), worlds()[0]
    searches = batcher(index, workers=2)
    queries = [world.sentence(fact, "en") for fact in world.facts[:60]]
    found = await asyncio.gather(*(searches.search(world.world_id, "en", query, 10) for query in queries))
    assert found == index.search_many(world.world_id, "en", queries, 10)
    searches.close()
