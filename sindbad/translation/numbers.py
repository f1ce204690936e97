"""Numbers compared by value: "3", "٣" and "3.0" are one number; "1,234.5", "١٬٢٣٤٫٥" and "1.234,5" are another.

A minus counts where a blank or an opening mark stands before it ("5-6" is a range, "- 5" a list), and may be said in
words; behind its number it may stand in a language that runs from right to left. What could be two numbers ("1.234",
"1,5") is read as in English, a comma that groups nothing as a decimal one. In a language with a decimal comma it may be
either ("1,234", "1.234", "12 000"): the reading that the other text has counts. In a language without one, "(3,4)" and
"3,5,7" are one number, or several where the other text has several. In every language "1 000 000", "٣،٥", "10 million"
and "x³" may be one number: where the other text has it, and not its parts.

Up to twelve, a number that has no digits on the other side is excused where a word for it stands there. Where one text
only lacks numbers of the other (none is another one), two more kinds are excused: one and two, which Arabic says by the
noun's form, and a number that belongs to a word ("H2O", "ماء").

Not covered: numbers beyond twelve in words alone, scales as letters ("10k"), hours of twelve and of twenty-four.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from sindbad.languages import get_language
from sindbad.languages.language import cldr_language
from sindbad.translation.wording import get_wording

_MINUS = r"(?<![^\s(\[{«\"“'‘=<>≤≥≈~:،؛;,|^\u200e\u200f\u202a-\u202e\u2066-\u2069])(?<!\d\s)[-\u2212]"
_POINT = r"(?:(?<![^\s(\[{«\"“=<>≤≥≈~|$£€+\-\u2212])|(?<=[وبلفك])(?<!\w\w))[.٫](?=\d)"
_NUMBER = re.compile(rf"(?:{_MINUS})?(?:{_POINT}|(?<!\d))\d+(?:[.,٫٬'’\u00a0\u202f]\d+)*")
_HYPHENED = re.compile(r"[^\W\d_][-\u2010\u2011\u2013\u2212](\d+)")
_MINUS_BEHIND = re.compile(r"(?<![\w-])(\d+(?:[.,٫٬]\d+)*)[-\u2212](?![\w-])")
_THOUSANDS = re.compile(r"\d{1,3}(?:([,٬'’.\u00a0\u202f])\d{3})(?:\1\d{3})*")
_GROUPED_BY_POINTS = re.compile(r"\d{1,3}(?:([.'’\u00a0\u202f])\d{3})(?:\1\d{3})*[,٫]\d+|\d{1,3}(?:\.\d{3}){2,}")
_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_SPACED = re.compile(r"(?<![\d.,])\d[\d ]*+")
_ARABIC_COMMA = re.compile(r"(?<=\d)،(?=\d)")
_LISTED = re.compile(r"[,'’]")
_RAISED = re.compile(r"(?<=\d)([⁺⁻]?)([⁰¹²³⁴-⁹]+)")
_RAISED_LETTER = re.compile(r"(?<=[^\W\d_])([⁻]?)([¹²³⁴-⁹][⁰¹²³⁴-⁹]*)")
_RAISED_DIGIT = re.compile(r"[⁰¹²³⁴-⁹]")
_DIGIT = re.compile(r"\d")
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
_SPELLED = 12
_SHORT: Final = 3
"""Up to so many letters a scale's word may end in one more than CLDR's ("ألفا"), a longer one in two ("millions")."""


def value(written: str) -> str:
    """The canonical form of one number: its value, or its ASCII digits where it is none ("1.2.3")."""
    if written[:1] in ("-", "\u2212"):
        size = value(written[1:])
        return size if size == "0" else f"-{size}"
    plain = "".join(str(unicodedata.digit(char)) if char.isdigit() else char for char in written)
    plain = f"0{plain}" if plain[:1] in (".", "٫") else plain
    if _GROUPED_BY_POINTS.fullmatch(plain):
        return _canonical(re.sub(r"[^0-9,]", "", plain.replace("٫", ",")).replace(",", "."))
    plain = plain.replace("٫", ".")
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
    """The numbers of ``text`` by value, each as often as it stands there; "10⁶" are two."""
    return _values(text).copy() if _DIGIT.search(text) else Counter()


@lru_cache(maxsize=256)
def _values(text: str) -> Counter[str]:
    return Counter(value(match[0]) for match in _NUMBER.finditer(_lowered(text)))


def _lowered(text: str) -> str:
    """ "10⁶" as "10^6"."""
    if text.isascii() or not _RAISED_DIGIT.search(text):
        return text
    return _RAISED.sub(lambda match: f"^{'-' if match[1] == '⁻' else ''}{_digits(match[2])}", text)


def _digits(raised: str) -> str:
    return "".join(str(unicodedata.digit(char)) for char in raised)


def readings(text: str, *, comma: bool = False) -> Iterator[tuple[int, str]]:
    """The numbers of ``text`` for :func:`value`, each with where it ends; what may be read in several ways in each.

    "12 000" is a number as well as two; with ``comma`` "1,234" and "1.234" may both be meant in both ways.
    """
    for said in (text, _joined(text, 1)):
        for match in _NUMBER.finditer(said):
            yield match.end(), match[0]
            if comma:
                yield match.end(), match[0].translate(_SWAPPED)


def _joined(text: str, least: int) -> str:
    """``text``, as long as it was, with "12 000" as one number where at least so many groups of three follow."""
    return _SPACED.sub(lambda match: _run(match[0], least), text) if " " in text else text


def _run(written: str, least: int) -> str:
    """Digits and blanks: the longest end of them that is one number, as one."""
    blanks = len(written) - len(written.rstrip(" "))
    groups, first = written.rstrip(" ").split(" "), 0
    for place in range(len(groups) - 1, 0, -1):
        if len(groups[place]) != 3:
            first = place
            break
    if not 1 <= len(groups[first]) <= 3:
        first += 1
    if len(groups) - 1 - first < least:
        return written
    return " ".join([*groups[:first], "\u202f".join(groups[first:])]) + " " * blanks


def differing(source: str, target: str, source_language: str, target_language: str) -> list[str]:
    """Numbers that stand in one text only and are not excused (see the module), with a sign; sorted."""
    source, target = _lowered(source), _lowered(target)
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
    """Both texts' numbers, each in the reading that both have."""
    if there == here:
        return there, here
    here = _read_like(there, here, target, target_language)
    return _read_like(here, there, source, source_language), here


