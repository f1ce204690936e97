"""Background sampling: all of D, bounded, with its own versions, and never in training's way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.agent.trajectory import Trajectory
from sindbad.curation.background import BackgroundConfig, BackgroundPlan, BackgroundSampler
from sindbad.curation.curator import Curator
from sindbad.curation.state import CuratorConfig, Outcome
from sindbad.errors import Unavailable
from sindbad.training.rollout import Ticket
from tests.unit.curation.making import ENGLISH, attempt

POOL = {f"q{number}": replace(ENGLISH, question_id=f"q{number}") for number in range(12)}
CONFIG = BackgroundConfig(attempts=2, share=1.0, in_flight=4, pause_seconds=0.001, deadline_seconds=5.0)


def opened(folder: Path) -> Curator:
    """q0 to q5 are moderate, the others were never solved."""
    curator = Curator(POOL, CuratorConfig(refresh_every_steps=2), folder / "journal.jsonl")
    curator.profile([Outcome(name, 4, 2 if number < 6 else 0) for number, name in enumerate(POOL)], version=1)
    return curator


def made(ticket: Ticket, *, version: int | None = None, solved: bool = True) -> Trajectory:
    used = ticket.min_version if version is None else version
    return attempt(
        ticket.question, reward=float(solved), version=used, name=ticket.trajectory_id
    )  # fmt: skip


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - conditions of a counter, not of a task
            await asyncio.sleep(0.001)


def sampler(
    curator: Curator,
    episode: Callable[[Ticket], Awaitable[Trajectory]],
    config: BackgroundConfig = CONFIG,
    **more: object,
) -> BackgroundSampler:
    return BackgroundSampler(episode, curator, POOL.__getitem__, config, stage="rl", **more)  # type: ignore[arg-type]


async def test_all_of_d_is_sampled_once_with_every_checkpoint_it_can_afford(tmp_path: Path) -> None:
    asked: Counter[tuple[str, int]] = Counter()

    async def episode(ticket: Ticket) -> Trajectory:
        asked[ticket.question.question_id, ticket.min_version] += 1
        await asyncio.sleep(0)
        return made(ticket)

    with opened(tmp_path) as curator:
        async with sampler(curator, episode) as background:
            for version in (2, 3):
                background.served(version)
                for _ in range(6):
                    background.grant(4)
                    await until(lambda: background.plan.purse < CONFIG.attempts)
                await until(lambda: not background.plan.in_hand)
        assert asked == {(name, version): 2 for name in POOL for version in (2, 3)}
        assert set(curator.state.measured.values()) == {3}
        assert {version for _, version in curator.state.backup.values()} == {3}


async def test_nothing_is_sampled_before_weights_are_served_or_beyond_the_share(tmp_path: Path) -> None:
    running, most, total = 0, 0, 0

    async def episode(ticket: Ticket) -> Trajectory:
        nonlocal running, most, total
        running, total = running + 1, total + 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return made(ticket)

    with opened(tmp_path) as curator:
        config = CONFIG.model_copy(update={"share": 0.5, "in_flight": 4})
        async with sampler(curator, episode, config) as background:
            background.grant(20)
            await asyncio.sleep(0.02)
            assert total == 0
            background.served(2)
            await until(lambda: background.counts.attempts == 10)
            await asyncio.sleep(0.02)
        assert total == 10
        assert most <= 4


async def test_an_outcome_counts_under_the_oldest_weights_that_sampled_it(tmp_path: Path) -> None:
    versions = iter([5, 4])

    async def episode(ticket: Ticket) -> Trajectory:
        return made(ticket, version=next(versions))

    with opened(tmp_path) as curator:
        async with sampler(curator, episode) as background:
            background.served(4)
            background.grant(2)
            await until(lambda: background.counts.questions == 1)
        assert 4 in {version for _, version in curator.state.backup.values()}
        assert curator.state.weight_version == 4


async def train(curator: Curator, steps: int) -> None:
    """What training does with a curator; six steps of it pass two refreshes."""
    for step in range(steps):
        batch = curator.next_batch(3, step=step)
        curator.observe(step, [Outcome(name, 4, 2) for name in batch.question_ids], version=2)
        curator.refresh_if_due()
        await asyncio.sleep(0)


async def test_training_goes_on_beside_a_sampler_whose_attempts_never_end(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def episode(ticket: Ticket) -> Trajectory:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    with opened(tmp_path) as curator:
        async with sampler(curator, episode) as background:
            background.served(2)
            background.grant(100)
            await asyncio.wait_for(started.wait(), 5)
            await asyncio.wait_for(train(curator, 6), 5)
            assert background.counts.questions == 0
        assert curator.state.last_step == 5
        assert [task for task in asyncio.all_tasks() if "background" in task.get_name()] == []


async def test_an_attempt_that_outlives_its_deadline_gives_its_question_up_until_newer_weights(tmp_path: Path) -> None:
    async def episode(ticket: Ticket) -> Trajectory:
        if ticket.min_version == 2:
            await asyncio.Event().wait()
        return made(ticket)

    with opened(tmp_path) as curator:
        config = CONFIG.model_copy(update={"deadline_seconds": 0.005})
        async with sampler(curator, episode, config) as background:
            background.served(2)
            background.grant(24)
            await until(lambda: background.counts.failed >= 3)
            assert background.counts.questions == 0
            background.served(3)
            background.grant(48)
            await until(lambda: background.counts.questions >= 3)


async def test_a_lost_server_pauses_the_sampler_and_a_bug_ends_it_and_nothing_else(tmp_path: Path) -> None:
    calls, said = 0, list[str]()

    async def episode(ticket: Ticket) -> Trajectory:
        nonlocal calls
        calls += 1
        if calls <= 3:
            raise Unavailable("the policy is away")
        if calls <= 8:
            return made(ticket)
        raise KeyError("a bug")

    with opened(tmp_path) as curator:
        async with sampler(curator, episode, say=said.append) as background:
            background.served(2)
            for _ in range(10):
                background.grant(8)
                await asyncio.sleep(0.005)
            await until(lambda: bool(said))
            await train(curator, 4)
        assert background.counts.failed >= 1
        assert background.counts.questions >= 1
        assert "KeyError" in background.fault
        assert "training goes on" in said[0]
        assert curator.state.last_step == 3


async def test_what_was_in_hand_when_it_was_left_is_not_recorded_and_is_sampled_again(tmp_path: Path) -> None:
    async def half(ticket: Ticket) -> Trajectory:
        if ticket.trajectory_id.endswith("001"):
            await asyncio.Event().wait()
        return made(ticket)

    async def whole(ticket: Ticket) -> Trajectory:
        return made(ticket)

    with opened(tmp_path) as curator:
        async with sampler(curator, half) as background:
            background.served(2)
            background.grant(24)
            await asyncio.sleep(0.01)
        assert set(curator.state.measured.values()) == {1}
    with opened(tmp_path) as curator:
        async with sampler(curator, whole) as background:
            background.served(2)
            for _ in range(6):
                background.grant(4)
                await until(lambda: background.plan.purse < CONFIG.attempts)
            await until(lambda: background.counts.questions == 12)
        assert set(curator.state.measured.values()) == {2}


async def test_a_newly_moderate_question_comes_from_the_background_into_training(tmp_path: Path) -> None:
    async def episode(ticket: Ticket) -> Trajectory:
        return made(ticket, solved=ticket.trajectory_id.endswith("001"))

    with opened(tmp_path) as curator:
        async with sampler(curator, episode) as background:
            background.served(2)
            for _ in range(6):
                background.grant(4)
                await until(lambda: background.plan.purse < CONFIG.attempts)
            await until(lambda: background.counts.questions == 12)
        curator.observe(0, [Outcome("q0", 4, 4)], version=3)
        refresh = curator.refresh()
        assert refresh.removed == ("q0",)
        assert len(refresh.added) == 1
        assert refresh.added[0] in list(POOL)[6:]


async def test_kept_attempts_are_there_before_their_outcome_is(tmp_path: Path) -> None:
    order: list[str] = []

    async def episode(ticket: Ticket) -> Trajectory:
        return made(ticket)

    def keep(kept: object) -> None:
        order.append("kept" if curator.state.weight_version < 2 else "late")

    with opened(tmp_path) as curator:
        async with sampler(curator, episode, keep=keep) as background:
            background.served(2)
            background.grant(2)
            await until(lambda: background.counts.questions == 1)
    assert order == ["kept"]


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 300), st.just(None)), max_size=40), st.floats(0.01, 2.0), st.integers(2, 8))
def test_the_purse_never_pays_for_more_than_the_share_of_what_training_made(
    events: list[int | None], share: float, attempts: int
) -> None:
    plan = BackgroundPlan(BackgroundConfig(share=share, attempts=attempts, in_flight=2 * attempts))
    plan.served(1)
    granted = spent = 0
    for event in events:
        if event is not None:
            granted += event
            plan.grant(event)
        elif plan.affords():
            plan.begin(f"q{spent}")
            plan.end(f"q{spent}", measured=True)
            spent += attempts
        assert plan.purse > -1e-9
        assert spent <= share * granted + 1e-9


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        BackgroundConfig(share=0.0)
