"""Filters of a translated pair: each says keep, or the reason. Pure functions of text, every score on record.

A filter measures one number and keeps what lies inside its bounds; so a threshold can be changed after the fact, and
the ledger's scores say what another one would have kept. What is protected (code, URLs, mathematics) is taken out
before scripts, lengths and languages are measured; numbers are compared by value, because "٣" and "3" are the same.
What stays in the source language on purpose (``Pair.kept``) is taken out of both texts before anything is measured; how
much of a conversation that may be is a filter of its own.

Covered here: what needs the text alone. What needs a model (round trip, judge, quality estimation) is in
:mod:`sindbad.corpus.examiners`, duplicates between rows in :mod:`sindbad.corpus.duplicates`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from pydantic import BaseModel, ConfigDict

from sindbad.languages import get_language
from sindbad.translation import forms as formal
from sindbad.translation.glossary import Glossary
from sindbad.translation.kinds import Span, SpanKind
from sindbad.translation.numbers import differing
from sindbad.translation.paragraphs import is_prose, lost, paragraphs
from sindbad.translation.spans import find_spans

NOT_PROSE: Final = frozenset(SpanKind) - {SpanKind.NAME, SpanKind.NUMBER}
_FORMAL: Final = NOT_PROSE - {SpanKind.CONTENT, SpanKind.MARK, SpanKind.TABLE}
_WORD = re.compile(r"\w+")
_ENDS: Final = (".", "!", "?", "؟", "…", ":", "؛", ";", '"', "”", "»", ")", "]", "。")
_LEFT: Final = 0.1
"""A paragraph with a smaller share of the target's letters was not translated; the text's share may still be fine."""
_SIGN: Final = 0.6
"""How much one sure sign of a cut is worth."""
_HIDDEN: Final = "\ufffc"
NOTHING: Final = math.nan
"""The score of a filter that has nothing to say about a pair."""
EVERYTHING: Final = (-math.inf, math.inf)


class FilterSettings(BaseModel):
    """Thresholds. The defaults are ours (the paper names none), wide enough for correct pairs of the demo and of
    professional translations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    length_ratio_min: float | None = None
    """Fewest target characters a source character; unset: what the language packs expect, divided by the slack."""
    length_ratio_max: float | None = None
    """Most target characters a source character; unset: what the language packs expect, times the slack."""
    length_ratio_slack: float = 2.0
    """How far a length may lie outside the packs' range."""
    script_share_min: float = 0.7
    """Least share of the target's letters in the target language's script."""
    language_min: float = 0.2
    """Least probability of the target language (its dialects added up)."""
    language_letters: int = 24
    """Fewer letters than this, and only letters that the language does not have say that it is another one."""
    paragraph_letters: int = 24
    """Least letters of a paragraph whose language is looked at for itself."""
    repetition_max: int = 3
    """Most times one word may follow itself or one 3-gram may occur beyond what the source repeats."""
    truncated_max: float = 0.5
    """Most of the signs of a cut-off text (see ``truncated``)."""
    answered_max: float = 0.6
    """Most of the signs that a task was done instead of translated (see :mod:`sindbad.corpus.answered`)."""
    kept_max: float = 0.9
    """Most of a conversation's characters that stay in the source language because a task asks to transform them."""
    short_text: int = 12
    """Below this many characters, lengths say nothing."""
    without: tuple[str, ...] = ()
    """Filters that are left out, by name."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and its translation, with the languages and the glossary that was in force.

    ``answer`` and ``source_answer``: in a conversation, the reply to this message, translated and as it was; a
    "translation" that consists of its reply is suspect. ``kept``: what stands in both texts in the source language on
    purpose, because a task asks to transform it ("fix the grammar of …"); of it only the amount is judged.
    """

    source: str
    target: str
    source_language: str = "en"
    target_language: str = "ar"
    glossary: Glossary | None = None
    answer: str = ""
    source_answer: str = ""
    kept: tuple[str, ...] = ()

    def rest(self) -> Pair:
        """Itself without ``kept``: what there is to judge."""
        if not self.kept:
            return self
        source, target = (_without(text, self.kept) for text in (self.source, self.target))
        return replace(self, source=source, target=target, kept=())


