"""The learner raises a reward, stays on-policy, and survives kill -9 in a step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sindbad.agent.trajectory import Trajectory
from sindbad.training.checkpoint import latest_checkpoint, list_checkpoints
from sindbad.training.configuration import GRPOConfig
from sindbad.training.grpo import GRPOLearner, minibatches_of, partition, rollout_metrics, staleness
from sindbad.training.metrics import read_metrics
from sindbad.training.rollout import Episode, Ticket
from sindbad.training.sft import RunPaths
from sindbad.weights import WeightStore
from tests.unit.training.conftest import random_trajectory, score_behaviour, tiny_model
from tests.unit.training.toy import run_toy, toy_config

Groups = Callable[..., list[Trajectory]]


def flat(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.slow
async def test_grpo_raises_the_reward_of_a_toy_task_through_engine_and_weight_store(tmp_path: Path) -> None:
    await run_toy(tmp_path, toy_config(40))
    rows = read_metrics(RunPaths.under(tmp_path, "rl").metrics)
    rewards = [row["reward"] for row in rows]
    assert sum(rewards[:3]) / 3 < 0.5
    assert sum(rewards[-3:]) / 3 > 0.85
    assert max(row["first_ratio_error"] for row in rows) < 1e-3
    assert all(row["stale_trajectories"] == 0 for row in rows)
    store = WeightStore(tmp_path / "models" / "rl")
    current = store.current()
    assert current is not None
    assert current.number == 41


@pytest.mark.slow
async def test_overlapping_rollouts_and_updates_train_on_tokens_one_version_old(tmp_path: Path) -> None:
    seen: list[int] = []

    def remember(step: int, trajectories: list[Trajectory]) -> None:
        seen.append(max(staleness(item, step + 1) for item in trajectories))

    await run_toy(tmp_path, toy_config(6, max_staleness=1), store_trajectories=remember)
    assert seen[0] == 0
    assert max(seen) == 1
    rows = read_metrics(RunPaths.under(tmp_path, "rl").metrics)
    assert [row["step"] for row in rows] == list(range(1, 7))


@pytest.mark.slow
def test_a_learner_killed_in_a_step_resumes_it_without_counting_anything_twice(tmp_path: Path) -> None:
    paths = RunPaths.under(tmp_path, "rl")
    command = [sys.executable, "-m", "tests.unit.training.toy", str(tmp_path), "12"]
    for resumes, rows in enumerate((2, 7)):
        child = subprocess.Popen(command)
        deadline = time.monotonic() + 90
        while len(read_metrics(paths.metrics)) < rows and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.003)
        time.sleep(0.02 * resumes)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert subprocess.run(command, timeout=120, check=True).returncode == 0
    rows_ = read_metrics(paths.metrics)
    assert [row["step"] for row in rows_] == list(range(1, 13))
    assert [row["version"] for row in rows_] == list(range(2, 14))
    assert rows_[-1]["resumed_episodes"] < 48
    assert all(row["groups"] == 6 for row in rows_)
    current = WeightStore(tmp_path / "models" / "rl").current()
    checkpoint = latest_checkpoint(paths.checkpoints)
    assert current is not None
    assert checkpoint is not None
    assert (current.number, checkpoint.step, checkpoint.state["version"]) == (13, 12, 13)


class Stopped(Exception):
    """The learner's end, in a test."""


def stopping(step: int, episodes: int) -> Callable[[Episode], Episode]:
    """Episodes that end the learner once ``episodes`` of ``step`` are finished: exactly those are journalled."""

    def wrap(episode: Episode) -> Episode:
        finished: list[Ticket] = []

        async def run(ticket: Ticket) -> Trajectory:
            trajectory = await episode(ticket)
            if ticket.step == step:
                if len(finished) == episodes:
                    raise Stopped
                finished.append(ticket)
            return trajectory

        return run

    return wrap


