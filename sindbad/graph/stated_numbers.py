"""Whether a sentence states a number: by value, sign included, digits and separators of whatever script.

"128,928", "١٢٨٬٩٢٨" and "128 928" state 128928, "-7" states no 7. A larger number is stated only where the page's
language has a word for its zeros behind the figure, by CLDR ("1.4 million", "٥ آلاف", "3 Millionen"); a negative one by
a minus sign or a word for it. Not covered: numbers written in words alone, scales that stand before the figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from sindbad.errors import InvalidInput
from sindbad.languages import get_language
from sindbad.translation import numbers
from sindbad.translation.wording import get_wording


def states(value: int | float, sentence: str, language: str = "") -> bool:
    """Whether ``sentence`` states ``value``. Without a language: no scales, and decimals as in English."""
    wanted = Decimal(str(value))
    found = set(_values(sentence, language))
    return wanted in found or (wanted < 0 and -wanted in found and _says_minus(sentence, language))


def figures(sentence: str) -> set[int]:
    """The whole numbers that a sentence writes in digits, without sign, by runs of digits ("14-03-1879" has three)."""
    return {int(run) for run in re.findall(r"\d+", sentence)}


def _values(sentence: str, language: str) -> Iterator[Decimal]:
    """Every number in every reading: as it is, and times the scale that follows."""
    scales = numbers.scales(language) if _known(language) else ()
    for end, written in numbers.readings(sentence, comma=_decimal_comma(language)):
        try:
            value = Decimal(numbers.value(written))
        except InvalidOperation:  # "1.2.3"
            continue
        yield value
        for pattern, scale in scales:
            if pattern.match(sentence, end):
                yield value * scale


def _known(language: str) -> bool:
    try:
        get_language(language)
    except InvalidInput:
        return False
    return True


@lru_cache(maxsize=64)
def _decimal_comma(language: str) -> bool:
    return _known(language) and get_language(language).decimal_comma


def _says_minus(sentence: str, language: str) -> bool:
    pattern = get_wording(language).minus_pattern if _known(language) else None
    return bool(pattern and pattern.search(sentence))
