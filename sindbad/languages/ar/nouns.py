"""Arabic nouns of entity types, every form written out: nothing of a form is worked out where the noun is known.

A noun with an adjective carries the article twice ("القسم الإداري"), a construct on its last part only ("شركة
التسجيلات"); the first part of a construct has no tanwin ("كم شركة تسجيلات"). Plurals stand in the genitive, as after a
number ("3 مكتشفين"). A label that is not here is inflected by :func:`unknown`, which is right for most nouns and knows
no plural.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sindbad.languages.grammar import Noun

# indefinite, definite, accusative, dual, dual after a preposition, plural, definite plural
_MASCULINE: Final = (
    ("شخص", "الشخص", "شخصًا", "شخصان", "شخصين", "أشخاص", "الأشخاص"),
    ("فيلم", "الفيلم", "فيلمًا", "فيلمان", "فيلمين", "أفلام", "الأفلام"),
    ("كتاب", "الكتاب", "كتابًا", "كتابان", "كتابين", "كتب", "الكتب"),
    ("إقليم", "الإقليم", "إقليمًا", "إقليمان", "إقليمين", "أقاليم", "الأقاليم"),
    ("قسم إداري", "القسم الإداري", "قسمًا إداريًا", "قسمان إداريان", "قسمين إداريين", "أقسام إدارية",
     "الأقسام الإدارية"),
    ("عنصر", "العنصر", "عنصرًا", "عنصران", "عنصرين", "عناصر", "العناصر"),
    ("عنصر كيميائي", "العنصر الكيميائي", "عنصرًا كيميائيًا", "عنصران كيميائيان", "عنصرين كيميائيين", "عناصر كيميائية",
     "العناصر الكيميائية"),
    ("مكتشف", "المكتشف", "مكتشفًا", "مكتشفان", "مكتشفين", "مكتشفين", "المكتشفين"),
    ("نوع", "النوع", "نوعًا", "نوعان", "نوعين", "أنواع", "الأنواع"),
    ("نوع فني", "النوع الفني", "نوعًا فنيًا", "نوعان فنيان", "نوعين فنيين", "أنواع فنية", "الأنواع الفنية"),
    ("مرض", "المرض", "مرضًا", "مرضان", "مرضين", "أمراض", "الأمراض"),
    ("دين", "الدين", "دينًا", "دينان", "دينين", "أديان", "الأديان"),
    ("مجال", "المجال", "مجالًا", "مجالان", "مجالين", "مجالات", "المجالات"),
    ("مجال دراسي", "المجال الدراسي", "مجالًا دراسيًا", "مجالان دراسيان", "مجالين دراسيين", "مجالات دراسية",
     "المجالات الدراسية"),
    ("مجال دراسة", "مجال الدراسة", "مجال دراسة", "مجالا دراسة", "مجالي دراسة", "مجالات دراسة", "مجالات الدراسة"),
    ("مكان", "المكان", "مكانًا", "مكانان", "مكانين", "أماكن", "الأماكن"),
    ("عمل", "العمل", "عملًا", "عملان", "عملين", "أعمال", "الأعمال"),
    ("عمل إبداعي", "العمل الإبداعي", "عملًا إبداعيًا", "عملان إبداعيان", "عملين إبداعيين", "أعمال إبداعية",
     "الأعمال الإبداعية"),
    ("مفهوم", "المفهوم", "مفهومًا", "مفهومان", "مفهومين", "مفاهيم", "المفاهيم"),
    ("حدث", "الحدث", "حدثًا", "حدثان", "حدثين", "أحداث", "الأحداث"),
    ("موضوع", "الموضوع", "موضوعًا", "موضوعان", "موضوعين", "موضوعات", "الموضوعات"),
    ("وسم", "الوسم", "وسمًا", "وسمان", "وسمين", "وسوم", "الوسوم"),
    ("حزب", "الحزب", "حزبًا", "حزبان", "حزبين", "أحزاب", "الأحزاب"),
    ("عام", "العام", "عامًا", "عامان", "عامين", "أعوام", "الأعوام"),
    ("كيان", "الكيان", "كيانًا", "كيانان", "كيانين", "كيانات", "الكيانات"),
)  # fmt: skip
_FEMININE: Final = (
    ("مدينة", "المدينة", "مدينةً", "مدينتان", "مدينتين", "مدن", "المدن"),
    ("دولة", "الدولة", "دولةً", "دولتان", "دولتين", "دول", "الدول"),
    ("شركة", "الشركة", "شركةً", "شركتان", "شركتين", "شركات", "الشركات"),
    ("شركة تسجيلات", "شركة التسجيلات", "شركة تسجيلات", "شركتا تسجيلات", "شركتي تسجيلات", "شركات تسجيلات",
     "شركات التسجيلات"),
    ("لغة", "اللغة", "لغةً", "لغتان", "لغتين", "لغات", "اللغات"),
    ("عملة", "العملة", "عملةً", "عملتان", "عملتين", "عملات", "العملات"),
    ("قارة", "القارة", "قارةً", "قارتان", "قارتين", "قارات", "القارات"),
    ("منطقة", "المنطقة", "منطقةً", "منطقتان", "منطقتين", "مناطق", "المناطق"),
    ("ولاية", "الولاية", "ولايةً", "ولايتان", "ولايتين", "ولايات", "الولايات"),
    ("منظمة", "المنظمة", "منظمةً", "منظمتان", "منظمتين", "منظمات", "المنظمات"),
    ("جامعة", "الجامعة", "جامعةً", "جامعتان", "جامعتين", "جامعات", "الجامعات"),
    ("مؤسسة", "المؤسسة", "مؤسسةً", "مؤسستان", "مؤسستين", "مؤسسات", "المؤسسات"),
    ("جائزة", "الجائزة", "جائزةً", "جائزتان", "جائزتين", "جوائز", "الجوائز"),
    ("فئة", "الفئة", "فئةً", "فئتان", "فئتين", "فئات", "الفئات"),
    ("فئة جوائز", "فئة الجوائز", "فئة جوائز", "فئتا جوائز", "فئتي جوائز", "فئات جوائز", "فئات الجوائز"),
    ("فئة عناصر", "فئة العناصر", "فئة عناصر", "فئتا عناصر", "فئتي عناصر", "فئات عناصر", "فئات العناصر"),
    ("دورة", "الدورة", "دورةً", "دورتان", "دورتين", "دورات", "الدورات"),
    ("مجموعة", "المجموعة", "مجموعةً", "مجموعتان", "مجموعتين", "مجموعات", "المجموعات"),
    ("مجموعة عرقية", "المجموعة العرقية", "مجموعةً عرقيةً", "مجموعتان عرقيتان", "مجموعتين عرقيتين", "مجموعات عرقية",
     "المجموعات العرقية"),
    ("مهنة", "المهنة", "مهنةً", "مهنتان", "مهنتين", "مهن", "المهن"),
    ("ديانة", "الديانة", "ديانةً", "ديانتان", "ديانتين", "ديانات", "الديانات"),
    ("حركة", "الحركة", "حركةً", "حركتان", "حركتين", "حركات", "الحركات"),
    ("آلة", "الآلة", "آلةً", "آلتان", "آلتين", "آلات", "الآلات"),
    ("آلة موسيقية", "الآلة الموسيقية", "آلةً موسيقيةً", "آلتان موسيقيتان", "آلتين موسيقيتين", "آلات موسيقية",
     "الآلات الموسيقية"),
    ("حقبة تاريخية", "الحقبة التاريخية", "حقبةً تاريخيةً", "حقبتان تاريخيتان", "حقبتين تاريخيتين", "حقب تاريخية",
     "الحقب التاريخية"),
    ("مقالة", "المقالة", "مقالةً", "مقالتان", "مقالتين", "مقالات", "المقالات"),
)  # fmt: skip
_PEOPLE: Final = frozenset({"شخص", "مكتشف"})
_PERSONS: Final = frozenset({"person", "human", "laureate"})
NOUNS: Final[Mapping[str, Noun]] = {
    row[0]: Noun(
        row[0], row[1], feminine=feminine, person=row[0] in _PEOPLE, accusative=row[2],
        one=f"{row[0]} {'واحدة' if feminine else 'واحد'}", dual=row[3], oblique=row[4], plural=row[5],
        definite_plural=row[6],
    )
    for rows, feminine in ((_MASCULINE, False), (_FEMININE, True)) for row in rows
}  # fmt: skip
TYPES: Final[Mapping[str, str]] = {
    "person": "شخص", "human": "شخص", "laureate": "شخص", "city": "مدينة", "country": "دولة", "company": "شركة",
    "film": "فيلم", "movie": "فيلم", "book": "كتاب", "language": "لغة", "continent": "قارة", "region": "منطقة",
    "subregion": "إقليم", "organization": "منظمة", "organisation": "منظمة", "university": "جامعة",
    "institution": "مؤسسة", "prize": "جائزة", "award": "جائزة", "element": "عنصر", "profession": "مهنة",
    "occupation": "مهنة", "genre": "نوع", "disease": "مرض", "currency": "عملة", "religion": "ديانة",
    "movement": "حركة", "year": "عام", "work": "عمل", "event": "حدث", "place": "مكان", "instrument": "آلة",
    "state": "ولاية", "subdivision": "قسم إداري", "party": "حزب",
}  # fmt: skip
"""What a type is called where its graph does not say."""
THING: Final = NOUNS["كيان"]
KINDS: Final = frozenset(NOUNS) | {name.split()[0] for name in NOUNS}
"""Last words of phrases that name the kind of what follows: after "تقع في إقليم" no other noun can stand."""
_NO_ADJECTIVES: Final = frozenset({"نادي", "وادي", "قاضي", "مباني", "أراضي", "أغاني", "نواحي", "شاطئ", "كرسي", "صحفي"})


def noun_of(entity_type: str, label: str, phrase: str) -> Noun:
    """A type's noun: what its graph calls it, else what the table does."""
    if label:
        return NOUNS.get(label) or unknown(label, phrase, person=entity_type in _PERSONS)
    return NOUNS[TYPES[entity_type]] if entity_type in TYPES else THING


