"""Sampling from logits so that a request's outcome depends on its own seed and logits only, never on its batch.

Noise is counter-based: the uniform number of the i-th sampled token is a hash of (seed, i), used by inverting the
cumulative distribution. (Rounding differs a little between batch sizes, so a draw within about 1e-7 of the edge
between two tokens may still fall on the other side.)

n rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sindbad.engines.protocol import SamplingParams

_GOLDEN, _MIX_1, _MIX_2 = (np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def uniforms(seeds: Sequence[int], counters: Sequence[int]) -> Tensor:
    """One number in [0, 1) per row: two rounds of splitmix64 (Steele et al. 2014) over (seed, counter). float64 [n]."""
    with np.errstate(over="ignore"):
        state = _mix(np.array([seed % 2**64 for seed in seeds], dtype=np.uint64) + _GOLDEN)
        state = _mix(state + _GOLDEN * (np.array(counters, dtype=np.uint64) + np.uint64(1)))
    return torch.from_numpy((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    mixed: np.ndarray = state ^ (state >> np.uint64(31))
    return mixed


def sample(
    logits_nV: Tensor, params: Sequence[SamplingParams], seeds: Sequence[int], counters: Sequence[int]
) -> tuple[list[int], list[float]]:
    """One token per row and its log-probability under the unmodified distribution.

    Args:
        logits_nV: raw logits. params, seeds, counters: one per row; counters number the row's sampled tokens.
    Raises:
        ValueError: a row's logits are not finite.
    """
    logprobs_nV = torch.log_softmax(logits_nV.float(), dim=-1)
    tokens_n = _draw(logprobs_nV, params, uniforms(seeds, counters).to(logits_nV.device))
    chosen = logprobs_nV.gather(1, tokens_n[:, None])[:, 0].tolist()
    if any(value != value for value in chosen):
        raise ValueError("the model's logits are not finite: its weights are broken")
    return tokens_n.tolist(), chosen


def _draw(logprobs_nV: Tensor, params: Sequence[SamplingParams], uniforms_n: Tensor) -> Tensor:
    temperatures = [one.temperature for one in params]
    if all(value == 0.0 for value in temperatures):
        return logprobs_nV.argmax(dim=-1)
    scores_nV = logprobs_nV
    if any(value != 1.0 for value in temperatures):
        divisors = torch.tensor([value or 1.0 for value in temperatures], device=logprobs_nV.device)
        scores_nV = logprobs_nV / divisors[:, None]
    probabilities_nV = _truncate(scores_nV, params)
    tokens_n = _invert(probabilities_nV, uniforms_n)
    if not all(temperatures):
        greedy = torch.tensor([value == 0.0 for value in temperatures], device=logprobs_nV.device)
        tokens_n = torch.where(greedy, logprobs_nV.argmax(dim=-1), tokens_n)
    return tokens_n


def _truncate(scores_nV: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """Probabilities (not normalised) after top-k, then top-p; top-p keeps the token that crosses the mass."""
    probabilities_nV = scores_nV.softmax(dim=-1)
    limited = [row for row, one in enumerate(params) if one.top_k > 0 or one.top_p < 1.0]
    if not limited:
        return probabilities_nV
    part_rV, order_rV = probabilities_nV[limited].sort(dim=-1, descending=True, stable=True)
    width = part_rV.shape[1]
    top_k = torch.tensor([params[row].top_k or width for row in limited], device=part_rV.device)
    top_p = torch.tensor([params[row].top_p for row in limited], device=part_rV.device)
    part_rV = part_rV * (torch.arange(width, device=part_rV.device) < top_k[:, None])
    before_rV = part_rV.cumsum(dim=-1) - part_rV
    part_rV = part_rV * (before_rV < top_p[:, None] * part_rV.sum(dim=-1, keepdim=True))
    probabilities_nV[limited] = torch.zeros_like(part_rV).scatter_(1, order_rV, part_rV)
    return probabilities_nV


def _invert(probabilities_nV: Tensor, uniforms_n: Tensor) -> Tensor:
    """The first token whose cumulative mass exceeds the row's uniform share of the whole."""
    cumulative_nV = probabilities_nV.cumsum(dim=-1, dtype=torch.float64)
    targets_n1 = (uniforms_n * cumulative_nV[:, -1])[:, None]
    return torch.searchsorted(cumulative_nV, targets_n1, right=True)[:, 0].clamp_(max=probabilities_nV.shape[1] - 1)
