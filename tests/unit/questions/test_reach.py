"""Within reach: an agent that knows only what the question names, and what its own calls have brought up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
from sindbad.questions.reach import UNSAID, ToolReach, unreachable
from sindbad.questions.solver import Interval
from sindbad.retrieval import index
from sindbad.retrieval.index import PageIndex
from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Observation, Scope, ToolCall, ToolSpec
from sindbad.tools.simulated import IndexProvider, scheduled
from sindbad.tools.toolbox import Toolbox
from tests.unit.questions.pages import pages_of


@pytest.fixture(scope="module")
def films() -> KnowledgeGraph:
    return film_graph(120)


@pytest.fixture(scope="module")
def pages(films: KnowledgeGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One page an entity and language, of all its sentences."""
    folder: Path = tmp_path_factory.mktemp("reach") / "index"
    index.build(pages_of(films), folder)
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
        stated = {clue.relation for clue in question.clues if not clue.relation.startswith(("@type", "@initial"))}
        read = {f"@{question.attribute}"} if question.attribute else set()
        assert {item.clue.relation for item in missing} == stated | read
        assert len(missing) == len(question.evidence)
        hidden_ids = {*dict(question.solution).values(), *(item.entity for item in question.evidence)} - {""}
        hidden = [films.entity(entity_id).names[question.language] for entity_id in hidden_ids]
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


def _counted(operation: str = "count") -> tuple[KnowledgeGraph, Question]:
    """Spies that work for "Acme" and live in "Rome": Bond and Carr; each has an amount."""
    graph = KnowledgeGraph("w")
    for name in ("Acme", "Rome", "Bond", "Carr"):
        graph.add_entity(Entity(name.lower(), "thing", {"en": name}, {}, _source(name)))
    clues = (Clue("?0", "works_for", "acme"), Clue("?0", "lives_in", "rome"))
    for relation, words in (("works_for", "works for"), ("lives_in", "lives in"), ("@kills", "has as kills")):
        graph.set_relation_info(RelationInfo(relation, {"en": words}, {"en": words}))
    evidence = [Evidence(page, "As it is.", at, page.lower()) for page in ("Bond", "Carr") for at in range(2)]
    decided = [Evidence(f"{page} at work", "As it is.", None, page.lower()) for page in ("Bond", "Carr")]
    given: dict[str, Any] = {"solution": (("?0", "bond"),), "operation": operation, "operands": ("?0",)}
    if operation != "count":
        evidence, given["attribute"] = [*evidence, *decided], "kills"
    return graph, Question("q", "w", "en", "?", operation, clues, "?0", "=2", "2", evidence=tuple(evidence), **given)


class Shown(Told):
    """Finds several pages for a call, and shows a text for it."""

    def __init__(self, finds: Mapping[str, str], texts: Mapping[str, str] | None = None) -> None:
        super().__init__(finds)
        self._texts = texts or {}

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        seen = await super().call(call, scope, deadline_seconds=deadline_seconds)
        text = " ".join(self._texts.get(one, "") for one in self.calls[-1:])
        return replace(seen, urls=tuple(page for found in seen.urls for page in found.split(",")), text=text)


BOTH = {"search works for Acme": "Bond,Carr", "visit Bond": "Bond,Bond at work", "visit Carr": "Carr,Carr at work"}


async def test_every_thing_that_is_counted_has_to_be_brought_up() -> None:
    graph, question = _counted()
    assert await unreachable(Shown(BOTH), graph, question) == []
    one = {**BOTH, "search works for Acme": "Bond"}
    missing = await unreachable(Shown(one), graph, question)
    assert [(item.clue.subject, item.clue.relation) for item in missing] == [
        ("carr", "works_for"),
        ("carr", "lives_in"),
    ]


@pytest.mark.parametrize("operation", ["most", "least"])
async def test_the_attribute_that_decides_has_to_be_brought_up_of_every_one(operation: str) -> None:
    graph, question = _counted(operation)
    assert await unreachable(Shown(BOTH), graph, question) == []
    (item,) = await unreachable(Shown({**BOTH, "visit Carr": "Carr"}), graph, question)
    assert (item.clue.subject, item.clue.relation) == ("carr", "@kills")


