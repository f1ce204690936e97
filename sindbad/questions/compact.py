"""A graph as sorted integer arrays: what the solver and the question maker read millions of times.

Invariant: numbers follow the sorted order of ids, so that everything drawn from a compact graph depends on the graph's
content and a seed only. Covered: edges in both directions by relation, the bare skeleton, entity types, numbers and
years of attributes, who has a name in which language. Not covered: sentences and names themselves, which stay with the
:class:`~sindbad.graph.knowledge.GraphView` and are read for the few entities of a question.

Memory: 16 bytes an edge and direction, 12 an attribute; 1M edges take about 50 MB.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sindbad.graph.dates import date_parts
from sindbad.graph.knowledge import Attribute, GraphView

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Letters = NDArray[np.str_]
NONE: Ints = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Adjacency:
    """One relation in one direction.

    Attributes:
        keys: (K,) entities that have a neighbour here, sorted.
        starts: (K + 1,) offsets into ``values``.
        values: (E,) neighbours, sorted within each key.
    """

    keys: Ints
    starts: NDArray[np.int64]
    values: Ints

    @classmethod
    def of(cls, left: Ints, right: Ints) -> Adjacency:
        """From pairs in any order; repeated pairs count once."""
        order = np.lexsort((right, left))
        left, right = left[order], right[order]
        if len(left):
            fresh = np.ones(len(left), bool)
            fresh[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
            left, right = left[fresh], right[fresh]
        keys, starts = np.unique(left, return_index=True)
        return cls(keys.astype(np.int32), np.append(starts, len(left)).astype(np.int64), right.astype(np.int32))

    def of_one(self, key: int) -> Ints:
        """Neighbours of one entity, sorted."""
        at = int(self.keys.searchsorted(np.int32(key)))
        if at == len(self.keys) or self.keys[at] != key:
            return NONE
        return self.values[self.starts[at] : self.starts[at + 1]]

    def of_many(self, keys: Ints) -> Ints:
        """Union of the neighbours of several entities (sorted, without repeats), sorted, each once."""
        if len(keys) == 1:
            return self.of_one(int(keys[0]))
        at = np.searchsorted(self.keys, keys)
        at[at == len(self.keys)] = 0
        at = at[self.keys[at] == keys] if len(self.keys) else at[:0]
        if not len(at):
            return NONE
        begin, count = self.starts[at], self.starts[at + 1] - self.starts[at]
        total = int(count.sum())
        places = np.repeat(begin - np.concatenate(([0], np.cumsum(count)[:-1])), count) + np.arange(total)
        return distinct(np.sort(self.values[places]))

    def cost(self, keys: Ints | None) -> int:
        """How many neighbours :meth:`of_many` would have to gather."""
        if keys is None or len(keys) >= len(self.keys):
            return len(self.values)
        at = np.searchsorted(self.keys, keys)
        at[at == len(self.keys)] = 0
        at = at[self.keys[at] == keys] if len(self.keys) else at[:0]
        return int((self.starts[at + 1] - self.starts[at]).sum())


@dataclass(frozen=True, slots=True)
class Column:
    """The numbers of one attribute.

    Attributes:
        entities: (A,) sorted; an entity with several values stands several times.
        values: (A,) the number, or the year of a date.
        kind: "number" or "date".
        unit: of all of them.
    """

    entities: Ints
    values: Floats
    kind: str
    unit: str

    def between(self, low: float, high: float) -> Ints:
        """Entities with a value in [low, high], sorted, each once."""
        return distinct(self.entities[(self.values >= low) & (self.values <= high)])

    def of_one(self, entity: int) -> Floats:
        """All values of one entity."""
        left, right = self.entities.searchsorted(np.array([entity, entity + 1], np.int32))
        return self.values[left:right]

    def single(self, entity: int) -> float | None:
        """The value of an entity that has exactly one."""
        found = self.of_one(entity)
        return float(found[0]) if len(found) == 1 else None


class CompactGraph:
    """See the module's docstring. ``number`` and ``ids`` translate between integers and entity ids."""

    def __init__(
        self,
        ids: Sequence[str],
        types: Sequence[str],
        relations: Mapping[str, tuple[Ints, Ints]],
        columns: Mapping[str, Column],
        initials: Mapping[str, Letters],
    ) -> None:
        self.ids = list(ids)
        self.number = {entity_id: index for index, entity_id in enumerate(self.ids)}
        self.type_names = sorted(set(types))
        code = {name: index for index, name in enumerate(self.type_names)}
        self.type_of: Ints = np.fromiter((code[name] for name in types), np.int32, len(self.ids))
        self.forward = {name: Adjacency.of(*pairs) for name, pairs in sorted(relations.items())}
        self.backward = {name: Adjacency.of(right, left) for name, (left, right) in sorted(relations.items())}
        self.columns = dict(sorted(columns.items()))
        self._initials = dict(initials)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def edges(self) -> int:
        """Number of facts."""
        return sum(len(side.values) for side in self.forward.values())

    @cached_property
    def skeleton(self) -> Adjacency:
        """Neighbours with directions and relations forgotten, self-loops left out."""
        lefts = [np.repeat(side.keys, np.diff(side.starts)) for side in self.forward.values()]
        rights = [side.values for side in self.forward.values()]
        left = np.concatenate(lefts or [NONE])
        right = np.concatenate(rights or [NONE])
        apart = left != right
        left, right = left[apart], right[apart]
        return Adjacency.of(np.concatenate((left, right)), np.concatenate((right, left)))

    @cached_property
    def out(self) -> tuple[NDArray[np.int64], Ints, Ints]:
        """All facts by subject: (starts (N + 1,), relation numbers (E,), objects (E,))."""
        relations = np.concatenate([np.full(len(s.values), at, np.int32) for at, s in enumerate(self.forward.values())])
        subjects = np.concatenate([np.repeat(side.keys, np.diff(side.starts)) for side in self.forward.values()])
        objects = np.concatenate([side.values for side in self.forward.values()])
        order = np.lexsort((objects, relations, subjects))
        starts = np.zeros(len(self.ids) + 1, np.int64)
        np.cumsum(np.bincount(subjects, minlength=len(self.ids)), out=starts[1:])
        return starts, relations[order], objects[order]

    @cached_property
    def relation_names(self) -> list[str]:
        """Relation numbers of :attr:`out` -> names."""
        return list(self.forward)

    @cached_property
    def degree(self) -> Ints:
        """(N,) neighbours of every entity."""
        counted = np.zeros(len(self.ids), np.int32)
        counted[self.skeleton.keys] = np.diff(self.skeleton.starts)
        return counted

    @cached_property
    def of_type(self) -> list[Ints]:
        """Type code -> its entities, sorted."""
        return [np.flatnonzero(self.type_of == code).astype(np.int32) for code in range(len(self.type_names))]

    def type_name(self, entity: int) -> str:
        """The entity's type."""
        return self.type_names[int(self.type_of[entity])]

    def entities_of_type(self, name: str) -> Ints:
        """Entities of a type by name; none for an unknown one."""
        return self.of_type[self.type_names.index(name)] if name in self.type_names else NONE

    def named(self, language: str) -> NDArray[np.bool_]:
        """(N,) who has a name in a language."""
        known = self._initials.get(language)
        return np.zeros(len(self.ids), bool) if known is None else known != ""

    def starting(self, language: str, letter: str) -> Ints:
        """Entities whose name in a language begins with a letter, sorted."""
        known = self._initials.get(language)
        return NONE if known is None else np.flatnonzero(known == letter).astype(np.int32)

    def has(self, subject: int, relation: str, object_: int) -> bool:
        """Whether the fact is in the graph."""
        side = self.forward.get(relation)
        return side is not None and contains(side.of_one(subject), object_)


