"""A translation job in a folder that any number of workers on any number of machines share; there is no main process.

::

    job.json                          how a command last began it: replaced whenever one does
    specs/<spec>.json                 identity, filters, duplicates, source          immutable
    glossaries/<digest>.json          the terms of a spec's glossary                 immutable
    plans/<plan>/rows/00000.parquet   every row of the source, in its order, with its content address
    plans/<plan>/plan.json            written last: the plan is whole
    ledger/from-<plan>/00000.parquet  what another job translated of the plan's rows (see sindbad.corpus.held)
    rounds/0001.json                  which rows are asked for: all that no earlier attempt answered
    leases/…                          who works on what
    parts/0001/00000/000002-0005….parquet   attempts, in batches
    ledger/0001/00000.parquet         a finished shard's attempts; its existence is the seal (its parts may go now)

Invariants: every object but a lease and job.json is written once and never changed; a plan, a round and a seal come
into being by an exclusive creation, so that two workers who race agree on one; a row asked for in a round has at least
one attempt in its shard when that is sealed. A worker may die between any two writes: what it leaves is read, or it is
ignored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sindbad.corpus import ledger as parts_of
from sindbad.corpus.address import Identity, digest
from sindbad.corpus.duplicates import NEAR, Duplicate, DuplicateFinder, DuplicateSettings, alike_apart
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.ledger import UNJUDGED, Attempt, Ledger, plan_schema, read_part, table_bytes
from sindbad.corpus.records import ROLES, InstructionRecord
from sindbad.corpus.store import JobStore
from sindbad.errors import InvalidInput, NotFound
from sindbad.translation.glossary import Glossary

if TYPE_CHECKING:
    from sindbad.corpus.held import Held

T = TypeVar("T")
GlossaryOf = Callable[[InstructionRecord], Glossary | None]
SPOOLED: Final = 2000
"""Rows of a plan that are in memory at once, at most."""
BEGUN: Final = "job.json"
"""How a command last began the job; ``spec`` names its settings."""
TAKEN_OVER: Final = "taken over"
"""How the worker of an attempt begins that another job made: it is judged here, and never asked for here."""


def no_glossary(record: InstructionRecord) -> Glossary | None:
    """For corpora without one."""
    return None


class JobSpec(BaseModel):
    """What a job translates, with what, and what it keeps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: Identity
    """Who translates, and how."""
    source: dict[str, Any] = Field(default_factory=dict)
    """What the rows are, for the record: names, revisions, limits. A changed source is a new plan."""
    glossary: str = ""
    """Digest of the glossary (:mod:`sindbad.corpus.terms`); empty for none. The rows' keys hold their own terms."""
    filters: FilterSettings = FilterSettings()
    """Thresholds of the filters."""
    examiners: tuple[str, ...] = ()
    """Names (with their thresholds) of the examiners that models stand behind; for the record."""
    duplicates: DuplicateSettings | None = DuplicateSettings()
    """What is dropped before translation; null translates equal rows once and keeps them all."""
    shard_rows: int = Field(default=256, ge=1)
    """Rows a lease covers."""

    @property
    def plan_id(self) -> str:
        """Changes with everything that decides what is asked for."""
        kept = self.duplicates.model_dump() if self.duplicates else None
        terms = [self.glossary] if self.glossary else []
        return digest([self.identity.recorded(), self.source, kept, self.shard_rows, *terms])[:16]

    @property
    def spec_id(self) -> str:
        """Changes with everything that decides what is kept, too."""
        return digest([self.plan_id, self.judging_id])[:16]

    @property
    def judging_id(self) -> str:
        """Changes with what is kept of a translation: filters and examiners."""
        return digest([self.filters.model_dump(), self.examiners])[:16]


