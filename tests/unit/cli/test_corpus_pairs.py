"""``sindbad corpus pairs`` on real sentence pairs (Tatoeba): both halves, their counts, their licences, and a kill.

The teacher and the judge are a server that speaks OpenAI's protocol. The teacher knows the real translations; the judge
knows which candidates the test has damaged, and answers some without a verdict.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.corpus.filters import Pair as Judged
from sindbad.corpus.filters import judge as by_rule
from sindbad.corpus.parallel import ParallelFile, read_parallel
from sindbad.errors import EngineFailure, InvalidInput, Overloaded
from sindbad.training.card import parts_of_data
from sindbad.training.examples import read_conversations
from tests.shared import shared
from tests.unit.corpus.chat_server import JUDGING, TRANSLATING, ChatServer, serving

RUN = CliRunner()
ROWS, CANDIDATES = 8, 40
LIGHT = "Translate everything that follows into Arabic:\n\n"
TATOEBA, TEACHERS = "CC BY 2.0 FR", "cc-by-nc-4.0"


@dataclass(frozen=True)
class Real:
    """Files of real sentences: ``rows`` for the teacher, ``candidates`` for the judge, a test set."""

    folder: Path
    known: dict[str, str]
    candidates: list[tuple[str, str]]
    wrong: frozenset[str]
    vague: frozenset[str]

    def answer(self, prompt: str) -> str | None:
        """The teacher and the judge."""
        if prompt.startswith(TRANSLATING):
            return self.known[prompt.removeprefix(TRANSLATING)]
        assert prompt.startswith(JUDGING)
        english = re.search(r"\n\nEnglish: (.*)\n\nArabic: ", prompt, re.S)
        assert english is not None
        if english[1] in self.vague:
            return "Both texts are nice."
        return "reject" if english[1] in self.wrong else "Accept."

    def arguments(self, url: str, out: Path) -> list[str]:
        """The whole command."""
        return [
            "corpus", "pairs", str(out), "--source", f"messages={self.folder / 'rows.jsonl'}@apache-2.0",
            "--endpoint", url, "--endpoint-model", "teacher", "--revision", "one", "--licence", TEACHERS,
            "--parallel", f"tatoeba={self.folder / 'candidates.tsv'}@{TATOEBA}",
            "--parallel", f"opus100={self.folder / 'opus.jsonl'}", "--judge", url, "--judge-model", "qwen",
            "--test", f"news={self.folder / 'test.tsv'}",
        ]  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    """Short real sentences that the rules keep; every fifth candidate has a neighbour's translation."""
    file = ParallelFile(path=Path("parallel/tatoeba_en_ar.train.tsv.gz"), licence=TATOEBA)
    found: dict[str, str] = {}
    for en, ar in read_parallel(shared("data"), file, training=True):
        plain = re.fullmatch(r"[A-Z][a-z ]{20,60}\.", en) and ar.count(".") <= 1 and not re.search(r"[A-Za-z0-9]", ar)
        if plain and not by_rule(Judged(en, ar)).reason:
            found.setdefault(en, ar)
        if len(found) == 2 * ROWS + CANDIDATES:
            break
    pairs = list(found.items())
    rows, rest = pairs[: 2 * ROWS], pairs[2 * ROWS :]
    good = [(en, ar) if n % 5 else (en, rest[n - 1][1]) for n, (en, ar) in enumerate(rest)]
    folder = tmp_path_factory.mktemp("real")
    lines = [
        json.dumps({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]})
        for (asked, _), (said, _) in zip(rows[::2], rows[1::2], strict=True)
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    written = [*good[:-2], good[0], ("A copy of the source stays.", "A copy of the source stays.")]
    (folder / "candidates.tsv").write_text("en\tar\n" + "".join(f"{en}\t{ar}\n" for en, ar in written), "utf-8")
    opus = [json.dumps({"translation": {"en": en, "ar": ar}}, ensure_ascii=False) for en, ar in good[-2:]]
    (folder / "opus.jsonl").write_text("\n".join(opus), "utf-8")
    (folder / "test.tsv").write_text(f"en\tar\n{good[1][0]}\tشيء آخر\n", "utf-8")
    wrong = frozenset(en for n, (en, _) in enumerate(good) if n % 5 == 0)
    return Real(folder, found, written, wrong, frozenset(en for en, _ in good[2:5]))


