"""Samples all of D with intermediate checkpoints while training goes on (TDR §3.4.3 in papers.md §2a).

:class:`BackgroundPlan` is pure: a purse of attempts that training's own attempts fill, the weight version that is
served, and which questions are in hand. :class:`BackgroundSampler` is the one task around it.

Invariants: training never waits for it: it runs in a task of its own, awaits nothing that training holds, never has
more than ``in_flight`` attempts running nor makes more than ``share`` of training's attempts; whatever goes wrong in it
(a lost server, a slow one, a bug) ends or pauses the sampler and nothing else. A question's outcome is recorded once
all its attempts are judged, under the oldest weights that sampled any of them; what a killed sampler had in hand was
not recorded, and is sampled again. When it is left (end, error, cancellation) no task of it remains.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sindbad.agent.trajectory import Trajectory
from sindbad.curation.aside import Aside
from sindbad.curation.curator import Curator
from sindbad.curation.outcomes import oldest_weights, outcomes_of
from sindbad.curation.state import UNMEASURED
from sindbad.errors import SindbadError
from sindbad.questions.question import Question
from sindbad.training.rollout import Episode, Ticket, episode_seed

CARRIED_STEPS = 4
"""Steps whose share may be saved up: a sampler that was held up does not flood the policy service afterwards."""
LONGEST_PAUSE_SECONDS = 60.0


class BackgroundConfig(BaseModel):
    """How much of the policy service the background may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=4, ge=2)
    """Rollouts a question."""
    share: float = Field(default=0.25, gt=0.0, le=4.0)
    """Background attempts for every attempt of training, at most."""
    in_flight: int = Field(default=8, ge=1)
    """Background attempts running at once, beside training's own."""
    deadline_seconds: float = Field(default=120.0, gt=0.0)
    """Longest one attempt may take; the question is then given up until newer weights are served."""
    pause_seconds: float = Field(default=1.0, gt=0.0)
    """First pause after a failure; it doubles with every further one, up to a minute."""


@dataclass(slots=True)
class BackgroundCounts:
    """What the sampler did so far."""

    questions: int = 0
    attempts: int = 0
    failed: int = 0


