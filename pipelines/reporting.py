"""What a finished mission says: the summary for machines and the page for people, from the same outcomes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.outcomes import Outcomes
from pipelines.stage import wall_seconds
from sindbad.agent.trajectory import Trajectory
from sindbad.evaluation.metrics import Interval, wilson
from sindbad.evaluation.report import Curve, Fact, Report, Table
from sindbad.evaluation.report.environments import (
    Decided,
    decided_curve,
    decided_table,
    gap_table,
    mixed,
    read_decided,
)
from sindbad.evaluation.summary import ResourceSummary, Summary, TranslationSummary
from sindbad.evaluation.tables import p_value, points
from sindbad.judging.agreement import Agreement
from sindbad.supervisor.resources import disk_bytes, read_peak
from sindbad.tools.gap import read_gap
from sindbad.training.metrics import read_metrics

STAGES = {
    "base": "base (English)",
    "sft": "SFT (Arabic)",
    "merged": "merged",
    "rl_sim": "RL, simulated",
    "rl_live": "RL, live",
}


def mission_summary(run: Path, found: Mapping[str, Outcomes], scores: Mapping[str, Any]) -> Summary:
    """The machine-readable end of a run."""
    react, resum = found["react"], found["rl_live"]
    return Summary(
        stages={name: found[name].summary for name in STAGES},  # type: ignore[misc]
        paradigms={
            "react": {str(react.context_limit): react.summary.success},
            "resum": {str(resum.context_limit): resum.summary.success},
        },
        translation=TranslationSummary(
            chrf=scores["chrf"],
            bleu=scores["bleu"],
            chrf_signature=scores["chrf_signature"],
            bleu_signature=scores["bleu_signature"],
        ),
        wall_seconds=wall_seconds(run),
        resources=_resources(run),
    )


def _resources(run: Path) -> ResourceSummary | None:
    peak = read_peak(run)
    return None if peak is None else ResourceSummary(peak_rss_bytes=peak, disk_bytes=disk_bytes(run))


def mission_report(
    run: Path, found: Mapping[str, Outcomes], summary: Summary, scores: Mapping[str, Any], agreement: Agreement
) -> Report:
    """The page's data."""
    last, merged = found["rl_live"], found["merged"]
    gain = last.gain_over(merged)
    paradigm, limit = last.gain_over(found["react"]), last.context_limit
    return Report(
        title=f"Sindbad · run “{run.name}”",
        subtitle="From a bilingual teacher to a research agent trained with ReSum-GRPO: every step below ran on this "
        "machine, through real services and one Kubeflow pipeline under KFP's local runner.",
        facts=[
            Fact(f"{last.summary.success:.0%}", "of held-out questions answered after RL", _interval(last)),
            Fact(f"{gain.value * 100:+.0f} points", "RL over the merged policy", _points(gain)),
            Fact(f"{paradigm.value * 100:+.0f} points", f"ReSum over ReAct, {limit} tokens", _points(paradigm)),
            Fact(f"{scores['chrf']:.1f}", "chrF++, light translator", f"BLEU {scores['bleu']:.1f}, held-out worlds"),
        ],
        tables=[
            _stage_table(found), _paired_table(found), _kind_table(found), *_environment_tables(run),
            _judge_table(agreement), _corpus_table(run), _time_table(run), *_resource_tables(summary),
        ],
        curves=[*_training_curves(run), *_environment_curves(run), _stage_chart(found), _paradigm_chart(found)],
        trajectories=_to_read(found),
        limits=_limits(last),
        footer=f"{scores['chrf_signature']} · {scores['bleu_signature']} · "
        "intervals: Wilson for rates, paired bootstrap for differences.",
    )  # fmt: skip


def _points(difference: Interval) -> str:
    return f"95 % CI {difference.low * 100:+.0f} to {difference.high * 100:+.0f}, paired"


def _interval(outcomes: Outcomes) -> str:
    low, high = outcomes.summary.ci95
    return f"95 % CI {low:.0%} to {high:.0%}, {outcomes.summary.questions} questions"


