"""Held-out sentences of the user's: a TSV with a header or JSONL, gzipped or not, with or without references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sindbad.errors import InvalidInput, NotFound
from sindbad.textfiles import table_rows

NAMES = (("source", "target"), ("source", "reference"), ("en", "ar"), ("prompt", "response"))
"""Column pairs that are understood without a word."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What the model is asked, and what it should answer (None: compared with the original model alone)."""

    source: str
    reference: str | None


def read_held_out(path: Path, *, columns: tuple[str, str] | None = None, limit: int | None = None) -> list[HeldOut]:
    """Rows of ``path`` in order; rows without a source are left out.

    Args:
        columns: names of source and reference; found by themselves among :data:`NAMES` when None.

    Raises:
        NotFound: no such file. InvalidInput: no rows, unknown columns, or lines that are no JSON objects.
    """
    if not path.is_file():
        raise NotFound(f"{path} does not exist; give a .tsv or .jsonl file of held-out pairs")
    rows: list[HeldOut] = []
    for row in table_rows(path):
        if limit is not None and len(rows) >= limit:
            break
        source, reference = _pair(row, columns, path)
        if source.strip():
            rows.append(HeldOut(source.strip(), reference.strip() if reference and reference.strip() else None))
    if not rows:
        raise InvalidInput(f"{path} holds no held-out rows")
    return rows


def _pair(row: Mapping[str, object], columns: tuple[str, str] | None, path: Path) -> tuple[str, str | None]:
    known = next((names for names in NAMES if all(name in row for name in names)), None)
    names = columns or known or (("source", "") if "source" in row else None)
    if names is None or names[0] not in row:
        raise InvalidInput(
            f"{path} has the columns {', '.join(map(str, row))}; name two of them: --columns SOURCE,REFERENCE"
        )
    reference = row.get(names[1])
    return str(row[names[0]] or ""), None if reference is None else str(reference)
