"""Every protected span of a text: the blocks' areas, the marks between them, and the spans inside prose."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from sindbad.translation import inline
from sindbad.translation.blocks import Area, Blocks, Stretch, parse
from sindbad.translation.glossary import Glossary
from sindbad.translation.json_spans import json_pieces
from sindbad.translation.kinds import ALL_KINDS, Span, SpanKind

NO_TERMS = Glossary()
_TAGS = re.compile(rf"<(/?)({'|'.join(sorted(inline.VERBATIM_TAGS))})(?:\s[^<>\n]{{0,1000}})?>", re.I)
_BLANK_LINE = re.compile(r"(?:\r\n|\r|\n)[ \t]*(?:\r\n|\r|\n)")
Range = tuple[int, int]


def find_spans(
    text: str,
    glossary: Glossary | None = None,
    kinds: frozenset[SpanKind] = ALL_KINDS,
    keep: Sequence[Range] = (),
) -> tuple[Span, ...]:
    """Protected spans of ``text``, disjoint, from left to right.

    Args:
        glossary: its terms are spans too, replaced by their translation.
        kinds: the kinds wanted; what looks like a sentinel is always among them, or the round trip would not hold.
        keep: ranges [start, end) that stay as they are (``SpanKind.CONTENT``), in order and disjoint.
    """
    return wanted_spans(text, every_span(text, glossary), kinds, keep)


def every_span(text: str, glossary: Glossary | None = None) -> list[Span]:
    """The spans of every kind: what :func:`find_spans` chooses from."""
    blocks = parse(text)
    chosen = glossary if glossary is not None else NO_TERMS
    found = sorted([*_of_stretches(text, blocks.stretches, chosen), *_of_areas(text, blocks.areas, chosen)], key=_start)
    return list(_disjoint([*found, *_marks(text, blocks), *_code_over_blocks(text)]))


def wanted_spans(
    text: str, spans: Sequence[Span], kinds: frozenset[SpanKind], keep: Sequence[Range] = ()
) -> tuple[Span, ...]:
    """Those of :func:`every_span` that :func:`find_spans` gives; see there."""
    return tuple(
        _with_content(text, [span for span in spans if span.kind in kinds or span.kind is SpanKind.SENTINEL], keep)
    )


def _start(span: Span) -> int:
    return span.start


def _span(text: str, start: int, end: int, kind: SpanKind, replacement: str | None = None, **more: object) -> Span:
    source = text[start:end]
    return Span(start, end, kind, source, source if replacement is None else replacement, **more)  # type: ignore[arg-type]


def _of_stretches(text: str, stretches: Sequence[Stretch], glossary: Glossary) -> Iterator[Span]:
    for stretch in stretches:
        joined = "\n".join(text[start:end] for start, end in stretch.pieces)
        starts, position = [], 0
        for start, end in stretch.pieces:
            starts.append(position)
            position += end - start + 1
        for found in inline.scan(joined, glossary):
            start = _place(stretch, starts, found.start)
            end = _place(stretch, starts, found.end - 1) + 1
            named = found.kind is SpanKind.NAME
            if named and text[start:end] not in glossary:  # a quotation's mark stands between its words
                continue
            name = glossary[text[start:end]] if named else None
            yield _span(text, start, end, found.kind, name, block=found.block, role=found.role)


def _place(stretch: Stretch, starts: Sequence[int], position: int) -> int:
    """Where character ``position`` of the joined stretch stands in the text."""
    piece = bisect_right(starts, position) - 1
    return stretch.pieces[piece][0] + position - starts[piece]


def _of_areas(text: str, areas: Sequence[Area], glossary: Glossary) -> Iterator[Span]:
    for area in areas:
        if area.kind is not SpanKind.JSON:
            yield _span(text, area.start, area.end, area.kind, block=True)
            continue
        pieces = json_pieces(text, area.start, area.end)
        for start, end in pieces:
            yield _span(text, start, end, SpanKind.JSON, block=True)
        for (_, left), (right, _) in itertools.pairwise(pieces):
            for found in inline.Inline(text[left:right], glossary, escapes=True).scan():
                source = text[left + found.start : left + found.end]
                name = glossary.get(source) or None if found.kind is SpanKind.NAME else None
                yield _span(text, left + found.start, left + found.end, found.kind, name, role=found.role)


def _marks(text: str, blocks: Blocks) -> Iterator[Span]:
    """What stands between areas and pieces of prose and is not blank: marks, pipes, definitions of links."""
    used = [(area.start, area.end, False) for area in blocks.areas]
    used += [(start, end, stretch.table) for stretch in blocks.stretches for start, end in stretch.pieces]
    position, table = 0, False
    for start, end, in_table in [*sorted(used), (len(text), len(text), False)]:
        gap = text[position:start]
        if gap.strip():
            left = len(gap) - len(gap.lstrip("\r\n"))
            right = len(gap) if gap.rsplit("\n", 1)[-1].strip() else len(gap.rstrip())
            kind = SpanKind.TABLE if (table or in_table) and "|" in gap else SpanKind.MARK
            yield _span(text, position + left, position + right, kind, block=True)
        position, table = max(position, end), in_table


def _code_over_blocks(text: str) -> Iterator[Span]:
    """``<code>`` … ``</code>`` over blank lines, which end a paragraph of Markdown. Both tags stand at the edge of a
    line: "the <code> tag" is prose, and what is inside a fence or between backticks is hidden by that span."""
    opened: dict[str, int] = {}
    for tag in _TAGS.finditer(text) if "</" in text else ():
        name = tag[2].lower()
        if not _at_edge(text, *tag.span()):
            continue
        if not tag[1]:
            opened.setdefault(name, tag.start())
        elif (start := opened.pop(name, -1)) >= 0 and _BLANK_LINE.search(text, start, tag.start()):
            yield _span(text, start, tag.end(), SpanKind.CODE, block=True)


def _at_edge(text: str, start: int, end: int) -> bool:
    """Whether nothing but blanks and marks of lists and quotations stands before, or blanks behind, on the line."""
    before = text[max(0, start - 40) : start].rsplit("\n", 1)[-1]
    after = re.split(r"[\r\n]", text[end : end + 40], maxsplit=1)[0]
    return not before.strip(" \t>*+-") or not after.strip()


def _disjoint(spans: Sequence[Span]) -> Iterator[Span]:
    """From left to right; of two that overlap the one that begins first, or is longer, stays."""
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= end and span.end > span.start:
            yield span
            end = span.end


def _with_content(text: str, spans: Sequence[Span], keep: Sequence[Range]) -> Iterator[Span]:
    """``spans`` with the kept ranges in their place; a range grows over a span that it cuts."""
    rest = list(spans)
    for start, end in keep:
        touched = [span for span in rest if span.start < end and span.end > start]
        start = min([start, *(span.start for span in touched if not span.block)])
        end = max([end, *(span.end for span in touched if not span.block)])
        inside = [span for span in rest if span.start < end and span.end > start]
        start, end = min([start, *(s.start for s in inside)]), max([end, *(s.end for s in inside)])
        rest = [span for span in rest if span not in inside]
        rest.append(_span(text, start, end, SpanKind.CONTENT, block="\n" in text[start:end]))
    yield from sorted(rest, key=_start)
