"""Writing a graph folder in one pass over sorted content; memory grows by a dozen bytes an edge, whatever its texts.

The folder appears under its name when it is complete (:func:`sindbad.atomic.replace_dir`), and its manifest is written
last. What is not sorted is refused, because order is what makes equal content equal bytes.
"""

from __future__ import annotations

import json
import shutil
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from sindbad import atomic
from sindbad.errors import InvalidInput
from sindbad.graph import store_index
from sindbad.graph.knowledge import Attribute, Edge, Entity, GraphView, RelationInfo, Source
from sindbad.graph.store_format import (
    BATCH_ROWS,
    INDEX,
    MANIFEST,
    SCHEMAS,
    STORE_VERSION,
    Licence,
    Manifest,
    TableFile,
    digest_of,
    file_sha256,
    table_path,
    write_manifest,
)


class TableWriter:
    """Rows into one Parquet file, and, for the index, into an uncompressed Arrow file that can be memory-mapped."""

    def __init__(self, path: Path, schema: pa.Schema, mapped: Path | None = None) -> None:
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self._parquet = pq.ParquetWriter(path, schema, compression="zstd", compression_level=3)
        self._file = pa.OSFile(str(mapped), "wb") if mapped else None
        self._arrow = pa.ipc.new_file(self._file, schema) if self._file else None
        self.rows = 0

    def add(self, *row: Any) -> None:
        """One row, in the schema's order."""
        self._rows.append(row)
        self.rows += 1
        if len(self._rows) == BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        batch = pa.record_batch(arrays, schema=self._schema)
        self._parquet.write_batch(batch, row_group_size=BATCH_ROWS)
        if self._arrow is not None:
            self._arrow.write_batch(batch)
        self._rows.clear()

    def close(self) -> None:
        """Write what is left."""
        if self._rows:
            self._flush()
        self.abandon()

    def abandon(self) -> None:
        """Close the files as they are."""
        self._parquet.close()
        if self._arrow is not None and self._file is not None:
            self._arrow.close()
            self._file.close()


