"""`sindbad graph build`: what it takes and refuses, what it leaves, and that the same command goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sindbad.cli.graph import app
from sindbad.demo.world import World, build_world
from sindbad.errors import InvalidInput, SindbadError, Unavailable
from sindbad.graph.store import load_graph
from sindbad.languages import LANGUAGES
from sindbad.retrieval import index
from sindbad.retrieval.page import Page


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(7, 30)


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index, and a file of seeds."""
    made: Path = tmp_path_factory.mktemp("graph-build")
    index.build([page for language in LANGUAGES for page in world.pages(language)], made / "index")
    (made / "seeds.txt").write_text(f"\n{world.entities[0].names['en']}\n\n", "utf-8")
    return made


def build(folder: Path, out: Path, *options: str) -> Result:
    command = ["build", "--seeds", str(folder / "seeds.txt"), "--out", str(out), "--corpus", "w0007", *options]
    return CliRunner().invoke(app, command)


def test_a_build_writes_graph_and_report_and_the_same_command_asks_for_nothing_again(
    folder: Path, tmp_path: Path, world: World
) -> None:
    options = ("--index", str(folder / "index"), "--nodes", "12", "--also", "ar", "--width", "2")
    first = build(folder, tmp_path / "g", *options)
    assert first.exit_code == 0, first.output
    graph, report = load_graph(tmp_path / "g"), json.loads((tmp_path / "g.build" / "report.json").read_text("utf-8"))
    assert len(graph) >= 12
    assert report["build"]["stopped"] == "target"
    assert sum(report["types"].values()) == report["figures"]["built"]["nodes"] == len(graph)
    assert report["figures"]["tree"]["cycle_rank"] == 0
    assert {edge.triple for edge in graph.edges} <= {(f.subject, f.relation, f.object) for f in world.facts}
    manifest = (tmp_path / "g" / "graph.json").read_bytes()
    lines = (tmp_path / "g.build" / "journal.jsonl").read_bytes()
    again = build(folder, tmp_path / "g", *options)
    assert "Going on" in again.output
    assert (tmp_path / "g.build" / "journal.jsonl").read_bytes() == lines
    assert (tmp_path / "g" / "graph.json").read_bytes() == manifest
    fresh = build(folder, tmp_path / "g", *options, "--fresh")
    assert "Going on" not in fresh.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name one of --run, --services and --index"),
        (("--index", "i", "--services", "h:1"), "name one of --run, --services and --index"),
        (("--index", "i", "--environment", "live"), "needs --run or --services"),
        (("--index", "INDEX", "--extractor", "policy"), "--policy host:port and --tokenizer"),
        (("--index", "INDEX", "--extractor", "openai"), "--base-url and --model"),
        (("--index", "INDEX", "--extractor", "local", "--model", "nowhere"), "no model in nowhere"),
        (("--index", "INDEX", "--ontology", "nonsense"), "No ontology"),
    ],
)
def test_what_does_not_fit_together_says_what_to_do(
    folder: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    said = build(folder, tmp_path / "g", *(str(folder / "index") if part == "INDEX" else part for part in options))
    assert said.exit_code == 1
    assert isinstance(said.exception, SindbadError)
    assert message in said.exception.message
    assert not (tmp_path / "g").exists()


def test_nothing_on_a_cycle_replaces_no_graph(folder: Path, tmp_path: Path) -> None:
    options = ("--index", str(folder / "index"), "--no-baseline", "--max-nodes")
    assert build(folder, tmp_path / "g", *options, "24").exit_code == 0
    manifest = (tmp_path / "g" / "graph.json").read_bytes()
    said = build(folder, tmp_path / "g", *options, "2")
    assert isinstance(said.exception, SindbadError)
    assert "none lies on a cycle" in said.exception.message
    assert "--keep-trees" in said.exception.message
    assert (tmp_path / "g" / "graph.json").read_bytes() == manifest


def test_a_model_that_is_away_is_told_before_anything_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sindbad.clients.openai.AWAY_SECONDS", 0.3)
    options = ("--extractor", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    said = build(folder, tmp_path / "g", "--index", str(folder / "index"), *options)
    assert isinstance(said.exception, Unavailable)
    assert "nothing answers at http://127.0.0.1:9/v1" in said.exception.message


def test_a_journal_of_another_corpus_is_refused(folder: Path, tmp_path: Path) -> None:
    options = ("--index", str(folder / "index"), "--max-nodes", "8", "--no-baseline")
    assert build(folder, tmp_path / "g", *options).exit_code == 0
    said = build(folder, tmp_path / "g", *options, "--corpus", "w0008")
    assert isinstance(said.exception, SindbadError)
    assert "belongs to another build" in said.exception.message


def test_seeds_that_are_no_text_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_bytes(b"\xff\xfe")
    done = CliRunner().invoke(
        app, ["build", "--seeds", str(tmp_path / "seeds.txt"), "--out", str(tmp_path / "g"),
              "--index", str(folder / "index")]
    )  # fmt: skip
    assert done.exit_code == 1
    assert isinstance(done.exception, InvalidInput), done.output
    assert "not UTF-8" in done.exception.message


def test_namesakes_under_addresses_that_end_alike_are_told_apart_and_what_stays_open_is_told(tmp_path: Path) -> None:
    texts = {
        "tavel": "Tavel is a city. Tavel lies in Nofir. Tavel is twinned with Nofir. Tavel is run by Marota.",
        "nofir": "Nofir is a country. Nofir has its capital at Tavel. Nofir shares a border with Tavel.",
        "nofir-company": "Nofir is a company. Nofir has its seat in Tavel. Nofir was founded by Marota.",
        "marota": "Marota is a person. Marota was born in Tavel. Marota works for Nofir.",
    }
    urls = {name: f"https://t.example/en/{name}/overview" for name in texts}
    titles = {name: text.split(" ", 1)[0] for name, text in texts.items()}
    index.build([Page(urls[name], titles[name], text, "en", "t") for name, text in texts.items()], tmp_path / "index")
    (tmp_path / "seeds.txt").write_text("\n".join(urls.values()), "utf-8")
    options = ("--corpus", "t", "--index", str(tmp_path / "index"), "--no-baseline")
    done = build(tmp_path, tmp_path / "g", *options)
    assert done.exit_code == 0, done.output
    graph = load_graph(tmp_path / "g")
    page = {one.entity_id: one.sources[0].url.split("/")[-2] for one in graph.entities}
    assert {(page[edge.subject], edge.relation, page[edge.object]) for edge in graph.edges} == {
        ("tavel", "located_in", "nofir"),
        ("tavel", "mayor", "marota"),
        ("nofir", "capital", "tavel"),
        ("nofir-company", "based_in", "tavel"),
        ("nofir-company", "founder", "marota"),
        ("marota", "born_in", "tavel"),
        ("marota", "works_for", "nofir-company"),
    }
    told = "0 facts lead to pages that were not read, 2 name something of another type than their relation joins"
    assert told in done.output
