"""Which questions an evaluation asks: the languages take turns."""

from __future__ import annotations

from collections import Counter

from sindbad.evaluation.sets.question_set import evenly_by_language
from sindbad.questions.question import Clue, Question


def question(number: int, language: str) -> Question:
    clue = Clue("w:1", "born_in", "?0")
    return Question(f"{language}{number}", "w", language, f"q{number}", "chain", (clue,), "?0", "w:2", "Tavel")


def test_languages_take_turns_whatever_the_order_in_the_file() -> None:
    questions = [*(question(n, "en") for n in range(10)), *(question(n, "ar") for n in range(10))]
    chosen = evenly_by_language(questions, 8)
    assert Counter(item.language for item in chosen) == {"en": 4, "ar": 4}
    assert [item.question_id for item in chosen] == ["ar0", "en0", "ar1", "en1", "ar2", "en2", "ar3", "en3"]


def test_a_language_that_runs_out_leaves_its_turns_to_the_other() -> None:
    questions = [question(0, "ar"), *(question(n, "en") for n in range(5))]
    assert Counter(item.language for item in evenly_by_language(questions, 5)) == {"en": 4, "ar": 1}


def test_fewer_questions_than_asked_for_are_all_there_is() -> None:
    assert len(evenly_by_language([question(0, "en")], 5)) == 1
    assert evenly_by_language([], 5) == []
