"""JSON in a text: keys, marks, numbers and identifiers are protected, the prose in its strings is not.

A string is prose when it holds at least two words, or a letter beyond ASCII; one bare word ("search", "en-US",
"GPT-4o") is an identifier to whatever reads the JSON, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*:)?')
_WORDS = re.compile(r"[^\W\d_]{1,}['’]?[^\W\d_]*[,;:]?\s+[^\W_]")
_CODE_LIKE = re.compile(
    r"^\s*(?:https?://\S+|[\w./\\-]+|[{(\[<].*|.*[;{}=]\s*$|(?:SELECT|INSERT|UPDATE|DELETE)\b.*)$", re.S
)


def is_prose(value: str) -> bool:
    """Whether the inside of a JSON string is something that a person reads."""
    if any(character.isalpha() and not character.isascii() for character in value):
        return True
    return bool(_WORDS.search(value)) and not _CODE_LIKE.match(value)


def strings(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Every string of the valid JSON value at [start, end): the inside, and whether it is a key."""
    for match in _STRING.finditer(text, start, end):
        yield match.start(1), match.end(1), match[2] is not None


def prose_places(text: str, start: int, end: int) -> tuple[int, ...]:
    """Which strings of the value, counted from 0, are prose."""
    found = enumerate(strings(text, start, end))
    return tuple(place for place, (left, right, key) in found if not key and is_prose(text[left:right]))


def json_pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The protected pieces of the valid JSON value at [start, end); between two stands the inside of a string."""
    pieces, position = [], start
    for left, right, key in strings(text, start, end):
        if not key and is_prose(text[left:right]):
            pieces.append((position, left))
            position = right
    return [*pieces, (position, end)]