def told(*arguments: str) -> str:
    result = RUN.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.slow
def test_both_halves_add_up_and_every_line_says_where_it_came_from_and_under_what_licence(
    real: Real, tmp_path: Path
) -> None:
    with serving(ChatServer(real.answer)) as server:
        said = told(*real.arguments(server.url, tmp_path))
        first = list(server.answered)
        again = told(*real.arguments(server.url, tmp_path))
        assert server.answered == first  # nothing is asked twice: not the teacher, not the judge
    counts = json.loads((tmp_path / "counts.json").read_text("utf-8"))
    teacher, own, opus = (counts["origins"][name] for name in ("teacher", "tatoeba", "opus100"))
    assert (counts["teacher"]["rows"], counts["teacher"]["translated"]) == (ROWS, ROWS)
    assert (teacher["candidates"], teacher["kept"]) == (2 * ROWS, 2 * ROWS)
    assert own["rejected"] == {
        "judge_reject": 8, "judge_unparsable": 3, "in_tests": 1, "duplicate": 1, "untranslated": 1
    }  # fmt: skip
    for half in (teacher, own, opus):
        assert half["candidates"] == half["kept"] + sum(half["rejected"].values())
    assert own["candidates"] == len(real.candidates)
    assert counts["pairs"] == 2 * ROWS + own["kept"] + opus["kept"]
    written = lines(tmp_path / "pairs.jsonl")
    assert len(written) == counts["lines"] == sum(half["lines"] for half in (teacher, own, opus))
    assert Counter(one["origin"] for one in written) == {
        "teacher:messages": teacher["lines"], "tatoeba": own["lines"], "opus100": opus["lines"]
    }  # fmt: skip
    for one in written:
        assert real.known[one["prompt"].removeprefix(LIGHT)] == one["completion"]  # no damaged pair got through
        wanted = {"teacher:messages": ["apache-2.0", TEACHERS], "tatoeba": [TATOEBA], "opus100": ["unknown"]}
        assert one["licences"] == wanted[one["origin"]]
    read = [tuple(text for _, text in turns) for turns in read_conversations(tmp_path / "pairs.jsonl")]
    assert read == [(one["prompt"], one["completion"]) for one in written]
    away = lines(tmp_path / "rejected.jsonl")
    assert Counter(one["reason"] for one in away if one["origin"] == "tatoeba") == own["rejected"]
    assert {one["source"] for one in away if one["reason"] == "judge_unparsable"} == real.vague
    assert any("Non-commercial" in sentence for sentence in counts["obligations"])
    inherited = {part.name: part.licences for part in parts_of_data(tmp_path / "pairs.jsonl")}
    assert inherited == {"teacher": ("apache-2.0", TEACHERS), "tatoeba": (TATOEBA,), "opus100": ("unknown",)}
    assert "rejected, judge_unparsable: 3" in said
    assert "qwen was asked about 0 pairs" in again
    judged = server.judged()
    assert len(judged) == len(set(judged)) == own["kept"] + opus["kept"] + 11
    assert "8 rows, 8 kept" in told("corpus", "status", str(tmp_path / "teacher"))


@pytest.mark.slow
def test_killed_while_it_judges_it_goes_on_and_asks_about_nothing_that_was_answered(real: Real, tmp_path: Path) -> None:
    """An answer counts as paid for when it is on disk; of a killed teacher the tests of corpus jobs tell."""
    server, verdicts = ChatServer(real.answer), 12
    server.most = 2 * ROWS + verdicts
    with serving(server):
        command = [sys.executable, "-m", "sindbad.cli.main", *real.arguments(server.url, tmp_path)]
        process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
        try:
            assert server.stuck.wait(60)
            until_lines(tmp_path / "verdicts.jsonl", verdicts)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not (tmp_path / "pairs.jsonl").exists()
        server.most = None
        server.over.set()
        said = told(*real.arguments(server.url, tmp_path))
    assert len(server.answered) == len(set(server.answered))
    counts = json.loads((tmp_path / "counts.json").read_text("utf-8"))
    assert f"asked about {len(server.judged()) - verdicts} pairs" in said
    assert counts["teacher"]["translated"] == ROWS
    assert counts["origins"]["tatoeba"]["rejected"]["judge_reject"] == 8
    assert not list(tmp_path.glob("*.new"))


