"""A worker: claims shards of a round, keeps an engine busy with their rows, and commits attempts in small batches.

The next shard is claimed and read as soon as every row of the last one is on its way, however many shards still wait
for a slow row: the engine never drains at a shard's end, nor in a round that asks for few rows of many shards. What a
kill loses is what was in flight and fewer than two unwritten batches; whoever claims the shard next asks for exactly
those rows again. A row that an engine calls invalid, or does not answer in time while it answers others, is a rejected
attempt, the translator's engine and the examiners' alike; an engine that is away is waited for; one that fails ends the
worker, because an engine that died does not come back by being asked again.

A row on which an examiner has no verdict waits, unwritten, for what the examiner says of the next ones: a verdict, or
the end of the rows, makes it the rejection that it is; ``silent_rows`` in succession end the worker, and leave them
unjudged. So does whatever else interrupts a judgement, short of a kill (which loses what waits, too): a translation
that is there is not lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import platform
import re
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sindbad.corpus.examiners import Examiner, NoVerdict
from sindbad.corpus.filters import Pair, Score, Verdict, judge_all, judged_parts
from sindbad.corpus.job import GlossaryOf, Job, Round, Todo, no_glossary
from sindbad.corpus.leases import Lease, LeaseBook
from sindbad.corpus.ledger import UNJUDGED, Attempt, unjudged
from sindbad.corpus.records import InstructionRecord, Message
from sindbad.corpus.silence import SILENT_ROWS, Silence
from sindbad.corpus.translators import Outcome, RecordTranslator, kept_in, kept_notes
from sindbad.errors import DeadlineExceeded, InvalidInput, SindbadError, Unavailable
from sindbad.translation.glossary import Glossary

if TYPE_CHECKING:
    from sindbad.corpus.held import Held

log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")
Progress = Callable[[Attempt], None]
_TRANSLATOR = "the translator"


class WorkerSettings(BaseModel):
    """How a worker works."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    in_flight: int = Field(default=64, ge=1)
    """Records at the engine at once."""
    part_rows: int = Field(default=32, ge=1)
    """Attempts that are committed together."""
    part_seconds: float = Field(default=5.0, gt=0.0)
    """Longest an attempt waits to be committed."""
    lease_seconds: float = Field(default=60.0, gt=0.0)
    """How long a shard stays with a worker that says nothing."""
    engine_patience_seconds: float = Field(default=600.0, gt=0.0)
    """How long an engine may be away, or answer nobody in time, before the worker gives up."""
    silent_rows: int | None = Field(default=SILENT_ROWS, ge=1)
    """So many rows in succession on which an examiner has no verdict at all (refused, unparsable, no way back) end the
    worker: such a model is the wrong one. Rows that it rejects are verdicts. Null: never."""
    poll_seconds: float = Field(default=1.0, gt=0.0)
    """Pause between looks at shards that others hold."""


