"""What a harness wrote, in one form: raw beside normalised accuracy of every task, as the harness computed them.

lm-eval calls them ``acc`` and ``acc_norm`` (some of its tasks have only the first); lighteval's Arabic tasks have one,
``acc``, which is normalised, and :mod:`lighteval_tasks` adds the raw one. Intervals are Wilson's over the items; the
standard errors in the record are the harness's own. Groups are left to their tasks: two means over tasks are told
apart, by items (lm-eval's of ArabicMMLU, AlGhafa) and unweighted (lighteval's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from sindbad.errors import Corrupt
from sindbad.evaluation.harness.benchmarks import Harness
from sindbad.evaluation.metrics import wilson
from sindbad.evaluation.report import Table

RAW_METRIC = "acc_raw"
"""lighteval's raw accuracy, as :mod:`lighteval_tasks` names it."""


@dataclass(frozen=True, slots=True)
class Score:
    """An accuracy and its standard error, as the harness says."""

    value: float
    stderr: float | None


@dataclass(frozen=True, slots=True)
class TaskScores:
    """Of one task. ``normalised`` is None where the task has no such metric."""

    task: str
    items: int
    shots: int
    raw: Score
    normalised: Score | None


@dataclass(frozen=True, slots=True)
class HarnessRun:
    """One benchmark through one harness, and with what it ran."""

    benchmark: str
    harness: Harness
    version: str
    transformers: str
    model: str
    chat_template: str
    tasks: tuple[TaskScores, ...]
    data: dict[str, Any]

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def read_lm_eval(found: Mapping[str, Any]) -> tuple[TaskScores, ...]:
    """Of a ``results_….json``. Raises Corrupt for a file of another form."""
    try:
        groups = {name for name, members in found.get("group_subtasks", {}).items() if members}
        return tuple(
            TaskScores(
                name, int(found["n-samples"][name]["effective"]), int(found["n-shot"][name]),
                _lm_eval_score(scores, "acc"),
                _lm_eval_score(scores, "acc_norm") if "acc_norm,none" in scores else None,
            )
            for name, scores in found["results"].items() if name not in groups
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"lm-eval's results have another form: {error!r}") from error


def _lm_eval_score(scores: Mapping[str, Any], metric: str) -> Score:
    return Score(float(scores[f"{metric},none"]), _number(scores.get(f"{metric}_stderr,none")))


def read_lighteval(found: Mapping[str, Any], items: Mapping[str, int]) -> tuple[TaskScores, ...]:
    """Of a ``results_….json``.

    Args:
        items: of each task; lighteval 0.13 writes -1 into its results, so they are counted in its details.

    Raises:
        Corrupt: a file of another form, or a task whose items are unknown.
    """
    try:
        return tuple(
            TaskScores(
                name.rpartition("|")[0], items[name], int(name.rpartition("|")[2]),
                _lighteval_score(scores, RAW_METRIC), _lighteval_score(scores, _normalised_metric(scores)),
            )
            for name, scores in found["results"].items() if name != "all" and ":_average" not in name
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"lighteval's results have another form: {error!r}") from error


def count_details(out: Path) -> dict[str, int]:
    """Items of every task, as the rows of lighteval's ``details_TASK|SHOTS_DATE.parquet`` below ``out``."""
    import pyarrow.parquet as parquet

    return {
        file.stem.removeprefix("details_").rpartition("_")[0]: parquet.read_metadata(file).num_rows
        for file in sorted(out.rglob("details_*.parquet"))
    }


def _normalised_metric(scores: Mapping[str, Any]) -> str:
    """lighteval writes a metric's parameters behind its name: ``acc:logprob_normalization=…``."""
    names = [name for name in scores if name.partition(":")[0] == "acc" and not name.endswith("_stderr")]
    if len(names) != 1:
        raise KeyError(f"one accuracy among {list(scores)}")
    return names[0]


def _lighteval_score(scores: Mapping[str, Any], metric: str) -> Score:
    return Score(float(scores[metric]), _number(scores.get(f"{metric}_stderr")))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def harness_table(runs: Sequence[HarnessRun]) -> Table:
    """One row a task; with several tasks, both means."""
    rows = []
    for run in runs:
        rows += [[f"{run.harness} {run.version}", *_cells(one)] for one in run.tasks]
        if len(run.tasks) > 1:
            rows += _means(run)
    chat = ", ".join(dict.fromkeys(f"{run.harness} {run.chat_template}" for run in runs))
    note = f"accuracy in per cent as the harness computes it; 95 % Wilson; chat template: {chat}"
    return Table("Through the harnesses", note, ["harness", "task", "items", "shots", "raw", "normalised"], rows)


def _cells(one: TaskScores) -> list[str]:
    scores = [_percent(score, one.items) if score else "–" for score in (one.raw, one.normalised)]
    return [one.task, str(one.items), str(one.shots), *scores]


def _means(run: HarnessRun) -> list[list[str]]:
    total = sum(one.items for one in run.tasks)
    name, shots = f"{run.harness} {run.version}", str(run.tasks[0].shots)
    by_items, plain = [], []
    for kind in ("raw", "normalised"):
        scores: list[Score | None] = [getattr(one, kind) for one in run.tasks]
        values = [score.value for score in scores if score is not None]
        if len(values) < len(scores):
            by_items.append("–")
            plain.append("–")
            continue
        mean = sum(value * one.items for value, one in zip(values, run.tasks, strict=True)) / total
        by_items.append(_percent(Score(mean, None), total))
        plain.append(f"{100 * fmean(values):.1f}")
    return [
        [name, f"{run.benchmark}, by items", str(total), shots, *by_items],
        [name, f"{run.benchmark}, mean of tasks", str(total), shots, *plain],
    ]


def _percent(score: Score, items: int) -> str:
    value = wilson(round(score.value * items), items)
    return f"{100 * score.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"
