"""The command over files: questions, an index, the oracle, to a set; and what it says when something is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.coldstart.dataset import read_dataset
from sindbad.coldstart.job import ColdStartJob
from sindbad.configuration import resolve
from sindbad.demo.base_model import BASE_AGENT
from sindbad.demo.practice import environment_over
from sindbad.demo.world import write_encyclopedia
from sindbad.errors import InvalidInput
from sindbad.questions.store import save_questions
from tests.unit.coldstart.attempts import RESUM, place


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    here = place()
    environment_over([here.world], folder, fault_rate=0.0)
    write_encyclopedia(folder / "worlds", [here.world.seed])
    save_questions(folder / "train.jsonl", here.questions[3:])
    save_questions(folder / "test.jsonl", here.questions[:3])
    settings = {
        "questions": str(folder / "train.jsonl"), "tests": [str(folder / "test.jsonl")], "student": str(BASE_AGENT),
        "prompts": "demo", "agent": json.loads(RESUM.model_dump_json()),
        "teacher": {"kind": "oracle", "worlds": str(folder / "worlds")},
        "tools": {"index": str(folder / "index"), "style": "compact", "top_k": 3},
        "settings": {"decontamination": {"entities": False}, "thoughts": {"writer": "template"}},
    }  # fmt: skip
    (folder / "job.yaml").write_text(yaml.safe_dump(settings))
    return folder


def make(job: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["coldstart", "make", "--config", str(job / "job.yaml"), *arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_the_command_makes_a_set_with_a_card_and_goes_on_from_its_journal(job: Path) -> None:
    told = make(job, "--out", str(job / "out"))
    kept = list(read_dataset(job / "out" / "dataset"))
    assert f"{len(kept)} trajectories of" in told
    assert kept
    lines = (job / "out" / "attempts.jsonl").read_text().count("\n")
    assert make(job, "--out", str(job / "out")).splitlines()[-1] == told.splitlines()[-1]
    assert (job / "out" / "attempts.jsonl").read_text().count("\n") == lines
    lineage = json.loads((job / "out" / "dataset" / "lineage.json").read_text())
    assert set(lineage["digests"]) == {"questions", "tests_0", "graph"}
    assert lineage["teacher"]["teacher"] == "oracle"


@pytest.mark.slow
def test_attempts_with_other_tools_or_names_are_not_gone_on_with(job: Path, tmp_path: Path) -> None:
    """The oracle as well: what it reads is in its set, so another index or fault rate is another journal."""
    make(job, "--out", str(tmp_path / "out"), "--set", "most_questions=2")
    other = place(seed=700_002, fault_rate=0.5)
    environment_over([other.world], tmp_path, fault_rate=0.5)
    write_encyclopedia(tmp_path / "worlds", [other.world.seed])
    shutil.copytree(job / "index", tmp_path / "moved")
    changes = {
        f"tools.index={tmp_path / 'moved'}": 0, f"tools.index={tmp_path / 'index'}": 1, "tools.fault_rate=0.5": 1,
        "tools.top_k=4": 1, f"teacher.worlds={tmp_path / 'worlds'}": 1,
    }  # fmt: skip
    for change, code in changes.items():
        arguments = ["--config", str(job / "job.yaml"), "--out", str(tmp_path / "out"), "--set", "most_questions=2"]
        done = CliRunner().invoke(app, ["coldstart", "make", *arguments, "--set", change])
        refused = getattr(done.exception, "reason", "") == "OTHER_SETTINGS"
        assert (done.exit_code, refused) == (code, bool(code)), (change, done.output, done.exception)


def test_a_language_may_be_chosen_and_the_job_printed(job: Path) -> None:
    make(job, "--out", str(job / "arabic"), "--set", "language=ar", "--set", "settings.filters.native_thoughts=true")
    assert {made.language for made in read_dataset(job / "arabic" / "dataset")} == {"ar"}
    shown = yaml.safe_load(make(job, "--dry-run", "--set", "settings.attempts=7"))
    assert shown["settings"]["attempts"] == 7


def test_overlap_may_be_refused(job: Path) -> None:
    arguments = ["--out", str(job / "refused"), "--set", "settings.decontamination.on_overlap=refuse",
                 "--set", "settings.decontamination.entities=true"]  # fmt: skip
    done = CliRunner().invoke(app, ["coldstart", "make", "--config", str(job / "job.yaml"), *arguments])
    assert isinstance(done.exception, InvalidInput)
    assert done.exception.reason == "TRAIN_TEST_OVERLAP"
    assert not (job / "refused" / "dataset").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"summaries": "teacher"}, "oracle writes no summaries"),
        ({"settings": {"thoughts": {"writer": "model"}}}, "no model to write thoughts"),
        ({"summaries": "service"}, "summarizer"),
        ({"tools": {}}, "index"),
        ({"teacher": {"kind": "oracle"}}, "worlds"),
        ({"teecher": {}}, "did you mean 'teacher'"),
    ],
)
def test_what_can_not_work_is_said_before_anything_runs(job: Path, changes: dict[str, object], said: str) -> None:
    values = {**yaml.safe_load((job / "job.yaml").read_text()), **changes}
    with pytest.raises(InvalidInput, match=said):
        resolve(ColdStartJob, values)
