"""The data-policy loop beside real training: services, the real stage, background sampling and targeted synthesis."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from pipelines.pool import write_pool
from pipelines.stage import Stage
from pipelines.stages.rl import train
from sindbad.cli.questions import app as questions
from sindbad.cli.train import app
from sindbad.curation.outcomes import oldest_weights
from sindbad.curation.runs import attempts, find_stage, tally_of
from sindbad.curation.state import Outcome
from sindbad.demo.sampler import sample_question
from sindbad.demo.world import build_world
from sindbad.graph.build import build_graph
from sindbad.languages import LANGUAGES
from sindbad.retrieval.index import build as build_index
from sindbad.supervisor import Supervisor, default_specs
from sindbad.tools.environment import Scope
from sindbad.tools.simulated import simulated_environment

MODEL = Path("sindbad/demo/models/base-agent").resolve()
STEPS, POOL = 6, 24


def settings() -> dict[str, Any]:
    agent = {
        "paradigm": "resum", "context_limit": 256, "headroom_tokens": 100, "max_summary_tokens": 96,
        "max_tool_calls": 6, "max_turns": 8, "max_turn_tokens": 80, "max_observation_tokens": 120,
        "tool_deadline_seconds": 30, "turn_deadline_seconds": 60,
    }  # fmt: skip
    rollout = {"groups": 3, "group_size": 4, "in_flight": 8}
    return {
        "crew": {"agent": agent},
        "grpo": {"steps": STEPS, "minibatches": 1, "rollout": rollout, "optimiser": {"lr": 1e-5}},
        "curator": {"refresh_every_steps": 2},
        "background": {"share": 1.0, "attempts": 2, "in_flight": 4},
        "synthesis": {
            "questions": 6, "worlds": 1, "synthesis": {"questions": 6, "subgraph_attempts": 200},
            "demand": {"min_attempts": 2},
        },
        "keep_every": 3,
    }  # fmt: skip


def prepare(run: Path) -> Path:
    """An index and a graph of one world; a pool of which only the first six are known to be moderate."""
    world = build_world(930_002, 40)
    build_index((page for code in LANGUAGES for page in world.pages(code)), run / "index")
    tools = simulated_environment(run / "index")
    first = world.name(world.entities[0].entity_id, "en")
    built = asyncio.run(build_graph(tools, [first], Scope(world.world_id, "en")))
    (run / "graph").mkdir()
    built.graph.save(run / "graph" / f"{world.world_id}.jsonl")
    rng = random.Random(1)
    asked = [replace(sample_question(world, "en", rng), question_id=f"q{number}") for number in range(POOL)]
    write_pool(run / "pool", asked, [Outcome(q.question_id, 4, 2 if n < 6 else 0) for n, q in enumerate(asked)], 1)
    return run / "pool"


RECIPE = """
name: curated
source: a test
stages:
  - kind: grpo
    name: policy
    model: {model}
    questions: {questions}
    prompts: demo
    agent: {agent}
    grpo: {{steps: 8, minibatches: 1, rollout: {{groups: 2, group_size: 4, in_flight: 8}}, optimiser: {{lr: 1.0e-5}}}}
    curator: {{refresh_every_steps: 2}}
    profile_attempts: 4
    background: {{share: 1.0, attempts: 2, in_flight: 4}}
    synthesis: {{graph: {graph}, made: {made}, questions: 6, demand: {{min_attempts: 2}}}}
"""
MAKING = {
    "languages": ["en"],
    "excerpt": {"min_nodes": 6, "max_nodes": 12},
    "synthesis": {"mix": {"chain": {1: 1, 2: 1}, "reverse": {1: 1, 2: 1}}},
}


def make_questions(run: Path) -> tuple[Path, Path]:
    """The run's graph, and a run of `questions make` over it."""
    graph, made = next((run / "graph").iterdir()), run / "made"
    (run / "making.yaml").write_text(yaml.safe_dump(MAKING), "utf-8")
    words = {"graph": graph, "out": made, "count": 10, "config": run / "making.yaml", "workers": 1}
    options = [part for name, value in words.items() for part in (f"--{name}", str(value))]
    done = CliRunner().invoke(questions, ["make", *options])
    assert done.exit_code == 0, done.output
    return graph, made


@pytest.mark.slow
def test_train_grpo_profiles_its_pool_first_then_samples_it_and_lets_it_grow_while_it_trains(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pool = prepare(run)
    recipe = tmp_path / "recipe.yaml"
    agent = json.dumps(settings()["crew"]["agent"])
    graph, made = make_questions(run)
    given = {"questions": pool / "questions.jsonl", "agent": agent, "graph": graph, "made": made}
    recipe.write_text(RECIPE.format(model=MODEL, **given), "utf-8")

    async def work() -> Result:
        async with Supervisor(run, default_specs(["search", "policy", "summarizer", "judge"])):
            command = ["grpo", "--recipe", str(recipe), "--run", str(run)]
            return await asyncio.to_thread(CliRunner().invoke, app, command)

    told = asyncio.run(work())
    assert told.exit_code == 0, told.output
    assert f"of {POOL} questions are solved sometimes" in told.output
    curated = find_stage(run, "policy")
    state = curated.state()
    assert len(state.measured) >= POOL
    assert 0 < len(state.active) < POOL
    assert state.last_step == 7
    reasons = [item.reason for item in curated.datasets.log()]
    assert [reason for reason in reasons if reason != "synthesis"] == ["profile", *["steps"] * 4]
    assert "synthesis" in reasons, told.output
    joined = {item.question_id for item in curated.questions()[POOL:]}
    assert joined == set(state.extended)
    assert all("-train-0s" in name for name in joined), "not of a series of the run that was named"
    assert list(attempts(run / "trajectories" / "policy" / "background"))
    stored = run / "trajectories" / "policy"
    assert sorted(path.name for path in stored.glob("step-*")) == [f"step-{number:05d}" for number in range(8)]
    newest, all_of_them = tally_of(stored, curated.questions(), 2)[0], tally_of(stored, curated.questions())[0]
    assert newest.judged == all_of_them.judged - 6 * 8


@pytest.mark.slow
def test_all_of_d_is_sampled_and_grows_by_what_fails_while_training_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pool = prepare(run)
    stage = Stage("rl_sim", str(run), 300.0, settings(), "0" * 64)

    async def work() -> dict[str, float]:
        async with Supervisor(run, default_specs(["search", "policy", "summarizer", "judge"])):
            return await train(stage.to_json(), str(MODEL), str(pool), str(run / "out"), str(run / "page.html"))

    figures = asyncio.run(work())
    assert figures["steps"] == STEPS
    curated = find_stage(run, None)
    state, log = curated.state(), curated.datasets.log()
    assert curated.stage == "rl_sim"
    reasons = [item.reason for item in log]
    assert reasons[0] == "profile"
    assert reasons.count("steps") == STEPS // 2
    assert "synthesis" in reasons
    assert [item.parent for item in log] == [None, *(item.number for item in log[:-1])]
    assert len(state.pool) == POOL + len(state.extended) > POOL
    assert curated.questions()[POOL:] == tuple(
        item for item in curated.questions() if item.question_id in state.extended
    )
    beside = list(attempts(curated.run / "trajectories" / curated.writer / "background"))
    trained = STEPS * 12
    assert 0 < len(beside) <= trained
    assert max(oldest_weights([one]) for one in beside) > 1, "no intermediate checkpoint was sampled"
    assert max(state.measured.values()) > 1
    snapshots = sorted(path.name for path in (run / "snapshots" / "rl_sim").iterdir())
    assert snapshots == ["step-00003", "step-00006"]
