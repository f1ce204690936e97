"""``sindbad recipe FILE --run`` with the real commands: HALA's miniature whole, stopped, gone on with, changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sindbad.corpus.job import Job
from sindbad.corpus.store import JobStore
from sindbad.journal import read_journal
from tests.e2e.hala_miniature import pairs
from tests.e2e.missions import hear_ctrl_c
from tests.unit.corpus.chat_server import JUDGING, TRANSLATING, ChatServer, serving

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "hala_mini.yaml"
VERDICTS, JUDGED = 5, 40

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def answer(prompt: str) -> str:
    """A judge that takes everything, and a teacher that knows the encyclopedia."""
    if prompt.startswith(JUDGING):
        return "accept"
    return {pair.en: pair.ar for pair in pairs()}[prompt.removeprefix(TRANSLATING)]


@contextmanager
def running(out: Path, *more: str, recipe: Path = RECIPE, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command, from the repository's root, as in a shell of its own."""
    command = [sys.executable, "-m", "sindbad.cli.main", "recipe", str(recipe), "--run", "--out", str(out), *more]
    known = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    process = subprocess.Popen(
        command, cwd=ROOT, env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ran(out: Path, *more: str, recipe: Path = RECIPE) -> str:
    with running(out, *more, recipe=recipe) as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def left(out: Path) -> list[str]:
    """Processes that work in the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(out) in command and "pytest" not in command:
            found.append(command)
    return found


def until_nothing_is_left(out: Path) -> None:
    ends = time.monotonic() + 30
    while found := left(out):
        assert time.monotonic() < ends, found
        time.sleep(0.05)


def until_verdicts(out: Path, count: int) -> None:
    """Wait until so many are on disk."""
    journal, ends = out / "bilingual" / "verdicts.jsonl", time.monotonic() + 60
    while not journal.exists() or len(journal.read_bytes().splitlines()) < count:
        assert time.monotonic() < ends
        time.sleep(0.02)


def until_begun(server: ChatServer, count: int) -> None:
    """Wait until the server has read so many prompts: it would answer the rest when whoever asked is gone."""
    ends = time.monotonic() + 60
    while len(server.begun) < count:
        assert time.monotonic() < ends
        time.sleep(0.02)


def states(said: str) -> dict[str, str]:
    """Stage -> what was said of it first."""
    lines = [line for line in said.splitlines() if line.startswith("[") and "/" in line[:4]]
    found: dict[str, str] = {}
    for line in lines:
        name, _, what = line.partition("] ")[2].partition(":")
        found.setdefault(name.partition(" ")[0], what.strip())
    return found


def test_the_miniature_of_hala_runs_whole_is_stopped_goes_on_and_runs_again_only_what_changed(tmp_path: Path) -> None:
    out, server = tmp_path / "run", ChatServer(answer)
    server.most = VERDICTS
    quick = ["--add", "teacher=--backend own", *(
        word for name in ("translator", "merged") for word in ("--add", f"measure_{name}=--resamples 10")
    )]  # fmt: skip
    with serving(server):
        words = (*quick, "--add", f"bilingual=--judge {server.url} --judge-model scripted")
        with running(out, *words) as process:
            assert server.stuck.wait(120)
            until_verdicts(out, VERDICTS)
            until_begun(server, JUDGED)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "stopped; go on with: sindbad recipe" in said
        assert left(out) == []
        server.most = None
        server.over.set()
        whole = ran(out, *words)
    assert states(whole)["teacher"].startswith("finished before")
    assert states(whole)["bilingual"].startswith("goes on")
    assert "8/8" in whole
    assert "7 done, 1 finished before" in whole
    assert len(server.answered) == len(set(server.answered)) == JUDGED
    _check_results(out)
    _check_again(out, words, tmp_path)


def _check_results(out: Path) -> None:
    figures = json.loads((out / "measure_translator" / "translation.json").read_text("utf-8"))
    before, after = (profiles[0]["chrf"]["value"]["value"] for profiles in figures["scores"].values())
    assert after > before + 10  # asked with the light prompt, which the teacher never saw
    about = json.loads((out / "corpus" / "dataset" / "lineage.json").read_text("utf-8"))
    assert sorted(about["translators"].values()) == [6, 6]
    (held,) = about["spec"]["source"]["held"]
    assert held["rows"] == 6
    assert held["translator"].endswith("+FP8_DYNAMIC")  # the compressed teacher's own words
    with Job.open(JobStore(str(out / "corpus"))).ledger() as ledger:
        paid = {row["model"]: row["n"] for row in ledger.rows(
            "SELECT model, sum(generations)::BIGINT AS n FROM attempts GROUP BY 1"
        )}  # fmt: skip
    assert paid.pop(held["translator"]) == 0  # not a row of the teacher's was translated again
    assert list(paid.values()) > [0]
    assert (out / "merged" / "merge_report.json").is_file()
    assert "$ sindbad merge" in (out / "recipe" / "merged.log").read_text("utf-8")


def _check_again(out: Path, words: tuple[str, ...], folder: Path) -> None:
    """A changed merge: it and its measure run again, nothing before; and the judge's address decides nothing."""
    changed = folder / "changed.yaml"
    changed.write_text(RECIPE.read_text("utf-8").replace("merge: {t: 0.5}", "merge: {t: 0.125}"), "utf-8")
    moved = [word.replace("--judge http", "--judge https") for word in words]
    said = ""
    with running(out, *moved, recipe=changed) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if line.startswith("[8/8]"):  # it begins: that it ends well was seen before
                process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    begun = {name: what for name, what in states(said).items() if not what.startswith("finished before")}
    assert list(begun) == ["merged", "measure_merged"]
    assert all(what.startswith("runs again, it or what it reads has changed") for what in begun.values())
    assert json.loads((out / "merged" / "merge_report.json").read_text("utf-8"))["t"] == 0.125


def test_a_harness_that_is_not_installed_is_named_with_what_installs_it(tmp_path: Path) -> None:
    recipe = tmp_path / "measured.yaml"
    model = "sindbad/demo/models/base-agent"
    stage = f"{{kind: measure, name: measured, model: {model}, harness: lighteval, benchmarks: [arabic_exams]}}"
    recipe.write_text(f"{{name: m, source: none, stages: [{stage}]}}", "utf-8")
    nowhere = {"SINDBAD_LIGHTEVAL_PYTHON": str(tmp_path / "no-python")}
    with running(tmp_path / "run", recipe=recipe, **nowhere) as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    first, last = said.splitlines()[0], said[said.index("sindbad: [1/1] measured") :]
    assert "run scripts/install.sh lighteval" in first
    assert "run scripts/install.sh lighteval" in last
    assert "recipe/measured.log" in last
    assert f"when it is mended: sindbad recipe {recipe} --run --out {tmp_path / 'run'}" in last


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_or_killed_it_leaves_no_child_and_a_folder_that_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    out, server = tmp_path / "run", ChatServer(answer)
    server.most = 12 + VERDICTS  # the teacher's six rows, question and answer, and some verdicts
    with serving(server):
        served = f"--endpoint {server.url} --endpoint-model t --revision 1 --judge {server.url} --judge-model scripted"
        words = ("--only", "bilingual", "--add", f"bilingual={served}")
        with running(out, *words) as process:
            assert server.stuck.wait(120)
            until_verdicts(out, VERDICTS)
            until_begun(server, 12 + JUDGED)
            with running(out, *words) as second:
                refused, _ = second.communicate(timeout=60)
            assert second.returncode == 1
            assert "another run works in" in refused
            process.send_signal(number)
            process.wait(60)
        until_nothing_is_left(out)
        server.most = None
        server.over.set()
        assert "1 done" in ran(out, *words)
        assert "1 finished before" in ran(out, *words)
    assert len(server.answered) == len(set(server.answered)) == 12 + JUDGED
    counts = json.loads((out / "bilingual" / "counts.json").read_text("utf-8"))
    assert counts["teacher"]["translated"] == 6
    seen: Counter[str] = Counter()
    read_journal(out / "bilingual" / "verdicts.jsonl", lambda record, _: seen.update([record["key"]]))
    assert set(seen.values()) == {1}
