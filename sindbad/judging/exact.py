"""Normalised exact match, per language: the rule beside which every model judge is reported."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from sindbad.errors import InvalidInput
from sindbad.judging.verdict import DecidedBy, JudgeRequest, Verdict
from sindbad.languages import get_pack

Normaliser = Callable[[str], str]
_LEAD_INS = {
    "en": re.compile(r"^(?:(?:the )?(?:final )?answer(?: is|:)|it is|it's|that is)\s+", re.IGNORECASE),
    "ar": re.compile(r"^(?:الجواب(?: هو| هي|:)|الإجابة(?: هي|:)|هو|هي)\s+"),
}
_MAX_LENGTH = 2_000


def normaliser(language: str) -> Normaliser:
    """The language pack's normalisation after a lead-in ("The answer is …") is dropped; :func:`fold` without a pack."""
    try:
        pack = get_pack(language)
    except InvalidInput:
        return fold
    return lambda text: pack.normalise_answer(_without_lead_in(text, language))


def _without_lead_in(text: str, language: str) -> str:
    squeezed = " ".join(text.split())
    lead_in = _LEAD_INS.get(language)
    # An answer that is nothing but the lead-in's words is an answer.
    return (lead_in.sub("", squeezed, count=1) or squeezed) if lead_in else squeezed


def fold(text: str) -> str:
    """Language-independent folding: NFKC, case, digits of any script, punctuation to spaces, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(_folded(character) for character in folded).split())


def _folded(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category[0] in "LN" or category in ("Mn", "Mc"):
        return character
    return "" if category == "Cf" else " "


class ExactJudge:
    """Correct if the normalised answer equals the normalised gold answer or an alias."""

    async def judge(self, request: JudgeRequest) -> Verdict:
        """Never fails; an empty answer is wrong."""
        return self.decide(request)

    def decide(self, request: JudgeRequest) -> Verdict:
        """Synchronous form of :meth:`judge`."""
        correct, reason = _compare(request)
        return Verdict(correct, reason, DecidedBy.EXACT, exact=correct)


def _compare(request: JudgeRequest) -> tuple[bool, str]:
    normalise = normaliser(request.language)
    given = normalise((request.answer or "")[:_MAX_LENGTH])
    if not given:
        return False, "there is no answer"
    for accepted in (request.gold, *request.aliases):
        if normalise(accepted) == given:
            return True, f"equals {accepted!r} after normalisation"
    return False, f"differs from {request.gold!r} after normalisation"
