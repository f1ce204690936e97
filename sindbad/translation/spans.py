"""Protected spans: what a translator must not touch is replaced by a sentinel before, and put back after.

Contract: every span of the source appears **exactly once** in the output; the order is free (Arabic moves clauses).
An identity translator gives the source back, for every text: what already looks like a sentinel is protected too.
``MASKER_VERSION`` is part of every ledger key: change what is masked, and only then, and the affected rows run again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from sindbad.translation.glossary import Glossary

MASKER_VERSION = "spans-1"
MAX_PIECE_SENTINELS = 8  # sentinels that the demo's tokenizer holds as one piece each
_OPEN, _CLOSE = "⟦", "⟧"
_SENTINEL = re.compile(rf"{_OPEN}[ \t]*([0-9]+)[ \t]*{_CLOSE}")


class SpanKind(StrEnum):
    """Why a span is protected."""

    CODE = "code"
    TOOL_CALL = "tool_call"
    JSON = "json"
    MATH = "math"
    URL = "url"
    EMAIL = "email"
    MARKUP = "markup"
    PLACEHOLDER = "placeholder"
    SENTINEL = "sentinel"
    NAME = "name"
    NUMBER = "number"


ALL_KINDS = frozenset(SpanKind)

# Leftmost match wins; at one position the first alternative does.
_PATTERNS: tuple[tuple[SpanKind, str], ...] = (
    (SpanKind.CODE, r"(?m:^[ ]{0,3}(?P<fence>`{3,}|~{3,})(?s:.*?)(?:^[ ]{0,3}(?P=fence)[`~]*[ \t]*$|\Z))"),
    (SpanKind.TOOL_CALL, r"(?s:<tool_call>.*?</tool_call>)"),
    (SpanKind.CODE, r"(?P<ticks>`+)(?!`)(?s:.+?)(?<!`)(?P=ticks)(?!`)"),
    (SpanKind.MATH, r"(?s:\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|\\begin\{(?P<env>[^{}\n]+)\}.*?\\end\{(?P=env)\})"),
    (SpanKind.MATH, r"\$(?![\s\d$])[^$\n]*?(?<!\s)\$(?!\d)"),
    (SpanKind.URL, r"\b(?:https?|ftp)://[^\s<>\"'`|،؛؟]*[^\s<>\"'`|،؛؟.,;:!?)\]}]"),
    (SpanKind.EMAIL, r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"),
    (SpanKind.MARKUP, r"<\|[\w ]+\|>|</?[A-Za-z][^<>\n]*>|&(?:[A-Za-z]+|#\d+);"),
    (
        SpanKind.PLACEHOLDER,
        r"\{\{[^{}\n]+\}\}|\[\[[^\[\]\n]+\]\]|\{[A-Za-z_]\w*\}|%\(\w+\)s|%[sd](?!\w)|\$[A-Za-z_]\w*",
    ),
    (SpanKind.JSON, r"\{"),
    (SpanKind.SENTINEL, rf"{_SENTINEL.pattern.replace('(', '(?:')}|[{_OPEN}{_CLOSE}]"),
)
_NUMBER = r"(?<![\w.])[0-9٠-٩]+(?:[.,٫٬:/-][0-9٠-٩]+)*%?(?!\w)"
_BEFORE_NAMES = [f"(?P<k{index}>{pattern})" for index, (_, pattern) in enumerate(_PATTERNS)]


@dataclass(frozen=True, slots=True)
class Span:
    """``text`` is what stood in the source at [start, end); ``replacement`` what stands in the output."""

    start: int
    end: int
    kind: SpanKind
    text: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with sentinels, numbered from 0 in order of appearance. ``spans[i]`` belongs to sentinel i."""

    text: str
    spans: tuple[Span, ...]

    @property
    def only_spans(self) -> bool:
        """Nothing is left to translate (no letter outside the sentinels)."""
        return not any(character.isalpha() for character in _SENTINEL.sub("", self.text))


