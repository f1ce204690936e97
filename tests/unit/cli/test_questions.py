"""`questions make`: what a user gets wrong is one sentence, before anything is made; what no tool finds is not kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.demo.world import build_world
from sindbad.errors import InvalidInput, NotFound
from sindbad.graph.build import build_graph
from sindbad.questions.reach import out_of_reach
from sindbad.questions.store import load_questions
from sindbad.retrieval import index
from sindbad.tools.environment import Scope
from sindbad.tools.simulated import simulated_environment


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("--mix", "foo:3=1", "'chain'"),
        ("--mix", "constraint", "is not like"),
        ("--mix", "constraint:3=x", "mix.constraint.3"),
        ("--difficulty", "x:", "min_difficulty"),
        ("--languages", "en,fr", "'fr'"),
        ("--only", "tets", "not 'tets'"),
        ("--config", b"\xff", "is not YAML"),
        ("--config", b"a: [", "is not YAML"),
        ("--config", b"excerp: {}", "did you mean 'excerpt'"),
        ("--config", None, "cannot read"),
        ("--demand", b'{"wants": [{"knd": 1}]}', "no demand"),
        ("--demand", b"[]", "must hold a mapping"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_makes_nothing(
    tmp_path: Path, option: str, given: str | bytes | None, said: str
) -> None:
    value = given if isinstance(given, str) else str(tmp_path / "given")
    if isinstance(given, bytes):
        (tmp_path / "given").write_bytes(given)
    words = ["--graph", str(tmp_path), "--out", str(tmp_path / "out"), "--count", "3", option, value]
    done = CliRunner().invoke(app, ["questions", "make", *words])
    assert done.exit_code == 1
    assert isinstance(done.exception, InvalidInput), done.output
    assert said in done.exception.message
    assert "\n" not in done.exception.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("beside", "said"), [(("--mix", "count:2=1"), "--config holds --mix"), (("--structural",), "holds --structural")]
)
def test_an_option_that_the_configuration_would_hide_is_refused(
    tmp_path: Path, beside: tuple[str, ...], said: str
) -> None:
    (tmp_path / "c.yaml").write_text("{}")
    words = [
        "--graph",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--count",
        "3",
        "--config",
        str(tmp_path / "c.yaml"),
    ]
    done = CliRunner().invoke(app, ["questions", "make", *words, *beside])
    assert isinstance(done.exception, InvalidInput), done.output
    assert said in done.exception.message


def test_with_an_index_only_what_the_tools_bring_up_is_kept(tmp_path: Path) -> None:
    world = build_world(11, 60)
    pages = [page for language in ("en", "ar") for page in world.pages(language)]
    index.build(pages, tmp_path / "all")
    gone = {entity.slug for entity in world.entities[::3]}
    left = [page for page in world.pages("en") if not any(page.url.endswith(name) for name in gone)]
    assert 0 < len(left) < len(world.pages("en"))
    index.build(left, tmp_path / "some")
    tools, scope = simulated_environment(tmp_path / "all"), Scope(world.world_id, "en")
    graph = asyncio.run(build_graph(tools, [world.entities[0].names["en"]], scope)).graph
    graph.save(tmp_path / "graph.jsonl")
    words = ["questions", "make", "--graph", str(tmp_path / "graph.jsonl"), "--count", "8", "--workers", "1",
             "--test-share", "0", "--mix", "constraint:2=1,chain:1=1,reverse:1=1"]  # fmt: skip
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out"), "--index", str(tmp_path / "some")])
    assert done.exit_code == 0, done.output
    assert "were not and are not kept" in done.output
    kept = load_questions(tmp_path / "out" / "train.jsonl")
    assert {question.language for question in kept} == {"en"}  # the index holds no Arabic page
    assert asyncio.run(out_of_reach(kept, graph, tmp_path / "some")) == []
    assert "the tools bring up every clue" in (tmp_path / "out" / "report.md").read_text("utf-8")
    rejected = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    beyond = [row for row in rejected if row["reason"] == "out_of_reach"]
    assert all("does not bring up" in row["detail"] for row in beyond)
    assert {row["text"].isascii() for row in beyond} == {True, False}  # English ones, too
    refused = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "no"), "--index", str(tmp_path / "nowhere")])
    assert isinstance(refused.exception, NotFound)
    assert not (tmp_path / "no").exists()
