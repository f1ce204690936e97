"""Outcomes of an evaluation as an artifact: one record a question, and the trajectories beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.agent.store import append, read
from sindbad.agent.trajectory import Trajectory
from sindbad.evaluation.agent import Evaluation
from sindbad.evaluation.metrics import Interval, paired_difference
from sindbad.evaluation.summary import StageSummary


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a report needs of one evaluation. ``records`` are in the order in which the questions were asked."""

    paradigm: str
    context_limit: int
    summary: StageSummary
    records: list[dict[str, Any]]
    folder: Path

    def gain_over(self, other: Outcomes) -> Interval:
        """Paired difference over the same questions."""
        theirs = {record["question_id"]: record["success"] for record in other.records}
        return paired_difference([r["success"] for r in self.records], [theirs[r["question_id"]] for r in self.records])

    def by(self, key: str) -> dict[str, float]:
        """Mean success by a field of the records."""
        cells: dict[str, list[float]] = {}
        for record in self.records:
            cells.setdefault(str(record[key]), []).append(record["success"])
        return {name: sum(cells[name]) / len(cells[name]) for name in sorted(cells)}

    def mean(self, key: str) -> float:
        """Mean of a number."""
        return float(sum(record[key] for record in self.records)) / max(1, len(self.records))

    def trajectories(self) -> list[Trajectory]:
        """Every attempt."""
        return list(read(self.folder / "trajectories"))


def write_outcomes(folder: Path, found: Evaluation, *, paradigm: str, context_limit: int) -> None:
    """Write trajectories first, the small file that refers to them last."""
    trajectories = [trajectory for outcome in found.outcomes for trajectory in outcome.trajectories]
    append(folder / "trajectories", trajectories)
    records = [
        {"question_id": outcome.question.question_id, "language": outcome.question.language,
         "kind": outcome.question.kind, "hops": outcome.question.hops, "success": outcome.rate,
         "termination": str(attempt.termination), "tool_calls": attempt.tool_calls, "summaries": attempt.summaries,
         "sampled_tokens": attempt.sampled_tokens}
        for outcome in found.outcomes for attempt in outcome.trajectories[:1]
    ]  # fmt: skip
    summary = found.summary().model_dump()
    head = {"paradigm": str(paradigm), "context_limit": context_limit, "summary": summary, "records": records}
    atomic.write_json(folder / "outcomes.json", head, indent=None)


def read_outcomes(folder: Path) -> Outcomes:
    """Inverse of :func:`write_outcomes`."""
    head = json.loads((folder / "outcomes.json").read_text("utf-8"))
    summary = StageSummary.model_validate(head["summary"])
    return Outcomes(head["paradigm"], head["context_limit"], summary, head["records"], folder)
