"""Normalised exact match, per language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sindbad.judging import DecidedBy, ExactJudge, Judge, JudgeRequest


def right(answer: str | None, gold: str, language: str = "en", aliases: tuple[str, ...] = ()) -> bool:
    return ExactJudge().decide(JudgeRequest("?", gold, answer, language, aliases)).correct


@pytest.mark.parametrize(
    ("language", "answer", "gold"),
    [
        ("en", "The answer is Tavel.", "Tavel"),
        ("en", "  tAVEL ", "Tavel"),
        ("en", "It is the Tavel!", "Tavel"),
        ("en", "Marota  Lin", "marota lin"),
        ("ar", "هو مارُوتا لين.", "ماروتا لين"),
        ("ar", "الجواب: أحمد", "احمد"),
        ("ar", "٢٠٢٦", "2026"),
        ("fr", "Été", "été"),
    ],
)
def test_the_same_answer_in_other_clothes_is_right(language: str, answer: str, gold: str) -> None:
    assert right(answer, gold, language)


@pytest.mark.parametrize("answer", ["Tavelo", "Tavel Lin", "not Tavel", "Tavel or Marota", "", None, "   ", "..."])
def test_another_answer_or_none_is_wrong(answer: str | None) -> None:
    assert not right(answer, "Tavel")


def test_an_alias_counts() -> None:
    assert right("Tavel City", "Tavel", aliases=("tavel city",))


def test_an_answer_made_of_lead_in_words_is_still_an_answer() -> None:
    assert right("It is", "it is")


@given(st.text(max_size=80), st.text(max_size=80), st.sampled_from(["en", "ar", "xx"]))
def test_any_text_gets_a_verdict_with_a_reason_from_the_rule(answer: str, gold: str, language: str) -> None:
    verdict = ExactJudge().decide(JudgeRequest("?", gold, answer, language))
    assert verdict.reason
    assert verdict.decided_by is DecidedBy.EXACT
    assert verdict.exact is verdict.correct


def test_the_rule_is_a_judge() -> None:
    assert isinstance(ExactJudge(), Judge)
