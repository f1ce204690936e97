"""How Arabic words a puzzle.

Letters follow the abjad order in brackets, after the definite noun: "الفيلم (أ)". The word for "and" is written onto
the next word, "to" contracts with the article ("للدولة"), the noun after "how many" is singular and accusative, numbers
from 3 to 10 take the plural, and verbs of rank agree with the noun's gender.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from sindbad.languages.ar.agreement import forms
from sindbad.languages.grammar import Form, Grammar, Measure, Noun, forms_of, plain, scaled

_PREPOSITION = re.compile(r"\s+(?:في|عام|سنة|يوم|بتاريخ|منذ)$")
_ORDINALS = (
    "الأول", "الثاني", "الثالث", "الرابع", "الخامس", "السادس", "السابع", "الثامن", "التاسع", "العاشر",
    "الحادي عشر", "الثاني عشر", "الثالث عشر", "الرابع عشر", "الخامس عشر", "السادس عشر", "السابع عشر", "الثامن عشر",
    "التاسع عشر", "العشرين", "الحادي والعشرين",
)  # fmt: skip
_DECADES = {
    20: "عشرينيات", 30: "ثلاثينيات", 40: "أربعينيات", 50: "خمسينيات", 60: "ستينيات", 70: "سبعينيات", 80: "ثمانينيات",
    90: "تسعينيات",
}  # fmt: skip
_PARTS = {"early": "أوائل", "mid": "منتصف", "late": "أواخر"}
_SCALES = (("", "", ""), ("ألف", "ألفين", "آلاف"), ("مليون", "مليونين", "ملايين"), ("مليار", "مليارين", "مليارات"),
           ("تريليون", "تريليونين", "تريليونات"))  # fmt: skip
_SMALL = (("صفر",), ("واحد", "واحدة"), ("اثنان", "اثنين"), ("ثلاثة", "ثلاث"), ("أربعة", "أربع"), ("خمسة", "خمس"),
          ("ستة", "ست"), ("سبعة", "سبع"), ("ثمانية", "ثماني", "ثمان"), ("تسعة", "تسع"), ("عشرة", "عشر"))  # fmt: skip
_PERSON = Noun("شخص", "الشخص", person=True)
_NOUNS: Mapping[str, Noun] = {
    "person": _PERSON,
    "human": _PERSON,
    "laureate": _PERSON,
    "city": Noun("مدينة", "المدينة", feminine=True),
    "country": Noun("دولة", "الدولة", feminine=True),
    "company": Noun("شركة", "الشركة", feminine=True),
    "film": Noun("فيلم", "الفيلم"),
    "movie": Noun("فيلم", "الفيلم"),
    "book": Noun("كتاب", "الكتاب"),
    "language": Noun("لغة", "اللغة", feminine=True),
    "continent": Noun("قارة", "القارة", feminine=True),
    "region": Noun("منطقة", "المنطقة", feminine=True),
    "subregion": Noun("إقليم", "الإقليم"),
    "organization": Noun("منظمة", "المنظمة", feminine=True),
    "organisation": Noun("منظمة", "المنظمة", feminine=True),
    "university": Noun("جامعة", "الجامعة", feminine=True),
    "institution": Noun("مؤسسة", "المؤسسة", feminine=True),
    "prize": Noun("جائزة", "الجائزة", feminine=True),
    "award": Noun("جائزة", "الجائزة", feminine=True),
    "element": Noun("عنصر", "العنصر"),
    "profession": Noun("مهنة", "المهنة", feminine=True),
    "occupation": Noun("مهنة", "المهنة", feminine=True),
    "genre": Noun("نوع", "النوع"),
    "disease": Noun("مرض", "المرض"),
    "currency": Noun("عملة", "العملة", feminine=True),
    "religion": Noun("ديانة", "الديانة", feminine=True),
    "movement": Noun("حركة", "الحركة", feminine=True),
    "year": Noun("عام", "العام"),
    "work": Noun("عمل", "العمل"),
    "event": Noun("حدث", "الحدث"),
    "place": Noun("مكان", "المكان"),
    "instrument": Noun("آلة", "الآلة", feminine=True),
    "state": Noun("ولاية", "الولاية", feminine=True),
    "subdivision": Noun("قسم إداري", "القسم الإداري"),
    "party": Noun("حزب", "الحزب"),
}
_THING = Noun("كيان", "الكيان")


class ArabicGrammar(Grammar):
    """A type that the table does not know takes the graph's own label; its gender is read off its type phrase."""

    code = "ar"
    letters: ClassVar[Sequence[str]] = ("أ", "ب", "ج", "د", "هـ", "و", "ز", "ح", "ط", "ي", "ك", "ل", "م", "ن")
    units: ClassVar[Mapping[str, str]] = {
        "km²": "كيلومتر مربع", "km": "كيلومتر", "m": "متر", "K": "كلفن", "u": "وحدة كتل ذرية", "%": "بالمئة",
        "min": "دقيقة", "years": "سنة", "°": "درجة",
        "people": "نسمة", "inhabitants": "نسمة", "g/cm³": "غرام لكل سنتيمتر مكعب", "g/L": "غرام لكل لتر",
    }  # fmt: skip

    def noun(self, entity_type: str, label: str, phrase: str) -> Noun:
        if entity_type in _NOUNS:
            return _NOUNS[entity_type]
        if not label:
            return _THING
        return Noun(label, _definite(label), feminine=phrase.startswith("هي ") or label.split()[0].endswith("ة"))

    def genders(self, phrase: str) -> tuple[str, str]:
        return forms(phrase)

    def agreeing(self, phrase: str, noun: Noun) -> str:
        return phrase if noun is _THING else super().agreeing(phrase, noun)  # of an unknown type: as it is written

    def mention(self, noun: Noun, letter: str) -> str:
        return f"{noun.definite} ({letter})"

    def mention_after(self, phrase: str, noun: Noun, letter: str) -> str:
        ends = phrase.split()[-1] in (noun.singular, noun.definite)
        return f"({letter})" if ends else self.mention(noun, letter)

    def joined(self, predicates: Sequence[str]) -> str:
        return " و".join(predicates)

    def sentence(self, subject: str, predicates: Sequence[str]) -> str:
        return f"{subject} {self.joined(predicates)}."

    def begins_with(self, thing: str, letter: str) -> str:
        return f"يبدأ اسم {thing} بحرف «{letter}»."

    def hearsay(self, statement: str) -> str:
        return f"يقال إن {statement}، وقد لا يصح ذلك."

    def bounded(self, measure: Measure, form: Form, low: float, high: float, noun: Noun) -> str:
        if form in ("high", "low"):
            verb = "تقع" if noun.feminine else "يقع"
            return f"{verb} ضمن الخمس {'الأعلى' if form == 'high' else 'الأدنى'} من حيث {measure.label}"
        if measure.is_date:
            verb = _PREPOSITION.sub("", self.agreeing(measure.phrase, noun)) or f"يعود {measure.label}"
            return f"{verb} {self._when(form, low, high)}"
        owner = "لديها" if noun.feminine else "لديه"
        verb = self.agreeing(measure.phrase, noun) or f"{owner} {measure.label} بمقدار"
        return f"{verb} {self._amount(form, low, high)}{self._unit(measure)}"

    def _when(self, form: Form, low: float, high: float) -> str:
        first, last = int(low), int(high)
        if form == "exact":
            return f"في عام {first}"
        if form == "century":
            return f"في القرن {_ORDINALS[(first - 1) // 100]}"
        if form == "decade":
            return f"في {self._decade(first)}"
        if form in _PARTS:
            return f"في {_PARTS[form]} {self._decade(first)}"
        return f"بين عامي {first} و{last}"

    def _decade(self, year: int) -> str:
        century, tens = _ORDINALS[year // 100], year // 10 * 10 % 100
        if tens in _DECADES:
            return f"{_DECADES[tens]} القرن {century}"
        return f"العقد {_ORDINALS[tens // 10]} من القرن {century}"

    def _amount(self, form: Form, low: float, high: float) -> str:
        if form == "exact":
            return self.number(low)
        if form == "about":
            return f"نحو {self._rounded((low + high) / 2)}"
        if form == "over":
            return f"ما لا يقل عن {self._rounded(low)}"
        if form == "under":
            return f"ما لا يزيد على {self._rounded(high)}"
        return f"ما بين {self._rounded(low)} و{self._rounded(high)}"

    def _rounded(self, value: float) -> str:
        mantissa, power = scaled(value)
        if power < 2:
            return plain(value, ",")
        one, two, few = _SCALES[power]
        if mantissa in (1, 2):
            return one if mantissa == 1 else two
        return f"{plain(mantissa)} {few if 3 <= mantissa <= 10 and mantissa == int(mantissa) else one}"

    def _unit(self, measure: Measure) -> str:
        return f" {self.units.get(measure.unit, measure.unit)}" if measure.unit else ""

    def number(self, value: float) -> str:
        return plain(value, ",")

    def number_forms(self, value: float) -> tuple[str, ...]:
        mantissa, power = scaled(value)
        words = (self._rounded(value),) if power >= 2 and round(mantissa, 3) == mantissa else ()
        small = _SMALL[int(value)] if value in range(11) else ()
        return (*forms_of(value, "٠١٢٣٤٥٦٧٨٩"), *words, *small)

    def which_fits(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"أي {noun.singular} {self.joined(predicates)}؟"

    def which_is(self, noun: Noun, letter: str) -> str:
        asked = ("من هي" if noun.feminine else "من هو") if noun.person else ("ما هي" if noun.feminine else "ما هو")
        return f"{asked} {noun.definite} ({letter})؟"

    def the_one(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"{noun.definite} {'التي' if noun.feminine else 'الذي'} {self.joined(predicates)}"

    def how_many(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"كم {_accusative(noun.singular)} {self.joined(predicates)}؟"

    def which_extreme(self, noun: Noun, predicates: Sequence[str], measure: Measure, *, largest: bool) -> str:
        pronoun = "هي" if noun.feminine else "هو"
        degree = ("الأحدث" if largest else "الأسبق") if measure.is_date else ("الأعلى" if largest else "الأدنى")
        return f"من بين كل {noun.singular} {self.joined(predicates)}، ما {pronoun} {degree} من حيث {measure.label}؟"

    def value_of(self, measure: Measure, thing: str) -> str:
        feminine = _is_feminine(measure.label)
        if measure.is_date:
            return f"في أي سنة {'تقع' if feminine else 'يقع'} {measure.label} {_to(thing)}؟"
        return f"{'ما هي' if feminine else 'ما هو'} {measure.label} {_to(thing)}{self._in_unit(measure)}؟"

    def _in_unit(self, measure: Measure) -> str:
        return f" ({self.units.get(measure.unit, measure.unit)})" if measure.unit else ""

    def sum_of(self, measure: Measure, first: str, second: str) -> str:
        return f"ما مجموع {measure.label} {_to(first)} و{measure.label} {_to(second)}{self._in_unit(measure)}؟"

    def difference_of(self, measure: Measure, first: str, second: str) -> str:
        if measure.is_date:
            return f"ما الفرق بالسنوات التقويمية بين {measure.label} {_to(first)} و{measure.label} {_to(second)}؟"
        return f"ما الفرق بين {measure.label} {_to(first)} و{measure.label} {_to(second)}{self._in_unit(measure)}؟"

    def which_of_two(self, measure: Measure, first: str, second: str, *, largest: bool) -> str:
        degree = ("أحدث" if largest else "أسبق") if measure.is_date else ("أعلى" if largest else "أدنى")
        return f"أي الاثنين {degree} من حيث {measure.label}: {first} أم {second}؟"


def _definite(label: str) -> str:
    """The article goes onto a single word, else onto the last word of a construct ("شركة التسجيلات")."""
    words = label.split()
    if words[-1].startswith("ال"):
        return label
    return " ".join([*words[:-1], f"ال{words[-1]}"])


def _accusative(noun: str) -> str:
    """Singular accusative after "how many": an ending is written only on a lone masculine noun."""
    if " " in noun or noun.endswith(("ة", "ا", "ى", "اء")):
        return noun
    return f"{noun}ًا"


def _to(thing: str) -> str:
    """ "to" with what follows: "ال" contracts with it."""
    return f"لل{thing[2:]}" if thing.startswith("ال") else f"لـ{thing}"


def _is_feminine(label: str) -> bool:
    return label.split()[0].endswith("ة") if label else False


GRAMMAR: Grammar = ArabicGrammar()
