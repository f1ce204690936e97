"""What a language lets a model change when it words a question anew (:mod:`sindbad.questions.rewording`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RewordingRules:
    """One language's.

    Attributes:
        prompt: what the model is asked; "{text}" stands for the question.
        paraphrases: relation phrase -> other ways of saying it that state the same.
        auxiliaries: words that may be left out at the start of a phrase.
        degrees: words that decide what is asked (question words too), or how vague or large an amount is, or on which
            side of it something lies: the same ones have to stand in both texts.
        hedges: one of them marks a statement as hearsay. negations: none may be added.
    """

    prompt: str
    paraphrases: Mapping[str, Sequence[str]]
    auxiliaries: Sequence[str]
    degrees: Sequence[str]
    hedges: Sequence[str]
    negations: frozenset[str]
