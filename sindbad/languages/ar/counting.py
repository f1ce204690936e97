"""Numbers with what they count: the form of the counted noun follows the last two digits.

    1, 2      no digit: "كيلومتر واحد", "كيلومتران" (after a preposition "كيلومترين")
    3-10      plural: "4 كيلومترات", "103 كيلومترات"; in words the number takes the other gender: "أربع دول"
    11-99     singular accusative: "25 كيلومترًا", "25 سنةً"
    the rest  singular genitive: "0 كيلومتر", "100 كيلومتر", "1,400 كيلومتر", "1.5 كيلومتر"

These are the classes of Unicode's CLDR. A number of millions counts millions, and what follows is in the genitive:
"15 مليونًا", but "15 مليون كيلومتر مربع"; "مليونان", but "مليونا كيلومتر مربع".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sindbad.languages.grammar import Noun, plain, scaled

Class = Literal["one", "two", "few", "many", "other"]

IN_WORDS: Final = (
    ("صفر", "صفر"), ("واحد", "واحدة"), ("اثنان", "اثنتان"), ("ثلاثة", "ثلاث"), ("أربعة", "أربع"), ("خمسة", "خمس"),
    ("ستة", "ست"), ("سبعة", "سبع"), ("ثمانية", "ثماني"), ("تسعة", "تسع"), ("عشرة", "عشر"),
)  # fmt: skip
"""0 to 10 as they stand with a masculine and with a feminine noun."""
_EIGHT: Final = "ثمان"
"""What is also written for 8 of a feminine noun."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its noun, how a question asks for it ("بالكيلومتر"), and its symbols."""

    noun: Noun
    asked: str
    symbols: tuple[str, ...] = ()


def _noun(singular: str, accusative: str, one: str, dual: str, oblique: str, plural: str) -> Noun:
    feminine = "واحدة" in one
    return Noun(singular, "", feminine, accusative=accusative, one=one, dual=dual, oblique=oblique, plural=plural)


def _fixed(word: str) -> Noun:
    """A word that no number changes: "2 كلفن"."""
    return Noun(word, accusative=word, plural=word)


_YEAR = Unit(_noun("سنة", "سنةً", "سنة واحدة", "سنتان", "سنتين", "سنوات"), "بالسنوات")
_MONTH = Unit(_noun("شهر", "شهرًا", "شهر واحد", "شهران", "شهرين", "أشهر"), "بالأشهر")
_DAY = Unit(_noun("يوم", "يومًا", "يوم واحد", "يومان", "يومين", "أيام"), "بالأيام")
_HOUR = Unit(_noun("ساعة", "ساعةً", "ساعة واحدة", "ساعتان", "ساعتين", "ساعات"), "بالساعات", ("س",))
_MINUTE = Unit(_noun("دقيقة", "دقيقةً", "دقيقة واحدة", "دقيقتان", "دقيقتين", "دقائق"), "بالدقائق", ("د",))
_SECOND = Unit(_noun("ثانية", "ثانيةً", "ثانية واحدة", "ثانيتان", "ثانيتين", "ثوانٍ"), "بالثواني", ("ث",))
_SOUL = Unit(_noun("نسمة", "نسمةً", "نسمة واحدة", "نسمتان", "نسمتين", "نسمات"), "بالنسمة")
UNITS: Final[Mapping[str, Unit]] = {
    "km²": Unit(_noun("كيلومتر مربع", "كيلومترًا مربعًا", "كيلومتر مربع واحد", "كيلومتران مربعان", "كيلومترين مربعين",
                      "كيلومترات مربعة"), "بالكيلومتر المربع", ("كم²", "كم2", "كم مربع")),
    "m²": Unit(_noun("متر مربع", "مترًا مربعًا", "متر مربع واحد", "متران مربعان", "مترين مربعين", "أمتار مربعة"),
               "بالمتر المربع", ("م²", "م2")),
    "km": Unit(_noun("كيلومتر", "كيلومترًا", "كيلومتر واحد", "كيلومتران", "كيلومترين", "كيلومترات"), "بالكيلومتر",
               ("كم",)),
    "m": Unit(_noun("متر", "مترًا", "متر واحد", "متران", "مترين", "أمتار"), "بالمتر", ("م",)),
    "cm": Unit(_noun("سنتيمتر", "سنتيمترًا", "سنتيمتر واحد", "سنتيمتران", "سنتيمترين", "سنتيمترات"), "بالسنتيمتر",
               ("سم",)),
    "kg": Unit(_noun("كيلوغرام", "كيلوغرامًا", "كيلوغرام واحد", "كيلوغرامان", "كيلوغرامين", "كيلوغرامات"),
               "بالكيلوغرام", ("كغ", "كجم")),
    "g": Unit(_noun("غرام", "غرامًا", "غرام واحد", "غرامان", "غرامين", "غرامات"), "بالغرام", ("غ", "جم")),
    "g/cm³": Unit(_noun("غرام لكل سنتيمتر مكعب", "غرامًا لكل سنتيمتر مكعب", "غرام واحد لكل سنتيمتر مكعب",
                        "غرامان لكل سنتيمتر مكعب", "غرامين لكل سنتيمتر مكعب", "غرامات لكل سنتيمتر مكعب"),
                  "بالغرام لكل سنتيمتر مكعب", ("غ/سم³",)),
    "g/L": Unit(_noun("غرام لكل لتر", "غرامًا لكل لتر", "غرام واحد لكل لتر", "غرامان لكل لتر", "غرامين لكل لتر",
                      "غرامات لكل لتر"), "بالغرام لكل لتر", ("غ/ل",)),
    "K": Unit(_fixed("كلفن"), "بالكلفن", ("K", "كلفنًا", "درجة كلفن")),
    "°C": Unit(_noun("درجة مئوية", "درجةً مئويةً", "درجة مئوية واحدة", "درجتان مئويتان", "درجتين مئويتين",
                     "درجات مئوية"), "بالدرجات المئوية", ("°م", "°C")),
    "u": Unit(_noun("وحدة كتل ذرية", "وحدة كتل ذرية", "وحدة كتل ذرية واحدة", "وحدتا كتل ذرية", "وحدتي كتل ذرية",
                    "وحدات كتل ذرية"), "بوحدة الكتل الذرية", ("u", "وحدة كتلة ذرية", "و.ك.ذ")),
    "%": Unit(_fixed("بالمئة"), "بالنسبة المئوية", ("%", "٪", "في المئة", "بالمائة", "في المائة")),
    "°": Unit(_noun("درجة", "درجةً", "درجة واحدة", "درجتان", "درجتين", "درجات"), "بالدرجات", ("°",)),
    "years": _YEAR, "months": _MONTH, "days": _DAY, "hours": _HOUR, "h": _HOUR, "minutes": _MINUTE, "min": _MINUTE,
    "seconds": _SECOND, "s": _SECOND, "people": _SOUL, "inhabitants": _SOUL,
}  # fmt: skip
ALSO: Final[Mapping[str, Noun]] = {"years": _noun("عام", "عامًا", "عام واحد", "عامان", "عامين", "أعوام")}
"""A second noun that means the same."""
_SCALES: Final[Mapping[int, tuple[Noun, Noun]]] = {
    2: (_noun("مليون", "مليونًا", "مليون", "مليونان", "مليونين", "ملايين"),
        _noun("مليون", "مليون", "مليون", "مليونا", "مليوني", "ملايين")),
    3: (_noun("مليار", "مليارًا", "مليار", "ملياران", "مليارين", "مليارات"),
        _noun("مليار", "مليار", "مليار", "مليارا", "ملياري", "مليارات")),
    4: (_noun("تريليون", "تريليونًا", "تريليون", "تريليونان", "تريليونين", "تريليونات"),
        _noun("تريليون", "تريليون", "تريليون", "تريليونا", "تريليوني", "تريليونات")),
}  # fmt: skip
"""Powers of a thousand: alone, and before what they count."""


