from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sindbad.clients.replicas import Attempts, Backoff, Replicas
from sindbad.errors import DeadlineExceeded, InvalidInput, NoModel, Overloaded, Unavailable


def test_the_least_busy_replica_is_asked_and_ties_take_turns() -> None:
    replicas = Replicas(["a", "b"])
    first, _ = replicas.choose(0)
    replicas.started(first)
    second, _ = replicas.choose(0)
    assert [first.address, second.address] == ["a", "b"]
    replicas.started(second)
    replicas.ended(first)
    assert replicas.choose(0)[0] is first
    replicas.ended(second)
    assert replicas.choose(0)[0].address == "a"


def test_a_failed_replica_is_left_alone_while_another_can_serve() -> None:
    replicas = Replicas(["a", "b"], Backoff(first_seconds=1.0))
    replicas.failed(replicas.all[0], now=0.0)
    assert replicas.choose(0.0) == (replicas.all[1], 0.0)


def test_when_all_back_off_the_soonest_is_waited_for() -> None:
    replicas = Replicas(["a", "b"], Backoff(first_seconds=1.0), seed=1)
    replicas.failed(replicas.all[0], now=0.0)
    replicas.failed(replicas.all[1], now=5.0)
    replica, wait = replicas.choose(0.0)
    assert replica is replicas.all[0]
    assert 0 < wait <= 1.0


@given(failures=st.integers(1, 200), seed=st.integers(0, 10_000))
def test_back_off_is_positive_and_bounded(failures: int, seed: int) -> None:
    assert 0 < Backoff().delay(failures, random.Random(seed)) <= Backoff().longest_seconds


def test_a_wrong_request_is_never_retried() -> None:
    attempts = Attempts(Replicas(["a", "b"]), deadline=10)
    with pytest.raises(InvalidInput):
        attempts.failed(attempts.replicas.all[0], InvalidInput("wrong"), now=0)


def test_what_can_be_cured_is_retried_until_the_deadline_and_then_raised_itself() -> None:
    tried_at: list[float] = []

    def try_for_ever(attempts: Attempts, now: float = 0.0) -> None:
        while True:
            replica, wait = attempts.next(now)
            now += wait + 0.01
            tried_at.append(now)
            attempts.failed(replica, Overloaded("full"), now)

    with pytest.raises(Overloaded):
        try_for_ever(Attempts(Replicas(["a"]), deadline=10))
    assert len(tried_at) > 5
    assert max(tried_at) <= 10.01


def test_patience_ends_where_nobody_is_there_and_not_where_somebody_is_busy() -> None:
    away = Attempts(Replicas(["a"]), deadline=600, patience_seconds=5)
    away.failed(away.replicas.all[0], Unavailable("nobody at a"), now=10)
    away.next(14)
    away.failed(away.replicas.all[0], Unavailable("still nobody at a"), now=14)
    with pytest.raises(Unavailable, match="still nobody"):
        away.next(16)

    busy = Attempts(Replicas(["a"]), deadline=600, patience_seconds=5)
    busy.failed(busy.replicas.all[0], Unavailable("nobody at a"), now=10)
    busy.failed(busy.replicas.all[0], Overloaded("full"), now=12)
    busy.next(16)
    with pytest.raises(Overloaded):
        busy.next(600)


def test_a_deadline_in_the_past_is_said_so() -> None:
    with pytest.raises(DeadlineExceeded):
        Attempts(Replicas(["a"]), deadline=0).next(1)


def test_no_model_fails_over_and_is_final_when_nobody_has_one() -> None:
    attempts = Attempts(Replicas(["a", "b"]), deadline=10)
    attempts.failed(attempts.replicas.all[0], NoModel("none"), now=0)
    attempts.failed(attempts.replicas.all[1], Unavailable("away"), now=0)
    with pytest.raises(NoModel):
        attempts.failed(attempts.replicas.all[1], NoModel("none"), now=1)