@dataclass(frozen=True, slots=True)
class SpanDifference:
    """What a translation did to its sentinels. Empty (falsy) when the contract holds."""

    missing: tuple[int, ...] = ()
    repeated: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    stray: int = 0

    def __bool__(self) -> bool:
        return bool(self.missing or self.repeated or self.unknown or self.stray)

    def __str__(self) -> str:
        parts = [
            f"{name}={list(value)}"
            for name, value in (("missing", self.missing), ("repeated", self.repeated), ("unknown", self.unknown))
            if value
        ]
        return " ".join([*parts, f"stray={self.stray}"] if self.stray else parts)


def sentinel(index: int) -> str:
    """The visible form of sentinel ``index``."""
    return f"{_OPEN}{index}{_CLOSE}"


def _json_end(text: str, start: int) -> int | None:
    """End of the JSON object at ``start``, or None: prose in braces is no JSON."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError):
        return None
    return end if isinstance(value, dict) else None


@lru_cache(maxsize=64)
def _scanner(glossary: Glossary) -> re.Pattern[str]:
    names = [f"(?P<name>{glossary.pattern.pattern})"] if glossary.pattern else []
    return re.compile("|".join([*_BEFORE_NAMES, *names, f"(?P<number>{_NUMBER})"]))


def _kind_of(match: re.Match[str]) -> SpanKind:
    groups = match.groupdict()
    if groups.get("name") is not None:
        return SpanKind.NAME
    if groups["number"] is not None:
        return SpanKind.NUMBER
    return next(kind for index, (kind, _) in enumerate(_PATTERNS) if groups[f"k{index}"] is not None)


def _iterate(text: str, glossary: Glossary, kinds: frozenset[SpanKind]) -> Iterator[Span]:
    scanner, position = _scanner(glossary), 0
    while match := scanner.search(text, position):
        kind, start, end = _kind_of(match), match.start(), match.end()
        if kind is SpanKind.JSON:
            found = _json_end(text, start)
            if found is None:
                position = start + 1
                continue
            end = found
        position = max(end, start + 1)
        # a sentinel of the source must always be protected, or the round trip would not be the identity
        if kind in kinds or kind is SpanKind.SENTINEL:
            source = text[start:end]
            yield Span(start, end, kind, source, glossary[source] if kind is SpanKind.NAME else source)


def find_spans(text: str, glossary: Glossary | None = None, kinds: frozenset[SpanKind] = ALL_KINDS) -> tuple[Span, ...]:
    """Protected spans of ``text``, disjoint, from left to right."""
    return tuple(_iterate(text, glossary or Glossary(), kinds))


def mask(text: str, spans: Sequence[Span], *, start: int = 0, end: int | None = None) -> Masked:
    """Replace those ``spans`` (positions in ``text``) that lie in [start, end) and return that part, masked."""
    stop = len(text) if end is None else end
    inside = tuple(span for span in spans if span.start >= start and span.end <= stop)
    parts, position = [], start
    for index, span in enumerate(inside):
        parts += [text[position : span.start], sentinel(index)]
        position = span.end
    return Masked("".join([*parts, text[position:stop]]), inside)


def compare(masked: Masked, translated: str) -> SpanDifference:
    """Which sentinels of ``masked`` are missing, repeated or unknown in ``translated``."""
    seen = Counter(int(number) for number in _SENTINEL.findall(translated))
    wanted = range(len(masked.spans))
    remainder = _SENTINEL.sub("", translated)
    return SpanDifference(
        missing=tuple(index for index in wanted if not seen[index]),
        repeated=tuple(index for index in wanted if seen[index] > 1),
        unknown=tuple(sorted(index for index in seen if index not in wanted)),
        stray=remainder.count(_OPEN) + remainder.count(_CLOSE),
    )


def restore(masked: Masked, translated: str) -> str:
    """Put the spans back, in one pass, so that a span that looks like a sentinel is not replaced again.

    Raises:
        ValueError: the contract is broken; the message is the :class:`SpanDifference`.
    """
    difference = compare(masked, translated)
    if difference:
        raise ValueError(str(difference))
    return _SENTINEL.sub(lambda match: masked.spans[int(match[1])].replacement, translated)
