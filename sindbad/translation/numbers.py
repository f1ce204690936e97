"""Numbers compared by value: "3", "٣" and "3.0" are one number; "1,234.5", "١٬٢٣٤٫٥" and "1.234,5" are another.

A minus counts where a blank or an opening mark stands before it ("5-6" is a range, "- 5" a list), and may be said in
words. What could be two numbers ("1.234", "1,5") is read as in English, a comma that groups nothing as a decimal
one. In a language with a decimal comma it may be either ("1,234", "1.234", "12 000"): the reading that the other text
has counts. In a language without one, "(3,4)" and "3,5,7" are one number, or several where the other text has several.

Up to twelve, a number that has no digits on the other side is excused where a word for it stands there. Where one text
only lacks numbers of the other (none is another one), two more kinds are excused: one and two, which Arabic says by the
noun's form, and a number that belongs to a word ("H2O", "ماء").
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from sindbad.languages import get_language
from sindbad.translation.wording import get_wording

_MINUS = r"(?<![^\s(\[{«\"“'‘=<>≤≥≈~:،؛;,|\u200e\u200f\u202a-\u202e\u2066-\u2069])(?<!\d\s)[-\u2212]"
_NUMBER = re.compile(rf"(?:{_MINUS})?(?<!\d)\d+(?:[.,٫٬'’\u00a0\u202f]\d+)*")
_HYPHENED = re.compile(r"[^\W\d_][-\u2010\u2011\u2013\u2212](\d+)")
_THOUSANDS = re.compile(r"\d{1,3}(?:([,٬'’.\u00a0\u202f])\d{3})(?:\1\d{3})*")
_GROUPED_BY_POINTS = re.compile(r"\d{1,3}(?:([.'’\u00a0\u202f])\d{3})(?:\1\d{3})*[,٫]\d+|\d{1,3}(?:\.\d{3}){2,}")
_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d ]*\d)")
_LISTED = re.compile(r"[,'’]")
_SPELLED = 12


def value(written: str) -> str:
    """The canonical form of one number: its value, or its ASCII digits where it is none ("1.2.3")."""
    if written[:1] in ("-", "\u2212"):
        size = value(written[1:])
        return size if size == "0" else f"-{size}"
    plain = "".join(str(unicodedata.digit(char)) if char.isdigit() else char for char in written)
    if _GROUPED_BY_POINTS.fullmatch(plain):
        return _canonical(re.sub(r"[^0-9,]", "", plain.replace("٫", ",")).replace(",", "."))
    plain = plain.replace("٫", ".") if "٫" not in plain or plain.count("٫") == 1 else plain
    whole, _, fraction = plain.rpartition(".") if plain.count(".") == 1 else (plain, "", "")
    if plain.count(".") == 1 and re.sub(r"[,٬'’\u00a0\u202f]", "", whole).isdigit():
        return _canonical(f"{re.sub(r'[^0-9]', '', whole)}.{fraction}")
    if plain.isdigit():
        return _canonical(plain)
    if _THOUSANDS.fullmatch(plain) and "." not in plain:
        return _canonical(re.sub(r"\D", "", plain))
    if _DECIMAL_COMMA.fullmatch(plain):
        return _canonical(plain.replace(",", "."))
    return plain


def _canonical(text: str) -> str:
    try:
        return format(Decimal(text).normalize(), "f")
    except InvalidOperation:
        return text


def values(text: str) -> Counter[str]:
    """The numbers of ``text`` by value, each as often as it stands there."""
    return Counter(value(match[0]) for match in _NUMBER.finditer(text))


def readings(text: str, *, comma: bool = False) -> Iterator[tuple[int, str]]:
    """The numbers of ``text`` for :func:`value`, each with where it ends; what may be read in several ways in each.

    "12 000" is a number as well as two; with ``comma`` "1,234" and "1.234" may both be meant in both ways.
    """
    for said in (text, _SPACED.sub(lambda match: match[0].replace(" ", "\u202f"), text)):
        for match in _NUMBER.finditer(said):
            yield match.end(), match[0]
            if comma:
                yield match.end(), match[0].translate(_SWAPPED)


def differing(source: str, target: str, source_language: str, target_language: str) -> list[str]:
    """Numbers that stand in one text only and are not excused (see the module), with a sign; sorted."""
    there, here = _as_meant(values(source), values(target), source, source_language, target, target_language)
    there = _apart(there, here, source, source_language)
    here = _apart(here, there, target, target_language)
    _take_other_signs(there, here, target, target_language)
    _take_other_signs(here, there, source, source_language)
    lost = [number for number in (there - here).elements() if not _said(number, target, target_language)]
    added = [number for number in (here - there).elements() if not _said(number, source, source_language)]
    if not (lost and added):
        lost, added = _free(lost, source), _free(added, target)
    return sorted([*(f"-{number}" for number in lost), *(f"+{number}" for number in added)])


def _as_meant(
    there: Counter[str], here: Counter[str], source: str, source_language: str, target: str, target_language: str
) -> tuple[Counter[str], Counter[str]]:
    """Both texts' numbers, where a language writes them otherwise than English in the reading that both have."""
    if there == here:
        return there, here
    if _writes_otherwise(target_language):
        here = _read_like(there, here, target)
    if _writes_otherwise(source_language):
        there = _read_like(here, there, source)
    return there, here


