"""What two texts must have in common to be translations of one another: their protected spans, as often as each stands.

JSON is compared by shape: whether a string is prose is decided once, on the source, because a translation may read
otherwise ("مرحبا" is prose, "Hello" an identifier). The strings at the source's places may say anything, but for the
escapes and spans inside; all the rest of the value is the same. Values with prose keep their order, as they do in the
output of :mod:`sindbad.translation.segments`; those without may stand anywhere. Linear in the length of both texts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sindbad.translation.glossary import Glossary
from sindbad.translation.inline import Inline
from sindbad.translation.json_spans import prose_places, strings
from sindbad.translation.kinds import FORMAL_KINDS, Span, SpanKind

COMPARED = FORMAL_KINDS - {SpanKind.NAME, SpanKind.CONTENT, SpanKind.SENTINEL}
_DECODER = json.JSONDecoder()
Count = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Value:
    """A JSON value with prose: its text around the prose, where (which string) that stands, and what it holds."""

    shape: str
    places: tuple[int, ...]
    inside: Count


@dataclass(frozen=True, slots=True)
class Forms:
    """A source's spans: those that count one by one, JSON without prose, and JSON with prose in its order."""

    spans: Count
    fixed: Counter[str]
    values: tuple[Value, ...]


def forms(text: str, spans: Sequence[Span], kinds: Collection[SpanKind] = COMPARED) -> Forms:
    """What of ``spans`` (all of ``text``'s) its translation must hold again."""
    counted, found = _split(text, spans, kinds)
    fixed: Counter[str] = Counter()
    values = []
    for start, end in found:
        places = prose_places(text, start, end)
        if places:
            values.append(_value(text, start, end, places, kinds))
        else:
            fixed[text[start:end].strip()] += 1
    return Forms(counted, fixed, tuple(values))


def differing(
    there: Forms, text: str, spans: Sequence[Span], kinds: Collection[SpanKind] = COMPARED
) -> tuple[list[str], list[str]]:
    """What of the source's forms the translation ``text`` lost, and what it has beyond them."""
    counted, found = _split(text, spans, kinds)
    fixed, lost, added = there.fixed.copy(), list[str](), list[str]()
    prose = []
    for start, end in found:
        if fixed[text[start:end].strip()] > 0:
            fixed[text[start:end].strip()] -= 1
        else:
            prose.append((start, end))
    for number, value in enumerate(there.values):
        here = _value(text, *prose[number], value.places, kinds) if number < len(prose) else None
        if here is None or here.shape != value.shape:
            lost.append(value.shape)
            added += [text[slice(*prose[number])]] if here else []
            continue
        lost += [inner for _, inner in (value.inside - here.inside).elements()]
        added += [inner for _, inner in (here.inside - value.inside).elements()]
    added += [text[start:end] for start, end in prose[len(there.values) :]]
    lost += [*(one for _, one in (there.spans - counted).elements()), *fixed.elements()]
    return lost, [*added, *(one for _, one in (counted - there.spans).elements())]


def _split(text: str, spans: Sequence[Span], kinds: Collection[SpanKind]) -> tuple[Count, list[tuple[int, int]]]:
    """The spans that stand for themselves, counted, and where the JSON values stand that others are pieces of."""
    counted: Count = Counter()
    values: list[tuple[int, int]] = []
    end = 0
    for span in spans:
        if span.kind not in kinds or span.start < end:
            continue
        if span.kind is SpanKind.JSON and (stop := _end_of_value(text, span)):
            values.append((span.start, stop))
            end = stop
        else:
            counted[span.kind, span.text.strip()] += 1
    return counted, values


def _end_of_value(text: str, span: Span) -> int | None:
    """Where the JSON value ends whose first piece is ``span``; None for a key or an escape by itself."""
    if not span.text.startswith(("{", "[")):
        return None
    try:
        _, end = _DECODER.raw_decode(text, span.start)
    except (ValueError, RecursionError):
        return None
    return end if end >= span.end else None


def _value(text: str, start: int, end: int, places: Sequence[int], kinds: Collection[SpanKind]) -> Value:
    """The value at [start, end) with the strings at ``places`` taken for prose, whatever they say."""
    parts, inside, position = list[str](), Count(), start
    chosen = set(places)
    for number, (left, right, _) in enumerate(strings(text, start, end)):
        if number not in chosen:
            continue
        parts.append(text[position:left])
        position = right
        for found in Inline(text[left:right], Glossary(), escapes=True).scan():
            if found.kind in kinds:
                inside[found.kind, text[left + found.start : left + found.end]] += 1
    return Value("".join([*parts, text[position:end]]).strip(), tuple(places), inside)