def _without(text: str, parts: Sequence[str]) -> str:
    """``text`` without one occurrence of each part, as a word of its own where there is one."""
    for part in parts:
        found = re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) or re.search(re.escape(part), text)
        if found:
            text = text[: found.start()] + " " + text[found.end() :]
    return text


def judged_parts(pairs: Sequence[Pair]) -> list[Pair]:
    """What there is to judge of ``pairs``: without what is kept, and without those of which nothing else is left."""
    both = ((pair, pair.rest()) for pair in pairs)
    return [rest for pair, rest in both if not pair.kept or any(map(str.isalnum, rest.source + rest.target))]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a pair is not kept: the filter's name and what it saw."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Score:
    """One filter's number and verdict; ``reason`` is "" for keep. Kept is what lies in [low, high]; NaN is kept."""

    name: str
    value: float
    reason: str
    low: float = -math.inf
    high: float = math.inf


Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: ``measure`` gives its number, ``bounds`` what is kept."""

    name: str
    measure: Callable[[Pair, FilterSettings], float]
    bounds: Callable[[Pair, FilterSettings], Bounds]

    def score(self, pair: Pair, settings: FilterSettings) -> Score:
        """The number with its verdict."""
        value, (low, high) = self.measure(pair, settings), self.bounds(pair, settings)
        outside = not math.isnan(value) and not low <= value <= high
        return Score(self.name, value, self.name if outside else "", low, high)

    def check(self, pair: Pair, settings: FilterSettings | None = None) -> Reason | None:
        """Keep (None), or the reason."""
        found = self.score(pair.rest(), settings or FilterSettings())
        if not found.reason:
            return None
        return Reason(found.name, f"{found.value:.3g} outside {found.low:.3g} to {found.high:.3g}")


# -- what the text is made of ------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _spans(text: str) -> tuple[Span, ...]:
    return find_spans(text, kinds=NOT_PROSE)


@lru_cache(maxsize=512)
def prose(text: str) -> str:
    """``text`` without protected spans."""
    for span in reversed(_spans(text)):
        text = text[: span.start] + " " + text[span.end :]
    return text


def without_terms(pair: Pair) -> tuple[str, str]:
    """Both texts without the glossary's terms where a translator replaces them, and without their translations."""
    source, target = pair.source, pair.target
    for start, end in reversed(_term_ranges(pair)):
        translated = pair.glossary[source[start:end]] if pair.glossary else ""
        source, target = f"{source[:start]} {source[end:]}", target.replace(translated, " ", 1)
    return source, target


def _term_ranges(pair: Pair) -> list[tuple[int, int]]:
    """Where the source has terms of the glossary that are not part of something protected: `Python` in code stays."""
    if not pair.glossary or pair.glossary.pattern is None:
        return []
    text = pair.source
    for span in _spans(text):
        text = text[: span.start] + _HIDDEN * (span.end - span.start) + text[span.end :]
    return [match.span() for match in pair.glossary.pattern.finditer(text)]


def script_share(text: str, language: str) -> float:
    """Share of letters in the script of ``language``; 1.0 where there is no letter."""
    return get_language(language).script_share(text) if any(map(str.isalpha, text)) else 1.0


def length_range(source: str, target: str) -> Bounds:
    """Expected target characters a source character; each language knows its length beside English."""
    (low, high), (least, most) = get_language(target).length_ratio, get_language(source).length_ratio
    return low / most, high / least


def lengths(pair: Pair) -> tuple[int, int]:
    """Characters of prose in source and target."""
    return len(prose(pair.source).strip()), len(prose(pair.target).strip())


# -- the filters -------------------------------------------------------------------------------------------------------


def _at_most(limit: Callable[[FilterSettings], float]) -> Callable[[Pair, FilterSettings], Bounds]:
    return lambda pair, settings: (-math.inf, limit(settings))


def _at_least(limit: Callable[[FilterSettings], float]) -> Callable[[Pair, FilterSettings], Bounds]:
    return lambda pair, settings: (limit(settings), math.inf)


_NONE = _at_most(lambda settings: 0.0)


def empty(pair: Pair, settings: FilterSettings) -> float:
    """1 if nothing came back for something."""
    return float(bool(pair.source.strip()) and not pair.target.strip())


