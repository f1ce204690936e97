"""The World Factbook: who borders whom, as its own sentences say, and figures.

A border holds both ways, whichever side states it. A country is found by any of its names: the factbook calls one thing
"Democratic Republic of the Congo" in a neighbour's sentence and "DRC" over its own page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sindbad.graph.importers.country_names import aliases
from sindbad.graph.importers.crosswalk import slug
from sindbad.graph.importers.facts import Fact, Link, Node, Part, Unusable, Value
from sindbad.graph.importers.real import CLDR, RealImporter, number_of
from sindbad.graph.importers.rows import Record, jsonl
from sindbad.graph.store_format import Licence

_TITLES: Final[Mapping[str, str]] = {
    "cf": "Republic of the Congo", "cg": "Democratic Republic of the Congo", "dr": "Dominican Republic",
    "fk": "Falkland Islands", "gz": "Gaza Strip", "sv": "Svalbard", "vq": "United States Virgin Islands",
    "vt": "Vatican City",
}  # fmt: skip
"""Page -> title, where the page's own is cut short, holds a remark, or is another country's, too."""
_CALLED: Final[Mapping[str, str]] = {
    "us": "us", "uk": "uk", "uae": "ae", "czech republic": "ez", "macedonia": "mk", "holy see": "vt",
}  # fmt: skip
"""What neighbours' sentences say -> page, beside titles and long forms."""
_KINDS: Final[Mapping[str, str]] = {"ee": "organization", "gz": "place", "we": "place"}
_PARTS: Final[Mapping[str, str]] = {"gz": "PSE", "we": "PSE"}
"""Pages about a part of a country, whose borders are the country's."""
_BORDERS: Final = ("border countries", "border sovereign base areas", "regional borders")
_BRACKETS: Final = re.compile(r"\s*\([^)]*\)")
_ITEMS: Final = re.compile(r";|(?<=\bkm)\s*(?:,|\band\b)")
_ITEM: Final = re.compile(r"(?:border countries\s*:)?\s*(\D+?)\s+[\d,.]+\s*km$")
_NUMBER: Final = re.compile(r"(?:total:\s*)?([\d,]+(?:\.\d+)?)(\s+million)?(?!\s+billion)(?=\s|$|\()")
_FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "Population / total": ("population", ""),
    "Area / total": ("area", "km²"),
    "Median age / total": ("median_age", "years"),
    "Life expectancy at birth / total population": ("life_expectancy", "years"),
    "Coastline": ("coastline", "km"),
    "Land boundaries / total": ("land_boundaries", "km"),
}
_Borders = dict[tuple[str, str], None]


