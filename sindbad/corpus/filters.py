"""Filters of a translated pair: each says keep (""), or the reason. Pure functions of text.

What is protected (code, URLs, names by glossary) is taken out before scripts and lengths are measured; numbers are
compared by value, because "٣" and "3" are the same number.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from sindbad.translation.glossary import Glossary
from sindbad.translation.spans import SpanKind, find_spans

_NOT_PROSE = frozenset(SpanKind) - {SpanKind.NAME, SpanKind.NUMBER}
_SCRIPT_NAMES = {"ar": "ARABIC", "en": "LATIN"}
_WORD = re.compile(r"\w+")


class FilterSettings(BaseModel):
    """Thresholds. The defaults are ours (the paper names none), wide enough for every correct pair of the demo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    length_ratio_min: float = 0.25
    """Fewest target characters a source character."""
    length_ratio_max: float = 2.5
    """Most target characters a source character."""
    script_share_min: float = 0.7
    """Least share of the target's letters in the target language's script."""
    repetition_max: int = 3
    """Most times one word may follow itself or one 3-gram may occur beyond what the source repeats."""
    short_text: int = 12
    """Below this many characters, lengths say nothing."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and its translation, with the languages and the glossary that was in force."""

    source: str
    target: str
    source_language: str = "en"
    target_language: str = "ar"
    glossary: Glossary | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One filter's number and verdict; ``reason`` is "" for keep."""

    name: str
    value: float
    reason: str


Filter = Callable[[Pair, FilterSettings], Score]


def prose(text: str) -> str:
    """``text`` without protected spans."""
    for span in reversed(find_spans(text, kinds=_NOT_PROSE)):
        text = text[: span.start] + " " + text[span.end :]
    return text


def script_share(text: str, language: str) -> float:
    """Share of letters in the script of ``language``; 1.0 where there is no letter."""
    letters = [character for character in text if character.isalpha()]
    wanted = _SCRIPT_NAMES[language]
    return sum(unicodedata.name(letter, "").startswith(wanted) for letter in letters) / len(letters) if letters else 1.0


def number_values(text: str) -> Counter[str]:
    """Numbers of ``text`` by value: any decimal digits, separators ignored at the ends."""
    runs = re.findall(r"\d+(?:[.,٫٬]\d+)*", text)
    return Counter("".join(str(unicodedata.digit(c)) if c.isdigit() else "." for c in run) for run in runs)


def empty(pair: Pair, settings: FilterSettings) -> Score:
    """Something came back, if there was something."""
    bad = bool(pair.source.strip()) and not pair.target.strip()
    return Score("empty", float(bad), "empty" if bad else "")


def length_ratio(pair: Pair, settings: FilterSettings) -> Score:
    """Characters of target prose for one of source prose."""
    source, target = len(prose(pair.source).strip()), len(prose(pair.target).strip())
    ratio = target / max(1, source)
    outside = not settings.length_ratio_min <= ratio <= settings.length_ratio_max
    return Score(
        "length_ratio", ratio, "length_ratio" if outside and max(source, target) >= settings.short_text else ""
    )


def script(pair: Pair, settings: FilterSettings) -> Score:
    """Share of the target's letters in its script."""
    share = script_share(prose(pair.target), pair.target_language)
    return Score("script", share, "script" if share < settings.script_share_min else "")


def untranslated(pair: Pair, settings: FilterSettings) -> Score:
    """The target is the source again."""
    same = prose(pair.source).split() == prose(pair.target).split() and bool(_WORD.search(prose(pair.source)))
    return Score("untranslated", float(same), "untranslated" if same else "")


def repetition(pair: Pair, settings: FilterSettings) -> Score:
    """A loop: a word after itself, or a 3-gram, more often than the source repeats anything."""
    excess = _loops(pair.target) - _loops(pair.source)
    return Score("repetition", float(excess), "repetition" if excess >= settings.repetition_max else "")


def _loops(text: str) -> int:
    words = _WORD.findall(text)
    doubled = sum(left == right for left, right in itertools.pairwise(words))
    grams = Counter(zip(words, words[1:], words[2:], strict=False))
    return int(max(doubled, max(grams.values(), default=0)))


def numbers(pair: Pair, settings: FilterSettings) -> Score:
    """The same numbers, by value, as often."""
    source, target = number_values(pair.source), number_values(pair.target)
    missing = sum(((source - target) + (target - source)).values())
    return Score("numbers", float(missing), "numbers" if missing else "")


def protected(pair: Pair, settings: FilterSettings) -> Score:
    """The same code, URLs, tags and placeholders, each as often."""
    kinds = _NOT_PROSE
    source, target = (
        Counter(span.text for span in find_spans(text, kinds=kinds)) for text in (pair.source, pair.target)
    )
    broken = sum(((source - target) + (target - source)).values())
    return Score("protected", float(broken), "protected" if broken else "")


def names(pair: Pair, settings: FilterSettings) -> Score:
    """Every glossary name of the source stands in the target at least as often, in its target form."""
    wanted = (
        Counter(pair.glossary[name] for name in pair.glossary.names_in(pair.source)) if pair.glossary else Counter()
    )
    lost = sum(max(0, count - pair.target.count(name)) for name, count in wanted.items())
    return Score("names", float(lost), "names" if lost else "")


DEFAULT_FILTERS: tuple[Filter, ...] = (empty, untranslated, script, length_ratio, repetition, numbers, protected, names)


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
    scores = tuple(filter_(pair, settings or FilterSettings()) for filter_ in filters)
    return Verdict(next((score.reason for score in scores if score.reason), ""), scores)
