"""A number is stated by its value: nothing is added to it and nothing taken away."""

from __future__ import annotations

import pytest

from sindbad.graph.stated_numbers import states


@pytest.mark.parametrize(
    ("value", "sentence", "language"),
    [
        (128928, "Ulm has 128,928 inhabitants.", "en"),
        (128928, "يبلغ عدد سكان أولم ١٢٨٬٩٢٨ نسمة.", "ar"),
        (128928, "Ulm has 128 928 inhabitants.", "en"),
        (128928.0, "Ulm has 128'928 inhabitants.", ""),
        (1.008, "Its mass is 1.008 u.", "en"),
        (1.5, "Elle mesure 1,5 m.", "fr"),
        (12000, "Il y a 12.000 habitants.", "fr"),
        (5_000_000, "It has 5 million inhabitants.", "en"),
        (1_400_000_000, "It has 1.4 billion inhabitants.", "en"),
        (3_000_000, "Es hat 3 Millionen Einwohner.", "de"),
        (5_000, "فيها ٥ آلاف مدرسة.", "ar"),
        (50_000, "فيها ٥٠ ألفًا من الناس.", "ar"),
        (20_000_000, "يسكنها 20 مليونا.", "ar"),
        (3_000_000_000, "人口は30億人です。", "ja"),
        (-7, "It was -7 degrees.", "en"),
        (-7, "It was \u22127 degrees.", "en"),
        (-7, "It was minus 7 degrees.", "en"),
        (19, "COVID-19 is its name.", "en"),
    ],
)  # fmt: skip
def test_a_number_is_stated_in_any_spelling_of_its_value(value: float, sentence: str, language: str) -> None:
    assert states(value, sentence, language)


@pytest.mark.parametrize(
    ("value", "sentence", "language"),
    [
        (5_000_000, "It has 5 schools.", "en"),
        (40, "She is 4 years old.", "en"),
        (4, "She is 40 years old.", "en"),
        (15, "It is 1.5 m high.", "en"),
        (-7, "It was 7 degrees.", "en"),
        (7, "It was -7 degrees.", "en"),
        (5_000_000, "It has 5 thousand inhabitants.", "en"),
        (5_000_000, "It has 5 schools and a million books.", "en"),
        (5_000_000, "It has 5 million inhabitants.", ""),
        (5_000, "It is 5 thousandfold.", "en"),
        (5_000, "فيها ٥ مدارس.", "ar"),
        (128, "Ulm has 128,928 inhabitants.", "en"),
    ],
)
def test_another_number_is_not(value: float, sentence: str, language: str) -> None:
    assert not states(value, sentence, language)
