"""Rejection sampling as pure functions: a filter says keep (None), or in a few words why not.

Invariant: :func:`reasons` names every filter that refuses, in the order of :data:`FILTERS`; the first of them is the
one that counts, the others tell what a filter would do alone. Wrong answers never pass (papers.md test 15).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sindbad.agent.trajectory import Step, Termination, Trajectory
from sindbad.coldstart.configuration import FilterSettings
from sindbad.languages import LANGUAGES, get_pack

Filter = Callable[[Trajectory, FilterSettings], str | None]


def _finished(made: Trajectory, settings: FilterSettings) -> str | None:
    return None if made.termination is Termination.ANSWER else f"ended by {made.termination.value}"


def _correct(made: Trajectory, settings: FilterSettings) -> str | None:
    if (made.reward or 0.0) > 0:
        return None
    return "not judged" if made.reward is None else f"{(made.answer or 'no answer')[:60]!r} is wrong"


def _well_formed(made: Trajectory, settings: FilterSettings) -> str | None:
    if not settings.well_formed:
        return None
    broken = sum(step.kind == "malformed" for step in made.steps)
    if broken:
        return f"{broken} malformed turns"
    return None if made.format_ok else "a required tag was missing"


def _length(made: Trajectory, settings: FilterSettings) -> str | None:
    longest = max(map(len, made.segments), default=0)
    if settings.max_tokens is not None and longest > settings.max_tokens:
        return f"a context of {longest} tokens"
    total = sum(map(len, made.segments))
    if settings.max_total_tokens is not None and total > settings.max_total_tokens:
        return f"{total} tokens in all"
    return None


def _calls(made: Trajectory, settings: FilterSettings) -> str | None:
    return None if made.tool_calls > settings.more_calls_than else f"{made.tool_calls} tool calls"


def _repeats(made: Trajectory, settings: FilterSettings) -> str | None:
    if settings.max_repeats is None:
        return None
    answered: set[str] = set()
    repeats = 0
    for step in calls_of(made):
        key = call_key(step)
        repeats += key in answered
        if step.ok:
            answered.add(key)
    return None if repeats <= settings.max_repeats else f"{repeats} calls were answered before"


def _faults(made: Trajectory, settings: FilterSettings) -> str | None:
    faults = sum(not step.ok for step in calls_of(made))
    return None if settings.max_faults is None or faults <= settings.max_faults else f"{faults} tool errors"


def _good_end(made: Trajectory, settings: FilterSettings) -> str | None:
    calls = calls_of(made)
    bad = settings.good_end and bool(calls) and not calls[-1].ok
    return f"the last call failed: {calls[-1].observation[:60]!r}" if bad else None


def _answer_observed(made: Trajectory, settings: FilterSettings) -> str | None:
    if not settings.answer_observed:
        return None
    read = "\n".join(step.observation for step in calls_of(made) if step.ok)
    return None if says(read, made.answer or "", made.language) else "no page that was read names the answer"


def _native_thoughts(made: Trajectory, settings: FilterSettings) -> str | None:
    if not settings.native_thoughts or made.language not in LANGUAGES:
        return None
    said = " ".join(step.thought for step in made.steps if step.kind in {"act", "answer"})
    share = get_pack(made.language).script_share(said)
    low = get_pack(made.language).letter_share[0]
    return None if not said.strip() or share >= low else f"{share:.0%} of the thoughts' letters are {made.language}"


FILTERS: Mapping[str, Filter] = {
    "finished": _finished,
    "format": _well_formed,
    "correct": _correct,
    "length": _length,
    "tool_calls": _calls,
    "repeated_calls": _repeats,
    "tool_errors": _faults,
    "error_at_the_end": _good_end,
    "answer_not_read": _answer_observed,
    "language": _native_thoughts,
}
"""By name, in the order in which they count."""


def reasons(made: Trajectory, settings: FilterSettings) -> dict[str, str]:
    """Every filter that refuses, with its words; empty for a trajectory that is kept."""
    found = {name: check(made, settings) for name, check in FILTERS.items()}
    return {name: why for name, why in found.items() if why is not None}


@dataclass(slots=True)
class FilterCounts:
    """``refused`` counts each attempt once, under the first filter that refuses; ``alone`` under every one."""

    attempts: int = 0
    kept: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, trajectory_id: str, why: Mapping[str, str]) -> None:
        """Count one attempt with what :func:`reasons` said of it."""
        self.attempts += 1
        self.kept += not why
        for number, (name, words) in enumerate(why.items()):
            self.alone[name] = self.alone.get(name, 0) + 1
            if number == 0:
                self.refused[name] = self.refused.get(name, 0) + 1
                self.examples.setdefault(name, f"{trajectory_id}: {words}")


def calls_of(made: Trajectory) -> list[Step]:
    """Steps that asked a tool for something."""
    return [step for step in made.steps if step.kind == "act"]


def call_key(step: Step) -> str:
    """The call whatever the order of its arguments."""
    try:
        return json.dumps(json.loads(step.arguments), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return step.arguments


def says(text: str, name: str, language: str) -> bool:
    """Whether ``text`` names ``name``, compared as answers are in ``language``; an empty name is never said."""
    if language not in LANGUAGES:
        wanted = " ".join(name.casefold().split())
        return bool(wanted) and wanted in " ".join(text.casefold().split())
    normal = get_pack(language).normalise_answer
    wanted = normal(name)
    return bool(wanted) and f" {wanted} " in f" {normal(text)} "
