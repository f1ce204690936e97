"""How a language words a puzzle: named and unnamed things, what is said of them, vague amounts, and what is asked.

Where a question has several unknown things each carries a letter ("film A … person B"), so that any pattern of clues,
cycles included, reads without ambiguity. A *predicate* is what stands after a subject ("was born in Paris"): a
relation's phrase, object last. Every fixed word belongs to the language's folder; nothing is translated from English.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Form = Literal["exact", "early", "mid", "late", "decade", "century", "span", "about", "over", "under", "high", "low"]


@dataclass(frozen=True, slots=True)
class Noun:
    """An entity type in one language.

    Attributes:
        singular: indefinite ("film"); ``definite``: with the article where the language has one.
        feminine: grammatical gender, where there is one. ``person``: asked for with "who".
        accusative, one, dual, oblique, plural: as it stands after a number, where the language tells these apart and
            the form is known: after 11 to 99, "one film", "two films" as a subject and after a preposition, after 3 to
            10 (English: after any but one). ``definite_plural``: with the article.
    """

    singular: str
    definite: str = ""
    feminine: bool = False
    person: bool = False
    accusative: str = ""
    one: str = ""
    dual: str = ""
    oblique: str = ""
    plural: str = ""
    definite_plural: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """An attribute in one language: ``label`` ("population"), ``phrase`` ("has a population of"; "" for none), unit."""

    label: str
    phrase: str
    unit: str
    is_date: bool


class Grammar(ABC):
    """Words and syntax of one language. All texts lack final punctuation unless a method says sentence or question."""

    code: ClassVar[str]
    letters: ClassVar[Sequence[str]]

    @abstractmethod
    def noun(self, entity_type: str, label: str, phrase: str) -> Noun:
        """A type's noun: from the pack's table, else from the graph's own label and type phrase."""

    def genders(self, phrase: str) -> tuple[str, str]:
        """A relation's or attribute's phrase as it is said of a masculine and of a feminine subject."""
        return phrase, phrase

    def agreeing(self, phrase: str, noun: Noun) -> str:
        """The phrase in the gender of what it is said of."""
        return self.genders(phrase)[noun.feminine]

    @abstractmethod
    def mention(self, noun: Noun, letter: str) -> str:
        """An unknown thing: "film A"."""

    @abstractmethod
    def mention_after(self, phrase: str, noun: Noun, letter: str) -> str:
        """The same after a relation's phrase that may end in the noun itself ("belongs to the genre" + "A")."""

    @abstractmethod
    def joined(self, predicates: Sequence[str]) -> str:
        """Predicates of one subject, with commas and the word for "and"."""

    @abstractmethod
    def sentence(self, subject: str, predicates: Sequence[str]) -> str:
        """A statement, with its full stop."""

    @abstractmethod
    def begins_with(self, thing: str, letter: str) -> str:
        """Sentence: the name of an unknown thing begins with a letter."""

    @abstractmethod
    def hearsay(self, statement: str) -> str:
        """Sentence: something that some say and that may be wrong. ``statement`` ends without a full stop."""

    # --- times and quantities -------------------------------------------------------------------------------------

    @abstractmethod
    def bounded(self, measure: Measure, form: Form, low: float, high: float, noun: Noun) -> str:
        """Predicate: the attribute lies in an interval, worded by its form."""

    @abstractmethod
    def number(self, value: float) -> str:
        """Digits with separators."""

    @abstractmethod
    def number_forms(self, value: float) -> tuple[str, ...]:
        """Other ways of writing a number that an answer may take."""

    @abstractmethod
    def quantity(self, value: float, unit: str) -> str:
        """A number with its unit as a page or a question writes it ("86,600 km²"); the number alone for no unit."""

    @abstractmethod
    def quantity_forms(self, value: float, unit: str) -> tuple[str, ...]:
        """Other ways of writing that, unit included ("86600 square kilometers"); () for no unit or an unknown one."""

    @abstractmethod
    def counted(self, value: int, noun: Noun) -> str:
        """So many of a thing ("3 countries")."""

    @abstractmethod
    def counted_forms(self, value: int, noun: Noun) -> tuple[str, ...]:
        """Other ways of writing that ("three countries")."""

    @abstractmethod
    def year(self, year: int) -> str:
        """A year as a page writes it; negative is before Christ: "144 BC"."""

    @abstractmethod
    def year_forms(self, year: int) -> tuple[str, ...]:
        """Other ways of writing a year that an answer may take."""

    # --- questions ------------------------------------------------------------------------------------------------

    @abstractmethod
    def which_fits(self, noun: Noun, predicates: Sequence[str]) -> str:
        """Question: which thing is all that?"""

    @abstractmethod
    def which_is(self, noun: Noun, letter: str) -> str:
        """Question: which one is film A?"""

    @abstractmethod
    def the_one(self, noun: Noun, predicates: Sequence[str]) -> str:
        """ "the film that …": a thing described within a question."""

    @abstractmethod
    def how_many(self, noun: Noun, predicates: Sequence[str]) -> str:
        """Question: how many things are all that?"""

    @abstractmethod
    def which_extreme(self, noun: Noun, predicates: Sequence[str], measure: Measure, *, largest: bool) -> str:
        """Question: which of the things that are all that has the most or least?"""

    @abstractmethod
    def value_of(self, measure: Measure, thing: str) -> str:
        """Question: what is the attribute of a thing?"""

    @abstractmethod
    def sum_of(self, measure: Measure, first: str, second: str) -> str:
        """Question: how much do two things have together?"""

    @abstractmethod
    def difference_of(self, measure: Measure, first: str, second: str) -> str:
        """Question: by how much do two things differ?"""

    @abstractmethod
    def which_of_two(self, measure: Measure, first: str, second: str, *, largest: bool) -> str:
        """Question: which of two things has more (or is later)?"""


def century(first: int, last: int) -> tuple[int, bool]:
    """(number, whether before Christ) of the century that an interval of years lies in: 2001 to 2100 is (21, False)."""
    return ((first - 1) // 100 + 1, False) if first > 0 else (max(-last - 1, 0) // 100 + 1, True)


def decade(first: int, last: int) -> tuple[int, bool]:
    """(round year, whether before Christ) of the decade that an interval lies in: -149 to -140 is (140, True)."""
    return (first // 10 * 10, False) if first >= 0 else (-last // 10 * 10, True)


def scaled(value: float) -> tuple[float, int]:
    """A large number as (mantissa, thousands): 5_200_000 -> (5.2, 2); below 1,000 nothing is scaled."""
    power = 0
    while abs(value) >= 1000 and power < 4:
        value, power = value / 1000, power + 1
    return value, power


def plain(value: float, separator: str = "") -> str:
    """Decimal digits, no exponent, no trailing zeros, at most 6 decimals; thousands separated."""
    rounded = round(value, 6)
    if rounded == int(rounded):
        return f"{int(rounded):,}".replace(",", separator)
    whole, _, rest = f"{rounded:,.6f}".partition(".")
    return f"{whole.replace(',', separator)}.{rest.rstrip('0')}"


def forms_of(value: float, native: str) -> tuple[str, ...]:
    """A number written bare, with commas, blanks or thin blanks; in native digits too."""
    ways = [plain(value), plain(value, ","), plain(value, " "), plain(value, "\u202f")]
    digits = str.maketrans("0123456789", native)
    if native != "0123456789":
        ways += [plain(value).translate(digits), plain(value, "٬").translate(digits).replace(".", "٫")]
    return tuple(dict.fromkeys(ways))
