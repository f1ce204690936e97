"""The small real graphs: countries, Nobel prizes, the periodic table. Ids are Wikidata's wherever one is known."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, Final

from sindbad.graph.importers import arabic
from sindbad.graph.importers.country_names import aliases, english_name, other_names
from sindbad.graph.importers.crosswalk import Crosswalk, iso3, slug
from sindbad.graph.importers.facts import Fact, Link, Node, Part, Unusable, Value
from sindbad.graph.importers.rows import Record, find, identities, jsonl, tsv
from sindbad.graph.importers.tables import REAL
from sindbad.graph.store_format import Licence

_HAND: Final = Licence(
    source="Arabic names and phrases of sindbad.graph.importers", licence="Apache-2.0", note="written by hand"
)
CLDR: Final = Licence(source="Unicode CLDR (Arabic names of countries)", licence="Unicode-3.0")


class RealImporter(ABC):
    """What importers of the data folder share."""

    kind = ""
    files: tuple[tuple[str, ...], ...] = ()
    licences: tuple[Licence, ...] = ()
    wording = REAL
    implied = False

    def __init__(self, data: Path, corpus: str = "") -> None:
        self.data, self.corpus = data, corpus or self.kind
        self.walk = Crosswalk(data)

    def job(self) -> Mapping[str, Any]:
        """Files with their digests."""
        return {"files": identities(*(find(self.data, *parts) for parts in self.files))}

    @abstractmethod
    def parts(self) -> list[Part]:
        """What makes the facts, by name."""

    def path(self, number: int) -> Path:
        """One of :attr:`files`."""
        return find(self.data, *self.files[number])


def number_of(text: str) -> int | float | None:
    """A number as it is written; None for anything else."""
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return None


class Countries(RealImporter):
    """Countries with borders, capitals, currencies, languages, regions and first-level subdivisions."""

    kind = "countries"
    files = (
        ("countries", "countries_mledoze.jsonl.gz"),
        ("countries", "countries_dr5hn.jsonl.gz"),
        ("countries", "states_dr5hn.tsv.gz"),
    )
    licences = (
        Licence(source="mledoze/countries", licence="ODbL 1.0", share_alike=True),
        Licence(source="dr5hn/countries-states-cities-database", licence="ODbL 1.0", share_alike=True),
        CLDR,
        _HAND,
    )

    def parts(self) -> list[Part]:
        return [("countries", self._countries), ("figures", self._figures), ("subdivisions", self._subdivisions)]

    def _countries(self) -> Iterator[Fact]:
        rows = list(jsonl(self.path(0), "cca3", "name"))
        told = [row for row in rows if not isinstance(row, Unusable)]
        borders = {(iso3(row["cca3"]), iso3(code)) for row in told for code in row.get("borders") or ()}
        for row in rows:
            if isinstance(row, Unusable):
                yield row
                continue
            code = iso3(row["cca3"])
            own = self.walk.country(code)
            names = {"en": english_name(code, row["name"]), "ar": self.walk.arabic(own)}
            other = {
                "en": aliases(row["name"], row.get("official", ""), code),
                "ar": aliases(row.get("name_ar", ""), row.get("official_ar", ""), *other_names(row.get("cca2", ""))),
            }
            features = {"iso3": code, "landlocked": str(bool(row.get("landlocked"))).lower()}
            yield Node(own, "country", names, other, features, {"en": code, "ar": code})
            yield from self._borders(own, code, borders, row)
            yield from self._links(own, row, names)
            if isinstance(row.get("area"), int | float) and row["area"] > 0:
                yield Value(own, "area", row["area"], "km²")

    def _borders(self, own: str, code: str, borders: Set[tuple[str, str]], row: Record) -> Iterator[Fact]:
        """Every border stands in the rows of both its countries; one that does not is a slip."""
        for there in map(iso3, row.get("borders") or ()):
            if (there, code) in borders:
                yield Link(own, "borders", self.walk.country(there))
            else:
                yield Unusable("a border that only one of the two countries has", f"{code} {there}")

    def _links(self, own: str, row: Record, names: Mapping[str, str]) -> Iterator[Fact]:
        """``names`` of the country tell capitals of one name apart."""
        for name in row.get("capital") or ():
            city = self.walk.city(name, own)
            yield Node(city, "city", {"en": name, "ar": arabic.CAPITALS.get(name, "")}, distinct=names)
            yield Link(own, "capital", city)
            yield Link(city, "city_in", own)
        for code, currency in (row.get("currencies") or {}).items():
            yield Node(slug("currency", code), "currency", {"en": currency.get("name") or code}, {"en": [code]})
            yield Link(own, "currency", slug("currency", code))
        for name in (row.get("languages") or {}).values():
            spoken = self.walk.language(name)
            yield Node(spoken, "language", {"en": name, "ar": arabic.LANGUAGE_NAMES.get(name, "")})
            yield Link(own, "P37", spoken)
        yield from _regions(own, row.get("region") or "", row.get("subregion") or "")

    def _figures(self) -> Iterator[Fact]:
        for row in jsonl(self.path(1), "iso3", "name"):
            if isinstance(row, Unusable):
                yield row
                continue
            own = self.walk.country(row["iso3"])
            names = {"en": english_name(iso3(row["iso3"]), row["name"]), "ar": self.walk.arabic(own)}
            yield Node(own, "country", names)
            if row.get("population"):
                yield Value(own, "population", int(row["population"]))
            for name in ("latitude", "longitude"):
                value = number_of(str(row.get(name) or ""))
                if value is not None:
                    yield Value(own, name, float(value), "°")

    def _subdivisions(self) -> Iterator[Fact]:
        codes = {row["iso2"]: iso3(row["iso3"]) for row in jsonl(self.path(1)) if not isinstance(row, Unusable)}
        for row in tsv(self.path(2)):
            if isinstance(row, Unusable):
                yield row
                continue
            if row["country_code"] not in codes or not row["name"]:
                yield Unusable("a subdivision of an unknown country", f"{row['id']} {row['country_code']}")
                continue
            own = slug(row["iso3166_2"] or f"state-{row['id']}")
            native = row["native"] if re.search(r"[\u0620-\u064a]", row["native"]) else ""
            arabic_name = native if row["country_code"] in _ARABIC else ""
            aliases = {} if arabic_name or not row["native"] else {"en": [row["native"]]}
            country = codes[row["country_code"]]
            features = {"kind": row["type"]} if row["type"] else {}
            distinct = {"en": country, "ar": country}
            yield Node(own, "subdivision", {"en": row["name"], "ar": arabic_name}, aliases, features, distinct)
            yield Link(own, "subdivision_of", self.walk.country(country))
            for name in ("latitude", "longitude"):
                value = number_of(row[name])
                if value is not None:
                    yield Value(own, name, float(value), "°")


_ARABIC: Final = frozenset(
    {
        "DZ", "BH", "KM", "DJ", "EG", "IQ", "JO", "KW", "LB", "LY", "MR", "MA", "OM", "PS", "QA", "SA", "SO", "SD",
        "SY", "TN", "AE", "YE", "EH",
    }
)  # fmt: skip
"""Countries whose subdivisions' native names are Arabic."""


