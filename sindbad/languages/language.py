"""What translation and its filters must know of a language: name, script, how it writes numbers, how long texts are.

Of the languages that have a pack (:mod:`sindbad.languages.pack`) it is written down; of every other one it comes from
Unicode's CLDR, by babel: no folder and no code of ours is needed to translate into it. What CLDR does not say is
estimated: the length of a text beside English from some hundred names of countries, languages and currencies in both,
which is rough ("fr" 1.03, where prose has about 1.15), so the range around it is wide.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from functools import cached_property, lru_cache
from typing import Any, Final

from sindbad.errors import InvalidInput

LENGTH_SLACK: Final = (0.6, 1.6)
"""Range around the estimated length: our choice; it holds for Arabic, whose pack knows better (0.6 to 1.4)."""
_FEWEST: Final = 2000
"""English characters of names that an estimate is made from; below, the widest range is taken."""
_UNKNOWN: Final = (0.3, 3.0)
_JOINT: Final = {"Jpan": ("Hira", "Kana", "Hani"), "Kore": ("Hang", "Hani"), "Hans": ("Hani",), "Hant": ("Hani",)}
"""CLDR's names for several scripts together."""
_SCALED: Final = re.compile(r"\W*(0+)\s*'?([^\d\s\u200e\u200f']+)'?\W*")
"""CLDR's "00 million"."""
_NAMES: Final = ("territories", "languages", "currencies")


class Language(ABC):
    """One language, as far as translating needs it.

    Attributes:
        code: "en", "ar", "pt-BR".
        name: in itself. english_name: in English, as prompts say it.
        rtl: whether the script runs from right to left.
        letter_share: allowed share of its script's letters among all letters of a text in this language.
        length_ratio: expected length range, in characters, of a translation into this language per English character.
        latin: whether it is written in Latin letters.
        decimal_comma: whether it writes 1,5 for one and a half. spaced_thousands: and 12 000 for twelve thousand.
    """

    code: str
    name: str
    english_name: str
    rtl: bool
    letter_share: tuple[float, float]
    length_ratio: tuple[float, float]
    latin: bool = False
    decimal_comma: bool = False
    spaced_thousands: bool = False

    @abstractmethod
    def letters(self, text: str) -> int:
        """How many letters of its script ``text`` has."""

    def script_share(self, text: str) -> float:
        """Share of this language's letters among the letters of ``text``; 0.0 where there are none."""
        letters = sum(unicodedata.category(char).startswith("L") for char in text)
        return self.letters(text) / letters if letters else 0.0

    def looks_native(self, text: str) -> bool:
        """Whether the script share lies in the language's range."""
        low, high = self.letter_share
        return low <= self.script_share(text) <= high


class CldrLanguage(Language):
    """A language without a pack. Raises InvalidInput for a code that CLDR does not know."""

    letter_share = (0.5, 1.0)  # names and terms in Latin letters are common in every script

    def __init__(self, code: str) -> None:
        locale = _locale(code)
        self.code = code
        self.name = str(locale.get_display_name() or code)
        self.english_name = str(locale.get_display_name("en"))
        self.rtl = locale.character_order == "right-to-left"
        self._scripts = _scripts(code)
        self.latin = self._scripts == ("Latn",)
        system = locale.default_numbering_system
        symbols = locale.number_symbols.get(system) or locale.number_symbols.get("latn") or {}
        self.decimal_comma = symbols.get("decimal") == ","
        self.length_ratio = _length_range(locale)
        self.spaced_thousands = symbols.get("group") in ("\u00a0", "\u202f")

    @cached_property
    def scales(self) -> dict[str, int]:
        """Words behind a figure that multiply it: {"million": 1000000, …}."""
        known = _locale(self.code).compact_decimal_formats
        forms = known.get("long") or known.get("short") or {}
        written = [(int(least), form.pattern) for forms_of in forms.values() for least, form in forms_of.items()]
        read = [(least, match) for least, pattern in written if (match := _SCALED.fullmatch(pattern))]
        return {match[2]: least // 10 ** (len(match[1]) - 1) for least, match in read}

    @cached_property
    def _pattern(self) -> Any:
        import regex

        scripts = "".join(rf"\p{{Script={script}}}" for script in self._scripts)
        return regex.compile(rf"[\p{{L}}&&[{scripts}]]", regex.VERSION1)

    def letters(self, text: str) -> int:
        """See :class:`Language`."""
        return sum(1 for _ in self._pattern.finditer(text))


def _locale(code: str) -> Any:
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(code, sep="-")
    except (UnknownLocaleError, ValueError) as error:
        raise InvalidInput(
            f"no language is called {code!r}; codes are those of Unicode's CLDR: fr, sw, pt-BR, zh-Hant",
            reason="UNKNOWN_LANGUAGE",
        ) from error


def _length_range(locale: Any) -> tuple[float, float]:
    """Around the length of names in this language and in English."""
    english, there, here = _locale("en"), 0, 0
    for kind in _NAMES:
        own = getattr(locale, kind)
        for key, name in getattr(english, kind).items():
            said = own.get(key)
            if said and said != name:  # what is not translated is given in English
                there, here = there + len(said), here + len(name)
    if here < _FEWEST:
        return _UNKNOWN
    return LENGTH_SLACK[0] * there / here, LENGTH_SLACK[1] * there / here


def _scripts(code: str) -> tuple[str, ...]:
    from babel.core import get_global, parse_locale

    named = parse_locale(code, sep="-")[2]
    likely = get_global("likely_subtags").get(code.replace("-", "_")) or get_global("likely_subtags").get(
        code.partition("-")[0], ""
    )
    script = named or (parse_locale(likely)[2] if likely else None) or "Latn"
    return _JOINT.get(script, (script,))


@lru_cache(maxsize=64)
def cldr_language(code: str) -> CldrLanguage:
    """The language of a code from CLDR, whether it has a pack or not."""
    return CldrLanguage(code)
