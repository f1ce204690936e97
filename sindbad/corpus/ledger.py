"""The ledger: one row for every attempt at a record, accepted and rejected alike, as immutable Parquet parts.

Workers write parts and never change one; a finished shard's parts are sealed into one file. DuckDB reads them where
they lie (a disk, S3, memory) in bounded memory. Views for queries:

* ``attempts``: every attempt, also those of abandoned rounds and of holders that were thought dead.
* ``final``: one attempt a key, the accepted one before any other, then the latest: what a data set is made of.
* ``rows``: every row of the current plan in the source's order (once there is one), with its key.
"""

from __future__ import annotations

import glob
import math
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sindbad.corpus.filters import Score
from sindbad.corpus.records import Message
from sindbad.corpus.store import JobStore
from sindbad.errors import Corrupt, InvalidInput
from sindbad.translation.protocol import SegmentAttempt

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
UNJUDGED: Final = "unjudged"
"""Reason of an attempt that is a translation and no verdict: whoever finds it judges it, and pays for nothing."""
MEMORY: Final = "1GB"
"""What DuckDB may use before it spills to a temporary folder."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at one record.

    Attributes:
        key: content address. row: position in the source. round, shard, epoch, worker: who did it, and when.
        stage: "plan" (dropped before translation), "translate", "filter" or "examine": what decided.
        accepted: it may be used. reason: "" when accepted, else a stable name; detail: what was seen.
        before, messages: the conversation, source and target; kept also when rejected, as far as there is one.
        finish_reason: "stop", or the worst there was. generations, prompt_tokens, output_tokens: paid for here.
        differences: what the model did to protected spans before repair. repairs, notes: by stable names.
        filters: every filter's number, bounds and verdict. segments: every generation.
        licences: of source and translator. model, masker: parts of the key. judging: which filters judged; of a row
            dropped by a plan, the plan.
    """

    key: str
    record_id: str
    row: int
    accepted: bool
    stage: str
    reason: str = ""
    detail: str = ""
    before: tuple[Message, ...] = ()
    messages: tuple[Message, ...] = ()
    finish_reason: str = ""
    generations: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    differences: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    filters: tuple[Score, ...] = ()
    segments: tuple[SegmentAttempt, ...] = ()
    source: str = ""
    source_id: str = ""
    licences: tuple[str, ...] = ()
    model: str = ""
    model_version: int = -1
    masker: str = ""
    judging: str = ""
    round: int = 0
    shard: int = 0
    epoch: int = 0
    worker: str = ""
    seconds: float = 0.0
    written_at: float = field(default_factory=time.time)

    @property
    def scores(self) -> dict[str, float]:
        """Filter -> number, where it had one."""
        return {score.name: score.value for score in self.filters if not math.isnan(score.value)}


@dataclass(frozen=True, slots=True)
class Planned:
    """A row of a plan. ``record``: the whole record as JSON. ``dropped``: before anything was asked, by this plan."""

    record_id: str
    key: str
    row: int
    record: str
    dropped: bool


def unjudged(attempt: Attempt, detail: str) -> Attempt:
    """The same without a verdict: under no judging, so that it answers for nothing."""
    return replace(
        attempt, accepted=False, stage="examine", reason=UNJUDGED, detail=detail, filters=(), judging="",
    )  # fmt: skip


def schema() -> Any:
    """Arrow schema of a part."""
    import pyarrow as pa

    text, texts, number = pa.string(), pa.list_(pa.string()), pa.int64()
    message = pa.list_(pa.struct([("role", text), ("content", text)]))
    score = pa.struct([("name", text), ("value", pa.float64()), ("reason", text), ("low", pa.float64()),
                       ("high", pa.float64())])  # fmt: skip
    kinds: dict[str, Any] = {
        "row": number, "accepted": pa.bool_(), "before": message, "messages": message, "generations": number,
        "prompt_tokens": number, "output_tokens": number, "differences": texts, "repairs": texts, "notes": texts,
        "filters": pa.list_(score), "segments": pa.list_(_segment(pa)), "licences": texts, "model_version": number,
        "round": number, "shard": number, "epoch": number, "seconds": pa.float64(), "written_at": pa.float64(),
    }  # fmt: skip
    return pa.schema([(one.name, kinds.get(one.name, text)) for one in fields(Attempt)])


def _segment(pa: Any) -> Any:
    whole = ("turn", "segment", "number", "prompt_tokens", "output_tokens", "model_version")
    kinds = {**dict.fromkeys(whole, pa.int64()), "repairs": pa.list_(pa.string())}
    return pa.struct([(one.name, kinds.get(one.name, pa.string())) for one in fields(SegmentAttempt)])


