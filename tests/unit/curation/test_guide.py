"""What docs/curation.md shows is what the programs take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from pipelines.stages.rl import RLSettings
from sindbad.cli.curate import app
from sindbad.curation.graph_synthesis import GraphSynthesisConfig
from sindbad.curation.taxonomy import FailureClass

GUIDE = (Path(__file__).resolve().parents[3] / "docs/curation.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ sindbad curate ([^#\n]+)", GUIDE, flags=re.MULTILINE)


def test_the_settings_in_the_guide_are_taken() -> None:
    block, of_a_graph = re.findall(r"```yaml\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert GraphSynthesisConfig.model_validate(yaml.safe_load(of_a_graph)["synthesis"]).questions == 40
    shown = yaml.safe_load(block)["rl_sim"]["settings"]
    settings = RLSettings.model_validate({"grpo": {}, "crew": {"agent": {}}, **shown})
    assert settings.background is not None
    assert settings.synthesis is not None
    assert settings.curator.refresh_every_steps == 50


def test_by_default_neither_runs_beside_training() -> None:
    settings = RLSettings.model_validate({"grpo": {}, "crew": {"agent": {}}})
    assert (settings.background, settings.synthesis, settings.keep_every) == (None, None, 0)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_guide_has_its_options(line: str) -> None:
    name, *rest = line.split()
    commands = typer.main.get_group(app).commands
    known = {option for parameter in commands[name].params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_the_guide_lists_every_cause_in_its_order() -> None:
    assert re.findall(r"^\| `([a-z_]+)` \|", GUIDE, flags=re.MULTILINE) == [cause.value for cause in FailureClass]
