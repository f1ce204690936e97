"""Record what a provider answered, and play it back without a network.

A recording is JSON lines, one call each, appended and flushed as calls finish, so that a killed run keeps what it had;
a torn last line is ignored. The key of a call is what was asked, in which scope; the asker's trace is kept but is not
part of it. Where a call was recorded more than once, the last good answer counts; a miss is an error observation.
Observations are rendered from the answers, so a replay gives the same text in the same style.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sindbad import atomic
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.errors import Corrupt, NotFound
from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope
from sindbad.tools.provider import Fetched, Provider, ProviderError
from sindbad.tools.toolbox import Toolbox, ToolboxSettings

NOT_RECORDED: Final = "this call was not recorded"
_COLUMNS: Final = ("key", "tool", "what", "corpus", "language", "trace_id", "answer", "error")


def call_key(tool: str, what: str, scope: Scope, k: int = 0) -> str:
    """Content address of a call: hex SHA-256 of its canonical JSON. ``k`` is 0 for pages."""
    text = json.dumps([tool, what, scope.corpus, scope.language, k], separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class RecordingProvider:
    """``inner``, with every finished call appended to ``path``. Close closes both."""

    def __init__(self, inner: Provider, path: str | Path) -> None:
        self._inner = inner
        self.name = inner.name
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("ab")
        if self._file.tell() and not _ends_with_newline(file):
            self._file.write(b"\n")  # a torn last line of a killed run must not swallow our first one

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        key = call_key("search", query, scope, k)
        try:
            hits = await self._inner.search(query, scope, k)
        except ProviderError as error:
            self._write(key, "search", query, scope, None, str(error))
            raise
        self._write(key, "search", query, scope, [dataclasses.asdict(hit) for hit in hits], "")
        return hits

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        key = call_key("fetch", target, scope)
        try:
            page = await self._inner.fetch(target, scope)
        except ProviderError as error:
            self._write(key, "fetch", target, scope, None, str(error))
            raise
        self._write(key, "fetch", target, scope, dataclasses.asdict(page), "")
        return page

    async def close(self) -> None:
        self._file.close()
        await self._inner.close()

    def _write(self, key: str, tool: str, what: str, scope: Scope, answer: Any, error: str) -> None:
        """One write a call, so that concurrent calls don't interleave."""
        row = (key, tool, what, scope.corpus, scope.language, scope.trace_id, answer, error)
        line = json.dumps(dict(zip(_COLUMNS, row, strict=True))) + "\n"
        self._file.write(line.encode("ascii"))
        self._file.flush()


class ReplayProvider:
    """Answers of a recording (``.jsonl``, or the ``.parquet`` that :func:`to_parquet` makes). No sockets."""

    name = "recording"

    def __init__(self, path: str | Path) -> None:
        """Raises NotFound when there is no such file, Corrupt when it is no recording."""
        self._rows = _last_good(read_recording(path))

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        answer = self._answer(call_key("search", query, scope, k))
        return [Hit(**hit) for hit in answer]

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        return Fetched(**self._answer(call_key("fetch", target, scope)))

    async def close(self) -> None:
        """Nothing to give back."""

    def _answer(self, key: str) -> Any:
        row = self._rows.get(key)
        if row is None:
            raise ProviderError(NOT_RECORDED)
        if row["error"]:
            raise ProviderError(row["error"])
        return row["answer"]


def replay_environment(path: str | Path, settings: ToolboxSettings | None = None) -> Toolbox:
    """The environment over a recording."""
    return Toolbox(EnvironmentKind.REPLAY, ReplayProvider(path), settings)


def read_recording(path: str | Path) -> Iterator[Mapping[str, Any]]:
    """Rows in the order in which their calls finished. Raises NotFound."""
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"There is no recording at {file}.", reason="NO_RECORDING")
    return _parquet_rows(file) if file.suffix == ".parquet" else _json_rows(file)


def to_parquet(recording: str | Path, target: str | Path) -> int:
    """Write a recording's rows as Parquet, atomically; returns their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{**row, "answer": json.dumps(row["answer"])} for row in read_recording(recording)]
    buffer = io.BytesIO()
    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
    atomic.write_bytes(target, buffer.getvalue())
    return len(rows)


def _last_good(rows: Iterator[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    kept: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if not row["error"] or kept.get(row["key"], row)["error"]:
            kept[row["key"]] = row
    return kept


def _json_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """A line that is no JSON was torn by a crash and is skipped; JSON that is no row is not a recording."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if not isinstance(row, dict) or not row.keys() >= set(_COLUMNS):
                raise Corrupt(f"Line {number} of {file} is not a recorded call; record again.")
            yield row


def _parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    for row in pq.read_table(file, columns=list(_COLUMNS)).to_pylist():
        yield {**row, "answer": json.loads(row["answer"])}


def _ends_with_newline(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, io.SEEK_END)
        return stream.read(1) == b"\n"
