"""Instruction records: what is translated and tuned on, and where it came from.

A record is a conversation: messages keep their count, roles and order through translation (papers §4.7). Licences
travel with it: what comes out inherits every licence of source and translator, non-commercial included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.errors import InvalidInput

ROLES = ("system", "user", "assistant")
_NON_COMMERCIAL = ("-nc", "noncommercial", "non-commercial")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record came from. ``licences`` are SPDX ids or names, one each; ``translator`` is "" for an original."""

    source: str
    source_id: str
    licences: tuple[str, ...]
    translator: str = ""

    @property
    def commercial_use(self) -> bool:
        """False as soon as one licence forbids it."""
        return not any(mark in licence.lower() for licence in self.licences for mark in _NON_COMMERCIAL)


@dataclass(frozen=True, slots=True)
class InstructionRecord:
    """A conversation in one language. ``metadata`` passes through translation unchanged."""

    record_id: str
    language: str
    messages: tuple[Message, ...]
    provenance: Provenance
    metadata: Mapping[str, str]

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> InstructionRecord:
        """Inverse of :meth:`to_record`. Raises InvalidInput naming what is wrong."""
        try:
            messages = tuple(Message(str(item["role"]), str(item["content"])) for item in record["messages"])
            origin = record["provenance"]
            provenance = Provenance(
                origin["source"], origin["source_id"], tuple(origin["licences"]), origin.get("translator", "")
            )
            built = cls(
                str(record["record_id"]),
                str(record["language"]),
                messages,
                provenance,
                dict(record.get("metadata", {})),
            )
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"not an instruction record: {error!r}") from error
        check(built)
        return built

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """(role, content) of every message: what :func:`sindbad.training.examples.examples_of_conversations` takes."""
        return tuple((message.role, message.content) for message in self.messages)

    def first_exchange(self) -> tuple[str, str] | None:
        """The first user turn and the first answer after it, for HALA's 4-tuples; None where nothing answers it.

        A pair, not the conversation: what is trained on is :meth:`training_row`.
        """
        found = self.first_turns()
        return None if found is None else (self.messages[found[0]].content, self.messages[found[1]].content)

    def first_turns(self) -> tuple[int, int] | None:
        """Which messages :meth:`first_exchange` gives."""
        roles = [message.role for message in self.messages]
        first = roles.index("user")
        return (first, roles.index("assistant", first)) if "assistant" in roles[first:] else None

    def prompt_and_completion(self) -> tuple[str, str]:
        """As :meth:`first_exchange`. Raises InvalidInput where nothing answers the first question."""
        found = self.first_exchange()
        if found is None:
            raise InvalidInput(f"record {self.record_id} has no answer after its first question.")
        return found

    def training_row(self) -> dict[str, Any]:
        """A line of a training file: {prompt, completion} where that is all there is, else {messages}, whole."""
        if [message.role for message in self.messages] == ["user", "assistant"]:
            return dict(zip(("prompt", "completion"), self.prompt_and_completion(), strict=True))
        return {"messages": [asdict(message) for message in self.messages]}


def check(record: InstructionRecord) -> None:
    """Raise InvalidInput unless the conversation has known roles and something to answer."""
    roles = [message.role for message in record.messages]
    if unknown := set(roles) - set(ROLES):
        raise InvalidInput(f"record {record.record_id}: unknown role {sorted(unknown)}; known: {', '.join(ROLES)}.")
    if "user" not in roles or "assistant" not in roles:
        raise InvalidInput(f"record {record.record_id} needs a user and an assistant message.")


def instruction(
    instruction_text: str,
    response: str,
    *,
    source: str,
    source_id: str,
    licences: Iterable[str],
    language: str = "en",
    **metadata: str,
) -> InstructionRecord:
    """A two-message record; its id is a hash of its content, so the same row has the same id everywhere."""
    content = json.dumps([source, source_id, instruction_text, response], ensure_ascii=False)
    return InstructionRecord(
        sha256(content.encode()).hexdigest()[:20],
        language,
        (Message("user", instruction_text), Message("assistant", response)),
        Provenance(source, source_id, tuple(licences)),
        metadata,
    )


def translated(
    record: InstructionRecord, contents: Iterable[str], *, language: str, translator: str, licences: Iterable[str]
) -> InstructionRecord:
    """``record`` with the same roles in ``language``; the translator's ``licences`` join the lineage."""
    messages = tuple(Message(message.role, content) for message, content in zip(record.messages, contents, strict=True))
    owed = tuple(dict.fromkeys((*record.provenance.licences, *licences)))
    provenance = replace(record.provenance, translator=translator, licences=owed)
    return InstructionRecord(record.record_id, language, messages, provenance, record.metadata)


def write_jsonl(path: Path, records: Iterable[InstructionRecord]) -> int:
    """Write a shard atomically and return its number of rows."""
    lines = [json.dumps(record.to_record(), ensure_ascii=False) for record in records]
    atomic.write_text(path, "".join(line + "\n" for line in lines))
    return len(lines)


def write_training_rows(path: Path, records: Iterable[InstructionRecord]) -> None:
    """JSONL of :meth:`InstructionRecord.training_row`, read by :func:`sindbad.training.examples.read_conversations`."""
    rows = (json.dumps(record.training_row(), ensure_ascii=False) for record in records)
    atomic.write_text(path, "".join(f"{row}\n" for row in rows))


def read_jsonl(path: Path) -> Iterator[InstructionRecord]:
    """Records of a shard. Raises InvalidInput naming the line."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield InstructionRecord.from_record(json.loads(line))
            except (ValueError, InvalidInput) as error:
                raise InvalidInput(f"{path}:{number}: {error}") from error


def write_parquet(path: Path, records: Iterable[InstructionRecord]) -> int:
    """Write records as Parquet (nested columns as in :meth:`InstructionRecord.to_record`), atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{**record.to_record(), "metadata": list(record.metadata.items())} for record in records]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema(pa)), sink)
    atomic.write_bytes(path, sink.getvalue().to_pybytes())
    return len(rows)


def read_parquet(path: Path) -> Iterator[InstructionRecord]:
    """Inverse of :func:`write_parquet`."""
    import pyarrow.parquet as pq

    for row in pq.read_table(path).to_pylist():
        yield InstructionRecord.from_record({**row, "metadata": dict(row["metadata"])})


def _schema(pa: Any) -> Any:
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    provenance = pa.struct(
        [
            ("source", pa.string()),
            ("source_id", pa.string()),
            ("licences", pa.list_(pa.string())),
            ("translator", pa.string()),
        ]
    )
    return pa.schema(
        [
            ("record_id", pa.string()),
            ("language", pa.string()),
            ("messages", pa.list_(message)),
            ("provenance", provenance),
            ("metadata", pa.map_(pa.string(), pa.string())),
        ]
    )
