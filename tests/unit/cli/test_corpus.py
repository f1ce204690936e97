"""``sindbad corpus`` from a file of messages to a data set, with the demo's teacher as the translator."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sindbad.cli import corpus
from sindbad.cli.main import app
from sindbad.corpus.address import Identity
from sindbad.corpus.records import InstructionRecord, Message, Provenance
from sindbad.demo.world import build_world
from sindbad.errors import Unavailable
from sindbad.quantize.configuration import QuantizeConfig
from sindbad.quantize.folder import quantise_folder
from sindbad.quantize.numerics import Scheme
from sindbad.translation.instructions import make_instructions
from sindbad.translation.train_teacher import FOLDER

RUN = CliRunner()


def sindbad(*arguments: str) -> str:
    """What a command prints; it must succeed."""
    result = RUN.invoke(app, ["corpus", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def written(path: Path, count: int) -> Path:
    """Instructions of the demo's domain as a file of messages."""
    rows = make_instructions([build_world(77, entities=24)], 5, count)
    lines = [
        json.dumps({"id": str(n), "messages": [{"role": m.role, "content": m.content} for m in row.messages]})
        for n, row in enumerate(rows)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.slow
def test_from_a_file_to_a_data_set_and_every_question_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "_TELL_SECONDS", 0.0)
    file, job = written(tmp_path / "rows.jsonl", 6), str(tmp_path / "job")
    config = tmp_path / "job.yaml"
    config.write_text("duplicates: null\nshard_rows: 4\n", encoding="utf-8")
    begin = ("translate", job, "--source", f"messages={file}@mit", "--model", str(FOLDER), "--licence", "cc-by-nc-4.0",
             "--unit", "message", "--config", str(config))  # fmt: skip
    told = sindbad(*begin)
    assert "6 rows in 2 shards" in told
    assert re.search(r"  6 rows, \d kept · \d+ s", told), "nobody was told how far it is"
    assert "6 rows, " in told
    status = sindbad("status", job)
    assert "2 of 2 shards sealed" in status
    line = sindbad("query", job, "SELECT record_id, accepted FROM final ORDER BY accepted DESC", "--json").splitlines()[
        0
    ]
    first = json.loads(line)
    assert first["accepted"]  # the teacher knows its domain
    why = sindbad("why", job, first["record_id"])
    assert "KEPT" in why
    assert "licences: mit, cc-by-nc-4.0" in why
    assert "waterfall.html" in sindbad("report", job, "--out", str(tmp_path / "report"))
    assert "Non-commercial use only" in sindbad("export", job, "--out", str(tmp_path / "set"))
    again = sindbad("resume", job, "--no-retry")
    assert "nothing is missing" in again
    assert (tmp_path / "report" / "waterfall.html").is_file()


@pytest.mark.slow
def test_several_worker_processes_share_the_work(tmp_path: Path) -> None:
    file, job = written(tmp_path / "rows.jsonl", 8), str(tmp_path / "job")
    config = tmp_path / "job.yaml"
    config.write_text("duplicates: null\nshard_rows: 2\n", encoding="utf-8")
    told = sindbad("translate", job, "--source", f"messages={file}@mit", "--model", str(FOLDER), "--licence", "mit",
                   "--unit", "message", "--config", str(config), "--workers", "2")  # fmt: skip
    assert "2 workers" in told
    assert "not_attempted" not in told


def test_what_is_missing_on_the_command_line_is_told(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", 1)
    base = ["corpus", "translate", str(tmp_path / "job"), "--source", f"messages={file}", "--licence", "mit"]
    assert "name one translator" in str(RUN.invoke(app, base).exception)
    unnamed = RUN.invoke(app, [*base, "--endpoint", "http://127.0.0.1:1/v1", "--endpoint-model", "m"])
    assert "--revision" in str(unnamed.exception)
    assert "not a model folder" in str(RUN.invoke(app, [*base, "--model", str(tmp_path)]).exception)
    (tmp_path / "c.yaml").write_text("translator: {settings: {style: light}}\n", "utf-8")
    unread = RUN.invoke(app, [*base, "--translator", "127.0.0.1:1", "--config", str(tmp_path / "c.yaml")])
    assert "has settings of its own" in str(unread.exception)
    assert "holds no job" in str(RUN.invoke(app, ["corpus", "status", str(tmp_path / "nothing")]).exception)
    assert "known: openorca" in str(RUN.invoke(app, [*base[:4], "orca=x", *base[5:]]).exception)


def test_how_long_a_worker_waits_for_a_dead_engine_is_the_users_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sindbad.corpus.connect.AWAY_SECONDS", 0.2)  # of five: the client's own, before the worker's
    file, config = written(tmp_path / "rows.jsonl", 1), tmp_path / "job.yaml"
    config.write_text("worker: {engine_patience_seconds: 0.01}\n", encoding="utf-8")  # the usual 600 s would time out
    begin = ["corpus", "translate", str(tmp_path / "job"), "--source", f"messages={file}", "--licence", "mit",
             "--translator", "127.0.0.1:1", "--revision", "one", "--config", str(config)]  # fmt: skip
    unasked = RUN.invoke(app, begin)
    assert isinstance(unasked.exception, Unavailable)
    assert "127.0.0.1:1 is away" in str(unasked.exception)
    begin += ["--translator-identity", "as it was"]
    ended = RUN.invoke(app, begin)
    assert isinstance(ended.exception, Unavailable)
    assert "127.0.0.1:1" in str(ended.exception)
    again = RUN.invoke(app, ["corpus", "resume", str(tmp_path / "job")])
    assert isinstance(again.exception, Unavailable)  # as the job was begun
    config.write_text("worker: {patience: 1}\n", encoding="utf-8")
    assert "engine_patience_seconds" in str(RUN.invoke(app, begin).exception)


def test_the_content_address_changes_with_the_scheme_of_a_quantised_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Identity] = []
    monkeypatch.setattr("sindbad.cli.corpus._run", lambda store, storage, spec, *_, **__: made.append(spec.identity))
    file, plain = written(tmp_path / "rows.jsonl", 1), tmp_path / "plain"
    shutil.copytree(FOLDER, plain)
    folders = [plain]
    for scheme in Scheme:
        quantise_folder(plain, tmp_path / scheme.value, QuantizeConfig(scheme=scheme, backend="own"))
        folders.append(tmp_path / scheme.value)
    for folder in folders:
        sindbad("translate", str(tmp_path / "job"), "--source", f"messages={file}", "--licence", "mit",
                "--revision", "one", "--model", str(folder))  # fmt: skip
    assert [one.quantisation for one in made] == ["", "FP8_DYNAMIC", "W8A8"]
    messages = (Message("user", "Where was Bofima born?"), Message("assistant", "In Diramo."))
    record = InstructionRecord("r", "en", messages, Provenance("s", "1", ("mit",)), {})
    assert len({one.key(record) for one in made}) == 3
