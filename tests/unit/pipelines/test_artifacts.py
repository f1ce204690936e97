"""What steps write into KFP's artifacts."""

from __future__ import annotations

import json
import math
from pathlib import Path

from pipelines.artifacts import copy_model, log_metrics, read_metrics


class Recorder:
    """As much of KFP's Metrics as a step uses."""

    def __init__(self, path: Path) -> None:
        self.path, self.metadata = str(path), dict[str, float]()

    def log_metric(self, name: str, value: float) -> None:
        self.metadata[name] = value


def test_metrics_are_shown_and_stand_in_a_file_without_which_kfp_would_not_cache_the_step(tmp_path: Path) -> None:
    artifact = Recorder(tmp_path / "step" / "metrics")
    log_metrics(artifact, {"success": 0.12345678, "validation_loss": math.nan, "questions": 8})
    assert artifact.metadata == {"success": 0.123457, "questions": 8}
    assert json.loads((tmp_path / "step" / "metrics").read_text()) == artifact.metadata


def test_a_half_written_last_row_of_a_killed_writer_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rl.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [row["step"] for row in read_metrics(path)] == [1, 2]
    assert read_metrics(tmp_path / "missing.jsonl") == []


def test_a_model_is_copied_whole_and_over_an_older_one(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "out" / "model"
    source.mkdir()
    (source / "config.json").write_text("{}")
    target.mkdir(parents=True)
    (target / "stale.txt").write_text("old")
    assert copy_model(source, target) == {"bytes": 2.0}
    assert [path.name for path in target.iterdir()] == ["config.json"]
    assert [path.name for path in target.parent.iterdir()] == ["model"]