@dataclass(frozen=True, slots=True)
class Todo:
    """One row that a round asks for. ``again``: it was translated under other filters; only judge it anew."""

    row: int
    key: str
    record: InstructionRecord
    again: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One pass over what is missing. ``shards`` are those with something to do; ``rows`` how much that is."""

    number: int
    plan: str
    spec: str
    shards: tuple[int, ...]
    rows: int
    todo: str

    @property
    def name(self) -> str:
        return f"{self.number:04d}"


class Job:
    """The folder, seen with one spec. Every method blocks on the storage; call them from a thread."""

    def __init__(self, store: JobStore, spec: JobSpec) -> None:
        self.store, self.spec = store, spec
        store.create(f"specs/{spec.spec_id}.json", spec.model_dump_json(indent=2).encode())

    @classmethod
    def open(cls, store: JobStore, spec_id: str = "") -> Job:
        """The job with the spec that it was last begun with, or the one named. Raises NotFound where there is no job.

        Last begun is what the command said, once its plan is whole: where nothing was missing, it has no round. A job
        that no command began, or an older one, has the spec of its last round.
        """
        begun = "" if spec_id or not store.exists(BEGUN) else str(store.read_json(BEGUN).get("spec", ""))
        if begun and (job := cls._of(store, begun)).planned():
            return job
        numbers = _numbers(store)
        if not spec_id:
            if not numbers:
                raise NotFound(f"{store.url} holds no job; begin one with `sindbad corpus translate`")
            spec_id = str(store.read_json(f"rounds/{numbers[-1]:04d}.json")["spec"])
        return cls._of(store, spec_id)

    @classmethod
    def _of(cls, store: JobStore, spec_id: str) -> Job:
        return cls(store, JobSpec.model_validate_json(store.read(f"specs/{spec_id}.json")))

    def ledger(self, **options: Any) -> Ledger:
        """The attempts so far, beside this job's plan."""
        return Ledger(self.store, plan=self.spec.plan_id, judging=self.spec.judging_id, **options)

    # -- the plan --------------------------------------------------------------------------------------------------

    def planned(self) -> bool:
        """Whether the plan of this spec is whole."""
        return self.store.exists(f"plans/{self.spec.plan_id}/plan.json")

    def plan(
        self, records: Iterable[InstructionRecord], glossary_of: GlossaryOf = no_glossary, held: Held | None = None
    ) -> dict[str, Any]:
        """Write the plan's rows in the given order, then its seal. The same records give the same objects.

        Rows that are ``held`` keep the address that they have there, and their translation comes into the ledger.
        """
        started, settings, count = time.time(), self.spec.duplicates, 0
        taken: dict[str, int] = {}
        folder = f"plans/{self.spec.plan_id}"
        with DuplicateFinder(settings or DuplicateSettings(exact=False, near=None)) as finder:
            for shard, batch in enumerate(batches(records, self.spec.shard_rows)):
                rows = [self._planned_row(count + i, shard, one, glossary_of, held) for i, one in enumerate(batch)]
                if held is not None:
                    for row in rows:
                        if row["key"] == held.key(row["record_id"]):
                            taken.setdefault(row["key"], row["row"])
                if settings is not None:
                    for record in batch:
                        finder.add(_said(record, ROLES), near=_said(record, ("user", "assistant")))
                self.store.write(f"{folder}/rows/{shard:05d}.parquet", _rows_bytes(rows))
                count += len(rows)
            dropped = self._write_duplicates(finder) if settings is not None else {}
        for number, found in enumerate(batches(held.attempts(taken), SPOOLED) if held is not None else ()):
            self.store.write(f"ledger/from-{self.spec.plan_id}/{number:05d}.parquet", parts_of.part(found))
        about = {
            "rows": count,
            "dropped": dropped,
            "shard_rows": self.spec.shard_rows,
            "seconds": time.time() - started,
        }
        self.store.create(f"{folder}/plan.json", json.dumps(about).encode())
        return about

    def _planned_row(
        self, row: int, shard: int, record: InstructionRecord, glossary_of: GlossaryOf, held: Held | None
    ) -> dict[str, Any]:
        there = held.key(record.record_id) if held is not None else None
        return {
            "row": row,
            "shard": shard,
            "record_id": record.record_id,
            "key": there or self.spec.identity.key(record, glossary_of(record)),
            "source": record.provenance.source,
            "characters": sum(len(message.content) for message in record.messages),
            "record": json.dumps(record.to_record(), ensure_ascii=False),
        }

    def _write_duplicates(self, finder: DuplicateFinder) -> dict[str, int]:
        """Rows that are not asked for are attempts of stage "plan": the ledger knows why they are not there."""
        counts: dict[str, int] = {}
        for number, found in enumerate(batches(finder.found(), SPOOLED)):
            planned, attempts = self._planned_of(found), []
            for one in found:
                key, record_id, asked = planned[one.row]
                if one.kind == NEAR and not alike_apart(asked, planned[one.of][2]):
                    continue  # one task, set of another input
                counts[one.kind] = counts.get(one.kind, 0) + 1
                attempts.append(
                    Attempt(
                        key, record_id, one.row, False, "plan", one.kind,
                        f"{one.similarity:.2f} like row {one.of}, record {planned[one.of][1]}",
                        judging=self.spec.plan_id, masker=self.spec.identity.masker,
                    )
                )  # fmt: skip
            self.store.write(f"ledger/plan-{self.spec.plan_id}/{number:05d}.parquet", parts_of.part(attempts))
        return counts

    def _planned_of(self, found: Sequence[Duplicate]) -> dict[int, tuple[str, str, str]]:
        """Key, record id and, of near duplicates, what is asked, by row."""
        rows = {row for one in found for row in (one.row, one.of)}
        near = {row for one in found if one.kind == NEAR for row in (one.row, one.of)}
        sql = """SELECT row, key, record_id, CASE WHEN row IN (SELECT unnest(?::BIGINT[])) THEN record END AS record
                 FROM rows WHERE row IN (SELECT unnest(?::BIGINT[]))"""
        with self.ledger() as ledger:
            planned = ledger.rows(sql, (sorted(near), sorted(rows)))
        return {
            int(one["row"]): (str(one["key"]), str(one["record_id"]), _asked(one["record"]) if one["record"] else "")
            for one in planned
        }

    # -- rounds ----------------------------------------------------------------------------------------------------

    def rounds(self) -> list[Round]:
        """All rounds, oldest first."""
        return [self._round(number) for number in _numbers(self.store)]

    def current(self) -> Round | None:
        """The last round, if it is this spec's; None otherwise."""
        numbers = _numbers(self.store)
        last = self._round(numbers[-1]) if numbers else None
        return last if last is not None and last.spec == self.spec.spec_id else None

    def begin_round(self, *, retry_failed: bool = True) -> Round | None:
        """The next round: every row without an accepted answer under this spec; None if there is none."""
        number = (_numbers(self.store) or [0])[-1] + 1
        self.tidy()
        table = self._todo(retry_failed=retry_failed)
        if not table.num_rows:
            return None
        import pyarrow.compute as pc

        data = table_bytes(table)
        todo = f"rounds/{number:04d}-{digest(data.hex())[:12]}.parquet"
        self.store.write(todo, data)
        shards = tuple(sorted(pc.unique(table["shard"]).to_pylist()))
        made = Round(number, self.spec.plan_id, self.spec.spec_id, shards, table.num_rows, todo)
        fields = {name: getattr(made, name) for name in Round.__slots__}
        if not self.store.create(f"rounds/{number:04d}.json", json.dumps(fields).encode()):
            return self.current()  # somebody was faster: theirs counts
        return made

    def _todo(self, *, retry_failed: bool) -> Any:
        """(row, shard, key, again) of what is missing. Of rows with one key the first is asked for.

        Failed are the rows that these filters rejected, and those that the translator did, whatever filters there were
        then: without a verdict of these, the former are judged, the latter would be paid for again.
        """
        failed = "" if retry_failed else "OR NOT j.accepted"
        rejected = "" if retry_failed else "AND coalesce(a.translated, true)"
        sql = f"""
            WITH dropped AS (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?),
                 wanted AS (SELECT min(row) AS row, min_by(shard, row) AS shard, key FROM rows
                            WHERE row NOT IN (FROM dropped) GROUP BY key),
                 answered AS (SELECT key, bool_or(accepted) AS accepted,
                                     bool_or(stage IN ('filter', 'examine') OR accepted) AS translated
                              FROM attempts WHERE stage <> 'plan' GROUP BY key),
                 judged AS (SELECT key, bool_or(accepted) AS accepted
                            FROM attempts WHERE stage <> 'plan' AND judging = ? GROUP BY key),
                 taken AS (SELECT DISTINCT key FROM attempts WHERE starts_with(worker, '{TAKEN_OVER}'))
            SELECT w.row, w.shard, w.key,
                   coalesce(a.translated AND (j.key IS NULL OR w.key IN (FROM taken)), false) AS again
            FROM wanted w LEFT JOIN answered a USING (key) LEFT JOIN judged j USING (key)
            WHERE (j.key IS NULL OR NOT (j.accepted {failed})) {rejected}
            ORDER BY w.shard, w.row"""
        with self.ledger() as ledger:
            return ledger.reader(sql, (self.spec.plan_id, self.spec.judging_id)).read_all()

    def todo(self, current: Round, shard: int) -> list[Todo]:
        """What a round asks for in one shard, in order."""
        import pyarrow.compute as pc

        table = read_part(self.store.read(current.todo))
        asked = table.filter(pc.equal(table["shard"], shard)).to_pylist()
        planned = read_part(self.store.read(f"plans/{current.plan}/rows/{shard:05d}.parquet")).to_pylist()
        records = {one["row"]: one["record"] for one in planned}
        earlier = self._earlier([one["key"] for one in asked if one["again"]])
        return [Todo(one["row"], one["key"], _record(records[one["row"]]), earlier.get(one["key"])) for one in asked]

    def _earlier(self, keys: Sequence[str]) -> dict[str, Attempt]:
        """Translations that exist already, whatever other filters said of them."""
        if not keys:
            return {}
        sql = """SELECT * FROM attempts WHERE key IN (SELECT unnest(?::VARCHAR[])) AND len(messages) > 0
                 ORDER BY accepted, round, epoch, written_at"""
        with self.ledger() as ledger:
            found = [parts_of.attempt_of(row) for batch in ledger.batches(sql, (list(keys),)) for row in batch]
        return {attempt.key: attempt for attempt in found}

    # -- shards ----------------------------------------------------------------------------------------------------

    def sealed(self, current: Round) -> set[int]:
        """Shards of a round that are finished."""
        return {int(name.split(".")[0]) for name in self.store.names(f"ledger/{current.name}")}

    def finished(self, current: Round) -> bool:
        """Whether nothing of a round is left."""
        return set(current.shards) <= self.sealed(current)

    def attempted(self, current: Round, shard: int) -> set[int]:
        """Rows of a shard that have a judged attempt in this round, from whichever holder."""
        import pyarrow.compute as pc

        tables = (table.filter(pc.not_equal(table["reason"], UNJUDGED)) for table in self._parts(current, shard))
        return {row for table in tables for row in table["row"].to_pylist()}

    def unjudged(self, current: Round, shard: int) -> dict[int, Attempt]:
        """Rows of a shard that were translated in this round, and that an examiner had no verdict on."""
        import pyarrow.compute as pc

        tables = (table.filter(pc.equal(table["reason"], UNJUDGED)) for table in self._parts(current, shard))
        return {row["row"]: parts_of.attempt_of(row) for table in tables for row in table.to_pylist()}

    def _parts(self, current: Round, shard: int) -> Iterator[Any]:
        folder = f"parts/{current.name}/{shard:05d}"
        return (read_part(self.store.read(f"{folder}/{name}")) for name in self.store.names(folder))

    def write_part(self, current: Round, shard: int, name: str, attempts: Sequence[Attempt]) -> None:
        """Commit a batch. ``name`` must be the writer's own (epoch, worker, number)."""
        self.store.write(f"parts/{current.name}/{shard:05d}/{name}.parquet", parts_of.part(attempts))

    def seal(self, current: Round, shard: int) -> bool:
        """One file from all parts of a shard. False if it was sealed before: nothing is done."""
        import pyarrow as pa

        tables = list(self._parts(current, shard))
        whole = pa.concat_tables(tables) if tables else parts_of.schema().empty_table()
        return self.store.create(f"ledger/{current.name}/{shard:05d}.parquet", table_bytes(whole))

    def tidy(self) -> None:
        """Remove the parts of finished rounds: sealed files hold the same. Not while anybody may still list them."""
        for past in self.rounds():
            if not self.finished(past):
                continue
            for shard in self.store.names(f"parts/{past.name}"):
                for name in self.store.names(f"parts/{past.name}/{shard}"):
                    self.store.remove(f"parts/{past.name}/{shard}/{name}")

    def _round(self, number: int) -> Round:
        fields = self.store.read_json(f"rounds/{number:04d}.json")
        return Round(**{**fields, "shards": tuple(fields["shards"])})


def _numbers(store: JobStore) -> list[int]:
    return sorted(int(name[:-5]) for name in store.names("rounds") if name.endswith(".json"))


def _asked(text: str) -> str:
    return _said(_record(text), ("user",))


def _said(record: InstructionRecord, roles: Sequence[str]) -> str:
    return "\n".join(message.content for message in record.messages if message.role in roles)


def _record(text: str) -> InstructionRecord:
    return InstructionRecord.from_record(json.loads(text))


def _rows_bytes(rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow as pa

    return table_bytes(pa.Table.from_pylist(list(rows), schema=plan_schema()))


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def local_store(folder: Path) -> JobStore:
    """A job's storage in a folder of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    return JobStore(folder)


def check_languages(spec: JobSpec) -> None:
    """Raise InvalidInput for a direction that nobody here can translate."""
    from sindbad.translation.prompts import language_name

    for code in (spec.identity.source, spec.identity.target):
        language_name(code)
    if spec.identity.source == spec.identity.target:
        raise InvalidInput("source and target language are the same.")
