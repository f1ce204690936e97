"""Retries, cache and coalescing, with counted backends."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope
from sindbad.tools.loopback_web import Faults
from sindbad.tools.provider import Fetched, ProviderError
from sindbad.tools.resilience import ResilientProvider, ResultCache, RetrySettings

SCOPE = Scope("w1", "en")
FAST = RetrySettings(attempts=4, base_seconds=0.0, cap_seconds=0.0, attempt_timeout_seconds=0.05)


class Failing:
    """Fails the first ``times`` calls."""

    name = "failing"

    def __init__(self, times: int, *, retryable: bool = True, hang: bool = False) -> None:
        self.calls, self._times, self._retryable, self._hang = 0, times, retryable, hang

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        self.calls += 1
        if self.calls <= self._times:
            if self._hang:
                await asyncio.sleep(10)
            raise ProviderError("busy", retryable=self._retryable)
        return [Hit("u", "t", "s", 1.0)]

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        raise NotImplementedError

    async def close(self) -> None: ...


@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_a_backend_that_fails_k_times_is_asked_k_plus_1_times(failures: int) -> None:
    inner = Failing(failures)
    assert await ResilientProvider(inner, FAST).search("q", SCOPE, 1)
    assert inner.calls == failures + 1


async def test_the_last_failure_is_raised_when_the_attempts_are_spent_and_the_next_call_tries_again() -> None:
    inner = Failing(4)
    provider = ResilientProvider(inner, FAST, cache=ResultCache(10, 60))
    with pytest.raises(ProviderError, match="busy"):
        await provider.search("q", SCOPE, 1)
    assert await provider.search("q", SCOPE, 1)
    assert (inner.calls, provider.counts.failures) == (5, 1)


async def test_what_will_not_get_better_is_not_retried() -> None:
    inner = Failing(9, retryable=False)
    with pytest.raises(ProviderError):
        await ResilientProvider(inner, FAST).search("q", SCOPE, 1)
    assert inner.calls == 1


async def test_a_timeout_is_a_failure_and_is_retried() -> None:
    inner = Failing(2, hang=True)
    assert await ResilientProvider(inner, FAST).search("q", SCOPE, 1)
    assert inner.calls == 3


async def test_answers_are_kept_by_scope_and_size_until_they_expire() -> None:
    now = [0.0]
    inner = Failing(0)
    provider = ResilientProvider(inner, FAST, cache=ResultCache(2, 60, clock=lambda: now[0]))
    for _ in range(3):
        await provider.search("q", SCOPE, 1)
    assert inner.calls == 1
    await provider.search("q", Scope("w2", "en"), 1)
    await provider.search("q", SCOPE, 2)  # evicts the first: the cache holds two
    await provider.search("q", SCOPE, 1)
    assert inner.calls == 4
    now[0] = 61
    await provider.search("q", SCOPE, 1)
    assert inner.calls == 5


async def test_when_all_callers_leave_the_backend_call_is_cancelled() -> None:
    inner = Failing(1, hang=True)
    slow = RetrySettings(attempts=1, attempt_timeout_seconds=30)
    provider = ResilientProvider(inner, slow)
    callers = [asyncio.create_task(provider.search("q", SCOPE, 1)) for _ in range(3)]
    await asyncio.sleep(0.01)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    await asyncio.sleep(0)
    others = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    assert not others


@given(st.integers(0, 12), st.floats(0, 1, exclude_max=True), st.floats(0, 100))
def test_no_wait_exceeds_the_cap_and_a_site_that_asks_for_time_gets_it(n: int, jitter: float, wish: float) -> None:
    settings = RetrySettings(base_seconds=0.1, cap_seconds=2.0)
    wait = settings.wait(n, jitter, wish)
    assert min(wish, 2.0) <= wait <= 2.0
    assert settings.wait(n, jitter) <= 0.1 * 2**n


def test_faults_are_seeded_and_as_frequent_as_configured() -> None:
    faults = Faults(0.02, 0.2, error=0.1, busy=0.1, hang=0.05, truncate=0.05, seed=7)
    fates = [faults.fate(f"/p{n}", 0) for n in range(4000)]
    assert fates == [faults.fate(f"/p{n}", 0) for n in range(4000)]
    for name, rate in (("error", 0.1), ("busy", 0.1), ("hang", 0.05), ("truncate", 0.05)):
        assert abs(fates.count(name) / 4000 - rate) < 0.02
    assert all(0.02 <= faults.latency("/x", n) <= 0.2 for n in range(200))
    with pytest.raises(ValueError):
        Faults(error=0.9, busy=0.2)
