"""Whether an agent's own calls bring up all evidence of a question, in a live environment over a search index.

That is the evidence of every clue and, of a number, a comparison or a superlative, of the attribute that decides; of a
count or superlative it is that of every thing that fits, for each of them has to be found.

Invariant: no call holds the name of something that the agent doesn't know. Known is what the clues name, what stands at
the ends of a clue whose evidence an earlier call has brought up, and what an earlier call for the clue has named. What
is known is visited, and searched for with the clue's words, as pages word it; an amount of something unknown is
searched for by the numbers that its wording gives away. What fails is tried again once something else has brought up
more. Not asked: whether an agent understands what it is shown.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from sindbad.graph.knowledge import GraphView
from sindbad.languages import get_grammar
from sindbad.languages.grammar import plain
from sindbad.languages.words import has_words
from sindbad.questions.logic import TYPE, constants, is_attribute
from sindbad.questions.question import Clue, Evidence, Question
from sindbad.questions.solver import BETWEEN, Interval
from sindbad.questions.verification import Unreachable
from sindbad.tools.environment import Environment, Observation, Scope, ToolCall

_PARALLEL = 8
_REMEMBERED = 4096
UNSAID = "its file does not say which evidence is whose (an earlier version's); make it again"


async def out_of_reach(questions: Iterable[Question], graph: GraphView, index: Path) -> list[Unreachable]:
    """Look everything that all questions need up in the simulated environment over an index."""
    from sindbad.tools.simulated import simulated_environment

    environment = simulated_environment(index)
    try:
        return [item for missing in await _of_each(environment, graph, questions) for item in missing]
    finally:
        await environment.close()


async def _of_each(
    environment: Environment, graph: GraphView, questions: Iterable[Question]
) -> list[list[Unreachable]]:
    gate, remembering = asyncio.Semaphore(_PARALLEL), _Remembering(environment)

    async def one(question: Question) -> list[Unreachable]:
        async with gate:
            return await unreachable(remembering, graph, question)

    return await asyncio.gather(*(one(question) for question in questions))


class ToolReach:
    """Looks questions up as they are made: one index, open all the while.

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
        missing = zip(questions, self._runner.run(_of_each(self._environment, self._graph, questions)), strict=True)
        called = {one.question_id: max(found, key=lambda item: bool(item.call)) for one, found in missing if found}
        return {question_id: item.said for question_id, item in called.items()}


class _Remembering:
    """An index answers the same call always alike; questions of one excerpt make many of the same."""

    def __init__(self, environment: Environment) -> None:
        self._environment, self._known = environment, dict[tuple[str, str, str], Observation]()

    async def call(self, call: ToolCall, scope: Scope, deadline_seconds: float) -> Observation:
        key = (scope.corpus, scope.language, repr(call))
        if key not in self._known:
            seen = await self._environment.call(call, scope, deadline_seconds=deadline_seconds)
            if not seen.ok:  # perhaps out of time
                return seen
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key] = seen
        return self._known[key]


async def unreachable(
    environment: Environment | _Remembering, graph: GraphView, question: Question, *, deadline_seconds: float = 30.0
) -> list[Unreachable]:
    """What of one question no call brings up, each with the first call tried ("" for none).

    Clues about what is counted or compared are told with the member in its place.
    """
    needs = _needs(question)
    if needs is None:
        return [Unreachable(question.question_id, question.clues[0], "", UNSAID)]
    tools = environment if isinstance(environment, _Remembering) else _Remembering(environment)
    agent = _Agent(tools, graph, question, deadline_seconds)
    left = sorted(needs, key=lambda need: is_attribute(need.clue))  # numbers are the worst of queries
    brought = True
    while left and brought:
        before = agent.known_in_all
        still = [need for need in left if not await agent.finds(need)]
        brought = len(still) < len(left) or agent.known_in_all > before
        left = still
    return [Unreachable(question.question_id, need.clue, agent.first.get(need, "")) for need in needs if need in left]


@dataclass(frozen=True, slots=True)
class _Need:
    """One piece of evidence: of which clue, who is at its ends ("" for an amount), and which pages would do."""

    clue: Clue
    subject: str
    object: str
    urls: tuple[str, ...]

    @property
    def ends(self) -> list[str]:
        return [end for end in (self.subject, self.object) if end]


