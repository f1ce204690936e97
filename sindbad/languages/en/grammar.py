"""How English words a puzzle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from sindbad.languages.en.plurals import is_plural, plural
from sindbad.languages.en.units import CLOSE_UP, UNITS
from sindbad.languages.grammar import Form, Grammar, Measure, Noun, century, decade, forms_of, plain, scaled

_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SCALES = ("", " thousand", " million", " billion", " trillion")
_PREPOSITION = re.compile(r"\s+(?:on|in|at|of|since)$")
_ENDS_IN_NOUN = re.compile(r"\bthe (?:(?!(?:on|in|at|of|to|for|by|with|from|as)\b)[a-z]+ ?)+$")
"""A phrase that names the kind of its object itself: "lies in the region", not "is on the coast of"."""
_SPACED = re.compile(r"\d[ \u202f]\d")
_PERSONS = frozenset({"person", "human", "laureate", "people"})


class EnglishGrammar(Grammar):
    """Letters are Latin capitals; a type's noun is the graph's label."""

    code = "en"
    letters: ClassVar[Sequence[str]] = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

    def noun(self, entity_type: str, label: str, phrase: str) -> Noun:
        word = label or entity_type.replace("_", " ") or "thing"
        many = plural(word)
        return Noun(word, f"the {word}", person=entity_type in _PERSONS, plural=many, definite_plural=f"the {many}")

    def mention(self, noun: Noun, letter: str) -> str:
        return f"{noun.singular} {letter}"

    def mention_after(self, phrase: str, noun: Noun, letter: str) -> str:
        named = phrase.endswith(f" {noun.singular}") or _ENDS_IN_NOUN.search(phrase)
        return letter if named else self.mention(noun, letter)

    def joined(self, predicates: Sequence[str]) -> str:
        if len(predicates) < 3:
            return " and ".join(predicates)
        return ", ".join(predicates[:-1]) + f", and {predicates[-1]}"

    def sentence(self, subject: str, predicates: Sequence[str]) -> str:
        return f"{subject[:1].upper()}{subject[1:]} {self.joined(predicates)}."

    def begins_with(self, thing: str, letter: str) -> str:
        return f"The name of {thing} begins with {letter}."

    def hearsay(self, statement: str) -> str:
        return f"Some say that {statement}, which may be wrong."

    def bounded(self, measure: Measure, form: Form, low: float, high: float, noun: Noun) -> str:
        if form in ("high", "low"):
            return f"ranks in the {'top' if form == 'high' else 'bottom'} fifth by {measure.label}"
        if measure.is_date:
            verb = _PREPOSITION.sub("", measure.phrase) or f"has its {measure.label}"
            return f"{verb} {self._when(form, low, high)}"
        verb = measure.phrase or f"has as its {measure.label}"
        if form != "exact" and _ENDS_IN_NOUN.search(verb):
            verb = f"{verb} of"
        return f"{verb} {self._amount(form, low, high, measure.unit, after_at=verb.endswith(' at'))}"

    def _when(self, form: Form, low: float, high: float) -> str:
        first, last = int(low), int(high)
        if form == "exact":
            return f"in {self.year(first)}"
        if form == "century":
            number, before = century(first, last)
            return f"in the {_ordinal(number)} century{' BC' if before else ''}"
        if form in ("decade", "early", "mid", "late"):
            return _decade(form, *decade(first, last))
        return f"between {self.year(first)} and {self.year(last)}"

    def _amount(self, form: Form, low: float, high: float, unit: str, *, after_at: bool) -> str:
        if form == "exact":
            return self.quantity(low, unit)
        value = {"over": low, "under": high, "about": (low + high) / 2}.get(form, high)
        said = _with_unit(self._rounded(value), value, unit)
        if form == "about":
            return f"about {said}"
        if form in ("over", "under"):  # "boils at at least" is no English
            least = form == "over"
            return (
                f"{said} or {'more' if least else 'less'}" if after_at else f"at {'least' if least else 'most'} {said}"
            )
        return f"between {self._rounded(low)} and {said}"

    def _rounded(self, value: float) -> str:
        mantissa, power = scaled(value)
        return f"{plain(value, ',')}" if power < 2 else f"{plain(mantissa)}{_SCALES[power]}"

    def number(self, value: float) -> str:
        return plain(value, ",")

    def number_forms(self, value: float) -> tuple[str, ...]:
        mantissa, power = scaled(value)
        words = (f"{plain(mantissa)}{_SCALES[power]}",) if power >= 2 and _exact(mantissa) else ()
        small = (_SMALL[int(value)],) if value in range(11) else ()
        return (*forms_of(value, "0123456789"), *words, *small)

    def quantity(self, value: float, unit: str) -> str:
        return _with_unit(self.number(value), value, unit)

    def quantity_forms(self, value: float, unit: str) -> tuple[str, ...]:
        known = UNITS.get(unit)
        if known is None:
            return ()
        ways = (unit, known.one if value == 1 else known.many, *known.others)
        said = [f"{number} {way}" for number in self._numbers(value) for way in ways]
        return _but(said, self.quantity(value, unit))

    def counted(self, value: int, noun: Noun) -> str:
        return f"{self.number(value)} {noun.singular if value == 1 else noun.plural}"

    def counted_forms(self, value: int, noun: Noun) -> tuple[str, ...]:
        word = noun.singular if value == 1 else noun.plural
        return _but([f"{number} {word}" for number in self._numbers(value)], self.counted(value, noun))

    def _numbers(self, value: float) -> list[str]:
        """Its writings; of those with something between thousands only the one with commas, which says enough."""
        ways = dict.fromkeys((self.number(value), *self.number_forms(value)))
        return [way for way in ways if not _SPACED.search(way)]

    def year(self, year: int) -> str:
        return f"{-year} BC" if year < 0 else str(year)

    def year_forms(self, year: int) -> tuple[str, ...]:
        if year < 0:
            return f"{-year} BCE", f"{-year} B.C.", f"{-year} B.C.E.", f"{-year} before Christ", str(year)
        return f"{year} AD", f"AD {year}", f"{year} CE"

    def which_fits(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"Which {noun.singular} {self.joined(predicates)}?"

    def which_is(self, noun: Noun, letter: str) -> str:
        return f"Who is {noun.singular} {letter}?" if noun.person else f"Which {noun.singular} is {letter}?"

    def the_one(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"the {noun.singular} {'who' if noun.person else 'that'} {self.joined(predicates)}"

    def how_many(self, noun: Noun, predicates: Sequence[str]) -> str:
        return f"For how many {noun.plural or plural(noun.singular)} is it true that each {self.joined(predicates)}?"

    def which_extreme(self, noun: Noun, predicates: Sequence[str], measure: Measure, *, largest: bool) -> str:
        who = "who" if noun.person else "that"
        degree = ("latest" if largest else "earliest") if measure.is_date else ("highest" if largest else "lowest")
        opening = f"Of every {noun.singular} {who} {self.joined(predicates)}"
        return f"{opening}, which one has the {degree} {measure.label}?"

    def value_of(self, measure: Measure, thing: str) -> str:
        if measure.is_date:
            return f"In which year is the {measure.label} of {thing}?"
        unit = f", in {_asked(measure.unit)}," if measure.unit else ""
        return f"What {'are' if is_plural(measure.label) else 'is'} the {measure.label}{unit} of {thing}?"

    def sum_of(self, measure: Measure, first: str, second: str) -> str:
        unit = f", in {_asked(measure.unit)}" if measure.unit else ""
        return f"What is the {measure.label} of {first} plus the {measure.label} of {second}{unit}?"

    def difference_of(self, measure: Measure, first: str, second: str) -> str:
        if measure.is_date:
            return f"By how many calendar years do the {measure.label} of {first} and that of {second} differ?"
        unit = f", in {_asked(measure.unit)}" if measure.unit else ""
        return f"By how much do the {measure.label} of {first} and the {measure.label} of {second} differ{unit}?"

    def which_of_two(self, measure: Measure, first: str, second: str, *, largest: bool) -> str:
        degree = ("later" if largest else "earlier") if measure.is_date else ("higher" if largest else "lower")
        return f"Which of the two has the {degree} {measure.label}: {first} or {second}?"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _decade(form: Form, start: int, before: bool) -> str:
    """ "the 1900s" would be a century to many: such a decade is named by its first year."""
    era = " BC" if before else ""
    if start % 100:
        return f"in the {start}s{era}" if form == "decade" else f"in the {form} {start}s{era}"
    began = f"the decade that began in {start + 9 * before}{era}"
    return {"early": f"early in {began}", "late": f"late in {began}", "mid": f"in the middle of {began}"}.get(
        form, f"in {began}"
    )


def _with_unit(number: str, value: float, unit: str) -> str:
    """A number as it is worded with its unit; one that no table knows is written as it is."""
    known = UNITS.get(unit)
    if not unit or unit in CLOSE_UP:
        return f"{number}{unit}"
    if known is None or known.symbol:
        return f"{number} {unit}"
    return f"{number} {known.one if value == 1 else known.many}"


def _asked(unit: str) -> str:
    return UNITS[unit].many if unit in CLOSE_UP else unit


def _but(ways: Sequence[str], main: str) -> tuple[str, ...]:
    return tuple(way for way in dict.fromkeys(ways) if way != main)


def _exact(mantissa: float) -> bool:
    return round(mantissa, 3) == mantissa


GRAMMAR: Grammar = EnglishGrammar()
