"""Whole articles and the film graph: Wikispeedia, MetaQA; and all graphs joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sindbad.graph.importers.codex import Codex
from sindbad.graph.importers.crosswalk import slug
from sindbad.graph.importers.factbook import Factbook
from sindbad.graph.importers.facts import Fact, Link, Node, Part, Unusable, Value
from sindbad.graph.importers.real import Countries, Elements, Nobel, RealImporter
from sindbad.graph.importers.rows import jsonl, tsv
from sindbad.graph.store_format import Licence
from sindbad.languages.words import has_words
from sindbad.retrieval import analysis
from sindbad.retrieval.extraction import canonical


class Wikispeedia(RealImporter):
    """Wikipedia for Schools: whole articles, their links (the sentence that holds one is its source) and subjects."""

    kind = "wikispeedia"
    files = (("wikispeedia", "articles.jsonl.gz"), ("wikispeedia", "links.tsv.gz"))
    licences = (
        Licence(
            source="Wikipedia for Schools 2007 (SNAP Wikispeedia)", licence="GFDL / CC BY-SA 3.0", share_alike=True,
            note="cite West & Leskovec, WWW 2012",
        ),
    )  # fmt: skip
    _TYPES: Final[Mapping[str, str]] = {"People": "person", "Countries": "country", "Religion": "religion"}
    _NO_COUNTRIES: Final[Mapping[str, str]] = {
        "Abu_Dhabi": "city", "Dubai": "city", "European_Union": "organization", "Gaza_Strip": "place",
        "Ireland": "place", "West_Bank": "place", "Éire": "article",
    }  # fmt: skip
    """What the subject "Countries" holds beside them."""

    def parts(self) -> list[Part]:
        return [("articles", self._articles), ("links", self._links)]

    def _articles(self) -> Iterator[Fact]:
        for row in jsonl(self.path(0), "id", "title", "text"):
            if isinstance(row, Unusable):
                yield row
                continue
            own, subjects = self.walk.article(row["id"]), row.get("categories") or []
            kind = self._NO_COUNTRIES.get(row["id"]) or self._TYPES.get((subjects or [""])[0].split(".")[0], "article")
            yield Node(own, kind, {"en": row["title"]}, prose={"en": row["text"]})
            for subject in subjects:
                there = slug("subject", subject.split(".")[-1])
                yield Node(there, "subject", {"en": subject.split(".")[-1].replace("_", " ")})
                yield Link(own, "about", there)

    def _links(self) -> Iterator[Fact]:
        titles, sentences, last = self._titles(), list[str](), ""
        for row in tsv(self.path(1)):
            if isinstance(row, Unusable):
                yield row
                continue
            source, target = row["source"], row["target"]
            if source != last:
                sentences, last = _sentences(self._texts.get(source, "")), source
            title = titles.get(target, "")
            quote = next((one for one in sentences if has_words(one, title, "en")), "") if title else ""
            yield Link(self.walk.article(source), "links_to", self.walk.article(target), quote)

    def _titles(self) -> dict[str, str]:
        """Article -> title; fills the texts that sentences are quoted from (28 MB)."""
        self._texts: dict[str, str] = {}
        titles = {}
        for row in jsonl(self.path(0), "id", "title", "text"):
            if not isinstance(row, Unusable):
                titles[row["id"]], self._texts[row["id"]] = row["title"], row["text"]
        return titles


def _sentences(text: str) -> list[str]:
    """Sentences of a page as the index has it: quoting one of these quotes the page."""
    lines = canonical(text).split("\n")
    return [sentence for line in lines for sentence in analysis.sentences(line) if len(sentence) <= 600]


class MetaQA(RealImporter):
    """The film graph of MetaQA: 43,000 nodes; years and ratings are values."""

    kind = "metaqa"
    files = (("metaqa", "kb.tsv.gz"),)
    licences = (Licence(source="MetaQA (yuyuz/MetaQA, vaijsc/keallm)", licence="CC BY 3.0"),)
    _ENDS: Final[Mapping[str, str]] = {
        "directed by": "person", "written by": "person", "starred actors": "person", "has genre": "genre",
        "in language": "language", "has tags": "tag",
    }  # fmt: skip
    _VALUES: Final = ("release year", "has imdb rating", "has imdb votes")

    def parts(self) -> list[Part]:
        return [("films", self._films)]

    def _films(self) -> Iterator[Fact]:
        for row in tsv(self.path(0)):
            if isinstance(row, Unusable):
                yield row
                continue
            head, relation, tail = row["head"].strip(), row["relation"], row["tail"].strip()
            kind = self._ENDS.get(relation)
            if not head or not tail or (kind is None and relation not in self._VALUES):
                yield Unusable("kb.tsv.gz: an empty end or an unknown relation", f"{head} {relation} {tail}")
                continue
            own = slug("film", head)
            yield Node(own, "movie", {"en": head})
            if kind is None:
                yield from self._value(own, relation, tail)
            else:
                there = self.walk.language(tail) if kind == "language" else slug(kind, tail)
                yield Node(there, kind, {"en": tail})
                yield Link(own, relation.replace(" ", "_"), there)

    def _value(self, own: str, relation: str, tail: str) -> Iterator[Fact]:
        if relation == "release year":
            if tail.isdigit():
                yield Value(own, "release_date", str(int(tail)), kind="date")
            else:
                yield Unusable("kb.tsv.gz: a year that is none", f"{own}: {tail}")
        else:
            yield Value(own, relation.removeprefix("has ").replace(" ", "_"), tail, kind="text")


ALONE: Final[tuple[type[RealImporter], ...]] = (Countries, Nobel, Elements, Codex, Factbook, Wikispeedia, MetaQA)


class Everything(RealImporter):
    """All of them, joined by the crosswalk: what two say of one thing, the first one settles."""

    kind = "all"
    _ORDER: Final[tuple[type[RealImporter], ...]] = (Countries, Codex, Nobel, Elements, Factbook, Wikispeedia, MetaQA)

    def __init__(self, data: Path, corpus: str = "") -> None:
        super().__init__(data, corpus or "world")
        self._several = [one(data) for one in self._ORDER]
        for one in self._several:
            one.walk = self.walk
        self.licences = tuple(dict.fromkeys(licence for one in self._several for licence in one.licences))

    def job(self) -> Mapping[str, Any]:
        return {one.kind: one.job() for one in self._several}

    def parts(self) -> list[Part]:
        return [(f"{one.kind}/{name}", facts) for one in self._several for name, facts in one.parts()]


_ALL: Final[tuple[type[RealImporter], ...]] = (*ALONE, Everything)
REAL_IMPORTERS: Final[Mapping[str, type[RealImporter]]] = {one.kind: one for one in _ALL}
__all__ = ["REAL_IMPORTERS", "Everything"]
