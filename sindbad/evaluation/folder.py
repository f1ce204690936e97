"""A finished evaluation on disk, and how one is run into its folder.

    identity.json        what was evaluated (sindbad.evaluation.identity); written first
    journal/…            finished attempts while it runs; sealed where the questions are protected
    attempts.parquet     one row an attempt: what all figures come from
    trajectories/        the attempts in full (Parquet); left out where the questions are protected
    figures.json         the figures, for programs
    report.md, report.html

Killed at any moment, the same call goes on where it was: a finished attempt is never made again, a larger number of
attempts adds to those there are. The figures' files are written last, each whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.agent import store
from sindbad.agent.trajectory import Trajectory
from sindbad.errors import InvalidInput
from sindbad.evaluation.agent import Evaluation, EvaluationConfig, evaluate_agent
from sindbad.evaluation.attempts import Attempt, attempt_of, read_attempts, write_attempts
from sindbad.evaluation.figures import Figures, figures_of
from sindbad.evaluation.identity import Identity
from sindbad.evaluation.sets.cipher import CanarySeal
from sindbad.evaluation.sets.question_set import CONTAMINATION, QuestionSet
from sindbad.training.rollout import Episode

ATTEMPTS, FIGURES, JOURNAL, TRAJECTORIES = "attempts.parquet", "figures.json", "journal", "trajectories"


@dataclass(frozen=True, slots=True)
class Result:
    """One evaluation: what it was, every attempt, and the figures."""

    folder: Path
    identity: Identity
    attempts: tuple[Attempt, ...]
    figures: Figures

    def to_record(self) -> dict[str, Any]:
        """JSON-ready: identity and figures."""
        note = {"contamination": CONTAMINATION} if self.identity.protected else {}
        return {"identity": self.identity.model_dump(mode="json"), "figures": self.figures.to_record(), **note}


async def run_evaluation(
    episode: Episode,
    questions: QuestionSet,
    config: EvaluationConfig,
    identity: Identity,
    folder: Path,
    *,
    keep_text: bool = False,
    on_attempt: Callable[[Trajectory], None] | None = None,
) -> Result:
    """Evaluate into ``folder``, or go on there.

    Args:
        keep_text: write the text of protected questions and all of their trajectories in the clear.

    Raises:
        InvalidInput: the folder holds another evaluation, or one with more attempts.
        Unavailable: the platform could not complete a question; what was finished is kept.
    """
    identity.claim(folder)
    _check_attempts(folder, config.attempts)
    seal = CanarySeal(questions.canary) if questions.protected else None
    found = await evaluate_agent(
        episode, questions.questions, config, name=identity.name, journals=folder / JOURNAL, seal=seal,
        on_attempt=on_attempt,
    )  # fmt: skip
    return write_result(folder, identity, found, text=keep_text or not questions.protected)


def write_result(folder: Path, identity: Identity, found: Evaluation, *, text: bool) -> Result:
    """Write tables, figures and, where ``text`` may be written, trajectories."""
    attempts = tuple(
        attempt_of(trajectory, outcome.question, number, text=text)
        for outcome in found.outcomes
        for number, trajectory in enumerate(outcome.trajectories)
    )
    identity.write(folder)
    if text:
        _store(folder / TRAJECTORIES, [one for outcome in found.outcomes for one in outcome.trajectories])
    write_attempts(folder / ATTEMPTS, attempts)
    result = Result(folder, identity, attempts, figures_of(attempts))
    atomic.write_json(folder / FIGURES, result.to_record())
    return result


def read_result(folder: Path) -> Result:
    """A finished evaluation; its figures are computed from its attempts. Raises NotFound or Corrupt."""
    attempts = tuple(read_attempts(folder / ATTEMPTS))
    return Result(folder, Identity.read(folder), attempts, figures_of(attempts))


def begin_anew(folder: Path) -> None:
    """Remove what an evaluation left in ``folder``, and nothing else. Raises InvalidInput where it is none's."""
    if not folder.exists():
        return
    if not (folder / "identity.json").is_file():
        raise InvalidInput(f"{folder} is no evaluation's folder; --fresh removes only those")
    for name in (JOURNAL, TRAJECTORIES):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (ATTEMPTS, FIGURES, "report.md", "report.html", "identity.json"):
        (folder / name).unlink(missing_ok=True)


def _check_attempts(folder: Path, attempts: int) -> None:
    path = folder / FIGURES
    made = json.loads(path.read_text("utf-8"))["figures"]["k"] if path.is_file() else 0
    if made > attempts:
        raise InvalidInput(f"{folder} has {made} attempts at each question; ask for at least as many, or use --fresh")


def _store(folder: Path, trajectories: Sequence[Trajectory]) -> None:
    """Append those that are not there yet."""
    known = store.stored_ids(folder)
    new = [item for item in trajectories if item.trajectory_id not in known]
    if new:
        store.append(folder, new)
