"""An exported data set, read back: the one reader of what :func:`sindbad.corpus.export.export` writes.

A folder is one by its layout: ``lineage.json`` and ``data/*.parquet`` (with ``pairs/*.parquet`` beside it). Its Parquet
files are read one by one as well, known by their columns. Streaming: one batch of rows in memory. Not read: other data
sets' Parquet as conversations (those are sources, :mod:`sindbad.corpus.sources`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sindbad.errors import Corrupt, InvalidInput, NotFound

LINEAGE: Final = "lineage.json"
_CONVERSATIONS: Final = ("messages", "messages_source")
_BATCH: Final = 256

Turns = tuple[tuple[str, str], ...]


def pair_columns(source: str, target: str) -> tuple[str, str, str, str]:
    """HALA's four for a direction: instr_en, instr_ar, resp_en, resp_ar."""
    return f"instr_{source}", f"instr_{target}", f"resp_{source}", f"resp_{target}"


def export_of(path: Path) -> Path | None:
    """The export that ``path`` is, or that it is a Parquet file of; None for anything else."""
    for folder in (path, path.parent.parent) if path.suffix == ".parquet" else (path,):
        if (folder / LINEAGE).is_file() and any((folder / "data").glob("*.parquet")):
            return folder
    return None


def read_lineage(folder: Path) -> dict[str, Any]:
    """``lineage.json`` of an export. Raises Corrupt where it is none."""
    try:
        found = json.loads((folder / LINEAGE).read_text("utf-8"))
        if isinstance(found["licences"], dict) and isinstance(found["spec"]["identity"], dict):
            return dict(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{folder / LINEAGE} is no lineage of an export: {error!r}") from error
    raise Corrupt(f"{folder / LINEAGE} is no lineage of an export; export the data set again")


def licences_of(folder: Path) -> tuple[str, ...]:
    """Every licence of every source and of the translator, each once."""
    listed = read_lineage(folder)["licences"].values()
    return tuple(dict.fromkeys(str(licence) for licences in listed for licence in licences))


def read_conversations(path: Path) -> Iterator[tuple[Turns, Turns]]:
    """(translated, as it was) of every row of an export or of one of its ``data`` files, as (role, content).

    Raises:
        NotFound: nothing there. InvalidInput: no export, another Parquet file, or one without a row.
        Corrupt: a damaged file.
    """
    empty = True
    for file in _files(path, "data"):
        for row in _with_columns(file, _CONVERSATIONS):
            empty = False
            yield _turns(row["messages"]), _turns(row["messages_source"])
    if empty:
        raise InvalidInput(f"{path} is an export without a row")


def read_pairs(path: Path, languages: tuple[str, str] = ("en", "ar")) -> Iterator[tuple[str, str]]:
    """Both pairs of every 4-tuple of an export or of one of its ``pairs`` files, from the first language into the
    second (the file may have been made the other way). Raises as above."""
    empty, (asked, said, reply, answer) = True, pair_columns(*languages)
    for file in _files(path, "pairs"):
        for row in _with_columns(file, pair_columns(*languages)):
            empty = False
            yield row[asked], row[said]
            yield row[reply], row[answer]
    if empty:
        raise InvalidInput(f"{path} is an export without a pair")


def holds_pairs(path: Path) -> bool:
    """Whether :func:`read_pairs` reads it: an export, or a Parquet file with HALA's four columns in two languages."""
    if path.suffix == ".parquet" and path.is_file():
        asked = [name for name in _columns(path) if name.startswith("instr_")]
        return len(asked) == 2 and {f"resp_{name.removeprefix('instr_')}" for name in asked} <= _columns(path)
    return export_of(path) is not None


def holds_conversations(path: Path) -> bool:
    """Whether :func:`read_conversations` reads it."""
    if path.suffix == ".parquet" and path.is_file():
        return set(_CONVERSATIONS) <= _columns(path)
    return export_of(path) is not None


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of any Parquet file, in order. Raises NotFound, Corrupt."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    try:
        for batch in pq.ParquetFile(path).iter_batches(_BATCH):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise Corrupt(f"{path} is no readable Parquet file: {error}") from error


def _files(path: Path, kind: str) -> list[Path]:
    if not path.exists():
        raise NotFound(f"there is nothing at {path}")
    if path.is_file():
        return [path]
    if export_of(path) is None:
        raise InvalidInput(
            f"{path} is no exported data set ({LINEAGE} and data/*.parquet); `sindbad corpus export` writes one"
        )
    return sorted((path / kind).glob("*.parquet"))


def _with_columns(file: Path, wanted: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if missing := [name for name in wanted if name not in _columns(file)]:
        raise InvalidInput(f"{file} has no column {', '.join(missing)}; it has {', '.join(sorted(_columns(file)))}")
    return parquet_rows(file)


def _columns(file: Path) -> set[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return set(pq.read_schema(file).names)
    except (pa.ArrowException, OSError) as error:
        raise Corrupt(f"{file} is no readable Parquet file: {error}") from error


def _turns(messages: list[dict[str, str]]) -> Turns:
    return tuple((message["role"], message["content"]) for message in messages)
