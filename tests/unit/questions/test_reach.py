"""Within reach: an agent that knows only what the question names, and what its own calls have brought up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from benchmarks.questions_graph import film_graph
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.graph.knowledge import Attribute, Edge, Entity, KnowledgeGraph, RelationInfo, Source
from sindbad.questions.compact import compact
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.logic import constants
from sindbad.questions.making import Maker, MakingConfig
from sindbad.questions.question import Clue, Evidence, Question
from sindbad.questions.reach import ToolReach, unreachable
from sindbad.questions.solver import Interval
from sindbad.retrieval import index
from sindbad.retrieval.index import PageIndex
from sindbad.retrieval.page import Hit, Page
from sindbad.tools.environment import Observation, Scope, ToolCall, ToolSpec
from sindbad.tools.simulated import IndexProvider, scheduled
from sindbad.tools.toolbox import Toolbox


@pytest.fixture(scope="module")
def films() -> KnowledgeGraph:
    return film_graph(120)


@pytest.fixture(scope="module")
def pages(films: KnowledgeGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One page an entity and language, of all its sentences."""
    said: dict[tuple[str, str], list[str]] = {}
    names = {source.url: entity.names[source.language] for entity in films.entities for source in entity.sources}
    for entity in films.entities:
        facts = (edge.sources for edge in films.edges if edge.subject == entity.entity_id)
        amounts = (item.sources for item in films.attributes(entity.entity_id))
        for source in chain(entity.sources, *facts, *amounts):
            said.setdefault((source.url, source.language), []).append(source.sentence)
    folder: Path = tmp_path_factory.mktemp("reach") / "index"
    made = [Page(url, names[url], " ".join(text), language, "films") for (url, language), text in said.items()]
    index.build(made, folder)
    return folder


@pytest.fixture(scope="module")
def questions(films: KnowledgeGraph) -> list[Question]:
    config = MakingConfig(excerpt=ExcerptConfig(min_nodes=10, max_nodes=16))
    made = Maker(films, compact(films), config, 3).batch(0, 30).made
    return [question for item in made for question in item.questions]


class Blind(IndexProvider):
    """Pages can be read, and no search finds anything."""

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        return []


class Told:
    """Finds for a call what it is told, and remembers every call."""

    kind, tools = EnvironmentKind.SIMULATED, tuple[ToolSpec, ...]()

    def __init__(self, finds: Mapping[str, str]) -> None:
        self._finds, self.calls = finds, list[str]()

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        asked = [f"{call.name} {what}" for what in call.arguments["query" if call.name == "search" else "urls"]]
        self.calls += asked
        return Observation("", urls=tuple(self._finds[one] for one in asked if one in self._finds))


def _toolbox(provider: IndexProvider) -> Toolbox:
    return Toolbox(EnvironmentKind.SIMULATED, scheduled(provider, EnvironmentKind.SIMULATED))


def _starts_at_a_subject(question: Question) -> bool:
    """Whether reading pages alone leads to everything: each clue's subject is named, or the object of such a clue."""
    known, before = set(constants(question.clues)), -1
    while len(known) > before:
        before = len(known)
        known |= {clue.object for clue in question.clues if clue.subject in known and not clue.relation.startswith("@")}
    return all(clue.subject in known for clue in question.clues)


async def test_where_no_search_finds_anything_only_what_the_named_lead_to_is_within_reach(
    films: KnowledgeGraph, pages: Path, questions: list[Question]
) -> None:
    blind = _toolbox(Blind(PageIndex(pages)))
    try:
        reached = {one.question_id: not await unreachable(blind, films, one) for one in questions}
    finally:
        await blind.close()
    assert reached == {one.question_id: _starts_at_a_subject(one) for one in questions}
    assert sum(reached.values()) < len(questions) / 2


def test_with_a_search_most_of_them_are_within_reach(
    films: KnowledgeGraph, pages: Path, questions: list[Question]
) -> None:
    with ToolReach(films, pages) as reach:
        beyond = reach(questions)
    assert len(beyond) < len(questions) / 2


