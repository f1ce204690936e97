"""Whether an agent's own calls bring up every clue's evidence, in a live environment over a search index.

Invariant: no call holds the name of something that the agent doesn't know. Known is what the clues name, and what an
earlier call has brought up. What is known is visited, and searched for with the clue's words, as pages word it; an
amount of something unknown is searched for by the numbers that its wording gives away. A clue that fails is tried
again once another one has brought up more. Not asked: whether an agent reads what it is shown.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from sindbad.graph.knowledge import GraphView
from sindbad.languages import get_grammar
from sindbad.languages.grammar import plain
from sindbad.questions.logic import TYPE, constants, is_attribute
from sindbad.questions.question import Clue, Question
from sindbad.questions.solver import BETWEEN, Interval
from sindbad.questions.verification import Unreachable
from sindbad.tools.environment import Environment, Scope, ToolCall

_PARALLEL = 8


async def out_of_reach(questions: Iterable[Question], graph: GraphView, index: Path) -> list[Unreachable]:
    """Look all clues of all questions up in the simulated environment over an index."""
    from sindbad.tools.simulated import simulated_environment

    environment = simulated_environment(index)
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(question: Question) -> list[Unreachable]:
        async with gate:
            return await unreachable(environment, graph, question)

    try:
        found = await asyncio.gather(*(one(question) for question in questions))
    finally:
        await environment.close()
    return [item for missing in found for item in missing]


class ToolReach:
    """For :class:`sindbad.questions.merging.Merger`: one index, opened while questions are made.

    Raises, when entered, what :func:`simulated_environment` raises for an index that is not there.
    """

    def __init__(self, graph: GraphView, index: Path) -> None:
        self._graph, self._index = graph, index

    def __enter__(self) -> Self:
        from sindbad.tools.simulated import simulated_environment

        self._environment = simulated_environment(self._index)
        self._runner = asyncio.Runner()
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._environment.close())
        self._runner.close()

    def __call__(self, questions: Sequence[Question]) -> dict[str, str]:
        """Question id -> a call and the clue that it was tried for in vain."""
        return self._runner.run(self._beyond(questions))

    async def _beyond(self, questions: Sequence[Question]) -> dict[str, str]:
        asked = (unreachable(self._environment, self._graph, question) for question in questions)
        missing = zip(questions, await asyncio.gather(*asked), strict=True)
        called = {one.question_id: max(found, key=lambda item: bool(item.call)) for one, found in missing if found}
        return {question_id: item.said for question_id, item in called.items()}


async def unreachable(
    environment: Environment, graph: GraphView, question: Question, *, deadline_seconds: float = 30.0
) -> list[Unreachable]:
    """The clues of one question whose evidence no call brings up, each with the first call tried ("" for none)."""
    scope, agent = Scope(question.world_id, question.language), _Agent(graph, question)
    left, first = _evidence(question), dict[Clue, str]()

    async def finds(clue: Clue, urls: Sequence[str]) -> bool:
        calls = agent.new_calls(clue)
        if calls:
            first.setdefault(clue, calls[0].name)
        return await _any_finds(environment, calls, urls, scope, deadline_seconds)

    brought = True
    while left and brought:
        brought = False
        for item in sorted(left, key=lambda item: is_attribute(item[0])):  # numbers are the worst of queries
            if await finds(*item):
                agent.learns(item[0])
                left.remove(item)
                brought = True
    return [Unreachable(question.question_id, clue, first.get(clue, "")) for clue, _ in left]


def _evidence(question: Question) -> list[tuple[Clue, tuple[str, ...]]]:
    """Every clue that has evidence with the URLs that would do (of many members: any member's)."""
    stated = [clue for clue in question.clues if clue.relation != TYPE and not clue.relation.startswith("@initial")]
    urls = tuple(dict.fromkeys(item.url for item in question.evidence))
    if question.operation in ("count", "most", "least") or len(question.evidence) < len(stated):
        return [(clue, urls) for clue in stated]
    return [(clue, (item.url,)) for clue, item in zip(stated, question.evidence, strict=False)]


class _Agent:
    """Who looks a question up: ``known`` are ends of clues, and only their names are ever asked for."""

    def __init__(self, graph: GraphView, question: Question) -> None:
        self._graph, self._language = graph, question.language
        self._solution = dict(question.solution)
        self._known = set(constants(question.clues))
        self._made: set[str] = set()

    def learns(self, clue: Clue) -> None:
        """The clue's evidence was brought up: what it is about is known from now on."""
        self._known |= {clue.subject} if is_attribute(clue) else {clue.subject, clue.object}

    def new_calls(self, clue: Clue) -> list[ToolCall]:
        """What can be tried for a clue by now and was not tried for it before."""
        calls = {repr((clue, call)): call for call in self._calls(clue)}
        new = [call for key, call in calls.items() if key not in self._made]
        self._made |= calls.keys()
        return new

    def _calls(self, clue: Clue) -> list[ToolCall]:
        """Read the subject, else search for the object or the amount; then the other way round."""
        phrase, visits, searches = self._phrase(clue), list[ToolCall](), list[ToolCall]()
        for end in (clue.subject,) if is_attribute(clue) else (clue.subject, clue.object):
            if end in self._known:
                name = self._graph.entity(self._solution.get(end, end)).name(self._language)
                visits.append(ToolCall("visit", {"urls": [name], "goal": phrase}))
                words = f"{name} {phrase}" if end == clue.subject else f"{phrase} {name}"
                searches.append(ToolCall("search", {"query": [words]}))
        if is_attribute(clue) and clue.subject not in self._known:
            searches.append(ToolCall("search", {"query": self._amounts(clue, phrase)}))
        return [*visits, *searches] if clue.subject in self._known else [*searches, *visits]

    def _phrase(self, clue: Clue) -> str:
        relation = f"@{Interval.of(clue).attribute}" if clue.relation.startswith(BETWEEN) else clue.relation
        info = self._graph.relation_info(relation)
        return info.phrases.get(self._language) or info.labels.get(self._language) or relation

    def _amounts(self, clue: Clue, phrase: str) -> list[str]:
        """Queries: the numbers that the wording gives away, bare (as a year stands) and with separators."""
        bounds, number = Interval.of(clue), get_grammar(self._language).number
        stated = _stated(bounds)
        ways = ([plain(value) for value in stated], [number(value) for value in stated])
        return list(dict.fromkeys(" ".join([phrase, *values]) for values in ways))


def _stated(bounds: Interval) -> list[float]:
    """What of an interval its wording tells (see :mod:`sindbad.questions.vague`): of a fifth, nothing."""
    if bounds.form in ("high", "low"):
        return []
    if bounds.form == "about":
        return [round((bounds.low + bounds.high) / 2, 6)]
    return [value for value in dict.fromkeys((bounds.low, bounds.high)) if math.isfinite(value)]


async def _any_finds(
    environment: Environment, calls: Sequence[ToolCall], urls: Sequence[str], scope: Scope, deadline: float
) -> bool:
    for call in calls:
        seen = await environment.call(call, scope, deadline_seconds=deadline)
        if seen.ok and set(seen.urls) & set(urls):
            return True
    return False
