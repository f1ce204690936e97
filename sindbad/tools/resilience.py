"""Retries with full jitter, a small result cache and coalescing, around any provider.

Invariants: one backend call serves all identical requests in flight; only answers are cached, never errors and never
an empty result; a caller that goes away cancels the backend call only when nobody else waits for it. Rate limits,
budgets and circuit breakers belong to the scheduler, which takes this module's place one day behind the same protocol.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any

from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope
from sindbad.tools.provider import Fetched, Provider, ProviderError


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """``attempts`` in all (≥ 1); before the n-th retry a uniform wait in [0, min(cap, base · 2ⁿ)] seconds."""

    attempts: int = 5
    base_seconds: float = 0.05
    cap_seconds: float = 2.0
    attempt_timeout_seconds: float = 10.0

    def wait(self, retry: int, jitter: float, retry_after: float = 0.0) -> float:
        """Seconds before retry number ``retry`` (0 first); ``jitter`` in [0, 1). No less than asked for, capped."""
        backoff = jitter * min(self.cap_seconds, self.base_seconds * 2.0**retry)
        return max(backoff, min(retry_after, self.cap_seconds))


@dataclass(slots=True)
class Counts:
    """Since start. ``calls`` = ``cache_hits`` + ``coalesced`` + requests that went to the backend."""

    calls: int = 0
    cache_hits: int = 0
    coalesced: int = 0
    backend_calls: int = 0
    retries: int = 0
    failures: int = 0


class ResultCache:
    """Least recently used, with a time to live. Not for errors."""

    def __init__(self, entries: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries = entries
        self._ttl = ttl_seconds
        self._clock = clock
        self._items: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def get(self, key: Hashable) -> Any | None:
        found = self._items.get(key)
        if found is None:
            return None
        if self._clock() >= found[0]:
            del self._items[key]
            return None
        self._items.move_to_end(key)
        return found[1]

    def put(self, key: Hashable, value: Any) -> None:
        self._items[key] = (self._clock() + self._ttl, value)
        self._items.move_to_end(key)
        while len(self._items) > self._entries:
            self._items.popitem(last=False)


class SingleFlight:
    """One task a key; everybody who asks meanwhile waits for it."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, tuple[asyncio.Task[Any], list[int]]] = {}

    def waiting(self, key: Hashable) -> bool:
        return key in self._flights

    async def run(self, key: Hashable, work: Callable[[], Awaitable[Any]]) -> Any:
        """The result, or the exception, of ``work`` for ``key``."""
        if key not in self._flights:
            task = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._landed(key, done))
            self._flights[key] = (task, [0])
        task, waiters = self._flights[key]
        waiters[0] += 1
        try:
            return await asyncio.shield(task)
        finally:
            waiters[0] -= 1
            if waiters[0] == 0 and not task.done():
                self._flights.pop(key, None)
                task.cancel()

    def _landed(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        if key in self._flights and self._flights[key][0] is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # everybody may have left: don't let asyncio complain about an unread exception

    async def close(self) -> None:
        """Cancel what is in flight and wait for it."""
        tasks = [task for task, _ in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class ResilientProvider:
    """``inner`` with retries, cache and coalescing. Close closes ``inner``."""

    def __init__(
        self,
        inner: Provider,
        retry: RetrySettings | None = None,
        *,
        cache: ResultCache | None = None,
        seed: int | None = None,
    ) -> None:
        self._inner = inner
        self._retry = retry or RetrySettings()
        self._cache = cache
        self._flights = SingleFlight()
        self._random = random.Random(seed)
        self.counts = Counts()
        self.name = inner.name

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        key = ("search", scope.corpus, scope.language, query, k)
        hits: list[Hit] = await self._through(key, lambda: self._inner.search(query, scope, k))
        return list(hits)

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        key = ("fetch", scope.corpus, scope.language, target)
        page: Fetched = await self._through(key, lambda: self._inner.fetch(target, scope))
        return page

    async def close(self) -> None:
        await self._flights.close()
        await self._inner.close()

    async def _through(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        self.counts.calls += 1
        if self._cache is not None and (known := self._cache.get(key)) is not None:
            self.counts.cache_hits += 1
            return known
        if self._flights.waiting(key):
            self.counts.coalesced += 1
        return await self._flights.run(key, lambda: self._fresh(key, ask))

    async def _fresh(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        answer = await self._retried(ask)
        if self._cache is not None and answer:
            self._cache.put(key, answer)
        return answer

    async def _retried(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        for attempt in range(self._retry.attempts):
            try:
                return await self._attempt(ask)
            except ProviderError as error:
                if not error.retryable or attempt + 1 == self._retry.attempts:
                    self.counts.failures += 1
                    raise
                self.counts.retries += 1
                await asyncio.sleep(self._retry.wait(attempt, self._random.random(), error.retry_after))
        raise AssertionError("unreachable: attempts is at least 1")

    async def _attempt(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        self.counts.backend_calls += 1
        try:
            async with asyncio.timeout(self._retry.attempt_timeout_seconds):
                return await ask()
        except TimeoutError:
            raise ProviderError("the site took too long, try again", retryable=True) from None
