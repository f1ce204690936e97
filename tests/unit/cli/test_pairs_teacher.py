"""``sindbad corpus pairs`` without a teacher uses the job that is there, if that is of the rows that are asked for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.corpus.job import local_store
from sindbad.corpus.sources import SourceRequest, read_sources
from sindbad.corpus.translate import translate_corpus
from tests.unit.corpus.jobs import FAST, Perfect, job


def pairs(out: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["corpus", "pairs", str(out), *words])
    return result.exit_code, f"{result.output}{result.exception or ''}"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Two files of one question and its answer each."""
    for name, who in (("one", "Bokadi"), ("two", "Bokadiadi")):
        text = {"instruction": f"{who} was born in Diramo.", "input": "", "output": "Let me search."}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(text) + "\n", "utf-8")
    return tmp_path


def test_a_job_of_other_rows_is_no_teacher_of_these_until_somebody_says_so(rows: Path) -> None:
    request = SourceRequest.parse(f"alpaca={rows / 'one.jsonl'}@mit")
    teacher = local_store(rows / "out" / "teacher")
    described = {"sources": [request.describe()]}
    one = job(teacher, source=described)
    asyncio.run(translate_corpus(one, read_sources([request]), Perfect(), settings=FAST))

    def asked(name: str) -> tuple[str, ...]:
        (rows / "pairs.yaml").write_text(yaml.safe_dump({"teacher": {"sources": [f"alpaca={rows / name}@mit"]}}))
        return ("--config", str(rows / "pairs.yaml"))

    code, said = pairs(rows / "out", *asked("one.jsonl"))
    assert code == 0, said
    made = (rows / "out" / "pairs.jsonl").read_bytes()
    code, said = pairs(rows / "out", *asked("two.jsonl"))
    assert code == 1
    assert "translates other rows than these" in said
    assert (rows / "out" / "pairs.jsonl").read_bytes() == made
    code, said = pairs(rows / "out", *asked("two.jsonl"), "--teacher", str(rows / "out" / "teacher"))
    assert code == 0, said
    (rows / "one.jsonl").unlink()
    code, said = pairs(rows / "out", *asked("one.jsonl"))  # what is translated is in the job
    assert code == 0, said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--parallel", "opus100=nowhere"), "there is no data file at nowhere"),
        (("--parallel", "tatoeba=nowhere.tsv"), "is no parallel source"),
        (("--parallel", "tatoeba=nowhere.tsv@cc-by-2.0"), "there is no file nowhere.tsv"),
        (("--test", "pud=nowhere.tsv"), "there is no file nowhere.tsv"),
    ],
)
def test_no_teacher_is_paid_while_another_input_is_wrong(rows: Path, words: tuple[str, ...], said: str) -> None:
    teacher = ("--source", f"alpaca={rows / 'one.jsonl'}@mit", "--model", "sindbad/demo/models/teacher",
               "--licence", "mit")  # fmt: skip
    code, told = pairs(rows / "out", *teacher, *words)
    assert code == 1
    assert said in told
    assert not (rows / "out" / "teacher").exists()
