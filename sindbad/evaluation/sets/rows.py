"""Rows of a JSONL, CSV or Parquet file (also gzipped), each with where it stands. A torn file is an error, never less.

Invariant: either every row of the file comes, or Corrupt names the place where the file is broken.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sindbad.errors import Corrupt, InvalidInput, NotFound

Row = Mapping[str, Any]
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
_LONGEST_FIELD = 16 * 1024 * 1024


def read_rows(path: Path) -> list[tuple[str, Row]]:
    """(place, row) for every row; a place is "file:line" for people.

    Raises:
        NotFound: there is no such file. InvalidInput: a suffix that is not read. Corrupt: the file is torn.
    """
    if not path.is_file():
        raise NotFound(f"there is no question file {path}")
    kind = kind_of(path)
    if kind == ".parquet":
        return list(_parquet(path))
    text = _text(path)
    return list(_csv(path, text) if kind == ".csv" else _jsonl(path, text))


def kind_of(path: Path) -> str:
    """The suffix that tells the format, without ".gz"; where there is none (an artifact of a pipeline), what its first
    byte says. Raises InvalidInput."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if suffixes and suffixes[-1] in SUFFIXES:
        return suffixes[-1]
    with path.open("rb") as file:
        first = file.read(1)
    if not suffixes and first in (b"{", b"["):
        return ".jsonl"
    raise InvalidInput(f"{path.name} ends in none of {', '.join(SUFFIXES)} (also with .gz); convert it first")


def texts_in(value: Any, place: str) -> tuple[str, ...]:
    """The texts of a column that may hold several: a plain text is one, a list in JSON (all that CSV can hold) a list.

    Blank ones are left out. Raises Corrupt for what is neither.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError):
            value = json.loads(value)
    several = value if isinstance(value, list | tuple) else (value,)
    given = [item for item in several if item is not None]
    if any(isinstance(item, bool) or not isinstance(item, str | int | float) for item in given):
        raise Corrupt(f"{place}: {value!r} is neither a text nor a list of texts")
    return tuple(text for item in given if (text := str(item).strip()))


def number_in(value: Any, place: str, *, default: float = 0.0, whole: bool = False) -> float:
    """A number of zero or more; ``default`` for an empty cell. Raises Corrupt for what is none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return default
    with suppress(ValueError, TypeError, OverflowError):
        number = float(value)
        if math.isfinite(number) and number >= 0 and (not whole or number == int(number)):
            return number
    raise Corrupt(f"{place}: {value!r} is no {'whole ' if whole else ''}number of zero or more")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Corrupt(f"{path} is cut off or no gzip file: {error}") from error
    except UnicodeDecodeError as error:
        raise Corrupt(f"{path} is no UTF-8 text at byte {error.start}") from error


def _jsonl(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    lines: list[tuple[int, Any]] = []
    if text.lstrip().startswith("["):
        lines = list(enumerate(_json(path, 1, text), 1))
    else:
        numbered = enumerate(text.split("\n"), 1)
        lines = [(number, _json(path, number, line)) for number, line in numbered if line.strip()]
    for number, row in lines:
        if not isinstance(row, dict):
            raise Corrupt(f"{path}:{number} is no JSON object")
        yield f"{path.name}:{number}", row


def _json(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Corrupt(f"{path}:{number} is no JSON ({error}); is the file torn?") from error


def _csv(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            place = f"{path.name}:{rows.line_num}"
            if None in row or None in row.values():
                columns = len(rows.fieldnames or ())
                raise Corrupt(f"{place} has not the {columns} columns of the header; is the file torn?")
            yield place, row
    except csv.Error as error:
        raise Corrupt(f"{path.name}:{rows.line_num} is no CSV: {error}; is the file torn?") from error


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise Corrupt(f"{path} is no Parquet file: {error}") from error
    yield from ((f"{path.name}, row {number}", row) for number, row in enumerate(rows))
