"""Protected spans: what a translator must not touch is replaced by a sentinel before, and put back after.

Contract: every span of the source appears **exactly once** in the output, and in an order that means the same (see
:mod:`sindbad.translation.kinds`). :func:`verify` says whether it holds, mends what has one reading only, and otherwise
gives reasons; :func:`restore` refuses what does not hold. An identity translator gives the source back, for every text:
what already looks like a sentinel is protected too. ``MASKER_VERSION`` is part of every ledger key: change what is
masked, and only then, and the affected rows run again.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sindbad.languages.pack import LanguagePack
from sindbad.translation.glossary import Glossary
from sindbad.translation.kinds import ALL_KINDS, FORMAL_KINDS, STRUCTURE, WORDS, Span, SpanKind
from sindbad.translation.scan import find_spans
from sindbad.translation.sentinels import CLOSE, OPEN, SENTINEL, mend, sentinel

__all__ = [
    "ALL_KINDS",
    "FORMAL_KINDS",
    "MASKER_VERSION",
    "MAX_PIECE_SENTINELS",
    "STRUCTURE",
    "WORDS",
    "Masked",
    "Span",
    "SpanDifference",
    "SpanKind",
    "Verdict",
    "compare",
    "find_spans",
    "mask",
    "mask_part",
    "merged",
    "restore",
    "sentinel",
    "verify",
]

MASKER_VERSION = "spans-5"
MAX_PIECE_SENTINELS = 8  # sentinels that the demo's tokenizer holds as one piece each


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with sentinels, numbered from 0 in order of appearance. ``spans[i]`` belongs to sentinel i.

    ``escape`` is "json" where the text stands inside a JSON string: what a translator writes is escaped on the way
    back.
    """

    text: str
    spans: tuple[Span, ...]
    version: str = MASKER_VERSION
    escape: str = ""

    @property
    def sharing(self) -> tuple[str, ...]:
        """Equal for texts where a translation with sentinels that keeps the contract of one keeps the other's.

        Text and escape, and what decides where each span may stand: kind, role, partner.
        """
        partner = _partners(self.spans)
        spans = (f"{s.kind}.{s.role}.{s.block:d}.{partner.get(index, '')}" for index, s in enumerate(self.spans))
        return self.text, self.escape, *spans

    @property
    def only_spans(self) -> bool:
        """Nothing is left to translate (no letter outside the sentinels)."""
        return not any(character.isalpha() for character in SENTINEL.sub("", self.text))


@dataclass(frozen=True, slots=True)
class SpanDifference:
    """What a translation did to its sentinels. Empty (falsy) when the contract holds."""

    missing: tuple[int, ...] = ()
    repeated: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    stray: int = 0
    moved: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.repeated or self.unknown or self.stray or self.moved)

    def __str__(self) -> str:
        named = (
            ("missing", self.missing),
            ("repeated", self.repeated),
            ("unknown", self.unknown),
            ("moved", self.moved),
        )
        parts = [f"{name}={list(value)}" for name, value in named if value]
        return " ".join([*parts, f"stray={self.stray}"] if self.stray else parts)

    def reasons(self) -> tuple[str, ...]:
        """Each fault as "name: what"; the names are stable."""
        found = []
        if self.missing:
            found.append(f"span_lost: {self}")
        if self.repeated:
            found.append(f"span_repeated: {self}")
        if self.unknown or self.stray:
            found.append(f"span_unknown: {self}")
        if self.moved:
            found.append(f"span_order: {self}")
        return tuple(found)


