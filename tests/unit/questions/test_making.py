"""Questions of every kind from one graph: all checks hold, also by other means (papers.md tests 10 to 14)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import networkx as nx
import numpy as np
import pytest

from benchmarks.questions_graph import film_graph
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.languages import get_grammar, get_pack
from sindbad.questions import Demand, SynthesisConfig, UncertaintyConfig, Want
from sindbad.questions.candidates import KINDS
from sindbad.questions.compact import CompactGraph, compact
from sindbad.questions.evidence import mentions
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.logic import constants, is_attribute, is_variable
from sindbad.questions.making import DEFAULT_MIX, Batch, Maker, MakingConfig
from sindbad.questions.question import Question
from sindbad.questions.reference import Reference
from sindbad.questions.rewording import WordingCheck
from sindbad.questions.solver import BETWEEN, Interval, Solver
from sindbad.questions.verification import Rejection

SMALL = ExcerptConfig(min_nodes=12, max_nodes=20)
UNCERTAIN = UncertaintyConfig(semantic=0.5, distractor=0.5)
CONFIG = MakingConfig(
    excerpt=SMALL,
    synthesis=SynthesisConfig(
        mix={
            **DEFAULT_MIX,
            "chain": {1: 4.0, 2: 4.0},
            "reverse": {1: 4.0, 2: 4.0},
            "comparison": {4: 3.0},
            "superlative": {1: 3.0, 2: 3.0},
        },
        uncertainty=UNCERTAIN,
        per_subgraph=6,
    ),
)


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return film_graph(250)


@pytest.fixture(scope="module")
def numbers(graph: KnowledgeGraph) -> CompactGraph:
    return compact(graph)


@pytest.fixture(scope="module")
def batch(graph: KnowledgeGraph, numbers: CompactGraph) -> Batch:
    return Maker(graph, numbers, CONFIG, 7).batch(0, 70)


@pytest.fixture(scope="module")
def questions(batch: Batch) -> list[Question]:
    return [question for made in batch.made for question in made.questions]


@pytest.fixture(scope="module")
def reference(graph: KnowledgeGraph) -> Iterator[Reference]:
    made = Reference.of_graph(graph)
    yield made
    made.close()


def test_every_kind_is_made_in_both_languages(questions: list[Question]) -> None:
    assert {question.kind for question in questions} == set(KINDS)
    assert {question.operation for question in questions} > {"", "value", "count"}
    languages = Counter(question.language for question in questions)
    assert languages["en"] > 40
    assert languages["ar"] > 40


def test_duckdb_gives_every_question_the_same_answer(questions: list[Question], reference: Reference) -> None:
    assert [item for item in map(reference.check, questions) if not item.ok] == []


def test_duckdb_objects_where_the_answer_or_a_distractor_is_wrong(
    questions: list[Question], reference: Reference
) -> None:
    good = next(q for q in questions if q.kind == "constraint" and not q.clues[0].relation.startswith("@"))
    assert reference.check(good).ok
    wrong = Question.from_record({**good.to_record(), "answer_id": "genre-0"})
    assert "genre-0" in reference.check(wrong).detail
    lying = Question.from_record({**good.to_record(), "distractors": [good.to_record()["clues"][0]]})
    assert "distractor" in reference.check(lying).detail


def test_neither_the_answer_nor_anything_hidden_is_named(questions: list[Question], graph: KnowledgeGraph) -> None:
    for question in questions:
        pack = get_pack(question.language)
        for _, entity_id in question.solution:
            assert not mentions(question.text, graph.entity(entity_id).name(question.language), pack), question.text


def test_each_clue_is_supported_by_a_stored_sentence(questions: list[Question], graph: KnowledgeGraph) -> None:
    stored = {source.sentence for edge in graph.edges for source in edge.sources}
    stored |= {
        source.sentence
        for name in graph.attribute_names()
        for _, item in graph.with_attribute(name)
        for source in item.sources
    }
    for question in questions:
        facts = [clue for clue in question.clues if not clue.relation.startswith(("@type", "@initial"))]
        assert len(question.evidence) >= len(set(facts)) - 1
        assert all(item.sentence in stored for item in question.evidence)


def test_a_vague_clue_is_labelled_and_holds_of_the_true_solution(
    questions: list[Question], numbers: CompactGraph
) -> None:
    seen = Counter[str]()
    for question in questions:
        solution = dict(question.solution)
        forms = [Interval.of(clue).form for clue in question.clues if clue.relation.startswith(BETWEEN)]
        initials = any(clue.relation.startswith("@initial") for clue in question.clues)
        vague = initials or any(form != "exact" for form in forms)
        assert ("semantic" in question.uncertainty) == vague
        for clue in question.clues:
            if clue.relation.startswith(BETWEEN):
                bounds = Interval.of(clue)
                value = numbers.columns[bounds.attribute].single(numbers.number[solution[clue.subject]])
                assert value is not None
                assert bounds.low <= value <= bounds.high
                seen[bounds.form] += 1
                if bounds.form != "exact":
                    assert str(int(value)) not in re.findall(r"\d+", question.text)
    assert len(seen) >= 5


def test_a_distractor_is_false_in_the_graph_and_named_as_hearsay(
    questions: list[Question], graph: KnowledgeGraph
) -> None:
    found = [question for question in questions if "distractor" in question.uncertainty]
    assert len(found) > 10
    for question in found:
        (claim,) = question.distractors
        solution = dict(question.solution)
        assert not graph.has(solution.get(claim.subject, claim.subject), claim.relation, claim.object)
        assert graph.entity(claim.object).name(question.language) in question.text
        assert get_grammar(question.language).hearsay("X").split(" X")[0] in question.text


def test_what_says_what_it_asks_is_worded_again_to_the_same_text(
    questions: list[Question], graph: KnowledgeGraph, numbers: CompactGraph
) -> None:
    checks = {code: WordingCheck(graph, numbers, code) for code in ("en", "ar")}
    for question in questions:
        assert checks[question.language].template(question)[1].text == question.text
        assert checks[question.language].objection(question.text, question) == ""


def test_numbers_are_accepted_in_several_forms(questions: list[Question]) -> None:
    found = [question for question in questions if question.answer_id.startswith("=")]
    assert found
    for question in found:
        pack = get_pack(question.language)
        assert question.value is not None
        bare = question.answer_id.removeprefix("=")
        assert pack.same_answer(bare, question.answer, question.aliases)
        if question.language == "ar":
            native = bare.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
            assert pack.same_answer(native, question.answer, question.aliases)


def test_a_count_is_the_size_of_what_fits(questions: list[Question], graph: KnowledgeGraph) -> None:
    solver = Solver(compact(graph))
    for question in questions:
        if question.kind == "count":
            assert question.value == len(solver.answers(question.clues, question.target)) >= 2


def test_rejected_candidates_keep_reason_and_detail(batch: Batch) -> None:
    assert Rejection.NOT_UNIQUE in {item.reason for item in batch.rejected}
    assert all(item.clues for item in batch.rejected)
    assert all(item.detail for item in batch.rejected if item.reason is Rejection.NOT_UNIQUE)


def test_a_batch_follows_from_seed_and_number_alone(graph: KnowledgeGraph, numbers: CompactGraph) -> None:
    one, again = Maker(graph, numbers, CONFIG, 7), Maker(graph, numbers, CONFIG, 7)
    one.batch(1, 5)
    assert one.batch(2, 8).made == again.batch(2, 8).made
    assert again.batch(3, 8).made != again.batch(2, 8).made


def test_the_difficulty_range_is_kept(graph: KnowledgeGraph, numbers: CompactGraph) -> None:
    synthesis = CONFIG.synthesis.model_copy(update={"min_difficulty": 6.0, "max_difficulty": 9.0})
    made = Maker(graph, numbers, CONFIG.model_copy(update={"synthesis": synthesis}), 1).batch(0, 20)
    assert made.made
    assert all(6.0 <= question.difficulty <= 9.0 for item in made.made for question in item.questions)


def test_structural_questions_only_where_they_are_required(graph: KnowledgeGraph, numbers: CompactGraph) -> None:
    synthesis = CONFIG.synthesis.model_copy(update={"uncertainty": UncertaintyConfig(structural="require")})
    made = Maker(graph, numbers, CONFIG.model_copy(update={"synthesis": synthesis}), 1).batch(0, 15)
    assert made.made
    assert all("structural" in item.questions[0].uncertainty for item in made.made)


def without_amounts(full: KnowledgeGraph) -> KnowledgeGraph:
    """A graph in which only a name can be made vague."""
    made = KnowledgeGraph("films")
    for entity in full.entities:
        made.add_entity(entity)
    for edge in full.edges:
        made.add_edge(edge)
    for relation in (*full.relations, *{f"@type/{entity.entity_type}" for entity in full.entities}):
        made.set_relation_info(full.relation_info(relation))
    return made


@pytest.mark.parametrize("amounts", [True, False])
def test_what_is_structural_has_a_cut_between_the_focus_and_a_name_among_all_facts_of_its_pages(
    graph: KnowledgeGraph, amounts: bool
) -> None:
    """Neither does a fact that the excerpt left out lead around it, nor is the only name behind it made vague."""
    one = graph if amounts else without_amounts(graph)
    numbers = compact(one)
    uncertainty = UncertaintyConfig(semantic=1.0, structural="require")
    synthesis = CONFIG.synthesis.model_copy(
        update={"uncertainty": uncertainty, "mix": {"constraint": {3: 1.0, 4: 1.0}}}
    )
    made = Maker(one, numbers, CONFIG.model_copy(update={"synthesis": synthesis}), 2).batch(0, 30).made
    assert len(made) == 30
    assert sum("semantic" in item.questions[0].uncertainty for item in made) > 10
    for item in made:
        nodes = {numbers.number[node] for node in item.subgraph}
        bare = nx.Graph([(a, b) for a in nodes for b in numbers.skeleton.of_one(a).tolist() if b in nodes])
        for question in item.questions:
            focus = numbers.number[dict(question.solution)[question.target]]
            named = {numbers.number[end] for end in constants([c for c in question.clues if not is_attribute(c)])}
            assert any(
                not nx.has_path(nx.restricted_view(bare, [cut], []), focus, name)
                for name in (named & nodes) - {focus}
                for cut in nodes - {focus, name}
            ), question.text


def test_a_demand_gives_more_of_what_fails(graph: KnowledgeGraph, numbers: CompactGraph) -> None:
    asked = Demand((Want("count", 2, "semantic"),), share=1.0).applied(CONFIG.synthesis)
    made = Maker(graph, numbers, CONFIG.model_copy(update={"synthesis": asked}), 1).batch(0, 10)
    assert {item.questions[0].kind for item in made.made} == {"count"}
    assert sum("semantic" in item.questions[0].uncertainty for item in made.made) > len(made.made) / 2


def test_nobody_outside_the_allowed_side_is_used(graph: KnowledgeGraph, numbers: CompactGraph) -> None:
    allowed = np.zeros(len(numbers), bool)
    allowed[: len(numbers) * 3 // 4] = True
    made = Maker(graph, numbers, CONFIG, 1, allowed=allowed).batch(0, 10)
    assert made.made
    assert all(allowed[numbers.number[one]] for item in made.made for one in (*item.constants, *item.subgraph))


def test_variables_of_clues_are_bound_in_the_solution(questions: list[Question]) -> None:
    for question in questions:
        ends = {end for clue in question.clues for end in (clue.subject, clue.object) if is_variable(end)}
        assert ends == set(dict(question.solution))
