"""Years, decades and centuries in Arabic, as they stand after a preposition: "القرن الحادي والعشرين".

Centuries beyond the hundredth take a figure ("القرن الـ101"); years before Christ say so.
"""

from __future__ import annotations

from typing import Final

from sindbad.languages.grammar import Form, century, decade

_ORDINALS: Final = (
    "", "الأول", "الثاني", "الثالث", "الرابع", "الخامس", "السادس", "السابع", "الثامن", "التاسع", "العاشر",
    "الحادي عشر", "الثاني عشر", "الثالث عشر", "الرابع عشر", "الخامس عشر", "السادس عشر", "السابع عشر", "الثامن عشر",
    "التاسع عشر",
)  # fmt: skip
_UNITS: Final = (
    "", "الحادي", "الثاني", "الثالث", "الرابع", "الخامس", "السادس", "السابع", "الثامن", "التاسع",
)  # fmt: skip
_TENS: Final = (
    "", "", "العشرين", "الثلاثين", "الأربعين", "الخمسين", "الستين", "السبعين", "الثمانين", "التسعين",
)  # fmt: skip
_DECADES: Final = {
    20: "عشرينيات", 30: "ثلاثينيات", 40: "أربعينيات", 50: "خمسينيات", 60: "ستينيات", 70: "سبعينيات", 80: "ثمانينيات",
    90: "تسعينيات",
}  # fmt: skip
_PARTS: Final = {"early": "أوائل", "mid": "منتصف", "late": "أواخر"}
_ERA: Final = " ق.م"
_ERA_IN_WORDS: Final = " قبل الميلاد"


def year_text(year: int) -> str:
    """ "1922", "144 ق.م"."""
    return f"{-year}{_ERA}" if year < 0 else str(year)


def year_forms(year: int, digits: str) -> tuple[str, ...]:
    """Other ways, in native digits too."""
    ways = [str(year)] if year < 0 else []
    eras = (_ERA, " ق. م.", _ERA_IN_WORDS) if year < 0 else ("", "م", " م", " ميلادي")
    ways += [f"{abs(year)}{era}" for era in eras]
    native = str.maketrans("0123456789", digits)
    ways += [way.translate(native) for way in ways]
    return tuple(way for way in dict.fromkeys(ways) if way != year_text(year))


def ordinal(number: int) -> str:
    """Masculine, definite and after a preposition: 21 is "الحادي والعشرين"."""
    if number < len(_ORDINALS):
        return _ORDINALS[number]
    if number == 100:
        return "المئة"
    if number > 100:
        return f"الـ{number}"
    tens, units = divmod(number, 10)
    return f"{_UNITS[units]} و{_TENS[tens]}" if units else _TENS[tens]


def period(form: Form, low: float, high: float) -> str:
    """When something was: "في أوائل خمسينيات القرن العشرين"."""
    first, last = int(low), int(high)
    if form == "exact":
        return f"في عام {year_text(first)}"
    if form == "century":
        number, before = century(first, last)
        return f"في القرن {ordinal(number)}{_ERA_IN_WORDS if before else ''}"
    if form == "decade" or form in _PARTS:
        part = f"{_PARTS[form]} " if form in _PARTS else ""
        return f"في {part}{_decade(*decade(first, last))}"
    return f"بين عامي {year_text(first)} و{year_text(last)}"


def _decade(start: int, before: bool) -> str:
    number, tens = start // 100 + 1, start % 100
    era = _ERA_IN_WORDS if before else ""
    if tens in _DECADES:
        return f"{_DECADES[tens]} القرن {ordinal(number)}{era}"
    if before:  # years run down: which decade is the first is not agreed upon
        return f"العقد الذي بدأ عام {start + 9}{_ERA}"
    return f"العقد {ordinal(tens // 10 + 1)} من القرن {ordinal(number)}"
