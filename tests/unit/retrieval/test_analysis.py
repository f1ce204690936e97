"""Terms: what must match does, in both languages and across scripts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.retrieval import analysis


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("companies", "Company"),
        ("running", "runs"),
        ("المدينة", "مدينه"),
        ("بالمدينة", "المدينة"),
        ("والشركات", "شركة"),
        ("أَحْمَد", "احمد"),
        ("إسلام", "الاسلام"),
        ("٢٠١٥", "2015"),
        ("ﻣﺪﻳﻨﺔ", "مدينة"),
        ("مـــدينة", "مدينة"),
        ("O’Brien", "O'Brien"),
    ],
)
def test_two_forms_of_a_word_are_one_term(left: str, right: str) -> None:
    assert analysis.terms(left) == analysis.terms(right) != []


@pytest.mark.parametrize(("left", "right"), [("Tavel", "Marota"), ("ولد", "بلد"), ("مدينة", "مدرسة"), ("من", "في")])
def test_two_words_are_two_terms(left: str, right: str) -> None:
    assert analysis.terms(left) != analysis.terms(right)


def test_a_query_in_two_languages_keeps_the_terms_of_both() -> None:
    assert analysis.terms("Tavel المدينة") == ["tavel", "مدين"]


def test_scripts_without_blanks_become_bigrams() -> None:
    assert analysis.terms("東京大学") == ["東京", "京大", "大学"]


def test_titles_that_differ_by_an_ending_stay_different() -> None:
    assert analysis.title_key("Marota Lin") == analysis.title_key("  MAROTA  lin ")
    assert analysis.title_key("Marota") != analysis.title_key("Marotas")


def test_sentences_end_where_a_reader_ends_them() -> None:
    text = "Marota Lin is a person. Is she? هل هي؟ نعم.\nThe end"
    assert analysis.sentences(text) == ["Marota Lin is a person.", "Is she?", "هل هي؟", "نعم.", "The end"]


@settings(deadline=None)
@given(st.text())
def test_any_text_has_terms_without_blanks_and_the_same_twice(text: str) -> None:
    terms = analysis.terms(text)
    assert terms == analysis.terms(text)
    assert all(term and not any(char.isspace() for char in term) for term in terms)
