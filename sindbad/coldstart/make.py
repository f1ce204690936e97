"""Teacher rollouts → rejection sampling → short thoughts → de-contamination, question by question, resumable.

Invariants: an attempt is made once, however often the run is killed (:class:`AttemptJournal`); what is kept is a
function of the attempts and the settings alone, in the order of the questions, whatever finished first; every question
and every attempt that is not kept is counted under one reason. At most ``in_flight`` questions are worked on at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig
from sindbad.agent.trajectory import Termination, Trajectory
from sindbad.coldstart.configuration import ColdStartSettings, ThoughtWriterKind
from sindbad.coldstart.decontamination import DecontaminationReport, Decontaminator
from sindbad.coldstart.filters import FilterCounts, reasons
from sindbad.coldstart.journal import Attempted, AttemptJournal
from sindbad.coldstart.retelling import DoesNotFit, retell
from sindbad.coldstart.teachers import Teacher, trajectory_id
from sindbad.coldstart.thoughts import Rewritten, ThoughtWriter, rewrite
from sindbad.errors import InvalidInput
from sindbad.questions.question import Question
from sindbad.tools.environment import ToolSpec

JOURNAL = "attempts.jsonl"
FINAL = frozenset({"UNKNOWN_KIND", "UNKNOWN_ENTITY"})
"""Reasons why a teacher refuses a question for good."""
MOST_MISSES = 5
"""Questions refused one after the other, before any attempt was made, that end a run."""


@dataclass(slots=True)
class Counts:
    """Where every question and every attempt went.

    Attributes:
        questions: given; ``asked``: those left by de-contamination; ``solved``: with at least one kept trajectory.
        refused: attempts that the teacher could not make, by reason.
        outcomes: "correct" or how an attempt ended.
        thoughts: thoughts by writer; ``thought_faults``: attempts given up because no good thought was found.
        kept: trajectories kept; ``segments``, ``trained_tokens``, ``tokens``: theirs.
    """

    questions: int = 0
    asked: int = 0
    solved: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    filters: FilterCounts = field(default_factory=FilterCounts)
    thoughts: dict[str, int] = field(default_factory=dict)
    thought_faults: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    segments: int = 0
    trained_tokens: int = 0
    tokens: int = 0
    decontamination: DecontaminationReport = field(default_factory=DecontaminationReport)

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything a run works with.

    Attributes:
        writer: of thoughts; not asked where the settings keep them unchecked.
        writer_name: names the writer and its model in the journal.
        config: the student's limits, under which rewritten attempts must fit.
    """

    teacher: Teacher
    writer: ThoughtWriter
    writer_name: str
    tokenizer: ChatTokenizer
    config: AgentConfig
    tools: Sequence[ToolSpec]
    settings: ColdStartSettings
    progress: Callable[[int, int, Counts], None] = lambda done, total, counts: None

    def journal_key(self) -> str:
        """What the attempts in a journal depend on."""
        about = {**self.teacher.identity(), "seed": str(self.settings.seed)}
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Made:
    """A finished run. The trajectories stay on disk: a set may be larger than memory.

    Attributes:
        kept: the kept attempts' keys in the journal, in the order of the questions.
    """

    counts: Counts
    kept: tuple[Attempted, ...]
    run: _Run

    def trajectories(self) -> Iterator[Trajectory]:
        """What was kept, one in memory at a time; while the journal is open."""
        for key in self.kept:
            made = self.run.journal.attempt(key)
            if not isinstance(made, Trajectory):
                raise AssertionError(f"{key.trajectory_id} was kept and is not in the journal")
            yield self.run.as_kept(made)


@dataclass(frozen=True, slots=True)
class _Size:
    attempt: Attempted
    segments: int
    tokens: int
    trained: int


@dataclass(slots=True)
class _Outcome:
    """One question, worked through: what is counted of every attempt, and the sizes of the kept ones."""

    refused: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    filters: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    kept: list[_Size] = field(default_factory=list)
    rewritten: list[Rewritten] = field(default_factory=list)


async def make(
    questions: Sequence[Question],
    tests: Sequence[Question],
    shop: Workshop,
    journal: AttemptJournal,
    *,
    protected: frozenset[str] = frozenset(),
) -> Made:
    """Attempt every question; kept attempts come in the order of the questions.

    Args:
        protected: ids of test questions whose text no report may show.

    Raises:
        InvalidInput: the sets overlap and may not.
        SindbadError: the platform failed; run it again, nothing is lost.
    """
    guard = Decontaminator(tests, shop.settings.decontamination, protected)
    counts = Counts(questions=len(questions), decontamination=guard.report)
    asked = guard.questions(questions)
    counts.asked = len(asked)
    run, kept = _Run(shop, journal, guard), dict[int, list[_Size]]()
    async for index, outcome in _worked(run, asked, shop.settings.in_flight):
        _count(counts, outcome)
        kept[index] = outcome.kept
        shop.progress(len(kept), len(asked), counts)
    journal.sync()
    return Made(counts, tuple(one.attempt for index in sorted(kept) for one in kept[index]), run)