def distinct(values: Ints) -> Ints:
    """A sorted array without repeats."""
    if len(values) < 2:
        return values
    fresh = np.empty(len(values), bool)
    fresh[0] = True
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return values[fresh]


def contains(values: Ints, item: int) -> bool:
    """Whether a sorted array has an item."""
    at = int(values.searchsorted(np.int32(item)))  # an int64 would copy the whole array
    return at < len(values) and int(values[at]) == item


def meet(left: Ints, right: Ints) -> Ints:
    """Intersection of two sorted arrays without repeats."""
    if len(left) > len(right):
        left, right = right, left
    if not len(left):
        return NONE
    at = np.searchsorted(right, left)
    at[at == len(right)] = 0
    found: Ints = left[right[at] == left]
    return found


def compact(graph: GraphView, languages: Sequence[str] = ("en", "ar")) -> CompactGraph:
    """Read a graph once: a stored one from its tables, any other through its read interface. Same result."""
    folder = getattr(graph, "folder", None)
    if folder is not None:
        ids, types, initials, relations = _from_tables(folder, languages)
    else:
        ids, types, initials, relations = _from_view(graph, languages)
    number = {entity_id: index for index, entity_id in enumerate(ids)}
    columns = {}
    for name in graph.attribute_names():
        column = _column((number[key], item) for key, item in graph.with_attribute(name))
        if column is not None:
            columns[name] = column
    return CompactGraph(ids, types, relations, columns, initials)


