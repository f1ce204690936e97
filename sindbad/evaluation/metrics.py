"""Success rates with intervals, paired differences, pass@k. Pure functions over per-question results.

Intervals are 95% unless told otherwise and are over questions only: training seeds are a second source of variance
that a single run cannot show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from sindbad.errors import InvalidInput

_MOST_INDICES = 8_000_000
"""Indices drawn at once by the bootstrap: bounds its memory at 64 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A point estimate with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(successes: int, count: int, *, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion: well behaved near 0 and 1. Raises InvalidInput for an empty sample."""
    if not 0 <= successes <= count or count == 0:
        raise InvalidInput(f"{successes} successes of {count} is no proportion")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / count
    scale = 1 + z * z / count
    centre = (rate + z * z / (2 * count)) / scale
    half = z * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count)) / scale
    return Interval(rate, max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def bootstrap_mean(
    values: Sequence[float], *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Percentile bootstrap of a mean over questions (values may be rates of several attempts)."""
    import numpy as np

    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        raise InvalidInput("there is nothing to average")
    generator = np.random.default_rng(seed)
    block = max(1, _MOST_INDICES // data.size)
    drawn = [min(block, resamples - start) for start in range(0, resamples, block)]
    means = np.concatenate([data[generator.integers(0, data.size, size=(n, data.size))].mean(axis=1) for n in drawn])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(data.mean()), float(low), float(high))


def rate_interval(
    rates: Sequence[float], *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Mean of rates by question with a bootstrap interval over questions (attempts at one stay together).

    Where every question has the same rate there is nothing to resample, and the bootstrap would claim certainty: what
    :func:`unanimous` says stands in (for 0 and 1 that is Wilson's interval over questions).
    """
    if _agree(rates):
        return unanimous(rates[0], len(rates), (0.0, 1.0), confidence=confidence)
    return bootstrap_mean(rates, resamples=resamples, seed=seed, confidence=confidence)


def paired_difference(
    after: Sequence[float], before: Sequence[float], *, bound: float | None = 1.0, resamples: int = 2000,
    seed: int = 0, confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """Mean of after - before over the same questions, in the same order, with a paired bootstrap interval.

    Args:
        bound: no difference can be larger than this; 1 for rates. Where all questions differ by the same (8 of 8
            against 0 of 8) the bootstrap would claim certainty, and :func:`unanimous` stands in. None, for values
            without a bound that means anything: then such an interval is a point.
    """
    if len(after) != len(before):
        raise InvalidInput(f"{len(after)} and {len(before)} results cannot be paired")
    differences = [right - left for right, left in zip(after, before, strict=True)]
    if bound is not None and _agree(differences):
        return unanimous(differences[0], len(differences), (-bound, bound), confidence=confidence)
    return bootstrap_mean(differences, resamples=resamples, seed=seed, confidence=confidence)


def unanimous(value: float, count: int, bounds: tuple[float, float], *, confidence: float = 0.95) -> Interval:
    """The mean's interval where each of ``count`` questions shows the same ``value``.

    By Wilson's bound for ``count`` of ``count`` a share of z² / (count + z²) of all questions may show another one,
    which lies within ``bounds``.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    others = z * z / (count + z * z)
    low, high = (value + others * (bound - value) for bound in bounds)
    return Interval(value, min(value, low), max(value, high))


def _agree(values: Sequence[float]) -> bool:
    return len(values) > 0 and max(values) - min(values) < 1e-9


def pass_at_1(runs: Sequence[Sequence[bool]]) -> float:
    """Mean over runs of mean correctness. ``runs[r][q]``: question q in run r."""
    _check_runs(runs)
    return fmean(fmean(run) for run in runs)


def pass_at_k(runs: Sequence[Sequence[bool]]) -> float:
    """Share of questions that any of the k runs given answered correctly (the papers' Pass@3 with three runs)."""
    _check_runs(runs)
    return fmean(any(column) for column in zip(*runs, strict=True))


def unbiased_pass_at_k(correct: int, attempts: int, k: int) -> float:
    """Probability that k of ``attempts`` draws hold a correct one: 1 - C(n - c, k) / C(n, k). Needs k <= attempts."""
    if not 0 <= correct <= attempts or not 1 <= k <= attempts:
        raise InvalidInput(f"pass@{k} of {correct}/{attempts} is not defined")
    return 1.0 - math.comb(attempts - correct, k) / math.comb(attempts, k)


def _check_runs(runs: Sequence[Sequence[bool]]) -> None:
    if not runs or not runs[0] or len({len(run) for run in runs}) != 1:
        raise InvalidInput("runs must be non-empty and hold the same questions")


def mean_gain(after: Sequence[float], before: Sequence[float]) -> float:
    """Mean of cell-wise differences: how the papers make a headline of a table."""
    return fmean(right - left for right, left in zip(after, before, strict=True))


def benchmark_average(scores: Sequence[float]) -> float:
    """Unweighted mean over benchmarks (HALA's average over six)."""
    if not scores:
        raise InvalidInput("there are no benchmark scores to average")
    return fmean(scores)


def size_class(parameters: float) -> str:
    """HALA's classes: "nano" up to 2B parameters, "small" from 7B to 9B, else ""."""
    if parameters <= 2e9:
        return "nano"
    return "small" if 7e9 <= parameters <= 9.5e9 else ""
