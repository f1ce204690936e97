"""English plurals: by rule, irregular ones by a table; of "category of elements" the first noun takes the ending."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_IRREGULAR: Final[Mapping[str, str]] = {
    "person": "people", "human": "humans", "man": "men", "woman": "women", "child": "children", "series": "series",
    "species": "species", "genus": "genera", "crisis": "crises", "phenomenon": "phenomena", "medium": "media",
    "work of art": "works of art", "aircraft": "aircraft", "spacecraft": "spacecraft", "hero": "heroes",
    "life": "lives", "wife": "wives", "leaf": "leaves", "shelf": "shelves", "people": "peoples", "quiz": "quizzes",
    "basis": "bases", "criterion": "criteria", "foot": "feet", "mouse": "mice",
}  # fmt: skip
_SINGULAR_IN_S: Final = ("ss", "us", "is", "ics", "series", "species", "news")
_HEAD: Final = re.compile(r"\s+(?:of|in|for|at|from|by|with)\s")
"""What ends the part of a name that is counted."""


def plural(noun: str) -> str:
    """Several of it: "country" is "countries", "field of study" is "fields of study"."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    head, rest = _parts(noun)
    before, space, last = head.rpartition(" ")
    return f"{before}{space}{_plural_word(last)}{rest}"


def is_plural(noun: str) -> bool:
    """Whether a label names several things as it stands: "land boundaries", not "atomic mass"."""
    head, _ = _parts(noun)
    return head.endswith("s") and not head.endswith(_SINGULAR_IN_S)


def _parts(noun: str) -> tuple[str, str]:
    """What is counted, and what it is of."""
    tail = _HEAD.search(noun)
    return (noun[: tail.start()], noun[tail.start() :]) if tail else (noun, "")


def _plural_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"
