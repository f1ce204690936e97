"""Which questions an evaluation asks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

from sindbad.questions.question import Question


def evenly_by_language(questions: Sequence[Question], count: int) -> list[Question]:
    """The first ``count`` questions, taking the languages in turn; the same for every caller."""
    by_language: dict[str, list[Question]] = {}
    for question in questions:
        by_language.setdefault(question.language, []).append(question)
    turns = zip_longest(*(by_language[language] for language in sorted(by_language)))
    return [question for question in chain.from_iterable(turns) if question is not None][:count]
