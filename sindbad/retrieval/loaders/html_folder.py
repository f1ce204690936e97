"""A folder of HTML: a mirror of a site, or pages with an ``index.jsonl`` that says where each came from.

A page's URL is, in this order: the ``url`` of its line in ``index.jsonl`` (keys ``file``, ``url``, optionally
``title``, ``lang``); the template filled with its path (``https://{path}`` for a mirror that wget made); an address
that can't exist.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sindbad.errors import InvalidInput, NotFound
from sindbad.retrieval.extraction import MAX_BYTES, PageUnreadable, extract
from sindbad.retrieval.loaders.addresses import check_template, default_template, fill, is_address
from sindbad.retrieval.loaders.record import Document, Outcome, Position, Record, Rejected, Section
from sindbad.retrieval.loaders.source import SourceFile, walk

SUFFIXES: Final = (".html", ".htm", ".xhtml", ".html.gz", ".htm.gz")
INDEX: Final = "index.jsonl"
_TEMPLATE_FIELDS: Final = frozenset({"path", "name"})


class HtmlLoader:
    """One file is one record; the folder is walked twice, once to know its size."""

    def __init__(self, root: Path, *, corpus: str, url_template: str = "") -> None:
        self._root = root
        self._template = url_template or default_template(corpus)
        check_template(self._template, _TEMPLATE_FIELDS)
        self._known = _read_index(root / INDEX) if root.is_dir() else {}
        self.total = sum(file.size for file in walk(root, SUFFIXES))

    def records(self, start: Position | None = None) -> Iterator[Record]:
        """A position names the last file read; files that have appeared before it since then are not seen."""
        done = 0
        for file in walk(self._root, SUFFIXES):
            done += file.size
            if start is None or _order(file.name) > _order(start.file):
                yield Record(self._outcome(file), Position(file.name, 1), file.name, done)

    def _outcome(self, file: SourceFile) -> Outcome:
        try:
            page = extract(_body(file.path))
        except PageUnreadable as error:
            return Rejected(str(error))
        except (zlib.error, EOFError):
            return Rejected("damaged gzip")
        except OSError as error:
            return Rejected(f"can't be read ({error.strerror or 'damaged'})")
        row = self._known.get(file.name, {})
        named = file.name.removesuffix(".gz")
        url = str(row.get("url") or fill(self._template, {"path": named, "name": named}))
        if not is_address(url):
            return Rejected("the URL is not http(s)")
        title = page.title or str(row.get("title") or "") or Path(named).stem
        return Document(url, title, str(row.get("lang") or page.language), (Section("", page.text),))


def _order(name: str) -> list[str]:
    """The walk's order: folder by folder."""
    return name.split("/")


def _body(path: Path) -> bytes:
    """At most what extraction reads, so that a small file can't decompress into memory without end."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES)
    if path.suffix != ".gz":
        return data
    opened = zlib.decompressobj(wbits=31)
    body = opened.decompress(data, MAX_BYTES)
    if not opened.eof and len(body) < MAX_BYTES:
        raise EOFError
    return body


def _read_index(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Rows by file; a file may be listed without its ``.gz``. Raises InvalidInput for rows of another form."""
    try:
        lines = path.read_text("utf-8").split("\n")  # a title may hold other separators of lines
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"{path} can't be read: {error}", reason="NO_SOURCE") from error
    known: dict[str, Mapping[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line) if line.strip() else {}
        except ValueError:
            row = None
        if not isinstance(row, dict) or (row and not isinstance(row.get("file"), str)):
            message = f"Line {number} of {path} is not an object with a `file`; found {line[:80]!r}."
            raise InvalidInput(message, reason="WRONG_SCHEMA")
        if row:
            known[row["file"]] = known[f"{row['file']}.gz"] = row
    return known
