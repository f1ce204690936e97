"""Cut a document into what a translator is asked for, and put the rest (blank lines, list marks) back untouched.

Invariant: the concatenation of ``lead + body + trail`` over all segments is the document, whatever it contains, and no
segment boundary lies inside a protected span.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sindbad.translation.spans import Span

_LEAD = re.compile(r"\s*(?:>[ \t]?)*(?:(?:#{1,6}|[-*+•]|\d{1,3}[.)]|\|)[ \t]+)*\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?؟…])[\"'”»)\]]*[ \t]+(?=\S)")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|etc|No|[A-Z])\.$")


@dataclass(frozen=True, slots=True)
class Segment:
    """One unit of translation at [start, end) of the document; ``lead`` and ``trail`` are copied, never sent."""

    lead: str
    start: int
    end: int
    trail: str


def _inside(position: int, spans: Sequence[Span]) -> bool:
    return any(span.start < position < span.end for span in spans)


def _lines(text: str, spans: Sequence[Span]) -> list[tuple[int, int]]:
    """[start, end) of every line, its newline included; a line break inside a span does not count."""
    cuts = [match.end() for match in re.finditer(r"\n", text) if not _inside(match.end(), spans)]
    edges = [0, *cuts, *([] if cuts and cuts[-1] == len(text) else [len(text)])]
    return [(start, end) for start, end in itertools.pairwise(edges) if end > start]


def _sentence_cuts(text: str, start: int, end: int, spans: Sequence[Span]) -> list[int]:
    """Positions at which the next sentence begins."""
    found = []
    for match in _SENTENCE_END.finditer(text, start, end):
        abbreviated = _ABBREVIATION.search(text[max(start, match.start() - 8) : match.start()])
        if not abbreviated and not _inside(match.end(), spans):
            found.append(match.end())
    return found


def _segment(text: str, start: int, end: int, spans: Sequence[Span], *, line_start: bool) -> Segment:
    lead = _LEAD.match(text, start, end) if line_start else re.compile(r"\s*").match(text, start, end)
    assert lead is not None
    body_start = lead.end()
    if _inside(body_start, spans) or any(span.start < body_start and span.start >= start for span in spans):
        body_start = start
    stripped = text[body_start:end].rstrip()
    body_end = body_start + len(stripped)
    return Segment(text[start:body_start], body_start, body_end, text[body_end:end])


def split(text: str, spans: Sequence[Span], *, sentences: int = 1) -> list[Segment]:
    """Segments of ``text``: lines, cut further after every ``sentences`` sentences (0 keeps lines whole)."""
    segments: list[Segment] = []
    for start, end in _lines(text, spans):
        cuts = _sentence_cuts(text, start, end, spans)[sentences - 1 :: sentences] if sentences else []
        edges = [start, *cuts, end]
        for index, (left, right) in enumerate(itertools.pairwise(edges)):
            if right > left:
                segments.append(_segment(text, left, right, spans, line_start=index == 0))
    return segments
