from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.figures import check_flat, publish, ratio
from sindbad.errors import InvalidInput

ROOT = Path(__file__).parents[3]


def test_figures_are_written_flat_and_say_whether_they_are_a_miniature(tmp_path: Path) -> None:
    publish({"speed": 1.25, "gain_ratio": math.nan, "model": "tiny"}, quick=True, file=tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "quick": True, "speed": 1.25, "gain_ratio": None, "model": "tiny",
    }  # fmt: skip


def test_a_nested_figure_is_refused() -> None:
    with pytest.raises(InvalidInput, match="by_language"):
        check_flat({"by_language": {"en": 1.0}})  # type: ignore[dict-item]


def test_a_ratio_must_be_a_number() -> None:
    with pytest.raises(InvalidInput, match="speed_ratio"):
        check_flat({"speed_ratio": "0.9"})


def test_a_ratio_to_nothing_is_not_a_number() -> None:
    assert math.isnan(ratio(1.0, 0.0))


def test_the_standard_library_s_platform_is_found_from_beside_the_benchmark_of_that_name() -> None:
    code = "import platform; assert platform.machine(); print(platform.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True
    )
    assert not found.stdout.startswith(str(ROOT / "benchmarks"))