def _regions(own: str, region: str, subregion: str) -> Iterator[Fact]:
    for name, kind in ((region, "continent"), (subregion, "region")):
        if name:
            yield Node(slug(kind, name), kind, {"en": name, "ar": arabic.REGIONS.get(name, "")})
    if subregion:
        yield Link(own, "in_region", slug("region", subregion))
        yield Link(slug("region", subregion), "P361", slug("continent", region))
    elif region:
        yield Link(own, "P361", slug("continent", region))


class Nobel(RealImporter):
    """Laureates, prizes, institutions and places."""

    kind = "nobel"
    files = (("nobel", "laureates.jsonl.gz"),)
    licences = (Licence(source="api.nobelprize.org (saberhosneydev/nobel_react)", licence="CC0"), CLDR, _HAND)

    def parts(self) -> list[Part]:
        return [("laureates", self._laureates)]

    def _laureates(self) -> Iterator[Fact]:
        for row in jsonl(self.path(0), "id", "name"):
            if isinstance(row, Unusable):
                yield row
                continue
            own = row.get("wikidata") or f"laureate-{row['id']}"
            person = row.get("kind") == "person"
            features = {"gender": row["gender"]} if row.get("gender") else {}
            full = [row["full_name"]] if row.get("full_name") not in (None, row["name"]) else []
            yield Node(own, "person" if person else "organization", {"en": row["name"]}, {"en": full}, features)
            yield from self._place(own, "P19" if person else "P740", row.get("birth"))
            yield from self._place(own, "P20", row.get("death"))
            yield from _date(own, "birth_date" if person else "foundation_date", row.get("birth_date"))
            yield from _date(own, "death_date", row.get("death_date"))
            for prize in row.get("prizes") or ():
                yield from self._prize(own, prize)

    def _prize(self, own: str, prize: Record) -> Iterator[Fact]:
        field, year = prize.get("category") or "", str(prize.get("year") or "")
        if not field or not year.isdigit():
            yield Unusable("a prize without a field or a year", f"{own}: {field!r} {year!r}")
            return
        one, kind = slug("prize", field, year), slug("prize", field)
        field_ar = arabic.PRIZE_FIELDS.get(field, "")
        name_ar = f"جائزة نوبل في {field_ar} لعام {year}" if field_ar else ""
        yield Node(one, "prize", {"en": f"Nobel Prize in {field} {year}", "ar": name_ar})
        yield Node(kind, "prize category", {"en": field, "ar": field_ar})
        yield Link(own, "won", one)
        yield Link(one, "prize_in", kind)
        yield Value(one, "award_date", str(int(year)), kind="date")
        if prize.get("motivation"):
            yield Value(own, "motivation", prize["motivation"], kind="text")
        for place in prize.get("affiliations") or ():
            if place.get("name"):
                house = slug("institution", place["name"], place.get("city_now") or "")
                distinct = {"en": place.get("city_now") or ""}
                yield Node(house, "institution", {"en": place["name"]}, distinct=distinct)
                yield Link(own, "affiliated_with", house)
                yield from self._place(house, "located_in", place)

    def _place(self, own: str, relation: str, place: Record | None) -> Iterator[Fact]:
        """The city as it is called now, in its country of now; the country alone where no city is told."""
        if not place:
            return
        country, city = place.get("country_qid") or "", place.get("city_now") or ""
        if country and place.get("country_now"):
            names = {"en": place["country_now"], "ar": self.walk.arabic(country)}
            yield Node(country, "country", names)
        if city:
            there = place.get("city_qid") or slug("city", city, country)
            old = [place["city"]] if place.get("city") not in (None, "", city) else []
            names = {"en": city, "ar": arabic.CAPITALS.get(city, "")}
            yield Node(there, "city", names, {"en": old}, distinct={"en": place.get("country_now") or ""})
            yield Link(own, relation, there)
            if country:
                yield Link(there, "city_in", country)
        elif country:
            yield Link(own, relation, country)