def unknown(label: str, phrase: str, *, person: bool) -> Noun:
    """A noun of no table: article and accusative by what its last word looks like; its gender from its type phrase."""
    feminine = phrase.startswith("هي ") or label.split()[0].endswith("ة")
    return Noun(label, _definite(label), feminine=feminine, person=person, accusative=_accusative(label))


def _definite(label: str) -> str:
    """The article goes onto the last noun and every adjective behind it."""
    words = label.split()
    if words[-1].startswith("ال"):
        return label
    last = len(words) - 1 - _adjectives(words)
    return " ".join([*words[:last], *(f"ال{word}" for word in words[last:])])


def _accusative(label: str) -> str:
    """The ending on a lone noun and on its adjectives; the first part of a construct shows none."""
    words = label.split()
    if _adjectives(words) != len(words) - 1:
        return label
    return " ".join(_ended(word) for word in words)


def _ended(word: str) -> str:
    if word.endswith("ة"):
        return f"{word}ً"
    return word if word.endswith(("ا", "ى", "اء")) else f"{word}ًا"


def _adjectives(words: list[str]) -> int:
    """How many of the last words are adjectives in -ī that agree in gender with the noun before them."""
    count = 0
    while count < len(words) - 1 and _is_adjective(words[-1 - count], words[-2 - count]):
        count += 1
    return count


def _is_adjective(word: str, before: str) -> bool:
    ends = "ية" if before.endswith("ة") else "ي"
    return word.endswith(ends) and len(word) > len(ends) + 1 and word not in _NO_ADJECTIVES