def _stage_table(found: Mapping[str, Outcomes]) -> Table:
    rows = []
    for name, label in STAGES.items():
        outcomes = found[name]
        low, high = outcomes.summary.ci95
        by = outcomes.summary.by_language
        rows.append([
            label, f"{outcomes.summary.success:.1%}", f"{low:.1%} – {high:.1%}", f"{by.get('en', 0):.1%}",
            f"{by.get('ar', 0):.1%}", f"{outcomes.mean('tool_calls'):.1f}", f"{outcomes.mean('summaries'):.1f}",
        ])  # fmt: skip
    header = ["stage", "success", "95 % interval", "English", "Arabic", "tool calls", "summaries"]
    note = "The same held-out questions, over worlds that no stage was trained on; ReSum, sampled as its authors do."
    return Table("Before and after", note, header, rows)


def _paired_table(found: Mapping[str, Outcomes]) -> Table:
    """Could it be luck? Exact tests on the questions on which two agents differ."""
    against = (("RL, live over merged", "rl_live", "merged"), ("ReSum over ReAct", "rl_live", "react"))
    rows = [
        [label, group, points(test.difference), str(test.discordant), f"{test.better} / {test.worse}",
         p_value(test.p_mcnemar)]
        for label, after, before in against
        for group, test in found[after].tests_against(found[before]).items()
    ]  # fmt: skip
    note = "The same questions, one attempt each; points with 95 % interval, exact McNemar test, unadjusted."
    header = ["comparison", "questions of", "difference", "discordant", "better / worse", "p"]
    return Table("Paired tests", note, header, rows)


def _kind_table(found: Mapping[str, Outcomes]) -> Table:
    first, last = found["merged"], found["rl_live"]
    rows = []
    for key in ("kind", "hops", "termination"):
        before, after = first.by(key), last.by(key)
        if key == "termination":
            continue
        for name in sorted({*before, *after}):
            count = sum(str(record[key]) == name for record in last.records)
            rows.append([f"{key} {name}", str(count), f"{before.get(name, 0):.1%}", f"{after.get(name, 0):.1%}"])
    return Table(
        "By kind of question", "Merged against the end of RL.", ["questions", "count", "merged", "RL, live"], rows
    )


def _judge_table(agreement: Agreement) -> Table:
    rows = [[name.replace("_", " "), f"{value:.3g}"] for name, value in agreement.to_record().items()]
    note = (
        "The rule (normalised exact match) decides every verdict here. A tiny language model, trained by our script, "
        "was asked for its opinion on the same answers; this is how far the two agree."
    )
    return Table("Two judges", note, ["rule and model", "value"], rows)


def _corpus_table(run: Path) -> Table:
    path = run / "corpus" / "waterfall.json"
    waterfall = json.loads(path.read_text("utf-8")) if path.exists() else {}
    rows = [[part, reason, str(count)] for part, drops in waterfall.items() for reason, count in drops.items()]
    note = "Translated instructions and trajectories that were dropped, by reason; the ledger holds every attempt."
    return Table("Dropped in translation", note, ["part", "reason", "count"], rows or [["nothing", "", "0"]])


def _time_table(run: Path) -> Table:
    times = wall_seconds(run)
    rows = [[name, f"{seconds:.0f} s"] for name, seconds in times.items()]
    rows.append(["all stages", f"{sum(times.values()):.0f} s"])
    return Table("Wall time", "By stage; attempts of an interrupted stage are added up.", ["stage", "time"], rows)


def _environment_tables(run: Path) -> list[Table]:
    """Nothing where no stage mixed environments and no gap was measured."""
    tables = [decided_table(stage, steps) for stage, steps in _mixed_stages(run).items()]
    gaps = {file.stem: read_gap(file) for file in sorted((run / "gaps").glob("*.json"))}
    return [*tables, gap_table(gaps)] if gaps else tables


def _environment_curves(run: Path) -> list[Curve]:
    return [decided_curve(stage, steps) for stage, steps in _mixed_stages(run).items()]


def _mixed_stages(run: Path) -> dict[str, list[Decided]]:
    """What was decided in every step of the stages that mixed; of a stage that ran anew, its last run."""
    found: dict[str, list[Decided]] = {}
    for folder in sorted((run / "trajectories").glob("*-*"), key=lambda path: path.stat().st_mtime):
        steps = [read_decided(step) for step in sorted(folder.glob("step-*"))]
        if mixed(steps):
            found[folder.name.rpartition("-")[0]] = steps
    return found


