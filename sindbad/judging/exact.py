"""Normalised exact match, per language: the rule beside which every model judge is reported."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from sindbad.judging.verdict import DecidedBy, JudgeRequest, Verdict

Normaliser = Callable[[str], str]
_ARTICLES = re.compile(r"^(?:the|a|an)\s+")
_LEAD_INS = {
    "en": re.compile(r"^(?:(?:the )?(?:final )?answer(?: is|:)?|it is|it's|that is)\s+", re.IGNORECASE),
    "ar": re.compile(r"^(?:الجواب(?: هو| هي|:)?|الإجابة(?: هي|:)?|هو|هي|إنه|إنها)\s+"),
}
_ALEF = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه", "ـ": None})
_MAX_LENGTH = 2_000


def fold(text: str) -> str:
    """Language-independent folding: NFKC, case, digits of any script, punctuation to spaces, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    characters = (_folded_character(character) for character in folded)
    return " ".join("".join(characters).split())


def _folded_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category[0] in "LN" or category in ("Mn", "Mc"):
        return character
    return "" if category == "Cf" else " "


def normalise_english(text: str) -> str:
    """Fold, drop a lead-in ("The answer is …") and a leading article."""
    return _ARTICLES.sub("", fold(_without_lead_in(text, "en")))


def normalise_arabic(text: str) -> str:
    """Fold, drop a lead-in, tashkeel and tatweel, unify alef, alef maqsura and ta marbuta."""
    folded = unicodedata.normalize("NFD", fold(_without_lead_in(text, "ar")).translate(_ALEF))
    bare = "".join(character for character in folded if unicodedata.category(character) != "Mn")
    return unicodedata.normalize("NFC", bare).translate(_ALEF)


def _without_lead_in(text: str, language: str) -> str:
    return _LEAD_INS[language].sub("", " ".join(text.split()), count=1)


NORMALISERS: Mapping[str, Normaliser] = {"en": normalise_english, "ar": normalise_arabic}


class ExactJudge:
    """Correct if the normalised answer equals the normalised gold answer or an alias.

    Args:
        normalisers: language -> normalisation; other languages get :func:`fold`.
    """

    def __init__(self, normalisers: Mapping[str, Normaliser] = NORMALISERS) -> None:
        self._normalisers = normalisers

    async def judge(self, request: JudgeRequest) -> Verdict:
        """Never fails; an empty answer is wrong."""
        return self.decide(request)

    def decide(self, request: JudgeRequest) -> Verdict:
        """Synchronous form of :meth:`judge`."""
        correct, reason = self._compare(request)
        return Verdict(correct, reason, DecidedBy.EXACT, exact=correct)

    def _compare(self, request: JudgeRequest) -> tuple[bool, str]:
        normalise = self._normalisers.get(request.language, fold)
        given = normalise((request.answer or "")[:_MAX_LENGTH])
        if not given:
            return False, "there is no answer"
        for accepted in (request.gold, *request.aliases):
            if normalise(accepted) == given:
                return True, f"equals {accepted!r} after normalisation"
        return False, f"differs from {request.gold!r} after normalisation"
