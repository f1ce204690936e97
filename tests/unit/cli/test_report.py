"""`sindbad report`: where a run's page is, for both kinds of run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sindbad.cli.main import app


def shown(run: Path) -> Result:
    return CliRunner().invoke(app, ["report", "--run", str(run)])


@pytest.mark.parametrize("name", ["summary.json", "tune.json"])
def test_a_finished_run_of_either_kind_shows_its_summary_and_its_page(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"corpus": 7}\n')
    result = shown(tmp_path)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == '{"corpus": 7}'
    assert result.stdout.splitlines()[-1] == str(tmp_path / "report.html")


@pytest.mark.parametrize(("argument", "command"), [("encyclopedia_uri", "demo"), ("data_uri", "tune")])
def test_an_unfinished_run_is_gone_on_with_by_its_own_command(argument: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline-arguments.json").write_text(f'{{"{argument}": "/somewhere"}}')
    result = shown(tmp_path)
    assert result.exit_code == 1
    assert f"sindbad {command} --run {tmp_path}" in result.stderr


def test_where_nothing_was_begun_no_run_is_to_be_finished(tmp_path: Path) -> None:
    result = shown(tmp_path / "none")
    assert result.exit_code == 1
    assert result.stderr.startswith("There is no run of")
    assert "finish" not in result.stderr


@pytest.mark.parametrize(
    ("pipeline", "argument"), [("mission", "encyclopedia_uri"), ("translate_and_tune", "data_uri")]
)
def test_both_kinds_are_known_by_an_argument_that_their_pipelines_have(pipeline: str, argument: str) -> None:
    from pipelines.local import load_pipeline

    other = {"encyclopedia_uri", "data_uri"} - {argument}
    assert argument in load_pipeline(pipeline).component_spec.inputs
    assert not other & set(load_pipeline(pipeline).component_spec.inputs)
