"""The ledger: every attempt has a row, a second run pays only for what is missing, kill -9 loses nothing committed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sindbad.corpus.ledger import Attempt, Ledger
from sindbad.corpus.records import InstructionRecord, instruction
from sindbad.corpus.translate import TranslatorIdentity, translate_corpus
from sindbad.errors import Corrupt
from sindbad.translation.translator import Translator
from tests.unit.translation.scripted import Scripted, into_arabic, tokenizer

IDENTITY = TranslatorIdentity("light-1", "greedy")


def records(count: int) -> list[InstructionRecord]:
    """One sentence to translate, one answer shared by all."""
    return [
        instruction(
            f"Bok{'adi' * (n + 1)} was born in Diramo.",
            "Let me search.",
            source="t",
            source_id=str(n),
            licences=["MIT"],
        )
        for n in range(count)
    ]


async def run(folder: Path, count: int = 6, answer=into_arabic, identity: TranslatorIdentity = IDENTITY):  # type: ignore[no-untyped-def]
    model = Scripted(answer)
    with Ledger(folder / "ledger.sqlite") as ledger:
        kept, report = await translate_corpus(
            records(count), Translator(model, tokenizer()), ledger, identity, batch_records=2
        )
        return model, kept, report, ledger.counts()


async def test_a_second_run_asks_the_model_nothing_and_gives_the_same_corpus(tmp_path: Path) -> None:
    first, kept, report, _ = await run(tmp_path)
    again, kept_again, report_again, _ = await run(tmp_path)
    assert (report.kept, report.translated_units) == (6, 7)  # six sentences, and one answer that all of them share
    assert len(first.asked) == 7
    assert again.asked == []
    assert (kept_again, report_again.from_ledger) == (kept, 12)


async def test_failed_rows_are_tried_again_and_both_attempts_stay_on_record(tmp_path: Path) -> None:
    def lazy(text: str, attempt: int) -> str:
        return text if text.startswith("Bokadi was") else into_arabic(text)

    _, kept, report, counts = await run(tmp_path, answer=lazy)
    assert (len(kept), report.dropped) == (5, {"untranslated": 1})
    assert counts["untranslated"] == 1
    model, kept, _, _ = await run(tmp_path)
    assert len(kept) == 6
    assert model.asked == ["Bokadi was born in Diramo."]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        attempts = ledger.why(records(1)[0].record_id)
    assert [(one.accepted, one.reason) for one in attempts if one.unit == 0] == [(False, "untranslated"), (True, "")]
    assert attempts[0].output.startswith("Bokadi was")  # what was rejected can be looked at
    assert attempts[0].licences == ("MIT", "Apache-2.0")


async def test_another_model_revision_translates_everything_anew(tmp_path: Path) -> None:
    await run(tmp_path)
    model, _, _, _ = await run(tmp_path, identity=TranslatorIdentity("light-2", "greedy"))
    assert len(model.asked) == 7


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.unit.corpus.test_ledger import run
from tests.unit.translation.scripted import into_arabic
calls = []
def answer(text, attempt):
    calls.append(text)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return into_arabic(text)
asyncio.run(run(Path(sys.argv[1]), answer=answer))
"""


def test_a_killed_run_resumes_with_what_is_missing_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        done = [attempt.key for attempt in ledger.attempts() if attempt.accepted]
    assert 3 <= len(done) <= 4  # the batches before the one in flight
    model, kept, report, counts = asyncio.run(run(tmp_path))
    assert len(kept) == 6
    assert report.translated_units == len(model.asked) == 7 - len(done)
    assert counts == {"": 7}


def test_a_key_is_accepted_once_however_many_workers_write_it(tmp_path: Path) -> None:
    attempt = Attempt("k", "r", 0, accepted=True, reason="", output="x")
    with Ledger(tmp_path / "l.sqlite") as one, Ledger(tmp_path / "l.sqlite") as two:
        one.write([attempt])
        two.write([attempt])
        assert one.counts() == {"": 1}
        assert two.accepted(["k", "missing"]) == {"k": "x"}


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(Corrupt, match="not a ledger"):
        Ledger(path)
