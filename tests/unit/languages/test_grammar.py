"""Agreement, articles and numbers where the two languages differ."""

from __future__ import annotations

import pytest

from sindbad.languages import get_grammar, get_pack
from sindbad.languages.grammar import Measure, plain

POPULATION = Measure("عدد السكان", "عدد سكانها", "", is_date=False)
AREA = Measure("المساحة", "مساحتها", "km²", is_date=False)


def test_arabic_nouns_agree_in_gender_and_take_the_article() -> None:
    grammar = get_grammar("ar")
    country, film = grammar.noun("country", "", ""), grammar.noun("film", "", "")
    assert grammar.mention(country, "أ") == "الدولة (أ)"
    assert grammar.which_is(country, "أ") == "ما هي الدولة (أ)؟"
    assert grammar.which_is(film, "ب") == "ما هو الفيلم (ب)؟"
    assert grammar.which_is(grammar.noun("person", "", ""), "أ") == "من هو الشخص (أ)؟"
    assert grammar.the_one(country, ["تجاور فرنسا"]) == "الدولة التي تجاور فرنسا"
    assert grammar.the_one(film, ["أخرجه زيد"]) == "الفيلم الذي أخرجه زيد"


def test_an_unknown_type_takes_the_graph_s_own_label() -> None:
    grammar = get_grammar("ar")
    label = grammar.noun("record_label", "شركة تسجيلات", "هي شركة تسجيلات")
    assert (label.definite, label.feminine) == ("شركة التسجيلات", True)
    assert grammar.noun("x", "", "").singular


def test_how_many_takes_the_singular_accusative() -> None:
    grammar = get_grammar("ar")
    assert grammar.how_many(grammar.noun("film", "", ""), ["صدر في عام 1999"]) == "كم فيلمًا صدر في عام 1999؟"
    assert grammar.how_many(grammar.noun("city", "", ""), ["تقع في مصر"]) == "كم مدينةً تقع في مصر؟"


def test_to_contracts_with_the_article() -> None:
    grammar = get_grammar("ar")
    assert grammar.value_of(POPULATION, "الدولة (أ)") == "ما هو عدد السكان في الدولة (أ)؟"
    assert grammar.value_of(AREA, "الدولة (أ)") == "ما هي المساحة الإجمالية بالكيلومتر المربع للدولة (أ)؟"


def test_and_is_written_onto_the_next_word_in_arabic_and_takes_commas_in_english() -> None:
    assert get_grammar("ar").joined(["ولد في لندن", "توفي في باريس"]) == "ولد في لندن وتوفي في باريس"
    assert get_grammar("en").joined(["a", "b", "c"]) == "a, b, and c"


def test_english_plurals() -> None:
    grammar = get_grammar("en")
    for kind, many in (("person", "people"), ("country", "countries"), ("film", "films"), ("box", "boxes")):
        assert many in grammar.how_many(grammar.noun(kind, "", ""), ["is red"])


@pytest.mark.parametrize(("value", "form"), [(1234567, "١٢٣٤٥٦٧"), (1234.5, "١٬٢٣٤٫٥"), (7, "سبعة")])
def test_arabic_numbers_are_accepted_in_native_digits_and_words(value: float, form: str) -> None:
    grammar = get_grammar("ar")
    assert get_pack("ar").same_answer(form, grammar.number(value), grammar.number_forms(value))


def test_numbers_have_no_exponent_and_no_trailing_zeros() -> None:
    assert [plain(1e9), plain(0.5, ","), plain(1234.50, ","), plain(-3.0)] == ["1000000000", "0.5", "1,234.5", "-3"]
    assert "1.4 billion" in get_grammar("en").number_forms(1.4e9)