async def _worked(run: _Run, asked: Sequence[Question], width: int) -> AsyncIterator[tuple[int, _Outcome]]:
    """(index, outcome) as they finish, ``width`` at a time. Whatever ends it, no task is left."""
    waiting: Iterator[tuple[int, Question]] = iter(enumerate(asked))
    running: dict[asyncio.Task[_Outcome], int] = {}
    try:
        while True:
            while len(running) < width and (following := next(waiting, None)) is not None:
                running[asyncio.create_task(run.question(following[1]))] = following[0]
            if not running:
                return
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield running.pop(task), task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Run:
    shop: Workshop
    journal: AttemptJournal
    guard: Decontaminator
    misses: list[InvalidInput] = field(default_factory=list)

    async def question(self, question: Question) -> _Outcome:
        outcome = _Outcome()
        for number in range(self.shop.settings.attempts):
            made = await self._attempt(question, number)
            if isinstance(made, str):
                outcome.refused.append(made)
                break
            why = reasons(made, self.shop.settings.filters)
            outcome.filters.append((made.trajectory_id, why))
            outcome.endings.append(_ending(made))
            if not why and (fit := await self._fitted(made, outcome)) is not None:
                sizes = len(fit.segments), sum(map(len, fit.segments)), fit.sampled_tokens
                outcome.kept.append(_Size(Attempted.of(made), *sizes))
            if len(outcome.kept) == self.shop.settings.keep:
                break
        return outcome

    async def _attempt(self, question: Question, number: int) -> Trajectory | str:
        """From the journal, or made now. A string says why it can't be made."""
        name = trajectory_id(self.shop.teacher.prefix, question, number)
        key = Attempted.at(name, question.text, question.answer)
        found = self.journal.attempt(key)
        if found is not None:
            return found
        try:
            made = await self.shop.teacher.attempt(question, number)
        except InvalidInput as error:
            if error.reason in FINAL:
                self.journal.refuse(key, error.reason)
            else:
                self._count_miss(error)
            return error.reason
        if Attempted.of(made) != key:
            raise AssertionError(
                f"asked for attempt {name} at {question.text!r}: {made.trajectory_id} {made.question!r}"
            )
        self.journal.add_attempt(made)
        return made

    def _count_miss(self, error: InvalidInput) -> None:
        """A question that a teacher can't be asked is data; a teacher that can't be asked anything is a wrong setting.

        Neither is written down: with other settings it may work.
        """
        self.misses.append(error)
        if self.journal.count == 0 and len(self.misses) >= MOST_MISSES:
            raise error

    async def _fitted(self, made: Trajectory, outcome: _Outcome) -> Trajectory | None:
        """With short thoughts, and quoting no test question; None where that is not to be had."""
        if self.guard.trajectory(made) is not None:
            return None
        if self.rewrites:
            new = await self._rewritten(made)
            outcome.rewritten.append(new)
            if new.fault:
                return None
        try:
            return self.as_kept(made)
        except DoesNotFit:
            outcome.rewritten[-1] = Rewritten((), (), "does_not_fit")
            return None

    @property
    def rewrites(self) -> bool:
        """Whether thoughts are written or checked at all."""
        settings = self.shop.settings.thoughts
        return settings.writer is not ThoughtWriterKind.KEEP or settings.check

    def as_kept(self, made: Trajectory) -> Trajectory:
        """The attempt with the thoughts that the journal holds for it. Raises DoesNotFit."""
        new = self.journal.rewritten(Attempted.of(made), self._writer()) if self.rewrites else None
        if new is None:
            return made
        return retell(made, self.shop.tokenizer, self.shop.config, self.shop.tools, new.thoughts)

    def _writer(self) -> str:
        return f"{self.shop.writer_name} {self.shop.settings.thoughts.model_dump_json()}"

    async def _rewritten(self, made: Trajectory) -> Rewritten:
        settings, key, by = self.shop.settings.thoughts, Attempted.of(made), self._writer()
        found = self.journal.rewritten(key, by)
        if found is None:
            found = await rewrite(made, self.shop.writer, self.shop.tokenizer, settings)
            self.journal.add_rewritten(key, by, found)
        return found


def _ending(made: Trajectory) -> str:
    if made.reward:
        return "correct"
    return "wrong answer" if made.termination is Termination.ANSWER else made.termination.value


def _count(counts: Counts, outcome: _Outcome) -> None:
    for why in outcome.refused:
        counts.refused[why] = counts.refused.get(why, 0) + 1
    for ending in outcome.endings:
        counts.outcomes[ending] = counts.outcomes.get(ending, 0) + 1
    for name, found in outcome.filters:
        counts.filters.add(name, found)
    for new in outcome.rewritten:
        for writer, number in Counter(new.writers).items():
            counts.thoughts[writer] = counts.thoughts.get(writer, 0) + number
        if new.fault:
            fault = new.fault.split(":")[0]
            counts.thought_faults[fault] = counts.thought_faults.get(fault, 0) + 1
    counts.solved += bool(outcome.kept)
    for kept in outcome.kept:
        counts.kept += 1
        counts.segments += kept.segments
        counts.tokens += kept.tokens
        counts.trained_tokens += kept.trained
