"""One finished run of the miniature mission, made once and shared: it takes a minute or two."""

from __future__ import annotations

import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.missions import demo


@dataclass(frozen=True)
class FinishedMission:
    """What a mission left, as it was before any other test touched its folder.

    ``began``: stages in the order in which they started. ``again``: those of a second run of the same command.
    ``cpu_seconds``: of the demo and all its processes that it waited for.
    """

    run: Path
    lines: list[str]
    began: list[str]
    summary: dict[str, Any]
    page: str
    artifacts: dict[str, str]
    seconds: float
    cpu_seconds: float
    again: list[str]
    again_lines: list[str]
    again_seconds: float
    again_summary: dict[str, Any]


@pytest.fixture(scope="session")
def mission(tmp_path_factory: pytest.TempPathFactory) -> FinishedMission:
    """Run the mission, then run the same command again."""
    run = tmp_path_factory.mktemp("mission") / "mini"
    before, started = _cpu_seconds(), time.monotonic()
    with demo(run) as first:
        assert first.end() == 0, first.text
    seconds, cpu_seconds = time.monotonic() - started, _cpu_seconds() - before
    summary, page = json.loads((run / "summary.json").read_text("utf-8")), (run / "report.html").read_text("utf-8")
    artifacts = _artifacts(run)
    started = time.monotonic()
    with demo(run) as second:
        assert second.end() == 0, second.text
    return FinishedMission(
        run, first.lines, first.began, summary, page, artifacts, seconds, cpu_seconds, second.began, second.lines,
        time.monotonic() - started, json.loads((run / "summary.json").read_text("utf-8")),
    )  # fmt: skip


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _artifacts(run: Path) -> dict[str, str]:
    """Schema title by URI, of everything that the steps put out."""
    entries = [json.loads(file.read_text("utf-8")) for file in (run / "kfp" / "cache").glob("*.json")]
    values = [value for entry in entries for value in entry.values()]
    return {value["uri"]: value["schema_title"] for value in values if isinstance(value, dict) and "uri" in value}