class Factbook(RealImporter):
    """A page a country, with its figures and its neighbours."""

    kind = "factbook"
    files = (("factbook", "pages.jsonl.gz"), ("crosswalk", "crosswalk.tsv.gz"))
    licences = (Licence(source="CIA World Factbook (factbook/factbook.json)", licence="CC0 / US public domain"), CLDR)

    def parts(self) -> list[Part]:
        return [("pages", self._pages)]

    def _pages(self) -> Iterator[Fact]:
        rows = list(jsonl(self.path(0), "gec", "name", "sections"))
        pages = [row for row in rows if not isinstance(row, Unusable)]
        yield from (row for row in rows if isinstance(row, Unusable))
        ends, borders = self._ends(pages), _Borders()
        for row in pages:
            own, fields = self._id(row["gec"]), _fields(row)
            yield self._node(own, row)
            yield from self._part(own, row["gec"])
            yield from self._figures(own, fields)
            yield from self._borders(row["gec"], fields, ends, borders)
        yield from self._unintroduced(borders, {self._id(row["gec"]) for row in pages})
        yield from _other_sides(borders)

    def _id(self, code: str) -> str:
        return self.walk.factbook(code) or slug("factbook", code)

    def _node(self, own: str, row: Record) -> Node:
        title = _TITLES.get(row["gec"], row["name"])
        kind = "place" if row.get("region") in ("oceans", "world") else _KINDS.get(row["gec"], "country")
        names = {"en": title, "ar": self.walk.arabic(own)}
        other = {"en": aliases(row["name"])} if title != row["name"] else {}
        prose = "\n".join(f"{field['name']}: {field['text']}" for part in row["sections"] for field in part["fields"])
        return Node(own, kind, names, other, {"factbook": row["gec"]}, prose={"en": prose})

    def _part(self, own: str, page: str) -> Iterator[Fact]:
        if page in _PARTS:
            whole = self.walk.country(_PARTS[page])
            yield Node(whole, "country", self.walk.country_names.get(whole, {}))
            yield Link(own, "P361", whole)

    def _figures(self, own: str, fields: Mapping[str, str]) -> Iterator[Fact]:
        for name, (attribute, unit) in _FIGURES.items():
            if name in fields:
                found = _NUMBER.match(fields[name].strip())
                value = number_of(found.group(1).replace(",", "")) if found else None
                if found is None or value is None:
                    yield Unusable(f"factbook: no plain number under {name}", f"{own}: {fields[name][:60]}")
                else:
                    yield Value(own, attribute, round(value * 1_000_000) if found.group(2) else value, unit)

    def _ends(self, pages: Sequence[Record]) -> dict[str, str]:
        """Name -> the country that has the border: titles, then long forms, then what the crosswalk calls countries."""
        codes = {row["gec"]: self._country(row["gec"]) for row in pages}
        told = [(row["name"], codes[row["gec"]]) for row in pages]
        told += [(_TITLES[row["gec"]], codes[row["gec"]]) for row in pages if row["gec"] in _TITLES]
        told += [(called, codes[page]) for called, page in _CALLED.items() if page in codes]
        told += [(_fields(row).get("Country name / conventional long form", ""), codes[row["gec"]]) for row in pages]
        told += [(names["en"], country) for country, names in self.walk.country_names.items()]
        return {_folded(name): country for name, country in reversed(told) if name and name != "none"}

    def _country(self, page: str) -> str:
        return self.walk.country(_PARTS[page]) if page in _PARTS else self._id(page)

    def _borders(
        self, page: str, fields: Mapping[str, str], ends: Mapping[str, str], borders: _Borders
    ) -> Iterator[Fact]:
        """The page's borders, kept in ``borders``, too, until it is known which of them both sides state."""
        own = self._country(page)
        for item in _items(fields):
            match = _ITEM.match(item)
            there = ends.get(_folded(match.group(1))) if match else None
            if there is None:
                yield Unusable("factbook: a border with what is no country known", f"{own}: {item[:80]}")
            elif _KINDS.get(page) == "organization":
                yield Unusable("factbook: a border of what is no country", f"{own}: {item[:80]}")
            else:
                yield Link(own, "borders", there)
                borders[own, there] = None

    def _unintroduced(self, borders: _Borders, known: set[str]) -> Iterator[Fact]:
        """Neighbours without a page of their own that the crosswalk knows: French Guiana."""
        for there in dict.fromkeys(there for _, there in borders if there not in known):
            yield Node(there, "country", self.walk.country_names.get(there, {}))


def _other_sides(borders: _Borders) -> Iterator[Fact]:
    for own, there in borders:
        if (there, own) not in borders:
            yield Link(there, "borders", own)
            yield Unusable("factbook: a side that does not state its border (the other one does)", f"{there}: {own}")


def _fields(row: Record) -> dict[str, str]:
    return {field["name"]: field["text"] for part in row["sections"] for field in part["fields"]}


def _items(fields: Mapping[str, str]) -> list[str]:
    """ "Spain (Ceuta) 8 km and Spain (Melilla) 10.5 km; …" in parts; a comma may stand for a semicolon."""
    texts = (fields.get(f"Land boundaries / {name}", "") for name in _BORDERS)
    return [item.strip() for text in texts for item in _ITEMS.split(_BRACKETS.sub("", text)) if item.strip()]


def _folded(name: str) -> str:
    """Without case, accents and remarks in brackets."""
    letters = unicodedata.normalize("NFKD", _BRACKETS.sub("", name)).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).removeprefix("the ").strip()
