"""A learner's demand is answered by `questions make` over the run that its questions came from."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.questions_graph import film_graph
from sindbad.curation.graph_synthesis import GraphGenerator, GraphSynthesisConfig
from sindbad.errors import DeadlineExceeded, InvalidInput, NotFound, SindbadError
from sindbad.graph.store_write import save_graph
from sindbad.questions.demand import Demand, Want
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.factory import Order, open_any, run
from sindbad.questions.making import MakingConfig
from sindbad.questions.merging import NearDuplicates, statements_of
from sindbad.questions.publishing import publish
from sindbad.questions.question import Question
from sindbad.questions.store import load_questions

CONFIG = MakingConfig(excerpt=ExcerptConfig(min_nodes=10, max_nodes=16))
COUNTS = Demand((Want("count", 2, weight=1.0, why="a test"),), share=1.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A graph, and a run of questions from it."""
    root: Path = tmp_path_factory.mktemp("films")
    save_graph(film_graph(400), root / "graph")
    order = Order(root / "graph", root / "made", 30, CONFIG, seed=4, test_share=0.2, workers=1)
    publish(run(order, stop=lambda: False, progress=lambda *_: None), open_any(order.graph))
    return root / "graph", root / "made"


def config(made: tuple[Path, Path], **more: object) -> GraphSynthesisConfig:
    return GraphSynthesisConfig.model_validate({"graph": made[0], "made": made[1], "questions": 12, **more})


def entities(questions: list[Question]) -> set[str]:
    return {name for item in questions for _, name in item.solution}


@pytest.mark.slow
def test_what_is_made_follows_the_demand_is_new_and_leaves_the_test_entities_alone(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    known, held_out = load_questions(made[1] / "train.jsonl"), load_questions(made[1] / "test.jsonl")
    generate = GraphGenerator(config(made), lambda: known, tmp_path)
    first = list(generate(COUNTS, 7))
    assert Counter(item.kind for item in first) == {"count": len(first)}
    near = NearDuplicates()
    for item in known:
        near.add(item.question_id, statements_of(item))
    assert not [item for item in first if near.find(statements_of(item))]
    assert not entities(first) & entities(held_out)
    assert not {item.subgraph_hash for item in first} & {item.subgraph_hash for item in held_out}
    assert not {item.question_id for item in first} & {item.question_id for item in known}
    known += first
    second = list(generate(COUNTS, 8))
    assert second
    assert not {item.text for item in second} & {item.text for item in first}
    run_file = json.loads((tmp_path / "000008" / "made" / "run.json").read_text())
    assert (run_file["series"], run_file["seed"], run_file["test_share"]) == (9, 4, 0.2)  # the run itself is series 0


def test_graph_and_run_must_be_there_and_belong_together(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--out folder of a finished"):
        GraphGenerator(config((made[0], tmp_path)), list, tmp_path)
    save_graph(film_graph(300), tmp_path / "other")
    with pytest.raises(InvalidInput, match="from another graph"):
        GraphGenerator(config((tmp_path / "other", made[1])), list, tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(InvalidInput, match="holds no run of"):
        GraphGenerator(config((made[0], tmp_path)), list, tmp_path)
    with pytest.raises(NotFound, match=r"synthesis\.index"):
        GraphGenerator(config(made, index=tmp_path / "index"), list, tmp_path)
    asked = [replace(item, world_id="elsewhere") for item in load_questions(made[1] / "train.jsonl")]
    with pytest.raises(InvalidInput, match="asks about elsewhere"):
        GraphGenerator(config(made), lambda: asked, tmp_path)


def test_what_was_looked_up_is_looked_up_again(made: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("run.json", "summary.json"):
        (tmp_path / name).write_bytes((made[1] / name).read_bytes())
    summary = json.loads((tmp_path / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "looked_up": True}))
    with pytest.raises(InvalidInput, match="name the index"):
        GraphGenerator(config((made[0], tmp_path)), list, tmp_path)


def test_a_demand_that_takes_too_long_or_a_stage_that_ends_ends_the_command(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    slow = GraphGenerator(config(made, max_seconds=0.1), list, tmp_path / "slow")
    with pytest.raises(DeadlineExceeded, match=r"raise synthesis\.max_seconds"):
        slow(COUNTS, 1)
    stopped, said = GraphGenerator(config(made), list, tmp_path / "stopped"), list[str]()

    def work() -> None:
        try:
            stopped(COUNTS, 1)
        except SindbadError as error:
            said.append(error.message)

    thread, started = threading.Thread(target=work), time.monotonic()
    thread.start()
    while not (tmp_path / "stopped" / "000001" / "make.log").exists():
        assert time.monotonic() - started < 30
        time.sleep(0.01)
    stopped.close()
    thread.join(30)
    assert len(said) == 1
    assert "was stopped" in said[0]


def test_a_failure_is_told_with_the_commands_last_lines(made: tuple[Path, Path], tmp_path: Path) -> None:
    generate = GraphGenerator(config(made), list, tmp_path)
    demand = Demand((Want("count", 2),), share=1.0)
    object.__setattr__(demand, "share", "much")
    with pytest.raises(SindbadError, match="no demand of `sindbad curate demand`"):
        generate(demand, 1)
