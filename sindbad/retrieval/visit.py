"""What a page says about a goal, within a budget of characters. Retrieval within the page; no model needed.

A page that fits is shown whole. A longer one is cut into sentences; those that share the rarest words with the goal are
kept, in the page's order. The same text and goal give the same evidence in every environment.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from sindbad.retrieval import analysis
from sindbad.retrieval.extraction import canonical

DEFAULT_BUDGET_CHARS: Final = 8_000
GAP: Final = " … "


@dataclass(frozen=True, slots=True)
class Excerpt:
    """``truncated`` is True when some of the page is not shown."""

    text: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class _Sentence:
    position: int
    paragraph: int
    text: str


def excerpt(text: str, goal: str, max_chars: int = DEFAULT_BUDGET_CHARS) -> Excerpt:
    """At most ``max_chars`` characters of ``text`` (≥ 1), chosen for ``goal``; an empty goal keeps the beginning."""
    whole = canonical(text)
    if len(whole) <= max_chars:
        return Excerpt(whole, False)
    rows = [
        _Sentence(0, number, sentence)
        for number, paragraph in enumerate(whole.split("\n"))
        for sentence in analysis.sentences(paragraph)
    ]
    rows = [_Sentence(position, row.paragraph, row.text) for position, row in enumerate(rows)]
    chosen = _within(_by_goal(rows, goal), max_chars)
    return Excerpt(_joined(chosen) if chosen else _cut(whole, max_chars), True)


def _by_goal(rows: list[_Sentence], goal: str) -> list[_Sentence]:
    """Best first; ties in the page's order, so that an empty goal reads from the top."""
    bags = [frozenset(analysis.terms(row.text)) for row in rows]
    seen = Counter(term for bag in bags for term in bag)
    weight = {term: math.log(1 + len(rows) / seen[term]) for term in analysis.terms(goal) if term in seen}
    scores = [sum(value for term, value in weight.items() if term in bag) for bag in bags]
    return [rows[i] for i in sorted(range(len(rows)), key=lambda i: (-scores[i], i))]


def _within(ranked: list[_Sentence], max_chars: int) -> list[_Sentence]:
    """Greedy in rank order; every sentence is charged its length and the longest joint. Page order."""
    kept: list[_Sentence] = []
    left = max_chars
    for row in ranked:
        price = len(row.text) + len(GAP)
        if price <= left:
            kept.append(row)
            left -= price
        elif not kept:  # the best sentence alone is too long: its beginning beats the page's
            return [replace(row, text=_cut(row.text, max_chars))]
        if left < 8:
            break
    return sorted(kept, key=lambda row: row.position)


def _joined(rows: list[_Sentence]) -> str:
    parts: list[str] = []
    for before, row in zip([None, *rows], rows, strict=False):
        if before is None:
            parts.append(row.text)
            continue
        adjacent = row.position == before.position + 1
        joint = GAP if not adjacent else " " if row.paragraph == before.paragraph else "\n"
        parts.append(joint + row.text)
    return "".join(parts)


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else text[: max(0, max_chars - 1)].rstrip() + "…"
