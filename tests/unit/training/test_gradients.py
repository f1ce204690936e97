"""The policy gradient against references, and what must not change it (DESIGN.md; papers.md §4 tests 20, 26, 28)."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sindbad.agent.trajectory import Segment, Trajectory
from sindbad.training.advantages import PRESETS, AdvantageConfig, Estimator, Normaliser, assign, attempt_of
from sindbad.training.configuration import ClipConfig, GRPOConfig
from sindbad.training.grpo import GRPOLearner
from sindbad.training.logprobs import score
from sindbad.training.losses import policy_loss
from sindbad.training.packing import Sample, bucket, collate, credited_samples, pack
from tests.unit.training.conftest import VOCABULARY, score_behaviour

Groups = Callable[..., list[Trajectory]]


def gradient(
    model: Any, trajectories: list[Trajectory], config: AdvantageConfig, *, budget: int = 256, shards: int = 1
) -> torch.Tensor:
    """Flat float64 gradient of the whole loss, accumulated shard by shard."""
    learner = GRPOLearner(model, GRPOConfig(advantage=config, token_budget=budget))
    model.zero_grad(set_to_none=True)
    credits_by_id = {c.trajectory_id: c for c in assign(map(attempt_of, trajectories), config)}
    samples = credited_samples(trajectories, credits_by_id, version=1)
    for shard in range(shards):
        learner.accumulate(samples[shard::shards])
    parts = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(parts).double()


def close(left: torch.Tensor, right: torch.Tensor) -> bool:
    return bool((left - right).norm() <= 1e-5 * right.norm())


@pytest.mark.parametrize("padding", [1, 7, 40])
def test_padding_and_neighbours_do_not_change_a_log_probability(model: Any, padding: int) -> None:
    chance = random.Random(3)
    ids = [chance.randrange(4, VOCABULARY) for _ in range(12)]
    alone = score(model, *_batch([ids])).logprobs_N
    longer = [chance.randrange(4, VOCABULARY) for _ in range(12 + padding)]
    padded = score(model, *_batch([ids, longer])).logprobs_N[: len(ids) - 1]
    assert torch.allclose(alone, padded, atol=1e-5)


def _batch(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    batch = collate([Sample(tuple(ids), (0,) + (1,) * (len(ids) - 1)) for ids in rows])
    return batch.input_ids_BT, batch.mask_BT


def test_selected_log_probabilities_equal_those_of_the_models_own_forward_pass(model: Any) -> None:
    ids = torch.tensor([[5, 9, 4, 30, 11, 7]])
    mask = torch.tensor([[False, False, True, False, True, True]])
    scores = score(model, ids, mask)
    reference = torch.log_softmax(model(input_ids=ids).logits.double(), -1)
    expected = torch.stack([reference[0, t - 1, ids[0, t]] for t in (2, 4, 5)])
    assert torch.allclose(scores.logprobs_N.double(), expected, atol=1e-5)
    entropy = -(reference.exp() * reference).sum(-1)[0, [1, 3, 4]]
    assert torch.allclose(scores.entropy_N.double(), entropy, atol=1e-5)


def test_buckets_hold_every_sequence_once_and_respect_the_budget() -> None:
    lengths = [3, 50, 7, 7, 22, 1, 49]
    batches = bucket(lengths, 100)
    assert sorted(i for batch in batches for i in batch) == list(range(7))
    assert all(len(batch) * max(lengths[i] for i in batch) <= 100 for batch in batches)
    assert bucket([500], 100) == [[0]]


def test_on_policy_the_ratio_is_one_and_the_gradient_is_reinforce_over_the_groups_tokens(
    model: Any, make_group: Groups
) -> None:
    trajectories = make_group("g", [1, 0, 0, 1], segments=[2, 1, 3, 1])
    score_behaviour(model, trajectories)
    ours = gradient(model, trajectories, PRESETS["websailor_v2"])
    model.zero_grad(set_to_none=True)
    tokens = sum(trajectory.sampled_tokens for trajectory in trajectories)
    for trajectory in trajectories:
        advantage = trajectory.reward - 0.5
        for segment in trajectory.segments:
            ids = torch.tensor([segment.prompt_ids + segment.token_ids])
            logprobs = torch.log_softmax(model(input_ids=ids).logits, -1)[0]
            for offset, mask in enumerate(segment.loss_mask):
                position = len(segment.prompt_ids) + offset
                if mask:
                    (-advantage * logprobs[position - 1, ids[0, position]] / tokens).backward(retain_graph=True)
    expected = torch.cat([p.grad.flatten() for p in model.parameters()]).double()
    assert close(ours, expected)
    report = GRPOLearner(model, GRPOConfig(minibatches=1)).update(trajectories, version=1, step=0)
    assert report["first_ratio_error"] < 1e-5
    assert report["ratio_max"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_gradient_agrees_with_finite_differences_in_float64(preset: str, model: Any, make_group: Groups) -> None:
    trajectories = make_group("g", [1, 0, 0], segments=[2, 1, 1]) + make_group("h", [0, 1, 1], seed=5)
    score_behaviour(model, trajectories)
    double = copy.deepcopy(model).double()
    with torch.no_grad():
        double.model.layers[0].feed_forward.w1.weight.add_(0.02)  # off-policy: ratios differ from one
    credits_by_id = {c.trajectory_id: c for c in assign(map(attempt_of, trajectories), PRESETS[preset])}
    batch = pack(credited_samples(trajectories, credits_by_id, version=1), 10_000)[0]

    def loss() -> torch.Tensor:
        hidden = double.model(input_ids=batch.input_ids_BT).last_hidden_state[:, :-1][batch.mask_BT[:, 1:]]
        all_NV = torch.log_softmax(double.lm_head(hidden), -1)
        picked = all_NV.gather(-1, batch.input_ids_BT[:, 1:][batch.mask_BT[:, 1:]][:, None])[:, 0]
        return policy_loss(picked, batch.behaviour_N, batch.advantage_N, batch.weight_N, ClipConfig())[0]

    weight = double.model.layers[1].self_attn.q_proj.weight
    (analytic,) = torch.autograd.grad(loss(), weight)
    row, column = divmod(int(analytic.abs().argmax()), weight.shape[1])
    step = 1e-3  # LFM2 computes its norms in float32 whatever the dtype: smaller steps drown in rounding
    with torch.no_grad():
        weight[row, column] += step
        above = float(loss())
        weight[row, column] -= 2 * step
        below = float(loss())
    assert (above - below) / (2 * step) == pytest.approx(float(analytic[row, column]), rel=2e-3)


def cut(trajectory: Trajectory) -> Trajectory:
    """The same trajectory with its first segment cut in two where a turn ends; the context does not change."""
    twin = copy.deepcopy(trajectory)
    segment = twin.segments[0]
    at = max(1, len(segment.token_ids) // 2)
    first = Segment(
        segment.prompt_ids, segment.token_ids[:at], segment.loss_mask[:at], segment.logprobs[:at],
        segment.weight_versions[:at],
    )  # fmt: skip
    second = Segment(
        segment.prompt_ids + segment.token_ids[:at], segment.token_ids[at:], segment.loss_mask[at:],
        segment.logprobs[at:], segment.weight_versions[at:],
    )  # fmt: skip
    twin.segments[:1] = [first, second]
    return twin


@pytest.mark.parametrize("estimator", list(Estimator))
@pytest.mark.parametrize("normaliser", [Normaliser.TOKEN, Normaliser.TRAJECTORY, Normaliser.CONSTANT])
def test_cutting_where_the_context_does_not_change_leaves_the_gradient(
    estimator: Estimator, normaliser: Normaliser, model: Any, make_group: Groups
) -> None:
    config = AdvantageConfig(estimator=estimator, normaliser=normaliser, constant_tokens=16)
    trajectories = make_group("g", [1, 0, 0], segments=[2, 1, 1])
    score_behaviour(model, trajectories)
    whole = gradient(model, trajectories, config)
    pieces = gradient(model, [cut(trajectories[0]), *trajectories[1:]], config)
    assert close(pieces, whole)


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize(("budget", "shards"), [(30, 1), (10_000, 1), (64, 3)])
def test_packing_and_sharding_differently_leave_the_gradient(
    preset: str, budget: int, shards: int, model: Any, make_group: Groups
) -> None:
    trajectories = make_group("g", [1, 0, 0], segments=[2, 1, 3]) + make_group("h", [0, 1, 1], seed=5)
    score_behaviour(model, trajectories)
    reference = gradient(model, trajectories, PRESETS[preset], budget=128)
    assert close(gradient(model, trajectories, PRESETS[preset], budget=budget, shards=shards), reference)
    assert close(gradient(model, trajectories[::-1], PRESETS[preset], budget=budget), reference)


def test_repeating_a_segment_repeats_its_gradient_and_moves_no_baseline(model: Any, make_group: Groups) -> None:
    config = AdvantageConfig(normaliser=Normaliser.CONSTANT, constant_tokens=10)
    trajectories = make_group("g", [1, 0, 0])
    score_behaviour(model, trajectories)
    once = gradient(model, trajectories, config)
    twin = copy.deepcopy(trajectories)
    twin[0].segments.append(copy.deepcopy(twin[0].segments[0]))
    twice = gradient(model, twin, config)
    only = copy.deepcopy(trajectories)
    for item in only[1:]:
        for segment in item.segments:
            segment.loss_mask = [0] * len(segment.loss_mask)
    alone = gradient(model, only, config.model_copy(update={"constant_tokens": 30.0}))
    assert close(twice - once, alone)


def test_observations_and_prompts_carry_no_loss(model: Any, make_group: Groups) -> None:
    trajectories = make_group("g", [1, 0], segments=[1, 1])
    credits_by_id = {c.trajectory_id: c for c in assign(map(attempt_of, trajectories), PRESETS["sindbad"])}
    for sample, trajectory in zip(credited_samples(trajectories, credits_by_id, version=1), trajectories, strict=True):
        segment = trajectory.segments[0]
        assert sample.loss_mask == (0,) * len(segment.prompt_ids) + tuple(segment.loss_mask)
        assert collate([sample]).tokens == sum(segment.loss_mask)


@pytest.mark.parametrize(
    ("ratio", "advantage", "counts"),
    [(1.5, 1.0, False), (1.2, 1.0, True), (1.5, -1.0, True), (0.7, -1.0, False), (0.7, 1.0, True), (0.85, -1.0, True)],
)
def test_the_clip_stops_a_token_only_where_it_would_gain_too_much(ratio: float, advantage: float, counts: bool) -> None:
    logprob = torch.tensor([math.log(ratio)], requires_grad=True)
    one = torch.tensor([1.0])
    loss, stats = policy_loss(logprob, torch.zeros(1), torch.tensor([advantage]), one, ClipConfig())
    loss.backward()
    assert logprob.grad is not None
    assert (float(logprob.grad.abs()) > 0) is counts
    assert stats.clipped == (0.0 if counts else 1.0)