class StoreWriter:
    """Entities, edges and attributes in order of entity id; then :meth:`finish`. Use as a context manager.

    ``relations`` are all that edges may have. Nothing is left behind when the block is left by an exception. Raises
    InvalidInput for a folder that is something else than an earlier graph.
    """

    def __init__(self, folder: str | Path, world_id: str, relations: Iterable[RelationInfo]) -> None:
        self._target, self._world_id = Path(folder), world_id
        atomic.check_replaceable(self._target, MANIFEST)
        self._relations = sorted(relations, key=lambda info: info.relation)
        self._numbers = {
            info.relation: number for number, info in enumerate(r for r in self._relations if r.relation[:1] != "@")
        }
        self.folder = self._target.with_name(f".{self._target.name}.writing")
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / INDEX).mkdir(parents=True)
        self._tables = {name: self._table(name) for name in SCHEMAS}
        self._types: dict[str, int] = {}
        self._ints = {name: array(code) for name, code in store_index.COLUMNS.items()}
        self._last_node, self._last_edge = "", ("", "", "")

    def _table(self, name: str) -> TableWriter:
        mapped = self.folder / INDEX / f"{name}.arrow" if name in store_index.TEXT_TABLES else None
        return TableWriter(table_path(self.folder, name), SCHEMAS[name], mapped)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self.folder.exists():
            for table in self._tables.values():
                table.abandon()
            shutil.rmtree(self.folder, ignore_errors=True)

    def node(self, entity: Entity) -> int:
        """Add an entity; its number. InvalidInput if ids do not rise."""
        if self._tables["nodes"].rows and entity.entity_id <= self._last_node:
            raise InvalidInput(f"entity {entity.entity_id!r} comes after {self._last_node!r}: ids must rise")
        self._last_node, number = entity.entity_id, self._tables["nodes"].rows
        names, aliases = sorted(entity.names.items()), sorted(entity.aliases.items())
        features = json.dumps(entity.features, ensure_ascii=False, sort_keys=True) if entity.features else "{}"
        kept = [(language, list(some)) for language, some in aliases]
        self._tables["nodes"].add(number, entity.entity_id, entity.entity_type, names, kept, features)
        self._ints["node_type"].append(self._types.setdefault(entity.entity_type, len(self._types)))
        self._sources("node", number, entity.sources)
        return number

    def edge(self, edge: Edge, subject: int, object_: int) -> None:
        """Add a fact between two numbered nodes (the object may come later). InvalidInput if triples do not rise."""
        if edge.triple <= self._last_edge:
            raise InvalidInput(f"edge {edge.triple} comes after {self._last_edge}: triples must rise")
        if not edge.sources:
            raise InvalidInput(f"edge {edge.triple} has no provenance", reason="NO_PROVENANCE")
        self._last_edge, number = edge.triple, self._tables["edges"].rows
        self._tables["edges"].add(number, *edge.triple)
        for name, value in (("subject", subject), ("relation", self._number(edge.relation)), ("object", object_)):
            self._ints[name].append(value)
        self._sources("edge", number, edge.sources)

    def _number(self, relation: str) -> int:
        try:
            return self._numbers[relation]
        except KeyError:
            raise InvalidInput(f"relation {relation!r} was not announced to the writer") from None

    def attribute(self, entity_id: str, node: int, attribute: Attribute) -> None:
        """Add a literal fact of a numbered node; nodes must not fall."""
        number = self._tables["attributes"].rows
        text, figure = str(attribute.value), float(attribute.value) if attribute.kind == "number" else None
        self._tables["attributes"].add(number, entity_id, attribute.name, attribute.kind, text, figure, attribute.unit)
        self._ints["attribute_node"].append(node)
        self._sources("attribute", number, attribute.sources)

    def _sources(self, of: str, row: int, sources: Sequence[Source]) -> None:
        """Sources stand together; where they begin is kept, and an end is where the next of any kind begins."""
        table = self._tables["provenance"]
        self._ints[f"{of}_source"].append(table.rows)
        self._ints[f"{of}_sources"].append(len(sources))
        for source in sorted(sources) if len(sources) > 1 else sources:
            table.add(of, row, source.query, source.url, source.sentence, source.language)

    def finish(
        self,
        *,
        relations: Sequence[RelationInfo] | None = None,
        made_by: Mapping[str, Any] | None = None,
        licences: Sequence[Licence] = (),
        rejected: Mapping[str, int] | None = None,
        examples: Sequence[str] = (),
        pages: TableFile | None = None,
    ) -> Manifest:
        """Close the tables, make the index, write the manifest, put the folder in its place.

        Args:
            relations: what turned out of them, in the place of what was announced.
            pages: the encyclopedia that the caller wrote into :attr:`folder`.
        """
        for info in sorted(relations or self._relations, key=lambda one: one.relation):
            labels, phrases = sorted(info.labels.items()), sorted(info.phrases.items())
            self._tables["relations"].add(
                info.relation, labels, phrases, info.functional, info.subject_type, info.object_type
            )
        for table in self._tables.values():
            table.close()
        tables = {name: self._told(name) for name in SCHEMAS}
        manifest = Manifest(
            schema_version=STORE_VERSION, world_id=self._world_id, made_by=dict(made_by or {}),
            licences=tuple(licences), rejected=dict(sorted((rejected or {}).items())),
            rejected_examples=tuple(examples), pages=pages, tables=tables, digest=digest_of(tables),
        )  # fmt: skip
        store_index.write(self.folder / INDEX, self._ints, list(self._numbers), list(self._types), manifest)
        write_manifest(self.folder, manifest)
        atomic.replace_dir(self.folder, self._target)
        return manifest

    def _told(self, name: str) -> TableFile:
        path = table_path(self.folder, name)
        return TableFile(rows=self._tables[name].rows, bytes=path.stat().st_size, sha256=file_sha256(path))


def save_graph(
    graph: GraphView,
    folder: str | Path,
    *,
    made_by: Mapping[str, Any] | None = None,
    licences: Sequence[Licence] = (),
    rejected: Mapping[str, int] | None = None,
    examples: Sequence[str] = (),
) -> Manifest:
    """Write any graph as a folder. Equal content gives equal bytes, whatever order it was added in."""
    relations = [graph.relation_info(relation) for relation in graph.relations]
    numbers = {entity.entity_id: number for number, entity in enumerate(graph.entities)}
    with StoreWriter(folder, graph.world_id, [*relations, *worded_extras(graph)]) as writer:
        edges = iter(graph.edges)
        edge = next(edges, None)
        for entity in graph.entities:
            node = writer.node(entity)
            while edge is not None and edge.subject == entity.entity_id:
                writer.edge(edge, node, numbers[edge.object])
                edge = next(edges, None)
            for attribute in graph.attributes(entity.entity_id):
                writer.attribute(entity.entity_id, node, attribute)
        return writer.finish(made_by=made_by, licences=licences, rejected=rejected, examples=examples)


def worded_extras(graph: GraphView) -> list[RelationInfo]:
    """The wording of types and attributes, where the graph has it."""
    types = {f"@type/{entity.entity_type}" for entity in graph.entities if entity.entity_type}
    names = [*sorted(types), *(f"@{name}" for name in graph.attribute_names())]
    return [info for info in map(graph.relation_info, names) if info.phrases]
