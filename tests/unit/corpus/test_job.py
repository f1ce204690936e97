"""A job: every row once, whoever dies; a second run pays only for what is missing; the ledger knows every attempt."""

from __future__ import annotations

import asyncio
import errno
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sindbad.corpus.duplicates import DuplicateSettings
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.job import Job, local_store
from sindbad.corpus.leases import LeaseBook
from sindbad.corpus.ledger import Attempt, part
from sindbad.corpus.records import InstructionRecord, Message, instruction
from sindbad.corpus.store import JobStore
from sindbad.corpus.translate import kept, planned, report, translate_corpus
from sindbad.corpus.translators import ByMessage, Outcome
from sindbad.corpus.worker import Worker, WorkerSettings, prepare
from sindbad.engines.protocol import SamplingParams, TokenChunk
from sindbad.errors import EngineFailure, InvalidInput, NotFound, Unavailable
from sindbad.translation.glossary import Glossary
from sindbad.translation.settings import TranslatorSettings
from sindbad.translation.translator import Translator
from tests.unit.corpus.jobs import FAST, IDENTITY, Perfect, job, records
from tests.unit.translation.scripted import Scripted, into_arabic, tokenizer


async def test_a_second_run_asks_nothing_and_gives_the_same_corpus(tmp_path: Path) -> None:
    one, first, second = job(local_store(tmp_path)), Perfect(), Perfect()
    done = await translate_corpus(one, records(10), first, settings=FAST)
    corpus = [row.translation for row in kept(one)]
    again = await translate_corpus(one, records(10), second, settings=FAST)
    assert (done.records, done.kept, len(first.asked)) == (10, 10, 10)
    assert (again.kept, second.asked) == (10, [])
    assert [row.translation for row in kept(one)] == corpus
    assert [record.record_id for record in corpus] == [record.record_id for record in records(10)]  # the source's order
    assert corpus[0].messages[0].content == into_arabic(records(1)[0].messages[0].content)


async def test_failed_rows_are_tried_again_and_both_attempts_stay_on_record(tmp_path: Path) -> None:
    one = job(local_store(tmp_path))
    lazy = Perfect(lambda text: "Bokadi was born in Diramo." if text.startswith("بوكادي ") else text)
    done = await translate_corpus(one, records(6), lazy, settings=FAST)
    assert (done.kept, done.dropped) == (5, {"untranslated": 1})
    model = Perfect()
    assert (await translate_corpus(one, records(6), model, settings=FAST)).kept == 6
    assert model.asked == [records(1)[0].record_id]
    with one.ledger() as ledger:
        attempts = ledger.why(records(1)[0].record_id)
    assert [(a.round, a.accepted, a.reason, a.stage) for a in attempts] == [
        (1, False, "untranslated", "filter"),
        (2, True, "", "filter"),
    ]
    assert attempts[0].messages[0].content.startswith("Bokadi was")  # what was rejected can be looked at
    assert attempts[0].licences == ("MIT", "Apache-2.0")
    assert {score.name: score.reason for score in attempts[0].filters}["untranslated"] == "untranslated"


async def test_failed_rows_rest_when_that_is_asked_for(tmp_path: Path) -> None:
    one = job(local_store(tmp_path))
    await translate_corpus(one, records(3), Perfect(lambda text: ""), settings=FAST)
    model = Perfect()
    assert (await translate_corpus(one, records(3), model, settings=FAST, retry_failed=False)).kept == 0
    assert model.asked == []


@pytest.mark.parametrize(
    "change", [{"revision": "light-2"}, {"prompt": "Say it in Arabic: "}, {"decoding": "beam"}, {"masker": "spans-9"},
               {"quantisation": "FP8_DYNAMIC"}]
)  # fmt: skip
async def test_whatever_a_translation_depends_on_makes_it_run_again(tmp_path: Path, change: dict[str, str]) -> None:
    store = local_store(tmp_path)
    await translate_corpus(job(store), records(5), Perfect(), settings=FAST)
    model = Perfect()
    await translate_corpus(job(store, identity=IDENTITY.model_copy(update=change)), records(5), model, settings=FAST)
    assert len(model.asked) == 5


