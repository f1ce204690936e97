"""Both folders run under vLLM's own interpreter, and the report tells their rates; what fails says its last words."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from sindbad.errors import DeadlineExceeded, EngineFailure, NotFound
from sindbad.quantize.throughput import PYTHON_VARIABLE, measure_throughput, vllm_python

SCRIPT = """#!/bin/sh
folder=$3; out=$5  # behind -P and the worker: FOLDER --out FILE
case "$folder" in
  *broken) echo "first" >&2; echo "no such kernel" >&2; exit 3;;
  *slow) sleep 60;;
  *eight) echo "a line of vLLM"; echo '{"tokens_per_second": 300.0, "outputs": [[1, 2], [3, 4]]}' > "$out";;
  *) echo '{"tokens_per_second": 200.0, "outputs": [[1, 9], [5, 4]]}' > "$out";;
esac
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An environment that looks like vLLM's; its interpreter answers by the folder's name."""
    (tmp_path / "lib" / "python3.11" / "site-packages" / "vllm").mkdir(parents=True)
    script = tmp_path / "bin" / "python"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def test_the_rates_of_both_and_their_ratio(tmp_path: Path, python: Path) -> None:
    found = measure_throughput(tmp_path / "plain", tmp_path / "eight", python)
    assert (found.original, found.quantised, found.ratio, found.same_first) == (200.0, 300.0, 1.5, 0.5)


def test_what_vllm_says_last_is_told(tmp_path: Path, python: Path) -> None:
    with pytest.raises(EngineFailure, match=r"(?s)exit 3.*no such kernel"):
        measure_throughput(tmp_path / "plain", tmp_path / "broken", python)
    with pytest.raises(DeadlineExceeded, match="slow"):
        measure_throughput(tmp_path / "slow", tmp_path / "eight", python, deadline_seconds=0.3)


def test_without_vllm_the_installer_is_named(tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))
    assert vllm_python() == python
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "python"))
    with pytest.raises(NotFound, match=rf"scripts/install\.sh vllm.*{PYTHON_VARIABLE}"):
        vllm_python()


def test_the_worker_names_nothing_of_ours() -> None:
    text = (Path(__file__).parents[3] / "sindbad" / "quantize" / "vllm_worker.py").read_text("utf-8")
    assert "import sindbad" not in text
    assert "from sindbad" not in text
    assert json.dumps("tokens_per_second") in text