@pytest.mark.slow
@pytest.mark.parametrize("max_staleness", [0, 1])
async def test_a_resumed_learner_serves_its_own_weights_although_others_have_published(
    tmp_path: Path, max_staleness: int
) -> None:
    store, kept = WeightStore(tmp_path / "models" / "rl"), dict[int, list[Trajectory]]()
    config = toy_config(5, max_staleness=max_staleness)
    for times in (1, 2):  # the second time, the first resume's numbers are taken too
        with pytest.raises(Stopped):
            await run_toy(tmp_path, config, wrap=stopping(2, 12 * times), store_trajectories=kept.__setitem__)
        for _ in range(times):
            store.publish(tiny_model(seed=times).state_dict(), like=tmp_path / "base", metadata={"stage": "evaluation"})
    await run_toy(tmp_path, config, store_trajectories=kept.__setitem__)

    rows = read_metrics(RunPaths.under(tmp_path, "rl").metrics)
    assert [row["step"] for row in rows] == list(range(1, 6))
    assert rows[2]["resumed_episodes"] == 12 + 24
    assert max(row["first_ratio_error"] for row in rows) < (1e-3 if max_staleness == 0 else 1)
    assert all(row["stale_trajectories"] == 0 for row in rows)
    for row in rows:
        trained = row["version"] - 1
        ages = {staleness(made, trained) for made in kept[row["step"] - 1]}
        assert ages == {0} if max_staleness == 0 else ages <= {0, 1}
    current = store.current()
    assert current is not None
    assert current.number == rows[-1]["version"]
    assert current.manifest.metadata["learner"] == "rl"


@pytest.mark.slow
def test_five_steps_on_recorded_trajectories_repeat_themselves_bit_for_bit(make_group: Groups) -> None:
    def train() -> torch.Tensor:
        model = tiny_model()
        learner = GRPOLearner(model, GRPOConfig(minibatches=2, threads=1))
        for step in range(5):
            batch = make_group("a", [1, 0, 0, 1], [2, 1, 1, 3], step) + make_group("b", [0, 1, 1, 1], None, step)
            learner.update(batch, version=1, step=step)
        return flat(model)

    first = train()
    assert torch.equal(first, train())
    assert not torch.equal(first, flat(tiny_model()))


def test_a_step_without_a_mixed_group_leaves_the_weights(model: Any, make_group: Groups) -> None:
    before = flat(model)
    report = GRPOLearner(model, GRPOConfig()).update(make_group("a", [1, 1]), version=1, step=0)
    assert torch.equal(flat(model), before)
    assert (report["updates"], report["groups_mixed"], report["left_out_zero_variance"]) == (0, 0, 2)


def test_a_good_trajectory_becomes_likelier_and_a_bad_one_less_likely(model: Any, make_group: Groups) -> None:
    from sindbad.training.logprobs import score

    batch = make_group("a", [1, 0])
    score_behaviour(model, batch)

    def likelihood(item: Trajectory) -> float:
        segment = item.segments[0]
        ids = torch.tensor([segment.prompt_ids + segment.token_ids])
        mask = torch.tensor([[0] * len(segment.prompt_ids) + segment.loss_mask], dtype=torch.bool)
        with torch.no_grad():
            return float(score(model, ids, mask).logprobs_N.sum())

    before = [likelihood(item) for item in batch]
    GRPOLearner(model, GRPOConfig(minibatches=1)).update(batch, version=1, step=0)
    after = [likelihood(item) for item in batch]
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_a_stale_trajectory_takes_its_whole_group_out(make_group: Groups) -> None:
    fresh, old = make_group("a", [1, 0], version=5), make_group("b", [1, 0], version=5)
    old[0].segments[0].weight_versions[0] = 4
    parts = partition([*fresh, *old], 5, 0)
    assert (parts.fresh, parts.stale) == (fresh, old)
    assert partition([*fresh, *old], 5, 1).stale == []


def test_minibatches_hold_every_trained_trajectory_once(make_group: Groups) -> None:
    from sindbad.training.advantages import PRESETS, assign, attempt_of

    batch = make_group("a", [1, 0, 0, 1, 1]) + make_group("b", [1, 1])
    credits_ = assign(map(attempt_of, batch), PRESETS["sindbad"])
    parts = minibatches_of(credits_, 3, "seed")
    assert len(parts) == 3
    assert sorted(name for part in parts for name in part) == [f"a-{i:02d}" for i in range(5)]


def test_metrics_tell_tool_errors_segments_and_lengths() -> None:
    trajectory = random_trajectory("a", "g", 1.0, segments=2)
    row = rollout_metrics([trajectory, random_trajectory("b", "g", 0.0)])
    assert (row["reward"], row["segments"], row["groups_mixed"]) == (0.5, 1.5, 1)
    assert row["length_max"] == max(row["length_max"], sum(len(s) for s in trajectory.segments))


def test_checkpoints_are_pruned_while_journals_of_done_steps_go(tmp_path: Path) -> None:
    import asyncio

    asyncio.run(run_toy(tmp_path, toy_config(3)))
    paths = RunPaths.under(tmp_path, "rl")
    assert [path.name for path in list_checkpoints(paths.checkpoints)] == ["step-00000002", "step-00000003"]
    assert list((paths.checkpoints / "journals").glob("*.jsonl")) == []
