"""Advantages over trajectories, loss weights over tokens. Pure: neither torch nor numpy.

Invariants: a baseline counts trajectories, never segments, so cutting or repeating segments cannot move it; every
segment of a trajectory carries that trajectory's one advantage (ReSum §3.3). The loss that these numbers define is

    L = - sum over trajectories g, segments i, trained tokens t of  weight(g, i) * min(r A, clip(r) A)

so that the estimator (what A is) and the normaliser (what weight is) are independent, and a sum over shards or
micro-batches in any order is the same loss.

=============  ==========================================================================================
estimator      advantage of trajectory g with reward R_g in a group of G
=============  ==========================================================================================
grpo           (R_g - mean R) / std R                     ReSum §3.3; DeepSeekMath
rloo           R_g - mean of the other G-1                WebSailor-V2's text ("leave-one-out")
dr_grpo        R_g - mean R                               WebSailor-V2 eq. 3; Dr. GRPO
=============  ==========================================================================================

=============  ==========================================================================================
normaliser     weight of one trained token (scope "group": mean over groups of this; "batch": all in one pool)
=============  ==========================================================================================
token          1 / trained tokens                         WebSailor-V2 eq. 2
trajectory     1 / (trajectories * tokens of its trajectory)
segment        1 / (segments * tokens of its segment)     ReSum §3.3: each segment 1 / sum n_g
constant       1 / (trajectories * ``constant_tokens``)   Dr. GRPO: a fixed length budget
=============  ==========================================================================================

What the papers leave open is decided here and named in each preset: ReSum's standard deviation is the population's,
token losses within a segment are averaged; zero-variance groups are left out, also of every denominator; a trajectory
left out of the loss still counts in its group's baseline with its reward (it was an attempt) unless
``overlong_in_baseline`` is off.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sindbad.agent.trajectory import Termination, Trajectory
from sindbad.errors import InvalidInput

OVERLONG = frozenset(
    {
        Termination.CONTEXT_EXHAUSTED,
        Termination.CALLS_EXHAUSTED,
        Termination.TURNS_EXHAUSTED,
        Termination.TURN_TOO_LONG,
    }
)
"""Terminations that mean "ran out of a limit without an answer"."""


class Estimator(StrEnum):
    """How rewards of a group become advantages."""

    GRPO = "grpo"
    RLOO = "rloo"
    DR_GRPO = "dr_grpo"


class Normaliser(StrEnum):
    """What the loss is an average over."""

    TOKEN = "token"
    TRAJECTORY = "trajectory"
    SEGMENT = "segment"
    CONSTANT = "constant"


class AdvantageConfig(BaseModel):
    """How rewards become token weights and advantages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    estimator: Estimator = Estimator.RLOO
    """grpo divides by the standard deviation, rloo leaves the trajectory itself out, dr_grpo subtracts the mean."""
    normaliser: Normaliser = Normaliser.TOKEN
    """What the loss is an average over."""
    scope: Literal["group", "batch"] = "batch"
    """group: a group's loss is normalised by itself, groups are averaged (as in the papers); batch: one pool."""
    std: Literal["population", "sample"] = "population"
    """Divisor of the grpo estimator: population (G) or sample (G-1). Only read by grpo."""
    constant_tokens: float = Field(default=1024.0, gt=0)
    """Token budget of the constant normaliser. Only read by constant."""
    overlong: Literal["zero", "leave_out"] = "zero"
    """An attempt that ran out of a limit without an answer: reward 0 and trained on, or left out of the loss."""
    overlong_in_baseline: bool = True
    """Whether an attempt left out of the loss still counts, with its reward, in its group's baseline."""
    format_error_reward: float | None = Field(default=None, le=0.0)
    """Reward of a trajectory that broke the format (it keeps its loss); null leaves the judge's reward, which is 0."""


PRESETS: dict[str, AdvantageConfig] = {
    "resum": AdvantageConfig(
        estimator=Estimator.GRPO, normaliser=Normaliser.SEGMENT, scope="group", std="population", overlong="zero",
        format_error_reward=0.0,
    ),
    "websailor_v2": AdvantageConfig(
        estimator=Estimator.DR_GRPO, normaliser=Normaliser.TOKEN, scope="group", overlong="leave_out",
        format_error_reward=-0.5,
    ),
    "sindbad": AdvantageConfig(estimator=Estimator.RLOO, normaliser=Normaliser.TOKEN, scope="batch", overlong="zero"),
}  # fmt: skip
"""The two papers and our default. websailor_v2's -0.5 is our choice (the camera-ready says only "negative")."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What advantages need to know of one trajectory.

    ``segment_tokens``: trained tokens (loss mask 1) of each segment, in order; K+1 entries for K summaries.
    """

    trajectory_id: str
    group_id: str
    reward: float
    segment_tokens: tuple[int, ...]
    overlong: bool = False
    format_error: bool = False

    @property
    def tokens(self) -> int:
        """Trained tokens of the whole trajectory."""
        return sum(self.segment_tokens)