@dataclass(slots=True)
class BackgroundPlan:
    """What to sample next; no clock, no task.

    Attributes:
        purse: attempts that may still be made now; never above what ``CARRIED_STEPS`` steps bring in.
        version: weights that are served; nothing is sampled before there are any.
        held: question -> the version that it counts as measured with, because it is in hand or was given up.
    """

    config: BackgroundConfig
    purse: float = 0.0
    version: int = UNMEASURED
    held: dict[str, int] = field(default_factory=dict)
    in_hand: set[str] = field(default_factory=set)

    def grant(self, attempts: int) -> None:
        """Training made so many attempts; their share may be made in the background."""
        income = self.config.share * attempts
        most = max(CARRIED_STEPS * income, float(self.config.attempts))
        self.purse = min(self.purse + income, max(self.purse, most))

    def served(self, version: int) -> None:
        """Newer weights are served: what was given up under older ones is tried again."""
        self.version = max(version, self.version)
        self.held = {name: held for name, held in self.held.items() if name in self.in_hand or held >= self.version}

    @property
    def at_once(self) -> int:
        """Questions in hand at once: as many as fill ``in_flight`` with their attempts."""
        return max(1, self.config.in_flight // self.config.attempts)

    def affords(self) -> bool:
        """Whether another question may be begun."""
        return self.version >= 0 and self.purse >= self.config.attempts and len(self.in_hand) < self.at_once

    def begin(self, question_id: str) -> None:
        """A question's attempts are started and paid for."""
        self.purse -= self.config.attempts
        self.held[question_id] = self.version
        self.in_hand.add(question_id)

    def end(self, question_id: str, *, measured: bool) -> None:
        """Its attempts are over: measured (the curator knows), or given up until newer weights are served."""
        self.in_hand.discard(question_id)
        if measured:
            self.held.pop(question_id, None)


class BackgroundSampler(Aside):
    """The task around a plan; use as an async context manager around training.

    Args:
        episode: one judged attempt, as training makes them.
        question: a question of D by its id.
        stage: prefix of trajectory ids, unique within a run; attempts' seeds derive from them and ``seed``.
        keep: gets a question's attempts before its outcome is recorded (called in a thread).
        say: gets a line when the sampler has to stop.
    """

    doing: ClassVar[str] = "background sampling"

    def __init__(
        self,
        episode: Episode,
        curator: Curator,
        question: Callable[[str], Question],
        config: BackgroundConfig,
        *,
        stage: str,
        seed: int = 0,
        keep: Callable[[Sequence[Trajectory]], None] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(say)
        self._episode, self._curator, self._question, self._config = episode, curator, question, config
        self._stage, self._seed, self._keep = stage, seed, keep
        self._gate = asyncio.Semaphore(config.in_flight)
        self._wake = asyncio.Event()
        self._failures = 0
        self.plan = BackgroundPlan(config)
        self.counts = BackgroundCounts()

    # ---- what training tells; returns at once
    def grant(self, attempts: int) -> None:
        """A step of training made so many attempts."""
        self.plan.grant(attempts)
        self._stir()

    def served(self, version: int) -> None:
        """The policy service has loaded these weights."""
        self.plan.served(version)
        self._stir()

    def _stir(self) -> None:
        woken, self._wake = self._wake, asyncio.Event()
        woken.set()

    # ---- the task
    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.plan.at_once):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            name = await self._next()
            measured = False
            try:
                measured = await self._measure(name, self.plan.version)
            finally:
                self.plan.end(name, measured=measured)
            if not measured:
                await asyncio.sleep(
                    min(LONGEST_PAUSE_SECONDS, self._config.pause_seconds * 2.0 ** min(self._failures - 1, 30))
                )

    async def _next(self) -> str:
        """The next question, paid for; waits until there is one and it can be afforded."""
        while True:
            wake = self._wake
            if self.plan.affords():
                found = self._curator.background_candidates(1, version=self.plan.version, skip=self.plan.held)
                if found:
                    self.plan.begin(found[0])
                    return found[0]
            await wake.wait()

    async def _measure(self, name: str, version: int) -> bool:
        """All attempts at one question, kept and recorded; False where the platform failed one of them."""
        attempts: list[asyncio.Task[Trajectory]] = []
        lost = False
        try:
            async with asyncio.TaskGroup() as group:
                attempts += [group.create_task(self._attempt(name, version, k)) for k in range(self._config.attempts)]
        except* (SindbadError, TimeoutError):
            lost = True
        if lost:
            self.counts.failed += 1
            self._failures += 1
            return False
        made = [attempt.result() for attempt in attempts]
        if self._keep is not None:
            await asyncio.to_thread(self._keep, made)
        self._record(made)
        return True

    async def _attempt(self, name: str, version: int, number: int) -> Trajectory:
        group = f"{self._stage}-background-{version:06d}-{name}"
        trajectory_id = f"{group}-{number:03d}"
        seed = episode_seed(self._seed, trajectory_id)
        async with self._gate, asyncio.timeout(self._config.deadline_seconds):
            return await self._episode(Ticket(trajectory_id, group, self._question(name), seed, version))

    def _record(self, made: Sequence[Trajectory]) -> None:
        self._curator.observe_background(outcomes_of(made), version=max(0, oldest_weights(made)))
        self._failures = 0
        self.counts.questions += 1
        self.counts.attempts += len(made)

    def figures(self) -> Mapping[str, int | str]:
        """For progress lines and results."""
        counts = self.counts
        figures: dict[str, int | str] = {"questions": counts.questions, "attempts": counts.attempts}
        return (
            figures
            | ({"failed": counts.failed} if counts.failed else {})
            | ({"fault": self.fault} if self.fault else {})
        )
