"""Targeted synthesis while training goes on: at every refresh, ask the generator for more of what fails.

Invariants: like background sampling it is one task that training never waits for, and whatever goes wrong in it ends
with a line and no new questions. New questions join D by one journal event, so a kill loses or repeats none of them:
their ids follow from the number of the change, and a question that joined once never joins again. What was counted and
what was asked for outlive a kill as well (:mod:`sindbad.curation.standing`): a demand that was being met is met again.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sindbad.agent.trajectory import Trajectory
from sindbad.curation.aside import Aside
from sindbad.curation.curator import Curator
from sindbad.curation.feedback import DemandConfig, demand_of
from sindbad.curation.standing import Standing
from sindbad.errors import SindbadError
from sindbad.questions.demand import Demand
from sindbad.questions.mixture import SynthesisConfig
from sindbad.questions.question import Question

WAITING_STEPS = 8
"""Steps whose attempts may wait to be counted; where counting lags further behind, the oldest are not counted."""
Generator = Callable[[Demand, int], Sequence[Question]]
"""(demand, seed) -> questions of the training split; called in a thread."""


class AskingConfig(BaseModel):
    """How many questions a refresh asks for, and of what kinds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: int = Field(default=40, ge=1)
    """New questions at every refresh, at most."""
    demand: DemandConfig = DemandConfig()
    """How failures become a demand."""
    seed: int = Field(default=0, ge=0)
    """Of walks and choices."""


class TargetedConfig(AskingConfig):
    """Made of many small graphs, as in the demo."""

    worlds: int = Field(default=4, ge=1)
    """Graphs that are asked at one refresh, in turn over all."""
    synthesis: SynthesisConfig = SynthesisConfig(questions=20)
    """What is made of one graph; the demand is laid over its mix."""


class TargetedSynthesis(Aside):
    """Counts failures since the last demand; every refresh of the curator starts one synthesis.

    A thread that still generates when the block is left ends by itself, unheard.

    Args:
        kept: file of what was counted and asked for; None: in memory alone, which a kill loses.
    """

    doing: ClassVar[str] = "targeted synthesis"

    def __init__(
        self,
        curator: Curator,
        question: Callable[[str], Question],
        generate: Generator,
        config: AskingConfig,
        *,
        kept: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(say)
        self._curator, self._question, self._generate, self._config = curator, question, generate, config
        self._kept, self._asked = kept, False
        self._steps: deque[Sequence[Trajectory]] = deque(maxlen=WAITING_STEPS)
        self._wake = asyncio.Event()
        found = Standing.read(kept) if kept is not None else None
        self._standing = found or Standing(self._last_refresh())
        self._seen = self._standing.answered
        if kept is not None and found is None:
            self._standing.save(kept)

    def _last_refresh(self) -> int:
        change = self._curator.state.last_change
        return change.number if change is not None else -1

    def observe(self, trajectories: Sequence[Trajectory]) -> None:
        """Take in a step's judged attempts, and look whether the curator refreshed. Returns at once."""
        self._steps.append(trajectories)
        change = self._curator.state.last_change
        if change is not None and change.kind == "refresh" and change.number > self._seen:
            self._seen, self._asked = change.number, True
        self._wake.set()

    async def _run(self) -> None:
        await self._meet()
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._count()
            if self._asked:
                self._asked = False
                await self._synthesise()

    async def _count(self) -> None:
        while self._steps:
            told, now = self._steps.popleft(), self._standing
            step = [item for item in told if item.reward is not None and item.trajectory_id not in now.counted]
            if step:
                questions = {item.question_id: self._question(item.question_id) for item in step}
                await asyncio.to_thread(now.tally.add_all, step, questions)
                now.counted = frozenset(item.trajectory_id for item in told)
                await self._keep()

    async def _keep(self) -> None:
        if self._kept is not None:
            await asyncio.to_thread(self._standing.save, self._kept)

    async def _synthesise(self) -> None:
        demand = demand_of(self._standing.tally, self._config.demand)
        pending = demand if demand.wants else None
        self._standing = Standing(self._seen, counted=self._standing.counted, pending=pending)
        await self._keep()
        await self._meet()

    async def _meet(self) -> None:
        """Meet the demand that is pending, if one is: of this refresh, or of one that a kill came after."""
        if self._standing.pending is None:
            return
        if not self._has_joined(self._standing.answered):
            await self._ask(self._standing.pending, self._standing.answered)
        self._standing.pending = None
        await self._keep()

    def _has_joined(self, number: int) -> bool:
        """Whether questions of this change did: the journal of D was written, and no more was."""
        records = self._curator.state.extended.values()
        return any(record["question_id"].startswith(_prefix(record["world_id"], number)) for record in records)

    async def _ask(self, demand: Demand, number: int) -> None:
        try:
            made = await asyncio.to_thread(self._generate, demand, self._config.seed + number)
        except SindbadError as error:  # slow, or out of memory or disk: the next refresh may fare better
            self._say(f"no new questions this time: {error.message}")
            return
        known = {self._question(name).text for name in self._curator.state.pool}
        new = named_anew(chosen(made, known, self._config.questions, self._config.seed + number), number)
        joined = self._curator.extend(new, reason="synthesis", details={"demand": demand.to_record()})
        self._say(f"{joined} new questions joined D, asked for by {len(demand.wants)} kinds of failures")


def chosen(made: Sequence[Question], known: Iterable[str], most: int, seed: int) -> list[Question]:
    """At most ``most`` questions that are not worded like a known one, drawn by seed; all languages of a form stay."""
    texts = set(known)
    forms: dict[str, list[Question]] = {}
    for question in made:
        forms.setdefault(_form(question), []).append(question)
    fresh = [form for form in forms.values() if not any(question.text in texts for question in form)]
    random.Random(f"targeted:{seed}").shuffle(fresh)
    kept: list[Question] = []
    for form in fresh:
        if len(kept) + len(form) <= most:
            kept += form
    return kept


def named_anew(questions: Iterable[Question], number: int) -> list[Question]:
    """The questions under ids of change ``number`` ("w1000-s3-q0007-en"): a generator counts from 0 every time."""
    return [replace(item, question_id=_renamed(item, number)) for item in questions]


def _renamed(question: Question, number: int) -> str:
    rest = question.question_id.removeprefix(f"{question.world_id}-")
    return f"{_prefix(question.world_id, number)}{rest}"


def _prefix(world_id: str, number: int) -> str:
    return f"{world_id}-s{number}-"


def _form(question: Question) -> str:
    """Questions of one logical form share their id up to the language."""
    return question.question_id.rsplit("-", 1)[0]