@dataclass(frozen=True, slots=True)
class Credit:
    """The verdict on one attempt.

    Attributes:
        advantage: one number for all segments; exactly 0.0 where ``reason`` is set.
        weights: per segment, the weight of each of its trained tokens; 0.0 where left out or nothing is trained.
        reason: why the attempt carries no loss ("zero_variance", "overlong", "alone"); empty when it is trained on.
    """

    trajectory_id: str
    group_id: str
    advantage: float
    weights: tuple[float, ...]
    reason: str = ""

    @property
    def trained(self) -> bool:
        """Whether this attempt carries loss."""
        return not self.reason


def attempt_of(trajectory: Trajectory) -> Attempt:
    """The facts of a judged trajectory. Raises InvalidInput when it has no reward."""
    if trajectory.reward is None:
        raise InvalidInput(f"trajectory {trajectory.trajectory_id} was not judged; judge it before training on it")
    return Attempt(
        trajectory.trajectory_id,
        trajectory.group_id,
        trajectory.reward,
        tuple(sum(segment.loss_mask) for segment in trajectory.segments),
        overlong=trajectory.termination in OVERLONG,
        format_error=not trajectory.format_ok or trajectory.termination is Termination.FORMAT,
    )


def shaped_reward(attempt: Attempt, config: AdvantageConfig) -> float:
    """The judge's reward after the preset's rules for format errors and exhausted limits."""
    if attempt.format_error and config.format_error_reward is not None:
        return config.format_error_reward
    return 0.0 if attempt.overlong else attempt.reward


def group_advantages(rewards: Sequence[float], config: AdvantageConfig) -> list[float] | None:
    """Advantages of one group's rewards; None when they are all equal (also for a group of one): nothing to learn."""
    if len(rewards) < 2 or max(rewards) == min(rewards):
        return None
    count = len(rewards)
    mean = math.fsum(rewards) / count
    centred = [reward - mean for reward in rewards]
    if config.estimator is Estimator.RLOO:
        return [value * count / (count - 1) for value in centred]
    if config.estimator is Estimator.GRPO:
        divisor = count if config.std == "population" else count - 1
        std = math.sqrt(math.fsum(value * value for value in centred) / divisor)
        return [value / std for value in centred]
    return centred


def assign(attempts: Iterable[Attempt], config: AdvantageConfig) -> list[Credit]:
    """Advantages and token weights for every attempt of a batch, in the order given.

    The order of attempts, and how groups interleave, change nothing but the order of the result.
    """
    ordered = list(attempts)
    groups: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in ordered:
        groups[attempt.group_id].append(attempt)
    advantages: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for members in groups.values():
        _judge_group(members, config, advantages, reasons)
    pools = _pools(ordered, reasons, config)
    return [_credit(attempt, advantages, reasons, pools, config) for attempt in ordered]


def _judge_group(
    members: list[Attempt], config: AdvantageConfig, advantages: dict[str, float], reasons: dict[str, str]
) -> None:
    excluded = [member for member in members if config.overlong == "leave_out" and member.overlong]
    reasons.update({member.trajectory_id: "overlong" for member in excluded})
    counted = members if config.overlong_in_baseline else [m for m in members if m.trajectory_id not in reasons]
    values = group_advantages([shaped_reward(member, config) for member in counted], config)
    for index, member in enumerate(counted):
        if values is None:
            reasons.setdefault(member.trajectory_id, "zero_variance" if len(counted) > 1 else "alone")
        advantages[member.trajectory_id] = 0.0 if values is None else values[index]


@dataclass(frozen=True, slots=True)
class _Pool:
    """Denominators of one normalisation pool, with the share of the whole loss that it has."""

    share: float
    tokens: int
    segments: int
    trajectories: int


def _pools(ordered: list[Attempt], reasons: dict[str, str], config: AdvantageConfig) -> dict[str, _Pool]:
    trained: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in ordered:
        if attempt.trajectory_id not in reasons and attempt.tokens:
            trained[attempt.group_id if config.scope == "group" else ""].append(attempt)
    return {
        name: _Pool(
            share=1.0 / len(trained),
            tokens=sum(member.tokens for member in members),
            segments=sum(sum(1 for count in member.segment_tokens if count) for member in members),
            trajectories=len(members),
        )
        for name, members in trained.items()
    }


def _credit(
    attempt: Attempt,
    advantages: dict[str, float],
    reasons: dict[str, str],
    pools: dict[str, _Pool],
    config: AdvantageConfig,
) -> Credit:
    reason = reasons.get(attempt.trajectory_id, "")
    if reason or not attempt.tokens:
        nothing = (0.0,) * len(attempt.segment_tokens)
        return Credit(attempt.trajectory_id, attempt.group_id, 0.0, nothing, reason or "no_tokens")
    pool = pools[attempt.group_id if config.scope == "group" else ""]
    weights = tuple(_weight(attempt, count, pool, config) for count in attempt.segment_tokens)
    return Credit(attempt.trajectory_id, attempt.group_id, advantages[attempt.trajectory_id], weights)


def _weight(attempt: Attempt, segment_tokens: int, pool: _Pool, config: AdvantageConfig) -> float:
    if not segment_tokens:
        return 0.0
    divisor = {
        Normaliser.TOKEN: float(pool.tokens),
        Normaliser.TRAJECTORY: float(pool.trajectories * attempt.tokens),
        Normaliser.SEGMENT: float(pool.segments * segment_tokens),
        Normaliser.CONSTANT: pool.trajectories * config.constant_tokens,
    }[config.normaliser]
    return pool.share / divisor
