"""From outcomes by question to figures: paired gains, ratios, the curve over limits, each with its interval.

Two kinds of interval, because there are two sources of variance. Over questions: the seeds are as they are, and every
seed's questions are resampled (a bootstrap within each seed; both sides of a difference or ratio take the same draw,
so it is paired). Over seeds: Student's t on one value a seed, which also covers training's own luck; with three seeds
it is wide, and says so honestly. Points are percentage points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, ratio
from sindbad.errors import InvalidInput
from sindbad.evaluation.metrics import Interval

Column = NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class SeedTable:
    """One seed's successes: ``columns[name][i]`` answers question i, whose language is ``languages[i]``.

    ``rows``: a draw of questions (with repeats) that the means are over; None is all of them.
    """

    seed: int
    languages: NDArray[np.str_]
    columns: Mapping[str, Column]
    rows: NDArray[np.int64] | None = None

    def mean(self, name: str, language: str | None = None) -> float:
        """Mean success, of one language or of all; NaN where there is no such question."""
        column, languages = self.columns[name], self.languages
        if self.rows is not None:
            column, languages = column[self.rows], languages[self.rows]
        chosen = column if language is None else column[languages == language]
        return float(chosen.mean()) if chosen.size else math.nan

    def drawn(self, generator: np.random.Generator) -> SeedTable:
        """The same questions, resampled within every language."""
        groups = [np.flatnonzero(self.languages == language) for language in np.unique(self.languages)]
        return replace(self, rows=np.concatenate([generator.choice(rows, rows.size) for rows in groups]))


Statistic = Callable[[Sequence[SeedTable]], float]


def make_table(seed: int, outcomes: Mapping[str, Sequence[tuple[str, str, float]]]) -> SeedTable:
    """From (question id, language, success) by evaluation. Raises InvalidInput when they asked different questions."""
    first, *_ = outcomes.values()
    asked = [(question, language) for question, language, _ in first]
    columns = {}
    for name, rows in outcomes.items():
        by_id = {question: success for question, _, success in rows}
        if len(rows) != len(asked) or set(by_id) != {question for question, _ in asked}:
            raise InvalidInput(f"seed {seed}: evaluation {name} asked other questions; nothing can be paired")
        columns[name] = np.array([by_id[question] for question, _ in asked], dtype=np.float64)
    return SeedTable(seed, np.array([language for _, language in asked]), columns)


def over_questions(tables: Sequence[SeedTable], statistic: Statistic, *, resamples: int = RESAMPLES) -> Interval:
    """Percentile bootstrap, questions resampled within every seed and language; NaN draws are left out."""
    generator = np.random.default_rng(0)
    values = [statistic([table.drawn(generator) for table in tables]) for _ in range(resamples)]
    finite = [value for value in values if math.isfinite(value)]
    low, high = np.quantile(finite, [0.025, 0.975]) if finite else (math.nan, math.nan)
    return Interval(statistic(tables), float(low), float(high))


def over_seeds(values: Sequence[float]) -> Interval:
    """Student's t interval of the mean; NaN ends with fewer than two seeds."""
    mean = fmean(values)
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def gain(after: str, before: str) -> Statistic:
    """Mean over seeds of the paired difference, in points."""
    return lambda tables: 100 * fmean(table.mean(after) - table.mean(before) for table in tables)


def keeps_english(tables: Sequence[SeedTable]) -> float:
    """The merged model's English score over the base's."""
    merged, base = (fmean(table.mean(name, "en") for table in tables) for name in ("merged", "base"))
    return ratio(merged, base)


def keeps_arabic_gain(tables: Sequence[SeedTable]) -> float:
    """How much of what SFT added to the base's Arabic score the merged model has. NaN where SFT added nothing."""
    base, tuned, merged = (fmean(table.mean(name, "ar") for table in tables) for name in ("base", "sft", "merged"))
    return ratio(merged - base, tuned - base) if tuned > base else math.nan


def learning_figures(
    tables: Sequence[SeedTable], *, main: str, limits: Sequence[int], resamples: int = RESAMPLES
) -> dict[str, Figure]:
    """Everything flat. ``main``: the evaluation after RL that the gain is about ("resum-256")."""
    figures: dict[str, Figure] = {
        "seeds": len(tables),
        "questions_per_seed": min(len(table.languages) for table in tables),
    }
    for name in [name for name in ("base", "sft", "merged", main, "rl_live") if _has(tables, name)]:
        label = "rl_sim" if name == main else name
        for language in ("en", "ar"):
            figures[f"{label}_{language}_success"] = fmean(table.mean(name, language) for table in tables)
        figures |= _named(f"{label}_success", over_questions(tables, _success(name), resamples=resamples))
    for label, name in (("rl_sim", main), ("rl_live", "rl_live")):
        if _has(tables, name, "merged"):
            figures |= _gain(tables, f"{label}_gain_points", gain(name, "merged"), resamples)
    if _has(tables, "base", "sft", "merged"):
        figures |= _gain(tables, "merged_keeps_english_ratio", keeps_english, resamples)
        figures |= _gain(tables, "merged_keeps_arabic_gain_ratio", keeps_arabic_gain, resamples)
    for limit in limits:
        figures |= _curve_figures(tables, limit, resamples)
    return figures


def _curve_figures(tables: Sequence[SeedTable], limit: int, resamples: int) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for line in ("react", "resum", "switched"):
        if _has(tables, f"{line}-{limit}"):
            figures |= _named(
                f"{line}_{limit}_success", over_questions(tables, _success(f"{line}-{limit}"), resamples=resamples)
            )
    for peer in ("react", "switched"):
        if _has(tables, f"resum-{limit}", f"{peer}-{limit}"):
            difference = gain(f"resum-{limit}", f"{peer}-{limit}")
            figures |= _gain(tables, f"resum_over_{peer}_{limit}_points", difference, resamples)
    return figures


def _gain(tables: Sequence[SeedTable], name: str, statistic: Statistic, resamples: int) -> dict[str, Figure]:
    """Value, interval over questions, interval over seeds, and every seed's own value."""
    ratio_named = name.endswith("_ratio")
    stem = name.removesuffix("_ratio") if ratio_named else name
    ending = "_ratio" if ratio_named else ""
    each = {table.seed: statistic([table]) for table in tables}
    seeds = over_seeds([value for value in each.values() if math.isfinite(value)] or [math.nan])
    found = over_questions(tables, statistic, resamples=resamples)
    return {
        name: found.value, f"{stem}_low{ending}": found.low, f"{stem}_high{ending}": found.high,
        f"{stem}_seeds_low{ending}": seeds.low, f"{stem}_seeds_high{ending}": seeds.high,
        **{f"{stem}_seed{seed}{ending}": value for seed, value in each.items()},
    }  # fmt: skip


def _named(name: str, interval: Interval) -> dict[str, Figure]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _success(name: str) -> Statistic:
    return lambda tables: fmean(table.mean(name) for table in tables)


def _has(tables: Sequence[SeedTable], *names: str) -> bool:
    return all(name in table.columns for table in tables for name in names)
