"""From text to index terms. The same function runs at index and at query time; the index splits on blanks only.

Rules go by the script of a word, not by the language of the page, so that a Latin name in an Arabic page and a query in
two languages both work: Latin words are lower-cased and stemmed (Snowball English), Arabic words are normalised and
light-stemmed (after Larkey, Ballesteros & Connell, "Light stemming for Arabic information retrieval", 2007: light10),
scripts without blanks become character bigrams, everything else is case-folded. Change a rule, raise :data:`VERSION`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import tantivy

VERSION: Final = 1

_ALEF: Final = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه", "ؤ": "و", "ئ": "ي"})
_ARABIC_INDIC: Final = {ord(char): str(unicodedata.digit(char)) for char in "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹"}
_DIACRITICS: Final = re.compile("[\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0640]")
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_ARABIC: Final = re.compile("[\u0600-\u06ff\u0750-\u077f]")
_LATIN: Final = re.compile("[a-z]")
_NO_BLANKS: Final = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_PREFIXES: Final = ("وال", "بال", "كال", "فال", "لل", "ال")
_SUFFIXES: Final = ("ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?؟。！？])[\"”»)]*\s+|\n+")


@lru_cache(maxsize=1)
def _english() -> tantivy.TextAnalyzer:
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).filter(tantivy.Filter.stemmer("english")).build()


def fold(text: str) -> str:
    """Compatibility forms, case, Arabic letter variants, diacritics and digits folded; length may change."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _DIACRITICS.sub("", folded).translate(_ALEF).translate(_ARABIC_INDIC)


def title_key(title: str) -> str:
    """What two titles share when they are the same: folded, blanks collapsed, not stemmed (names differ by endings)."""
    return " ".join(fold(title).split())


def terms(text: str) -> list[str]:
    """Index terms of ``text`` in order, repetitions kept."""
    return [term for word in _WORD.findall(fold(text)) for term in _word_terms(word)]


@lru_cache(maxsize=200_000)
def _word_terms(word: str) -> tuple[str, ...]:
    """``word`` is folded. One term, or the bigrams of a script without blanks."""
    if _NO_BLANKS.search(word):
        return tuple(word[i : i + 2] for i in range(max(1, len(word) - 1)))
    if _ARABIC.search(word):
        return (light_stem(word),)
    if _LATIN.search(word):
        stems = _english().analyze(word.replace("’", "'"))
        return tuple(stem.replace("'", "") for stem in stems if stem.strip("'"))
    return (word,)


def light_stem(word: str) -> str:
    """light10: one conjunction, one article, then endings, never below two letters (three after the conjunction)."""
    if word.startswith("و") and len(word) > 3:
        word = word[1:]
    for prefix in _PREFIXES:
        if word.startswith(prefix) and len(word) - len(prefix) >= 2:
            word = word[len(prefix) :]
            break
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 2:
            word = word[: -len(suffix)]
    return word


def sentences(text: str) -> list[str]:
    """Sentences in order, blanks collapsed, no empty ones. Splits after ``. ! ? ؟`` and a blank, and at line ends."""
    pieces = (" ".join(piece.split()) for piece in _SENTENCE_END.split(text))
    return [piece for piece in pieces if piece]
