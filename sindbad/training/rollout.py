"""Asynchronous rollouts: N episodes in flight against the services, never in lockstep.

Invariants: a step returns exactly ``groups`` complete groups of ``group_size`` trajectories; every trajectory id counts
once, also across a kill and resume; a group that cannot be completed is abandoned as a whole, counted, and re-drawn
with another question. Whatever ends :meth:`RolloutCollector.collect` (result, error, cancellation), no task is left.

A bad rollout is data and comes back as a trajectory. What fails here is the platform: a lost server, a time-out.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from sindbad.agent.trajectory import Trajectory
from sindbad.errors import DeadlineExceeded, InvalidInput, NoModel, SindbadError, Unavailable
from sindbad.questions.question import Question
from sindbad.training.journal import RolloutJournal, Seal

LONGEST_PAUSE_SECONDS = 5.0


class RolloutConfig(BaseModel):
    """How a step's episodes are run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: int = Field(default=16, gt=0)
    """Questions a step."""
    group_size: int = Field(default=8, gt=0)
    """Attempts at each question (G)."""
    in_flight: int = Field(default=64, gt=0)
    """Episodes running at once; a finished one is replaced at once."""
    deadline_seconds: float = Field(default=120.0, gt=0)
    """Longest one attempt at one episode may take."""
    timeouts: int = Field(default=2, ge=0)
    """How often an episode that passed its deadline is started again."""
    patience_seconds: float = Field(default=180.0, ge=0)
    """How long an episode keeps retrying while the platform is away (a server restarting)."""
    redraws: int = Field(default=16, ge=0)
    """Groups that may be given up and re-drawn in one step before the step itself fails."""
    seed: int = 0
    """Seeds of all episodes derive from this and their id."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One episode to run. ``min_version``: oldest weights that may sample it. ``seed`` is the same on a retry.

    ``step`` is the learner's step whose rollouts it belongs to.
    """

    trajectory_id: str
    group_id: str
    question: Question
    seed: int
    min_version: int = 0
    step: int = 0


class Episode(Protocol):
    """Runs and judges one attempt. Returns with ids of the ticket and a reward; raises only platform failures."""

    async def __call__(self, ticket: Ticket) -> Trajectory: ...


class QuestionSource(Protocol):
    """Where a step's questions come from: a list, or the curator's moving pool."""

    def draw(self, step: int, index: int) -> Question:
        """The question of group ``index`` of ``step``; indices past the step's size are asked for when re-drawing."""
        ...

    def observe(self, step: int, trajectories: Sequence[Trajectory]) -> None:
        """Told of every finished step, once, before its checkpoint."""
        ...

    def state(self) -> dict[str, Any]:
        """JSON-ready state, saved in the learner's checkpoint."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state`."""
        ...


class ListQuestions:
    """A fixed list, each epoch in a fresh order; without state of its own."""

    def __init__(self, questions: Sequence[Question], groups: int, *, seed: int = 0) -> None:
        if not questions:
            raise InvalidInput("there are no questions to roll out")
        self._questions = list(questions)
        self._groups = groups
        self._seed = seed

    def draw(self, step: int, index: int) -> Question:
        """Consecutive steps walk through the list; re-draws (index >= groups) pick at random."""
        size = len(self._questions)
        if index >= self._groups:
            return self._questions[random.Random(f"{self._seed}:redraw:{step}:{index}").randrange(size)]
        epoch, position = divmod(step * self._groups + index, size)
        order = list(range(size))
        random.Random(f"{self._seed}:{epoch}").shuffle(order)
        return self._questions[order[position]]

    def observe(self, step: int, trajectories: Sequence[Trajectory]) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


@dataclass(slots=True)
class RolloutBatch:
    """A finished step's rollouts: ``trajectories`` by group index, then member."""

    trajectories: list[Trajectory] = field(default_factory=list)
    resumed: int = 0
    retried: int = 0
    timed_out: int = 0
    redrawn: int = 0
    seconds: float = 0.0


