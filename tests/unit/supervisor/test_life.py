from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sindbad.supervisor.life import EX_CONFIG, Life, Phase, RestartPolicy

POLICY = RestartPolicy(
    first_seconds=1, factor=2, longest_seconds=8, stable_seconds=30, start_seconds=20, start_attempts=3
)


def live(at: float = 0.0) -> Life:
    life = Life(POLICY)
    life.spawned(at)
    life.answered(at)
    return life


def crash_soon(life: Life, now: float) -> float | None:
    life.spawned(now)
    life.answered(now)
    return life.exited(1, now)


def test_waits_double_up_to_the_ceiling() -> None:
    life = Life(POLICY)
    assert [crash_soon(life, 0.0) for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    assert life.restarts == 5


def test_a_long_life_forgives_earlier_failures() -> None:
    life = Life(POLICY)
    for _ in range(4):
        crash_soon(life, 0.0)
    life.spawned(0.0)
    life.answered(0.0)
    assert life.exited(-9, 31.0) == 1


def test_a_replica_that_never_came_up_is_given_up() -> None:
    life = Life(POLICY)
    delays = []
    for _ in range(3):
        life.spawned(0.0)
        delays.append(life.exited(1, 0.1))
    assert delays == [1, 2, None]
    assert life.phase is Phase.FAILED


def test_one_that_was_live_is_never_given_up() -> None:
    life = live()
    for _ in range(50):
        assert life.exited(1, 0.0) is not None
        life.spawned(0.0)


def test_a_wrong_configuration_is_not_tried_again() -> None:
    life = Life(POLICY)
    life.spawned(0.0)
    assert life.exited(EX_CONFIG, 0.1) is None
    assert life.phase is Phase.FAILED


def test_nothing_restarts_after_stop() -> None:
    life = live()
    life.stop()
    assert life.exited(0, 1.0) is None
    assert life.phase is Phase.STOPPED


@pytest.mark.parametrize(("now", "hangs"), [(19.0, False), (21.0, True)])
def test_a_start_that_takes_too_long_hangs(now: float, hangs: bool) -> None:
    life = Life(POLICY)
    life.spawned(0.0)
    assert life.hangs(now) is hangs


def test_silence_counts_from_the_last_answer() -> None:
    life = live()
    life.answered(100.0)
    assert not life.hangs(100.0 + POLICY.silent_seconds)
    assert life.hangs(101.0 + POLICY.silent_seconds)


def test_only_the_first_answer_makes_it_live() -> None:
    life = Life(POLICY)
    life.spawned(0.0)
    assert [life.answered(1.0), life.answered(2.0)] == [True, False]


@given(st.lists(st.sampled_from(["spawn", "answer", "crash", "stop"]), max_size=40))
def test_whatever_happens_no_restart_follows_a_stop_and_waits_are_bounded(events: list[str]) -> None:
    life, stopped = Life(POLICY), False
    for now, event in enumerate(events):
        if event == "stop":
            life.stop()
            stopped = True
        elif event == "answer":
            life.answered(now)
        elif event == "spawn" and not stopped and life.phase is not Phase.FAILED:
            life.spawned(now)
        elif event == "crash":
            delay = life.exited(1, now)
            assert delay is None or (not stopped and 0 < delay <= POLICY.longest_seconds)