def class_of(value: float) -> Class:
    """How a number governs what it counts."""
    if value != int(value):
        return "other"
    if value in (1, 2):
        return "one" if value == 1 else "two"
    rest = abs(int(value)) % 100
    return "few" if 3 <= rest <= 10 else "many" if rest >= 11 else "other"


def counted(value: float, noun: Noun, *, oblique: bool = False, separator: str = ",") -> str:
    """So many of a thing. A noun whose plural or dual is not known stands in the singular, behind the digits."""
    kind, digits = class_of(value), plain(value, separator)
    if kind == "one" and noun.one:
        return noun.one
    if kind == "two" and noun.dual:
        return noun.oblique if oblique else noun.dual
    form = {"few": noun.plural, "many": noun.accusative}.get(kind, "")
    return f"{digits} {form or noun.singular}"


def with_unit(value: float, unit: str, *, oblique: bool = False) -> str:
    """An exact number with its unit; one that no table knows is written as it is, behind the digits."""
    if not unit:
        return plain(value, ",")
    return counted(value, UNITS[unit].noun, oblique=oblique) if unit in UNITS else f"{plain(value, ',')} {unit}"


def rounded(value: float, unit: str, *, oblique: bool = True) -> str:
    """A number as a vague amount says it: millions and more in words, with the unit."""
    mantissa, power = scaled(value)
    mantissa = round(mantissa, 6)
    if power < 2:
        return with_unit(value, unit, oblique=oblique)
    said = counted(mantissa, _SCALES[power][bool(unit)], oblique=oblique, separator="")
    return f"{said} {UNITS[unit].noun.singular if unit in UNITS else unit}" if unit else said


def in_words(value: float, noun: Noun) -> tuple[str, ...]:
    """Words with the counted noun for 1 to 10, the number in the other gender from 3 on: "ثلاث دول", "ثلاثة أفلام"."""
    if value in (1, 2):
        return tuple(way for way in ((noun.one,) if value == 1 else (noun.dual, noun.oblique)) if way)
    if value not in range(3, 11) or not noun.plural:
        return ()
    extra = (_EIGHT,) if value == 8 and noun.feminine else ()
    return tuple(f"{word} {noun.plural}" for word in (IN_WORDS[int(value)][noun.feminine], *extra))
