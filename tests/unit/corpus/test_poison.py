"""One row never ends a job: what an engine refuses, or does not answer in time, is that row's rejection. An engine that
answers nobody does end it, and what was done is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sindbad.clients.openai import ChatCompletions
from sindbad.corpus.examiners import (
    EndpointJudge,
    Examiner,
    JudgeExaminer,
    QualityExaminer,
    RoundTrip,
    RoundTripSettings,
)
from sindbad.corpus.filters import Pair, Score
from sindbad.corpus.job import local_store
from sindbad.corpus.ledger import Attempt
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.translate import kept, translate_corpus
from sindbad.corpus.translators import Outcome
from sindbad.corpus.waterfall import measure
from sindbad.corpus.worker import Worker, prepare
from sindbad.errors import DeadlineExceeded, EngineFailure, InvalidInput, Unavailable
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import Translation
from tests.unit.clients.test_openai import Answer, endpoint, said, settings
from tests.unit.corpus.jobs import FAST, Perfect, job, records
from tests.unit.translation.scripted import into_arabic

POISON = records(5)[2]
ASKED = POISON.messages[0].content


class Slow(Perfect):
    """Is too slow for some records, and counts how often."""

    def __init__(self, slow: Callable[[str], bool]) -> None:
        super().__init__()
        self.slow, self.missed = slow, 0

    async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        if self.slow(record.record_id):
            self.missed += 1
            raise DeadlineExceeded("no answer within 600 s")
        return await super().translate(record, glossary, seed)


class Short:
    """An estimator that reads only so much."""

    name, licence = "kiwi", "apache-2.0"

    async def estimate(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        if any(source == ASKED for source, _ in pairs):
            raise InvalidInput("a segment is longer than the 512 tokens that kiwi reads")
        return [0.9] * len(pairs)


class Limited:
    """A way back whose service takes only so many characters."""

    async def translate(
        self, texts: Sequence[str], *, source: str = "en", target: str = "ar", glossary: Glossary | None = None
    ) -> list[Translation]:
        if into_arabic(ASKED) in texts:
            raise InvalidInput("a text has at most 100 characters")
        return [Translation("Something.", True) for _ in texts]


class Strict:
    """A judge's server that refuses a request, or does not answer it."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        if ASKED in prompt:
            raise self.error
        return "accept"


def why(one: Any, record: InstructionRecord) -> Attempt:
    """The last attempt at a record."""
    with one.ledger() as ledger:
        attempts: list[Attempt] = ledger.why(record.record_id)
    return attempts[-1]


@pytest.mark.parametrize(
    ("examiner", "reason", "detail"),
    [
        (RoundTrip(Limited(), RoundTripSettings(chrf_min=0.0)), "refused",
         "round_trip: a text has at most 100 characters"),
        (QualityExaminer(Short(), 0.5), "refused", "quality: a segment is longer than the 512 tokens that kiwi reads"),
        (JudgeExaminer(EndpointJudge(Strict(InvalidInput("http://x answered 400: too long"))), "judge:qwen"), "refused",
         "judge: http://x answered 400: too long"),
        (JudgeExaminer(EndpointJudge(Strict(DeadlineExceeded("late")))), "deadline", "judge: late"),
    ],
)  # fmt: skip
async def test_a_row_that_an_examiner_cannot_be_asked_about_is_its_rejection_and_the_others_are_kept(
    tmp_path: Path, examiner: Examiner, reason: str, detail: str
) -> None:
    one = job(local_store(tmp_path), examiners=(examiner.name,))
    done = await translate_corpus(one, records(5), Perfect(), settings=FAST, examiners=[examiner])
    assert (done.kept, done.dropped) == (4, {reason: 1})
    attempt = why(one, POISON)
    assert (attempt.stage, attempt.reason, attempt.detail) == ("examine", reason, detail)
    name = detail.split(":")[0]
    assert {score.name: score.reason for score in attempt.filters}[name] == f"{reason}: {detail}"
    assert name not in attempt.scores  # a refusal is no number
    assert name in why(one, records(1)[0]).scores
    assert [step.name for step in measure(one).steps] == [reason]
    assert (await translate_corpus(one, records(5), Perfect(), settings=FAST, examiners=[examiner])).kept == 4


@pytest.mark.parametrize(
    "body", [{"choices": [{"message": {"content": None}}]}, {"choices": [{"message": {"content": [1]}}]},
             {"choices": []}, {"error": {"message": "no"}}]
)  # fmt: skip
async def test_a_judges_reply_without_text_is_unparsable_and_so_a_rejection(tmp_path: Path, body: Any) -> None:
    one = job(local_store(tmp_path), examiners=("judge",))
    rows, answers = records(3), list[Answer]([said("accept"), (200, body), said("accept")])
    one_by_one = FAST.model_copy(update={"in_flight": 1})
    async with endpoint(*answers) as (url, _), ChatCompletions(settings(url)) as model:
        judge = JudgeExaminer(EndpointJudge(model))
        done = await translate_corpus(one, rows, Perfect(), settings=one_by_one, examiners=[judge])
    assert (done.kept, done.dropped) == (2, {"judge": 1})
    (attempt,) = [found for row in rows if not (found := why(one, row)).accepted]
    assert (attempt.reason, attempt.scores["judge"]) == ("judge", 0.0)
    assert attempt.detail.startswith("unparsable")


