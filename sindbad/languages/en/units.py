"""English units: how a sentence writes them, and how an answer may.

A symbol stays as it is whatever the number ("1 km²"); a word takes the singular after one ("1 year").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: its symbol ("" where a word is written), ``one`` and ``many`` in words, ``others``: more writings."""

    symbol: str
    one: str
    many: str
    others: tuple[str, ...] = ()


_SECONDS, _MINUTES, _HOURS = (
    Unit("", "second", "seconds", ("s",)), Unit("", "minute", "minutes", ("min",)), Unit("", "hour", "hours", ("h",))
)  # fmt: skip
UNITS: Final[Mapping[str, Unit]] = {
    "km²": Unit("km²", "square kilometre", "square kilometres",
                ("square kilometer", "square kilometers", "sq km", "sq. km", "km2")),
    "m²": Unit("m²", "square metre", "square metres", ("square meter", "square meters", "sq m", "m2")),
    "km": Unit("km", "kilometre", "kilometres", ("kilometer", "kilometers", "kms")),
    "m": Unit("m", "metre", "metres", ("meter", "meters")),
    "cm": Unit("cm", "centimetre", "centimetres", ("centimeter", "centimeters")),
    "kg": Unit("kg", "kilogram", "kilograms", ("kilogramme", "kilogrammes", "kilos")),
    "g": Unit("g", "gram", "grams", ("gramme", "grammes")),
    "g/cm³": Unit("g/cm³", "gram per cubic centimetre", "grams per cubic centimetre",
                  ("grams per cubic centimeter", "g/cm3", "g cm-3")),
    "g/L": Unit("g/L", "gram per litre", "grams per litre", ("grams per liter", "g/l")),
    "K": Unit("K", "kelvin", "kelvins", ("kelvin", "degrees kelvin", "°K")),
    "°C": Unit("°C", "degree Celsius", "degrees Celsius", ("degrees centigrade",)),
    "u": Unit("u", "atomic mass unit", "atomic mass units",
              ("unified atomic mass units", "amu", "Da", "dalton", "daltons")),
    "%": Unit("%", "percent", "percent", ("per cent", "pct")),
    "°": Unit("°", "degree", "degrees", ("deg",)),
    "min": Unit("min", "minute", "minutes", ("mins",)),
    "s": Unit("s", "second", "seconds", ("sec",)),
    "h": Unit("h", "hour", "hours", ("hrs",)),
    "seconds": _SECONDS, "minutes": _MINUTES, "hours": _HOURS,
    "days": Unit("", "day", "days"), "months": Unit("", "month", "months"),
    "years": Unit("", "year", "years", ("years old", "yrs")),
    "people": Unit("", "person", "people", ("persons", "inhabitants")),
    "inhabitants": Unit("", "inhabitant", "inhabitants", ("people",)),
}  # fmt: skip
CLOSE_UP: Final = frozenset({"%", "°"})
"""Symbols that are written onto the number."""