@lru_cache(maxsize=64)
def _writes_otherwise(language: str) -> bool:
    known = get_language(language)
    return known.decimal_comma or known.spaced_thousands


def _read_like(wanted: Counter[str], plain: Counter[str], text: str, language: str) -> Counter[str]:
    """The numbers of ``text``, each in its other reading where that one is missing and the plain one is too many."""
    found = plain.copy()
    for whole, parts in _other_readings(text, language):
        missing = found[whole] < wanted[whole]
        if missing and all(found[part] - wanted[part] >= count for part, count in parts.items()):
            found -= parts
            found[whole] += 1
    return +found


def _other_readings(text: str, language: str) -> Iterator[tuple[str, Counter[str]]]:
    """Values that ``text`` may mean, each with the plain ones that it would stand for."""
    otherwise = _writes_otherwise(language)
    for joined in (_joined(text, 1 if otherwise else 2), _ARABIC_COMMA.sub(",", text)):
        if joined != text:
            yield from _grouped(joined, text)
    for match in _NUMBER.finditer(text) if otherwise else ():
        read, other = value(match[0]), value(match[0].translate(_SWAPPED))
        if other != read:
            yield other, Counter((read,))
    yield from _scaled(text, language)
    for match in _RAISED_LETTER.finditer(text):
        yield value(f"{'-' if match[1] else ''}{_digits(match[2])}"), Counter()


def _grouped(joined: str, text: str) -> Iterator[tuple[str, Counter[str]]]:
    """Numbers of ``joined`` that are several in ``text``, which is as long."""
    for match in _NUMBER.finditer(joined):
        start, end = match.span()
        if text[start:end] != match[0]:
            yield value(match[0]), Counter(value(part[0]) for part in _NUMBER.finditer(text, start, end))


def _scaled(text: str, language: str) -> Iterator[tuple[str, Counter[str]]]:
    """ "10 thousand" as 10000."""
    for match in _NUMBER.finditer(text):
        scale = next((scale for pattern, scale in scales(language) if pattern.match(text, match.end())), 0)
        read = value(match[0])
        if scale and _PLAIN.fullmatch(read):
            yield _canonical(str(Decimal(read) * scale)), Counter((read,))


@lru_cache(maxsize=64)
def scales(language: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    """What may stand behind a number and multiplies it, as patterns, with how much: " million"."""
    words = sorted(cldr_language(language).scales.items())
    return tuple((re.compile(rf"\s*{re.escape(word)}{_ending(word)}", re.IGNORECASE), scale) for word, scale in words)


def _ending(word: str) -> str:
    if len(word) == 1:  # a sign ("30億人"), behind which a text goes on without a blank
        return ""
    return rf"\w{{0,{1 if len(word) <= _SHORT else 2}}}(?!\w)"


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
    a hyphen: "COVID-19" may have become "كوفيد -19". From right to left "5-" may be a negative number, too."""
    negative = [number for number in signed - other if number.startswith("-")]
    if not negative:
        return
    pattern = get_wording(language).minus_pattern
    worded = bool(pattern and pattern.search(text))
    hyphened = {value(match[1]) for match in _HYPHENED.finditer(text)}
    if get_language(language).rtl:
        hyphened |= {value(match[1]) for match in _MINUS_BEHIND.finditer(text)}
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