def length_ratio(pair: Pair, settings: FilterSettings) -> float:
    """Characters of target prose for one of source prose."""
    source, target = lengths(pair)
    return target / max(1, source) if max(source, target) >= settings.short_text else NOTHING


def _length_bounds(pair: Pair, settings: FilterSettings) -> Bounds:
    low, high = length_range(pair.source_language, pair.target_language)
    least, most = settings.length_ratio_min, settings.length_ratio_max
    slack = settings.length_ratio_slack
    return low / slack if least is None else least, high * slack if most is None else most


def script(pair: Pair, settings: FilterSettings) -> float:
    """Share of the target's letters in its script; where a paragraph was left in another one, that paragraph's."""
    text = prose(pair.target)
    shares = (script_share(part, pair.target_language) for part in _sayings(text, settings))
    return min([script_share(text, pair.target_language), *(share for share in shares if share < _LEFT)])


def _sayings(text: str, settings: FilterSettings) -> list[str]:
    """Of several paragraphs those that are long enough to have a language, and prose."""
    parts, enough = paragraphs(text) if "\n" in text else [], settings.paragraph_letters
    return [part for part in parts if sum(map(str.isalpha, part)) >= enough and is_prose(part)] if parts[1:] else []


def language(pair: Pair, settings: FilterSettings) -> float:
    """Probability of the target language, by a small identifier."""
    from sindbad.corpus.language_id import probability, told_by_letters

    text = prose(pair.target)
    if sum(map(str.isalpha, text)) < settings.language_letters:
        return 0.0 if told_by_letters(text, pair.target_language) else NOTHING
    return probability(text, pair.target_language)


def untranslated(pair: Pair, settings: FilterSettings) -> float:
    """1 if the target, or a paragraph of it, is the source's again; a number is the same in both languages."""
    source, target = prose(pair.source), prose(pair.target)
    if source.split() == target.split() and any(map(str.isalpha, source)):
        return 1.0
    left = {tuple(part.split()) for part in _sayings(target, settings)}
    return float(bool(left) and any(tuple(part.split()) in left for part in paragraphs(source)))


def repetition(pair: Pair, settings: FilterSettings) -> float:
    """A loop: a word after itself, or a 3-gram, more often than the source repeats anything."""
    return float(_loops(pair.target) - _loops(pair.source))


def _loops(text: str) -> int:
    words = _WORD.findall(text)
    doubled = sum(left == right for left, right in itertools.pairwise(words))
    grams = Counter(zip(words, words[1:], words[2:], strict=False))
    return int(max(doubled, max(grams.values(), default=0)))


def truncated(pair: Pair, settings: FilterSettings) -> float:
    """Signs of a cut: the source ends a sentence, the target does not and is short; or paragraphs are missing, or lines
    (of a list, a poem) of a text that is short. A paragraph in lines of a fixed width may come back as one line, and
    one may be joined to the next: its length is there."""
    source, target = pair.source.rstrip(), pair.target.rstrip()
    if not source or not target:
        return NOTHING
    expected, most = length_range(pair.source_language, pair.target_language)
    long, short = lengths(pair)
    unfinished = source.endswith(_ENDS) and not target.endswith(_ENDS)
    cut = _SIGN if unfinished and long >= 4 * settings.short_text and short < expected * long else 0.0
    before, after = (sum(bool(line.strip()) for line in text.split("\n")) for text in (source, target))
    there, here = (paragraphs(prose(text)) if after < before else [] for text in (pair.source, pair.target))
    gone = lost(there, here, math.sqrt(expected * most))
    if short >= expected * long:
        before = len(paragraphs(source))
    return max(cut, _SIGN if gone else 0.0, (before - after) / before if before > after else 0.0)


def answered(pair: Pair, settings: FilterSettings) -> float:
    """Signs that the task was done instead of translated."""
    from sindbad.corpus.answered import evidence

    return evidence(pair)


def numbers(pair: Pair, settings: FilterSettings) -> float:
    """Numbers that are missing or new, by value, and not spelled out (:mod:`sindbad.translation.numbers`); those of the
    glossary's terms ("Boeing 747") become what it says."""
    return float(len(differing(*without_terms(pair), pair.source_language, pair.target_language)))


