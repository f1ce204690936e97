"""CoDEx-S, typed by what its own statements say of a thing: whatever people have as an occupation is one.

The source's types are one of several each and speak of the particular ("state or insular area capital in the United
States"); a pattern reads them where the statements leave it open.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from sindbad.graph.importers.facts import Fact, Link, Node, Part, Unusable
from sindbad.graph.importers.real import CLDR, RealImporter
from sindbad.graph.importers.rows import jsonl, tsv
from sindbad.graph.store_format import Licence

_COARSE: Final = (
    ("person", r"^human$|\btwin\b|\bbillionaire\b"),
    ("occupation", r"\b(profession|occupation|academic title|craft)\b"),
    ("record label", r"\brecord (label|company)\b"),
    ("city", r"\b(city|town|capital|municipality|Einheitsgemeinde|borough|settlement|county seat|federal district)\b"),
    ("city", r"^district of "),
    ("university", r"\b(university|higher education|college|engineering school|campus|educational institution)\b"),
    ("language", r"^(natural )?language$"),
    ("ethnic group", r"\bethnic\b|^human population$|^nation$"),
    ("religion", r"\b(religion|religious|church|denomination|Protestantism|world view|doctrine)\b"),
    ("disease", r"\b(disease|condition|complication)\b"),
    ("instrument", r"\b(instruments?|guitar|lutes|free reeds|human voice)\b"),
    ("genre", r"\b(genre|literary form|architectural style)\b"),
    (
        "organization",
        r"\b(organization|academy|agency|society|bank|party|parties|confederation|union|company|studio)\b",
    ),
    ("organization", r"\b(association|enterprise|business|subsidiary|regulator|United Nations|trademark)\b"),
    ("organization", r"\b(institut(e|ion)|service|foundation)\b"),
    ("country", r"\b(state|country|island nation|republic|monarchy|dominion|realm|emirate|principality|empire)\b"),
    ("country", r"\b(colony|colonial power|enclave|microstate)\b"),
    ("continent", r"^continent$"),
    ("place", r"\b(cemetery|region|territor(y|ial)|area|heritage|building|venue)\b|\bsee$"),
    ("movie", r"^film$|^rockumentary$"),
    ("field", r"\b(branch of science|discipline|major)\b"),
    ("period", r"\b(period|century)\b"),
)
"""Fine type -> coarse, the first that fits. Sixty types of one member each cannot be worded in every language."""
_OBJECTS: Final[Mapping[str, str]] = {
    "P106": "occupation", "P140": "religion", "P27": "country", "P1412": "language", "P37": "language",
    "P172": "ethnic group", "P1303": "instrument", "P136": "genre", "P135": "genre", "P509": "disease",
    "P1050": "disease", "P30": "continent", "P101": "field",
}  # fmt: skip
"""Relation -> what its objects are, whatever else is said of them."""
_SUBJECTS: Final[Mapping[str, str]] = {"P530": "country", "P35": "country"}
"""Relation -> what its subjects are. (Objects of P530 are also the European Union and the Holy See.)"""
_MOSTLY: Final[Mapping[str, str]] = {
    "P19": "city", "P20": "city", "P264": "record label", "P102": "organization", "P17": "country",
}  # fmt: skip
"""Relation -> what its objects mostly are: that decides where it is most of what is said of them."""


def coarse_type(kind: str) -> str:
    """The type under which an entity is asked for; the source's own type stays among its features."""
    return next((coarse for coarse, pattern in _COARSE if re.search(pattern, kind, re.IGNORECASE)), "concept")


class Ballot:
    """What statements say of the types of their ends."""

    def __init__(self) -> None:
        self._sure: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._likely: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._objects: Counter[str] = Counter()

    def count(self, subject: str, relation: str, object_: str, *, of_person: bool) -> None:
        """One statement. People are members of organizations only; states, of programmes and treaties, too."""
        self._objects[object_] += 1
        if relation in _SUBJECTS:
            self._sure[subject][_SUBJECTS[relation]] += 1
        if relation in _OBJECTS:
            self._sure[object_][_OBJECTS[relation]] += 1
        elif relation in _MOSTLY or (relation == "P463" and of_person):
            self._likely[object_][_MOSTLY.get(relation, "organization")] += 1

    def elected(self, entity: str) -> str:
        """The type; "" where the statements do not tell."""
        if sure := self._sure.get(entity):
            return _first(sure)[0]
        if likely := self._likely.get(entity):
            kind, votes = _first(likely)
            return kind if 2 * votes > self._objects[entity] else ""
        return ""


def _first(votes: Counter[str]) -> tuple[str, int]:
    return min(votes.items(), key=lambda item: (-item[1], item[0]))


class Codex(RealImporter):
    """CoDEx-S: 42 relations of Wikidata between 2,034 entities, with Wikipedia's introductions."""

    kind = "codex"
    files = (
        ("kg_codex_s", "entities.jsonl.gz"),
        ("kg_codex_s", "triples.tsv.gz"),
        ("codex_concepts_en_ar", "concepts.jsonl.gz"),
    )
    licences = (
        Licence(source="tsafavi/codex (CoDEx)", licence="MIT"),
        Licence(source="Wikidata", licence="CC0"),
        Licence(source="Wikipedia introductions", licence="CC BY-SA 3.0", share_alike=True),
        CLDR,
    )

    def parts(self) -> list[Part]:
        return [("entities", self._entities), ("triples", self._triples), ("concepts", self._concepts)]

    def _entities(self) -> Iterator[Fact]:
        rows = list(jsonl(self.path(0), "qid", "name"))
        kinds = {row["qid"]: coarse_type(row.get("type") or "") for row in rows if not isinstance(row, Unusable)}
        ballot = self._ballot(kinds)
        for row in rows:
            if isinstance(row, Unusable):
                yield row
                continue
            own = row["qid"]
            names = {"en": row["name"], "ar": self._arabic(own, row.get("name_ar") or "")}
            features = {"fine_type": row["type"]} if row.get("type") else {}
            prose = {"en": row.get("text") or row.get("description") or ""}
            yield Node(own, ballot.elected(own) or kinds[own], names, features=features, prose=prose)

    def _ballot(self, kinds: Mapping[str, str]) -> Ballot:
        """What the statements say of things; who is a human, the source itself says well."""
        ballot = Ballot()
        for row in tsv(self.path(1)):
            if not isinstance(row, Unusable):
                head, tail = row["head"], row["tail"]
                ballot.count(head, row["relation"], tail, of_person=kinds.get(head) == "person")
        return ballot

    def _arabic(self, own: str, told: str) -> str:
        """A country's name is not this source's, which has some from a machine."""
        return self.walk.arabic(own) or told

    def _triples(self) -> Iterator[Fact]:
        for row in tsv(self.path(1)):
            yield row if isinstance(row, Unusable) else Link(row["head"], row["relation"], row["tail"])

    def _concepts(self) -> Iterator[Fact]:
        """Arabic names and texts of the entities that are concepts, too."""
        known = {row["qid"] for row in jsonl(self.path(0)) if not isinstance(row, Unusable)}
        for row in jsonl(self.path(2), "qid"):
            if isinstance(row, Unusable):
                yield row
            elif row["qid"] in known:
                prose = {"ar": row.get("text_ar") or ""}
                yield Node(row["qid"], "", {"ar": row.get("label_ar") or ""}, prose=prose)
