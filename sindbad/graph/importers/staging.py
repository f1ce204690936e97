"""Facts on their way to a graph folder: Parquet shards beside the target, a ledger, and DuckDB to sort and join them.

A killed import goes on after the last shard that the ledger names: parts that are done are not read again, a part in
between is read on from where the ledger stands. Sorting and joining spill to disk above a memory limit. What the ledger
names is all that counts; a shard that was being written is overwritten.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput, Unavailable
from sindbad.graph.dates import date_parts
from sindbad.graph.importers.compose import cleaned
from sindbad.graph.importers.facts import Fact, Importer, Link, Node, Value

LEDGER: Final = "ledger.json"
SHARD_FACTS: Final = 50_000
_EXAMPLES: Final = 20
_TEXT: Final = pa.string()
_SCHEMAS: Final = {
    "nodes": pa.schema(
        [
            ("seq", pa.int64()), ("entity_id", _TEXT), ("entity_type", _TEXT), ("en", _TEXT), ("ar", _TEXT),
            ("aliases", _TEXT), ("features", _TEXT), ("told", _TEXT), ("prose_en", _TEXT), ("prose_ar", _TEXT),
        ]
    ),
    "links": pa.schema([("subject", _TEXT), ("relation", _TEXT), ("object", _TEXT), ("quote", _TEXT)]),
    "values": pa.schema(
        [
            ("part", pa.int32()), ("entity_id", _TEXT), ("name", _TEXT), ("value", _TEXT), ("unit", _TEXT),
            ("kind", _TEXT),
        ]
    ),
}  # fmt: skip
Progress = Callable[[str, int], None]


class Staging:
    """The shards of one import. ``resumed`` tells how many facts were there already."""

    def __init__(self, folder: Path, importer: Importer) -> None:
        self.folder = folder
        self._importer = importer
        self._job = _job_id(importer)
        self._ledger = self._open()
        self.rejected: Counter[str] = Counter(self._ledger["rejected"])
        self.examples: list[str] = list(self._ledger["examples"])
        self.resumed: int = self._ledger["facts"]
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _SCHEMAS}
        self._pending, self._part = 0, 0

    def _open(self) -> dict[str, Any]:
        path = self.folder / LEDGER
        try:
            ledger = json.loads(path.read_text(encoding="utf-8"))
            if ledger["job"] == self._job:
                return dict(ledger)
        except (OSError, ValueError, KeyError):
            pass  # nothing there, half of it, or another job's: begin anew
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return {"job": self._job, "facts": 0, "parts": {}, "shards": [], "rejected": {}, "examples": []}

    @property
    def facts(self) -> int:
        """Facts staged so far."""
        return int(self._ledger["facts"]) + self._pending

    def fill(self, progress: Progress = lambda part, facts: None, shard_facts: int = SHARD_FACTS) -> None:
        """Stage every part that is not done."""
        for number, (name, facts) in enumerate(self._importer.parts()):
            self._part = number
            done = self._ledger["parts"].get(name, 0)
            if done == "done":
                continue
            for fact in islice(facts(), done, None):
                self._take(fact)
                if self._pending >= shard_facts:
                    done += self._flush(name, done)
                    progress(name, self.facts)
            self._flush(name, None)
            progress(name, self.facts)

    def _take(self, fact: Fact) -> None:
        self._pending += 1
        if isinstance(fact, Link):
            self._rows["links"].append((fact.subject, fact.relation, fact.object, fact.quote))
        elif isinstance(fact, Node):
            self._rows["nodes"].append(self._node_row(fact))
        elif isinstance(fact, Value):
            self._take_value(fact)
        else:
            self.reject(fact.reason, fact.example)

    def _take_value(self, fact: Value) -> None:
        """A value that no question could compare is none."""
        reason = _unreadable(fact)
        if reason:
            self.reject(reason, f"{fact.entity_id}: {fact.name} {str(fact.value)[:40]}")
        else:
            self._rows["values"].append((self._part, fact.entity_id, fact.name, str(fact.value), fact.unit, fact.kind))

    def reject(self, reason: str, example: str, count: int = 1) -> None:
        """Count what was not used; the first few are kept to be shown."""
        self.rejected[reason] += count
        if len(self.examples) < _EXAMPLES and self.rejected[reason] <= 3 * count:
            self.examples.append(f"{reason}: {example[:200]}")

    def _node_row(self, node: Node) -> tuple[Any, ...]:
        names = cleaned(node.names)
        aliases = {language: [*some] for language, some in node.aliases.items()}
        return (
            self.facts, node.entity_id, node.entity_type, names.get("en"), names.get("ar"), _json(aliases),
            _json(node.features), _json(cleaned(node.distinct)), node.prose.get("en", ""), node.prose.get("ar", ""),
        )  # fmt: skip

    def _flush(self, part: str, done: int | None) -> int:
        """Write a shard of each table, then the ledger that names them. ``done`` None: the part is finished."""
        taken = self._pending
        shards, number = list(self._ledger["shards"]), self._ledger["facts"] + taken
        for name, rows in self._rows.items():
            if rows:
                shard = f"{name}-{number:012d}.parquet"
                columns = [list(column) for column in zip(*rows, strict=True)]
                schema = _SCHEMAS[name]
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                pq.write_table(pa.Table.from_arrays(arrays, schema=schema), self.folder / shard, compression="zstd")
                shards.append(shard)
                rows.clear()
        parts = {**self._ledger["parts"], part: "done" if done is None else done + taken}
        self._ledger = {
            **self._ledger, "facts": number, "parts": parts, "shards": shards, "rejected": dict(self.rejected),
            "examples": self.examples,
        }  # fmt: skip
        self._pending = 0
        atomic.write_json(self.folder / LEDGER, self._ledger)
        return taken

    def sorted(self, memory_mb: int) -> Sorted:
        """Merge, name, sort and join what was staged."""
        shards = {name: self._shards(name) for name in _SCHEMAS}
        return Sorted(self.folder, shards, memory_mb, self.reject, self._importer)

    def _shards(self, name: str) -> list[str]:
        paths = [self.folder / shard for shard in self._ledger["shards"] if shard.startswith(f"{name}-")]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise Corrupt(f"{self.folder} lost {missing[0]}; remove the folder and import again.")
        if not paths:
            empty = self.folder / f"{name}-none.parquet"
            pq.write_table(_SCHEMAS[name].empty_table(), empty)
            paths = [empty]
        return [str(path) for path in paths]


def _unreadable(fact: Value) -> str:
    """Why the value cannot be read as what its kind says; "" where it can."""
    if fact.kind == "date" and date_parts(str(fact.value)) is None:
        return "a date that is not like 1922-06-19, 1922-06 or 1922"
    if fact.kind == "number" and not (isinstance(fact.value, int | float) and abs(fact.value) <= sys.float_info.max):
        return "a number that is not finite"
    return ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if value else "{}"


def _job_id(importer: Importer) -> str:
    facts = {"kind": importer.kind, "corpus": importer.corpus, **importer.job()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


Row = tuple[Any, ...]


class Sorted:
    """Sorted streams over what was staged: nodes with final names, links with both ends' numbers, values.

    DuckDB compares text by code points (its default collation), as Python does. Making and reading raise InvalidInput
    where memory does not suffice, Unavailable for a full disk, Corrupt for a shard that cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        shards: Mapping[str, list[str]],
        memory_mb: int,
        reject: Callable[[str, str, int], None],
        importer: Importer,
    ) -> None:
        import duckdb

        spill = folder / "spill"
        shutil.rmtree(spill, ignore_errors=True)
        spill.mkdir()
        self._folder, self._memory_mb = folder, memory_mb
        self._shards, self._reject, self._importer = shards, reject, importer
        with self._asking():
            self._db = duckdb.connect(str(spill / "join.duckdb"))
        try:
            with self._asking():
                self._prepare(spill)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, spill: Path) -> None:
        for setting in (f"memory_limit='{self._memory_mb}MB'", f"temp_directory='{spill}'", "threads=2"):
            self._db.execute(f"SET {setting}")
        self._db.execute("SET preserve_insertion_order=false")
        self._name_nodes()
        self._join_links()
        self._settle_values()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """DuckDB's failures as ours. What is staged stays: the same import goes on when there is room."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException as error:  # of the disk it may spill to, too
            message = (
                f"sorting needs more than --memory-mb {self._memory_mb}, or more room to spill to in {self._folder}"
            )
            raise InvalidInput(
                f"{message} ({_first_line(error)}). With more the same command goes on where it was.",
                reason="OUT_OF_MEMORY",
            ) from error
        except duckdb.Error as error:
            told = _first_line(error)
            if "write" in told or "space" in told:
                message = f"{told}. Once there is room on that disk the same command goes on where it was."
                raise Unavailable(message, reason="NO_ROOM") from error
            message = f"what is staged cannot be read ({told}); remove {self._folder} and import again."
            raise Corrupt(message, reason="DAMAGED_STAGING") from error

    def close(self) -> None:
        """Free the database; its files lie in the staging folder."""
        self._db.close()

    def _read(self, name: str) -> str:
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in self._shards[name])
        return f"read_parquet([{listed}])"

    def _name_nodes(self) -> None:
        """One row an id; of several entities of one name the first told keeps it, the others get brackets."""
        self._db.execute(
            f"""create table merged as select entity_id,
                coalesce(first(nullif(entity_type, '') order by seq) filter (entity_type <> ''), '') as entity_type,
                coalesce(first(en order by seq) filter (en is not null),
                         case when count(ar) = 0 then entity_id end) as en,
                first(ar order by seq) filter (ar is not null) as ar,
                min(seq) as seq, first(told order by seq) filter (told <> '{{}}') as told
            from ({self._told()}) group by entity_id"""
        )
        self._db.execute("create table kinds (entity_type varchar, label_en varchar, label_ar varchar)")
        for (kind,) in self._db.execute("select distinct entity_type from merged").fetchall():
            labels = self._importer.wording.type(kind).labels if kind else {}
            self._db.execute("insert into kinds values (?, ?, ?)", [kind, labels.get("en"), labels.get("ar")])
        first = ", ".join(
            f"case when {code} is not null and row_number() over (partition by {code} order by seq, entity_id) > 1 "
            f"then {code} || ' (' || coalesce(json_extract_string(told, '$.{code}'), label_{code}, entity_id) || ')' "
            f"else {code} end as {code}"
            for code in ("en", "ar")
        )
        second = ", ".join(
            f"case when {code} is not null and row_number() over (partition by {code} order by seq, entity_id) > 1 "
            f"then {code} || ' (' || entity_id || ')' else {code} end as {code}"
            for code in ("en", "ar")
        )
        self._db.execute(
            f"""create table named as select cast(row_number() over (order by entity_id) - 1 as integer) as node,
                    entity_id, entity_type, {second}
                from (select seq, entity_id, entity_type, {first} from merged join kinds using (entity_type))"""
        )
        self._db.execute("drop table merged")

    def _told(self) -> str:
        """What was told of entities, and, where the importer says so, the ends of links that nobody told of."""
        told = f"select * from {self._read('nodes')}"
        if not self._importer.implied:
            return told
        ends = " union ".join(f"select {end} as entity_id from {self._read('links')}" for end in ("subject", "object"))
        # `en` stays null: the id stands in.
        return f"""{told} union all by name
            select 9223372036854775807 as seq, entity_id, '' as entity_type, '{{}}' as told from ({ends})"""

    def _join_links(self) -> None:
        self._count("a fact about an entity that no row introduces", "links", ("subject", "object"))
        self._count("a value of an entity that no row introduces", "values", ("entity_id",))
        links = self._read("links")
        (total,) = self._one(f"select count(*) from {links}")
        (apart,) = self._one(f"select count(*) from (select distinct subject, relation, object from {links})")
        if total > apart:
            self._reject("a fact that an earlier row stated", f"{total - apart} rows", total - apart)

    def _settle_values(self) -> None:
        """Of each name of an entity what the first part said, and of each name the commonest unit: values compare."""
        self._db.execute(
            f"""create table settled as select distinct node, name, value, unit, kind from (
                    select n.node, v.name, v.value, v.unit, v.kind,
                        rank() over (partition by n.node, v.name order by v.part) as place
                    from {self._read("values")} v join named n using (entity_id))
                where place = 1"""
        )
        self._db.execute(
            """create table units as select name, unit as usual from settled where kind <> 'text' group by name, unit
                qualify row_number() over (partition by name order by count(*) desc, unit) = 1"""
        )
        other = "kind <> 'text' and unit <> usual"
        count, example = self._one(
            "select count(*), min(entity_id || ': ' || name || ' ' || value || ' ' || unit || ', not ' || usual) "
            f"from settled join units using (name) join named using (node) where {other}"
        )
        if count:
            self._reject("a value in another unit than most of its attribute", str(example), int(count))
            self._db.execute(f"delete from settled using units where settled.name = units.name and {other}")

    def _one(self, sql: str) -> Row:
        row = self._db.execute(sql).fetchone()
        assert row is not None  # aggregates without grouping give one row
        return tuple(row)

    def _count(self, reason: str, table: str, columns: tuple[str, ...]) -> None:
        """Rows whose ends are not there: counted, one shown."""
        missing = " or ".join(f"{column} not in (select entity_id from named)" for column in columns)
        shown = " || ' · ' || ".join(
            ("subject", "relation", "object") if table == "links" else ("entity_id", "name", "value")
        )
        count, example = self._one(f"select count(*), min({shown}) from {self._read(table)} where {missing}")
        if count:
            self._reject(reason, str(example), int(count))

    def names(self) -> Iterator[Row]:
        """(node, entity_id, entity_type, en, ar), by number."""
        return self._stream("select node, entity_id, entity_type, en, ar from named order by node")

    def payloads(self) -> Iterator[Row]:
        """(node, en, ar, aliases, features, prose_en, prose_ar), by number, then in the order they were told."""
        return self._stream(
            f"""select n.node, s.en, s.ar, s.aliases, s.features, s.prose_en, s.prose_ar
                from {self._read("nodes")} s join named n using (entity_id) order by n.node, s.seq"""
        )

    def links(self) -> Iterator[Row]:
        """(subject number, relation, object number, subject id, object id, en, ar, quote, object type), by triple."""
        return self._stream(
            f"""select s.node, l.relation, o.node, l.subject, l.object, o.en, o.ar, l.quote,
                    o.entity_type
                from (select subject, relation, object, max(quote) as quote from {self._read("links")}
                      group by subject, relation, object) l
                join named s on s.entity_id = l.subject join named o on o.entity_id = l.object
                order by s.node, l.relation, o.node"""
        )

    def values(self) -> Iterator[Row]:
        """(node, name, value, unit, kind), by node, name and value."""
        return self._stream("select node, name, value, unit, kind from settled order by node, name, value, unit, kind")

    def relations(self) -> list[str]:
        """All relations of the links that will be there."""
        with self._asking():
            rows = self._db.execute(f"select distinct relation from {self._read('links')} order by 1").fetchall()
        return [relation for (relation,) in rows]

    def _stream(self, sql: str) -> Iterator[Row]:
        """Rows in batches, from a cursor of its own."""
        with self._asking():
            cursor = self._db.cursor().execute(sql)
            while rows := cursor.fetchmany(8_192):
                yield from rows


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