def until_lines(journal: Path, count: int) -> None:
    """Wait until so many verdicts are written down."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if journal.exists() and len(journal.read_bytes().splitlines()) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{count} verdicts were never written down")


def test_a_judge_without_a_verdict_ends_the_command_by_its_name(tmp_path: Path) -> None:
    config, out = tmp_path / "pairs.yaml", tmp_path / "out"
    rows = "".join(f"The city number {n} lies by the sea.\tتقع المدينة رقم {n} على شاطئ البحر.\n" for n in range(12))
    (tmp_path / "rows.tsv").write_text(f"en\tar\n{rows}", "utf-8")
    with serving(ChatServer(lambda prompt: "Okay, the user")) as server:
        judge = f"judge: {{endpoint: {{base_url: '{server.url}', model: qwen, parallel: 1}}, silent_pairs: 4}}\n"
        config.write_text(f"parallel: {{sources: ['t={tmp_path / 'rows.tsv'}@mit']}}\n{judge}", "utf-8")
        ended = RUN.invoke(app, ["corpus", "pairs", str(out), "--config", str(config)])
    assert isinstance(ended.exception, EngineFailure), ended.output
    assert "qwen had no verdict on 4 pairs in succession, lastly: unparsable: 'Okay, the user'" in str(ended.exception)
    assert len(server.answered) == 4
    assert not (out / "pairs.jsonl").exists()


def test_what_is_missing_on_the_command_line_is_told(tmp_path: Path) -> None:
    def fails(*more: str) -> str:
        ended = RUN.invoke(app, ["corpus", "pairs", str(tmp_path / "out"), *more])
        assert isinstance(ended.exception, InvalidInput), ended.output
        return ended.exception.message

    recipe = ("--recipe", "recipes/hala.yaml")
    assert "--judge URL" in fails(*recipe)
    assert "--teacher JOB" in fails(*recipe, "--judge", "http://127.0.0.1:1/v1")
    assert "give one" in fails(*recipe, "--config", "x.yaml")
    assert "NAME=FILE@LICENCE" in fails("--parallel", "mine=pairs.tsv")
    assert "holds instructions" in fails("--parallel", "lamini")
    assert "no pair was left" in fails()


def test_a_dry_run_of_the_published_recipe_says_how_much_would_be_asked_of_whom(tmp_path: Path) -> None:
    shown = told("corpus", "pairs", str(tmp_path / "out"), "--recipe", "recipes/hala.yaml", "--dry-run")
    assert "the first 405,000 rows of openorca, translated by @teacher" in shown
    assert "the first 1,000,000 pairs of opus100, judged by Qwen/Qwen2.5-3B-Instruct" in shown
    assert not (tmp_path / "out").exists()
    rows = told("corpus", "run", str(tmp_path / "job"), "--recipe", "recipes/hala.yaml", "--licence", "x", "--dry-run")
    assert "openorca, hermes3, scp116k, realign_alpaca, lamini, tulu3, synthetic_gptj" in rows


def test_two_runs_into_one_folder_do_not_mix_their_lines(tmp_path: Path) -> None:
    text = tmp_path / "pairs.tsv"
    text.write_text("en\tar\nThe door of the house is open.\tباب البيت مفتوح الآن.\n", "utf-8")
    words = ["corpus", "pairs", str(tmp_path / "out"), "--parallel", f"mine={text}@mit"]
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / "pairs.jsonl.new").open("w") as held:
        held.write("another's")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = RUN.invoke(app, words)
        assert isinstance(refused.exception, Overloaded), refused.output
        assert (tmp_path / "out" / "pairs.jsonl.new").read_text() == "another's"
    done = RUN.invoke(app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    assert len((tmp_path / "out" / "pairs.jsonl").read_text("utf-8").splitlines()) == 1
