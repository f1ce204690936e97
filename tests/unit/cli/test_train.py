"""The training commands resolve recipes without torch, and train, merge and publish for real on tiny models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from sindbad.agent import store
from sindbad.agent.trajectory import Trajectory
from sindbad.cli import evaluate, merge, train
from sindbad.cli.train_questions import question_source
from sindbad.demo.tokenizer import save_tokenizer
from sindbad.errors import SindbadError
from sindbad.training.configuration import RunPaths
from sindbad.training.recipe import GRPOStage, load_recipe
from sindbad.training.recipe_commands import Places
from sindbad.training.rollout import Ticket
from sindbad.weights import WeightStore
from tests.unit.curation.making import ENGLISH
from tests.unit.training.conftest import random_trajectory, tiny_model

RECIPES = Path(__file__).parents[3] / "recipes"
app = typer.Typer()
app.add_typer(train.app, name="train")
app.command()(merge.merge)
app.command()(evaluate.evaluate)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_dry_run_prints_the_resolved_stage() -> None:
    code, output = run("train", "grpo", "--recipe", RECIPES / "resum.yaml", "--dry-run")
    shown = yaml.safe_load(output)
    assert code == 0
    assert shown["grpo"]["advantage"]["normaliser"] == "segment"
    assert shown["grpo"]["rollout"]["group_size"] == 8


def test_a_stage_goes_on_from_the_weights_that_the_stage_before_it_published(tmp_path: Path) -> None:
    places = Places(load_recipe(RECIPES / "websailor_v2.yaml"), RECIPES / "websailor_v2.yaml", tmp_path)
    (named,) = [words[words.index("--model") + 1] for words in places.words(places.recipe.stage("rl_live"))]
    model = tiny_model()
    model.save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    store_ = WeightStore(places.run / "models" / "rl_sim")
    for _ in range(2):
        published = store_.publish(tmp_path / "model")
    assert named == str(store_.root)
    assert train.existing_model(Path(named)) == published.path


def test_an_ambiguous_stage_and_a_missing_model_are_said_in_one_line() -> None:
    code, output = run("train", "sft", "--recipe", RECIPES / "hala.yaml")
    assert code == 1
    assert "translator, sft_350m, sft_700m, sft_1200m, sft_9b" in output
    code, output = run("train", "sft", "--recipe", RECIPES / "hala.yaml", "--stage", "translator")
    assert code == 1
    assert "SINDBAD_SHARED" in output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"background": {}}, "without a curator"),
        ({"synthesis": {"graph": "g", "made": "m"}}, "without a curator"),
        ({"curator": {}, "synthesis": {"graph": "g", "made": "m"}}, "nobody to measure"),
        ({"curator": {}, "background": {}, "synthesis": {"graph": "g", "made": "m"}}, "--out folder of a finished"),
    ],
)
async def test_what_runs_beside_a_learner_needs_a_curator_and_is_checked_before_it_begins(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    stage = GRPOStage.model_validate({"kind": "grpo", "name": "rl", "model": "m", "questions": "q", **given})

    async def episode(ticket: Ticket) -> Trajectory:
        raise AssertionError("nothing is sampled")

    with pytest.raises(SindbadError, match=said):
        async with question_source(stage, [ENGLISH], RunPaths.under(tmp_path, "rl"), tmp_path, episode):
            pass


def test_resolving_a_recipe_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from pathlib import Path; from sindbad.cli import train, merge, evaluate; "
        f"train.resolve(Path({str(RECIPES / 'resum.yaml')!r}), 'grpo', None, False); "
        "print([m for m in ('torch', 'transformers', 'mergekit', 'grpc') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_sft_from_trajectories_publishes_a_version_that_merge_takes(tmp_path: Path) -> None:
    tiny_model().save_pretrained(str(tmp_path / "base"))
    save_tokenizer(tmp_path / "base")
    store.append(tmp_path / "data", [random_trajectory(f"t{i}", "g", 1.0, segments=2) for i in range(40)])
    recipe = {
        "name": "mini", "source": "a test",
        "stages": [{
            "kind": "sft", "name": "mini", "model": str(tmp_path / "base"), "data": str(tmp_path / "data"),
            "sft": {"steps": 6, "checkpoint_every": 3, "log_every": 2, "optimiser": {"lr": 0.01}},
        }],
    }  # fmt: skip
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(recipe))
    code, output = run("train", "sft", "--recipe", tmp_path / "mini.yaml", "--run", tmp_path / "run")
    assert code == 0, output
    current = WeightStore(tmp_path / "run" / "models" / "mini").current()
    assert current is not None
    current.verify()
    code, output = run("merge", tmp_path / "base", current.path, tmp_path / "merged", "-t", "0.25")
    assert code == 0, output
    assert json.loads((tmp_path / "merged" / "merge_report.json").read_text())["t"] == 0.25
    assert "wrote" in output
