"""One row for every attempt at translating one unit of one record; accepted and rejected alike can be asked for.

Content-addressed: ``key`` = hash(source, masker, prompt, model revision, decoding), so a second run pays only for what
changed or failed. A row is committed before the next batch begins: a process that is killed anywhere loses at most the
batch in flight, and nothing is counted twice. SQLite in WAL mode; any number of processes may share one file.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sindbad.errors import Corrupt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    attempt INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    record_id TEXT NOT NULL,
    unit INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    reason TEXT NOT NULL,
    output TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    generations INTEGER NOT NULL,
    model_revision TEXT NOT NULL,
    licences TEXT NOT NULL,
    scores TEXT NOT NULL,
    written_at REAL NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS accepted_key ON attempts (key) WHERE accepted = 1;
CREATE INDEX IF NOT EXISTS by_record ON attempts (record_id);
CREATE INDEX IF NOT EXISTS by_key ON attempts (key);
"""
_COLUMNS = (
    "key, record_id, unit, accepted, reason, output, prompt_tokens, output_tokens, generations, model_revision, "
    "licences, scores, written_at"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. ``unit`` is the message's number in its record; ``reason`` is "" when accepted; ``output`` is kept
    also when a filter rejected it. ``scores`` maps a filter's name to its number."""

    key: str
    record_id: str
    unit: int
    accepted: bool
    reason: str
    output: str
    prompt_tokens: int = 0
    output_tokens: int = 0
    generations: int = 0
    model_revision: str = ""
    licences: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    written_at: float = 0.0


class Ledger:
    """The attempts in one SQLite file, made if absent. Use as a context manager.

    Raises:
        Corrupt: the file is no ledger.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.path, timeout=30.0)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise Corrupt(f"{self.path} is not a ledger: {error}; move it away.") from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._connection.close()

    def write(self, attempts: Iterable[Attempt]) -> None:
        """Commit a batch at once. A second acceptance of one key (another worker was faster) is dropped."""
        rows = [
            (
                a.key, a.record_id, a.unit, int(a.accepted), a.reason, a.output, a.prompt_tokens, a.output_tokens,
                a.generations, a.model_revision, json.dumps(a.licences), json.dumps(dict(a.scores)),
                a.written_at or time.time(),
            )
            for a in attempts
        ]  # fmt: skip
        marks = ", ".join("?" * 13)
        with self._connection:
            self._connection.executemany(f"INSERT OR IGNORE INTO attempts ({_COLUMNS}) VALUES ({marks})", rows)

    def accepted(self, keys: Sequence[str]) -> dict[str, str]:
        """Outputs of those ``keys`` that were accepted."""
        found: dict[str, str] = {}
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            query = f"SELECT key, output FROM attempts WHERE accepted = 1 AND key IN ({','.join('?' * len(part))})"
            found.update(self._connection.execute(query, part).fetchall())
        return found

    def why(self, record_id: str) -> list[Attempt]:
        """Every attempt at one record, oldest first."""
        return list(self._select("WHERE record_id = ? ORDER BY attempt", (record_id,)))

    def attempts(self) -> Iterator[Attempt]:
        """All attempts, oldest first, streamed."""
        return self._select("ORDER BY attempt", ())

    def counts(self) -> dict[str, int]:
        """Attempts by reason; "" counts the accepted ones."""
        rows = self._connection.execute("SELECT reason, COUNT(*) FROM attempts GROUP BY reason ORDER BY 2 DESC")
        return {str(reason): int(count) for reason, count in rows}

    def _select(self, clause: str, values: Sequence[str]) -> Iterator[Attempt]:
        for row in self._connection.execute(f"SELECT {_COLUMNS} FROM attempts {clause}", values):
            key, record_id, unit, accepted, reason, output, prompt, tokens, made, revision, licences, scores, at = row
            yield Attempt(
                key, record_id, unit, bool(accepted), reason, output, prompt, tokens, made, revision,
                tuple(json.loads(licences)), json.loads(scores), at,
            )  # fmt: skip