_SOUND = SpanDifference()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a translation kept its spans.

    Attributes:
        text: the translation with its sentinels, mended where ``repairs`` names something.
        reasons: why it cannot be used; empty when it can. difference: before any repair, for the ledger.
    """

    text: str
    repairs: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    difference: SpanDifference = field(default_factory=SpanDifference)

    @property
    def ok(self) -> bool:
        """The contract holds, perhaps after a repair."""
        return not self.reasons

    @property
    def repaired(self) -> bool:
        """The contract holds because something was mended."""
        return self.ok and bool(self.repairs)


def mask(
    text: str,
    pack: LanguagePack | None = None,
    *,
    glossary: Glossary | None = None,
    kinds: frozenset[SpanKind] = ALL_KINDS,
) -> Masked:
    """A whole text with every span, structure included, as a sentinel; neighbours in structure share one.

    Args:
        pack: the source's language, for its own digits; any pack's digits are understood without it.
    """
    return mask_part(text, merged(text, find_spans(text, glossary, kinds)))


def merged(text: str, spans: Sequence[Span]) -> list[Span]:
    """Structure that only blanks separate becomes one span: fewer sentinels to keep in order."""
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last and last.block and span.block and not text[last.end : span.start].strip():
            whole = text[last.start : span.end]
            merged[-1] = replace(last, end=span.end, text=whole, replacement=whole)
        else:
            merged.append(span)
    return merged


def mask_part(text: str, spans: Sequence[Span], *, start: int = 0, end: int | None = None, escape: str = "") -> Masked:
    """Replace those ``spans`` (positions in ``text``) that lie in [start, end) and return that part, masked."""
    stop = len(text) if end is None else end
    inside = tuple(span for span in spans if span.start >= start and span.end <= stop)
    parts, position = [], start
    for index, span in enumerate(inside):
        parts += [text[position : span.start], sentinel(index)]
        position = span.end
    return Masked("".join([*parts, text[position:stop]]), inside, escape=escape)


def compare(masked: Masked, translated: str) -> SpanDifference:
    """Which sentinels of ``masked`` are missing, repeated, unknown or out of place in ``translated``."""
    if not masked.spans and OPEN not in translated and CLOSE not in translated:
        return _SOUND
    order = [int(number) for number in SENTINEL.findall(translated)]
    seen, wanted = Counter(order), range(len(masked.spans))
    remainder = SENTINEL.sub("", translated)
    difference = SpanDifference(
        missing=tuple(index for index in wanted if not seen[index]),
        repeated=tuple(index for index in wanted if seen[index] > 1),
        unknown=tuple(sorted(index for index in seen if index not in wanted)),
        stray=remainder.count(OPEN) + remainder.count(CLOSE),
    )
    return difference or SpanDifference(moved=_moved(masked.spans, order))


def _moved(spans: Sequence[Span], order: Sequence[int]) -> tuple[int, ...]:
    """Sentinels in ``order`` (a permutation) that mean something else where they stand now."""
    if all(left < right for left, right in itertools.pairwise(order)):
        return ()
    return tuple(sorted({*_out_of_segment(spans, order), *_out_of_turn(spans, order), *_crossed(spans, order)}))


def _out_of_segment(spans: Sequence[Span], order: Sequence[int]) -> set[int]:
    """Structure keeps its order, and nothing crosses it."""
    homes, home = [], 0
    for span in spans:
        homes.append(home)
        home += span.block
    wrong, here = set(), 0
    for index in order:
        if homes[index] != here:
            wrong.add(index)
        here += spans[index].block
    return wrong


def _out_of_turn(spans: Sequence[Span], order: Sequence[int]) -> set[int]:
    """Positional placeholders take their arguments in order."""
    positional = [index for index in order if spans[index].role == "positional"]
    return {index for index, rightful in zip(positional, sorted(positional), strict=True) if index != rightful}


def _crossed(spans: Sequence[Span], order: Sequence[int]) -> set[int]:
    """Pairs open before they close and never cross."""
    partner = _partners(spans)
    wrong, waiting = set(), list[int]()
    for index in order:
        if index not in partner:
            continue
        if spans[index].role == "open":
            waiting.append(index)
        elif waiting and waiting[-1] == partner[index]:
            waiting.pop()
        else:
            wrong.add(index)
    return wrong


def _partners(spans: Sequence[Span]) -> dict[int, int]:
    """Which opening span belongs to which closing one, both ways; those without a partner are left out."""
    waiting: list[int] = []
    partner: dict[int, int] = {}
    for index, span in enumerate(spans):
        if span.role == "open":
            waiting.append(index)
        elif span.role == "close":
            place = _opening(waiting, spans, span)
            if place is not None:
                found = waiting[place]
                partner |= {found: index, index: found}
                del waiting[place:]
    return partner


def _opening(waiting: Sequence[int], spans: Sequence[Span], close: Span) -> int | None:
    """The place in ``waiting`` of what ``close`` closes, among the last 64."""
    wanted, nearest = pair_name(close), range(len(waiting) - 1, max(-1, len(waiting) - 65), -1)
    return next((place for place in nearest if pair_name(spans[waiting[place]]) == wanted), None)


def pair_name(span: Span) -> str:
    """What the two halves of a pair share: the tag's name, or the kind."""
    if span.kind is SpanKind.LINK:
        return "link"
    return span.text.strip("</>[]| \t\n").split(maxsplit=1)[0].lower() if span.text.strip("</>[]| \t\n") else ""


def verify(masked: Masked, translated: str) -> Verdict:
    """Whether ``translated`` kept the spans of ``masked``, after the repairs that have one reading only."""
    difference = compare(masked, translated)
    if not difference:
        return _spaced(Verdict(translated), masked)
    mended, repairs = mend(translated, masked.text, [span.replacement for span in masked.spans])
    left = compare(masked, mended)
    if left:
        return Verdict(translated, (), left.reasons(), difference)
    return _spaced(Verdict(mended, repairs, (), difference), masked)


_GREEDY = frozenset({SpanKind.URL, SpanKind.EMAIL})


def _spaced(verdict: Verdict, masked: Masked) -> Verdict:
    """A word that was pushed against a URL would become part of it: one space between them."""
    if not any(span.kind in _GREEDY for span in masked.spans):
        return verdict
    parts, position, text = [], 0, verdict.text
    for match in SENTINEL.finditer(text):
        parts.append(text[position : match.start()])
        greedy = masked.spans[int(match[1])].kind in _GREEDY
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        parts.append(" " if greedy and before.isalnum() and not _glued(masked, int(match[1]), before=True) else "")
        parts.append(match[0])
        parts.append(" " if greedy and after.isalnum() and not _glued(masked, int(match[1]), before=False) else "")
        position = match.end()
    spaced = "".join([*parts, text[position:]])
    return verdict if spaced == text else replace(verdict, text=spaced, repairs=(*verdict.repairs, "spacing"))


def _glued(masked: Masked, index: int, *, before: bool) -> bool:
    """Whether the source itself has a letter beside this sentinel."""
    at = masked.text.find(sentinel(index))
    beside = masked.text[at - 1 : at] if before else masked.text[at + len(sentinel(index)) :][:1]
    return beside.isalnum()


def restore(masked: Masked, translated: str) -> str:
    """Put the spans back, in one pass, so that a span that looks like a sentinel is not replaced again.

    Raises:
        ValueError: the contract is broken; the message is the :class:`SpanDifference`.
    """
    difference = compare(masked, translated)
    if difference:
        raise ValueError(str(difference))
    parts, position = [], 0
    for match in SENTINEL.finditer(translated):
        parts += [
            _escaped(translated[position : match.start()], masked.escape),
            masked.spans[int(match[1])].replacement,
        ]
        position = match.end()
    return "".join([*parts, _escaped(translated[position:], masked.escape)])


def _escaped(text: str, escape: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1] if escape == "json" else text
