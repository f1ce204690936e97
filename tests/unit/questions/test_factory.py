"""A run ends with the same files whatever interrupts it, and its splits share nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmarks.questions_graph import film_graph
from sindbad.cli.main import app
from sindbad.errors import Corrupt, InvalidInput
from sindbad.graph.store_write import save_graph
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.factory import Order, open_any, read_batch, run
from sindbad.questions.making import MakingConfig
from sindbad.questions.publishing import publish
from sindbad.questions.reach import out_of_reach
from sindbad.questions.store import load_questions
from sindbad.retrieval import index
from tests.unit.questions.pages import pages_of

CONFIG = MakingConfig(excerpt=ExcerptConfig(min_nodes=10, max_nodes=16))
RESULTS = ("train.jsonl", "test.jsonl", "subgraphs.jsonl", "rejected.parquet", "summary.json", "report.md", "README.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("films") / "graph"
    save_graph(film_graph(500), made)
    return made


def order(folder: Path, out: Path, count: int = 100, workers: int = 1) -> Order:
    return Order(folder, out, count, CONFIG, seed=4, test_share=0.1, workers=workers)


def finished(asked: Order) -> dict[str, bytes]:
    publish(run(asked, stop=lambda: False, progress=lambda *_: None), open_any(asked.graph))
    return {name: (asked.out / name).read_bytes() for name in RESULTS}


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Order, dict[str, bytes]]:
    asked = order(folder, tmp_path_factory.mktemp("whole") / "out")
    return asked, finished(asked)


@pytest.mark.slow
def test_stopped_after_a_batch_it_goes_on_to_the_same_files(
    folder: Path, tmp_path: Path, whole: tuple[Order, dict[str, bytes]]
) -> None:
    asked = order(folder, tmp_path / "out")
    stopped = run(asked, stop=lambda: True, progress=lambda *_: None)
    assert stopped.stopped
    assert [*stopped.mergers] == ["train"]  # nothing more is begun
    batches = list((asked.out / "journal").iterdir())
    assert len(batches) == 1
    before = {path: path.stat().st_mtime_ns for path in batches}
    assert finished(asked) == whole[1]
    assert {path: path.stat().st_mtime_ns for path in batches} == before


@pytest.mark.slow
def test_killed_with_two_workers_it_ends_like_one_worker_undisturbed(
    folder: Path, tmp_path: Path, whole: tuple[Order, dict[str, bytes]]
) -> None:
    asked = order(folder, tmp_path / "out")
    script = tmp_path / "config.yaml"
    script.write_text(json.dumps(CONFIG.model_dump(mode="json")))
    command = [sys.executable, "-m", "sindbad.cli.main", "questions", "make", "--graph", str(folder), "--out",
               str(asked.out), "--count", "100", "--seed", "4", "--workers", "2", "--config", str(script)]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not list(asked.out.glob("journal/train-*.json")) and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    deadline = time.monotonic() + 60
    while _alive_in_session(child.pid):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)
    assert finished(asked) == whole[1]


def _alive_in_session(session: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_the_files_say_what_was_made_and_what_was_not(whole: tuple[Order, dict[str, bytes]]) -> None:
    asked, files = whole
    summary = json.loads(files["summary.json"])
    train, test = (load_questions(asked.out / f"{split}.jsonl") for split in ("train", "test"))
    assert summary["forms"] == 100 == summary["by_split"]["train"] + summary["by_split"]["test"]
    assert summary["questions"] == len(train) + len(test)
    rejected = pq.read_table(asked.out / "rejected.parquet").to_pylist()
    assert sum(summary["rejected"].values()) == len(rejected) > 0
    assert {"not_unique", "redundant_clue"} <= {row["reason"] for row in rejected}
    report = files["report.md"].decode()
    assert all(question.text in report for question in train[:1])
    assert "licence" in files["README.md"].decode().lower()


@pytest.mark.slow
def test_train_and_test_share_neither_entity_nor_subgraph(whole: tuple[Order, dict[str, bytes]]) -> None:
    asked, files = whole
    used: dict[str, set[str]] = {"train": set(), "test": set()}
    for split in used:
        for question in load_questions(asked.out / f"{split}.jsonl"):
            used[split] |= {value for _, value in question.solution} | {question.subgraph_hash}
            clues = [clue for clue in question.clues if not clue.relation.startswith("@")]
            used[split] |= {end for c in (*clues, *question.distractors) for end in (c.subject, c.object)
                            if not end.startswith("?")}  # fmt: skip
    for line in files["subgraphs.jsonl"].decode().splitlines():
        record = json.loads(line)
        used[record["split"]] |= set(record["nodes"])
    assert used["train"]
    assert used["test"]
    assert not used["train"] & used["test"]


@pytest.mark.slow
def test_the_excerpts_are_written_with_facts_of_the_graph_that_hold_them_together(
    folder: Path, whole: tuple[Order, dict[str, bytes]]
) -> None:
    graph = open_any(folder)
    for line in whole[1]["subgraphs.jsonl"].decode().splitlines():
        record = json.loads(line)
        assert all(graph.has(*fact) for fact in record["facts"])
        met, before = {record["nodes"][0]}, 0
        while len(met) > before:
            before = len(met)
            met |= {end for s, _, o in record["facts"] if {s, o} & met for end in (s, o)}
        assert met == set(record["nodes"])


@pytest.mark.slow
def test_looked_up_by_two_workers_or_after_the_making_it_is_the_same(tmp_path: Path) -> None:
    films, folder = film_graph(150), tmp_path / "graph"
    save_graph(films, folder)
    gone = {f"film-{number}" for number in range(0, 150, 3)}
    index.build([page for page in pages_of(films) if page.url.rsplit("/", 1)[-1] not in gone], tmp_path / "index")
    unasked = replace(order(folder, tmp_path / "out", count=20), test_share=0.0)
    assert b"not looked up" in _published(unasked)["README.md"]
    asked = replace(unasked, index=tmp_path / "index")
    after = _published(asked)  # over the journal of candidates that is there
    two = _published(replace(asked, out=tmp_path / "two", workers=2))
    assert after == two
    assert b"only what the tools bring up" in two["README.md"]
    summary = json.loads(two["summary.json"])
    assert summary["forms"] == 20
    assert summary["rejected"]["out_of_reach"] > 0
    kept = load_questions(asked.out / "train.jsonl")
    assert asyncio.run(out_of_reach(kept, films, tmp_path / "index")) == []


def _published(asked: Order) -> dict[str, bytes]:
    publish(run(asked, stop=lambda: False, progress=lambda *_: None), open_any(asked.graph))
    return {path.name: path.read_bytes() for path in asked.out.iterdir() if path.is_file()}


@pytest.mark.slow
def test_a_folder_belongs_to_its_settings_and_may_grow(
    folder: Path, whole: tuple[Order, dict[str, bytes]], tmp_path: Path
) -> None:
    asked, files = whole
    other = Order(folder, asked.out, 100, CONFIG, seed=5, test_share=0.1, workers=1)
    with pytest.raises(InvalidInput, match="other settings"):
        run(other, stop=lambda: False, progress=lambda *_: None)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InvalidInput, match="not empty"):
        run(order(folder, tmp_path), stop=lambda: False, progress=lambda *_: None)
    more = finished(order(folder, asked.out, count=140))
    assert more["train.jsonl"].startswith(files["train.jsonl"])


@pytest.mark.slow
def test_more_like_a_run_leaves_its_test_side_alone(
    folder: Path, whole: tuple[Order, dict[str, bytes]], tmp_path: Path
) -> None:
    asked, _ = whole
    words = ["questions", "make", "--graph", str(folder), "--like", str(asked.out), "--only", "train", "--workers", "1"]
    out = tmp_path / "more"
    done = CliRunner().invoke(app, [*words, "--out", str(out), "--count", "25"])
    assert done.exit_code == 0, done.output
    more, test = load_questions(out / "train.jsonl"), load_questions(asked.out / "test.jsonl")
    assert more
    assert not (out / "test.jsonl").exists()
    names = {name for item in test for _, name in item.solution}
    assert not names & {name for item in more for _, name in item.solution}
    assert not {item.subgraph_hash for item in test} & {item.subgraph_hash for item in more}
    before = {item.question_id for item in load_questions(asked.out / "train.jsonl")}
    assert not before & {item.question_id for item in more}
    other = CliRunner().invoke(app, [*words[:-4], "--workers", "1", "--out", str(out), "--count", "25"])
    assert isinstance(other.exception, InvalidInput), "a folder of one side alone was extended by the other"
    refused = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "x"), "--count", "25", "--seed", "9"])
    assert isinstance(refused.exception, InvalidInput)
    assert "--like holds --seed" in refused.exception.message


@pytest.mark.slow
def test_small_subgraphs_that_look_alike_on_both_sides_do_not_end_a_run(folder: Path, tmp_path: Path) -> None:
    small = MakingConfig(excerpt=ExcerptConfig(min_nodes=3, max_nodes=4))
    asked = Order(folder, tmp_path / "out", 60, small, seed=4, test_share=0.2, workers=1)
    outcome = run(asked, stop=lambda: False, progress=lambda *_: None)
    sides = [{item.subgraph_hash for item in outcome.questions(split)} for split in ("train", "test")]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_a_torn_batch_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-000000.json").write_text('{"number": 0')
    with pytest.raises(Corrupt, match="train-000000"):
        read_batch(tmp_path / "train-000000.json")


@pytest.mark.slow
def test_the_command_line_makes_verifies_and_names_what_does_not_hold(folder: Path, tmp_path: Path) -> None:
    runner, out = CliRunner(), tmp_path / "out"
    made = runner.invoke(
        app, ["questions", "make", "--graph", str(folder), "--out", str(out), "--count", "30", "--workers", "1",
              "--mix", "constraint:3=1,count:2=1", "--test-share", "0"],
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    file = out / "train.jsonl"
    assert {question.kind for question in load_questions(file)} == {"constraint", "count"}
    good = runner.invoke(app, ["questions", "verify", str(file), "--graph", str(folder)])
    assert good.exit_code == 0, good.output
    lines = file.read_text().splitlines()
    record = json.loads(lines[0])
    record["answer_id"] = "film-1" if record["answer_id"] != "film-1" else "film-2"
    file.write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")
    bad = runner.invoke(app, ["questions", "verify", str(file), "--graph", str(folder)])
    assert bad.exit_code == 1
    assert record["question_id"] in bad.output
    assert runner.invoke(app, ["questions", "config"]).output.startswith("languages:")
