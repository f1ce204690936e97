"""What an extractor looks for: entity types, relations and attributes, with their words in each language, as data.

One YAML a set in ``ontologies/``: ``world`` is for the open web; ``encyclopedia`` is made from the relations and the
language packs of the synthetic encyclopedia; :func:`of_graph` reads one off an imported graph. A fact
outside the ontology is refused, unless the ontology is ``open``: then any relation in snake_case may be stated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sindbad.configuration import load_shipped
from sindbad.graph.knowledge import AttributeKind, GraphView, RelationInfo

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FALLBACK: Final = "en"
_MOST_QUERIES: Final = 8
Words = dict[str, str]
"""Language -> wording."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OntologyRelation(_Part):
    """One relation; an empty type stands for any."""

    phrases: Words
    """What stands between subject and object, object last ("was born in")."""
    subject: str = ""
    """Entity type of subjects."""
    object: str = ""
    """Entity type of objects."""
    functional: bool = False
    """At most one object a subject."""


class OntologyAttribute(_Part):
    """One literal attribute."""

    labels: Words
    """Short noun ("population")."""
    phrases: Words = Field(default_factory=dict)
    """What a page writes between entity and value ("has a population of"), where pages are worded by us."""
    kind: AttributeKind = "number"
    """What its values are."""
    unit: str = ""
    """What numbers count ("km²")."""


class Ontology(_Part):
    """See the module. ``types`` maps an entity type to the words of a type sentence ("is a person")."""

    name: str
    """Recorded."""
    types: dict[str, Words] = Field(min_length=1)
    """Entity types."""
    relations: dict[str, OntologyRelation] = Field(default_factory=dict)
    """Relations by id."""
    attributes: dict[str, OntologyAttribute] = Field(default_factory=dict)
    """Attributes by name."""
    open: bool = False
    """Whether other types and relations may be stated."""
    strict: bool = True
    """Whether ends of another type than a relation's are refused. False where the types are what most ends have."""

    @model_validator(mode="after")
    def _types_exist(self) -> Ontology:
        for key, relation in self.relations.items():
            if unknown := {relation.subject, relation.object} - {"", *self.types}:
                raise ValueError(f"relation {key} names unknown entity types {sorted(unknown)}")
        return self

    @property
    def digest(self) -> str:
        """Of the content, for signatures."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def knows_type(self, entity_type: str) -> bool:
        return entity_type in self.types or (self.open and bool(_NAME.fullmatch(entity_type)))

    def knows_relation(self, relation: str) -> bool:
        return relation in self.relations or (self.open and bool(_NAME.fullmatch(relation)))

    def fits(self, relation: str, subject_type: str, object_type: str) -> bool:
        """Whether ends of these types may be joined by it; a type that is not known ("", or none of ours) fits."""
        known = self.relations.get(relation)
        if known is None or not self.strict:
            return True
        ends = ((known.subject, subject_type), (known.object, object_type))
        return all(not wanted or wanted == given or given not in self.types for wanted, given in ends)

    def phrase(self, relation: str, language: str) -> str:
        """Its words; the id's own where nobody said."""
        return _words(self.relations[relation].phrases, language) if relation in self.relations else _plain(relation)

    def inverse_queries(self, name: str, entity_type: str, language: str) -> list[str]:
        """Searches for pages that mention ``name`` as an object: a query a relation that fits, or the bare name."""
        exact = [key for key, relation in self.relations.items() if relation.object == entity_type]
        fitting = exact or [key for key, relation in self.relations.items() if not relation.object]
        return [f"{self.phrase(key, language)} {name}" for key in fitting[:_MOST_QUERIES]] or [name]

    def lines(self, language: str) -> tuple[str, str, str]:
        """Types, relations and attributes as a prompt lists them."""
        types = ", ".join(self.types)
        relations = "\n".join(
            f"- {key}: {part.subject or '*'} -> {part.object or '*'} ({_words(part.phrases, language)})"
            for key, part in self.relations.items()
        )
        attributes = "\n".join(
            f"- {key}: {part.kind}{f', {part.unit}' if part.unit else ''} ({_words(part.labels, language)})"
            for key, part in self.attributes.items()
        )
        return types, relations or "-", attributes or "-"

    def relation_info(self, relation: str) -> RelationInfo | None:
        """For the graph; None for a relation that the ontology does not list."""
        part = self.relations.get(relation)
        if part is None:
            return None
        return RelationInfo(relation, part.phrases, part.phrases, part.functional, part.subject, part.object)


def load_ontology(name_or_path: str) -> Ontology:
    """ "encyclopedia", a shipped set by name ("world"), or a YAML file by path. Raises NotFound, InvalidInput."""
    if name_or_path == "encyclopedia":
        return encyclopedia()
    path = Path(name_or_path)
    if (path / "graph.json").is_file():
        from sindbad.graph.store import open_graph

        return of_graph(open_graph(path))
    known = "encyclopedia, world, the folder of a graph,"
    return load_shipped(Ontology, "sindbad.graph.ontologies", name_or_path, "ontology", known=known)


@cache
def encyclopedia() -> Ontology:
    """That of the synthetic encyclopedia: its relations in the words of the language packs."""
    from sindbad.demo.relations import RELATIONS
    from sindbad.languages import LANGUAGES, get_pack

    packs = [get_pack(language) for language in LANGUAGES]
    types = {kind: {pack.code: pack.kinds[kind] for pack in packs} for kind in packs[0].kinds}
    relations = {
        part.relation_id: OntologyRelation(
            phrases={pack.code: pack.phrase(part.relation_id) for pack in packs},
            subject=part.domain,
            object=part.range,
            functional=part.functional,
        )
        for part in RELATIONS
    }
    return Ontology(name="encyclopedia", types=types, relations=relations)


def of_graph(graph: GraphView) -> Ontology:
    """How a graph's types, relations and attributes are worded; what nobody worded is left out."""
    types = {entity.entity_type for entity in graph.entities} - {""}
    worded = {name: graph.relation_info(f"@type/{name}").phrases for name in sorted(types)}
    kinds = {name: dict(phrases) for name, phrases in worded.items() if phrases}
    relations = {
        info.relation: OntologyRelation(
            phrases=dict(info.phrases),
            subject=info.subject_type if info.subject_type in kinds else "",
            object=info.object_type if info.object_type in kinds else "",
            functional=info.functional,
        )
        for info in map(graph.relation_info, graph.relations)
        if info.phrases
    }
    attributes = {name: _attribute(graph, name) for name in graph.attribute_names()}
    known = {name: part for name, part in attributes.items() if part.phrases}
    return Ontology(name=graph.world_id, types=kinds, relations=relations, attributes=known, strict=False)


def _attribute(graph: GraphView, name: str) -> OntologyAttribute:
    info, (_, example) = graph.relation_info(f"@{name}"), next(graph.with_attribute(name))
    labels = dict(info.labels) or {_FALLBACK: _plain(name)}
    return OntologyAttribute(labels=labels, phrases=dict(info.phrases), kind=example.kind, unit=example.unit)


def _words(words: Mapping[str, str], language: str) -> str:
    return words.get(language) or words.get(_FALLBACK) or next(iter(words.values()))


def _plain(relation: str) -> str:
    return relation.replace("_", " ")
