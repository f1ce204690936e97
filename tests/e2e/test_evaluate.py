"""`sindbad evaluate` on real services with the committed tiny agent: killed, continued, compared, tabulated."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sindbad.cli.main import app
from sindbad.demo.sampler import sample_question
from sindbad.demo.world import build_world, world_id_of
from sindbad.evaluation.folder import read_result
from sindbad.evaluation.sets import read_question_set
from sindbad.evaluation.sets.writing import write_browsecomp
from sindbad.languages import LANGUAGES
from sindbad.questions.store import save_questions
from sindbad.retrieval.index import build
from sindbad.supervisor import Supervisor, default_specs
from sindbad.supervisor.registry import addresses_in, read_registry
from sindbad.weights import WeightStore
from tests.e2e.missions import hear_ctrl_c

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "sindbad" / "demo" / "models" / "base-agent"
JUDGE = ROOT / "sindbad" / "demo" / "models" / "judge"
WORLD = world_id_of(930_001)
CANARY = "an e2e canary 9a1"


def make_run(run: Path) -> None:
    """One small world with its index, the committed agent as policy, 24 questions, and the same ones encrypted."""
    world = build_world(930_001, 40)
    build([page for code in LANGUAGES for page in world.pages(code)], run / "index")
    WeightStore(run / "models" / "policy").publish(MODEL)
    rng = random.Random(1)
    asked = [
        replace(sample_question(world, code, rng), question_id=f"{code}{n}") for n in range(12) for code in LANGUAGES
    ]
    save_questions(run / "questions.jsonl", asked)
    write_browsecomp(run / "sealed.csv", asked[:8], CANARY)


def run_command(*arguments: object, code: int = 0) -> Result:
    """In this process: what needs no process of its own need not import everything again."""
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert done.exit_code == code, f"{done.exit_code} {done.exception!r}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The command in a process that hears Ctrl-C; ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sindbad.cli.main", "evaluate", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def journalled(folder: Path) -> list[str]:
    """Ids of the attempts in a journal, in order."""
    lines = [line for path in folder.glob("journal/*/*.jsonl") for line in path.read_text("utf-8").splitlines(True)]
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return [row["trajectory"]["trajectory_id"] for row in rows if row["kind"] == "trajectory"]


def wait_for(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while len(journalled(folder)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no attempt was finished"
        time.sleep(0.02)


@pytest.mark.slow
async def test_an_evaluation_survives_ctrl_c_and_kill_and_is_compared_tabulated_and_kept_from_crawlers(
    tmp_path: Path,
) -> None:
    import asyncio

    run = tmp_path / "run"
    make_run(run)
    async with Supervisor(run, default_specs(["search", "sandbox", "policy", "summarizer", "judge"])):
        await asyncio.to_thread(everything, run, tmp_path)
        await asyncio.to_thread(judged, run, tmp_path)


def everything(run: Path, tmp: Path) -> None:
    """All commands, one after the other, on the same services."""
    asking: tuple[Any, ...] = ("--run", run, "--questions", run / "questions.jsonl", "--in-flight", 4)
    interrupted_twice(tmp / "resum", asking)
    run_command(*asking, "--paradigm", "react", "--out", tmp / "react")
    told = run_command("compare", tmp / "react", tmp / "resum", "--json", tmp / "compared.json")
    assert "discordant" in told.stdout
    compared = json.loads((tmp / "compared.json").read_text("utf-8"))
    assert set(compared["pass_at_1"]) == {"all", "ar", "en"}
    assert compared["warnings"] == []  # the same questions, judge, environment and seeds
    refused = run_command(*asking, "--first", 6, "--paradigm", "react", "--out", tmp / "react", code=1)
    assert "holds another evaluation" in refused.stderr
    unlike(run, tmp, asking)
    table(run, tmp, asking)
    protected(run, tmp)


def interrupted_twice(out: Path, asking: tuple[Any, ...]) -> None:
    """Ctrl-C, then kill -9, then to the end: no attempt is made twice."""
    options = (*asking, "--out", out)
    for number, (sent, code) in enumerate(((signal.SIGINT, 130), (signal.SIGKILL, -9)), 1):
        with started(*options) as process:
            wait_for(out, 4 * number, process)
            process.send_signal(sent)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == code, errors
            assert code != 130 or "goes on" in errors
    before = journalled(out)
    done = run_command(*options)
    after = journalled(out)
    assert after[: len(before)] == before
    assert sorted(after) == sorted(set(after))
    assert len(after) == 24
    assert "By language" in done.stdout
    result = read_result(out)
    assert result.figures.questions == 24
    assert result.figures.by["language"]["en"].questions == 12
    assert result.figures.pass_at_1.value > 0  # the committed agent speaks English
    assert (out / "report.html").is_file()
    again = run_command(*options)  # nothing left to do: the same figures
    assert again.stdout == done.stdout
    assert journalled(out) == after


def unlike(run: Path, tmp: Path, asking: tuple[Any, ...]) -> None:
    run_command(*asking, "--first", 4, "--out", tmp / "few")
    refused = run_command("compare", tmp / "few", tmp / "resum", code=1)
    assert "UNLIKE_QUESTIONS" in refused.stderr


def table(run: Path, tmp: Path, asking: tuple[Any, ...]) -> None:
    """Paradigms at two limits, two attempts each, on a few questions."""
    options = ("--first", 4, "-k", 2, "--limits", "128,256", "--out", tmp / "grid", "--json", tmp / "grid.json")
    told = run_command("paradigms", *asking, *options)
    assert "Recent History" in told.stdout
    record = json.loads((tmp / "grid.json").read_text("utf-8"))
    assert set(record["cells"]) == {"128", "256"}
    for row in record["cells"].values():
        assert set(row) == {"react", "recent_history", "resum"}
        assert row["resum"]["against_react"]["pass_at_1"]["all"]["questions"] == 4
    assert (tmp / "grid" / "paradigms.html").is_file()


def protected(run: Path, tmp: Path) -> None:
    """An encrypted set is asked; nothing on disk says what."""
    done = run_command("--run", run, "--questions", run / "sealed.csv", "--corpus", WORLD, "--out", tmp / "sealed")
    assert "protected benchmark" in done.stderr
    asked = read_question_set(run / "sealed.csv").questions
    written = b"".join(path.read_bytes() for path in (tmp / "sealed").rglob("*") if path.is_file())
    assert written
    assert not any(question.text.encode() in written for question in asked)
    assert not (tmp / "sealed" / "trajectories").exists()


def judged(run: Path, tmp: Path) -> None:
    """The rule, the committed tiny judge, and a policy that knows nothing of judging, on answers of known truth."""
    small, policy = f"small:{JUDGE}", f"policy:{addresses_in(read_registry(run), 'policy')[0]}@{MODEL}"
    judges = [part for judge in ("rule", small, policy) for part in ("--judge", judge)]
    told = run_command("judge", *judges, "--count", 24, "--judge-style", "general", "--json", tmp / "judges.json")
    figures = json.loads((tmp / "judges.json").read_text("utf-8"))["judges"]
    assert figures["rule"]["all"]["accepts_wrong"]["value"] == 0.0
    assert figures[small]["all"]["accuracy"]["value"] > 0.5
    assert figures[policy]["all"]["doubts"] == 24  # it searches where it should judge: no verdict, so all is rejected
    assert figures[policy]["all"]["rejects_right"]["value"] == 1.0
    assert "kappa" in told.stdout