@pytest.mark.parametrize(("operation", "kind"), [("value", "numeric"), ("more", "comparison")])
async def test_so_has_the_number_of_a_numeric_question_and_of_a_comparison(operation: str, kind: str) -> None:
    told, graph, question = _spied({"search works for Acme": "Bond", "visit Bond": "Carr", "visit Carr": "Carr"}, EXACT)
    evidence = (
        *(replace(item, clue=at) for at, item in enumerate(question.evidence)),
        Evidence("Far", "", None, "carr"),
    )
    question = replace(question, kind=kind, operation=operation, operands=("?1",), attribute="kills", evidence=evidence)
    (item,) = await unreachable(told, graph, question)
    assert (item.clue.subject, item.clue.relation) == ("carr", "@kills")
    question = replace(question, evidence=(*evidence[:-1], replace(evidence[-1], url="Carr")))
    assert await unreachable(told, graph, question) == []


async def test_what_a_page_of_another_names_can_be_visited() -> None:
    graph, question = _counted()
    finds = {"visit Acme": "Acme", "visit Bond": "Bond", "visit Carr": "Carr"}
    assert await unreachable(Shown(finds, {"visit Acme": "Bond and Carr work here."}), graph, question) == []
    missing = await unreachable(Shown(finds, {"visit Acme": "Bondage and Bond work here."}), graph, question)
    assert {item.clue.subject for item in missing} == {"carr"}


async def test_a_clue_is_not_brought_up_by_the_page_of_another_clue() -> None:
    """Two clues of one sentence: it was kept once, and a clue was paired with the next one's page."""
    told, graph, question = _spied({"search works for Acme": "Carr", "visit Carr": "Carr"}, EXACT)
    pages = ("Carr", "Carr", "Bond")
    evidence = tuple(Evidence(page, "As it is.", at) for at, page in enumerate(pages))
    missing = await unreachable(told, graph, replace(question, evidence=evidence))
    assert "works_for" in {item.clue.relation for item in missing}


async def test_a_count_of_an_earlier_version_whose_evidence_is_nobodys_is_not_within_reach() -> None:
    graph, question = _counted()
    old = replace(question, evidence=tuple(replace(item, clue=None, entity="") for item in question.evidence))
    (item,) = await unreachable(Shown(BOTH), graph, old)
    assert item.said == UNSAID


def test_evidence_is_that_of_its_clue_and_member(films: KnowledgeGraph, questions: list[Question]) -> None:
    several = 0
    for question in questions:
        members = {item.entity for item in question.evidence if item.clue is not None} - {""}
        several += len(members) > 1
        if question.operation == "count":
            assert len(members) == question.value
        for item in question.evidence:
            if item.clue is None:
                found = [one for one in films.attributes(item.entity) if one.name == question.attribute]
                assert item.sentence in {source.sentence for one in found for source in one.sources}
                continue
            clue, bound = question.clues[item.clue], dict(question.solution)
            bound |= {question.target: item.entity} if item.entity else {}
            ends = [bound.get(end, end) for end in (clue.subject, clue.object)]
            if clue.relation.startswith("@between"):
                sources = [source for one in films.attributes(ends[0]) for source in one.sources]
            else:
                edge = films.edge(ends[0], clue.relation, ends[1])
                assert edge is not None
                sources = list(edge.sources)
            assert (item.url, item.sentence) in {(source.url, source.sentence) for source in sources}
        assert Question.from_record(question.to_record()) == question
    assert several > 0


def test_what_is_not_said_of_evidence_stands_in_no_record() -> None:
    _, question = _counted()
    old = replace(question, evidence=(Evidence("u", "It is."),))
    assert list(old.to_record()["evidence"]) == [{"url": "u", "sentence": "It is."}]
    assert question.to_record()["evidence"][1] == {"url": "Bond", "sentence": "As it is.", "clue": 1, "entity": "bond"}