def episode_seed(seed: int, trajectory_id: str) -> int:
    """A 31-bit seed, a pure function of run seed and trajectory id."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{trajectory_id}".encode()).digest()[:4], "big") >> 1


class RolloutCollector:
    """Collects one step at a time; see the module's invariants.

    Args:
        stage: prefix of ids ("rl_sim"): unique within a run.
        journals: folder of the per-step journals.
        seal: makes them unreadable, for questions that must not lie on a disk in the clear.
    """

    def __init__(
        self,
        episode: Episode,
        questions: QuestionSource,
        config: RolloutConfig,
        *,
        stage: str,
        journals: Path,
        seal: Seal | None = None,
    ) -> None:
        self._episode = episode
        self._questions = questions
        self._config = config
        self._stage = stage
        self._journals = journals
        self._seal = seal

    def journal_path(self, step: int) -> Path:
        """The journal of one step."""
        return self._journals / f"step-{step:08d}.jsonl"

    async def collect(self, step: int, *, version: int = 0, min_version: int = 0) -> RolloutBatch:
        """Run (or finish) the rollouts of ``step``.

        Args:
            version: number of the weights that they will train. Episodes finished while the same weights had another
                number come back renumbered.
            min_version: oldest weights that may sample them.

        Raises:
            Unavailable: more than ``redraws`` groups could not be completed.
            Whatever is no SindbadError: a bug in an episode ends the step.
        """
        with _opened(self.journal_path(step), self._seal) as journal:
            journal.train_at(version)
            return await _Collection(self, step, min_version, journal).run()

    def forget(self, before_step: int) -> None:
        """Delete journals of steps that a checkpoint already covers."""
        for path in sorted(self._journals.glob("step-*.jsonl")):
            if int(path.stem.removeprefix("step-")) < before_step:
                path.unlink()


@contextmanager
def _opened(path: Path, seal: Seal | None) -> Iterator[RolloutJournal]:
    journal = RolloutJournal(path, seal)
    try:
        yield journal
        journal.sync()
    finally:
        journal.close()


def _failed(task: asyncio.Task[Trajectory]) -> bool:
    return task.cancelled() or task.exception() is not None


class _Collection:
    """One call of collect: a loop over finished tasks; the only place that starts or cancels one."""

    def __init__(self, collector: RolloutCollector, step: int, min_version: int, journal: RolloutJournal) -> None:
        self._episode = collector._episode
        self._questions = collector._questions
        self._config = collector._config
        self._prefix = f"{collector._stage}-{step:06d}"
        self._step = step
        self._min_version = min_version
        self._journal = journal
        self._pending: deque[tuple[int, Ticket]] = deque()
        self._running: dict[asyncio.Task[Trajectory], tuple[int, Ticket]] = {}
        self._batch = RolloutBatch(resumed=len(journal.trajectories), redrawn=len(journal.abandoned))

    async def run(self) -> RolloutBatch:
        started = time.perf_counter()
        self._open_groups()
        try:
            while self._pending or self._running:
                self._fill()
                done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=_failed):  # what was finished is journalled before a failure ends the step
                    self._settle(task)
        finally:
            for task in [task for task in self._running if task.done() and not _failed(task)]:
                self._settle(task)
            await self._cancel(list(self._running))
        self._batch.trajectories = self._complete()
        self._batch.seconds = time.perf_counter() - started
        return self._batch

    def _open_groups(self) -> None:
        for index in sorted(self._journal.groups):
            if index not in self._journal.abandoned:
                self._enqueue(index, self._journal.groups[index])
        for index in range(self._config.groups):
            if index not in self._journal.groups:
                self._open(index)
        while self._live() < self._config.groups:
            self._open(max(self._journal.groups) + 1)

    def _live(self) -> int:
        return len(self._journal.groups.keys() - self._journal.abandoned)

    def _open(self, index: int) -> None:
        question = self._questions.draw(self._step, index)
        self._journal.open_group(index, question)
        self._enqueue(index, question)

    def _enqueue(self, index: int, question: Question) -> None:
        group_id = f"{self._prefix}-{index:06d}"
        for member in range(self._config.group_size):
            name = f"{group_id}-{member:03d}"
            if name not in self._journal.trajectories:
                seed = episode_seed(self._config.seed, name)
                self._pending.append((index, Ticket(name, group_id, question, seed, self._min_version, self._step)))

    def _fill(self) -> None:
        while self._pending and len(self._running) < self._config.in_flight:
            index, ticket = self._pending.popleft()
            self._running[asyncio.create_task(self._attempts(ticket), name=ticket.trajectory_id)] = (index, ticket)

    async def _attempts(self, ticket: Ticket) -> Trajectory:
        """Run one episode until it finishes, its time-outs are used up, or patience ends."""
        started, failures, timeouts = time.monotonic(), 0, 0
        while True:
            try:
                async with asyncio.timeout(self._config.deadline_seconds):
                    return await self._episode(ticket)
            except (TimeoutError, DeadlineExceeded) as error:
                timeouts += 1
                self._batch.timed_out += 1
                if timeouts > self._config.timeouts:
                    raise DeadlineExceeded(f"{ticket.trajectory_id} passed its deadline {timeouts} times") from error
            except SindbadError as error:
                passing = error.retryable or isinstance(error, NoModel)  # a restarting replica has no model yet
                if not passing or time.monotonic() - started > self._config.patience_seconds:
                    raise
                self._batch.retried += 1
                failures += 1
                await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, 0.05 * 2.0 ** min(failures, 30)))

    def _settle(self, task: asyncio.Task[Trajectory]) -> None:
        index, ticket = self._running.pop(task)
        if index in self._journal.abandoned:
            if not task.cancelled():
                task.exception()
            return
        try:
            trajectory = task.result()
        except SindbadError as error:
            self._abandon(index, ticket.group_id, error)
            return
        if trajectory.trajectory_id != ticket.trajectory_id or trajectory.group_id != ticket.group_id:
            raise InvalidInput(f"the episode of {ticket.trajectory_id} came back as {trajectory.trajectory_id}")
        self._journal.finish(trajectory)

    def _abandon(self, index: int, group_id: str, error: SindbadError) -> None:
        failed = len(self._journal.abandoned) + 1
        if failed > self._config.redraws:  # not journalled: started again, the step gives this group another chance
            raise Unavailable(
                f"{failed} groups of {self._prefix} failed, the last with {error.reason} "
                f"({error.message}); look at that side before training on"
            ) from error
        self._journal.abandon(index, group_id, f"{error.reason}: {error.message}")
        self._batch.redrawn += 1
        self._pending = deque(item for item in self._pending if item[0] != index)
        for task, (other, _) in self._running.items():
            if other == index:
                task.cancel()
        self._open(max(self._journal.groups) + 1)

    async def _cancel(self, tasks: list[asyncio.Task[Trajectory]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    def _complete(self) -> list[Trajectory]:
        return [self._journal.trajectories[name] for name in sorted(self._journal.trajectories)]
