"""Numbers as answers: the rule judge accepts every right way of writing them, and no other number."""

from __future__ import annotations

import pytest

from sindbad.graph.knowledge import Attribute, AttributeKind, Edge, Entity, KnowledgeGraph, RelationInfo, Source
from sindbad.judging import ExactJudge
from sindbad.judging.verdict import JudgeRequest
from sindbad.questions.answers import number_answer
from sindbad.questions.candidates import Kind
from sindbad.questions.compact import CompactGraph, compact
from sindbad.questions.forms import LogicalForm
from sindbad.questions.question import Clue
from sindbad.questions.wording import Worder

AMOUNTS: dict[str, tuple[AttributeKind, float | str, str]] = {
    "area": ("number", 86600.0, "km²"),
    "population": ("number", 5250000.0, ""),
    "latitude": ("number", 1.7673, "°"),
    "death_date": ("date", "-0144-01-01", ""),
    "birth_date": ("date", "1922-05-04", ""),
}


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    made, source = KnowledgeGraph("w"), (Source("w", "https://w.example/a", "As it is.", "en"),)
    for number, names in enumerate((("Alba", "ألبا"), ("Bora", "بورا"), ("Cora", "كورا"), ("Dora", "دورا"))):
        name = dict(zip(("en", "ar"), names, strict=True))
        made.add_entity(Entity(f"country-{number}", "country", name, {}, source))
        for attribute, (kind, value, unit) in AMOUNTS.items():
            made.add_attribute(f"country-{number}", Attribute(attribute, value, unit, kind, source))
    for number in (1, 2, 3):
        made.add_edge(Edge(f"country-{number}", "borders", "country-0", source))
    made.set_relation_info(RelationInfo("@type/country", {"en": "country", "ar": "دولة"}, {}))
    return made


@pytest.fixture(scope="module")
def numbers(graph: KnowledgeGraph) -> CompactGraph:
    return compact(graph)


ONE = Clue("?0", "borders", "country-0")


def asked(operation: str, attribute: str, value: float) -> LogicalForm:
    kind: Kind = "count" if operation == "count" else "numeric"
    return LogicalForm(kind, (ONE,), ("?0",), {"?0": 1}, 1, operation, attribute, (1, 2, 3), None, value)


AREA, COUNT = asked("value", "area", 86600.0), asked("count", "", 3.0)
TWELVE = asked("count", "", 12.0)
BEFORE, AFTER = asked("value", "death_date", -144.0), asked("value", "birth_date", 1922.0)
LATITUDE, PEOPLE = asked("value", "latitude", 1.7673), asked("value", "population", 5250000.0)
APART, TOGETHER = asked("difference", "birth_date", 3.0), asked("sum", "area", 86600.0)

RIGHT = [
    (AREA, "en", ["86,600", "86600", "86,600 km²", "86600 km2", "86,600 square kilometers", "86 600"]),
    (AREA, "ar", ["86,600", "٨٦٦٠٠", "٨٦٬٦٠٠", "86,600 كم²", "٨٦٬٦٠٠ كم²", "٨٦٬٦٠٠ كيلومتر مربع"]),
    (TOGETHER, "en", ["86,600 km²"]),
    (COUNT, "en", ["3", "three", "3 countries", "Three countries."]),
    (COUNT, "ar", ["3", "٣", "ثلاث", "ثلاث دول", "3 دول", "٣ دول"]),
    (TWELVE, "en", ["12 countries"]),
    (TWELVE, "ar", ["12 دولة", "١٢ دولةً"]),
    (BEFORE, "en", ["144 BC", "144 BCE", "144 B.C."]),
    (BEFORE, "ar", ["144 ق.م", "١٤٤ ق.م", "144 قبل الميلاد", "١٤٤ ق. م."]),
    (AFTER, "en", ["1922", "1922 AD", "1922 CE"]),
    (AFTER, "ar", ["1922", "١٩٢٢", "١٩٢٢م", "1922 ميلادي"]),
    (LATITUDE, "en", ["1.7673", "1.7673°", "1.7673 degrees"]),
    (LATITUDE, "ar", ["1.7673", "1.7673 درجة", "١٫٧٦٧٣"]),
    (PEOPLE, "en", ["5,250,000", "5.25 million", "5,250,000 people", "5.25 million people"]),
    (PEOPLE, "ar", ["5.25 مليون", "5,250,000 نسمة"]),
    (APART, "en", ["3", "3 years", "three years"]),
    (APART, "ar", ["3 سنوات", "٣ سنوات", "ثلاثة أعوام"]),
]
WRONG = [
    (AREA, "en", ["86,601 km²", "86.6", "86,600 countries"]),
    (COUNT, "en", ["4 countries", "13 countries"]),
    (BEFORE, "en", ["144", "144 AD", "145 BC"]),
    (BEFORE, "ar", ["144", "144 م", "145 ق.م"]),
    (AFTER, "en", ["1922 BC", "1923"]),
    (APART, "en", ["3 km"]),
]


def is_right(graph: KnowledgeGraph, numbers: CompactGraph, form: LogicalForm, language: str, answer: str) -> bool:
    worder = Worder(graph, numbers, language)
    gold, aliases = number_answer(form, worder, numbers.columns.get(form.attribute))
    assert gold not in aliases
    return ExactJudge().decide(JudgeRequest("How much?", gold, answer, language, aliases)).correct


@pytest.mark.parametrize(("form", "language", "answers"), RIGHT)
def test_a_right_number_is_right_however_it_is_written(
    graph: KnowledgeGraph, numbers: CompactGraph, form: LogicalForm, language: str, answers: list[str]
) -> None:
    assert [answer for answer in answers if not is_right(graph, numbers, form, language, answer)] == []


@pytest.mark.parametrize(("form", "language", "answers"), WRONG)
def test_another_number_unit_or_era_is_wrong(
    graph: KnowledgeGraph, numbers: CompactGraph, form: LogicalForm, language: str, answers: list[str]
) -> None:
    assert [answer for answer in answers if is_right(graph, numbers, form, language, answer)] == []


@pytest.mark.parametrize(("language", "said"), [("en", "144 BC"), ("ar", "144 ق.م")])
def test_a_year_before_christ_is_mainly_said_as_pages_say_it(
    graph: KnowledgeGraph, numbers: CompactGraph, language: str, said: str
) -> None:
    assert number_answer(BEFORE, Worder(graph, numbers, language), numbers.columns["death_date"])[0] == said
