"""Stages run inside a KFP step, where KFP's compiler cannot be imported: they must not need it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pipelines import recipe, tune_recipe
from pipelines.digest import ROOT, closure
from pipelines.mission import STAGES

FILES = sorted((ROOT / "pipelines" / "stages").glob("*.py"))


def imported(path: Path) -> set[str]:
    """First parts of all modules that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_that_a_stage_reaches_imports_kfp(path: Path) -> None:
    reached = closure(f"pipelines.stages.{path.stem}")
    assert path in reached
    assert [str(file.relative_to(ROOT)) for file in reached if imported(file) & {"kfp", "kubernetes"}] == []


def test_every_stage_has_its_file_and_every_file_its_stage() -> None:
    used = {*recipe.COMPONENTS.values(), *tune_recipe.COMPONENTS.values()}
    assert used == {path.stem for path in FILES} - {"__init__"}
    assert set(STAGES) == set(recipe.COMPONENTS)
    components = {path.stem for path in (ROOT / "pipelines" / "components").glob("*.py")}
    assert components == {path.stem for path in FILES}


def test_mission_takes_one_parameter_a_stage_and_the_encyclopedia() -> None:
    from pipelines.mission import mission

    inputs = set(mission.component_spec.inputs)
    assert inputs == {"encyclopedia_uri", *(f"{name}_stage" for name in STAGES)}


def test_translate_and_tune_takes_one_parameter_a_stage_and_the_data() -> None:
    from pipelines.translate_and_tune import translate_and_tune

    inputs = set(translate_and_tune.component_spec.inputs)
    assert inputs == {"data_uri", *(f"{name}_stage" for name in tune_recipe.COMPONENTS)}
