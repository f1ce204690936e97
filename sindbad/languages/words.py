"""Whether a name stands in a text as words of its own: "Gold" is not named by "Golden Medal Ribbon".

By hand: a pattern for each of a graph's names would be compiled anew for each.
"""

from __future__ import annotations

import re
from typing import Final

CLITICS: Final = "[وفبكل]{0,2}(?:ال|لل)?"
"""A pattern of what Arabic writes onto the front of a word."""
_BEFORE: Final = re.compile(CLITICS)


def has_words(text: str, name: str, language: str) -> bool:
    """Whether ``name``, which is not empty, stands in ``text`` and no word goes on before or behind it; Arabic clitics
    may be written onto it."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        if not (_goes_on(name[-1]) and _goes_on(text[end : end + 1])) and _begins(text, at, name, language):
            return True
        at = text.find(name, at + 1)
    return False


def _begins(text: str, at: int, name: str, language: str) -> bool:
    """Whether a word begins at a place, or behind the clitics of one."""
    if not (at and _goes_on(name[0]) and _goes_on(text[at - 1])):
        return True
    if language != "ar":
        return False
    start = at
    while start and _goes_on(text[start - 1]):
        start -= 1
    return _BEFORE.fullmatch(text, start, at) is not None


def _goes_on(char: str) -> bool:
    return char.isalnum() or char == "_"
