"""`sindbad questions verify` sums up what does not hold, whatever graph it is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.questions_graph import film_graph
from sindbad.cli.main import app
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.questions import Question, SynthesisReport, save_questions
from sindbad.questions.compact import compact
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.making import Maker, MakingConfig
from sindbad.questions.reference import Reference
from sindbad.questions.verifying import Fault, verify


@pytest.fixture(scope="module")
def films() -> KnowledgeGraph:
    return film_graph(250)


@pytest.fixture(scope="module")
def questions(films: KnowledgeGraph) -> list[Question]:
    config = MakingConfig(excerpt=ExcerptConfig(min_nodes=12, max_nodes=20))
    made = [
        question for item in Maker(films, compact(films), config, 7).batch(0, 20).made for question in item.questions
    ]
    assert {"numeric", "comparison", "count"} & {question.kind for question in made}  # some name an attribute
    return made


def verified(path: Path, questions: list[Question], graph: KnowledgeGraph) -> Result:
    save_questions(path / "questions.jsonl", questions)
    graph.save(path / "graph.jsonl")
    words = ["questions", "verify", str(path / "questions.jsonl"), "--graph", str(path / "graph.jsonl")]
    return CliRunner().invoke(app, words)


def test_another_graph_is_one_summary_and_no_line_for_every_question(
    tmp_path: Path, questions: list[Question], graph: KnowledgeGraph
) -> None:
    done = verified(tmp_path, questions, graph)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception  # said, not raised: it was a KeyError once
    assert f"other_graph: {len(questions)} of {len(questions)}, made from another graph" in done.output
    assert f"is of {graph.world_id!r}, they are of {questions[0].world_id!r}" in done.output
    assert questions[0].question_id in done.output
    assert questions[-1].question_id not in done.output
    assert f"and {len(questions) - 3} more" in done.output
    assert f"0 of {len(questions)} hold by DuckDB" in done.output
    assert "worded" not in done.output  # nothing of another graph's can be said about that


def test_faults_are_counted_by_reason(films: KnowledgeGraph, questions: list[Question]) -> None:
    changed = list(questions)
    at = next(at for at, item in enumerate(questions) if item.kind == "constraint" and len(item.clues) > 2)
    changed[at] = replace(questions[at], clues=questions[at].clues[:1])
    wrong = [i for i, item in enumerate(questions) if item.answer_id.startswith("film-") and item.answer_id != "film-1"]
    other = next(i for i in wrong if i not in (at, len(questions) - 1))
    changed[other] = replace(questions[other], answer_id="film-1")
    changed[-1] = replace(questions[-1], text="Something else?")
    changed.append(
        replace(questions[0], question_id="elsewhere", distractors=(replace(questions[0].clues[0], relation="x"),))
    )
    reference = Reference.of_graph(films)
    try:
        made = verify(changed, films, reference)
    finally:
        reference.close()
    assert questions[at].question_id in made.faults[Fault.NOT_UNIQUE]
    assert questions[other].question_id in made.faults[Fault.WRONG_ANSWER]
    assert "Something else" not in str(made.faults)
    assert questions[-1].question_id in made.faults[Fault.WORDING]
    assert made.faults[Fault.OTHER_GRAPH] == {"elsewhere": "names the relation 'x', which is not in it"}
    assert made.answered == len(changed) - 3
    assert made.worded == (len(changed) - 1 - len(made.faults[Fault.WORDING]), len(changed) - 1)


def test_questions_without_a_solution_are_not_told_as_worded_rightly(
    tmp_path: Path, report: SynthesisReport, graph: KnowledgeGraph
) -> None:
    done = verified(tmp_path, report.questions, graph)
    assert done.exit_code == 0, done.output
    count = len(report.questions)
    assert f"{count} of {count} hold by DuckDB" in done.output
    assert f"{count} carry no solution" in done.output
    assert "are worded as" not in done.output


def test_duckdb_gives_the_demos_own_questions_the_same_answers(
    report: SynthesisReport, uncertain: SynthesisReport, graph: KnowledgeGraph
) -> None:
    reference = Reference.of_graph(graph)
    try:
        for made in (report, uncertain):
            assert {question.kind for question in made.questions} == {"chain", "reverse", "intersection"}
            assert [item for item in map(reference.check, made.questions) if not item.ok] == []
        told = next(question for question in uncertain.questions if question.distractors)
        lie = replace(told, answer_id=next(e.entity_id for e in graph.entities if e.entity_id != told.answer_id))
        assert reference.check(lie).reason == Fault.WRONG_ANSWER
    finally:
        reference.close()
