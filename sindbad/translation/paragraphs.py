"""What blank lines part: which paragraphs a translation lost, and which one it left in the source language.

A translation may join paragraphs, so a smaller number of them alone is no loss. Which it is, their lengths say, aligned
as sentences of parallel texts are (Gale and Church, "A Program for Aligning Sentences in Bilingual Corpora", 1993):
what was joined is as long as both were, what was lost leaves the others as they are. A paragraph that is much shorter
than its neighbours may be lost unseen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_WORD = r"[^\W\d_]{2,}+(?:['’][^\W\d_]{1,2})?+"
_PHRASE = re.compile(rf"(?<![^\W_]){_WORD}(?:,? {_WORD}){{4,}}+")
_UNPARTED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]{12}")
JOINED: Final = 3.9
LOST: Final = 4.6
"""Minus the logarithm of how often a model joins a paragraph to the next, or leaves it out: some 2 and 1 in a hundred,
our choice; the lengths decide."""
SPREAD: Final = (0.15, 1.8)
"""Standard deviation of the logarithm of length over length, of long texts, and what is added for short ones times the
root of their characters: half more than that of 1,500 paragraphs of translated documentation and 1,000 of news."""
RATIOS: Final = (-0.45, -0.3, -0.15, 0.0, 0.15, 0.3, 0.45)
RATIO_SPREAD: Final = 0.3
"""How far a text may be longer or shorter than its languages are, as a logarithm: a translator's and CLDR's error."""
MOST: Final = 30
"""Paragraphs that are aligned; of more, the length of all of them decides."""
FEWEST_SMALL: Final = 3
"""Words of a phrase that begin with no capital; titles and names have fewer."""


def paragraphs(text: str) -> list[str]:
    """The parts of ``text`` between blank lines that hold a letter or a figure."""
    return [part for part in _BLANK_LINES.split(text.replace("\r\n", "\n")) if any(map(str.isalnum, part))]


def lost(source: Sequence[str], target: Sequence[str], ratio: float) -> int:
    """How many of ``source``'s paragraphs have nothing in ``target``; 0 where the target has as many, or none at all.

    Args:
        ratio: characters of a translation for one of its source, in these languages.
    """
    there, here = [len(part.strip()) for part in source], [len(part.strip()) for part in target]
    if not here or len(here) >= len(there):
        return 0
    if len(there) > MOST:
        return len(there) - len(here) if sum(here) < math.exp(RATIOS[0]) * ratio * sum(there) else 0
    aligned = (_aligned(there, here, ratio * math.exp(off), (off / RATIO_SPREAD) ** 2 / 2) for off in RATIOS)
    return min(aligned)[1]


def _aligned(there: Sequence[int], here: Sequence[int], ratio: float, price: float) -> tuple[float, int]:
    """The cheapest alignment: its cost, and how many of ``there`` it leaves out. Each of ``here`` has one or more."""
    upto = [0, *there]
    for place in range(1, len(upto)):
        upto[place] += upto[place - 1]
    best = [(price + LOST * left, left) for left in range(len(there) + 1)]
    for length in here:
        reached: list[tuple[float, int]] = [(math.inf, 0)]
        for end in range(1, len(there) + 1):
            options = [(reached[-1][0] + LOST, reached[-1][1] + 1)]
            for start in range(end):
                cost, left = best[start]
                fits = cost + JOINED * (end - start - 1) + _misfit(upto[end] - upto[start], length, ratio)
                options.append((fits, left))
            reached.append(min(options))
        best = reached
    return best[-1]


def _misfit(source: int, target: int, ratio: float) -> float:
    spread = math.hypot(SPREAD[0], SPREAD[1] / math.sqrt(max(1, source)))
    return float((math.log(max(1, target) / (ratio * max(1, source))) / spread) ** 2 / 2)


def is_prose(text: str) -> bool:
    """Whether ``text`` holds a phrase: five words in a row, three of which begin with no capital, or a dozen letters of
    a script that parts no words. Lines of code, titles and lists of names have none."""
    phrases = (re.split(r",? ", found[0]) for found in _PHRASE.finditer(text))
    small = (sum(not word[0].isupper() for word in words) for words in phrases)
    return any(count >= FEWEST_SMALL for count in small) or bool(_UNPARTED.search(text))