@dataclass(slots=True)
class Tally:
    """What one worker did."""

    attempts: int = 0
    accepted: int = 0
    generations: int = 0
    output_tokens: int = 0
    shards: int = 0
    lost_leases: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, attempt: Attempt) -> None:
        """Count one attempt."""
        self.attempts += 1
        self.accepted += attempt.accepted
        self.generations += attempt.generations
        self.output_tokens += attempt.output_tokens
        if attempt.reason:
            self.reasons[attempt.reason] += 1


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A row on which an examiner had no verdict; ``attempt`` rejects it."""

    examiner: str
    todo: Todo
    attempt: Attempt


@dataclass(slots=True)
class _Open:
    """A shard in work. ``settled``: none of its rows is in doubt."""

    number: int
    lease: Lease
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    buffer: list[Attempt] = field(default_factory=list)
    oldest: float = 0.0
    parts: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    closing: asyncio.Task[None] | None = None
    lost: bool = False
    doubts: list[_Doubt] = field(default_factory=list)
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, attempt: Attempt) -> None:
        """It is to be written."""
        if not self.buffer:
            self.oldest = time.monotonic()
        self.buffer.append(attempt)

    def settle(self, examiner: str = "", *, judged: bool = True) -> None:
        """Doubts about the one examiner, or all, are rejections; or else translations that nobody has judged."""
        for doubt in [one for one in self.doubts if examiner in ("", one.examiner)]:
            self.doubts.remove(doubt)
            if judged:
                self.put(doubt.attempt)
            elif doubt.todo.again is None:
                self.put(unjudged(doubt.attempt, f"{doubt.examiner} had no verdict"))
        if not self.doubts:
            self.settled.set()


def worker_name() -> str:
    """Unique for every process that ever works."""
    return f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


class Worker:
    """Works on one round of a job until nothing of it is left, whoever finishes it.

    Args:
        progress: told every attempt when it is committed.
    """

    def __init__(
        self,
        job: Job,
        translator: RecordTranslator,
        *,
        name: str = "",
        settings: WorkerSettings | None = None,
        glossary_of: GlossaryOf = no_glossary,
        examiners: Sequence[Examiner] = (),
        progress: Progress | None = None,
    ) -> None:
        self.job, self.translator, self.name = job, translator, name or worker_name()
        self.settings, self.glossary_of = settings or WorkerSettings(), glossary_of
        self.examiners, self.progress, self.tally = tuple(examiners), progress, Tally()
        self._book = LeaseBook(job.store, self.name, ttl_seconds=self.settings.lease_seconds)
        self._book_lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(self.settings.in_flight)
        self._open: dict[int, _Open] = {}
        self._alive, self._waiting = time.monotonic(), False
        self._late: Counter[str] = Counter()  # by engine: rows in succession that had no answer in time
        self._silence = Silence(self.settings.silent_rows, setting="worker.silent_rows")
        self._failure: Exception | None = None

    async def run(self, current: Round) -> Tally:
        """Return once every shard of the round is sealed. Raises what ended the engine; leases are given back."""
        beating = asyncio.create_task(self._or_fail(self._beat, current))
        try:
            while True:
                self._raise_failure()
                claimed = await self._claim(current)
                if claimed is not None:
                    await self._start(current, claimed)
                elif not self._open and await asyncio.to_thread(self.job.finished, current):
                    return self.tally
                else:
                    await self._pause()
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            await self._abandon(current)

    # -- shards ----------------------------------------------------------------------------------------------------

    async def _claim(self, current: Round) -> _Open | None:
        """A shard that nobody works on; others' are looked at in turn, each worker from another place."""
        busy = sum(not shard.doubts for shard in self._open.values())
        if busy > self.settings.in_flight:  # each has a row in flight, or is being sealed
            return None
        done = await asyncio.to_thread(self.job.sealed, current)
        left = [number for number in current.shards if number not in done and number not in self._open]
        turn = hash(self.name) % max(1, len(left))
        for number in left[turn:] + left[:turn]:
            async with self._book_lock:
                lease = await asyncio.to_thread(self._book.claim, f"{current.name}-{number:05d}")
            if lease is None:
                continue
            if number in await asyncio.to_thread(self.job.sealed, current):  # its last holder sealed it meanwhile
                await asyncio.to_thread(self._book.release, lease)
                continue
            return self._open.setdefault(number, _Open(number, lease))
        if all(task.done() for shard in self._open.values() for task in shard.tasks):
            for shard in self._open.values():  # no row is left that an examiner could have a verdict on
                shard.settle()
        return None

    async def _start(self, current: Round, shard: _Open) -> None:
        """Put every row of the shard that has no attempt yet on its way."""
        rows = await asyncio.to_thread(self.job.todo, current, shard.number)
        done = await asyncio.to_thread(self.job.attempted, current, shard.number)
        translated = await asyncio.to_thread(self.job.unjudged, current, shard.number)
        for todo in rows:
            if todo.row in done:
                continue
            await self._slots.acquire()
            if self._failure is not None or shard.lost:
                self._slots.release()
                break
            asked = replace(todo, again=translated.get(todo.row, todo.again))
            task = asyncio.create_task(self._or_fail(self._row, current, shard, asked))
            task.add_done_callback(lambda _: self._slots.release())  # also of one that is cancelled before it begins
            shard.tasks.add(task)
        shard.closing = asyncio.create_task(self._or_fail(self._close, current, shard))

    async def _close(self, current: Round, shard: _Open) -> None:
        """Wait for the shard's rows, commit the rest, seal it."""
        await asyncio.gather(*shard.tasks, return_exceptions=True)
        if shard.doubts:
            await shard.settled.wait()
        await self._commit(current, shard)
        if self._failure is None and not shard.lost:
            await asyncio.to_thread(self.job.seal, current, shard.number)
            self.tally.shards += 1
        del self._open[shard.number]
        if not shard.lost:
            await asyncio.to_thread(self._book.release, shard.lease)

    async def _pause(self) -> None:
        closings = [shard.closing for shard in self._open.values() if shard.closing]
        if closings:
            await asyncio.wait(closings, timeout=self.settings.poll_seconds, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(self.settings.poll_seconds)

    async def _abandon(self, current: Round) -> None:
        """Stop what runs, commit what is finished, give the leases back."""
        for shard in list(self._open.values()):
            pending = [*shard.tasks, *([shard.closing] if shard.closing else [])]
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            shard.settle(judged=False)
            with contextlib.suppress(OSError, SindbadError):
                await self._commit(current, shard)
                if not shard.lost:
                    await asyncio.to_thread(self._book.release, shard.lease)
        self._open.clear()

    async def _beat(self, current: Round) -> None:
        """Keep the leases, and commit what has waited long enough."""
        pause = min(self.settings.lease_seconds / 4, self.settings.part_seconds)
        while True:
            await asyncio.sleep(pause)
            for shard in list(self._open.values()):
                async with self._book_lock:
                    beaten = await asyncio.to_thread(self._book.beat, shard.lease)
                if shard.buffer and time.monotonic() - shard.oldest > self.settings.part_seconds:
                    await self._commit(current, shard)
                if beaten is None:
                    self._lose(shard)
                else:
                    shard.lease = beaten

    def _lose(self, shard: _Open) -> None:
        """Somebody thought that we were dead: what is finished is committed, the rest is theirs."""
        if not shard.lost:
            shard.lost = True
            self.tally.lost_leases += 1
            for task in shard.tasks:
                task.cancel()
            shard.settle(judged=False)

    async def _or_fail(self, work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do what nobody awaits: whatever ends it, other than being cancelled, ends the worker."""
        try:
            await work(*args, **kwargs)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        for shard in self._open.values():
            for task in shard.tasks:
                task.cancel()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    # -- rows ------------------------------------------------------------------------------------------------------

    async def _row(self, current: Round, shard: _Open, todo: Todo) -> None:
        attempt, silent = await self._attempt(current, shard, todo)
        if silent:
            shard.settled.clear()
            shard.doubts.append(_Doubt(silent, todo, attempt))
            return
        shard.put(attempt)
        if len(shard.buffer) >= self.settings.part_rows:
            await self._commit(current, shard)
        while sum(len(one.buffer) for one in self._open.values()) >= 2 * self.settings.part_rows:
            await self._commit(current, max(self._open.values(), key=lambda one: len(one.buffer)))

    async def _commit(self, current: Round, shard: _Open) -> None:
        async with shard.lock:
            batch, shard.buffer = shard.buffer, []
            if not batch:
                return
            shard.parts += 1
            name = f"{shard.lease.epoch:06d}-{self.name}-{shard.parts:05d}"
            writing = asyncio.ensure_future(asyncio.to_thread(self.job.write_part, current, shard.number, name, batch))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait([writing])  # it is written all the same: whoever comes next must find it
                raise
            except Exception:
                shard.buffer = batch + shard.buffer  # tried once more when the shard is given up
                raise
            for attempt in batch:
                self.tally.add(attempt)
                if self.progress is not None:
                    self.progress(attempt)

    async def _attempt(self, current: Round, shard: _Open, todo: Todo) -> tuple[Attempt, str]:
        """Translate (unless only the filters changed), judge, and say all about it; and who had no verdict."""
        started, glossary = time.monotonic(), self.glossary_of(todo.record)
        if todo.again is not None:
            said = tuple(message.content for message in todo.again.messages)
            outcome = Outcome(said, kept=kept_in(todo.again.notes, len(said)))
        else:
            outcome = await self._translated(todo.record, glossary, current.number - 1)
        verdict, stage, silent = Verdict(outcome.reason, ()), "translate", ""
        if not outcome.reason:
            try:
                verdict, stage, silent = await self._judged(self._pairs(todo.record, outcome, glossary))
            except BaseException as error:
                if todo.again is None:
                    unheard, seconds = Verdict(UNJUDGED, ()), time.monotonic() - started
                    written = self._written(current, shard, todo, outcome, unheard, "examine", seconds)
                    shard.put(unjudged(written, f"interrupted by {type(error).__name__}"))
                raise
        return self._written(current, shard, todo, outcome, verdict, stage, time.monotonic() - started), silent

    def _pairs(self, record: InstructionRecord, outcome: Outcome, glossary: Glossary | None) -> list[Pair]:
        identity, texts = self.job.spec.identity, outcome.contents
        found = []
        for number, (message, text) in enumerate(zip(record.messages, texts, strict=True)):
            after = record.messages[number + 1 : number + 2] if message.role == "user" else ()
            replied = bool(after) and after[0].role == "assistant"
            reply = (texts[number + 1], after[0].content) if replied else ("", "")
            kept = outcome.kept[number] if outcome.kept else ()
            found.append(Pair(message.content, text, identity.source, identity.target, glossary, *reply, kept=kept))
        return found

    async def _judged(self, pairs: Sequence[Pair]) -> tuple[Verdict, str, str]:
        """The rules' verdict, and the models' on what the rules keep; the first rejection spares the rest. Beside it
        what decided, and the examiner that had no verdict."""
        verdict = judge_all(pairs, self.job.spec.filters)
        if verdict.reason:
            return verdict, "filter", ""
        scores, parts = list(verdict.scores), judged_parts(pairs)
        for examiner in self.examiners if parts else ():
            found = await self._examined(examiner, parts)
            heard = self._heard(examiner.name, found)
            scores.append(_worst(found))
            if scores[-1].reason:
                return Verdict(scores[-1].reason, tuple(scores)), "examine", "" if heard else examiner.name
        return Verdict("", tuple(scores)), "filter", ""

    def _heard(self, examiner: str, scores: Sequence[Score]) -> bool:
        """False where a row waits, because the examiner had no verdict on it. Raises EngineFailure/NO_VERDICTS."""
        if all(isinstance(score, NoVerdict) for score in scores):
            self._silence.missed(examiner, scores[-1].reason)
            return self.settings.silent_rows is None
        if not all(math.isnan(score.value) for score in scores):  # neither late, nor without a word to say
            self._silence.heard(examiner)
            for shard in self._open.values():
                shard.settle(examiner)
        return True

    async def _examined(self, examiner: Examiner, parts: Sequence[Pair]) -> list[Score]:
        """An examiner's scores; a row that it cannot be asked about is its rejection, with NaN for a score."""
        name = re.split(r"\W", examiner.name, maxsplit=1)[0]  # "quality:kiwi>=0.5" scores "quality"
        try:
            return await self._patiently(partial(examiner.score, parts), examiner.name)
        except InvalidInput as error:
            return [NoVerdict(name, math.nan, f"refused: {name}: {error.message}")]
        except DeadlineExceeded as error:
            return [Score(name, math.nan, f"deadline: {name}: {error.message}")]

    async def _translated(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        try:
            return await self._patiently(lambda: self.translator.translate(record, glossary, seed), _TRANSLATOR)
        except InvalidInput as error:  # one row that cannot be asked must not end a job
            return Outcome((), f"refused: {error.message}")
        except DeadlineExceeded as error:
            return Outcome((), f"deadline: {error.message}")

    async def _patiently(self, ask: Callable[[], Awaitable[T]], engine: str) -> T:
        """The answer; while the engine is away, ask again, until nobody had an answer for the whole patience.

        Raises DeadlineExceeded for a slow row. One missed deadline looks alike for a slow row and for an engine that
        hangs; but a slow row is slow among others that are answered. So a row is only slow as long as there were not
        more misses in a row than requests can be in flight: every request that shared the engine with an answered one
        has then missed too. From there on the engine counts as away, and the row is asked again as for any that is.
        """
        pause = 0.1
        while True:
            try:
                answer = await ask()
            except DeadlineExceeded as error:
                self._late[engine] += 1
                if self._late[engine] <= self.settings.in_flight:
                    raise
                self._keep_waiting(Unavailable(f"{engine} answers nobody in time: {error.message}"))
            except SindbadError as error:
                self._keep_waiting(error)
            else:
                self._alive, self._waiting, self._late[engine] = time.monotonic(), False, 0
                return answer
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 2)

    def _keep_waiting(self, error: SindbadError) -> None:
        """Raise ``error`` where its engine does not come back by waiting, or has been waited for long enough."""
        away = time.monotonic() - self._alive
        if not error.retryable or away > self.settings.engine_patience_seconds:
            raise error
        if not self._waiting:
            log.warning("waiting up to %g s: %s", self.settings.engine_patience_seconds, error.message)
        self._waiting = True

    def _written(
        self, current: Round, shard: _Open, todo: Todo, outcome: Outcome, verdict: Verdict, stage: str, seconds: float
    ) -> Attempt:
        identity, record, again = self.job.spec.identity, todo.record, todo.again
        other = again if again is not None and again.model != identity.model else None  # taken over: it stays theirs
        owed = other.licences if other else identity.owed
        name, _, detail = verdict.reason.partition(":")
        return Attempt(
            key=todo.key,
            record_id=record.record_id,
            row=todo.row,
            accepted=verdict.keep,
            stage=stage,
            reason=name.strip(),
            detail=detail.strip() or _bounds(verdict.scores),
            before=record.messages,
            messages=tuple(Message(m.role, text) for m, text in zip(record.messages, outcome.contents, strict=False)),
            finish_reason=outcome.finish_reason,
            generations=outcome.generations,
            prompt_tokens=outcome.prompt_tokens,
            output_tokens=outcome.output_tokens,
            differences=tuple(dict.fromkeys(one.difference for one in outcome.segments if one.difference)),
            repairs=tuple(dict.fromkeys(name for one in outcome.segments for name in one.repairs)),
            notes=(*outcome.notes, *kept_notes(outcome.kept)),
            filters=verdict.scores,
            segments=outcome.segments,
            source=record.provenance.source,
            source_id=record.provenance.source_id,
            licences=tuple(dict.fromkeys((*record.provenance.licences, *owed))),
            model=other.model if other else identity.model,
            model_version=other.model_version if other else outcome.model_version,
            masker=other.masker if other else identity.masker,
            judging=self.job.spec.judging_id,
            round=current.number,
            shard=shard.number,
            epoch=shard.lease.epoch,
            worker=self.name,
            seconds=seconds,
        )


def _worst(scores: Sequence[Score]) -> Score:
    return next((score for score in scores if score.reason), min(scores, key=lambda score: score.value))


def _bounds(scores: Sequence[Score]) -> str:
    failing = next((score for score in scores if score.reason), None)
    return f"{failing.value:.3g} outside {failing.low:.3g} to {failing.high:.3g}" if failing else ""


# -- from records to a round -------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _held(book: LeaseBook, name: str, poll_seconds: float) -> AsyncIterator[Lease]:
    """Hold a lease, waiting for it; it is kept alive meanwhile."""
    while (lease := await asyncio.to_thread(book.claim, name)) is None:  # noqa: ASYNC110 - others are on other machines
        await asyncio.sleep(poll_seconds)

    async def keep(held: Lease) -> None:
        while True:
            await asyncio.sleep(book.ttl_seconds / 4)
            beaten = await asyncio.to_thread(book.beat, held)
            if beaten is None:
                return
            held = beaten

    beating = asyncio.create_task(keep(lease))
    try:
        yield lease
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await asyncio.to_thread(book.release, lease)


async def prepare(
    job: Job,
    records: Callable[[], Iterable[InstructionRecord]],
    *,
    glossary_of: GlossaryOf = no_glossary,
    held: Callable[[], Held | None] = lambda: None,
    retry_failed: bool = True,
    settings: WorkerSettings | None = None,
) -> Round | None:
    """The round to work on: the unfinished one of this spec, or the next; None when every row has its answer.

    ``records`` and ``held`` are called once, by whichever worker writes the plan.
    """
    chosen = settings or WorkerSettings()
    book = LeaseBook(job.store, worker_name(), ttl_seconds=chosen.lease_seconds)
    if not await asyncio.to_thread(job.planned):
        async with _held(book, f"plan-{job.spec.plan_id}", chosen.poll_seconds):
            if not await asyncio.to_thread(job.planned):
                await asyncio.to_thread(lambda: job.plan(records(), glossary_of, held()))
    current = await asyncio.to_thread(job.current)
    if current is not None and not await asyncio.to_thread(job.finished, current):
        return current
    return await asyncio.to_thread(lambda: job.begin_round(retry_failed=retry_failed))
