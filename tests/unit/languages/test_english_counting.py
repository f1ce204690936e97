"""English plurals, units and times by lists."""

from __future__ import annotations

import math

import pytest

from sindbad.graph.importers.tables import REAL
from sindbad.languages import get_grammar, get_pack
from sindbad.languages.en.plurals import is_plural
from sindbad.languages.grammar import Form, Measure

EN = get_grammar("en")
COUNTRY = EN.noun("country", "", "")
BORN = Measure("date of birth", "was born on", "", is_date=True)


@pytest.mark.parametrize(
    ("kind", "many"),
    [
        ("person", "people"), ("country", "countries"), ("currency", "currencies"), ("record label", "record labels"),
        ("field", "fields of study"), ("element category", "categories of elements"),
        ("element group", "groups of elements"), ("prize category", "prize categories"), ("disease", "diseases"),
        ("subdivision", "subdivisions"), ("university", "universities"), ("series", "series"), ("species", "species"),
        ("box", "boxes"), ("church", "churches"), ("child", "children"), ("boy", "boys"),
        ("television series", "television series"),
    ],
)  # fmt: skip
def test_plurals(kind: str, many: str) -> None:
    noun = EN.noun(kind, REAL.type(kind).label, "")
    assert EN.how_many(noun, ["is red"]) == f"For how many {many} is it true that each is red?"
    assert EN.counted(3, noun) == f"3 {many}"
    assert EN.counted(1, noun) == f"1 {noun.singular}"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1, "years", "1 year"), (2, "years", "2 years"), (0, "years", "0 years"), (1.5, "years", "1.5 years"),
        (1, "km", "1 km"), (1, "minutes", "1 minute"), (1, "people", "1 person"), (3, "people", "3 people"),
        (50, "%", "50%"), (-86.5, "°", "-86.5°"), (86_600, "km²", "86,600 km²"), (7, "fathoms", "7 fathoms"),
        (7, "", "7"),
    ],
)  # fmt: skip
def test_units(value: float, unit: str, text: str) -> None:
    assert EN.quantity(value, unit) == text
    assert EN.bounded(Measure("x", "has", unit, is_date=False), "exact", value, value, COUNTRY) == f"has {text}"


@pytest.mark.parametrize(
    ("value", "unit", "given"),
    [
        (1, "km", "1 kilometre"), (2, "km", "2 kilometres"), (2, "km", "two kilometers"),
        (86_600, "km²", "86600 square kilometers"), (86_600, "km²", "86,600 sq km"), (86_600, "km²", "86 600 km2"),
        (25, "years", "25 years old"), (14.01, "K", "14.01 kelvin"), (1.4e9, "people", "1.4 billion people"),
        (50, "%", "50 percent"), (-86.5, "°", "-86.5 degrees"),
    ],
)  # fmt: skip
def test_a_quantity_is_accepted_as_people_write_it(value: float, unit: str, given: str) -> None:
    main, others = EN.quantity(value, unit), EN.quantity_forms(value, unit)
    assert get_pack("en").same_answer(given, main, others)
    assert not get_pack("en").same_answer(f"3{given}", main, others)
    assert main not in others


def test_a_kilometre_and_kilometres_are_told_apart() -> None:
    assert "1 kilometre" in EN.quantity_forms(1, "km")
    assert "1 kilometres" not in EN.quantity_forms(1, "km")
    assert EN.quantity_forms(7, "fathoms") == EN.quantity_forms(7, "") == ()
    assert "three countries" in EN.counted_forms(3, COUNTRY)


@pytest.mark.parametrize(
    ("form", "low", "high", "text"),
    [
        ("exact", 1943, 1943, "in 1943"), ("exact", -144, -144, "in 144 BC"),
        ("century", 2001, 2100, "in the 21st century"), ("century", 2101, 2200, "in the 22nd century"),
        ("century", 2201, 2300, "in the 23rd century"), ("century", 1001, 1100, "in the 11th century"),
        ("century", 11001, 11100, "in the 111th century"), ("century", -200, -101, "in the 2nd century BC"),
        ("century", -100, -1, "in the 1st century BC"), ("decade", 1950, 1959, "in the 1950s"),
        ("decade", -149, -140, "in the 140s BC"), ("decade", 1900, 1909, "in the decade that began in 1900"),
        ("early", 1900, 1903, "early in the decade that began in 1900"),
        ("mid", 2004, 2006, "in the middle of the decade that began in 2000"),
        ("late", 1907, 1909, "late in the decade that began in 1900"),
        ("decade", -109, -100, "in the decade that began in 109 BC"), ("late", -143, -140, "in the late 140s BC"),
        ("span", -200, 14, "between 200 BC and 14"),
    ],
)  # fmt: skip
def test_times_of_any_century(form: Form, low: float, high: float, text: str) -> None:
    assert EN.bounded(BORN, form, low, high, COUNTRY) == f"was born {text}"


@pytest.mark.parametrize(
    ("year", "given"),
    [(-144, "144 BC"), (-144, "144 BCE"), (-144, "144 B.C."), (-144, "-144"), (1922, "AD 1922"), (1922, "1922")],
)
def test_a_year_is_accepted_as_people_write_it(year: int, given: str) -> None:
    assert get_pack("en").same_answer(given, EN.year(year), EN.year_forms(year))


@pytest.mark.parametrize(
    ("phrase", "unit", "form", "low", "high", "text"),
    [
        ("boils at", "K", "over", 5000, math.inf, "boils at 5,000 K or more"),
        ("melts at", "K", "under", -math.inf, 400, "melts at 400 K or less"),
        ("melts at", "K", "about", 477, 583, "melts at about 530 K"),
        ("lies at the latitude", "°", "over", 10, math.inf, "lies at the latitude of at least 10°"),
        ("lies at the latitude", "°", "exact", 10, 10, "lies at the latitude 10°"),
        ("has a population of", "", "about", 4.5e6, 5.5e6, "has a population of about 5 million"),
        ("has a median age of", "years", "over", 1, math.inf, "has a median age of at least 1 year"),
        ("has a population of", "", "span", 3000, 5000, "has a population of between 3,000 and 5,000"),
    ],
)
def test_amounts(phrase: str, unit: str, form: Form, low: float, high: float, text: str) -> None:
    assert EN.bounded(Measure("x", phrase, unit, is_date=False), form, low, high, COUNTRY) == text


@pytest.mark.parametrize(
    ("phrase", "kind", "text"),
    [
        ("lies in the region", "region", "A"),
        ("comes right before the element", "element", "A"),
        ("records for the label", "record label", "A"),
        ("belongs to the movement", "concept", "A"),
        ("links to the article on", "article", "article A"),
        ("works in the field of", "field", "field of study A"),
        ("shares a border with", "country", "country A"),
        ("is a citizen of", "country", "country A"),
    ],
)
def test_a_thing_is_not_named_twice(phrase: str, kind: str, text: str) -> None:
    assert EN.mention_after(phrase, EN.noun(kind, REAL.type(kind).label, ""), "A") == text


def test_what_is_asked_agrees_in_number_and_names_its_unit() -> None:
    borders = Measure("land boundaries", "", "km", is_date=False)
    assert EN.value_of(borders, "country A") == "What are the land boundaries, in km, of country A?"
    latitude = Measure("latitude", "", "°", is_date=False)
    assert EN.value_of(latitude, "city A") == "What is the latitude, in degrees, of city A?"
    assert [word for word in ("atomic mass", "number of speakers", "radius", "votes") if is_plural(word)] == ["votes"]
