"""An examiner without a verdict on anything ends a worker and rejects nobody; one row without a verdict is rejected."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sindbad.cli import corpus
from sindbad.cli.corpus import app
from sindbad.corpus import local
from sindbad.corpus.examiners import EndpointJudge, Examiner, JudgeExaminer, QualityExaminer, RoundTrip
from sindbad.corpus.explain import explanation
from sindbad.corpus.job import Job, local_store
from sindbad.corpus.leases import Lease
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.silence import NO_VERDICTS, SILENT_EXIT, SILENT_ROWS
from sindbad.corpus.translate import kept, report, translate_corpus
from sindbad.corpus.translators import Outcome
from sindbad.corpus.worker import Tally, Worker, WorkerSettings, prepare
from sindbad.errors import EngineFailure, InvalidInput, NotFound, PermissionRefused, SindbadError, Unavailable
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import Translation
from tests.unit.corpus.jobs import FAST, Perfect, job, records

ROWS = records(20)
FIVE = FAST.model_copy(update={"silent_rows": 5, "in_flight": 1})


class Model:
    """A judge's model that says what a function says to the n-th question."""

    def __init__(self, say: Callable[[int], str]) -> None:
        self.say, self.asked = say, 0

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        self.asked += 1
        return self.say(self.asked)


class Refusing:
    """An estimator that refuses, or has no number for, whatever it is shown."""

    name, licence = "kiwi", "apache-2.0"

    def __init__(self, number: float | None = None) -> None:
        self.number = number

    async def estimate(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        if self.number is None:
            raise InvalidInput("a segment is longer than the 4 tokens that kiwi reads")
        return [self.number] * len(pairs)


class Rejected:
    """A way back whose model answers nothing that can be used."""

    async def translate(
        self, texts: Sequence[str], *, source: str = "en", target: str = "ar", glossary: Glossary | None = None
    ) -> list[Translation]:
        return [Translation("", False, "empty") for _ in texts]


def judge(say: Callable[[int], str]) -> JudgeExaminer:
    return JudgeExaminer(EndpointJudge(Model(say)), "judge")


def row_of(question: int) -> int:
    """Each row has two messages."""
    return (question + 1) // 2


async def run(
    one: Job, examiner: Examiner, settings: WorkerSettings = FIVE, model: Perfect | None = None, rows: int = len(ROWS)
) -> dict[str, int]:
    """One round; reason -> rows, "" for the kept."""
    done = await translate_corpus(one, ROWS[:rows], model or Perfect(), examiners=[examiner], settings=settings)
    return {"": done.kept, **done.dropped}


def counts(one: Job) -> dict[str, int]:
    with one.ledger() as ledger:
        return ledger.counts()


@pytest.mark.parametrize(
    ("examiner", "said"),
    [
        (judge(lambda n: "Okay, the user wants"), "judge: unparsable: 'Okay, the user wants'"),
        (judge(lambda n: ""), "judge: unparsable: ''"),
        (QualityExaminer(Refusing(), 0.5), "a segment is longer than the 4 tokens that kiwi reads"),
        (QualityExaminer(Refusing(float("nan")), 0.5), "kiwi gives NaN for a segment"),
        (RoundTrip(Rejected()), "no way back: empty"),
    ],
)  # fmt: skip
async def test_an_examiner_without_any_verdict_ends_the_worker_and_no_row_is_rejected_or_paid_for_twice(
    tmp_path: Path, examiner: Examiner, said: str
) -> None:
    one, model = job(local_store(tmp_path), examiners=("an examiner",)), Perfect()
    expected = f"{re.escape(examiner.name)} had no verdict on 5 rows in succession, lastly: .*{re.escape(said)}"
    with pytest.raises(EngineFailure, match=expected) as failure:
        await run(one, examiner, model=model)
    assert failure.value.reason == NO_VERDICTS
    assert "worker.silent_rows" in failure.value.message
    assert counts(one) == {}
    assert len(model.asked) == 5
    assert report(one).dropped == {"not_attempted": len(ROWS) - 5, "unjudged": 5}
    with one.ledger() as ledger:
        (attempt,) = ledger.why(model.asked[0])
    assert next(explanation([attempt])).endswith("NOT JUDGED YET (" + examiner.name + " had no verdict)")
    good = judge(lambda n: "accept")
    assert await run(one, good, model=model) == {"": len(ROWS)}  # the same round: nothing waits for another
    assert len(one.rounds()) == 1
    assert sorted(model.asked) == sorted(row.record_id for row in ROWS)


async def test_another_examiner_judges_what_the_silent_one_left_and_nothing_is_translated_again(tmp_path: Path) -> None:
    model = Perfect()
    for _ in range(2):
        with pytest.raises(EngineFailure):
            await run(job(local_store(tmp_path), examiners=("judge:wrong",)), judge(lambda n: "?"), model=model)
    right = job(local_store(tmp_path), examiners=("judge:right",))
    assert await run(right, judge(lambda n: "accept"), model=model) == {"": len(ROWS)}
    assert sorted(model.asked) == sorted(row.record_id for row in ROWS)


async def test_the_default_is_the_one_that_is_documented(tmp_path: Path) -> None:
    one = job(local_store(tmp_path), examiners=("judge",))
    rows, busy = records(SILENT_ROWS + 20), FAST.model_copy(update={"in_flight": 4})
    for _ in range(2):  # resumed, and no wiser
        with pytest.raises(EngineFailure, match=f"{SILENT_ROWS} rows in succession"):
            await translate_corpus(one, rows, Perfect(), examiners=[judge(lambda n: "?")], settings=busy)
        assert counts(one) == {}
    assert str(SILENT_ROWS) in (Path(__file__).parents[3] / "docs/corpus.md").read_text("utf-8")


@pytest.mark.parametrize("in_flight", [1, 8])
async def test_rows_that_are_rejected_are_verdicts(tmp_path: Path, in_flight: int) -> None:
    one = job(local_store(tmp_path), examiners=("judge",))
    settings = FIVE.model_copy(update={"in_flight": in_flight})
    assert await run(one, judge(lambda n: "reject"), settings) == {"": 0, "judge": 20}


@pytest.mark.parametrize("in_flight", [1, 8])
@pytest.mark.parametrize("shard_rows", [1, 64])
async def test_fewer_in_succession_are_rejections_wherever_shards_end(
    tmp_path: Path, shard_rows: int, in_flight: int
) -> None:
    one = job(local_store(tmp_path), examiners=("judge",), shard_rows=shard_rows)
    settings = FIVE.model_copy(update={"in_flight": in_flight})
    seen = await run(one, judge(lambda n: "Well." if row_of(n) % 5 else "accept"), settings)
    assert seen == {"": 4, "judge": 16}
    with one.ledger() as ledger:
        (row,) = ledger.rows("SELECT count(*) AS n FROM attempts WHERE reason = 'judge' AND stage = 'examine'")
    assert row["n"] == 16


async def test_one_verdict_on_any_of_its_messages_is_one_on_a_row(tmp_path: Path) -> None:
    one = job(local_store(tmp_path), examiners=("judge",))
    assert await run(one, judge(lambda n: "Well." if n % 2 else "accept")) == {"": 0, "judge": 20}


async def test_a_job_that_ends_before_there_are_enough_rejects_what_has_no_verdict(tmp_path: Path) -> None:
    one = job(local_store(tmp_path), examiners=("judge",))
    assert await run(one, judge(lambda n: ""), rows=4) == {"": 0, "judge": 4}


async def test_without_a_limit_every_row_is_rejected(tmp_path: Path) -> None:
    one = job(local_store(tmp_path), examiners=("judge",))
    settings = FIVE.model_copy(update={"silent_rows": None})
    assert await run(one, judge(lambda n: ""), settings) == {"": 0, "judge": 20}


async def test_a_judgement_that_is_interrupted_costs_no_translation(tmp_path: Path) -> None:
    class Hanging(Model):
        async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
            self.asked += 1
            await asyncio.sleep(3600)
            raise AssertionError

    one, model, hanging = job(local_store(tmp_path), examiners=("judge",)), Perfect(), Hanging(str)
    current = await prepare(one, lambda: ROWS, settings=FAST)
    assert current is not None
    worker = Worker(one, model, settings=FAST, examiners=[JudgeExaminer(EndpointJudge(hanging))])
    working = asyncio.create_task(worker.run(current))
    async with asyncio.timeout(20):
        while hanging.asked < FAST.in_flight:  # noqa: ASYNC110 - the judge is asked by a task of the worker
            await asyncio.sleep(0.002)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert len(model.asked) == FAST.in_flight
    assert await run(one, judge(lambda n: "accept"), FAST, model) == {"": len(ROWS)}
    assert len(model.asked) == len(ROWS) == len(list(kept(one)))


async def test_rows_in_doubt_are_left_to_the_next_holder_of_a_shard_that_is_lost(tmp_path: Path) -> None:
    class Stuck(Perfect):
        async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
            if len(self.asked) == 2:
                self.asked.append(record.record_id)
                await asyncio.sleep(3600)
            return await super().translate(record, glossary, seed)

    one, model = job(local_store(tmp_path), examiners=("judge",), shard_rows=4), Stuck()
    short = FIVE.model_copy(update={"lease_seconds": 0.4})
    current = await prepare(one, lambda: ROWS[:4], settings=short)
    assert current is not None
    silent_twice = judge(lambda n: "" if row_of(n) <= 2 else "accept")
    worker = Worker(one, model, settings=short, examiners=[silent_twice])
    beat, lost = worker._book.beat, list[Lease]()

    def taken(lease: Lease) -> Lease | None:
        if len(model.asked) < 3 or lost:
            return beat(lease)
        lost.append(lease)
        return None

    worker._book.beat = taken  # type: ignore[method-assign]
    async with asyncio.timeout(30):
        tally = await worker.run(current)
    assert (tally.lost_leases, tally.accepted) == (1, 4)
    assert sorted(Counter(model.asked).values()) == [1, 1, 1, 2]  # only what was in flight is asked for again


async def test_a_worker_process_that_ended_so_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    async def worker(url: str, round_number: int, storage: str, name: str) -> int:
        begun.append(round_number)
        return SILENT_EXIT

    monkeypatch.setattr(local, "_worker", worker)
    with pytest.raises(EngineFailure, match="has no verdicts") as failure:
        await local.run_workers("job", 7, 1)
    assert (failure.value.reason, begun) == (NO_VERDICTS, [7])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineFailure("this is why", reason=NO_VERDICTS), SILENT_EXIT),
        (EngineFailure("this is why"), 1),
        (Unavailable("this is why"), 1),
        (PermissionRefused("this is why"), local.LASTING_EXIT),
        (NotFound("this is why"), local.LASTING_EXIT),
    ],
)
def test_a_worker_process_says_by_its_exit_code_whether_another_would_find_the_same(
    monkeypatch: pytest.MonkeyPatch, error: SindbadError, code: int
) -> None:
    async def join(url: str, round_number: int, storage: str, name: str) -> Tally:
        raise error

    monkeypatch.setattr(corpus, "join", join)
    done = CliRunner().invoke(app, ["work", "job"])
    assert done.exit_code == code
    assert f"this is why [{error.reason}]" in done.output