async def test_no_call_holds_a_hidden_name(films: KnowledgeGraph, questions: list[Question]) -> None:
    hidden_in_all = 0
    for question in questions:
        nothing = Told({})
        missing = await unreachable(nothing, films, question)
        stated = [clue for clue in question.clues if not clue.relation.startswith(("@type", "@initial"))]
        assert [item.clue for item in missing] == stated
        hidden = [films.entity(entity_id).names[question.language] for _, entity_id in question.solution]
        hidden_in_all += len(hidden)
        assert [call for call in nothing.calls if any(name in call.split() for name in hidden)] == []
    assert hidden_in_all > len(questions)


def _source(page: str) -> tuple[Source, ...]:
    return (Source("w", page, "As it is.", "en"),)


def _spied(finds: Mapping[str, str], amounts: Interval) -> tuple[Told, KnowledgeGraph, Question]:
    """Spies: ?0 works for "Acme" and knows ?1, ?1 has an amount."""
    graph = KnowledgeGraph("w")
    for name in ("Acme", "Bond", "Carr"):
        graph.add_entity(Entity(name.lower(), "thing", {"en": name}, {}, _source(name)))
    graph.add_edge(Edge("bond", "works_for", "acme", _source("Bond")))
    graph.add_edge(Edge("bond", "knows", "carr", _source("Carr")))
    graph.add_attribute("carr", Attribute("kills", 5400, "", "number", _source("Carr")))
    for relation, words in (("works_for", "works for"), ("knows", "knows"), ("@kills", "has as kills")):
        graph.set_relation_info(RelationInfo(relation, {"en": words}, {"en": words}))
    clues = (amounts.clue("?1"), Clue("?0", "knows", "?1"), Clue("?0", "works_for", "acme"))
    given: dict[str, Any] = {"solution": (("?0", "bond"), ("?1", "carr")), "answer_id": "bond", "answer": "Bond"}
    evidence = tuple(Evidence(page, "As it is.") for page in ("Carr", "Carr", "Bond"))
    question = Question("q", "w", "en", "Who?", "constraint", clues, "?0", evidence=evidence, **given)
    return Told(finds), graph, question


EXACT = Interval("kills", "exact", 5400, 5400)


async def test_what_failed_is_tried_again_once_another_clue_has_brought_up_more() -> None:
    told, graph, question = _spied({"search works for Acme": "Bond", "search Bond knows": "Carr", "visit Carr": "Carr"},
                                   EXACT)  # fmt: skip
    assert await unreachable(told, graph, question) == []
    assert told.calls == ["search works for Acme", "search has as kills 5400", "search has as kills 5,400",
                          "visit Bond", "search Bond knows", "visit Carr"]  # fmt: skip


async def test_a_clue_for_which_nothing_is_known_says_that_no_call_can_be_made() -> None:
    told, graph, question = _spied({"search has as kills 5,400": "Carr"}, EXACT)
    missing = await unreachable(told, graph, question)
    assert [(item.clue.relation, item.call) for item in missing] == [("knows", "search"), ("works_for", "search")]
    alone = replace(question, clues=question.clues[1:2], evidence=question.evidence[1:2])
    (item,) = await unreachable(Told({}), graph, alone)
    assert item.said == f"no call can be made for {alone.clues[0]}"


@pytest.mark.parametrize(
    ("amounts", "searched"),
    [
        (EXACT, ["search has as kills 5400", "search has as kills 5,400"]),
        (Interval("kills", "about", 4860, 5940), ["search has as kills 5400", "search has as kills 5,400"]),
        (Interval("kills", "over", 5000, float("inf")), ["search has as kills 5000", "search has as kills 5,000"]),
        (Interval("kills", "high", 5333, float("inf")), ["search has as kills"]),
    ],
)
async def test_an_amount_of_something_unknown_is_searched_for_by_what_its_wording_gives_away(
    amounts: Interval, searched: list[str]
) -> None:
    told, graph, question = _spied({}, amounts)
    await unreachable(told, graph, question)
    assert told.calls == ["search works for Acme", "visit Acme", *searched]
