"""Instruction data by its real schema: from the Hub, or from local Parquet, JSONL and JSON files, in order.

The first N records of a source are a prefix of its first M > N, never a sample (papers §4.3): files in the order of
their names, rows in the order of their file. A column that is gone, renamed or of another type is an error that names
source, column and row; a row whose content is no use (code in Hermes-3, another language in Tulu-3) is counted by
reason and left out. Streaming: one row group at a time.

Hub sources are opened by ``datasets`` in streaming mode, at the revision given; they need the network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sindbad.corpus.records import InstructionRecord, Message, Provenance
from sindbad.corpus.schemas import SCHEMAS, Schema, Skip, opus100
from sindbad.errors import InvalidInput, NotFound
from sindbad.textfiles import json_lines, json_objects
from sindbad.weights.manifest import file_sha256

HELD_OUT: Final = "EVAL_ONLY"
"""A file with this in its name is for measuring; it is never read as training data."""
MAIN: Final = "main"
"""The Hub's revision where none is named; it moves."""
_ABOUT: Final = "dataset_info*.json"
_SUFFIXES: Final = (".parquet", ".jsonl", ".jsonl.gz", ".json", ".json.gz")


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """One source: ``name`` is a schema's, ``path`` a file or folder (None: the Hub), ``licence`` overrides its own.

    ``language``: what its rows are in. A file in a known form may be in any; what is published is in its own.
    """

    name: str
    path: Path | None = None
    limit: int | None = None
    licence: str = ""
    revision: str = MAIN
    language: str = "en"

    @classmethod
    def parse(cls, text: str, limit: int | None = None, language: str = "en") -> SourceRequest:
        """``NAME``, ``NAME#REVISION`` (of the Hub) or ``NAME=PATH``, each with ``@LICENCE`` behind it. Raises
        InvalidInput for a name that is not known, a revision of files, and a data set in another language."""
        body, licence = _split_licence(text)
        first, _, path = body.partition("=")
        name, marked, revision = first.partition("#")
        published = schema_of(name).language
        if published not in ("", language) and not path:
            raise InvalidInput(
                f"{name} is published in {published!r} and {language!r} is to be translated; for rows in that language "
                f"give files ({name}=PATH, or messages=PATH)"
            )
        if marked and (path or not revision):
            raise InvalidInput(f"{text}: a revision is the Hub's ({name}#REVISION); files are known by their content")
        return cls(name, Path(path) if path else None, limit, licence, revision or MAIN, language)

    def describe(self) -> dict[str, Any]:
        """For a job's settings. A local source is known by its files' names and content."""
        files = [[file.name, file_sha256(file)] for file in data_files(self.path)] if self.path else []
        schema = SCHEMAS.get(self.name)
        versions = {
            "terms": 0 if self.licence or schema is None else schema.terms,
            "rule": schema.rule if schema else 0,
        }
        said = {"name": self.name, "limit": self.limit, "licence": self.licence}
        said |= {name: version for name, version in versions.items() if version}
        return {**said, "files": files} if files else {**said, "revision": self.revision}


def path_in(text: str) -> str:
    """The path in a source as :meth:`SourceRequest.parse` takes it; "" for the Hub's."""
    return _split_licence(text)[0].partition("=")[2]


def _split_licence(text: str) -> tuple[str, str]:
    """At the last "@", if a licence may stand there: no folder and no data file does. An "@" of a path stays."""
    body, marked, licence = text.rpartition("@")
    if not marked or not body or "/" in licence or licence.endswith(_SUFFIXES):
        return text, ""
    return body, licence


@dataclass(slots=True)
class Reading:
    """What was read: records given, and rows left out by reason, for each source."""

    given: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)


def schema_of(name: str) -> Schema:
    """The schema of a source. Raises InvalidInput naming the known ones."""
    if name not in SCHEMAS:
        raise InvalidInput(f"no source is called {name!r}; known: {', '.join(SCHEMAS)}")
    return SCHEMAS[name]


def read_sources(requests: Iterable[SourceRequest], reading: Reading | None = None) -> Iterator[InstructionRecord]:
    """All records of the requests, one source after the other, each cut at its limit."""
    for request in requests:
        yield from islice(_records(request, reading or Reading()), request.limit)


def _records(request: SourceRequest, reading: Reading) -> Iterator[InstructionRecord]:
    schema = schema_of(request.name)
    for number, row in enumerate(_rows(request, schema)):
        try:
            found = schema.convert(row)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise InvalidInput(f"source {request.name}, row {number} cannot be read: {error!r}") from error
        for part, one in enumerate(found if _several(found) else [found]):
            if isinstance(one, Skip):
                reading.skipped[request.name, one.reason] += 1
                continue
            reading.given[request.name] += 1
            licences = (request.licence,) if request.licence else schema.licences(row)
            source_id = str(row.get("id", number)) + (f"-{part}" if part else "")
            yield _record(request, source_id, one, licences, schema.about(row))


def _several(found: Any) -> bool:
    """Whether a row gave several conversations."""
    return isinstance(found, list) and all(isinstance(one, list) for one in found)


