"""Small things that steps write into KFP's artifacts."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.digest import ROOT
from pipelines.stage import Stage
from sindbad import atomic
from sindbad.evaluation.report import Curve, Report, write_report
from sindbad.training.metrics import read_metrics
from sindbad.training.sft import RunPaths
from sindbad.weights.folder import check_model_folder


def log_metrics(artifact: Any, values: Mapping[str, float]) -> None:
    """Show numbers in Kubeflow's UI; NaN is left out (the UI's store has none).

    They are also written to the artifact's file: KFP's local cache takes an artifact without one for lost, and would
    run every step again.
    """
    shown = {name: round(float(value), 6) for name, value in values.items() if math.isfinite(value)}
    for name, value in shown.items():
        artifact.log_metric(name, value)
    Path(artifact.path).parent.mkdir(parents=True, exist_ok=True)
    atomic.write_json(artifact.path, shown)


def resolve_source(source: str) -> Path:
    """A model folder by absolute path or relative to the repository. Raises NotFound or Corrupt."""
    path = ROOT / source
    check_model_folder(path)  # on a cluster nobody looked before this step
    return path


def copy_model(source: Path, target: Path) -> dict[str, float]:
    """Copy a model folder atomically; returns its size."""
    with atomic.new_dir(target) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)
    return {"bytes": float(sum(file.stat().st_size for file in target.rglob("*") if file.is_file()))}


def training_paths(stage: Stage) -> RunPaths:
    """Checkpoints for exactly these settings and this code; metrics where people look for them."""
    return RunPaths(
        stage.scratch("checkpoints"),
        stage.folder("metrics") / f"{stage.name}.jsonl",
        stage.folder("tensorboard", f"{stage.name}-{stage.digest[:12]}"),
    )


def metrics_page(metrics: Path, page: Path, title: str, names: Mapping[str, str]) -> None:
    """A page with one chart a metric, for Kubeflow's UI."""
    rows = read_metrics(metrics)
    curves = []
    for name, label in names.items():
        points = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), (int, float))]
        if points:
            x, y = zip(*points, strict=True)
            curves.append(Curve(label, "", y_label=label, series=[(label, x, y, (), ())]))
    write_report(Report(title, f"{len(rows)} rows of {metrics.name}", curves=curves), page)