_Read = tuple[list[str], list[str], dict[str, Letters], dict[str, tuple[Ints, Ints]]]


def _from_view(graph: GraphView, languages: Sequence[str]) -> _Read:
    entities = list(graph.entities)
    ids = [entity.entity_id for entity in entities]
    number = {entity_id: index for index, entity_id in enumerate(ids)}
    initials = {
        code: np.array([entity.names.get(code, "")[:1] for entity in entities], dtype="U1") for code in languages
    }
    relations = {}
    for relation in graph.relations:
        pairs = graph.pairs(relation)
        flat = np.fromiter((number[end] for pair in pairs for end in pair), np.int32, 2 * len(pairs)).reshape(-1, 2)
        relations[relation] = (flat[:, 0].copy(), flat[:, 1].copy())
    return ids, [entity.entity_type for entity in entities], initials, relations


def _from_tables(folder: str | Path, languages: Sequence[str]) -> _Read:
    """Column by column from Parquet, without making an object an edge."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    nodes = pq.read_table(Path(folder) / "nodes.parquet", columns=["entity_id", "entity_type", "names"])
    names = nodes.column("names").combine_chunks()
    rows = np.repeat(np.arange(len(names), dtype=np.int32), np.diff(names.offsets.to_numpy()))
    keys = np.asarray(names.keys.to_pylist(), dtype=object)
    firsts = np.array(pc.fill_null(pc.utf8_slice_codeunits(names.items, 0, 1), "").to_pylist(), dtype="U1")
    initials = {code: np.zeros(len(names), dtype="U1") for code in languages}
    for code in languages:
        initials[code][rows[keys == code]] = firsts[keys == code]
    edges = pq.read_table(Path(folder) / "edges.parquet", columns=["subject", "relation", "object"])
    ids = nodes.column("entity_id").combine_chunks()
    ends = [
        pc.index_in(edges.column(side), value_set=ids).combine_chunks().to_numpy(zero_copy_only=False).astype(np.int32)
        for side in ("subject", "object")
    ]
    words = edges.column("relation").combine_chunks().dictionary_encode()
    words = words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words
    codes = words.indices.to_numpy(zero_copy_only=False)
    relations = {
        str(name): (ends[0][codes == at], ends[1][codes == at]) for at, name in enumerate(words.dictionary.to_pylist())
    }
    return ids.to_pylist(), nodes.column("entity_type").to_pylist(), initials, relations


def _column(rows: Iterable[tuple[int, Attribute]]) -> Column | None:
    """Numbers and years of one attribute in its commonest unit (of several the first); None for a text attribute.

    What has another unit cannot be compared: to a question it has no value.
    """
    read = [(entity, number, item) for entity, item in rows if (number := number_of(item)) is not None]
    if not read:
        return None
    units = Counter(item.unit for _, _, item in read)
    common = min(units, key=lambda unit: (-units[unit], unit))
    kept = sorted(((entity, number, item) for entity, number, item in read if item.unit == common), key=itemgetter(0))
    kind = "date" if sum(item.kind == "date" for _, _, item in kept) * 2 > len(kept) else "number"
    entities, values = ([row[at] for row in kept] for at in (0, 1))
    return Column(np.array(entities, np.int32), np.array(values, np.float64), kind, common)


def number_of(attribute: Attribute) -> float | None:
    """A number as it is, a date as its year; None for a text and for what cannot be read."""
    if attribute.kind == "number" and isinstance(attribute.value, int | float):
        value = float(attribute.value)
        return value if math.isfinite(value) else None
    if attribute.kind == "date":
        read = date_parts(str(attribute.value))
        return None if read is None else float(read[0])
    return None
