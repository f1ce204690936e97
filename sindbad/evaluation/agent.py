"""Ask an agent N questions and say how often it was right, with an interval and every outcome.

The rollouts are the trainer's own (:mod:`sindbad.training.rollout`): asynchronous, journalled, resumable. Paradigm,
context limit and temperature are the agent's configuration; a comparison evaluates two agents on the same questions and
pairs their outcomes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from sindbad.agent.react import PROMPT_TOO_LONG
from sindbad.agent.trajectory import EnvironmentKind, Termination, Trajectory
from sindbad.errors import InvalidInput
from sindbad.evaluation.metrics import Interval, paired_difference, rate_interval, unbiased_pass_at_k, wilson
from sindbad.evaluation.summary import StageSummary
from sindbad.judging.verdict import DecidedBy
from sindbad.questions.question import Question
from sindbad.training.journal import Seal
from sindbad.training.rollout import Episode, ListQuestions, RolloutCollector, RolloutConfig, Ticket


class EvaluationConfig(BaseModel):
    """How an evaluation is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=1, gt=0)
    """Attempts at each question."""
    in_flight: int = Field(default=64, gt=0)
    """Episodes running at once."""
    deadline_seconds: float = Field(default=120.0, gt=0)
    """Longest one attempt may take."""
    seed: int = 1
    """Seeds of all attempts derive from it."""


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """Attempts at one question, in order. ``correct`` and ``trajectories`` have equal length."""

    question: Question
    correct: tuple[bool, ...]
    trajectories: tuple[Trajectory, ...]

    @property
    def rate(self) -> float:
        """Share of correct attempts."""
        return fmean(self.correct)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Outcomes in the order of the questions asked. ``resumed``: attempts that an earlier call had finished."""

    outcomes: tuple[QuestionOutcome, ...]
    seconds: float
    resumed: int = 0

    @property
    def success(self) -> Interval:
        """Mean success; Wilson for single attempts, over questions for several (:func:`rate_interval`)."""
        if all(len(outcome.correct) == 1 for outcome in self.outcomes):
            return wilson(sum(outcome.correct[0] for outcome in self.outcomes), len(self.outcomes))
        return rate_interval(self.rates)

    @property
    def rates(self) -> list[float]:
        """Share of correct attempts by question."""
        return [outcome.rate for outcome in self.outcomes]

    def by(self, key: str) -> dict[str, float]:
        """Mean success by a field of the question: "language", "kind", "hops"."""
        cells: dict[str, list[float]] = defaultdict(list)
        for outcome in self.outcomes:
            cells[str(getattr(outcome.question, key))].append(outcome.rate)
        return {name: fmean(cells[name]) for name in sorted(cells)}

    def pass_at(self, k: int) -> float:
        """Unbiased pass@k over the attempts made."""
        return fmean(unbiased_pass_at_k(sum(o.correct), len(o.correct), k) for o in self.outcomes)

    def gain_over(self, other: Evaluation) -> Interval:
        """Paired difference to an evaluation of the same questions. Raises InvalidInput when they differ."""
        ours, theirs = ([o.question.question_id for o in e.outcomes] for e in (self, other))
        if ours != theirs:
            raise InvalidInput("only evaluations of the same questions in the same order can be paired")
        return paired_difference(self.rates, other.rates)

    def summary(self) -> StageSummary:
        """The stage's entry in ``summary.json``."""
        success = self.success
        return StageSummary(
            success=success.value, ci95=(success.low, success.high), questions=len(self.outcomes),
            by_language=self.by("language"),
        )  # fmt: skip


class _InOrder(ListQuestions):
    """Every question once, in the order given; there is none to draw instead of one that the platform loses."""

    def draw(self, step: int, index: int) -> Question:
        return self._questions[index]


async def evaluate_agent(
    episode: Episode,
    questions: Sequence[Question],
    config: EvaluationConfig,
    *,
    name: str,
    journals: Path,
    seal: Seal | None = None,
    on_attempt: Callable[[Trajectory], None] | None = None,
) -> Evaluation:
    """Ask every question ``config.attempts`` times; one that leaves no room for an answer is wrong for that reason.

    Args:
        episode: one judged attempt (:func:`sindbad.training.episode.agent_episode`).
        name: prefix of trajectory ids; attempts' seeds derive from it and config.seed.
        journals: folder where finished attempts are kept; asking again after a kill continues there, and asking for
            more attempts adds them.
        seal: makes the journals unreadable.
        on_attempt: told of every attempt that this call finishes.

    Raises:
        Unavailable: the platform could not complete a question: nothing is scored by leaving it out. What was finished
            is kept.
    """
    rollout = RolloutConfig(
        groups=len(questions), group_size=config.attempts, in_flight=config.in_flight,
        deadline_seconds=config.deadline_seconds, redraws=0, seed=config.seed,
    )  # fmt: skip
    scored = _scored(episode)
    collector = RolloutCollector(
        _told(scored, on_attempt) if on_attempt else scored, _InOrder(questions, len(questions)), rollout,
        stage=name, journals=journals / name, seal=seal,
    )  # fmt: skip
    batch = await collector.collect(0)
    groups: dict[str, list[Trajectory]] = {}
    for trajectory in batch.trajectories:
        groups.setdefault(trajectory.group_id, []).append(trajectory)
    kept = [group[: config.attempts] for group in groups.values()]
    outcomes = tuple(
        QuestionOutcome(question, tuple((item.reward or 0.0) > 0.5 for item in group), tuple(group))
        for question, group in zip(questions, kept, strict=True)
    )
    return Evaluation(outcomes, batch.seconds, batch.resumed)


def _scored(episode: Episode) -> Episode:
    """The episode; a question that leaves no room for an answer is one that the agent cannot answer."""

    async def run(ticket: Ticket) -> Trajectory:
        try:
            return await episode(ticket)
        except InvalidInput as error:
            if error.reason != PROMPT_TOO_LONG:
                raise
            return _unasked(ticket, EnvironmentKind(error.metadata["environment"]), error.message)

    return run


def _unasked(ticket: Ticket, environment: EnvironmentKind, reason: str) -> Trajectory:
    question = ticket.question
    return Trajectory(
        ticket.trajectory_id, question.question_id, ticket.group_id, environment, question.language, question.text,
        question.answer, reward=0.0, verdict=reason, verdict_by=DecidedBy.EXACT.value,
        termination=Termination.CONTEXT_EXHAUSTED, world_id=question.world_id, question_kind=question.kind,
    )  # fmt: skip


def _told(episode: Episode, on_attempt: Callable[[Trajectory], None]) -> Episode:
    async def run(ticket: Ticket) -> Trajectory:
        made = await episode(ticket)
        on_attempt(made)
        return made

    return run