def _date(own: str, name: str, text: str | None) -> Iterator[Fact]:
    """ "1943-00-00" is known to the year."""
    if not text:
        return
    known = re.sub(r"(-00)+$", "", text)
    if re.fullmatch(r"-?\d{4}(-\d\d){0,2}", known):
        yield Value(own, name, known, kind="date")
    else:
        yield Unusable("a date that is none", f"{own} {name} {text!r}")


class Elements(RealImporter):
    """The periodic table with prose."""

    kind = "elements"
    files = (("elements", "elements.jsonl.gz"),)
    licences = (
        Licence(source="Bowserinator/Periodic-Table-JSON", licence="CC BY-SA 3.0", share_alike=True),
        _HAND,
    )
    _FIGURES: Final = (
        ("atomic_mass", "atomic_mass", "u"), ("melt", "melting_point", "K"), ("boil", "boiling_point", "K"),
    )  # fmt: skip

    def parts(self) -> list[Part]:
        return [("elements", self._elements)]

    def _elements(self) -> Iterator[Fact]:
        rows = [row for row in jsonl(self.path(0), "number", "symbol", "name")]
        ids = {row["number"]: slug(f"element:{row['symbol']}") for row in rows if not isinstance(row, Unusable)}
        for row in rows:
            if isinstance(row, Unusable):
                yield row
                continue
            own, number = ids[row["number"]], row["number"]
            names = {"en": row["name"], "ar": arabic.ELEMENTS[number - 1] if number <= len(arabic.ELEMENTS) else ""}
            features = {key: row[key] for key in ("phase", "block") if row.get(key)}
            yield Node(own, "element", names, {"en": [row["symbol"]]}, features, prose={"en": row.get("summary") or ""})
            yield from self._values(own, row)
            yield from self._places(own, row)
            if number + 1 in ids:
                yield Link(own, "next_element", ids[number + 1])

    def _values(self, own: str, row: Record) -> Iterator[Fact]:
        yield Value(own, "atomic_number", int(row["number"]))
        yield Value(own, "symbol", row["symbol"], kind="text")
        for key, name, unit in self._FIGURES:
            if isinstance(row.get(key), int | float):
                yield Value(own, name, row[key], unit)

    def _places(self, own: str, row: Record) -> Iterator[Fact]:
        category = row.get("category") or ""
        if category and not category.startswith("unknown"):
            name_ar = arabic.ELEMENT_CATEGORIES.get(category, "")
            yield Node(slug("category", category), "element category", {"en": category, "ar": name_ar})
            yield Link(own, "in_category", slug("category", category))
        for key, label, label_ar in (("period", "period", "الدورة"), ("group", "group", "المجموعة")):
            if row.get(key):
                there = slug(label, str(row[key]))
                yield Node(there, f"element {label}", {"en": f"{label} {row[key]}", "ar": f"{label_ar} {row[key]}"})
                yield Link(own, f"in_{key}", there)
        for key in ("discovered_by", "named_by"):
            name = (row.get(key) or "").removesuffix(" (chemist)")
            if not name:
                continue
            if re.search(r"\d|unknown|Isotopes|Age$", name):
                yield Unusable(f"{key}: not a name", f"{row['name']}: {name}")
                continue
            yield Node(slug("discoverer", name), "discoverer", {"en": name})
            yield Link(own, key, slug("discoverer", name))
