"""Text files that a user names: UTF-8, gzipped or not. What cannot be read is told with its place, in one line.

Covered: text, JSON Lines, plain TSV. Not covered: Parquet, CSV dialects, files whose damaged rows are to be counted
(:mod:`sindbad.graph.importers.rows`).
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sindbad.errors import InvalidInput, NotFound


@contextmanager
def open_text(path: Path, *, newline: str | None = None) -> Iterator[IO[str]]:
    """The text of ``path``, decompressed where its name ends in ".gz".

    Raises NotFound where there is no file, and InvalidInput, out of the block, for what is no text or a cut archive.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline=newline)
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", newline=newline)
        ) as file:
            yield file
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8 text: {error}") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidInput(f"{path} is damaged or cut short: {error}") from error


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, object) of every line that is not empty. Raises as :func:`open_text`; InvalidInput with the line
    that holds no JSON object."""
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _object(path, number, line)


def table_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a TSV with a header (cells are plain text, never quoted), or of JSON Lines. Raises as both."""
    if ".jsonl" in path.name:
        yield from (row for _, row in json_lines(path))
        return
    with open_text(path, newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"{path}:{number} is no JSON object: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{path}:{number} is no JSON object")
    return found