async def test_a_judge_that_is_no_endpoint_at_all_ends_the_job(tmp_path: Path) -> None:
    one = job(local_store(tmp_path), examiners=("judge",))
    async with endpoint((200, "<html>")) as (url, _), ChatCompletions(settings(url)) as model:
        with pytest.raises(EngineFailure, match="not JSON"):
            await translate_corpus(
                one, records(3), Perfect(), settings=FAST, examiners=[JudgeExaminer(EndpointJudge(model))]
            )


async def test_a_row_slower_than_the_deadline_is_rejected_and_tried_again_by_the_next_run(tmp_path: Path) -> None:
    one, slow = job(local_store(tmp_path)), Slow(lambda record_id: record_id == POISON.record_id)
    done = await translate_corpus(one, records(5), slow, settings=FAST)
    assert (done.kept, done.dropped, slow.missed) == (4, {"deadline": 1}, 1)
    attempt = why(one, POISON)
    assert (attempt.stage, attempt.reason, attempt.detail) == ("translate", "deadline", "no answer within 600 s")
    again = Slow(lambda record_id: record_id == POISON.record_id)  # a round of nothing else, and it ends as well
    assert (await translate_corpus(one, records(5), again, settings=FAST)).dropped == {"deadline": 1}
    assert (await translate_corpus(one, records(5), Perfect(), settings=FAST)).kept == 5


async def test_many_slow_rows_among_others_that_are_answered_are_no_dead_engine(tmp_path: Path) -> None:
    slow = {record.record_id for record in records(20)[::2]}
    hurried = FAST.model_copy(update={"in_flight": 2, "engine_patience_seconds": 0.001})
    done = await translate_corpus(job(local_store(tmp_path)), records(20), Slow(slow.__contains__), settings=hurried)
    assert (done.kept, done.dropped) == (10, {"deadline": 10})


async def test_an_engine_that_answers_nobody_in_time_ends_the_job_and_costs_no_more_rows_than_were_in_flight(
    tmp_path: Path,
) -> None:
    one, dead = job(local_store(tmp_path)), Slow(lambda record_id: True)
    hurried = FAST.model_copy(update={"in_flight": 3, "engine_patience_seconds": 0.3})
    with pytest.raises(Unavailable, match="the translator answers nobody in time: no answer within 600 s"):
        await translate_corpus(one, records(12), dead, settings=hurried)
    with one.ledger() as ledger:
        assert ledger.counts() == {"deadline": 3}
    assert dead.missed > 6  # those after them were asked again, for as long as there was patience
    model = Perfect()
    assert (await translate_corpus(one, records(12), model, settings=FAST)).kept == 9  # the round that was begun
    assert (await translate_corpus(one, records(12), model, settings=FAST)).kept == 12


async def test_an_engine_that_hangs_for_a_while_costs_only_what_was_in_flight(tmp_path: Path) -> None:
    hanging = Slow(lambda record_id: hanging.missed < 9)
    short = FAST.model_copy(update={"in_flight": 3})
    done = await translate_corpus(job(local_store(tmp_path)), records(12), hanging, settings=short)
    assert (done.kept, done.dropped) == (9, {"deadline": 3})


async def test_a_judge_that_hangs_ends_the_job_although_the_translator_answers(tmp_path: Path) -> None:
    class Hanging:
        name: str = "judge"
        licences: tuple[str, ...] = ()

        async def score(self, pairs: Sequence[Pair]) -> list[Score]:
            raise DeadlineExceeded("no verdict within 120 s")

    one = job(local_store(tmp_path), examiners=("judge",))
    hurried = FAST.model_copy(update={"in_flight": 3, "engine_patience_seconds": 0.3})
    with pytest.raises(Unavailable, match="judge answers nobody"):
        await translate_corpus(one, records(20), Perfect(), settings=hurried, examiners=[Hanging()])
    with one.ledger() as ledger:
        assert ledger.counts() == {"deadline": 3}


async def test_a_batch_that_is_being_written_when_a_worker_ends_is_there_when_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, writing, go_on = job(local_store(tmp_path)), threading.Event(), threading.Event()
    write = one.write_part

    def slowly(*args: Any) -> None:
        writing.set()
        go_on.wait(10)
        write(*args)

    class Dying(Perfect):
        async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
            if len(self.asked) < 3:
                return await super().translate(record, glossary, seed)
            await asyncio.to_thread(writing.wait, 10)
            asyncio.get_running_loop().call_later(0.2, go_on.set)
            raise EngineFailure("died")

    monkeypatch.setattr(one, "write_part", slowly)
    patient = FAST.model_copy(update={"in_flight": 1, "part_rows": 3})
    current = await prepare(one, lambda: records(4), settings=patient)
    assert current is not None
    with pytest.raises(EngineFailure):
        await Worker(one, Dying(), settings=patient.model_copy(update={"part_rows": 99})).run(current)
    assert len(one.attempted(current, 0)) == 3
    assert len(list(kept(one))) == 3
