"""The loop around the learner: rollouts -> update -> checkpoint -> publish, one step at a time.

Invariants, for a process killed at any moment: the checkpoint of step s holds everything that step s changed, and is
written before its weights are published, so that a resumed run repeats no finished episode (journal), makes every
update once (checkpoint), leaves one metrics row a step, and publishes the version that its checkpoint names.

    collect step s with weights v -> update -> store trajectories -> metrics row -> checkpoint (s+1, v+1) -> publish v+1
    -> forget journal s

(A metrics row without its checkpoint is dropped on resume; a checkpoint without its publication is published then.
Where another stage has published to the store since, the learner's weights are published again under the next number,
and the journal's episodes are renumbered: no step is ever sampled with weights of another.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sindbad.agent.trajectory import Trajectory
from sindbad.training.checkpoint import latest_checkpoint, restore, save_checkpoint
from sindbad.training.configuration import GRPOConfig, RunPaths
from sindbad.training.grpo import GRPOLearner
from sindbad.training.metrics import MetricsLog
from sindbad.training.rollout import Episode, QuestionSource, RolloutBatch, RolloutCollector
from sindbad.training.subject import SUBJECT, check_subject, grpo_subject


class Publisher(Protocol):
    """Where versions go: :class:`sindbad.training.publish.StorePublisher` over a weight store."""

    def free(self) -> int:
        """The lowest number above every published version."""
        ...

    def serves(self, version: int) -> bool:
        """Whether ``version`` is what replicas follow now, and was published by this learner."""
        ...

    def place(self, version: int) -> int:
        """The number under which this learner's ``version`` can be published: higher when others took its place."""
        ...

    def publish(self, model: Any, version: int) -> Path:
        """Publish the model's weights as ``version`` (see place) and return the folder; once, however often called."""
        ...


@dataclass(slots=True)
class GRPOResult:
    """What a run did, attempts before a kill included."""

    steps: int
    version: int
    seconds: float
    resumed_from: int
    last: dict[str, float] = field(default_factory=dict)


OnStep = Callable[[int, int, dict[str, float]], None]
OnPublished = Callable[[int, Path], Awaitable[None]]
StoreTrajectories = Callable[[int, Sequence[Trajectory]], None]


async def run_grpo(
    config: GRPOConfig,
    model: Any,
    *,
    episode: Episode,
    questions: QuestionSource,
    publisher: Publisher,
    paths: RunPaths,
    stage: str,
    data: str = "",
    on_published: OnPublished | None = None,
    store_trajectories: StoreTrajectories | None = None,
    on_step: OnStep | None = None,
) -> GRPOResult:
    """Train ``model`` in place, resuming from ``paths.checkpoints`` when they hold one.

    Args:
        model: the starting policy; published as the store's next version if the run is fresh.
        episode: one attempt, judged; see :func:`sindbad.training.episode.agent_episode`.
        stage: prefix of all ids; unique within a run directory.
        data: names the questions (a digest); a run goes on with the same ones only.
        on_published: awaited after every publication (an engine in this process loads it; services watch the store),
            and when a run begins or resumes: it may hear of a version again, which a kill kept it from finishing with.
        store_trajectories: called before a step's checkpoint; replaces what an earlier call wrote for the step.
        on_step: progress: (steps done, steps in all, the step's metrics).

    Raises:
        InvalidInput: the checkpoints are of other settings, another starting policy or other questions.
    """
    run = _Run(config, model, episode, questions, publisher, paths, stage, data)
    run.on_published, run.store_trajectories, run.on_step = on_published, store_trajectories, on_step
    try:
        return await run.run()
    finally:
        await run.close()


