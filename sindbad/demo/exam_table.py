"""Scores of several columns as one Markdown table: what the exams of the page reader and of the extractor print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def markdown(columns: Mapping[str, Any], rows: Mapping[str, str]) -> str:
    """Column heading -> score, and the score's field -> what the row is called."""
    head = "| | " + " | ".join(columns) + " |"
    lines = (
        "| " + " | ".join([text, *(_cell(getattr(score, name)) for score in columns.values())]) + " |"
        for name, text in rows.items()
    )
    return "\n".join([head, "|---" * (len(columns) + 1) + "|", *lines])


def _cell(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def share(hits: Sequence[bool]) -> float:
    """Share of the true ones; 0 of none."""
    return sum(hits) / len(hits) if hits else 0.0
