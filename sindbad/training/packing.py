"""From segments to padded micro-batches. Shapes: B sequences, T tokens of the longest one, L length of one sequence.

Invariant: one row holds one sequence, padded on the right, so that neither attention nor LFM2's short convolution can
leak between sequences: in a causal model what stands to the right of a token cannot reach it. Rows are sorted by
length and cut under a token budget, which is exact, wastes little, and keeps every batch a pure function of its input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sindbad.agent.trajectory import Trajectory
from sindbad.errors import InvalidInput
from sindbad.training.advantages import Credit

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Sample:
    """One segment as the learner sees it. All tuples have length L and align with ``input_ids``.

    Attributes:
        input_ids: prompt and everything after it.
        loss_mask: 1 where the token is trained on.
        behaviour: log-probability under the policy that sampled it; 0.0 where the mask is 0 (and everywhere for SFT).
        staleness: how many weight versions old the sampling policy was; 0 where the mask is 0.
        weight: loss weight of each trained token.
        advantage: the trajectory's advantage (1.0 for SFT).
    """

    input_ids: tuple[int, ...]
    loss_mask: tuple[int, ...]
    behaviour: tuple[float, ...] = ()
    staleness: tuple[int, ...] = ()
    weight: float = 1.0
    advantage: float = 1.0

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Tensors of one forward pass; N is the number of trained tokens, in row-major order of ``mask_BT``.

    ``mask_BT`` is bool and never set in column 0: the first token has no prediction.
    """

    input_ids_BT: torch.Tensor
    mask_BT: torch.Tensor
    behaviour_N: torch.Tensor
    staleness_N: torch.Tensor
    weight_N: torch.Tensor
    advantage_N: torch.Tensor

    @property
    def tokens(self) -> int:
        """Trained tokens."""
        return int(self.weight_N.numel())


def samples_of(trajectory: Trajectory, credit: Credit, *, version: int | None = None) -> list[Sample]:
    """The trained segments of one trajectory with its credit.

    Args:
        version: the learner's weight version, against which staleness is counted; None for no staleness (SFT data).

    Raises:
        InvalidInput: a trained token without a behaviour log-probability.
    """
    samples = []
    for segment, weight in zip(trajectory.segments, credit.weights, strict=True):
        if weight == 0.0 or not any(segment.loss_mask):
            continue
        masked = list(zip(segment.loss_mask, segment.logprobs, segment.weight_versions, strict=True))
        if any(mask and logprob is None for mask, logprob, _ in masked):
            raise InvalidInput(f"{trajectory.trajectory_id} holds trained tokens without log-probabilities")
        prompt = len(segment.prompt_ids)
        samples.append(
            Sample(
                input_ids=(*segment.prompt_ids, *segment.token_ids),
                loss_mask=(0,) * prompt + tuple(segment.loss_mask),
                behaviour=(0.0,) * prompt + tuple(float(p) if m and p is not None else 0.0 for m, p, _ in masked),
                staleness=(0,) * prompt + tuple(version - v if m and version is not None else 0 for m, _, v in masked),
                weight=weight,
                advantage=credit.advantage,
            )
        )
    return samples


def bucket(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of sequences, longest first, cut so that rows * longest <= budget (a longer sequence rides alone)."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def pack(samples: Sequence[Sample], token_budget: int, *, pad_id: int = 0) -> list[MicroBatch]:
    """Pad samples into micro-batches. A sample without a trained token after position 0 is refused."""
    batches = bucket([len(sample) for sample in samples], token_budget)
    return [collate([samples[index] for index in batch], pad_id=pad_id) for batch in batches]


def collate(rows: Sequence[Sample], *, pad_id: int = 0) -> MicroBatch:
    """One padded micro-batch of these rows."""
    import torch

    width = max(len(row) for row in rows)
    input_ids = torch.full((len(rows), width), pad_id, dtype=torch.int64)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for index, row in enumerate(rows):
        if row.loss_mask[0]:
            raise InvalidInput("the first token of a sequence cannot be trained on: nothing predicts it")
        input_ids[index, : len(row)] = torch.tensor(row.input_ids, dtype=torch.int64)
        mask[index, : len(row)] = torch.tensor(row.loss_mask, dtype=torch.bool)
    trained = [(row, position) for row in rows for position, bit in enumerate(row.loss_mask) if bit]
    return MicroBatch(
        input_ids_BT=input_ids,
        mask_BT=mask,
        behaviour_N=torch.tensor([row.behaviour[i] if row.behaviour else 0.0 for row, i in trained]),
        staleness_N=torch.tensor([row.staleness[i] if row.staleness else 0 for row, i in trained], dtype=torch.int64),
        weight_N=torch.tensor([row.weight for row, _ in trained]),
        advantage_N=torch.tensor([row.advantage for row, _ in trained]),
    )


def credited_samples(
    trajectories: Iterable[Trajectory], credits_by_id: Mapping[str, Credit], *, version: int | None = None
) -> list[Sample]:
    """Every trained segment of a batch, in the batch's order."""
    return [
        sample
        for trajectory in trajectories
        for sample in samples_of(trajectory, credits_by_id[trajectory.trajectory_id], version=version)
    ]