class _Run:
    def __init__(
        self,
        config: GRPOConfig,
        model: Any,
        episode: Episode,
        questions: QuestionSource,
        publisher: Publisher,
        paths: RunPaths,
        stage: str,
        data: str,
    ) -> None:
        self.subject = grpo_subject(config, model, data)
        self.config, self.questions, self.publisher, self.paths = config, questions, publisher, paths
        self.learner = GRPOLearner(model, config)
        journals = paths.checkpoints / "journals"
        self.collector = RolloutCollector(episode, questions, config.rollout, stage=stage, journals=journals)
        self.log = MetricsLog(paths.metrics, tensorboard=paths.tensorboard)
        self.step, self.version, self.seconds, self._publish_seconds = 0, 0, 0.0, 0.0
        self.on_published: OnPublished | None = None
        self.store_trajectories: StoreTrajectories | None = None
        self.on_step: OnStep | None = None
        self._prefetched: asyncio.Task[RolloutBatch] | None = None

    async def run(self) -> GRPOResult:
        resumed = self._resume()
        await self._publish_anew()
        self.log.rewind(self.step)
        metrics: dict[str, float] = {}
        while self.step < self.config.steps and not self._out_of_time():
            metrics = await self._one_step()
        return GRPOResult(self.step, self.version, self.seconds, resumed, metrics)

    def _out_of_time(self) -> bool:
        return self.config.max_seconds is not None and self.seconds >= self.config.max_seconds

    def _resume(self) -> int:
        found = latest_checkpoint(self.paths.checkpoints)
        if found is None:
            self.version = self.publisher.free()
            self._checkpoint()
            return 0
        check_subject(found, self.subject)
        restore(found, self.learner.model, self.learner.optimizer)
        self.step, self.version, self.seconds = found.step, found.state["version"], found.state["seconds"]
        self.learner.optimiser_step = found.state["optimiser_step"]
        self.questions.restore(found.state["questions"])
        return self.step

    async def _publish_anew(self) -> None:
        """Publish what the checkpoint holds. What is served already is told again: nobody may have heard of it."""
        if not self.publisher.serves(self.version):
            self.version = self.publisher.place(self.version)
        await self._publish()

    async def _publish(self) -> None:
        started = time.perf_counter()
        folder = await asyncio.to_thread(self.publisher.publish, self.learner.model, self.version)
        if self.on_published is not None:
            await self.on_published(self.version, folder)
        self._publish_seconds = time.perf_counter() - started

    def _checkpoint(self) -> None:
        state = {
            "version": self.version, "seconds": self.seconds, "optimiser_step": self.learner.optimiser_step,
            "questions": self.questions.state(), SUBJECT: self.subject,
        }  # fmt: skip
        save_checkpoint(self.paths.checkpoints, self.step, self.learner.model, self.learner.optimizer, state)

    async def _collect(self) -> RolloutBatch:
        """This step's rollouts; with max_staleness > 0 the next step's start while this step's update runs."""
        if self._prefetched is None:
            return await self._rollouts(self.step, self.version)
        task, self._prefetched = self._prefetched, None
        return await task

    async def _rollouts(self, step: int, version: int) -> RolloutBatch:
        least = max(0, version - self.config.max_staleness)
        return await self.collector.collect(step, version=version, min_version=least)

    def _prefetch(self) -> None:
        if self.config.max_staleness > 0 and self.step + 1 < self.config.steps:
            self._prefetched = asyncio.create_task(self._rollouts(self.step + 1, self.version + 1))

    async def _one_step(self) -> dict[str, float]:
        started = time.perf_counter()
        batch = await self._collect()
        self._prefetch()
        waited = time.perf_counter() - started
        metrics = await asyncio.to_thread(self.learner.update, batch.trajectories, version=self.version, step=self.step)
        if self.store_trajectories is not None:
            self.store_trajectories(self.step, batch.trajectories)
        self.questions.observe(self.step, batch.trajectories)
        self.step, self.version = self.step + 1, self.version + 1
        metrics |= {
            "version": self.version, "resumed_episodes": batch.resumed, "retried_episodes": batch.retried,
            "timed_out_episodes": batch.timed_out, "redrawn_groups": batch.redrawn, "rollout_seconds": waited,
            "rollout_tokens_per_second": metrics["tokens"] / max(1e-9, batch.seconds),
            "publish_seconds": self._publish_seconds, "seconds": self.seconds + time.perf_counter() - started,
        }  # fmt: skip
        self.log.log(self.step, metrics)
        self.seconds = metrics["seconds"]
        self._checkpoint()
        await self._publish()
        self.seconds += self._publish_seconds
        self.collector.forget(self.step)
        if self.on_step is not None:
            self.on_step(self.step, self.config.steps, metrics)
        return metrics

    async def close(self) -> None:
        if self._prefetched is not None:
            self._prefetched.cancel()
            await asyncio.gather(self._prefetched, return_exceptions=True)
            self._prefetched = None
        self.log.close()
