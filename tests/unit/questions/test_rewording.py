"""A model's wording is taken only where it states exactly the clues."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.questions_graph import film_graph
from sindbad.errors import InvalidInput, Unavailable
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.questions.compact import compact
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.making import Maker, MakingConfig
from sindbad.questions.question import Question
from sindbad.questions.rewording import WordingCheck, misstated, reword_all


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return film_graph(200)


@pytest.fixture(scope="module")
def questions(graph: KnowledgeGraph) -> list[Question]:
    config = MakingConfig(excerpt=ExcerptConfig(min_nodes=10, max_nodes=16))
    made = Maker(graph, compact(graph), config, 3).batch(0, 30).made
    return [question for item in made for question in item.questions]


class Scripted:
    """A model that answers with what a function makes of the question."""

    def __init__(self, answer: dict[str, str]) -> None:
        self._answer = answer

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        text = prompt.rsplit("\n\n", 1)[1]
        if text not in self._answer:
            raise Unavailable("busy")
        return self._answer[text]


async def test_what_says_the_same_is_taken_and_what_fails_keeps_the_template(
    graph: KnowledgeGraph, questions: list[Question]
) -> None:
    english = [question for question in questions if question.language == "en"]
    polite = {question.text: f"Please tell me: {question.text}" for question in english[:4]}
    done = await reword_all(english[:6], graph, Scripted(polite))
    assert done.reworded == 4
    assert [question.text.startswith("Please") for question in done.questions] == [True] * 4 + [False] * 2
    assert done.refused == {"UNAVAILABLE": 2}
    assert all(question.answer_id == old.answer_id for question, old in zip(done.questions, english, strict=False))


class Dead:
    """A server that answers some calls and is gone."""

    def __init__(self, answers: int) -> None:
        self._answers, self.asked = answers, 0

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        self.asked += 1
        if self.asked > self._answers:
            raise Unavailable("gone")
        return "Please tell me: " + prompt.rsplit("\n\n", 1)[1]


async def test_a_dead_server_is_not_asked_for_every_question_and_an_answer_that_was_paid_for_stays(
    graph: KnowledgeGraph, questions: list[Question]
) -> None:
    english = [question for question in questions if question.language == "en"] * 5
    dead = Dead(0)
    with pytest.raises(Unavailable, match="gone"):
        await reword_all(english, graph, dead)
    assert dead.asked == 16
    dying = Dead(3)
    done = await reword_all(english, graph, dying)
    assert done.reworded == 3
    assert len(done.questions) == len(english) > 3 + 16
    assert done.refused == {"UNAVAILABLE": 16, "not_asked": len(english) - 3 - 16}


async def test_a_question_of_another_graph_is_told_before_anything_is_asked(
    graph: KnowledgeGraph, questions: list[Question]
) -> None:
    strange = replace(questions[0], solution=(("?x", "nowhere"),))
    unsolved = replace(questions[0], solution=())
    model = Dead(9)
    for odd, why in ((strange, "another graph"), (unsolved, "no solution")):
        with pytest.raises(InvalidInput, match=why):
            await reword_all([questions[1], odd], graph, model)
        assert why in misstated([odd], graph)[odd.question_id]
    assert model.asked == 0


def objections(graph: KnowledgeGraph, question: Question, *texts: str) -> list[str]:
    check = WordingCheck(graph, compact(graph), question.language)
    return [check.objection(text, question) for text in texts]


def test_lost_and_added_pieces_are_named(graph: KnowledgeGraph, questions: list[Question]) -> None:
    question = next(q for q in questions if q.language == "en" and q.kind == "constraint" and "stars " in q.text
                    and not q.distractors)  # fmt: skip
    used = {entity for _, entity in question.solution} | {c.object for c in question.clues}
    stranger = next(
        e.names["en"] for e in graph.entities if e.entity_id not in used and e.names["en"] not in question.text
    )
    text = question.text
    assert objections(
        graph, question,
        text.replace("?", f" in {stranger}?"),
        text.replace("?", " in 1815?"),
        text.replace("stars", "praises"),
        text.replace("stars", "never stars"),
        text.replace("?", "."),
        text.replace("?", f" like {question.answer}?"),
        "",
    ) == ["name_added", "numbers", "relation_lost", "negation", "no_question", "name_added", "empty"]  # fmt: skip


def test_a_name_or_a_degree_that_changed_is_noticed(graph: KnowledgeGraph, questions: list[Question]) -> None:
    question = next(q for q in questions if q.language == "en" and q.operation in ("most", "least"))
    swapped = question.text.translate(str.maketrans({})).replace("highest", "#").replace("lowest", "highest")
    swapped = (
        swapped.replace("#", "lowest").replace("latest", "#").replace("earliest", "latest").replace("#", "earliest")
    )
    assert objections(graph, question, swapped) == ["degree"]


def test_hearsay_has_to_stay_hearsay(graph: KnowledgeGraph, questions: list[Question]) -> None:
    question = next(q for q in questions if q.language == "en" and q.distractors)
    plain = question.text.replace("Some say that ", "").replace(", which may be wrong", "")
    assert objections(graph, question, plain) == ["hearsay"]


def test_arabic_wordings_are_read_back_too(graph: KnowledgeGraph, questions: list[Question]) -> None:
    question = next(q for q in questions if q.language == "ar" and "(ب)" in q.text and not q.distractors)
    assert objections(graph, question, f"من فضلك: {question.text}") == [""]
    assert objections(graph, question, question.text.replace("(ب)", "(ج)")) == ["letters"]
    assert objections(graph, question, "What is it?")[0] == "language"
