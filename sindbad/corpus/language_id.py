"""Which language a text is in, by py3langid: a 4.6 MB model inside a BSD-licensed package, deterministic, offline.

Weak where every identifier is: a few words, names, mixed languages. So filters ask only about text of some length,
after code and URLs are taken out, and only for the probability of ONE language, its dialects added up. Of a few words
the letters may tell: those that only other languages in the same script have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sindbad.errors import InvalidInput

DIALECTS: Final[Mapping[str, tuple[str, ...]]] = {"ar": ("ary", "arz", "apc", "ajp", "aeb", "acm", "arb")}
"""Labels that count as the language beside its own."""
FOREIGN: Final[Mapping[str, frozenset[str]]] = {"ar": frozenset("پچژگکیےۓںٹڈڑہھ")}
"""Letters of other languages in a language's script: Persian's and Urdu's beside Arabic."""
LONGEST = 4000
"""Characters that are looked at."""


@lru_cache(maxsize=1)
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise InvalidInput(
            "the language filter needs py3langid: install sindbad[corpus], or leave the filter out "
            "(filters.without: [language])"
        ) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def ranking(text: str) -> list[tuple[str, float]]:
    """Labels with their probabilities, best first."""
    return [(str(label), float(share)) for label, share in _identifier().rank(text[:LONGEST])]


def probability(text: str, language: str) -> float:
    """Probability that ``text`` is in ``language``, whatever its region ("pt-BR"); NaN for one that the model does not
    know."""
    base = language.partition("-")[0]
    wanted = {base, *DIALECTS.get(base, ())}
    if base not in _identifier().labels:
        return float("nan")
    return min(1.0, sum(share for label, share in ranking(text) if label in wanted))


def told_by_letters(text: str, language: str) -> bool:
    """Whether two words and a third of all hold letters that ``language`` does not have; one word may be a name."""
    foreign = FOREIGN.get(language.partition("-")[0], frozenset())
    words = re.findall(r"[^\W\d_]+", text) if foreign and not foreign.isdisjoint(text) else []
    told = sum(not foreign.isdisjoint(word) for word in words)
    return told >= 2 and 3 * told >= len(words)
