"""The report's data model and its rendering.

Everything that a model or a page wrote is untrusted: the template escapes it (autoescape is on), only our own SVG is
marked safe. Writing is deterministic for the same data and atomic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sindbad import atomic
from sindbad.agent.trajectory import Trajectory
from sindbad.evaluation.report.charts import bar_chart, line_chart
from sindbad.languages import is_rtl

_UNTOLD = re.compile(r"\s*(?:[-–—]|n/a)?\s*")
_FIGURE = re.compile(r"[\s(\[]*[+\-−±~<>≤≥≈×]?\s*[\d.]")
_UNIT_LETTERS = 12
"""A figure's unit and its "of" have no more letters; a sentence that starts with a number has."""


def _is_figure(cell: str) -> bool:
    return _FIGURE.match(cell) is not None and sum(map(str.isalpha, cell)) <= _UNIT_LETTERS


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure at the head of the page: "57 %", "success on held-out questions, after RL", and a note."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart with its explanation. ``series``: (label, x, y, low, high); ``bars``: (label, values, intervals)."""

    title: str
    note: str
    x_label: str = "step"
    y_label: str = ""
    series: Sequence[tuple[str, Sequence[float], Sequence[float], Sequence[float], Sequence[float]]] = ()
    groups: Sequence[str] = ()
    bars: Sequence[tuple[str, Sequence[float], Sequence[tuple[float, float]]]] = ()

    def svg(self) -> str:
        """The chart as inline SVG."""
        if self.bars:
            return bar_chart(self.groups, self.bars, y_label=self.y_label)
        return line_chart(self.series, x_label=self.x_label, y_label=self.y_label)


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Columns of figures are flush right; the first column, a heading, and text are flush left."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def figures(self) -> tuple[bool, ...]:
        """For each column, whether it holds figures: every cell that says something starts with one."""
        width = max(len(row) for row in (self.header, *self.rows))
        columns = [[row[at] for row in self.rows if at < len(row)] for at in range(width)]
        told = [[cell for cell in column if _UNTOLD.fullmatch(cell) is None] for column in columns]
        return tuple(bool(at and cells) and all(map(_is_figure, cells)) for at, cells in enumerate(told))


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts side by side, to read: one column a text, each in its own language and direction."""

    title: str
    note: str
    languages: Sequence[str]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the page shows, in order."""

    title: str
    subtitle: str
    facts: Sequence[Fact] = ()
    tables: Sequence[Table] = ()
    curves: Sequence[Curve] = ()
    curves_note: str = "Bands and bars are 95 % confidence intervals over questions of this run; one run is one seed."
    samples: Sequence[Sample] = ()
    trajectories: Sequence[tuple[str, Trajectory]] = ()
    limits: Sequence[str] = ()
    footer: str = ""
    languages: dict[str, str] = field(default_factory=lambda: {"en": "English", "ar": "العربية"})


def render(report: Report) -> str:
    """The page as a string."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sindbad.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(report=report, rtl=_right_to_left(report))


def _right_to_left(report: Report) -> frozenset[str]:
    """Those of its languages that run from right to left."""
    used = {*report.languages, *(one.language for _, one in report.trajectories)}
    return frozenset(filter(is_rtl, used.union(*(sample.languages for sample in report.samples))))


def write_report(report: Report, path: Path) -> Path:
    """Render and write atomically; returns ``path``."""
    atomic.write_text(path, render(report))
    return path
