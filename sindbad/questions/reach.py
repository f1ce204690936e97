"""Whether an agent's own calls bring up every clue's evidence, in a live environment over a search index.

A clue whose subject is known by then is read: the subject's page is visited. Else it is searched for, worded as pages
word it. Clues are taken in the order in which least is left to choose; what a clue is about is known afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from sindbad.graph.knowledge import GraphView
from sindbad.languages import get_pack
from sindbad.languages.pack import LanguagePack
from sindbad.questions.logic import TYPE, is_attribute, is_variable
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
        """Question id -> the first call and clue that failed."""
        return self._runner.run(self._beyond(questions))

    async def _beyond(self, questions: Sequence[Question]) -> dict[str, str]:
        asked = (unreachable(self._environment, self._graph, question) for question in questions)
        missing = zip(questions, await asyncio.gather(*asked), strict=True)
        first = {item.question_id: found[0] for item, found in missing if found}
        return {question_id: f"{item.call} does not bring up {item.clue}" for question_id, item in first.items()}


async def unreachable(
    environment: Environment, graph: GraphView, question: Question, *, deadline_seconds: float = 30.0
) -> list[Unreachable]:
    """The clues of one question whose evidence no call brings up."""
    scope, pack = Scope(question.world_id, question.language), get_pack(question.language)
    solution = dict(question.solution)
    by_clue = _evidence(question)
    known = {end for clue in question.clues for end in (clue.subject, clue.object) if not is_variable(end)}
    missing: list[Unreachable] = []
    for clue, evidence in _in_order(by_clue, known):
        calls = _calls(clue, solution, known, graph, pack)
        if not await _any_finds(environment, calls, evidence, scope, deadline_seconds):
            missing.append(Unreachable(question.question_id, clue, calls[0].name))
        known.update((clue.subject, clue.object))
    return missing


def _evidence(question: Question) -> list[tuple[Clue, tuple[str, ...]]]:
    """Every clue that has evidence with the URLs that would do (of many members: any member's)."""
    stated = [clue for clue in question.clues if clue.relation != TYPE and not clue.relation.startswith("@initial")]
    urls = tuple(dict.fromkeys(item.url for item in question.evidence))
    if question.operation in ("count", "most", "least") or len(question.evidence) < len(stated):
        return [(clue, urls) for clue in stated]
    return [(clue, (item.url,)) for clue, item in zip(stated, question.evidence, strict=False)]


def _in_order(clues: Sequence[tuple[Clue, tuple[str, ...]]], known: set[str]) -> Iterable[tuple[Clue, tuple[str, ...]]]:
    """Clues about something known first; ``known`` grows while this is read."""
    left = list(clues)
    while left:
        at = next((i for i, (clue, _) in enumerate(left) if {clue.subject, clue.object} & known), 0)
        yield left.pop(at)


def _calls(
    clue: Clue, solution: dict[str, str], known: set[str], graph: GraphView, pack: LanguagePack
) -> list[ToolCall]:
    """What an agent would try: read the subject if it is known, else search; and search in any case."""

    def name(end: str) -> str:
        return graph.entity(solution.get(end, end)).name(pack.code)

    relation = f"@{Interval.of(clue).attribute}" if clue.relation.startswith(BETWEEN) else clue.relation
    info = graph.relation_info(relation)
    phrase = info.phrases.get(pack.code) or info.labels.get(pack.code) or relation
    visit = ToolCall("visit", {"urls": [name(clue.subject)], "goal": phrase})
    if is_attribute(clue):
        return [visit]
    search = ToolCall("search", {"query": [f"{phrase} {name(clue.object)}"]})
    return [visit, search] if clue.subject in known else [search, visit]


async def _any_finds(
    environment: Environment, calls: Sequence[ToolCall], urls: Sequence[str], scope: Scope, deadline: float
) -> bool:
    for call in calls:
        seen = await environment.call(call, scope, deadline_seconds=deadline)
        if seen.ok and set(seen.urls) & set(urls):
            return True
    return False
