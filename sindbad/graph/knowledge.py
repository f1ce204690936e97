"""A typed knowledge graph in which every edge says where it was read (WebSailor-V2 §3, step 1).

Invariant: an edge without a stored sentence, source URL and query cannot be added, and neither can one whose ends are
unknown. Iteration orders are sorted, so that whatever is derived from a graph depends on its content and a seed only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput

SCHEMA_VERSION = 1
Triple = tuple[str, str, str]
Feature = str | int | float
AttributeKind = Literal["number", "date", "text"]


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a fact was read: the query that led there, the page, its sentence, and the sentence's language."""

    query: str
    url: str
    sentence: str
    language: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A node.

    Attributes:
        entity_id: stable across languages (the page's slug).
        names: language -> name as pages print it; ``aliases``: language -> other accepted spellings.
        sources: the sentences that introduce it ("Marota Lin is a person."), one a language.
        features: statistics and attributes (degree, clustering, page length, …); never empty in a built graph.
    """

    entity_id: str
    entity_type: str
    names: Mapping[str, str]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    features: Mapping[str, Feature] = field(default_factory=dict)

    def name(self, language: str) -> str:
        """The name in ``language``; InvalidInput where no page in that language was read."""
        try:
            return self.names[language]
        except KeyError:
            raise InvalidInput(f"{self.entity_id} has no name in {language!r}; build the graph in it too") from None


@dataclass(frozen=True, slots=True)
class Edge:
    """A fact ``subject --relation--> object`` with at least one source."""

    subject: str
    relation: str
    object: str
    sources: tuple[Source, ...]

    @property
    def triple(self) -> Triple:
        return (self.subject, self.relation, self.object)

    def source(self, language: str) -> Source | None:
        """The first stored sentence in ``language``."""
        return next((source for source in self.sources if source.language == language), None)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A literal fact about an entity, with provenance like an edge's.

    Attributes:
        name: "population", "area", "birth_date"; one entity may have several attributes of one name.
        value: a number; a date as "1943", "1943-05" or "1943-05-21", as far as it is known ("-0044" is BCE); a text.
        unit: "km²", "u", "K"; "" where there is none.
        sources: the sentences that state it, at least one.
    """

    name: str
    value: int | float | str
    unit: str = ""
    kind: AttributeKind = "number"
    sources: tuple[Source, ...] = ()

    def source(self, language: str) -> Source | None:
        """The first stored sentence in ``language``."""
        return next((source for source in self.sources if source.language == language), None)


@dataclass(frozen=True, slots=True)
class RelationInfo:
    """How a relation is worded and what it connects.

    Attributes:
        labels: language -> short noun ("place of birth").
        phrases: language -> words between subject and object, object last ("was born in"), as in a language pack.
        functional: at most one object a subject in the whole graph.
        subject_type, object_type: the entity type that most of its subjects / objects have; "" where none prevails.
    """

    relation: str
    labels: Mapping[str, str] = field(default_factory=dict)
    phrases: Mapping[str, str] = field(default_factory=dict)
    functional: bool = False
    subject_type: str = ""
    object_type: str = ""


class GraphView(Protocol):
    """What walks, solvers and checks read of a graph, in memory or on disk. Every order is by id; nothing is modified.

    Sets and collections may be lazy: iterate, test or count them, and copy what you keep.
    """

    @property
    def world_id(self) -> str:
        """The corpus that the graph was read from."""
        ...

    def __len__(self) -> int:
        """Number of entities."""
        ...

    def __contains__(self, entity_id: str, /) -> bool: ...

    @property
    def entities(self) -> Collection[Entity]:
        """All entities, by id."""
        ...

    @property
    def edges(self) -> Collection[Edge]:
        """All edges, by triple."""
        ...

    @property
    def relations(self) -> list[str]: ...

    def entity(self, entity_id: str) -> Entity:
        """One entity; InvalidInput if it is unknown."""
        ...

    def edge(self, subject: str, relation: str, object_: str) -> Edge | None: ...

    def has(self, subject: str, relation: str, object_: str) -> bool: ...

    def objects(self, subject: str, relation: str) -> AbstractSet[str]:
        """Forward index: {o | (subject, relation, o)}; empty for what is unknown."""
        ...

    def subjects(self, relation: str, object_: str) -> AbstractSet[str]:
        """Backward index: {s | (s, relation, object_)}; empty for what is unknown."""
        ...

    def pairs(self, relation: str) -> AbstractSet[tuple[str, str]]:
        """All (subject, object) of a relation."""
        ...

    def neighbours(self, entity_id: str) -> AbstractSet[str]:
        """Ends of edges at ``entity_id``, directions and labels forgotten, itself left out."""
        ...

    def by_type(self, entity_type: str) -> list[str]:
        """Ids of the entities of one type, sorted."""
        ...

    def edges_between(self, left: str, right: str) -> list[Edge]:
        """Every edge between two nodes, either direction, by triple."""
        ...

    def attributes(self, entity_id: str) -> tuple[Attribute, ...]:
        """The entity's literal facts, by name; () for none. InvalidInput if the entity is unknown."""
        ...

    def attribute_names(self) -> list[str]:
        """Names of all attributes in the graph, sorted."""
        ...

    def with_attribute(self, name: str) -> Iterator[tuple[str, Attribute]]:
        """(entity id, attribute) of everything that has an attribute of this name, by id."""
        ...

    def relation_info(self, relation: str) -> RelationInfo:
        """How the relation is worded; without labels and phrases where nobody said."""
        ...


@runtime_checkable
class Skeleton(Protocol):
    """A graph that tells types and labels without reading names and sentences: one on disk."""

    def entity_type(self, entity_id: str) -> str:
        """The type of an entity."""
        ...

    def labels_between(self, left: str, right: str) -> list[str]:
        """Relations between two nodes, with their directions."""
        ...


class KnowledgeGraph:
    """Entities, edges, and the three indexes that the solver reads: forward, backward, by relation."""

    def __init__(self, world_id: str = "") -> None:
        self.world_id = world_id
        self._entities: dict[str, Entity] = {}
        self._edges: dict[Triple, Edge] = {}
        self._objects: dict[tuple[str, str], set[str]] = {}
        self._subjects: dict[tuple[str, str], set[str]] = {}
        self._pairs: dict[str, set[tuple[str, str]]] = {}
        self._neighbours: dict[str, set[str]] = {}
        self._types: dict[str, list[str]] | None = None
        self._attributes: dict[str, dict[tuple[str, str], Attribute]] = {}
        self._relation_infos: dict[str, RelationInfo] = {}

    def __len__(self) -> int:
        return len(self._entities)

    def __contains__(self, entity_id: str) -> bool:
        return entity_id in self._entities

    @property
    def entities(self) -> list[Entity]:
        """All entities, by id."""
        return [self._entities[key] for key in sorted(self._entities)]

    @property
    def edges(self) -> list[Edge]:
        """All edges, by triple."""
        return [self._edges[key] for key in sorted(self._edges)]

    @property
    def relations(self) -> list[str]:
        return sorted(self._pairs)

    def entity(self, entity_id: str) -> Entity:
        """One entity; InvalidInput if it is unknown."""
        if entity_id not in self._entities:
            raise InvalidInput(f"no entity {entity_id!r} in the graph of {self.world_id!r}", reason="UNKNOWN_ENTITY")
        return self._entities[entity_id]

    def edge(self, subject: str, relation: str, object_: str) -> Edge | None:
        return self._edges.get((subject, relation, object_))

    def has(self, subject: str, relation: str, object_: str) -> bool:
        return (subject, relation, object_) in self._edges

    def objects(self, subject: str, relation: str) -> set[str]:
        """Forward index: {o | (subject, relation, o)}. Do not modify."""
        return self._objects.get((subject, relation), _NOTHING)

    def subjects(self, relation: str, object_: str) -> set[str]:
        """Backward index: {s | (s, relation, object_)}. Do not modify."""
        return self._subjects.get((relation, object_), _NOTHING)

    def pairs(self, relation: str) -> set[tuple[str, str]]:
        """All (subject, object) of a relation. Do not modify."""
        return self._pairs.get(relation, _NO_PAIRS)

    def neighbours(self, entity_id: str) -> set[str]:
        """Ends of edges at ``entity_id``, directions and labels forgotten, itself left out. Do not modify."""
        return self._neighbours.get(entity_id, _NOTHING)

    def by_type(self, entity_type: str) -> list[str]:
        """Ids of the entities of one type, sorted."""
        if self._types is None:
            self._types = {}
            for key in sorted(self._entities):
                self._types.setdefault(self._entities[key].entity_type, []).append(key)
        return list(self._types.get(entity_type, ()))

    def attributes(self, entity_id: str) -> tuple[Attribute, ...]:
        """The entity's literal facts, by name and value; InvalidInput if the entity is unknown."""
        self.entity(entity_id)
        known = self._attributes.get(entity_id, {})
        return tuple(known[key] for key in sorted(known))

    def attribute_names(self) -> list[str]:
        """Names of all attributes in the graph, sorted."""
        return sorted({name for known in self._attributes.values() for name, _ in known})

    def with_attribute(self, name: str) -> Iterator[tuple[str, Attribute]]:
        """(entity id, attribute) of everything that has an attribute of this name, by id."""
        for entity_id in sorted(self._attributes):
            yield from ((entity_id, item) for item in self.attributes(entity_id) if item.name == name)

    def relation_info(self, relation: str) -> RelationInfo:
        """What :meth:`set_relation_info` said; else, for the synthetic encyclopedia's relations, the language packs."""
        known = self._relation_infos.get(relation)
        return known if known is not None else packed_relation(relation) or self._bare_info(relation)

    def _bare_info(self, relation: str) -> RelationInfo:
        pairs = self.pairs(relation)
        return RelationInfo(relation, functional=len({subject for subject, _ in pairs}) == len(pairs))

    def set_relation_info(self, info: RelationInfo) -> None:
        """Say how a relation is worded."""
        self._relation_infos[info.relation] = info

    def add_attribute(self, entity_id: str, attribute: Attribute) -> None:
        """Add, or unite the sources of an equal one; InvalidInput for an unknown entity or incomplete provenance."""
        self.entity(entity_id)
        if not _complete(attribute.sources):
            raise InvalidInput(f"{attribute.name} of {entity_id} has no complete provenance", reason="NO_PROVENANCE")
        known = self._attributes.setdefault(entity_id, {})
        key = (attribute.name, str(attribute.value))
        earlier = known[key].sources if key in known else ()
        known[key] = replace(attribute, sources=tuple(dict.fromkeys((*earlier, *attribute.sources))))

    def add_entity(self, entity: Entity) -> None:
        """Add or merge: names, aliases, sources and features are united; a second type is refused."""
        known = self._entities.get(entity.entity_id)
        self._types = None
        if known is None:
            self._entities[entity.entity_id] = entity
            return
        self._entities[entity.entity_id] = _merged(known, entity)

    def set_features(self, entity_id: str, features: Mapping[str, Feature]) -> None:
        """Add to a node's features."""
        known = self.entity(entity_id)
        self._entities[entity_id] = replace(known, features={**known.features, **features})

    def add_edge(self, edge: Edge) -> None:
        """Add or unite sources; InvalidInput for unknown ends, no source, or a source without query, URL, sentence."""
        self.entity(edge.subject)
        self.entity(edge.object)
        if not _complete(edge.sources):
            raise InvalidInput(f"edge {edge.triple} has no complete provenance", reason="NO_PROVENANCE")
        known = self._edges.get(edge.triple)
        sources = edge.sources if known is None else tuple(dict.fromkeys((*known.sources, *edge.sources)))
        self._edges[edge.triple] = replace(edge, sources=sources)
        if known is None:
            self._index(edge)

    def _index(self, edge: Edge) -> None:
        subject, relation, object_ = edge.triple
        self._objects.setdefault((subject, relation), set()).add(object_)
        self._subjects.setdefault((relation, object_), set()).add(subject)
        self._pairs.setdefault(relation, set()).add((subject, object_))
        if subject != object_:
            self._neighbours.setdefault(subject, set()).add(object_)
            self._neighbours.setdefault(object_, set()).add(subject)

    def edges_between(self, left: str, right: str) -> list[Edge]:
        """Every edge between two nodes, either direction, by triple."""
        found = [
            self._edges[(a, relation, b)]
            for a, b in dict.fromkeys(((left, right), (right, left)))
            for relation in self._pairs
            if (a, relation, b) in self._edges
        ]
        return sorted(found, key=lambda edge: edge.triple)

    def to_records(self) -> Iterator[dict[str, Any]]:
        """Header, entities, edges: the same graph always gives the same records in the same order."""
        yield {"record": "graph", "schema_version": SCHEMA_VERSION, "world_id": self.world_id}
        for entity in self.entities:
            yield {"record": "entity", **asdict(entity)}
        for edge in self.edges:
            yield {"record": "edge", **asdict(replace(edge, sources=tuple(sorted(edge.sources))))}
        for name in self.attribute_names():
            for key, item in self.with_attribute(name):
                yield {"record": "attribute", "entity_id": key, **asdict(replace(item, sources=_ordered(item)))}
        for relation in sorted(self._relation_infos):
            yield {"record": "relation", **asdict(self._relation_infos[relation])}

    def save(self, path: str | Path) -> None:
        """Write JSONL atomically."""
        lines = (json.dumps(record, ensure_ascii=False, sort_keys=True) for record in self.to_records())
        atomic.write_text(path, "\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> KnowledgeGraph:
        """Inverse of :meth:`save`; Corrupt if the file is not such a graph."""
        try:
            lines = Path(path).read_text(encoding="utf-8").split("\n")  # a text may hold other separators of lines
            records = [json.loads(line) for line in lines if line]
            return cls._from_records(records)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise Corrupt(f"{path} is not a graph file: {error}; build the graph again") from error

    @classmethod
    def _from_records(cls, records: Iterable[Mapping[str, Any]]) -> KnowledgeGraph:
        header, *rest = records
        if header["record"] != "graph" or header["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"header {header}")
        graph = cls(header["world_id"])
        for record in rest:
            fields = {key: value for key, value in record.items() if key != "record"}
            if record["record"] == "relation":
                graph.set_relation_info(RelationInfo(**fields))
                continue
            fields["sources"] = tuple(Source(**source) for source in fields["sources"])
            if record["record"] == "entity":
                fields["aliases"] = {key: tuple(value) for key, value in fields["aliases"].items()}
                graph.add_entity(Entity(**fields))
            elif record["record"] == "attribute":
                graph.add_attribute(fields.pop("entity_id"), Attribute(**fields))
            else:
                graph.add_edge(Edge(**fields))
        return graph


def packed_relation(relation: str) -> RelationInfo | None:
    """A relation of the synthetic encyclopedia, worded by the language packs; None for any other."""
    from sindbad.demo.relations import BY_ID
    from sindbad.languages import LANGUAGES, get_pack

    known = BY_ID.get(relation)
    if known is None:
        return None
    phrases = {code: get_pack(code).phrase(relation) for code in LANGUAGES}
    return RelationInfo(relation, phrases, phrases, known.functional, known.domain, known.range)


def _ordered(attribute: Attribute) -> tuple[Source, ...]:
    return tuple(sorted(attribute.sources))


def _complete(sources: tuple[Source, ...]) -> bool:
    return bool(sources) and all(item.query and item.url and item.sentence for item in sources)


_NOTHING: set[str] = set()
_NO_PAIRS: set[tuple[str, str]] = set()


def _merged(known: Entity, new: Entity) -> Entity:
    if new.entity_type and known.entity_type and new.entity_type != known.entity_type:
        raise InvalidInput(f"{known.entity_id} is both {known.entity_type} and {new.entity_type}")
    aliases = {
        language: tuple(dict.fromkeys((*known.aliases.get(language, ()), *new.aliases.get(language, ()))))
        for language in sorted({*known.aliases, *new.aliases})
    }
    return Entity(
        entity_id=known.entity_id,
        entity_type=known.entity_type or new.entity_type,
        names={**new.names, **known.names},
        aliases=aliases,
        sources=tuple(dict.fromkeys((*known.sources, *new.sources))),
        features={**known.features, **new.features},
    )
