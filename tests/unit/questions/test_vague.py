"""Vague amounts are intervals that hold the value, never state it, and are worded by what they mean."""

from __future__ import annotations

import math
import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sindbad.languages import get_grammar
from sindbad.languages.grammar import Form, Measure, Noun
from sindbad.questions.compact import Column, CompactGraph, Ints
from sindbad.questions.vague import VAGUE_FORMS, Vagueness, _period

PERSON, COUNTRY = Noun("person", "the person", person=True), Noun("دولة", "الدولة", feminine=True)
BORN = Measure("date of birth", "was born on", "", is_date=True)
BORN_AR = Measure("تاريخ الميلاد", "ولد في", "", is_date=True)
POPULATION = Measure("population", "has a population of", "", is_date=False)
POPULATION_AR = Measure("عدد السكان", "عدد سكانها", "", is_date=False)
AREA_AR = Measure("المساحة", "مساحتها", "km²", is_date=False)


def numbers_graph(values: list[float]) -> CompactGraph:
    entities: Ints = np.arange(len(values), dtype=np.int32)
    column = Column(entities, np.array(values), "number", "")
    ids = [f"e{number:03}" for number in range(len(values))]
    return CompactGraph(ids, ["country"] * len(values), {}, {"population": column}, {})


@given(st.integers(1000, 2030), st.integers(0, 99))
def test_a_period_holds_its_year_and_does_not_name_it(year: int, seed: int) -> None:
    bounds = _period("born", year, random.Random(seed))
    assert bounds is not None
    assert bounds.form in VAGUE_FORMS
    assert bounds.low <= year <= bounds.high
    said = get_grammar("en").bounded(BORN, bounds.form, bounds.low, bounds.high, PERSON)  # type: ignore[arg-type]
    assert str(year) not in said


@given(st.lists(st.floats(1, 1e9), min_size=12, max_size=40, unique=True), st.integers(0, 99))
def test_an_amount_holds_its_value_whatever_its_form(values: list[float], seed: int) -> None:
    graph, rng = numbers_graph(values), random.Random(seed)
    for entity in range(len(values)):
        bounds = Vagueness(graph).of("population", entity, rng)
        if bounds is not None:
            assert bounds.low <= values[entity] <= bounds.high
            assert values[entity] not in (bounds.low, bounds.high)


def test_a_fifth_is_a_fifth_of_the_entities_of_its_type() -> None:
    graph = numbers_graph([float(number) for number in range(1, 101)])
    found = {
        bounds.form: bounds
        for seed in range(60)
        if (bounds := Vagueness(graph).of("population", 99 if seed % 2 else 0, random.Random(seed))) is not None
    }
    column = graph.columns["population"]
    assert len(column.between(found["high"].low, math.inf)) in (20, 21)
    assert len(column.between(-math.inf, found["low"].high)) in (20, 21)


def worded(language: str, measure: Measure, form: Form, low: float, high: float) -> str:
    said_of = PERSON if language == "en" or measure is BORN_AR else COUNTRY
    return get_grammar(language).bounded(measure, form, low, high, said_of)


def test_times_in_english() -> None:
    assert worded("en", BORN, "early", 1950, 1953) == "was born in the early 1950s"
    assert worded("en", BORN, "decade", 1950, 1959) == "was born in the 1950s"
    assert worded("en", BORN, "century", 1901, 2000) == "was born in the 20th century"
    assert worded("en", BORN, "exact", 1943, 1943) == "was born in 1943"


def test_times_in_arabic() -> None:
    assert worded("ar", BORN_AR, "early", 1950, 1953) == "ولد في أوائل خمسينيات القرن العشرين"
    assert worded("ar", BORN_AR, "decade", 1910, 1919) == "ولد في العقد الثاني من القرن العشرين"
    assert worded("ar", BORN_AR, "century", 1801, 1900) == "ولد في القرن التاسع عشر"
    she = get_grammar("ar").bounded(BORN_AR, "century", 1801, 1900, COUNTRY)
    assert she == "ولدت في القرن التاسع عشر"  # the verb agrees with what it is said of


def test_quantities_in_both_languages() -> None:
    assert worded("en", POPULATION, "about", 4.5e6, 5.5e6) == "has a population of about 5 million"
    assert worded("ar", POPULATION_AR, "about", 4.5e6, 5.5e6) == "عدد سكانها نحو 5 ملايين"
    assert worded("ar", POPULATION_AR, "about", 13.5e6, 16.5e6) == "عدد سكانها نحو 15 مليونًا"
    assert worded("ar", POPULATION_AR, "over", 2e6, math.inf) == "عدد سكانها ما لا يقل عن مليونين"
    assert worded("ar", AREA_AR, "under", -math.inf, 90_000) == "مساحتها ما لا يزيد على 90,000 كيلومتر مربع"
    assert worded("en", POPULATION, "high", 9e6, math.inf) == "ranks in the top fifth by population"
    assert worded("ar", POPULATION_AR, "high", 9e6, math.inf) == "تقع ضمن الخُمس الأعلى من حيث عدد السكان"
