"""Text files that a user names: UTF-8, gzipped or not. What cannot be read is told with its place, in one line.

Half a surrogate pair, which a JSON escape may hold and no UTF-8 file, database or wire takes, is read as U+FFFD.

Covered: text, JSON, JSON Lines, plain TSV. Not covered: Parquet, CSV dialects, files whose damaged rows are to be
counted (:mod:`sindbad.graph.importers.rows`).
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from sindbad.errors import InvalidInput, NotFound

_ESCAPED: Final = re.compile(r"\\u[dD][89a-fA-F]")
_HALF: Final = re.compile("[\ud800-\udfff]")


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


def parsed(text: str) -> Any:
    """JSON with its strings fit to be written. Raises ValueError."""
    found = json.loads(text)
    return _mended(found) if _ESCAPED.search(text) else found


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return list(map(_mended, value))
    return {_mended(key): _mended(one) for key, one in value.items()} if isinstance(value, dict) else value


def json_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON file that is one list of them. Raises as :func:`open_text`; InvalidInput for any other."""
    with open_text(path) as file:
        text = file.read()
    try:
        found = parsed(text)
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidInput(f"{path} is no list of JSON objects; one object a line belongs into a file called .jsonl")
    return found


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
        found = parsed(line)
    except ValueError as error:
        raise InvalidInput(f"{path}:{number} is no JSON object: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{path}:{number} is no JSON object")
    return found