def protected(pair: Pair, settings: FilterSettings) -> float:
    """Code, URLs, tags and placeholders that are missing or new."""
    there = formal.forms(pair.source, _spans(pair.source), _FORMAL)
    lost, added = formal.differing(there, pair.target, _spans(pair.target), _FORMAL)
    return float(len(lost) + len(added))


def names(pair: Pair, settings: FilterSettings) -> float:
    """Glossary names of the source that do not stand in the target as often, in their target form."""
    if pair.glossary is None:
        return 0.0
    wanted = Counter(pair.glossary[pair.source[start:end]] for start, end in _term_ranges(pair))
    return float(sum(max(0, count - pair.target.count(name)) for name, count in wanted.items()))


DEFAULT_FILTERS: tuple[Filter, ...] = (
    Filter("empty", empty, _NONE),
    Filter("untranslated", untranslated, _NONE),
    Filter("script", script, _at_least(lambda settings: settings.script_share_min)),
    Filter("length_ratio", length_ratio, _length_bounds),
    Filter("language", language, _at_least(lambda settings: settings.language_min)),
    Filter("repetition", repetition, _at_most(lambda settings: settings.repetition_max - 1.0)),
    Filter("answered", answered, _at_most(lambda settings: settings.answered_max)),
    Filter("truncated", truncated, _at_most(lambda settings: settings.truncated_max)),
    Filter("numbers", numbers, _NONE),
    Filter("protected", protected, _NONE),
    Filter("names", names, _NONE),
)
"""In the waterfall's order: the first reason is the one that counts."""
KEPT: Final = "kept"
"""Measured on a whole conversation (:func:`kept_share`), behind the filters of a message."""
FILTER_NAMES: Final = (*(filter_.name for filter_ in DEFAULT_FILTERS), KEPT)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All scores, and the first reason (or "")."""

    reason: str
    scores: tuple[Score, ...]

    @property
    def keep(self) -> bool:
        return not self.reason


def judge(pair: Pair, settings: FilterSettings | None = None, filters: Sequence[Filter] = DEFAULT_FILTERS) -> Verdict:
    """Run every filter (all scores are recorded, also after the first reason)."""
    chosen, rest = settings or FilterSettings(), pair.rest()
    scores = tuple(one.score(rest, chosen) for one in filters if one.name not in chosen.without)
    return Verdict(next((score.reason for score in scores if score.reason), ""), scores)


def judge_all(
    pairs: Sequence[Pair], settings: FilterSettings | None = None, filters: Sequence[Filter] = DEFAULT_FILTERS
) -> Verdict:
    """The verdict on a conversation: for every filter the score of its worst message; a reason anywhere is a reason."""
    worst: dict[str, Score] = {}
    for pair in judged_parts(pairs):
        for score in judge(pair, settings, filters).scores:
            worst[score.name] = _worse(worst.get(score.name), score)
    scores = (*worst.values(), *_kept_scores(pairs, settings or FilterSettings()))
    return Verdict(next((score.reason for score in scores if score.reason), ""), scores)


def kept_share(pairs: Sequence[Pair]) -> float:
    """How much of the sources' characters no filter sees, because it stays as it is; NaN where nothing does."""
    kept = sum(len(part) for pair in pairs for part in pair.kept)
    return kept / max(1, sum(len(pair.source.strip()) for pair in pairs)) if kept else NOTHING


def _kept_scores(pairs: Sequence[Pair], settings: FilterSettings) -> tuple[Score, ...]:
    share = kept_share(pairs)
    if math.isnan(share) or KEPT in settings.without:
        return ()
    return (Score(KEPT, share, KEPT if share > settings.kept_max else "", -math.inf, settings.kept_max),)


def _worse(one: Score | None, other: Score) -> Score:
    """The score nearer to, or further beyond, its bounds; equal bounds are assumed."""
    if one is None or math.isnan(one.value) or (other.reason and not one.reason):
        return other
    if math.isnan(other.value) or (one.reason and not other.reason):
        return one
    return other if _margin(other) < _margin(one) else one


def _margin(score: Score) -> float:
    return min(score.value - score.low, score.high - score.value)


def scores_of(verdict: Verdict) -> Mapping[str, float]:
    """Name -> number, without those that had nothing to say."""
    return {score.name: score.value for score in verdict.scores if not math.isnan(score.value)}
