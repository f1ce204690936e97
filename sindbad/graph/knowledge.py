"""A typed knowledge graph in which every edge says where it was read (WebSailor-V2 §3, step 1).

Invariant: an edge without a stored sentence, source URL and query cannot be added, and neither can one whose ends are
unknown. Iteration orders are sorted, so that whatever is derived from a graph depends on its content and a seed only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput

SCHEMA_VERSION = 1
Triple = tuple[str, str, str]
Feature = str | int | float


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
        return sorted(key for key, entity in self._entities.items() if entity.entity_type == entity_type)

    def add_entity(self, entity: Entity) -> None:
        """Add or merge: names, aliases, sources and features are united; a second type is refused."""
        known = self._entities.get(entity.entity_id)
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
        if not edge.sources or not all(item.query and item.url and item.sentence for item in edge.sources):
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
            for a, b in ((left, right), (right, left))
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

    def save(self, path: str | Path) -> None:
        """Write JSONL atomically."""
        lines = (json.dumps(record, ensure_ascii=False, sort_keys=True) for record in self.to_records())
        atomic.write_text(path, "\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> KnowledgeGraph:
        """Inverse of :meth:`save`; Corrupt if the file is not such a graph."""
        try:
            records = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
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
            fields["sources"] = tuple(Source(**source) for source in fields["sources"])
            if record["record"] == "entity":
                fields["aliases"] = {key: tuple(value) for key, value in fields["aliases"].items()}
                graph.add_entity(Entity(**fields))
            else:
                graph.add_edge(Edge(**fields))
        return graph


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
