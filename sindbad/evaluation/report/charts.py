"""Charts of the report as inline SVG (matplotlib, text kept as text so that the page stays searchable)."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GRID = "#24303c", "#dfe5ea"
COLOURS = ("#0b6e99", "#d9730d", "#448361", "#9065b0", "#c14c8a")


def line_chart(
    series: Sequence[tuple[str, Sequence[float], Sequence[float], Sequence[float], Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """Lines with confidence bands. Each series is (label, x, y, low, high), equal lengths; empty low = no band."""
    axes = _axes(6.4, 2.9)
    for colour, (label, x, y, low, high) in zip(COLOURS * 3, series, strict=False):
        axes.plot(x, y, color=colour, label=label, linewidth=1.8)
        if len(low):
            axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=9)
    return _svg(axes)


def bar_chart(
    groups: Sequence[str],
    series: Sequence[tuple[str, Sequence[float], Sequence[tuple[float, float]]]],
    *,
    y_label: str,
) -> str:
    """Grouped bars with error bars. Each series is (label, one value a group, (low, high) a group or nothing)."""
    axes = _axes(6.4, 2.9)
    width = 0.8 / max(1, len(series))
    for index, (label, values, intervals) in enumerate(series):
        at = [group + (index - (len(series) - 1) / 2) * width for group in range(len(groups))]
        errors = (
            [
                [value - low for value, (low, _) in zip(values, intervals, strict=True)],
                [high - value for value, (_, high) in zip(values, intervals, strict=True)],
            ]
            if intervals
            else None
        )
        axes.bar(at, values, width * 0.92, label=label, color=COLOURS[index], yerr=errors, ecolor=INK, capsize=2.5)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(y_label)
    axes.set_ylim(bottom=0)
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=9, ncols=len(series))
    return _svg(axes)


def _axes(width: float, height: float) -> Axes:
    import matplotlib

    matplotlib.use("svg")
    # A fixed salt: the same data gives the same bytes.
    matplotlib.rcParams.update(
        {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "svg.hashsalt": "sindbad"}
    )
    from matplotlib.figure import Figure

    axes = Figure(figsize=(width, height), layout="constrained").subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def _svg(axes: Axes) -> str:
    buffer = io.StringIO()
    figure = axes.get_figure()
    assert figure is not None
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})  # type: ignore[union-attr]
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # Fixed sizes would overflow a narrow window; the view box scales.
    return re.sub(r'<svg ([^>]*?)(?:height|width)="[^"]*" ([^>]*?)(?:height|width)="[^"]*"', r"<svg \1\2", svg, count=1)
