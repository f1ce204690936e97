"""English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import ClassVar

from sindbad.languages.pack import AgentWording, LanguagePack, squeeze

_ARTICLES = re.compile(r"\b(?:the|an?)\b")
_RELATIVE = {"person": "who"}


class English(LanguagePack):
    """Case, articles and punctuation do not tell answers apart."""

    code = "en"
    name = "English"
    english_name = "English"
    rtl = False
    latin = True
    scripts = ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F))
    letter_share = (0.9, 1.0)
    length_ratio = (1.0, 1.0)
    digits = "0123456789"
    question_mark = "?"
    phrases: ClassVar[Mapping[str, str]] = {
        "born_in": "was born in",
        "works_for": "works for",
        "spouse": "is married to",
        "studied_under": "studied under",
        "located_in": "lies in",
        "mayor": "is run by",
        "twin": "is twinned with",
        "capital": "has its capital at",
        "leader": "is led by",
        "borders": "shares a border with",
        "founder": "was founded by",
        "based_in": "has its seat in",
        "rival": "competes with",
    }
    kinds: ClassVar[Mapping[str, str]] = {
        "person": "is a person",
        "city": "is a city",
        "country": "is a country",
        "company": "is a company",
    }
    agent = AgentWording(
        opening="Let me read about",
        searching="Let me search.",
        retry="That failed, let me try again.",
        give_up="I cannot find it.",
    )

    def normalise_answer(self, text: str) -> str:
        """Case-fold, drop punctuation and articles, squeeze spaces (SQuAD's normalisation)."""
        folded = unicodedata.normalize("NFKC", text).casefold()
        words = "".join(" " if unicodedata.category(char)[0] in "PSC" else char for char in folded)
        return squeeze(_ARTICLES.sub(" ", words)) or squeeze(words)

    def _some(self, entity_type: str) -> str:
        return f"a {entity_type} {_RELATIVE.get(entity_type, 'that')}"

    def _which(self, entity_type: str) -> str:
        return f"which {entity_type}"

    def _which_opening(self, entity_type: str) -> str:
        return f"Which {entity_type}"

    def _the(self, entity_type: str) -> str:
        return f"The {entity_type} {_RELATIVE.get(entity_type, 'that')}"

    def _and(self, entity_type: str) -> str:
        return "and"


PACK: LanguagePack = English()
