"""Record the calls of a run, and play them back without a network.

A recording is JSON lines, one call each, appended and flushed as calls finish, so that a killed run keeps what it had.
A torn last line is ignored. The key of a call is its tool, its arguments and its scope, without the asker's
trace. Where a call was recorded more than once, the last good answer counts. A miss is an error observation.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.errors import Corrupt, NotFound
from sindbad.tools import render, specs
from sindbad.tools.environment import Environment, Observation, Scope, ToolCall, ToolSpec

NOT_RECORDED = "this call was not recorded"


def call_key(call: ToolCall, scope: Scope) -> str:
    """Content address of a call: hex SHA-256 of its canonical JSON."""
    content = [call.name, _plain(call.arguments), scope.corpus, scope.language]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class RecordingEnvironment:
    """``inner``, with every finished call appended to ``path``. The kind and the answers are ``inner``'s own."""

    def __init__(self, inner: Environment, path: str | Path) -> None:
        self._inner = inner
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._file: io.BufferedWriter = open(path, "ab")  # noqa: SIM115 - open as long as this object
        if self._file.tell() and not _ends_with_newline(Path(path)):
            self._file.write(b"\n")  # a torn last line of a killed run must not swallow our first one

    @property
    def kind(self) -> EnvironmentKind:
        return self._inner.kind

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        return self._inner.tools

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        """As ``inner``. One write a call, so that concurrent calls don't interleave."""
        seen = await self._inner.call(call, scope, deadline_seconds=deadline_seconds)
        line = json.dumps(_record(call, scope, seen), ensure_ascii=True) + "\n"
        self._file.write(line.encode("ascii"))
        self._file.flush()
        return seen

    async def close(self) -> None:
        """Close the file, and ``inner`` if it can be closed; idempotent."""
        self._file.close()
        close = getattr(self._inner, "close", None)
        if close is not None:
            await close()


class ReplayEnvironment:
    """Answers of a recording (``.jsonl``, or the ``.parquet`` that :func:`to_parquet` makes). No sockets."""

    def __init__(self, path: str | Path, tools: tuple[ToolSpec, ...] = specs.WEB_TOOLS) -> None:
        """Raises NotFound when there is no such file."""
        self._tools = tools
        self._answers = _last_good(read_recording(path))

    @property
    def kind(self) -> EnvironmentKind:
        return EnvironmentKind.REPLAY

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        return self._tools

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        """The recorded observation with source "recording"; a miss is ``ok=False``."""
        problem = specs.problem_with(call, self._tools)
        if problem is not None:
            return render.error_observation(problem)
        found = self._answers.get(call_key(call, scope))
        return found or render.error_observation(NOT_RECORDED, source="recording")

    async def close(self) -> None:
        """Nothing to give back."""


def read_recording(path: str | Path) -> Iterator[Mapping[str, Any]]:
    """Records in the order in which their calls finished. Raises NotFound, Corrupt."""
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"There is no recording at {file}.", reason="NO_RECORDING")
    return _parquet_rows(file) if file.suffix == ".parquet" else _json_rows(file)


def to_parquet(recording: str | Path, target: str | Path) -> int:
    """Write a recording's rows as Parquet, atomically; returns their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {**row, "arguments": json.dumps(row["arguments"]), "observation": json.dumps(row["observation"])}
        for row in read_recording(recording)
    ]
    buffer = io.BytesIO()
    names = ("key", "tool", "arguments", "corpus", "language", "trace_id", "observation")
    schema = pa.schema([(name, pa.string()) for name in names])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
    atomic.write_bytes(target, buffer.getvalue())
    return len(rows)


def _record(call: ToolCall, scope: Scope, seen: Observation) -> dict[str, Any]:
    return {
        "key": call_key(call, scope),
        "tool": call.name,
        "arguments": _plain(call.arguments),
        "corpus": scope.corpus,
        "language": scope.language,
        "trace_id": scope.trace_id,
        "observation": dataclasses.asdict(seen),
    }


def _plain(arguments: Any) -> Any:
    return dict(arguments) if isinstance(arguments, Mapping) else arguments


def _last_good(rows: Iterator[Mapping[str, Any]]) -> dict[str, Observation]:
    answers: dict[str, Observation] = {}
    for row in rows:
        seen = _observation(row["observation"])
        if seen.ok or not answers.get(row["key"], seen).ok:
            answers[row["key"]] = seen
    return answers


def _observation(fields: Mapping[str, Any]) -> Observation:
    try:
        seen = Observation(**fields)
    except TypeError as error:
        raise Corrupt(f"A recorded observation has unknown fields ({error}); record again.") from error
    return dataclasses.replace(seen, urls=tuple(seen.urls), source="recording", latency_seconds=0.0, cost=0.0)


def _json_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Lines that a crash tore (no line end, or half a record before a later run's first) are skipped."""
    with file.open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and "key" in row and "observation" in row:
                yield row


def _parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    for row in pq.read_table(file).to_pylist():
        yield {**row, "arguments": json.loads(row["arguments"]), "observation": json.loads(row["observation"])}


def _ends_with_newline(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, io.SEEK_END)
        return stream.read(1) == b"\n"
