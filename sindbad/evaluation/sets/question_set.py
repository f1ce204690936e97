"""A set of questions to be evaluated on: where it came from, how its answers are judged, whether its text is protected.

Invariant: ids are unique, every question has a gold answer, and ``digest`` is equal exactly for sets that ask the same
questions with the same gold answers in the same order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain, zip_longest

from sindbad.errors import InvalidInput
from sindbad.questions.question import Question


class SetFormat(StrEnum):
    """File formats."""

    SINDBAD = "sindbad"
    BROWSECOMP = "browsecomp"
    GAIA = "gaia"
    HLE = "hle"
    PLAIN = "plain"


CONTAMINATION = (
    "This benchmark is meant to stay out of training data. Its text is held in memory and written only encrypted "
    "(journals) or not at all (tables, reports); what the agent asks its tools is theirs to see and, where the search "
    "service records live calls, stands in the recording. Never publish or train on what --keep-text writes."
)


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions of one file.

    Attributes:
        name: of the file, without its endings.
        judge_style: the judge prompt that its authors' grading calls for (sindbad.judging.styles).
        canary: key of what is written about protected questions; empty where the text may be written in the clear.
        left_out: how many rows were not taken, by reason.
    """

    name: str
    format: SetFormat
    questions: tuple[Question, ...]
    judge_style: str = "general"
    canary: str = field(default="", repr=False)
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.questions:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            raise InvalidInput(f"{self.name} holds no question to ask{f' ({reasons})' if reasons else ''}")
        seen: set[str] = set()
        for question in self.questions:
            if question.question_id in seen:
                raise InvalidInput(f"{self.name} has the question id {question.question_id!r} twice")
            seen.add(question.question_id)

    @property
    def protected(self) -> bool:
        """Whether its text must not be written in the clear."""
        return bool(self.canary)

    @property
    def digest(self) -> str:
        """See :func:`digest_of`."""
        return digest_of(self.questions)

    def first(self, count: int | None) -> QuestionSet:
        """The first ``count`` questions, taking the languages in turn; all of them for None."""
        if count is None or count >= len(self.questions):
            return self
        return replace(self, questions=tuple(evenly_by_language(self.questions, count)))


def digest_of(questions: Sequence[Question]) -> str:
    """SHA-256 (hex) over ids, languages, texts and gold answers in order."""
    whole = hashlib.sha256()
    for question in questions:
        told = [question.question_id, question.language, question.text, question.answer, *question.aliases]
        whole.update(json.dumps(told, ensure_ascii=False).encode("utf-8") + b"\n")
    return whole.hexdigest()


def evenly_by_language(questions: Sequence[Question], count: int) -> list[Question]:
    """The first ``count`` questions, taking the languages in turn; the same for every caller."""
    by_language: dict[str, list[Question]] = {}
    for question in questions:
        by_language.setdefault(question.language, []).append(question)
    turns = zip_longest(*(by_language[language] for language in sorted(by_language)))
    return [question for question in chain.from_iterable(turns) if question is not None][:count]
