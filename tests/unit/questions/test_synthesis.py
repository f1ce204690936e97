"""Every kept question is verified, in both languages, from every orbit alike (papers.md tests 11, 12, 14)."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from sindbad.demo.world import World
from sindbad.errors import InvalidInput
from sindbad.graph.knowledge import Entity, KnowledgeGraph
from sindbad.graph.walk import WalkConfig
from sindbad.languages import LanguagePack, get_pack
from sindbad.questions import Clue, Question, SynthesisConfig, SynthesisReport, solve, synthesise, unreachable_by_tools
from sindbad.questions.logic import is_variable
from sindbad.questions.mixture import quotas
from sindbad.questions.verification import Rejection, check_leakage
from sindbad.tools.toolbox import Toolbox


def answers_by_brute_force(world: World, clues: tuple[Clue, ...], target: str) -> set[str]:
    """Follow the clues in the world's own facts (not in the graph), one assignment of the variables at a time."""
    facts = {(fact.subject, fact.relation, fact.object) for fact in world.facts}
    rows: list[dict[str, str]] = [{}]
    for clue in clues:
        grown = []
        for row, (subject, relation, object_) in product(rows, facts):
            if relation != clue.relation:
                continue
            bound = dict(row)
            ends = ((clue.subject, subject), (clue.object, object_))
            if all((bound.setdefault(end, value) if is_variable(end) else end) == value for end, value in ends):
                grown.append(bound)
        rows = grown
    return {row[target] for row in rows}


def test_the_answer_is_the_only_one_in_the_world_itself(report: SynthesisReport, world: World) -> None:
    for question in report.questions[::4]:
        assert answers_by_brute_force(world, question.clues, question.target) == {question.answer_id}


def test_the_solver_agrees_with_brute_force_where_there_are_many_answers_or_none(
    graph: KnowledgeGraph, world: World
) -> None:
    city = next(fact.object for fact in world.facts if fact.relation == "born_in")
    land = next(fact.object for fact in world.facts if fact.relation == "located_in")
    forms = [
        (Clue("?0", "born_in", city),),
        (Clue("?0", "located_in", land), Clue("?1", "born_in", "?0")),
        (Clue("?0", "studied_under", "?1"), Clue("?1", "studied_under", "?0")),
        (Clue("?0", "spouse", "?1"), Clue("?1", "born_in", city), Clue("?0", "works_for", "?2")),
        (Clue("?0", "borders", land), Clue("?0", "capital", city)),
    ]
    for clues in forms:
        for target in {end for clue in clues for end in (clue.subject, clue.object) if is_variable(end)}:
            assert solve(graph, clues, target) == answers_by_brute_force(world, clues, target)


def test_focus_counts_over_the_orbits_of_a_topology_differ_by_at_most_one(report: SynthesisReport) -> None:
    counted = {topology: [0] * len(counts) for topology, counts in report.focus.items()}
    for question in report.questions:
        if question.language == "en":
            counted[question.topology][question.orbit] += 1
    assert counted == report.focus
    assert sum(map(sum, counted.values())) == 60
    assert max(map(max, counted.values())) >= 2
    for counts in counted.values():
        assert max(counts) - min(counts) <= 1


def test_the_mix_is_met_by_kind_and_hops(report: SynthesisReport) -> None:
    kept = Counter((question.kind, question.hops) for question in report.questions if question.language == "en")
    wanted = quotas(SynthesisConfig().mix, 60)
    assert sum(kept.values()) == 60
    for cell, count in wanted.items():
        assert kept[cell] >= count - report.shortfall.get(cell, 0)


def test_every_question_stands_in_both_languages_with_one_logical_form(report: SynthesisReport) -> None:
    pairs: dict[str, dict[str, Question]] = {}
    for question in report.questions:
        stem, language = question.question_id.rsplit("-", 1)
        assert language == question.language
        pairs.setdefault(stem, {})[language] = question
    for pair in pairs.values():
        assert set(pair) == {"en", "ar"}
        assert (pair["en"].clues, pair["en"].answer_id) == (pair["ar"].clues, pair["ar"].answer_id)
        assert pair["ar"].text != pair["en"].text
        assert get_pack("ar").looks_native(pair["ar"].text)


def test_no_answer_occurs_in_its_question(report: SynthesisReport, uncertain: SynthesisReport) -> None:
    for question in report.questions + uncertain.questions:
        assert question.answer.casefold() not in question.text.casefold()


@pytest.mark.parametrize(
    ("language", "text", "answer"), [("en", "Was TAVEL founded?", "Tavel"), ("ar", "أَين الرباط؟", "رباط")]
)
def test_leaks_are_seen_through_case_and_marks(language: str, text: str, answer: str) -> None:
    assert check_leakage(text, [answer], get_pack(language)) is Rejection.LEAKS


def test_each_clue_is_supported_by_the_sentence_of_a_page(report: SynthesisReport, world: World) -> None:
    for question in report.questions:
        assert len(question.evidence) == len(question.clues)
        pages = {world.url(e.entity_id, question.language): e.entity_id for e in world.entities}
        for clue, evidence in zip(question.clues, question.evidence, strict=True):
            assert evidence.sentence in world.page(pages[evidence.url], question.language).text
            assert get_pack(question.language).phrase(clue.relation) in evidence.sentence


