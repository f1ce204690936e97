"""``sindbad corpus translate --reuse``: another job's rows from the command line, as the rows and that job go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sindbad.cli import corpus
from sindbad.cli.main import app
from sindbad.corpus.job import Job
from sindbad.corpus.store import JobStore
from sindbad.errors import InvalidInput
from tests.unit.corpus.chat_server import ChatServer, serving
from tests.unit.translation.documents import pseudo_arabic

RUN = CliRunner()


def told(*arguments: str) -> str:
    result = RUN.invoke(app, ["corpus", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_a_corpus_pays_for_no_row_that_the_teacher_has(tmp_path: Path) -> None:
    asked = ["Where is the old harbour of the city?", "Who painted the walls of the great hall?",
             "When does the market of the village open?", "Which river flows past the northern gate?"]  # fmt: skip
    rows = [[{"role": "user", "content": one}, {"role": "assistant", "content": "Nobody knows."}] for one in asked]
    file, config = tmp_path / "rows.jsonl", tmp_path / "job.yaml"
    file.write_text("".join(json.dumps({"messages": one}) + "\n" for one in rows), "utf-8")
    config.write_text("duplicates: null\ntranslator: {settings: {style: light}}\n", "utf-8")
    teacher, job = str(tmp_path / "teacher"), str(tmp_path / "job")
    server = ChatServer(lambda prompt: pseudo_arabic(prompt.rpartition("\n\n")[2]))

    def translate(name: str, model: str, licence: str, *more: str) -> str:
        return told(
            "translate", name, "--source", f"messages={file}@mit", "--endpoint", server.url, "--endpoint-model", model,
            "--revision", model, "--licence", licence, "--unit", "message", "--config", str(config), *more,
        )  # fmt: skip

    with serving(server):
        translate(teacher, "big", "cc-by-nc-4.0", "--limit", "2")
        paid = len(server.answered)
        said = translate(job, "light", "apache-2.0", "--reuse", teacher)
        assert "4 rows, 4 kept\n  of them 2 by big, taken over from another job" in said
        assert not [one for one in server.answered[paid:] for old in asked[:2] if old in one]
        assert "of them 2 by big" in told("status", job)
        paid = len(server.answered)
        assert "nothing is missing" in told("resume", job)
        translate(teacher, "big", "cc-by-nc-4.0", "--limit", "3")
        paid = len(server.answered)
        said = translate(job, "light", "apache-2.0", "--reuse", teacher)
        assert "of them 3 by big" in said  # the third row is the teacher's now, whoever translated it before
        assert len(server.answered) == paid
        begun = Job.open(JobStore(job)).spec
        translate(teacher, "big", "cc-by-nc-4.0", "--limit", "4")
        with pytest.raises(InvalidInput, match="holds other rows than when this job was begun"):
            corpus._held_as_begun([teacher], "", begun)
        all_of_it = str(tmp_path / "all")
        assert "4 rows, 4 kept\n  of them 4 by big" in translate(all_of_it, "light", "mit", "--reuse", teacher)
    told("export", job, "--out", str(tmp_path / "set"))
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "- 3 rows by `big` (cc-by-nc-4.0)" in card
    assert "license: cc-by-nc-4.0" in card
    assert "4 rows in" in told("export", all_of_it, "--out", str(tmp_path / "all-set"))  # though nothing was asked


def test_a_job_is_what_it_was_last_begun_as_also_where_nothing_was_missing(tmp_path: Path) -> None:
    lines = [[{"role": "user", "content": f"Where is the gate number {n} of the old city?"},
              {"role": "assistant", "content": "Nobody knows."}] for n in ("one", "two", "three")]  # fmt: skip
    file, job = tmp_path / "rows.jsonl", str(tmp_path / "job")
    file.write_text("".join(json.dumps({"messages": one}) + "\n" for one in lines), "utf-8")
    (tmp_path / "c.yaml").write_text("duplicates: null\ntranslator: {settings: {style: light}}\n", "utf-8")
    with serving(ChatServer(lambda prompt: pseudo_arabic(prompt.rpartition("\n\n")[2]))) as server:
        begin = (
            "translate", job, "--source", f"messages={file}@mit", "--endpoint", server.url, "--endpoint-model", "m",
            "--revision", "r", "--licence", "mit", "--unit", "message", "--config", str(tmp_path / "c.yaml"),
        )  # fmt: skip
        told(*begin)
        assert "2 rows, 2 kept" in told(*begin, "--limit", "2")
        assert "2 rows, 2 kept" in told("status", job)
        assert "2 rows in" in told("export", job, "--out", str(tmp_path / "set"))
        told(*begin)
        assert "3 rows in" in told("export", job, "--out", str(tmp_path / "set"))