async def test_a_changed_glossary_term_touches_only_the_rows_that_hold_it(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    rows = records(5)

    def run(name: str, model: Perfect):  # type: ignore[no-untyped-def]
        glossary = Glossary({"Bokadi": name})
        # another source description is another plan: the keys decide, not the plan
        made = job(store, source={"glossary": name}, filters=FilterSettings(without=("names",)))
        return translate_corpus(made, rows, model, glossary_of=lambda record: glossary, settings=FAST)

    await run("بوكادي", Perfect())
    model = Perfect()
    await run("بوقادي", model)
    assert model.asked == [rows[0].record_id]


async def test_more_rows_ask_only_for_the_new_ones(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    await translate_corpus(job(store, source={"rows": 4}), records(4), Perfect(), settings=FAST)
    model = Perfect()
    done = await translate_corpus(job(store, source={"rows": 9}), records(9), model, settings=FAST)
    assert (done.kept, len(model.asked)) == (9, 5)


async def test_other_filters_judge_again_without_translating_again(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    await translate_corpus(job(store), records(5), Perfect(), settings=FAST)
    model = Perfect()
    strict = job(store, filters=FilterSettings(length_ratio_min=1.0, short_text=0))
    done = await translate_corpus(strict, records(5), model, settings=FAST)
    assert (done.kept, done.dropped, model.asked) == (0, {"length_ratio": 5}, [])
    assert report(job(store)).kept == 5  # the old filters' verdict is still there


class Losing(Perfect):
    """Rejects every record itself, as one that loses a placeholder."""

    async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        self.asked.append(record.record_id)
        return Outcome((), "span_lost: a link")


async def test_other_filters_do_not_pay_again_for_what_the_translator_rejected(tmp_path: Path) -> None:
    store, model = local_store(tmp_path), Perfect()
    await translate_corpus(job(store), records(5), Losing(), settings=FAST)
    other = job(store, filters=FilterSettings(length_ratio_min=0.01))
    for _ in range(2):
        done = await translate_corpus(other, records(5), model, settings=FAST, retry_failed=False)
        assert (done.kept, done.dropped, model.asked) == (0, {"span_lost": 5}, [])
    assert (await translate_corpus(other, records(5), model, settings=FAST)).kept == 5
    assert len(model.asked) == 5
    assert report(job(store)).dropped == {"span_lost": 5}


async def test_a_row_that_failed_is_asked_for_with_another_seed_message_by_message_too(tmp_path: Path) -> None:
    class Seeds(Scripted):
        async def generate(
            self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
        ) -> AsyncIterator[TokenChunk]:
            if sampling.temperature > 0:
                seeds.append(sampling.seed)
            async for chunk in super().generate(prompt_ids, sampling, min_version=min_version):
                yield chunk

    seeds: list[int | None] = []
    speaker, settings = Seeds(lambda text, attempt: ""), TranslatorSettings(retries=1)
    for _ in range(2):
        translator = ByMessage(Translator(speaker, tokenizer(), settings))
        await translate_corpus(job(local_store(tmp_path)), records(1), translator, settings=FAST)
    assert len(seeds) == 4
    assert len({*seeds[:2]}) == 1
    assert not {*seeds[:2]} & {*seeds[2:]}


async def test_equal_rows_are_translated_once_and_all_of_them_come_out(tmp_path: Path) -> None:
    one, model = job(local_store(tmp_path)), Perfect()
    done = await translate_corpus(one, [*records(3), *records(3)], model, settings=FAST)
    assert (done.records, done.kept, len(model.asked)) == (6, 6, 3)
    assert [row.row for row in kept(one)] == list(range(6))


async def test_duplicates_are_dropped_before_anything_is_paid_and_the_ledger_says_which(tmp_path: Path) -> None:
    words = " ".join(f"word{i}" for i in range(60))
    rows = [
        instruction(text, "Let me search.", source="t", source_id=str(i), licences=["MIT"])
        for i, text in enumerate([words, words.upper() + " ", words + " end", "Something else entirely, and longer."])
    ]

    class Wordy(Perfect):
        async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
            self.asked.append(record.record_id)
            return Outcome(("نص عربي كامل. " * 9, "دعني أبحث."))

    one, model = job(local_store(tmp_path), duplicates=DuplicateSettings()), Wordy()
    done = await translate_corpus(one, rows, model, settings=FAST)
    assert {"exact_duplicate": 1, "near_duplicate": 1}.items() <= done.dropped.items()
    assert len(model.asked) == 2
    with one.ledger() as ledger:
        (attempt,) = ledger.why(rows[2].record_id)
    assert (attempt.stage, attempt.reason, attempt.generations) == ("plan", "near_duplicate", 0)
    assert rows[0].record_id in attempt.detail


async def test_one_definition_with_other_inputs_and_one_system_message_for_all_are_no_duplicates(
    tmp_path: Path,
) -> None:
    system = Message("system", " ".join(f"You are word{i}." for i in range(60)))
    task = " ".join(f"The rule number {i} is that word{i} comes first." for i in range(30))
    asked = ["Is the sun out today?", "Was my bag lost again?", "Is the sun out, today?", f"{task}\nTweet: kind crew",
             f"{task}\nTweet: lost bags", f"{task}\nTweet: Kind crew!"]  # fmt: skip
    rows = [
        replace(made, messages=(system, *made.messages))
        for made in (instruction(text, "neutral", source="t", source_id=text, licences=["MIT"]) for text in asked)
    ]
    one = job(local_store(tmp_path), duplicates=DuplicateSettings())
    assert one.plan(rows)["dropped"] == {"near_duplicate": 1}
    assert [record.messages[1].content for record in planned(one)] == asked[:5]


async def test_a_row_that_the_engine_calls_invalid_is_a_rejected_row_and_the_others_go_on(tmp_path: Path) -> None:
    poison = records(5)[2].record_id

    class Choosy(Perfect):
        async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
            if record.record_id == poison:
                raise InvalidInput("a text has at most 100000 characters")
            return await super().translate(record, glossary, seed)

    done = await translate_corpus(job(local_store(tmp_path)), records(5), Choosy(), settings=FAST)
    assert (done.kept, done.dropped) == (4, {"refused": 1})


async def test_an_engine_that_is_away_for_a_while_costs_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Restarting(Perfect):
        down = 6

        async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
            if self.down:
                self.down -= 1
                raise Unavailable("connection refused")
            return await super().translate(record, glossary, seed)

    model = Restarting()
    done = await translate_corpus(job(local_store(tmp_path)), records(5), model, settings=FAST)
    assert (done.kept, len(model.asked)) == (5, 5)
    assert [one.getMessage() for one in caplog.records if one.name == "sindbad.corpus.worker"] == [
        "waiting up to 600 s: connection refused"
    ]


async def test_an_engine_that_failed_ends_the_worker_and_what_was_done_is_kept(tmp_path: Path) -> None:
    class Dying(Perfect):
        async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
            if len(self.asked) == 5:
                raise EngineFailure("CUDA error: an illegal memory access was encountered")
            return await super().translate(record, glossary, seed)

    one, slow = job(local_store(tmp_path)), FAST.model_copy(update={"in_flight": 1})
    with pytest.raises(EngineFailure):
        await translate_corpus(one, records(10), Dying(), settings=slow)
    model = Perfect()
    assert (await translate_corpus(one, records(10), model, settings=FAST)).kept == 10
    assert len(model.asked) == 5  # leases were given back: nobody waits for them, nothing is asked twice


@pytest.mark.parametrize("broken", ["write_part", "seal"])
async def test_a_disk_that_is_full_ends_the_worker_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    one, model = job(local_store(tmp_path)), Perfect()
    with monkeypatch.context() as patch:
        patch.setattr(one, broken, full)
        async with asyncio.timeout(20):
            with pytest.raises(OSError, match="no space left"):
                await translate_corpus(one, records(5), model, settings=FAST)
    assert (await translate_corpus(one, records(5), model, settings=FAST)).kept == 5


async def test_many_workers_share_a_job_without_doing_anything_twice() -> None:
    store = JobStore("memory://many")
    rows = records(40)
    settings = FAST.model_copy(update={"in_flight": 3})
    current = await prepare(job(store), lambda: rows, settings=settings)
    assert current is not None
    models = [Perfect(delay=0.01) for _ in range(4)]
    tallies = await asyncio.gather(
        *(Worker(job(store), model, settings=settings, name=f"w{i}").run(current) for i, model in enumerate(models))
    )
    assert sorted(asked for model in models for asked in model.asked) == sorted(row.record_id for row in rows)
    assert sum(tally.accepted for tally in tallies) == 40
    assert sum(bool(model.asked) for model in models) > 1
    assert len(list(kept(job(store)))) == 40


async def test_two_planners_agree_on_one_plan_and_one_round() -> None:
    store = JobStore("memory://planners")
    rounds = await asyncio.gather(*(prepare(job(store), lambda: records(9), settings=FAST) for _ in range(3)))
    assert [one.number for one in rounds if one] == [1, 1, 1]
    assert len(store.names("rounds")) == 2  # one round, one list of rows


async def test_a_holder_that_was_thought_dead_doubles_an_attempt_and_no_row() -> None:
    """The old holder writes after the new one has taken over: both were paid, one is used."""
    store = JobStore("memory://zombie")
    one = job(store, shard_rows=100)
    current = await prepare(one, lambda: records(3), settings=FAST)
    assert current is not None
    todo = one.todo(current, 0)

    def attempt(epoch: int, row: int) -> Attempt:
        return Attempt(
            todo[row].key, todo[row].record.record_id, row, True, "filter", messages=todo[row].record.messages,
            judging=one.spec.judging_id, epoch=epoch, round=1, worker=f"w{epoch}",
        )  # fmt: skip

    one.write_part(current, 0, "000001-w1-00001", [attempt(1, 0)])
    one.write_part(current, 0, "000002-w2-00001", [attempt(2, row) for row in range(3)])
    assert one.seal(current, 0)
    one.write_part(current, 0, "000001-w1-00002", [attempt(1, 1)])  # a late write
    assert not one.seal(current, 0)
    with one.ledger() as ledger:
        assert len(list(ledger.attempts())) == 4
        assert ledger.rows("SELECT count(*) AS n, count(DISTINCT key) AS k FROM final") == [{"n": 3, "k": 3}]
    assert len(list(kept(one))) == 3


async def test_a_lease_that_falls_silent_is_taken_over_and_its_holder_stops() -> None:
    store = JobStore("memory://silent")
    now = 0.0
    # elsewhere: process ids of another machine say nothing here
    first, second = (LeaseBook(store, name, ttl_seconds=10, clock=lambda: now) for name in ("w1", "w2"))
    lease = first.claim("s")
    assert lease is not None
    store.write("leases/s/000001", store.read("leases/s/000001").replace(lease.place.encode(), b"elsewhere"))
    assert second.claim("s") is None
    now = 9.0
    beaten = first.beat(lease)
    assert beaten is not None
    assert second.claim("s") is None  # a new beat begins a new wait
    now = 18.0
    assert second.claim("s") is None
    now = 20.1
    taken = second.claim("s")
    assert taken is not None
    assert taken.epoch == 2
    assert first.beat(beaten) is None
    assert first.claim("s") is None


KILLED = """
import asyncio, os, signal, sys
from dataclasses import replace
from pathlib import Path
from sindbad.corpus.job import local_store
from sindbad.corpus.translate import translate_corpus
from tests.unit.corpus.jobs import FAST, Perfect, job, records
class Suicidal(Perfect):
    async def translate(self, record, glossary, seed):
        if len(self.asked) == 23:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().translate(record, glossary, seed)
asyncio.run(translate_corpus(job(local_store(Path(sys.argv[1]))), records(40), Suicidal(delay=0.005), settings=FAST))
"""


@pytest.mark.slow
def test_a_killed_worker_loses_only_what_was_in_flight(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    one = job(local_store(tmp_path))
    with one.ledger() as ledger:
        done = {attempt.row for attempt in ledger.attempts()}
    model = Perfect()
    assert asyncio.run(translate_corpus(one, records(40), model, settings=FAST)).kept == 40
    assert len(model.asked) == 40 - len(done)  # nothing that was committed is asked for again
    assert len(done) >= 23 - FAST.in_flight - 2 * FAST.part_rows
    assert len(list(kept(one))) == 40


async def test_the_demos_translator_fills_the_ledger_with_every_generation(tmp_path: Path) -> None:
    one = job(local_store(tmp_path))
    translator = ByMessage(Translator(Scripted(into_arabic), tokenizer()))
    done = await translate_corpus(one, records(3), translator, settings=FAST)
    assert done.kept == 3
    with one.ledger() as ledger:
        (attempt,) = ledger.why(records(1)[0].record_id)
    assert attempt.generations == 2
    assert attempt.output_tokens > 0


async def test_the_ledger_can_be_asked_in_sql_and_refuses_nonsense(tmp_path: Path) -> None:
    one = job(local_store(tmp_path))
    await translate_corpus(one, records(4), Perfect(), settings=FAST)
    with one.ledger() as ledger:
        sql = """SELECT f.name AS name, count(*) AS n FROM attempts, unnest(filters) AS u(f)
                 WHERE f.name IN ('script', 'numbers') GROUP BY 1 ORDER BY 1"""
        assert ledger.rows(sql) == [{"name": "numbers", "n": 4}, {"name": "script", "n": 4}]
        with pytest.raises(InvalidInput, match="cannot be asked"):
            ledger.query("SELECT nothing FROM nowhere")


async def test_a_file_that_goes_while_the_ledger_is_opened_is_looked_for_where_it_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = job(local_store(tmp_path))
    await translate_corpus(one, records(4), Perfect(), settings=FAST)
    with one.ledger() as ledger:
        there = ledger.files()
        listed = iter([[str(tmp_path / "sealed_meanwhile.parquet")], there])
        monkeypatch.setattr(ledger, "files", lambda: next(listed))
        assert ledger.rows("SELECT count(*) AS n FROM attempts") == [{"n": 4}]


def test_a_folder_without_a_job_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no job"):
        Job.open(local_store(tmp_path))


def test_an_attempt_survives_the_file_as_it_was(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    attempt = Attempt("k" * 8, "r", 3, False, "filter", "script", "0.1", notes=("term_changed",), licences=("MIT",))
    store.write("ledger/0001/00000.parquet", part([attempt]))
    with job(store).ledger() as ledger:
        assert ledger.why("r") == [attempt]
        assert ledger.why("k" * 8) == [attempt]


def test_settings_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="in_flight"):
        WorkerSettings(in_flight=0)
