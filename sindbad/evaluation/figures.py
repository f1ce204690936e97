"""The figures of an evaluation, by the papers' definitions, with intervals over questions.

pass@1 is the mean over runs of mean correctness (WebSailor-V2 §5.1, ReSum §4: "average over all rollouts"); pass@k, for
k runs, is the share of questions that any of the k runs answered correctly. Beside it stands the unbiased estimator of
pass@j for every j up to k: the chance that j attempts drawn without replacement from the k made hold a correct one. At
j = 1 and j = k the two agree, so they differ only where j lies between. Every interval is a bootstrap over questions
(attempts at one question stay together) with a fixed seed, Wilson's where all questions agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from sindbad.errors import InvalidInput
from sindbad.evaluation.attempts import Attempt, by_question
from sindbad.evaluation.metrics import Interval, rate_interval, unbiased_pass_at_k
from sindbad.questions.logic import difficulty_bucket

KEYS: Mapping[str, Callable[[Attempt], Sequence[str]]] = {
    "language": lambda item: (item.language,),
    "kind": lambda item: (item.kind,),
    "hops": lambda item: (str(item.hops),),
    "uncertainty": lambda item: item.uncertainty or ("none",),
}
"""What success is broken down by, besides difficulty; a question with several labels counts under each."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Success of one group of questions."""

    questions: int
    pass_at_1: Interval
    pass_at_k: Interval


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity over attempts."""

    mean: float
    median: float
    p95: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is told about one evaluation.

    Attributes:
        k: attempts at every question.
        unbiased: unbiased estimate of pass@j by j, 1 to k.
        by: cells by key (language, kind, hops, uncertainty, difficulty) and value.
        use: tool calls, failed calls, tokens, segments, seconds, over attempts.
        terminations, failures: attempts by how they ended, and by why they failed.
        doubtful: attempts whose verdict stands on no readable reply of the judge's model, and what pass@1 would be if
            all of them were right.
        weight_versions: versions of the policy that sampled anything.
    """

    questions: int
    k: int
    pass_at_1: Interval
    pass_at_k: Interval
    unbiased: dict[int, Interval]
    by: dict[str, dict[str, Cell]]
    use: dict[str, Spread]
    terminations: dict[str, int]
    failures: dict[str, int]
    doubtful: int
    pass_at_1_if_doubtful_right: float
    weight_versions: tuple[int, ...]

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**asdict(self), "unbiased": {str(j): asdict(value) for j, value in self.unbiased.items()}}


def figures_of(attempts: Sequence[Attempt]) -> Figures:
    """The figures of a table. Raises InvalidInput when it is empty or questions have different numbers of attempts."""
    groups = by_question(attempts)
    k = _attempts_each(groups)
    rates = [fmean(item.correct for item in group) for group in groups.values()]
    right = [sum(item.correct for item in group) for group in groups.values()]
    doubtful = sum(item.doubt and not item.correct for item in attempts)
    return Figures(
        questions=len(groups),
        k=k,
        pass_at_1=rate_interval(rates),
        pass_at_k=rate_interval([float(count > 0) for count in right]),
        unbiased={j: rate_interval([unbiased_pass_at_k(count, k, j) for count in right]) for j in range(1, k + 1)},
        by={key: _cells(groups.values(), labels) for key, labels in _keys(attempts).items()},
        use=_use(attempts),
        terminations=dict(Counter(item.termination for item in attempts).most_common()),
        failures=dict(Counter(item.failure for item in attempts if item.failure).most_common()),
        doubtful=sum(item.doubt for item in attempts),
        pass_at_1_if_doubtful_right=(sum(item.correct for item in attempts) + doubtful) / len(attempts),
        weight_versions=tuple(sorted({version for item in attempts for version in item.weight_versions})),
    )


def _attempts_each(groups: Mapping[str, Sequence[Attempt]]) -> int:
    counts = {len(group) for group in groups.values()}
    if len(counts) != 1:
        raise InvalidInput(
            f"questions have {sorted(counts)} attempts; the papers' figures need the same number at each"
        )
    return counts.pop()


def _cells(groups: Any, labels: Callable[[Attempt], Sequence[str]]) -> dict[str, Cell]:
    cells: dict[str, list[Sequence[Attempt]]] = {}
    for group in groups:
        for label in labels(group[0]):
            cells.setdefault(label, []).append(group)
    return {name: _cell(cells[name]) for name in sorted(cells)}


def _cell(groups: Sequence[Sequence[Attempt]]) -> Cell:
    rates = [fmean(item.correct for item in group) for group in groups]
    return Cell(len(groups), rate_interval(rates), rate_interval([float(rate > 0) for rate in rates]))


def _use(attempts: Sequence[Attempt]) -> dict[str, Spread]:
    names = ("tool_calls", "failed_calls", "segments", "sampled_tokens", "context_tokens", "longest_context",
             "wall_seconds", "cost")  # fmt: skip
    return {name: spread([float(getattr(item, name)) for item in attempts]) for name in names}


def spread(values: Sequence[float]) -> Spread:
    """Mean, median, 95th percentile (nearest rank) and maximum."""
    ordered = sorted(values)
    rank = max(0, -(-95 * len(ordered) // 100) - 1)
    return Spread(fmean(ordered), median(ordered), ordered[rank], ordered[-1])


def _keys(attempts: Sequence[Attempt]) -> dict[str, Callable[[Attempt], Sequence[str]]]:
    """KEYS and difficulty: in fifths where the set has a dial from 0 to 1 (GAIA's levels), else clues plus bits."""
    dial = all(item.difficulty <= 1 for item in attempts)
    band = _fifth if dial else difficulty_bucket
    return {**KEYS, "difficulty": lambda item: (band(item.difficulty),)}


def _fifth(difficulty: float) -> str:
    """A fifth of the dial: "0.2–0.4"."""
    low = max(0, min(4, int(difficulty * 5))) / 5
    return f"{low:.1f}–{low + 0.2:.1f}"
