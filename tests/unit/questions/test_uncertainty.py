"""Labels of uncertainty tell the truth (papers.md test 13)."""

from __future__ import annotations

from collections import deque

from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.languages import LanguagePack
from sindbad.questions import SynthesisConfig, SynthesisReport, UncertaintyConfig, solve, synthesise
from sindbad.questions.uncertainty import OBSCURED, structural_cut
from tests.unit.graph.shapes import cycle, path, shape


def labelled(report: SynthesisReport, label: str) -> list:  # type: ignore[type-arg]
    return [question for question in report.questions if label in question.uncertainty]


def test_a_semantic_question_does_not_name_what_it_makes_vague(
    uncertain: SynthesisReport, graph: KnowledgeGraph
) -> None:
    found = labelled(uncertain, "semantic")
    assert len(found) >= 10
    for question in found:
        binding = {clue.object: clue for clue in question.clues if clue.subject == OBSCURED}
        assert any(clue.relation.startswith("@initial") for clue in binding.values())
        plain = [q for q in question.clues if OBSCURED in (q.subject, q.object) and not q.relation.startswith("@")]
        hidden = solve(graph, question.clues, OBSCURED)
        assert plain
        assert all(graph.entity(entity).name(question.language) not in question.text for entity in hidden)


def test_a_semantic_question_still_has_one_answer(uncertain: SynthesisReport, graph: KnowledgeGraph) -> None:
    for question in labelled(uncertain, "semantic"):
        assert solve(graph, question.clues, question.target) == {question.answer_id}


def test_a_distractor_is_false_and_changes_no_answer(uncertain: SynthesisReport, graph: KnowledgeGraph) -> None:
    found = labelled(uncertain, "distractor")
    assert len(found) >= 10
    for question in found:
        (claim,) = question.distractors
        assert not graph.has(claim.subject, claim.relation, claim.object)
        assert graph.entity(claim.object).name(question.language) in question.text
        assert question.answer_id not in (claim.subject, claim.object)
        assert solve(graph, question.clues, question.target) == {question.answer_id}


def test_a_known_bridge_and_cut_vertex_are_found_and_a_cycle_has_none() -> None:
    assert structural_cut(path(3), "2", ["0"]) == ("1",)
    assert structural_cut(cycle(5), "2", ["0"]) == ()
    assert structural_cut(path(2), "1", ["0"]) == ()
    two_triangles_on_a_bridge = shape([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (5, 3)])
    assert structural_cut(two_triangles_on_a_bridge, "5", ["0"]) in {("2",), ("3",)}
    assert structural_cut(two_triangles_on_a_bridge, "1", ["0"]) == ()


def test_required_structure_cuts_the_answer_off_from_a_clue(
    graph: KnowledgeGraph, world: object, packs: list[LanguagePack]
) -> None:
    config = SynthesisConfig(questions=15, uncertainty=UncertaintyConfig(structural="require"))
    made = synthesise(graph, graph.world_id, packs, config, 3)
    assert made.questions
    assert all("structural" in question.uncertainty for question in made.questions)


def test_the_cut_really_disconnects_by_breadth_first_search() -> None:
    one = shape([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4)])
    cut = set(structural_cut(one, "4", ["0"]))
    assert cut
    seen, queue = {"4"}, deque(["4"])
    while queue:
        for other in one.adjacency[queue.popleft()] - seen - cut:
            seen.add(other)
            queue.append(other)
    assert "0" not in seen


def test_without_configuration_nothing_vague_or_false_is_injected(report: SynthesisReport) -> None:
    assert not labelled(report, "semantic")
    assert not labelled(report, "distractor")
    assert labelled(report, "structural")