def _resource_tables(summary: Summary) -> list[Table]:
    if summary.resources is None:
        return []
    rows = [
        ["peak memory", f"{summary.resources.peak_rss_bytes / 1e9:.2f} GB"],
        ["disk of the run", f"{summary.resources.disk_bytes / 1e6:,.0f} MB"],
    ]
    note = "Resident memory of all processes together, sampled once a second; pages that they share count for each."
    return [Table("Memory and disk", note, ["what", "size"], rows)]


def _training_curves(run: Path) -> list[Curve]:
    curves = []
    for stage, label in (("rl_sim", "RL in the simulated environment"), ("rl_live", "RL in the live environment")):
        rows = read_metrics(run / "metrics" / f"{stage}.jsonl")
        if rows:
            note = "Share of correct rollouts a step, moving average of 5; band: 95 % interval of the window."
            curves.append(Curve(label, note, x_label="learner step", y_label="success", series=[_smoothed(rows)]))
    return curves


def _smoothed(rows: Sequence[Mapping[str, Any]]) -> tuple[str, list[float], list[float], list[float], list[float]]:
    steps, middle, low, high = [], [], [], []
    for index, row in enumerate(rows):
        window = rows[max(0, index - 4) : index + 1]
        count = sum(int(item["trajectories"]) for item in window)
        solved = sum(item["success"] * item["trajectories"] for item in window)
        interval = wilson(round(solved), count)
        steps.append(float(row["step"]))
        middle.append(interval.value)
        low.append(interval.low)
        high.append(interval.high)
    return "success", steps, middle, low, high


def _stage_chart(found: Mapping[str, Outcomes]) -> Curve:
    bars = []
    for language, label in (("en", "English"), ("ar", "Arabic")):
        values, intervals = [], []
        for name in STAGES:
            own = [record["success"] for record in found[name].records if record["language"] == language]
            interval = wilson(round(sum(own)), len(own))
            values.append(interval.value)
            intervals.append((interval.low, interval.high))
        bars.append((label, values, intervals))
    note = "The base is an English agent, SFT is tuned on translated trajectories, merged is their SLERP."
    return Curve(
        "Success by stage and language",
        note,
        y_label="success",
        groups=["base", "SFT", "merged", "RL sim", "RL live"],
        bars=bars,
    )


def _paradigm_chart(found: Mapping[str, Outcomes]) -> Curve:
    bars = []
    for name, label in (("react", "ReAct"), ("rl_live", "ReSum")):
        by_hops: dict[str, list[float]] = {}
        for record in found[name].records:
            by_hops.setdefault(str(record["hops"]), []).append(record["success"])
        groups = sorted(by_hops)
        intervals = [wilson(round(sum(by_hops[group])), len(by_hops[group])) for group in groups]
        bars.append((label, [i.value for i in intervals], [(i.low, i.high) for i in intervals]))
    limit = found["react"].context_limit
    note = f"The same weights and limit ({limit} tokens): ReAct ends when it is full, ReSum restarts from a summary."
    return Curve(
        "ReAct beside ReSum, by hops", note, y_label="success", groups=[f"{group} hops" for group in groups], bars=bars
    )


def _to_read(found: Mapping[str, Outcomes]) -> list[tuple[str, Trajectory]]:
    """One solved attempt with a summary and one failed attempt a language."""
    chosen = []
    for language in ("ar", "en"):
        own = [item for item in found["rl_live"].trajectories() if item.language == language]
        solved = sorted(
            (item for item in own if item.reward), key=lambda item: (-min(item.summaries, 1), -item.tool_calls)
        )
        failed = sorted((item for item in own if not item.reward), key=lambda item: -item.tool_calls)
        chosen += [("after RL", item) for item in (*solved[:2], *failed[:1])]
    return chosen


def _limits(last: Outcomes) -> list[str]:
    return [
        "One seed: intervals are over questions, not over training runs. benchmarks/learning.py runs several seeds.",
        "A model of a million parameters in a synthetic encyclopedia of templated prose: what is shown is that the "
        "recipe works end to end, not how well a real model does on real pages.",
        "The translator knows the demo's domain only; its score says nothing about open text.",
        f"One context limit ({last.context_limit} tokens); benchmarks/learning.py runs a curve of limits.",
    ]
