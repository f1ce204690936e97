"""The ReSum-GRPO learner: trajectories in, new weights out. One process, float32, one optimiser.

Invariants: one advantage a trajectory, on all its segments; a step's update is a pure function of (weights, optimiser
state, trajectories, step), so a learner killed in a step and resumed makes the same step; with ``max_staleness`` 0 no
token sampled by older weights is trained on.
Covered: minibatches within a step (PPO clip against the recorded behaviour log-probabilities), staleness > 0.
Not covered: KL to a reference (neither paper has one), several devices.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sindbad.agent.trajectory import Trajectory
from sindbad.training.advantages import Credit, assign, attempt_of
from sindbad.training.configuration import GRPOConfig as GRPOConfig
from sindbad.training.logprobs import score
from sindbad.training.losses import PolicyStats, policy_loss
from sindbad.training.optimisation import apply_gradient, build_optimiser, learning_rate
from sindbad.training.packing import credited_samples, pack


@dataclass(frozen=True, slots=True)
class Partition:
    """A step's trajectories: ``fresh`` may be trained on, ``stale`` (whole groups) may not."""

    fresh: list[Trajectory]
    stale: list[Trajectory]


def staleness(trajectory: Trajectory, version: int) -> int:
    """How many versions old the oldest trained token is."""
    versions = [
        sampled
        for segment in trajectory.segments
        for sampled, mask in zip(segment.weight_versions, segment.loss_mask, strict=True)
        if mask
    ]
    return max((version - sampled for sampled in versions), default=0)


def partition(trajectories: Sequence[Trajectory], version: int, max_staleness: int) -> Partition:
    """Leave out every group of which one trajectory is too stale: a baseline over half a group is another estimator."""
    stale = {item.group_id for item in trajectories if staleness(item, version) > max_staleness}
    return Partition(
        [item for item in trajectories if item.group_id not in stale],
        [item for item in trajectories if item.group_id in stale],
    )


def minibatches_of(credits_: Sequence[Credit], count: int, seed: str) -> list[list[str]]:
    """Trained trajectory ids in ``count`` parts of near-equal trained size; fewer parts when there are too few."""
    names = sorted(credit.trajectory_id for credit in credits_ if credit.trained)
    random.Random(seed).shuffle(names)
    parts = min(count, len(names))
    return [names[index::parts] for index in range(parts)]


class GRPOLearner:
    """Owns the model in training and its optimiser.

    Args:
        model: a float32 causal model; trained in place.
    """

    def __init__(self, model: Any, config: GRPOConfig) -> None:
        self.model = model
        self.config = config
        self.optimizer = build_optimiser(model, config.optimiser)
        self.optimiser_step = 0
        torch.manual_seed(config.seed)

    def update(self, trajectories: Sequence[Trajectory], *, version: int, step: int) -> dict[str, float]:
        """One learner step on judged trajectories sampled by weights ``version`` or, within max_staleness, older.

        Returns:
            Metrics. Without a mixed group the weights stay as they are and ``updates`` is 0.
        """
        torch.set_num_threads(self.config.threads)
        started = time.perf_counter()
        parts = partition(trajectories, version, self.config.max_staleness)
        credits_by_id = {c.trajectory_id: c for c in assign(map(attempt_of, parts.fresh), self.config.advantage)}
        stats, norms, first_error = PolicyStats(), [], 0.0
        self.model.train()
        for epoch in range(self.config.epochs):
            seed = f"{self.config.seed}:{step}:{epoch}"
            for names in minibatches_of(list(credits_by_id.values()), self.config.minibatches, seed):
                mini = self._minibatch(parts.fresh, credits_by_id, set(names), version)
                norms.append(self._apply())
                if len(norms) == 1:
                    first_error = mini.ratio_error / max(1, mini.tokens)
                stats.add(mini)
        return {
            **rollout_metrics(trajectories),
            **credit_metrics(list(credits_by_id.values())),
            **stats.means(),
            "first_ratio_error": first_error,
            "updates": len(norms),
            "grad_norm": statistics.fmean(norms) if norms else 0.0,
            "stale_trajectories": len(parts.stale),
            "trained_tokens": stats.tokens,
            "update_seconds": time.perf_counter() - started,
        }

    def _minibatch(
        self, trajectories: Sequence[Trajectory], credits_by_id: dict[str, Credit], names: set[str], version: int
    ) -> PolicyStats:
        """Accumulate the gradient of these trajectories, scaled so that minibatch gradients average to the whole."""
        trained = sum(1 for credit in credits_by_id.values() if credit.trained)
        chosen = [item for item in trajectories if item.trajectory_id in names]
        samples = credited_samples(chosen, credits_by_id, version=version)
        return self.accumulate(samples, scale=trained / max(1, len(names)))

    def accumulate(self, samples: Sequence[Any], *, scale: float = 1.0) -> PolicyStats:
        """Add ``scale`` times the policy gradient of these samples, micro-batch by micro-batch."""
        stats = PolicyStats()
        for batch in pack(samples, self.config.token_budget):
            scores = score(self.model, batch.input_ids_BT, batch.mask_BT)
            loss, part = policy_loss(
                scores.logprobs_N,
                batch.behaviour_N,
                batch.advantage_N,
                batch.weight_N,
                self.config.clip,
                entropy_N=scores.entropy_N,
            )
            (scale * loss).backward()  # type: ignore[no-untyped-call]
            stats.add(part)
        return stats

    def _apply(self) -> float:
        config = self.config.optimiser
        lr = learning_rate(config, self.optimiser_step, self.config.optimiser_steps)
        self.optimiser_step += 1
        return apply_gradient(self.model, self.optimizer, lr=lr, clip_norm=config.clip_norm)


def rollout_metrics(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """What the rollouts of a step say, whether trained on or not."""
    count = max(1, len(trajectories))
    groups: dict[str, list[float]] = defaultdict(list)
    for item in trajectories:
        groups[item.group_id].append(item.reward or 0.0)
    acts = [step for item in trajectories for step in item.steps if step.kind in ("act", "malformed")]
    lengths = [sum(len(segment) for segment in item.segments) for item in trajectories]
    return {
        "trajectories": len(trajectories),
        "reward": sum(item.reward or 0.0 for item in trajectories) / count,
        "success": sum(1 for item in trajectories if (item.reward or 0.0) > 0.5) / count,
        "groups": len(groups),
        "groups_mixed": sum(1 for rewards in groups.values() if max(rewards) > min(rewards)),
        "answered": sum(1 for item in trajectories if item.answer is not None) / count,
        "format_ok": sum(1 for item in trajectories if item.format_ok) / count,
        "tokens": sum(lengths),
        "sampled_tokens": sum(item.sampled_tokens for item in trajectories),
        "length_mean": sum(lengths) / count,
        "length_max": max(lengths, default=0),
        "segments": sum(len(item.segments) for item in trajectories) / count,
        "summaries": sum(item.summaries for item in trajectories) / count,
        "tool_calls": sum(item.tool_calls for item in trajectories) / count,
        "tool_errors": sum(1 for step in acts if not step.ok) / max(1, len(acts)),
    }


def credit_metrics(credits_: Sequence[Credit]) -> dict[str, float]:
    """How many trajectories carry loss, and why the others don't."""
    counts: dict[str, float] = {"trained": sum(1 for credit in credits_ if credit.trained)}
    for reason in ("zero_variance", "overlong"):
        counts[f"left_out_{reason}"] = sum(1 for credit in credits_ if credit.reason == reason)
    return counts
