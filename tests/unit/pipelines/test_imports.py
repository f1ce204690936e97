"""Stages run inside a KFP step, where KFP's compiler cannot be imported: they must not need it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pipelines.digest import ROOT, closure
from pipelines.mission import STAGES
from pipelines.recipe import COMPONENTS

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
    assert set(COMPONENTS.values()) == {path.stem for path in FILES} - {"__init__"}
    assert set(STAGES) == set(COMPONENTS)
    components = {path.stem for path in (ROOT / "pipelines" / "components").glob("*.py")}
    assert components == {path.stem for path in FILES}


def test_mission_takes_one_parameter_a_stage_and_the_encyclopedia() -> None:
    from pipelines.mission import mission

    inputs = set(mission.component_spec.inputs)
    assert inputs == {"encyclopedia_uri", *(f"{name}_stage" for name in STAGES)}
