"""From failures to a demand: what kinds of questions fail, why, and so which to ask the generator for.

Pure: counts in, :class:`~sindbad.questions.demand.Demand` out. A cell is (kind, hops, uncertainty label); a question
with several labels counts in the cell of each. A cell weighs as much as its share of attempts that failed for a reason
which more such questions can teach: a doubtful verdict or a tool's fault teaches nothing, a broken format little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast, get_args

from pydantic import BaseModel, ConfigDict, Field

from sindbad.agent.trajectory import Trajectory
from sindbad.curation.taxonomy import FailureClass, classify
from sindbad.questions.candidates import Kind
from sindbad.questions.demand import PLAIN, Demand, Want
from sindbad.questions.question import Question


class QuestionCell(NamedTuple):
    """What a question is like. ``uncertainty`` is one label, or "" for none."""

    kind: str
    hops: int
    uncertainty: str = PLAIN


class DemandConfig(BaseModel):
    """How counts become a demand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the new questions that follow the demand; the rest follow the configured mix."""
    min_attempts: int = Field(default=8, ge=1)
    """Attempts that a cell needs before its failures mean anything."""
    weights: dict[FailureClass, float] = Field(default_factory=dict)
    """How much a failure of a class asks for more such questions; classes left out keep their default."""

    def weight(self, cause: FailureClass) -> float:
        """The class's weight."""
        return self.weights.get(cause, _DEFAULT_WEIGHTS.get(cause, 1.0))


_DEFAULT_WEIGHTS = {FailureClass.JUDGE_DOUBT: 0.0, FailureClass.TOOL_FAULT: 0.0, FailureClass.FORMAT: 0.25}


@dataclass(slots=True)
class FailureTally:
    """Counts of judged attempts.

    Attributes:
        attempts: cell -> attempts. failures: (cell, primary cause) -> attempts that failed so.
        causes: primary cause -> attempts, each attempt once. solved, judged: attempts, each once.
    """

    attempts: Counter[QuestionCell] = field(default_factory=Counter)
    failures: Counter[tuple[QuestionCell, FailureClass]] = field(default_factory=Counter)
    causes: Counter[FailureClass] = field(default_factory=Counter)
    judged: int = 0
    solved: int = 0

    def add(self, trajectory: Trajectory, question: Question) -> None:
        """Count one judged attempt."""
        failure = classify(trajectory, question)
        self.judged += 1
        self.solved += failure is None
        for cell in cells_of(question):
            self.attempts[cell] += 1
            if failure is not None:
                self.failures[cell, failure.primary] += 1
        if failure is not None:
            self.causes[failure.primary] += 1

    def add_all(self, trajectories: Iterable[Trajectory], questions: Mapping[str, Question]) -> int:
        """Count those whose question is known and that were judged; returns how many were left out."""
        left_out = 0
        for trajectory in trajectories:
            question = questions.get(trajectory.question_id)
            if question is None or trajectory.reward is None:
                left_out += 1
            else:
                self.add(trajectory, question)
        return left_out

    def failed(self, cell: QuestionCell) -> dict[FailureClass, int]:
        """Failures of one cell by cause, the most frequent first."""
        found = {cause: self.failures[cell, cause] for cause in FailureClass if self.failures[cell, cause]}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form, for people and reports; nothing is lost in it."""
        cells = sorted(self.attempts)
        return {
            "attempts": self.judged,
            "solved": self.solved,
            "causes": {cause.value: self.causes[cause] for cause in FailureClass},
            "cells": [
                {
                    **cell._asdict(),
                    "attempts": self.attempts[cell],
                    "failures": {cause.value: count for cause, count in self.failed(cell).items()},
                }
                for cell in cells
            ],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> FailureTally:
        """Inverse of :meth:`to_record`."""
        made = cls(judged=record["attempts"], solved=record["solved"])
        made.causes.update({FailureClass(cause): count for cause, count in record["causes"].items() if count})
        for row in record["cells"]:
            cell = QuestionCell(row["kind"], row["hops"], row["uncertainty"])
            made.attempts[cell] = row["attempts"]
            made.failures.update({(cell, FailureClass(cause)): count for cause, count in row["failures"].items()})
        return made


def cells_of(question: Question) -> list[QuestionCell]:
    """The cells that a question counts in: one a label, or the plain one."""
    return [QuestionCell(question.kind, question.hops, label) for label in question.uncertainty or (PLAIN,)]


def demand_of(tally: FailureTally, config: DemandConfig | None = None) -> Demand:
    """What to ask for: every cell that fails enough to mean something, weights summing to 1; empty where none does."""
    config = config or DemandConfig()
    rates = {cell: _rate(tally, cell, config) for cell in sorted(tally.attempts) if _can_be_asked(tally, cell, config)}
    total = sum(rates.values())
    wants = [
        Want(cast(Kind, cell.kind), cell.hops, cell.uncertainty, rate / total, _why(tally, cell))
        for cell, rate in rates.items()
        if rate > 0
    ]
    return Demand(tuple(wants), config.share)


def _can_be_asked(tally: FailureTally, cell: QuestionCell, config: DemandConfig) -> bool:
    return tally.attempts[cell] >= config.min_attempts and cell.kind in get_args(Kind)


def _rate(tally: FailureTally, cell: QuestionCell, config: DemandConfig) -> float:
    weighed = sum(config.weight(cause) * count for cause, count in tally.failed(cell).items())
    return weighed / tally.attempts[cell]


def _why(tally: FailureTally, cell: QuestionCell) -> str:
    causes = ", ".join(f"{cause} {count}" for cause, count in tally.failed(cell).items())
    return f"{causes} of {tally.attempts[cell]} attempts"
