"""The whole mission at miniature size, through the real services and KFP's own runner: it is whole, and it resumes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pipelines.recipe import COMPONENTS, load_recipe
from sindbad.evaluation.summary import Summary
from tests.e2e.conftest import FinishedMission
from tests.e2e.missions import RECIPE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MODELS = ("base", "sft", "merged", "rl_sim", "rl_live")


def test_every_stage_runs_once_and_says_how_long_it_may_take_and_took(mission: FinishedMission) -> None:
    assert Counter(mission.began) == dict.fromkeys(COMPONENTS, 1)
    for name in COMPONENTS:
        ended = [line for line in mission.lines if re.search(rf"■ {name}: \d+ s of \d+ s", line)]
        assert len(ended) == 1, name


def test_it_fits_into_four_minutes_of_two_cores(mission: FinishedMission) -> None:
    # Processor time, not wall time: other work on the machine is not the mission's fault.
    assert mission.cpu_seconds < 240, f"{mission.cpu_seconds:.0f} s of processor time in {mission.seconds:.0f} s"


def test_the_summary_has_exactly_the_agreed_fields(mission: FinishedMission) -> None:
    summary = mission.summary
    assert set(summary) == {"stages", "paradigms", "translation", "wall_seconds", "resources"}
    assert list(summary["stages"]) == list(MODELS)
    for stage in summary["stages"].values():
        assert set(stage) == {"success", "ci95", "questions", "by_language"}
        low, high = stage["ci95"]
        assert 0 <= low <= stage["success"] <= high <= 1
        assert stage["questions"] == 8
        assert set(stage["by_language"]) == {"en", "ar"}
        assert stage["success"] == pytest.approx(sum(stage["by_language"].values()) / 2)
    assert {name: list(limits) for name, limits in summary["paradigms"].items()} == {"react": ["256"], "resum": ["256"]}
    assert set(summary["translation"]) == {"chrf", "bleu", "chrf_signature", "bleu_signature"}
    assert "tok:intl" in summary["translation"]["bleu_signature"]
    assert set(COMPONENTS) - {"report"} <= set(summary["wall_seconds"]) <= set(COMPONENTS)
    assert all(seconds > 0 for seconds in summary["wall_seconds"].values())
    assert set(summary["resources"]) == {"peak_rss_bytes", "disk_bytes"}
    Summary.model_validate(summary)


def test_memory_and_disk_are_measured_printed_and_shown(mission: FinishedMission) -> None:
    """Eight services and a step that trains: each loads torch or an index, and none of them needs a workstation."""
    taken = mission.summary["resources"]
    assert 5e8 < taken["peak_rss_bytes"] < 8e9
    assert 1e6 < taken["disk_bytes"] < 1e9
    assert any(re.search(r"at most [\d.]+ GB of memory, [\d,]+ MB of disk", line) for line in mission.lines)
    assert "Memory and disk" in mission.page


def test_the_committed_models_work_so_that_the_numbers_are_no_zeros(
    mission: FinishedMission,
) -> None:
    assert mission.summary["stages"]["base"]["by_language"]["en"] >= 0.25
    assert mission.summary["translation"]["chrf"] > 60


def test_the_page_works_offline_and_reads_arabic_from_right_to_left(mission: FinishedMission) -> None:
    page = mission.page
    assert re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=[\"'](?!data:|#)", page) == []
    assert re.findall(r"@import|url\((?![\"']?(?:data:|#))", page) == []
    arabic = re.findall(r'<[^>]+dir="rtl"[^>]*>', page)
    assert arabic
    assert re.search(r"[\u0600-\u06ff]{3}", page)
    for label in ("base (English)", "SFT (Arabic)", "merged", "RL, simulated", "RL, live", "ReAct", "ReSum", "chrF++"):
        assert label in page
    assert page.count("<svg") >= 4


def test_the_artifacts_are_typed_so_that_kubeflow_shows_them(mission: FinishedMission) -> None:
    titles = Counter(mission.artifacts.values())
    assert set(titles) == {"system.Model", "system.Dataset", "system.Metrics", "system.HTML"}
    models = [uri for uri, title in mission.artifacts.items() if title == "system.Model"]
    assert len(models) == 8  # teacher, compressed, translator, base, tuned, merged, two by RL
    assert all((Path(uri) / "config.json").is_file() for uri in models)
    pages = [uri for uri, title in mission.artifacts.items() if title == "system.HTML"]
    assert all("<html" in Path(uri).read_text("utf-8")[:200].lower() for uri in pages)


def test_checkpoints_lie_outside_the_artifacts(mission: FinishedMission) -> None:
    assert list((mission.run / "checkpoints").glob("rl_sim-*/step-*"))
    assert list((mission.run / "kfp").rglob("optimizer.pt")) == []


def test_the_same_command_again_does_no_stage_again(mission: FinishedMission) -> None:
    assert mission.again == []
    assert mission.again_summary == mission.summary
    assert any("Done in" in line for line in mission.again_lines)
    assert mission.again_seconds < mission.seconds / 2


def test_the_worlds_of_the_questions_are_held_out(mission: FinishedMission) -> None:
    from sindbad.questions.store import load_questions

    worlds = {
        split: {question.world_id for question in load_questions(mission.run / "kfp" / path)}
        for split in ("train", "test")
        for path in (_only(mission.run / "kfp", f"artifacts/*/synthesise-questions/{split}"),)
    }
    settings = load_recipe(RECIPE).encyclopedia
    assert (len(worlds["train"]), len(worlds["test"])) == (settings.train_worlds, settings.test_worlds)
    assert not worlds["train"] & worlds["test"]


def _only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found.relative_to(folder)