def part(attempts: Iterable[Attempt]) -> bytes:
    """Attempts as the bytes of a Parquet file."""
    import pyarrow as pa

    return table_bytes(pa.Table.from_pylist([_plain(attempt) for attempt in attempts], schema=schema()))


def table_bytes(table: Any) -> bytes:
    """An Arrow table as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def read_part(data: bytes) -> Any:
    """The table in a part's bytes. Raises Corrupt."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(data))
    except pa.ArrowInvalid as error:
        raise Corrupt(f"not a part of a ledger: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return None if isinstance(value, float) and math.isnan(value) else value


def attempt_of(row: dict[str, Any]) -> Attempt:
    """Inverse of what :func:`part` wrote, for one row."""
    known = {one.name: row[one.name] for one in fields(Attempt) if row.get(one.name) is not None}
    for name in ("before", "messages"):
        known[name] = tuple(Message(item["role"], item["content"]) for item in known.get(name, ()))
    known["filters"] = tuple(map(_score, known.get("filters", ())))
    known["segments"] = tuple(
        SegmentAttempt(**{**item, "repairs": tuple(item["repairs"] or ())}) for item in known.get("segments", ())
    )
    for name in ("differences", "repairs", "notes", "licences"):
        known[name] = tuple(known.get(name, ()))
    return Attempt(**known)


def _score(item: dict[str, Any]) -> Score:
    value = math.nan if item["value"] is None else item["value"]
    return Score(item["name"], value, item["reason"], item["low"], item["high"])


class Ledger:
    """Reads the attempts of a job. Use as a context manager; every call sees what is written by then.

    Args:
        plan: the plan whose rows ``rows`` shows, and to whose keys ``final`` is limited; none shows no rows.
        judging: the filters whose verdicts ``final`` shows, any when empty; a row that the translator rejected has
            none, and is shown where these filters have judged nothing of it.
    """

    def __init__(
        self, store: JobStore, *, plan: str = "", judging: str = "", memory: str = MEMORY, threads: int = 2
    ) -> None:
        self.store, self.plan, self.judging = store, plan, judging
        self._memory, self._threads = memory, threads
        self._scratch = tempfile.TemporaryDirectory(prefix="sindbad-ledger-")
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._scratch.cleanup()

    def query(self, sql: str, values: Sequence[object] = ()) -> duckdb.DuckDBPyConnection:
        """The result of SQL over the views. Raises InvalidInput for SQL that DuckDB refuses."""
        return self._asked(lambda connection: connection.execute(sql, list(values)))

    def _asked(self, ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """The answer over what is there now; a file that went between listing and reading is in a sealed one."""
        import duckdb

        for attempt in range(3):
            try:
                return ask(self._refreshed())
            except duckdb.IOException as error:
                if attempt == 2:
                    raise Corrupt(f"{self.store.url} cannot be read: {error}") from error
            except duckdb.Error as error:
                raise InvalidInput(f"the ledger cannot be asked this: {error}") from error
        raise AssertionError("unreachable")

    def keep(self, name: str, sql: str) -> None:
        """Keep a result as the table ``name`` for further queries of this ledger, spilled to disk where it is large."""
        self.query(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """All rows of a small result."""
        found = self.query(sql, values)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def batches(self, sql: str, values: Sequence[object] = (), size: int = 1024) -> Iterator[list[dict[str, Any]]]:
        """A result of any size, some rows at a time."""
        for batch in self.reader(sql, values, size):
            yield batch.to_pylist()

    def reader(self, sql: str, values: Sequence[object] = (), size: int = 65_536) -> Any:
        """A result as a stream of Arrow record batches. Raises InvalidInput for SQL that DuckDB refuses."""
        return self._asked(lambda connection: connection.sql(sql, params=list(values)).to_arrow_reader(size))

    def planned(self, record: str) -> list[Planned]:
        """The current plan's rows of a record, by its id or its key's beginning (8 digits at least), in their order."""
        sql = f"""SELECT r.record_id, r.key, r.row, r.record,
                         r.row IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?) AS dropped
                  FROM rows r WHERE {_NAMED} ORDER BY r.row"""
        found = self.rows(sql, (self.plan, *_name(record)))
        return [Planned(**one) for one in found]

    def why(self, record: str, rows: Sequence[Planned] | None = None) -> list[Attempt]:
        """Every attempt at a record, oldest first: under its own id, and those at other rows of its address, which are
        translated once for all of them. What an earlier plan dropped and this one asks for is none.

        Args:
            rows: what :meth:`planned` says of the record, if it was asked already.
        """
        rows = self.planned(record) if rows is None else rows
        found, values = _NAMED, [*_name(record)]
        if rows:
            ids, shared = {row.record_id for row in rows}, {row.key for row in rows if not row.dropped}
            found = f"(record_id IN ({_marks(ids)}) OR key IN ({_marks(shared)})) AND (stage <> 'plan' OR judging = ?)"
            values = [*ids, *shared, self.plan]
        batches = self.batches(f"SELECT * FROM attempts WHERE {found} ORDER BY round, epoch, written_at", values)
        attempts = [attempt_of(row) for batch in batches for row in batch]
        return [one for one in attempts if one.stage != "plan" or not rows or one.record_id in ids]

    def attempts(self) -> Iterator[Attempt]:
        """All attempts, streamed, in no particular order."""
        for batch in self.batches("SELECT * FROM attempts"):
            yield from map(attempt_of, batch)

    def counts(self) -> dict[str, int]:
        """Keys by final reason; "" counts the accepted ones."""
        rows = self.rows("SELECT reason, count(*) AS n FROM final GROUP BY 1 ORDER BY 2 DESC, 1")
        return {str(row["reason"]): int(row["n"]) for row in rows}

    def accepted(self, keys: Sequence[str]) -> dict[str, Attempt]:
        """The accepted attempts of those keys."""
        sql = "SELECT * FROM final WHERE accepted AND key IN (SELECT unnest(?::VARCHAR[]))"
        return {row["key"]: attempt_of(row) for batch in self.batches(sql, (list(keys),)) for row in batch}

    def files(self) -> list[str]:
        """Addresses of all sealed files, and of the parts of shards that aren't sealed yet."""
        sealed = self.store.glob("ledger/*/*.parquet")
        done = {"/".join(name.removesuffix(".parquet").split("/")[-2:]) for name in sealed}
        parts = self.store.glob("parts/*/*/*.parquet")
        return [*sealed, *(name for name in parts if "/".join(name.split("/")[-3:-1]) not in done)]

    def _refreshed(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        if self._connection is None:
            made = duckdb.connect(config={"memory_limit": self._memory, "threads": self._threads,
                                          "temp_directory": self._scratch.name})  # fmt: skip
            made.execute("SET preserve_insertion_order = false")
            if not self.store.local:
                made.register_filesystem(self.store.fs)
            self._connection = made
        self._view("attempts", self.files(), _placed(schema()))
        plan = self.store.glob(f"plans/{self.plan}/rows/*.parquet") if self.plan else []
        self._view("rows", plan, _placed(plan_schema()))
        limits = ["stage <> 'plan'"]
        own = f"judging = '{self.judging}'" if self.judging else "true"
        limits += [f"({own} OR stage = 'translate')"]
        limits += ["key IN (SELECT key FROM rows)"] if plan else []
        self._connection.execute(_FINAL.replace("LIMITS", " AND ".join(limits)).replace("OWN", own))
        return self._connection

    def _view(self, name: str, files: Sequence[str], empty: Any) -> None:
        assert self._connection is not None
        if files:
            # On a disk DuckDB tries a path as it is before it takes it for a pattern; elsewhere it does not.
            paths = files if self.store.local else map(glob.escape, files)
            listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
            source = f"read_parquet([{listed}], filename = true, file_row_number = true)"
            self._connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {source}")
        else:
            self._connection.register(f"{name}_empty", empty.empty_table())
            self._connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {name}_empty")


_NAMED: Final = "(record_id = ? OR (? AND starts_with(key, ?)))"


def _marks(values: Collection[str]) -> str:
    """Placeholders; of nothing, what is equal to nothing."""
    return ", ".join("?" * len(values)) or "NULL"


def _name(record: str) -> tuple[str, bool, str]:
    """The values of ``_NAMED``."""
    return record, len(record) >= 8, record


_FINAL = """
CREATE OR REPLACE VIEW final AS
SELECT * FROM attempts SEMI JOIN (
    SELECT filename, file_row_number FROM (
        SELECT filename, file_row_number, row_number() OVER (
            PARTITION BY key ORDER BY accepted DESC, OWN DESC, round DESC, epoch DESC, written_at DESC) AS place
        FROM attempts WHERE LIMITS
    ) WHERE place = 1
) USING (filename, file_row_number)
"""
# Only narrow columns are sorted: a million rows with their texts would not fit.


def _placed(columns: Any) -> Any:
    """``columns`` with those that DuckDB adds to a file's own."""
    import pyarrow as pa

    return pa.schema([*columns, ("filename", pa.string()), ("file_row_number", pa.int64())])


def plan_schema() -> Any:
    """Arrow schema of a plan's rows: ``record`` is the whole record as JSON."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema([("row", number), ("shard", number), ("record_id", text), ("key", text), ("source", text),
                      ("characters", number), ("record", text)])  # fmt: skip