def _needs(question: Question) -> list[_Need] | None:
    """Everything that has to be brought up; None where the file does not say whose evidence is whose."""
    if all(item.says_of_what for item in question.evidence):
        return [_need(question, item) for item in question.evidence]
    if question.operation in ("count", "most", "least"):
        return None
    stated = [at for at, clue in enumerate(question.clues)
              if clue.relation != TYPE and not clue.relation.startswith("@initial")]  # fmt: skip
    urls = tuple(dict.fromkeys(item.url for item in question.evidence))
    if len(question.evidence) < len(stated):  # several clues of one sentence: it was kept once
        return [replace(_need(question, Evidence("", "", at)), urls=urls) for at in stated]
    solution = dict(question.solution)
    of_clues, read = question.evidence[: len(stated)], question.evidence[len(stated) :]
    said = [replace(item, clue=at) for at, item in zip(stated, of_clues, strict=True)]
    said += [replace(item, entity=solution[name]) for item, name in zip(read, question.operands, strict=False)]
    return [_need(question, item) for item in said]


def _need(question: Question, item: Evidence) -> _Need:
    if item.clue is None:
        return _Need(Clue(item.entity, f"@{question.attribute}", ""), item.entity, "", (item.url,))
    solution, clue = dict(question.solution), question.clues[item.clue]
    if item.entity:
        solution[question.target] = item.entity
        ends = [item.entity if end == question.target else end for end in (clue.subject, clue.object)]
        clue = Clue(ends[0], clue.relation, ends[1])
    subject, object_ = solution.get(clue.subject, clue.subject), solution.get(clue.object, clue.object)
    return _Need(clue, subject, "" if is_attribute(clue) else object_, (item.url,))


class _Agent:
    """Who looks a question up; only names of what is known are ever asked for.

    ``first``: what was tried first for each need.
    """

    def __init__(self, environment: _Remembering, graph: GraphView, question: Question, deadline: float) -> None:
        self._environment, self._graph, self._deadline = environment, graph, deadline
        self._language = question.language
        self._scope = Scope(question.world_id, question.language)
        self._known = set(constants(question.clues))
        self._tried: set[tuple[_Need, str]] = set()
        self._pages: dict[str, set[str]] = {}
        self.first: dict[_Need, str] = {}

    @property
    def known_in_all(self) -> int:
        """Grows with everything that is learnt."""
        return len(self._known)

    async def finds(self, need: _Need) -> bool:
        """Whether what can be tried for a need by now, and was not tried for it before, brings its evidence up."""
        if need.subject in self._known and self._pages.get(self._name(need.subject), set()) & set(need.urls):
            return self._learns(need)  # that page was read already
        for call in self._calls(need):
            key = (need, repr(call))
            if key in self._tried:
                continue
            self._tried.add(key)
            self.first.setdefault(need, call.name)
            seen = await self._environment.call(call, self._scope, self._deadline)
            if not seen.ok:
                continue
            if call.name == "visit":
                self._pages.setdefault(call.arguments["urls"][0], set()).update(seen.urls)
            if set(seen.urls) & set(need.urls):
                return self._learns(need)
            self._reads(need, seen.text)
        return False

    def _learns(self, need: _Need) -> bool:
        """The evidence was brought up: what it is about is known from now on."""
        self._known.update(need.ends)
        return True

    def _reads(self, need: _Need, text: str) -> None:
        """A page of another thing may name what is looked for; then its own page can be visited."""
        for end in need.ends:
            if end not in self._known and (name := self._name(end)) and has_words(text, name, self._language):
                self._known.add(end)

    def _name(self, entity_id: str) -> str:
        return self._graph.entity(entity_id).names.get(self._language, "")

    def _calls(self, need: _Need) -> list[ToolCall]:
        """Read the subject, else search for the object or the amount; then the other way round."""
        phrase, visits, searches = self._phrase(need.clue), list[ToolCall](), list[ToolCall]()
        for end in need.ends:
            name = self._name(end) if end in self._known else ""
            if name:
                visits.append(ToolCall("visit", {"urls": [name], "goal": phrase}))
                words = f"{name} {phrase}" if end == need.subject else f"{phrase} {name}"
                searches.append(ToolCall("search", {"query": [words]}))
        if need.subject in self._known:
            return [*visits, *searches]
        if need.clue.relation.startswith(BETWEEN):
            searches.append(ToolCall("search", {"query": self._amounts(need.clue, phrase)}))
        return [*searches, *visits]

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
