"""How Arabic words a puzzle.

Letters follow the abjad order in brackets, after the definite noun: "الفيلم (أ)". The word for "and" is written onto
the next word, "to" contracts with the article ("للدولة", "للغة"), the noun after "how many" is singular and accusative,
a counted noun follows its number (:mod:`~sindbad.languages.ar.counting`), and verbs of rank agree with the noun's
gender. Nouns and units stand in tables with every form (:mod:`~sindbad.languages.ar.nouns`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from sindbad.languages.ar import times
from sindbad.languages.ar.agreement import forms
from sindbad.languages.ar.counting import ALSO, IN_WORDS, UNITS, counted, in_words, rounded, with_unit
from sindbad.languages.ar.nouns import KINDS, THING, noun_of
from sindbad.languages.grammar import Form, Grammar, Measure, Noun, forms_of, plain, scaled

_DIGITS: Final = "٠١٢٣٤٥٦٧٨٩"
_PREPOSITION: Final = re.compile(r"\s+(?:في|عام|سنة|يوم|بتاريخ|منذ)$")
_GOVERNS: Final = re.compile(r"(?:^|\s)(?:خط العرض|خط الطول|في|عند|على|من|إلى|عن|بمقدار|بلغ|تبلغ)$")
"""Last words of phrases after which a number stands in the genitive or accusative: "على خط العرض درجتين"."""
_ON_A_LINE: Final = re.compile(r"\s(?:خط العرض|خط الطول)$")
_BARE: Final = ("عضو في ", "جزء من ", "مدفون في ", "مدفونة في ", "مدينة في ", "من عناصر ", "من بطولة ")
"""Phrases without a verb and without a pronoun of the subject: a clause that begins so takes "هو" or "هي"."""
_OF: Final[Mapping[str, tuple[str, str]]] = {
    "عدد السكان": ("عدد السكان", "في {}"),
    "المساحة": ("المساحة الإجمالية", ""),
    "خط العرض": ("خط العرض", "لموقع {}"),
    "خط الطول": ("خط الطول", "لموقع {}"),
    "العمر الوسيط": ("العمر الوسيط", "لسكان {}"),
    "متوسط العمر المتوقع": ("متوسط العمر المتوقع", "في {}"),
    "طول الساحل": ("طول الساحل", "في {}"),
}
"""Labels that "to" would not join to their owner as a speaker would: the label as asked for, and what joins it."""


class ArabicGrammar(Grammar):
    """A type that the table does not know takes the graph's own label; its gender is read off its type phrase."""

    code = "ar"
    letters: ClassVar[Sequence[str]] = ("أ", "ب", "ج", "د", "هـ", "و", "ز", "ح", "ط", "ي", "ك", "ل", "م", "ن")

    def noun(self, entity_type: str, label: str, phrase: str) -> Noun:
        return noun_of(entity_type, label, phrase)

    def genders(self, phrase: str) -> tuple[str, str]:
        return forms(phrase)

    def agreeing(self, phrase: str, noun: Noun) -> str:
        return phrase if noun is THING else super().agreeing(phrase, noun)  # of an unknown type: as it is written

    def mention(self, noun: Noun, letter: str) -> str:
        return f"{noun.definite} ({letter})"

    def mention_after(self, phrase: str, noun: Noun, letter: str) -> str:
        last = phrase.split()[-1]
        named = {last, last.removeprefix("ب")} & KINDS or phrase.endswith((f" {noun.singular}", f" {noun.definite}"))
        return f"({letter})" if named else self.mention(noun, letter)

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
            return f"{verb} ضمن الخُمس {'الأعلى' if form == 'high' else 'الأدنى'} من حيث {measure.label}"
        if measure.is_date:
            verb = _PREPOSITION.sub("", self.agreeing(measure.phrase, noun)) or f"يعود {measure.label}"
            return f"{verb} {times.period(form, low, high)}"
        owner = "لديها" if noun.feminine else "لديه"
        verb = self.agreeing(measure.phrase, noun) or f"{owner} {measure.label} بمقدار"
        if form != "exact" and _ON_A_LINE.search(verb):
            verb = f"{verb} البالغ"
        return f"{verb} {self._amount(form, low, high, measure.unit, oblique=bool(_GOVERNS.search(verb)))}"

    def _amount(self, form: Form, low: float, high: float, unit: str, *, oblique: bool) -> str:
        if form == "exact":
            return with_unit(low, unit, oblique=oblique)
        if form == "about":
            return f"نحو {rounded((low + high) / 2, unit)}"
        if form == "over":
            return f"ما لا يقل عن {rounded(low, unit)}"
        if form == "under":
            return f"ما لا يزيد على {rounded(high, unit)}"
        return f"ما بين {rounded(low, '')} و{rounded(high, unit)}"

    def number(self, value: float) -> str:
        return plain(value, ",")

    def number_forms(self, value: float) -> tuple[str, ...]:
        small = tuple(dict.fromkeys(IN_WORDS[int(value)])) if value in range(11) else ()
        extra = {2: ("اثنين",), 8: ("ثمان",)}.get(int(value), ()) if small else ()
        return (*forms_of(value, _DIGITS), *self._in_millions(value), *small, *extra)

    def _in_millions(self, value: float, unit: str = "") -> tuple[str, ...]:
        """Millions and more, where three decimals say all: both cases, and as a headline writes it ("15 مليون")."""
        mantissa, power = scaled(value)
        if power < 2 or round(mantissa, 3) != mantissa:
            return ()
        ways = [rounded(value, unit, oblique=oblique) for oblique in (False, True)]
        return tuple(dict.fromkeys([*ways, *(way.replace("ونًا", "ون").replace("ارًا", "ار") for way in ways)]))

    def quantity(self, value: float, unit: str) -> str:
        return with_unit(value, unit)

    def quantity_forms(self, value: float, unit: str) -> tuple[str, ...]:
        known = UNITS.get(unit)
        if known is None:
            return ()
        nouns = (known.noun, *([ALSO[unit]] if unit in ALSO else []))
        ways = [counted(value, noun, oblique=case, separator=mark) for noun in nouns for case in (False, True)
                for mark in (",", "")]  # fmt: skip
        ways += [way for noun in nouns for way in in_words(value, noun)]
        bare = (*known.symbols, *(noun.singular for noun in nouns), unit)
        ways += [f"{number} {word}" for number in (plain(value, ","), plain(value)) for word in bare]
        ways += self._in_millions(value, unit)
        return tuple(way for way in dict.fromkeys(ways) if way != self.quantity(value, unit))

    def counted(self, value: int, noun: Noun) -> str:
        return counted(value, noun)

    def counted_forms(self, value: int, noun: Noun) -> tuple[str, ...]:
        ways = [counted(value, noun, oblique=True), f"{plain(value)} {noun.singular}", *in_words(value, noun)]
        return tuple(way for way in dict.fromkeys(ways) if way != self.counted(value, noun))

    def year(self, year: int) -> str:
        return times.year_text(year)

    def year_forms(self, year: int) -> tuple[str, ...]:
        return times.year_forms(year, _DIGITS)

    def which_fits(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"أي {noun.singular} {self.joined(_clauses(noun, predicates, first=False))}؟"

    def which_is(self, noun: Noun, letter: str) -> str:
        asked = ("من هي" if noun.feminine else "من هو") if noun.person else ("ما هي" if noun.feminine else "ما هو")
        return f"{asked} {noun.definite} ({letter})؟"

    def the_one(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"{noun.definite} {'التي' if noun.feminine else 'الذي'} {self.joined(_clauses(noun, predicates))}"

    def how_many(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"كم {noun.accusative or noun.singular} {self.joined(_clauses(noun, predicates))}؟"

    def which_extreme(self, noun: Noun, predicates: Sequence[str], measure: Measure, *, largest: bool) -> str:
        degree = ("الأحدث" if largest else "الأسبق") if measure.is_date else ("الأعلى" if largest else "الأدنى")
        if noun.feminine and not noun.person and noun.definite_plural:  # what is said of a she is said of such plurals
            said = self.joined(_clauses(noun, predicates))
            return f"من بين {noun.definite_plural} التي {said}، ما هي {degree} من حيث {measure.label}؟"
        said = self.joined(_clauses(noun, predicates, first=False))
        asked = f"{'من' if noun.person else 'ما'} {'هي' if noun.feminine else 'هو'}"
        return f"إذا نظرنا إلى كل {noun.singular} {said}، ف{asked} {degree} من حيث {measure.label}؟"

    def value_of(self, measure: Measure, thing: str) -> str:
        feminine = _is_feminine(measure.label)
        if measure.is_date:
            return f"في أي سنة {'تقع' if feminine else 'يقع'} {_of(measure, thing)}؟"
        return f"{'ما هي' if feminine else 'ما هو'} {_of(measure, thing, _in_unit(measure))}؟"

    def sum_of(self, measure: Measure, first: str, second: str) -> str:
        return f"ما مجموع {_of(measure, first)} و{_of(measure, second)}{_in_unit(measure)}؟"

    def difference_of(self, measure: Measure, first: str, second: str) -> str:
        unit = " بالسنوات التقويمية" if measure.is_date else _in_unit(measure)
        return f"ما الفرق{unit} بين {_of(measure, first)} و{_of(measure, second)}؟"

    def which_of_two(self, measure: Measure, first: str, second: str, *, largest: bool) -> str:
        degree = ("أحدث" if largest else "أسبق") if measure.is_date else ("أعلى" if largest else "أدنى")
        return f"أيهما {degree} من حيث {measure.label}: {first} أم {second}؟"


def _clauses(noun: Noun, predicates: Sequence[str], *, first: bool = True) -> list[str]:
    """Predicates as clauses of one noun: a bare one takes its pronoun, the ``first`` where it has to."""
    pronoun = "هي" if noun.feminine else "هو"
    return [
        f"{pronoun} {said}" if said.startswith(_BARE) and (first or place) else said
        for place, said in enumerate(predicates)
    ]


def _of(measure: Measure, thing: str, unit: str = "") -> str:
    """The attribute of a thing, with the unit right behind its label."""
    label, joined = _OF.get(measure.label, (measure.label, ""))
    return f"{label}{unit} {joined.format(thing) if joined else _to(thing)}"


def _in_unit(measure: Measure) -> str:
    known = UNITS.get(measure.unit)
    return f" {known.asked}" if known else f" ({measure.unit})" if measure.unit else ""


def _to(thing: str) -> str:
    """ "to" with what follows: it contracts with the article, and three lams in a row are never written ("للغة")."""
    if thing.startswith("ال"):
        return f"لل{thing[2:].removeprefix('ل')}"
    return f"ل{thing}" if "\u0621" <= thing[:1] <= "\u064a" else f"لـ{thing}"


def _is_feminine(label: str) -> bool:
    return label.split()[0].endswith("ة") if label else False


GRAMMAR: Grammar = ArabicGrammar()