@lru_cache(maxsize=64)
def _writes_otherwise(language: str) -> bool:
    known = get_language(language)
    return known.decimal_comma or known.spaced_thousands


def _read_like(wanted: Counter[str], plain: Counter[str], text: str) -> Counter[str]:
    """The numbers of ``text``, each in its other reading where that one is missing and the plain one is too many."""
    found = plain
    joined = values(_SPACED.sub(lambda match: match[0].replace(" ", "\u202f"), text))
    if (joined - wanted).total() < (found - wanted).total():
        found = joined
    found = found.copy()
    for match in _NUMBER.finditer(text):
        read, other = value(match[0]), value(match[0].translate(_SWAPPED))
        if other != read and found[read] > wanted[read] and found[other] < wanted[other]:
            found[read] -= 1
            found[other] += 1
    return +found


def _apart(plain: Counter[str], other: Counter[str], text: str, language: str) -> Counter[str]:
    """The numbers of ``text``; "3,4", "3,5,7" and "5'10" are several where the other text has them apart and not as
    one. Not "1,234", and not in a language with a decimal comma."""
    if plain == other or get_language(language).decimal_comma:
        return plain
    found = plain.copy()
    for match in _NUMBER.finditer(text):
        written = _LISTED.split(match[0])
        if len(written) == 1 or (len(written) == 2 and _THOUSANDS.fullmatch(match[0])):
            continue
        read, parts = value(match[0]), Counter(map(value, written))
        if found[read] > other[read] and all(other[part] - found[part] >= count for part, count in parts.items()):
            found[read] -= 1
            found += parts
    return +found


_SWAPPED = str.maketrans(",.", ".,")


def _take_other_signs(signed: Counter[str], other: Counter[str], text: str, language: str) -> None:
    """Take a negative number from both sides where the other one, ``text``, has its size and a word for the minus, or
    a hyphen: "COVID-19" may have become "كوفيد -19"."""
    negative = [number for number in signed - other if number.startswith("-")]
    if not negative:
        return
    pattern = get_wording(language).minus_pattern
    worded = bool(pattern and pattern.search(text))
    hyphened = {value(match[1]) for match in _HYPHENED.finditer(text)}
    for number in negative:
        size = number[1:]
        if other[size] > signed[size] and (worded or size in hyphened):
            signed[number] -= 1
            other[size] -= 1


def _said(number: str, text: str, language: str) -> bool:
    """Whether a word for ``number`` stands in ``text``."""
    small = number.isdigit() and int(number) <= _SPELLED
    pattern = get_wording(language).number_pattern(number) if small else None
    return bool(pattern and pattern.search(text))


def _free(numbers: list[str], text: str) -> list[str]:
    """Those that must stand in a translation of ``text``."""
    in_words = {value(match[0]) for match in _NUMBER.finditer(text) if _in_a_word(text, match.start())}
    return [number for number in numbers if number not in ("1", "2") and number not in in_words]


def _in_a_word(text: str, start: int) -> bool:
    before = text[start - 1 : start]
    return before == "_" or (before.isascii() and before.isalpha())
