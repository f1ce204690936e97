"""The sim-to-real gap: the same questions in the simulated and in the live environment, and how far apart they are.

Three differences, live minus simulated: mean reward, share of tool calls that failed, and the overlap of what the same
search brings (Jaccard of the result URLs; 1 is no difference). Each has a paired 95 % bootstrap interval over
questions, and the rule of three where all pairs agree, of which a bootstrap would make a certainty. Every attempt has
the same seed in both environments, so where tools answer alike the attempts are alike. Rewards and failures are those
of whole attempts; the overlap asks both environments again for searches that the attempts made, because after the
first different answer a policy asks different things.

Covered: one policy, one set of questions. Not covered: how the gap moves while the policy learns (measure again).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from sindbad.agent.parsing import parse_call
from sindbad.agent.trajectory import Trajectory
from sindbad.errors import InvalidInput
from sindbad.evaluation.metrics import Interval, bootstrap_mean, paired_difference
from sindbad.tools import specs
from sindbad.tools.environment import Environment, Scope, ToolCall

SEARCHES_A_QUESTION: Final = 6
"""Most searches of a question that are asked again for the overlap."""


@dataclass(frozen=True, slots=True)
class Paired:
    """One question in both environments: mean reward and failed share of tool calls over its attempts, and overlaps.

    ``failures`` are None where no attempt called a tool; ``overlaps`` holds one number a search asked in both.
    """

    question_id: str
    simulated_reward: float
    live_reward: float
    simulated_failures: float | None
    live_failures: float | None
    overlaps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """Differences are live minus simulated. None: nothing to compare (no tool was called in either)."""

    questions: int
    attempts: int
    searches: int
    simulated_reward: float
    live_reward: float
    simulated_failures: float | None
    live_failures: float | None
    reward: Interval
    failures: Interval | None
    overlap: Interval | None

    def to_record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Gap:
        """Inverse of :meth:`to_record`. Raises InvalidInput."""
        try:
            values = dict(record)
            for name in ("reward", "failures", "overlap"):
                values[name] = None if values[name] is None else Interval(**values[name])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"this is no measured gap ({error!r}); measure it with `sindbad tools gap`") from error

    def __str__(self) -> str:
        parts = [f"reward {self.reward}"]
        parts += [f"failures {self.failures}"] if self.failures else []
        parts += [f"overlap {self.overlap}"] if self.overlap else []
        return f"live minus simulated over {self.questions} questions: " + ", ".join(parts)


def gap_of(pairs: Sequence[Paired], *, attempts: int = 1, seed: int = 0) -> Gap:
    """The gap over paired questions. Raises InvalidInput for none."""
    if not pairs:
        raise InvalidInput("the gap needs at least one question that ran in both environments")
    simulated, live = [pair.simulated_reward for pair in pairs], [pair.live_reward for pair in pairs]
    both = [
        (pair.simulated_failures, pair.live_failures)
        for pair in pairs
        if pair.simulated_failures is not None and pair.live_failures is not None
    ]
    failed = [[a for a, _ in both], [b for _, b in both]]
    overlaps = [fmean(pair.overlaps) for pair in pairs if pair.overlaps]
    apart = partial(paired_difference, bound=None, seed=seed)
    return Gap(
        questions=len(pairs),
        attempts=attempts,
        searches=sum(len(pair.overlaps) for pair in pairs),
        simulated_reward=fmean(simulated),
        live_reward=fmean(live),
        simulated_failures=fmean(failed[0]) if both else None,
        live_failures=fmean(failed[1]) if both else None,
        reward=_honest(apart(live, simulated), len(pairs), -1.0),
        failures=_honest(apart(failed[1], failed[0]), len(both), -1.0) if both else None,
        overlap=_honest(bootstrap_mean(overlaps, seed=seed), len(overlaps), 0.0) if overlaps else None,
    )


def _honest(interval: Interval, count: int, least: float) -> Interval:
    """A bootstrap of equal values is a point, however few they are; the rule of three says how far to trust it.

    With 95 % confidence at most 3 / count of all pairs differ from what was seen, each by at most 1.
    """
    if interval.low < interval.high:
        return interval
    margin = 3.0 / count
    return Interval(interval.value, max(least, interval.low - margin), min(1.0, interval.high + margin))


def jaccard(left: Iterable[str], right: Iterable[str]) -> float:
    """|A ∩ B| / |A ∪ B|; two empty sets are equal."""
    a, b = set(left), set(right)
    return len(a & b) / len(a | b) if a | b else 1.0


def failed_share(attempts: Iterable[Trajectory]) -> float | None:
    """Share of tool calls whose observation was an error, over attempts; None when none was made."""
    calls = [step.ok for attempt in attempts for step in attempt.steps if step.kind == "act"]
    return sum(not ok for ok in calls) / len(calls) if calls else None


def searches_of(attempts: Iterable[Trajectory]) -> list[tuple[str, ...]]:
    """The distinct searches that attempts made, in order of first appearance, as lists of queries."""
    found: dict[tuple[str, ...], None] = {}
    for attempt in attempts:
        for step in attempt.steps:
            call = parse_call(step.arguments) if step.kind == "act" and step.tool == "search" else None
            if isinstance(call, ToolCall) and specs.problem_with(call, specs.ALL_TOOLS) is None:
                found[tuple(call.arguments["query"])] = None
    return list(found)


async def overlap(
    queries: Sequence[str], simulated: Environment, live: Environment, scope: Scope, *, deadline_seconds: float
) -> float | None:
    """Jaccard of the URLs that one search shows in both; None when one of the two could not answer at all."""
    call = ToolCall("search", {"query": list(queries)})
    seen = await asyncio.gather(
        *(environment.call(call, scope, deadline_seconds=deadline_seconds) for environment in (simulated, live))
    )
    return jaccard(seen[0].urls, seen[1].urls) if all(one.ok for one in seen) else None


async def overlaps(
    attempts: Sequence[Trajectory], simulated: Environment, live: Environment, *, deadline_seconds: float
) -> tuple[float, ...]:
    """Overlaps of the first searches of attempts at one question."""
    scope = Scope(attempts[0].world_id, attempts[0].language)
    found = [
        await overlap(queries, simulated, live, scope, deadline_seconds=deadline_seconds)
        for queries in islice(searches_of(attempts), SEARCHES_A_QUESTION)
    ]
    return tuple(value for value in found if value is not None)


def pair(question_id: str, simulated: Sequence[Trajectory], live: Sequence[Trajectory]) -> Paired:
    """One question's attempts in both environments, overlaps still missing."""
    before, after = (fmean(attempt.reward or 0.0 for attempt in arm) for arm in (simulated, live))
    return Paired(question_id, before, after, failed_share(simulated), failed_share(live))


def read_gap(path: str | Path) -> Gap:
    """A measured gap from its JSON file. Raises InvalidInput, OSError."""
    import json

    return Gap.from_record(json.loads(Path(path).read_text("utf-8")))
