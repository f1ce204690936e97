"""Rollouts are asynchronous, bounded, resumable, and count every episode once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sindbad.agent.trajectory import Trajectory
from sindbad.errors import Corrupt, EngineFailure, InvalidInput, NoModel, Unavailable
from sindbad.questions.question import Clue, Question
from sindbad.training.journal import RolloutJournal, trajectory_from_record, trajectory_record
from sindbad.training.rollout import ListQuestions, RolloutCollector, RolloutConfig, Ticket
from tests.unit.training.conftest import random_trajectory


def question(number: int) -> Question:
    return Question(
        f"q{number}", "w0001", "en", f"question {number}?", "chain", (Clue("a", "r", "?0"),), "?0", "b", "B"
    )


QUESTIONS = [question(number) for number in range(10)]


class Episodes:
    """A stand-in for agent and services: finishes after a pause, fails where told to, remembers what it ran."""

    def __init__(self, *, failing: dict[str, list[Exception]] | None = None, slow: str = "") -> None:
        self.failing = failing or {}
        self.slow = slow
        self.started: list[str] = []
        self.seeds: dict[str, int] = {}
        self.now = 0
        self.most = 0
        self.cancelled = 0

    async def __call__(self, ticket: Ticket) -> Trajectory:
        self.started.append(ticket.trajectory_id)
        assert self.seeds.setdefault(ticket.trajectory_id, ticket.seed) == ticket.seed
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(30 if self.slow and ticket.trajectory_id.endswith(self.slow) else 0.001)
            for fragment, errors in self.failing.items():
                if fragment in ticket.trajectory_id and errors:
                    raise errors.pop(0)
            return random_trajectory(ticket.trajectory_id, ticket.group_id, 1.0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1


def collector(episodes: Episodes, tmp_path: Path, **changes: object) -> RolloutCollector:
    config = RolloutConfig.model_validate({"groups": 3, "group_size": 4, "in_flight": 5, **changes})
    return RolloutCollector(episodes, ListQuestions(QUESTIONS, config.groups), config, stage="t", journals=tmp_path)


def no_tasks_left() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_step_is_complete_groups_in_order_with_bounded_concurrency(tmp_path: Path) -> None:
    episodes = Episodes()
    batch = await collector(episodes, tmp_path).collect(7)
    names = [item.trajectory_id for item in batch.trajectories]
    assert names == [f"t-000007-{g:06d}-{m:03d}" for g in range(3) for m in range(4)]
    assert episodes.most == 5
    assert len(episodes.started) == 12
    assert no_tasks_left()


async def test_one_slow_episode_holds_up_nobody_else(tmp_path: Path) -> None:
    episodes = Episodes(slow="000000-000")
    task = asyncio.create_task(collector(episodes, tmp_path, in_flight=2).collect(0))
    await asyncio.sleep(0.3)
    assert len(episodes.started) == 12
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert episodes.now == 0
    assert episodes.cancelled == 1
    assert no_tasks_left()


async def test_a_lost_server_is_waited_for_with_the_same_seed(tmp_path: Path) -> None:
    episodes = Episodes(failing={"000001-002": [Unavailable("gone"), NoModel("restarting")]})
    batch = await collector(episodes, tmp_path).collect(0)
    assert (batch.retried, batch.redrawn, len(batch.trajectories)) == (2, 0, 12)


async def test_an_episode_past_its_deadline_is_started_again_and_its_group_then_redrawn(tmp_path: Path) -> None:
    episodes = Episodes(slow="000001-003")
    batch = await collector(episodes, tmp_path, deadline_seconds=0.05, timeouts=1).collect(0)
    assert (batch.timed_out, batch.redrawn) == (2, 1)
    assert {item.group_id for item in batch.trajectories} == {f"t-000000-{g:06d}" for g in (0, 2, 3)}


async def test_a_broken_group_is_abandoned_whole_and_redrawn(tmp_path: Path) -> None:
    episodes = Episodes(failing={"000000-001": [EngineFailure("broken")]})
    batch = await collector(episodes, tmp_path).collect(0)
    groups = [item.group_id for item in batch.trajectories]
    assert len(groups) == 12
    assert "t-000000-000000" not in groups
    assert groups.count("t-000000-000003") == 4
    assert batch.redrawn == 1


async def test_too_many_broken_groups_end_the_step_and_leave_no_task(tmp_path: Path) -> None:
    episodes = Episodes(failing={"t-": [EngineFailure("broken") for _ in range(100)]})
    with pytest.raises(Unavailable, match="ENGINE_FAILURE"):
        await collector(episodes, tmp_path, redraws=2).collect(0)
    assert no_tasks_left()
    assert episodes.now == 0


async def test_a_bug_in_an_episode_ends_the_step_loudly(tmp_path: Path) -> None:
    episodes = Episodes(failing={"000001-000": [TypeError("a bug")]})
    with pytest.raises(TypeError, match="a bug"):
        await collector(episodes, tmp_path).collect(0)
    assert no_tasks_left()


async def test_a_killed_step_resumes_without_repeating_finished_episodes(tmp_path: Path) -> None:
    first = Episodes(slow="-003")
    task = asyncio.create_task(collector(first, tmp_path, in_flight=12).collect(0))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    second = Episodes()
    batch = await collector(second, tmp_path).collect(0)
    assert (batch.resumed, len(batch.trajectories)) == (9, 12)
    assert sorted(second.started) == [f"t-000000-{g:06d}-003" for g in range(3)]


async def test_a_resumed_step_asks_the_journals_questions_and_keeps_abandoned_groups_away(tmp_path: Path) -> None:
    broken = Episodes(failing={"000000-001": [EngineFailure("broken")]}, slow="-003")
    task = asyncio.create_task(collector(broken, tmp_path, in_flight=12).collect(0))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    other = RolloutCollector(
        Episodes(), ListQuestions([question(99)], 3), RolloutConfig(groups=3, group_size=4), stage="t",
        journals=tmp_path,
    )  # fmt: skip
    batch = await other.collect(0)
    assert (batch.redrawn, len(batch.trajectories)) == (1, 12)
    assert not any(item.group_id.endswith("000000") for item in batch.trajectories)
    with_questions = RolloutJournal(other.journal_path(0))
    assert "q99" not in {item.question_id for item in with_questions.groups.values()}
    with_questions.close()


async def test_an_episode_that_returns_somebody_elses_trajectory_is_refused(tmp_path: Path) -> None:
    async def confused(ticket: Ticket) -> Trajectory:
        return random_trajectory("other", "other", 1.0)

    with pytest.raises(InvalidInput, match="came back as"):
        await RolloutCollector(
            confused, ListQuestions(QUESTIONS, 1), RolloutConfig(groups=1, group_size=1), stage="t", journals=tmp_path
        ).collect(0)


def test_a_trajectory_survives_the_journal_bit_for_bit() -> None:
    trajectory = random_trajectory("a", "g", 1.0, segments=3)
    assert trajectory_from_record(trajectory_record(trajectory)) == trajectory


def test_a_torn_last_line_is_cut_off_and_a_broken_line_inside_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "step.jsonl"
    journal = RolloutJournal(path)
    journal.finish(random_trajectory("a", "g", 1.0))
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    journal = RolloutJournal(path)
    assert list(journal.trajectories) == ["a"]
    journal.finish(random_trajectory("b", "g", 1.0))
    journal.close()
    again = RolloutJournal(path)
    assert list(again.trajectories) == ["a", "b"]
    again.close()
    path.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(Corrupt, match=":1"):
        RolloutJournal(path)


def test_a_trajectory_id_counts_once(tmp_path: Path) -> None:
    journal = RolloutJournal(tmp_path / "step.jsonl")
    journal.finish(random_trajectory("a", "g", 1.0))
    journal.finish(random_trajectory("a", "g", 0.0))
    assert [item.reward for item in journal.trajectories.values()] == [1.0]
    journal.close()


def test_consecutive_steps_walk_through_all_questions_before_any_comes_back() -> None:
    source = ListQuestions(QUESTIONS, 5, seed=3)
    asked = [source.draw(step, index).question_id for step in range(4) for index in range(5)]
    assert sorted(asked[:10]) == sorted(asked[10:]) == sorted(item.question_id for item in QUESTIONS)
    assert asked[:10] != asked[10:]
