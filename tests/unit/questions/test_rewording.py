"""A model's wording is taken only where it states exactly the clues."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchmarks.questions_graph import film_graph
from sindbad.errors import InvalidInput, Unavailable
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.questions.compact import compact
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.making import Maker, MakingConfig
from sindbad.questions.question import Clue, Question
from sindbad.questions.rewording import WordingCheck, misstated, reword_all
from sindbad.questions.solver import Interval


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


@pytest.mark.parametrize(
    ("language", "stated", "instead"),
    [
        ("en", r"was born in(?= (?:\d|the ))", "died in"),
        ("en", r"was born in(?= (?:\d|the ))", "was born after"),
        ("en", r"was released in", "was released before"),
        ("en", r"was released in (?=\d{4}\W)", "was released in or after "),
        ("en", r"was released in (\d{4})(?=\W)", r"was released in \1s"),
        ("en", r"has a running time of", "has a budget of"),
        ("en", r"has a population of", "has a debt of"),
        ("en", r"(?<=at least \d{3}) min", " million min"),
        ("ar", r"صدر في", "دمر في"),
        ("ar", r"صدر في", "صدر قبل"),
        ("ar", r"مدته(?= نحو)", "ميزانيته"),
    ],
)
def test_what_an_amount_is_of_and_on_which_side_of_it_has_to_stay(
    graph: KnowledgeGraph, questions: list[Question], language: str, stated: str, instead: str
) -> None:
    asked = [question for question in questions if question.language == language and re.search(stated, question.text)]
    assert asked
    for question in asked:
        changed = re.sub(stated, instead, question.text, count=1)
        assert objections(graph, question, question.text, changed) == ["", "amount"], changed


def test_an_amount_may_lose_its_auxiliary_verb_and_no_more(graph: KnowledgeGraph, questions: list[Question]) -> None:
    question = next(q for q in questions if q.language == "en" and q.text.count("was released in") == 1)
    bare = question.text.replace("was released in", "released in")
    assert objections(graph, question, bare, bare.replace("released in", "in")) == ["", "amount"]


def test_two_things_with_the_same_amount_both_keep_it(graph: KnowledgeGraph, questions: list[Question]) -> None:
    question = next(q for q in questions if q.language == "en" and "film B" in q.text and q.kind == "comparison")
    check = WordingCheck(graph, compact(graph), "en")
    clues = tuple(Interval("release_date", "century", 1901, 2000).clue(operand) for operand in question.operands)
    both = replace(question, clues=(*clues, *question.clues))
    text = check.template(both)[1].text
    assert text.count("was released in the 20th century") == 2
    once = text.replace("was released in the 20th century, ", "", 1)
    assert (check.objection(text, both), check.objection(once, both)) == ("", "amount")


@pytest.mark.parametrize(
    ("language", "labels"),
    [
        ("en", "running time|release date|date of birth|population"),
        ("ar", "مدة العرض|تاريخ الصدور|تاريخ الميلاد|عدد السكان"),
    ],
)
@pytest.mark.parametrize("instead", ["other", "strange"])
def test_the_attribute_that_is_asked_for_has_to_stay(
    graph: KnowledgeGraph, questions: list[Question], language: str, labels: str, instead: str
) -> None:
    asked = [q for q in questions if q.language == language and q.attribute and q.operation != "count"]
    assert len(asked) > 3
    for question in asked:
        found = re.findall(labels, question.text)[-1]
        other = next(label for label in labels.split("|") if label != found)
        changed = question.text[::-1].replace(found[::-1], (other if instead == "other" else "xyz")[::-1])[::-1]
        (objection,) = objections(graph, question, changed)
        assert objection in ("asked", "amount")  # the latter where an amount says the label, too
    lasting = [q for q in asked if len(re.findall(labels, q.text)) == 1]
    for question in lasting:
        assert objections(graph, question, re.sub(labels, "xyz", question.text)) == ["asked"]
    assert lasting


def test_what_an_amount_says_of_an_attribute_does_not_ask_for_it(
    graph: KnowledgeGraph, questions: list[Question]
) -> None:
    question = next(q for q in questions if q.language == "en" and q.operation in ("most", "least")
                    and q.attribute == "runtime" and "running time of" not in q.text)  # fmt: skip
    wider = replace(question, clues=(*question.clues, Interval("runtime", "about", 90, 110).clue(question.target)))
    text = WordingCheck(graph, compact(graph), "en").template(wider)[1].text
    head, _, tail = text.rpartition("running time")
    assert "running time of about 100 min" in head
    assert objections(graph, wider, text, f"{head}budget{tail}") == ["", "asked"]


def test_the_question_stays_about_the_same_unknown_and_asks_for_no_attribute_more(
    graph: KnowledgeGraph, questions: list[Question]
) -> None:
    question = next(q for q in questions if q.language == "en" and q.text.endswith("Which film is A?")
                    and "person B" in q.text and "running time" not in q.text)  # fmt: skip
    facts = question.text.removesuffix("Which film is A?")
    assert objections(
        graph, question,
        f"{facts}Tell me, which film is A?",
        f"{facts}Which film stars person B?",
        f"{facts}What is the running time of film A?",
        f"{facts}When was film A made?",
    ) == ["", "asked", "asked", "degree"]  # fmt: skip


def test_an_initial_is_kept_as_it_is_worded(graph: KnowledgeGraph, questions: list[Question]) -> None:
    for language, pattern in (("en", r"(?<=begins with )[A-Z]"), ("ar", "(?<=بحرف «)\\w")):
        second = {"en": " B ", "ar": "(ب)"}[language]
        question = next(q for q in questions if q.language == language and second in q.text and not q.distractors)
        (variable, entity_id), *_ = question.solution
        letter = graph.entity(entity_id).names[language][0]
        worded = replace(question, clues=(*question.clues, Clue(variable, f"@initial:{language}", letter)))
        text = WordingCheck(graph, compact(graph), language).template(worded)[1].text
        other = "A" if language == "en" else "أ"
        changed = re.sub(pattern, other, text)
        assert changed != text
        assert objections(graph, worded, text) == [""]
        assert objections(graph, worded, changed)[0] in ("letters", "amount")