def _record(
    request: SourceRequest,
    source_id: str,
    messages: Sequence[tuple[str, str]],
    licences: tuple[str, ...],
    metadata: Mapping[str, str],
) -> InstructionRecord:
    from sindbad.corpus.address import digest

    turns = tuple(Message(role, content) for role, content in messages)
    identity = digest([request.name, source_id, messages])[:20]
    origin = Provenance(request.name, source_id, licences)
    return InstructionRecord(identity, request.language, turns, origin, metadata)


def read_pairs(request: SourceRequest, target: str = "ar") -> Iterator[tuple[str, str, str]]:
    """(id, text, translation) of a parallel source (OPUS-100), cut at its limit.

    Raises InvalidInput for a source of instructions, and for two languages of which none is English.
    """
    if not schema_of(request.name).parallel:
        raise InvalidInput(f"source {request.name} holds instructions, not parallel text")
    if request.path is None and "en" not in (request.language, target):
        raise InvalidInput(
            f"{request.name} pairs every language with English; {request.language}-{target} is not there"
        )
    schema = opus100(request.language, target)
    for number, row in enumerate(islice(_rows(request, schema), request.limit)):
        (_, text), (_, translation) = schema.convert(row)
        yield str(number), str(text), str(translation)


# -- rows --------------------------------------------------------------------------------------------------------------


def _rows(request: SourceRequest, schema: Schema) -> Iterator[Mapping[str, Any]]:
    files = data_files(request.path) if request.path else None
    rows = _hub(request, schema) if files is None else (row for file in files for row in _file(file))
    for number, row in enumerate(rows):
        check_row(request.name, schema, row, number)
        yield row


def check_row(name: str, schema: Schema, row: Mapping[str, Any], number: int) -> None:
    """Raise InvalidInput naming source, column and row unless one of the schema's forms fits."""
    faults = []
    for form in schema.columns:
        fault = next((fault for column, kind in form.items() if (fault := _fault(row, column, kind))), "")
        if not fault:
            return
        faults.append(fault)
    known = ", ".join(sorted(map(str, row))) if isinstance(row, Mapping) else type(row).__name__
    raise InvalidInput(
        f"the schema of source {name} has changed: {' or '.join(dict.fromkeys(faults))} in row {number}; "
        f"the row has the columns {known}",
        reason="SCHEMA_DRIFT",
        metadata={"source": name},
    )


def _fault(row: Mapping[str, Any], column: str, kind: str) -> str:
    """What is wrong with a column, down to the key of an item; "" where it is of its kind."""
    if column not in row:
        return f"column {column!r} is missing, expected {kind}"
    value = row[column]
    if kind in ("text", "text?"):
        fits = isinstance(value, str) or (value is None and kind == "text?")
        return "" if fits else f"column {column!r} is {_type(value)}, expected {kind}"
    if not isinstance(value, list if kind.startswith("[") else Mapping):
        return f"column {column!r} is {_type(value)}, expected {kind}"
    keys = kind.strip("[]{}").split(",")
    items = enumerate(value) if kind.startswith("[") else [("", value)]
    return next((fault for place, item in items if (fault := _item_fault(f"{column}[{place}]", item, keys))), "")


def _item_fault(name: str, item: Any, keys: Sequence[str]) -> str:
    name = name.removesuffix("[]")
    if not isinstance(item, Mapping):
        return f"{name} is {_type(item)}, expected {{{','.join(keys)}}}"
    wrong = next((key for key in keys if not isinstance(item.get(key), str)), None)
    if wrong is None:
        return ""
    return f"{name}.{wrong} is {_type(item[wrong]) if wrong in item else 'missing'}, expected text"


def _type(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def data_files(path: Path) -> list[Path]:
    """The data files of a file, folder or pattern, in the order of their names; of a clone of a data set not what the
    Hub writes about it. Raises NotFound, InvalidInput."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.name.endswith(_SUFFIXES))
    else:
        found = [path] if path.is_file() else sorted(path.parent.glob(path.name)) if path.parent.is_dir() else []
    found = [file for file in found if file == path or not file.match(_ABOUT)]
    if not found:
        raise NotFound(f"there is no data file at {path}; expected {', '.join(_SUFFIXES)}")
    for file in found:
        if HELD_OUT in file.name:
            raise InvalidInput(f"{file} is marked {HELD_OUT}: it measures models and must not be trained on")
    return found


def _file(file: Path) -> Iterator[Mapping[str, Any]]:
    if file.name.endswith(".parquet"):
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(file).iter_batches(256):
            yield from batch.to_pylist()
        return
    if ".jsonl" in file.name:
        yield from (row for _, row in json_lines(file))
        return
    yield from json_objects(file)


def _hub(request: SourceRequest, schema: Schema) -> Iterator[Mapping[str, Any]]:
    if not schema.hub:
        raise InvalidInput(f"source {request.name} is read from files: {request.name}=PATH")
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise InvalidInput("reading from the Hub needs datasets: install sindbad[corpus]") from error
    try:
        yield from load_dataset(
            schema.hub, schema.config or None, split=schema.split, streaming=True, revision=request.revision
        )
    except (OSError, ValueError) as error:
        raise NotFound(
            f"{schema.hub} cannot be read from the Hub ({type(error).__name__}: {error}); "
            f"if this machine has no way there, read files: {request.name}=PATH for a corpus, --data DIR for tune"
        ) from error