async def test_an_agent_s_own_calls_bring_up_every_clue(
    report: SynthesisReport, graph: KnowledgeGraph, environment: Toolbox
) -> None:
    for question in report.questions[:40]:
        pack = get_pack(question.language)
        assert await unreachable_by_tools(environment, graph, question, pack) == []


async def test_a_clue_whose_page_is_gone_is_reported_unreachable(
    report: SynthesisReport, graph: KnowledgeGraph, environment: Toolbox
) -> None:
    question = report.questions[0]
    elsewhere = Question.from_record({**question.to_record(), "world_id": "w9999"})
    missing = await unreachable_by_tools(environment, graph, elsewhere, get_pack(question.language))
    assert len(missing) == len(question.clues)


def test_near_duplicates_are_gone(report: SynthesisReport) -> None:
    texts = [question.text for question in report.questions]
    assert len(texts) == len(set(texts))


def test_neither_clue_of_an_intersection_would_do_alone(report: SynthesisReport, graph: KnowledgeGraph) -> None:
    forms = [question for question in report.questions if question.kind == "intersection"]
    assert forms
    for question in forms:
        for dropped in (0, 1):
            weaker = [clue for index, clue in enumerate(question.clues) if index != dropped]
            assert len(solve(graph, weaker, question.target)) > 1


def test_rejected_candidates_carry_a_true_reason(
    graph: KnowledgeGraph, world: World, packs: list[LanguagePack]
) -> None:
    config = SynthesisConfig(questions=120, mix={"intersection": {2: 1.0, 3: 2.0, 4: 2.0}}, subgraph_attempts=400)
    made = synthesise(graph, world.world_id, packs, config, 0)
    reasons = {item.reason for item in made.rejected}
    assert {Rejection.NOT_UNIQUE, Rejection.REDUNDANT_CLUE} <= reasons
    for item in made.rejected:
        if item.reason is Rejection.NOT_UNIQUE:
            assert len(solve(graph, item.clues, item.target)) > 1
        if item.reason is Rejection.REDUNDANT_CLUE:
            assert 1 in {
                len(solve(graph, clues, item.target)) for clues in (item.clues[1:], item.clues[:1] + item.clues[2:])
            }


def test_the_same_seed_gives_the_same_questions_and_another_seed_others(
    graph: KnowledgeGraph, world: World, packs: list[LanguagePack], report: SynthesisReport
) -> None:
    again, other = (synthesise(graph, world.world_id, packs, SynthesisConfig(), seed) for seed in (0, 1))
    assert [q.to_record() for q in again.questions] == [q.to_record() for q in report.questions]
    assert {q.text for q in other.questions} != {q.text for q in report.questions}


def test_difficulty_can_be_dialled(graph: KnowledgeGraph, world: World, packs: list[LanguagePack]) -> None:
    config = SynthesisConfig(questions=20, min_difficulty=3.0, max_difficulty=4.0, subgraph_attempts=400)
    made = synthesise(graph, world.world_id, packs, config, 0)
    assert made.questions
    assert all(3.0 <= question.difficulty <= 4.0 for question in made.questions)
    assert any(item.reason is Rejection.DIFFICULTY for item in made.rejected)


def test_what_cannot_be_filled_is_reported(graph: KnowledgeGraph, world: World, packs: list[LanguagePack]) -> None:
    config = SynthesisConfig(questions=400, mix={"intersection": {2: 1.0}}, fill=False, subgraph_attempts=200)
    made = synthesise(graph, world.world_id, packs, config, 0)
    kept = len(made.questions) // 2
    assert 0 < kept < 400
    assert made.shortfall == {("intersection", 2): 400 - kept}


def test_large_subgraphs_give_questions_too(graph: KnowledgeGraph, world: World, packs: list[LanguagePack]) -> None:
    walk = WalkConfig(min_nodes=25, max_nodes=35, edges="walked")
    made = synthesise(graph, world.world_id, packs, SynthesisConfig(questions=20, walk=walk), 0)
    assert len(made.questions) == 40
    assert made.mean_nodes == pytest.approx(30, abs=3)


def test_a_graph_without_names_in_a_language_is_refused(packs: list[LanguagePack]) -> None:
    graph = KnowledgeGraph("w")
    graph.add_entity(Entity("a", "city", {"en": "A"}))
    with pytest.raises(InvalidInput, match="ar"):
        synthesise(graph, "w", packs, SynthesisConfig(), 0)


@pytest.mark.parametrize(
    "mix", [{"chain": {0: 1.0}}, {"intersection": {1: 1.0}}, {"chain": {1: 0.0}}, {"maze": {1: 1.0}}]
)
def test_an_impossible_mix_is_refused(mix: dict[str, dict[int, float]]) -> None:
    with pytest.raises(ValueError):
        SynthesisConfig(mix=mix)  # type: ignore[arg-type]
