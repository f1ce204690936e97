"""The number that a form asks for as its answer: how it is mainly written, and how else a right answer may be.

The wording tells the unit and the thing counted, so an answer that repeats them is right: "86,600 km²", "three
countries". A year before Christ is written as pages write it ("144 BC").
"""

from __future__ import annotations

from sindbad.questions.compact import Column
from sindbad.questions.forms import LogicalForm
from sindbad.questions.wording import Worder

_YEARS = "years"
_COUNTED_IN = {"population": "people"}
"""Attributes without a unit that count something."""


def number_answer(form: LogicalForm, worder: Worder, column: Column | None) -> tuple[str, tuple[str, ...]]:
    """The answer and its other accepted forms, in the worder's language.

    Args:
        column: of the form's attribute; None where none is asked for.
    """
    value, grammar = form.value or 0.0, worder.grammar
    dated = column is not None and column.kind == "date"
    if form.operation == "value" and dated:
        return _year(int(value), worder)
    main = grammar.number(value)
    ways = list(grammar.number_forms(value))
    if form.operation == "count":
        noun = worder.noun_of(form.solution[form.target])
        ways += [grammar.counted(int(value), noun), *grammar.counted_forms(int(value), noun)]
    if unit := _YEARS if dated else _unit(form, column):
        ways += [grammar.quantity(value, unit), *grammar.quantity_forms(value, unit)]
    return main, tuple(way for way in dict.fromkeys(ways) if way != main)


def _unit(form: LogicalForm, column: Column | None) -> str:
    own = column.unit if column is not None else ""
    return own or _COUNTED_IN.get(form.attribute, "")


def _year(year: int, worder: Worder) -> tuple[str, tuple[str, ...]]:
    """Without "-144": who compares answers forgets the sign, and 144 is another year."""
    ways = (way for way in worder.grammar.year_forms(year) if year > 0 or any(char.isalpha() for char in way))
    return worder.grammar.year(year), tuple(ways)
