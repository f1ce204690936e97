"""The results of benchmarks/learning.py for people: a Markdown table for the README, a page, a chart as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Figure
from sindbad import atomic
from sindbad.evaluation.report import Curve, Fact, Report, Table, write_report

STAGES = {
    "base": "base (English)", "sft": "SFT (Arabic)", "merged": "merged", "rl_sim": "RL, simulated",
    "rl_live": "RL, live",
}  # fmt: skip
LINES = {"resum": "ReSum", "react": "ReAct", "switched": "long-context ReAct, switched to ReSum"}
SETTLED = {
    "rl_sim_gain_points": "RL (simulated) over merged, points",
    "rl_live_gain_points": "RL (simulated, then live) over merged, points",
    "merged_keeps_english_ratio": "merged keeps of the base's English score",
    "merged_keeps_arabic_gain_ratio": "merged keeps of the Arabic gain",
}
Rows = list[list[str]]


def write_page(folder: Path, figures: Mapping[str, Figure], limits: Sequence[int], *, quick: bool) -> None:
    """Write learning.md, learning.html and learning.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    curve = limit_curve(figures, limits)
    note = "A MINIATURE (--quick): these numbers mean nothing. " if quick else ""
    note += f"{figures['seeds']} seeds, {figures['questions_per_seed']} questions each; 95 % intervals."
    atomic.write_text(folder / "learning.md", markdown(figures, limits, note))
    if curve.series:
        atomic.write_text(folder / "learning.svg", curve.svg())
    report = Report(
        title="Sindbad · does it learn?",
        subtitle=note,
        facts=[Fact(text, SETTLED[name]) for name, text, _, _ in settled_rows(figures)],
        tables=[
            Table("Gains", "Intervals over questions (paired, seeds as they are), and over seeds (Student's t).",
                  ["", "value", "over questions", "over seeds"],
                  [[SETTLED[name], *row] for name, *row in settled_rows(figures)]),
            Table("Stages", "Mean over seeds.", ["stage", "success", "95 %", "English", "Arabic"], stage_rows(figures)),
            Table("Context limits", "Every condition trained for equally many steps from the same merged policy.",
                  ["tokens", *LINES.values(), "ReSum − ReAct, points"], limit_rows(figures, limits)),
        ],
        curves=[curve] if curve.series else [],
        limits=["The base agent and the teacher are the same in every seed unless --base-from-scratch was given.",
                "Models of about a million parameters in worlds of templated prose."],
    )  # fmt: skip
    write_report(report, folder / "learning.html")


def limit_curve(figures: Mapping[str, Figure], limits: Sequence[int]) -> Curve:
    """Success over context limit, one line a paradigm, with bands; lines without a point are left out."""
    series = []
    for line, label in LINES.items():
        points = [
            (float(limit), *(_number(figures, f"{line}_{limit}_success{end}") for end in ("", "_low", "_high")))
            for limit in limits
            if f"{line}_{limit}_success" in figures
        ]
        if points:
            x, y, low, high = (list(column) for column in zip(*points, strict=True))
            series.append((label, x, y, low, high))
    note = "Held-out questions; bands are 95 % intervals over questions."
    return Curve("Success by context limit", note, x_label="context limit, tokens", y_label="success", series=series)


def markdown(figures: Mapping[str, Figure], limits: Sequence[int], note: str) -> str:
    """Three tables, as the README shows them."""
    gains = [[SETTLED[name], *row] for name, *row in settled_rows(figures)]
    parts = [
        note,
        _table(["", "value", "over questions", "over seeds"], gains),
        _table(["stage", "success", "95 %", "English", "Arabic"], stage_rows(figures)),
        _table(["context limit", *LINES.values(), "ReSum − ReAct, points"], limit_rows(figures, limits)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def settled_rows(figures: Mapping[str, Figure]) -> Rows:
    """(figure's name, value, interval over questions, interval over seeds) of what the project set itself."""
    rows = []
    for name in SETTLED:
        if name not in figures:
            continue
        ending = "_ratio" if name.endswith("_ratio") else ""
        stem = name.removesuffix(ending)
        show = _percent if ending else _points
        pairs = [[figures[f"{stem}{kind}_{end}{ending}"] for end in ("low", "high")] for kind in ("", "_seeds")]
        rows.append([name, show(figures[name]), *(f"{show(low)} to {show(high)}" for low, high in pairs)])
    return rows


def stage_rows(figures: Mapping[str, Figure]) -> Rows:
    """Success of every stage."""
    return [
        [
            label,
            _percent(figures[f"{name}_success"]),
            f"{_percent(figures[f'{name}_success_low'])} to {_percent(figures[f'{name}_success_high'])}",
            _percent(figures[f"{name}_en_success"]),
            _percent(figures[f"{name}_ar_success"]),
        ]
        for name, label in STAGES.items()
        if f"{name}_success" in figures
    ]


def limit_rows(figures: Mapping[str, Figure], limits: Sequence[int]) -> Rows:
    """Success by context limit."""
    rows = []
    for limit in limits:
        if not any(f"{line}_{limit}_success" in figures for line in LINES):
            continue
        name = f"resum_over_react_{limit}_points"
        bounds = [_points(figures.get(f"{name}{end}")) for end in ("_low", "_high")]
        difference = f"{_points(figures[name])} ({bounds[0]} to {bounds[1]})" if name in figures else "–"
        values = [_percent(figures.get(f"{line}_{limit}_success")) for line in LINES]
        rows.append([str(limit), *values, difference])
    return rows


def _table(header: Sequence[str], rows: Rows) -> str:
    if not rows:
        return ""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def _number(figures: Mapping[str, Figure], name: str) -> float:
    value = figures[name]
    assert isinstance(value, float | int)
    return float(value)


def _known(value: Figure) -> float | None:
    return float(value) if isinstance(value, float | int) and value == value else None


def _percent(value: Figure) -> str:
    known = _known(value)
    return "–" if known is None else f"{known:.1%}"


def _points(value: Figure) -> str:
    known = _known(value)
    return "–" if known is None else f"{known:+.1f}"
