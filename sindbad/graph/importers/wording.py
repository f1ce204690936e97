"""How relations, types and attributes are worded in each language: written by hand, a line each.

A phrase stands between subject and object and the object comes last, as in the language packs, so that a sentence can
be read back and a question can end in what it asks for. A relation that nobody worded ("starred actors" of a user's own
table) is worded from its name in English and not at all in other languages: pages never state what was not written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from sindbad.graph.dates import date_parts
from sindbad.graph.knowledge import Attribute, RelationInfo

Texts = Mapping[str, str]
LANGUAGES: Final = ("en", "ar")
_MONTHS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ),
    "ar": (
        "يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر",
    ),
}  # fmt: skip
_SPOKEN: Final = re.compile(
    r"(?:uni(?![mn])|eu|us[aeiu]|ut[eio]|ubi|ur[aeiou]|one\b|once\b|hour|hono[u]?r|heir|honest)", re.IGNORECASE
)
"""English words whose first sound is not what their first letter says: a university, an hour."""
_ERAS: Final[Texts] = {"en": "BC", "ar": "ق.م"}
_UNITS: Final[Mapping[str, Texts]] = {
    "km²": {"en": "km²", "ar": "كم²"},
    "u": {"en": "u", "ar": "وحدة كتل ذرية"},
    "K": {"en": "K", "ar": "كلفن"},
    "m": {"en": "m", "ar": "م"},
    "km": {"en": "km", "ar": "كم"},
    "years": {"en": "years", "ar": "سنة"},
    "minutes": {"en": "minutes", "ar": "دقيقة"},
}


@dataclass(frozen=True, slots=True)
class Words:
    """One relation, type or attribute: label and phrase in English, then in Arabic ("" where there is none)."""

    label: str
    phrase: str
    label_ar: str = ""
    phrase_ar: str = ""

    @property
    def labels(self) -> dict[str, str]:
        return {code: text for code, text in (("en", self.label), ("ar", self.label_ar)) if text}

    @property
    def phrases(self) -> dict[str, str]:
        return {code: text for code, text in (("en", self.phrase), ("ar", self.phrase_ar)) if text}


@dataclass(frozen=True, slots=True)
class Wording:
    """The tables of one import. Types and attributes are worded like relations, under their own names."""

    relations: Mapping[str, Words] = field(default_factory=dict)
    types: Mapping[str, Words] = field(default_factory=dict)
    attributes: Mapping[str, Words] = field(default_factory=dict)

    def relation(self, name: str) -> Words:
        """Its line, or its name in English."""
        return self.relations.get(name) or from_name(name)

    def type(self, name: str) -> Words:
        """Its line, or "is a …" in English."""
        return self.types.get(name) or Words(from_name(name).label, f"is {_article(from_name(name).label)}")

    def attribute(self, name: str) -> Words:
        """Its line, or "has the … of" in English."""
        return self.attributes.get(name) or Words(from_name(name).label, f"has the {from_name(name).label}")

    def joined(self, other: Wording) -> Wording:
        """Both tables; this one's lines count where both have one."""
        return Wording(
            {**other.relations, **self.relations},
            {**other.types, **self.types},
            {**other.attributes, **self.attributes},
        )

    def infos(self, types: Mapping[str, int], attributes: Mapping[str, int]) -> list[RelationInfo]:
        """The types' and attributes' wording as relations "@type/city", "@population"."""
        found = [(f"@type/{name}", self.type(name)) for name in types if name]
        found += [(f"@{name}", self.attribute(name)) for name in attributes]
        return [RelationInfo(name, words.labels, words.phrases) for name, words in found]


@lru_cache(4096)
def from_name(name: str) -> Words:
    """ "starred_actors" or "/film/starring": words that a person can read, in English only."""
    label = " ".join(re.split(r"[\s_/.]+", name.strip("/_. "))) or name
    return Words(label, f"has {label}")


def _article(noun: str) -> str:
    written = noun[:1].lower() in "aeiou"
    return f"an {noun}" if written != bool(_SPOKEN.match(noun)) else f"a {noun}"


def value_text(attribute: Attribute, language: str) -> str:
    """A value as a page states it: "19 June 1922", "43844000", "1.008 u"; digits are ASCII in every language."""
    if attribute.kind == "date":
        return date_text(str(attribute.value), language)
    unit = _UNITS.get(attribute.unit, {}).get(language, attribute.unit)
    return f"{attribute.value}{unit}" if unit in ("°", "%") else f"{attribute.value} {unit}".strip()


def date_text(date: str, language: str) -> str:
    """A date that is known to the day, the month or the year; anything else as it is."""
    read = date_parts(date)
    if read is None:
        return date
    year, month, day = read
    known = 1 <= month <= 12
    parts = [str(day)] if known and day else []
    if known:
        parts.append(_MONTHS[language][month - 1])
    return " ".join([*parts, str(abs(year)), *([_ERAS[language]] if date.startswith("-") else [])])
