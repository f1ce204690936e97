from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from services.runtime import Settings, run_service
from services.runtime.settings import RuntimeSettings
from sindbad.configuration import override, read_mapping, resolve
from sindbad.errors import InvalidInput
from tests.unit.runtime.echo import EchoSettings, build

ROOT = Path(__file__).parents[3]


class Index(Settings):
    """An engine."""

    kind: Literal["index"] = "index"
    folder: str = ""


class Web(Settings):
    """Another."""

    kind: Literal["web"] = "web"
    address: str = ""


class Example(RuntimeSettings):
    """With a union."""

    source: Annotated[Index | Web, Field(discriminator="kind")] = Index()


def test_a_typo_names_the_nearest_key() -> None:
    with pytest.raises(InvalidInput, match="max_concurency: no such key; did you mean 'max_concurrency'"):
        resolve(Example, {"max_concurency": 3})


def test_a_typo_inside_a_union_names_the_nearest_key_of_the_chosen_member() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'address'"):
        resolve(Example, {"source": {"kind": "web", "adress": "x"}})


def test_every_fault_is_listed() -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve(Example, {"port": 99999, "drain_seconds": "long"})
    assert "port" in caught.value.message
    assert "drain_seconds" in caught.value.message


def test_assignments_go_on_top_and_reach_inside() -> None:
    values = override({"source": {"kind": "web"}}, ["source.address=h:1", "port=7", "token_file=null"])
    settings = resolve(Example, values)
    assert (settings.port, settings.source) == (7, Web(address="h:1"))
    with pytest.raises(InvalidInput, match="not key=value"):
        override({}, ["port"])


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("- 1")
    with pytest.raises(InvalidInput, match="mapping"):
        read_mapping(file)
    with pytest.raises(InvalidInput, match="cannot read"):
        read_mapping(tmp_path / "absent.yaml")


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in RuntimeSettings.model_fields.values())


def test_dry_run_prints_the_resolved_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("greeting: salam\nport: 1")
    run_service("echo", EchoSettings, build, ["--config", str(file), "--set", "port=2", "--dry-run"])
    printed = json.loads(capsys.readouterr().out)
    assert (printed["greeting"], printed["port"]) == ("salam", 2)


def test_a_wrong_configuration_exits_with_78(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_service("echo", EchoSettings, build, ["--set", "greting=x"])
    assert caught.value.code == 78
    assert "did you mean 'greeting'" in capsys.readouterr().err


@pytest.mark.slow
def test_sigterm_drains_a_process_and_it_exits_with_zero(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.supervisor.echo_service"], cwd=ROOT, stderr=output, stdout=output
        )
    try:
        _await_line(log, "echo serves", process)
        process.terminate()
        assert process.wait(15) == 0
    finally:
        process.kill()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert any("draining" in line["message"] for line in lines)


def _await_line(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    import time

    deadline = time.monotonic() + 20
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_value_or_a_file_that_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"\xff")
    for fails in (lambda: override({}, ["a=["]), lambda: read_mapping(tmp_path / "bad.yaml")):
        with pytest.raises(InvalidInput, match="YAML") as told:
            fails()
        assert "\n" not in told.value.message
