"""What countries are called: in Arabic as Unicode's CLDR has it, with a few of ours; no two of them alike.

The sources' own Arabic names are partly a machine's ("ديك رومى", the bird, for Turkey) and partly slips of the pen:
they are never a name, and an alias only where they are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_ARABIC: Final[Mapping[str, str]] = {
    "CD": "جمهورية الكونغو الديمقراطية", "CG": "جمهورية الكونغو", "HK": "هونغ كونغ", "MO": "ماكاو", "PS": "فلسطين",
    "MM": "ميانمار", "TL": "تيمور الشرقية", "CC": "جزر كوكوس", "MQ": "مارتينيك",
    "PM": "سان بيير وميكلون",
}  # fmt: skip
"""ISO code -> name, where CLDR's is a description ("special administrative region") or not what a text has."""
_ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "CI": ("كوت ديفوار",), "CD": ("الكونغو الديمقراطية", "الكونغو كينشاسا"), "CG": ("الكونغو برازافيل",),
    "DZ": ("الجمهورية الجزائرية الديمقراطية الشعبية",), "MM": ("بورما",), "TL": ("تيمور ليشتي",), "XK": ("كوسوفا",),
}  # fmt: skip
_ENGLISH: Final[Mapping[str, str]] = {"COG": "Republic of the Congo", "COD": "DR Congo"}
_NOT_SAID: Final = frozenset(
    {
        # English and Arabic, of more than one country
        "Congo", "Virgin Islands", "الكونغو", "جزر العذراء", "غويانا", "سانت مارتن",
        # misspelt, or of something else
        "المسكيك", "صيربيا", "جمهورية صيربيا", "أوزباكستان", "جمهورية أوزباكستان", "الجبل الاسود",
        "جمهورية أففانستان الإسلامية", "الجمهورية الديمقراطية الشعبية الجزائرية", "الإتحاد القمري",
        "مقاطعات وأقاليم ما وراء البحار الفرنسية", "كومنولث جزر البهاما",
    }
)  # fmt: skip


@lru_cache(1)
def _territories() -> Mapping[str, str]:
    from babel import Locale

    found: Mapping[str, str] = Locale("ar").territories
    return found


def arabic_name(iso2: str) -> str:
    """The Arabic name of a country or territory by its two letters; "" for letters that are none's."""
    return _ARABIC.get(iso2) or _territories().get(iso2, "")


def english_name(iso3: str, told: str) -> str:
    """The name that a source tells, unless another country could be meant."""
    return _ENGLISH.get(iso3, told)


def other_names(iso2: str) -> tuple[str, ...]:
    """What a country is called in Arabic beside its name, where no source says so."""
    return _ALSO.get(iso2, ())


def aliases(*told: str) -> list[str]:
    """Of the names that a source tells those that are right and one country's."""
    return [name for name in told if name and name not in _NOT_SAID]
