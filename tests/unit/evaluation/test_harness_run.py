"""lm-eval and lighteval themselves on twenty real items, and the names that they register.

Needs `scripts/install.sh lm-eval lighteval` (`make test-harness`); skipped, and said so, without them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sindbad.errors import NotFound
from sindbad.evaluation.harness.benchmarks import BENCHMARKS, Harness
from sindbad.evaluation.harness.environment import find_python, package_folder
from sindbad.evaluation.harness.rows import DEFAULT_SUBSET
from sindbad.evaluation.harness.run import Source, run_harness
from sindbad.evaluation.harness.tasks import Asked, lm_eval_files
from tests.shared import ROOT, shared

pytestmark = pytest.mark.slow
MODEL = ROOT / "sindbad" / "demo" / "models" / "base-agent"
NAMES = """
import json
import lighteval.tasks.multilingual.tasks.arabic as arabic
print(json.dumps([config.name for config in arabic.TASKS_TABLE]))
"""


def python(harness: Harness) -> Path:
    try:
        return find_python(harness)
    except NotFound as error:
        pytest.skip(error.message)


@pytest.mark.parametrize("name", ["alghafa", "arabicmmlu", "arabic_exams", "acva"])
def test_the_installed_lm_eval_has_every_subset(name: str) -> None:
    package = package_folder(Harness.LM_EVAL, python(Harness.LM_EVAL))
    assert package is not None
    wanted = BENCHMARKS[name].subsets or (DEFAULT_SUBSET,)
    assert set(wanted) <= lm_eval_files(package, BENCHMARKS[name]).keys()


def test_the_installed_lighteval_registers_every_name() -> None:
    done = subprocess.run(
        [str(python(Harness.LIGHTEVAL)), "-c", NAMES], check=True, capture_output=True, timeout=240, text=True
    )
    registered = set(json.loads(done.stdout.splitlines()[-1]))
    assert {task for one in BENCHMARKS.values() for task in one.tasks(Harness.LIGHTEVAL)} <= registered


@pytest.mark.timeout(600)
@pytest.mark.parametrize("harness", list(Harness))
def test_a_harness_asks_its_own_task_about_twenty_real_items(harness: Harness, tmp_path: Path) -> None:
    asked = Asked(MODEL, chat=False, first=20)
    run = run_harness(
        BENCHMARKS["arabic_exams"], harness, asked, Source(shared("data", "arabic_eval", "exams_ar.jsonl.gz")),
        python=python(harness), keep=tmp_path, deadline_seconds=540.0,
    )  # fmt: skip
    (scores,) = run.tasks
    assert (scores.task, scores.items, scores.shots) == ("arabic_exams", 20, 0)
    assert scores.normalised is not None
    for score in (scores.raw, scores.normalised):
        assert 0.0 <= score.value <= 1.0
        assert (20 * score.value) == pytest.approx(round(20 * score.value))
    assert sorted(path.name for path in MODEL.iterdir() if path.is_dir()) == []  # nothing is written beside the model
