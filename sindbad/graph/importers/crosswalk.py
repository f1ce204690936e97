"""One id for one thing across the data sets: Wikidata's where one is known, so that separate imports join.

``crosswalk.tsv`` pairs CoDEx entities, countries, laureates and elements with articles and factbook pages; the prizes'
own file tells the Wikidata ids of cities.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from sindbad.graph.importers.country_names import arabic_name, english_name
from sindbad.graph.importers.facts import Unusable
from sindbad.graph.importers.rows import Record, find, jsonl, tsv

_NOT_PLAIN: Final = re.compile(r"[^\w.()-]+")
_ISO3: Final[Mapping[str, str]] = {"UNK": "XKX"}
"""Kosovo has no code of ISO's; the sources made up one each."""
_ENTITIES: Final[Mapping[str, str]] = {"PSE": "Q219060"}
"""Countries whose ids differ between the sources: CoDEx's, which its facts are about, counts."""
_ARTICLES: Final[Mapping[str, str]] = {
    "Georgia_(country)": "GEO", "Republic_of_Ireland": "IRL", "Republic_of_Macedonia": "MKD", "Åland": "ALA",
    "Palestinian_territories": "PSE", "Ireland": "",
}  # fmt: skip
"""Articles whose titles are not the names of their countries; the one on Ireland is on the island."""
_PAGES: Final[Mapping[str, str]] = {"we": "", "ee": "Q458"}
"""Factbook pages: the West Bank's is not Palestine's, and the European Union is in CoDEx."""


def slug(*parts: str) -> str:
    """A readable id: "city-São-Tomé-STP"."""
    return "-".join(_NOT_PLAIN.sub("-", unicodedata.normalize("NFC", part)).strip("-") for part in parts if part)


def iso3(code: str) -> str:
    """A code of three letters, one for one country."""
    return _ISO3.get(code, code)


class Crosswalk:
    """Look-ups; "" where nothing is known. Read once, when the first is asked for."""

    def __init__(self, data: Path) -> None:
        self._data = data

    @cached_property
    def _rows(self) -> list[Record]:
        rows = tsv(find(self._data, "crosswalk", "crosswalk.tsv.gz"))
        return [row for row in rows if not isinstance(row, Unusable)]

    @cached_property
    def _countries(self) -> dict[str, tuple[str, str, str]]:
        """ISO code -> (Wikidata id, English name, Arabic name): the crosswalk's, else the country's own row's."""
        found = {}
        for row in jsonl(find(self._data, "countries", "countries_dr5hn.jsonl.gz"), "iso3", "name"):
            if not isinstance(row, Unusable):
                code = iso3(row["iso3"])
                own = row.get("wikiDataId") or f"country-{code}"
                found[code] = (own, english_name(code, row["name"]), arabic_name(row.get("iso2") or ""))
        for row in self._rows:
            if row["iso3"]:
                code = iso3(row["iso3"])
                own, _, name_ar = found.get(code, ("", "", ""))
                found[code] = (row["codex_qid"] or _qid(row["key"]) or own, english_name(code, row["name"]), name_ar)
        return {code: (_ENTITIES.get(code, own), name, name_ar) for code, (own, name, name_ar) in found.items()}

    def country(self, code: str) -> str:
        """The id of the country with that code of three letters."""
        return self._countries.get(iso3(code), ("", "", ""))[0] or f"country-{iso3(code)}"

    @cached_property
    def country_names(self) -> dict[str, dict[str, str]]:
        """Country id -> its names by language."""
        return {own: {"en": name, "ar": name_ar} for own, name, name_ar in self._countries.values()}

    def arabic(self, entity: str) -> str:
        """A country's Arabic name; "" for what is no country."""
        return self.country_names.get(entity, {}).get("ar", "")

    @cached_property
    def _factbook(self) -> dict[str, str]:
        found = {row["factbook"]: self.country(row["iso3"]) for row in self._rows if row["factbook"] and row["iso3"]}
        return {**found, **_PAGES}

    def factbook(self, code: str) -> str:
        """What a factbook page is about."""
        return self._factbook.get(code, "")

    @cached_property
    def _articles(self) -> dict[str, str]:
        found = {}
        for row in self._rows:
            if row["wikispeedia"]:
                own = self.country(row["iso3"]) if row["iso3"] else row["codex_qid"] or _qid(row["key"])
                found[row["wikispeedia"]] = own or (slug(row["key"]) if row["key"].startswith("element:") else "")
        found.update({article: self.country(code) if code else "" for article, code in _ARTICLES.items()})
        return {article: entity for article, entity in found.items() if entity}

    def article(self, title: str) -> str:
        """The entity that an article of the encyclopedia is about; an id of its own where none is known."""
        return self._articles.get(title, slug("article", title))

    @cached_property
    def _languages(self) -> dict[str, str]:
        rows = jsonl(find(self._data, "kg_codex_s", "entities.jsonl.gz"), "qid", "name")
        known = [row for row in rows if not isinstance(row, Unusable) and row.get("type", "").endswith("language")]
        return {row["name"].removesuffix(" language"): row["qid"] for row in known}

    def language(self, name: str) -> str:
        """A language by its English name."""
        return self._languages.get(name) or slug("language", name)

    @cached_property
    def _cities(self) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        for row in jsonl(find(self._data, "nobel", "laureates.jsonl.gz")):
            if isinstance(row, Unusable):
                continue
            places = [row.get("birth"), row.get("death")]
            places += [item for prize in row.get("prizes") or () for item in prize.get("affiliations") or ()]
            for place in filter(None, places):
                if place.get("city_qid") and place.get("country_qid"):
                    found.setdefault((place.get("city_now") or "", place["country_qid"]), place["city_qid"])
        return found

    def city(self, name: str, country: str) -> str:
        """A city by its name and its country's id."""
        return self._cities.get((name, country)) or slug("city", name, country)


def _qid(key: str) -> str:
    return key if re.fullmatch(r"Q\d+", key) else ""
