"""`sindbad evaluate` without services: resolved configuration, faults in one line, sealing, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import typer
import yaml
from typer.testing import CliRunner, Result

from sindbad.cli import evaluate
from sindbad.evaluation.sets import read_question_set
from tests.unit.evaluation.test_folder import Asked, evaluated, questions

app = typer.Typer()
app.add_typer(evaluate.app, name="evaluate")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_the_configuration_is_the_runs_agent_with_the_options_on_top(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    settings = {"prompts": "demo", "style": "compact", "top_k": 4, "agent": {"context_limit": 160, "max_turns": 16}}
    (tmp_path / "services" / "agent-0.json").write_text(json.dumps(settings))
    (tmp_path / "models" / "policy").mkdir(parents=True)
    options = ("--paradigm", "react", "--temperature", 0.6, "--set", "max_tool_calls=7", "-k", 3)
    shown = run("--run", tmp_path, "--dry-run", *options)
    assert shown.exit_code == 0, shown.output
    told = yaml.safe_load(shown.stdout)
    agent = told["agent"]
    assert (agent["paradigm"], agent["context_limit"], agent["max_turns"], agent["max_tool_calls"]) == (
        "react",
        160,
        16,
        7,
    )
    assert agent["sampling"]["temperature"] == 0.6
    assert (told["evaluation"]["attempts"], told["prompts"]) == (3, "demo")
    wrong = run("--run", tmp_path, "--dry-run", "--set", "max_tool_cals=7")
    assert wrong.exit_code == 1
    assert "max_tool_calls" in wrong.stderr


def test_faults_are_one_line_and_code_one(tmp_path: Path) -> None:
    (tmp_path / "models" / "policy").mkdir(parents=True)
    asked = tmp_path / "q.jsonl"
    asked.write_text('{"question": "Where?", "answer": "Tavel"}\n')
    cases = {
        "name a question file": ("--run", tmp_path),
        "is not on this machine": ("--run", tmp_path, "--questions", tmp_path / "none.jsonl"),
        "is no judge": ("--run", tmp_path, "--questions", asked, "--judge", "oracle"),
        "no paradigm": ("paradigms", "--run", tmp_path, "--questions", asked, "--paradigms", "mem1"),
        "headroom_tokens must be smaller": ("paradigms", "--run", tmp_path, "--questions", asked, "--limits", "32"),
        "is no evaluation's folder": ("show", tmp_path),
    }  # fmt: skip
    for said, arguments in cases.items():
        result = run(*arguments)
        assert result.exit_code == 1, (said, result.output)
        assert said in result.stderr or "there is no table" in result.stderr, (said, result.stderr)
        assert len(result.stderr.strip().splitlines()) == 1
    assert run("paradigms", "--limits", "many", "--run", tmp_path).exit_code == 2


def test_before_there_is_a_run_nothing_is_to_be_downloaded(tmp_path: Path) -> None:
    asked = tmp_path / "q.jsonl"
    asked.write_text('{"question": "Where?", "answer": "Tavel"}\n')
    said = {}
    for folder in ("none", "begun"):
        (tmp_path / "begun").mkdir(exist_ok=True)
        result = run("--run", tmp_path / folder, "--questions", asked)
        assert result.exit_code == 1
        (said[folder],) = result.stderr.strip().splitlines()
    assert "There is no run in" in said["none"]
    assert "`make demo` makes one" in said["none"]
    assert "has no policy yet" in said["begun"]
    assert not any("download" in line for line in said.values())


def test_a_sealed_set_is_read_back(tmp_path: Path) -> None:
    asked = tmp_path / "q.jsonl"
    asked.write_text('{"question": "Where is the hidden harbour?", "answer": "Tavel", "aliases": "Tavel City"}\n')
    assert run("seal", asked, tmp_path / "q.csv", "--canary", "our canary").exit_code == 0
    assert "harbour" not in (tmp_path / "q.csv").read_text()
    (found,) = read_question_set(tmp_path / "q.csv").questions
    assert (found.text, found.answer) == ("Where is the hidden harbour?", "Tavel")
    assert found.aliases == ("Tavel City",)


async def test_a_comparison_tells_its_tests_and_the_gate_closes_for_the_worse(tmp_path: Path) -> None:
    of = questions(40)
    await evaluated(tmp_path / "good", Asked(lambda number, _: number % 4 != 0), of)
    await evaluated(tmp_path / "bad", Asked(lambda number, _: number % 4 == 1), of)
    told = run("compare", tmp_path / "bad", tmp_path / "good", "--gate")
    assert told.exit_code == 0, told.output
    assert "20 / 0" in told.stdout
    assert run("compare", tmp_path / "good", tmp_path / "bad").exit_code == 0
    assert run("compare", tmp_path / "good", tmp_path / "bad", "--gate").exit_code == 4
    shown = run("show", tmp_path / "good", "--json", tmp_path / "figures.json")
    assert "75.0 %" in shown.stdout
    assert json.loads((tmp_path / "figures.json").read_text())["figures"]["questions"] == 40
