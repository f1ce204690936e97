"""Figures as tables, once, for a terminal, Markdown and HTML. What is printed and what is written are the same rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from sindbad import atomic
from sindbad.evaluation.comparison import Comparison
from sindbad.evaluation.figures import Cell, Figures
from sindbad.evaluation.folder import Result
from sindbad.evaluation.metrics import Interval
from sindbad.evaluation.pairing import PairedTest
from sindbad.evaluation.report import Fact, Report, Table, write_report
from sindbad.evaluation.sets.question_set import CONTAMINATION

DEFINITIONS = (
    "pass@1 is the mean over runs of mean correctness; pass@k is the share of questions that any of the k runs "
    "answered correctly. The unbiased estimator of pass@j is the chance that j of the k attempts, drawn without "
    "replacement, hold a correct one (equal to both at j = 1 and j = k). Intervals: 95 %, bootstrap over questions "
    "(attempts at one question stay together); Wilson's where all questions agree. They show the luck of these "
    "questions and attempts, not that of training seeds."
)
_LABELS = {
    "tool_calls": "tool calls", "failed_calls": "of these failed", "segments": "segments (context windows)",
    "sampled_tokens": "tokens written by the policy", "context_tokens": "tokens of all segments",
    "longest_context": "longest context", "wall_seconds": "seconds", "cost": "cost of tools",
}  # fmt: skip


def percent(value: Interval) -> str:
    """ "57.1 % [50.8, 63.2]"."""
    return f"{100 * value.value:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def points(value: Interval) -> str:
    """ "+4.5 [+1.2, +7.9]"."""
    return f"{100 * value.value:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"


def p_value(value: float | None) -> str:
    """ "0.031", "<0.001", "–" for none."""
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def result_tables(result: Result) -> list[Table]:
    """All tables of one evaluation."""
    figures = result.figures
    return [
        _success(figures),
        *(_breakdown(key, cells) for key, cells in figures.by.items() if len(cells) > 1 or key == "language"),
        _use(figures),
        _counts("How attempts ended", "Everything but an answer scores 0.", figures.terminations),
        *([_counts("Why attempts failed", "Primary cause, from the record alone; see docs/curation.md.",
                   figures.failures)] if figures.failures else []),
    ]  # fmt: skip


def _success(figures: Figures) -> Table:
    rows = []
    for j, unbiased in figures.unbiased.items():
        defined = {figures.k: figures.pass_at_k, 1: figures.pass_at_1}.get(j)
        name = f"pass@{j}" if j == 1 or j < figures.k else f"pass@{j} (any of {j})"
        rows.append([name, percent(defined) if defined else "–", percent(unbiased)])
    note = f"{figures.questions} questions, {figures.k} attempt{'s' * (figures.k > 1)} at each."
    return Table("Success", note, ["measure", "as the papers define it [95 %]", "unbiased estimator [95 %]"], rows)


def _breakdown(key: str, cells: Mapping[str, Cell]) -> Table:
    rows = [
        [name, str(cell.questions), percent(cell.pass_at_1), percent(cell.pass_at_k)] for name, cell in cells.items()
    ]
    return Table(f"By {key}", "", [key, "questions", "pass@1", "pass@k"], rows)


def _use(figures: Figures) -> Table:
    rows = [
        [_LABELS[name], f"{use.mean:,.1f}", f"{use.median:,.1f}", f"{use.p95:,.1f}", f"{use.maximum:,.1f}"]
        for name, use in figures.use.items()
        if name != "cost" or use.maximum
    ]
    return Table("What an attempt took", "", ["", "mean", "median", "95th percentile", "most"], rows)


def _counts(title: str, note: str, counts: Mapping[str, int]) -> Table:
    total = sum(counts.values())
    rows = [[name.replace("_", " "), str(count), f"{count / total:.1%}"] for name, count in counts.items()]
    return Table(title, note, ["", "attempts", "share"], rows)


def notes_of(result: Result) -> list[str]:
    """What a reader has to know beside the figures."""
    told = [DEFINITIONS]
    figures = result.figures
    if figures.doubtful:
        told.append(
            f"The judge's model said nothing readable about {figures.doubtful} answers; were those rejected right, "
            f"pass@1 would be {figures.pass_at_1_if_doubtful_right:.1%}."
        )
    if unasked := list(dict.fromkeys(item.question_id for item in result.attempts if not item.segments)):
        some = ", ".join(unasked[:5]) + (" …" if len(unasked) > 5 else "")
        told.append(f"Questions too long for the limits, which count as wrong: {len(unasked)} ({some}).")
    if len(figures.weight_versions) > 1:
        told.append(f"Several weight versions answered ({', '.join(map(str, figures.weight_versions))}).")
    return [*told, CONTAMINATION] if result.identity.protected else told


def comparison_tables(found: Comparison) -> list[Table]:
    """The paired tests of two evaluations."""
    tables = [_tests("pass@1, after minus before, in points", found.pass_at_1, found.adjusted)]
    if found.pass_at_k and found.attempts[0] > 1:
        tables.append(_tests(f"pass@{found.attempts[0]}, after minus before, in points", found.pass_at_k, {}))
    return tables


def _tests(title: str, tests: Mapping[str, PairedTest], adjusted: Mapping[str, float]) -> Table:
    rows = [
        [name, str(test.questions), points(test.difference), str(test.discordant), f"{test.better} / {test.worse}",
         p_value(test.p_mcnemar), p_value(test.p_permutation), p_value(adjusted.get(name))]
        for name, test in tests.items()
    ]  # fmt: skip
    note = (
        "The same questions; interval by paired bootstrap over questions. McNemar is exact and needs one attempt a "
        "question; the permutation test is exact, too, and the same thing there. Holm adjusts for the languages."
    )
    header = ["questions of", "count", "difference [95 %]", "discordant", "better / worse", "p McNemar",
              "p permutation", "p Holm"]  # fmt: skip
    return Table(title, note, header, rows)


# -- renderings ------------------------------------------------------------------------------------------------------


def as_text(tables: Sequence[Table]) -> str:
    """Aligned columns for a terminal."""
    return "\n\n".join(_aligned(table) for table in tables)


def _aligned(table: Table) -> str:
    rows = [list(table.header), *(list(row) for row in table.rows)]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(table.header))]
    lines = [
        "  "
        + "  ".join(
            _padded(cell, width, left=not column) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([table.title, *(line.rstrip() for line in lines)])


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if left else space + text


def as_markdown(title: str, tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """A Markdown page; cells can't break the tables."""
    parts = [f"# {_cell(title)}"]
    for table in tables:
        header = [_cell(name) or " " for name in table.header]
        lines = [f"| {' | '.join(header)} |", f"|{'|'.join(['---', *['---:'] * (len(header) - 1)])}|"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in table.rows]
        parts.append("\n".join([f"## {_cell(table.title)}", "", *([table.note, ""] if table.note else []), *lines]))
    return "\n\n".join([*parts, *notes]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def write_pages(
    folder: Path, title: str, subtitle: str, facts: Sequence[Fact], tables: Sequence[Table], notes: Sequence[str]
) -> None:
    """``report.md`` and ``report.html`` in ``folder``."""
    atomic.write_text(folder / "report.md", as_markdown(title, tables, [subtitle, *notes]))
    write_report(Report(title, subtitle, facts, tables, limits=notes), folder / "report.html")


def write_result_pages(result: Result) -> None:
    """The pages of one evaluation."""
    one, figures = result.identity, result.figures
    facts = [Fact(f"{figures.pass_at_1.value:.1%}", "pass@1", percent(figures.pass_at_1))]
    if figures.k > 1:
        facts.append(Fact(f"{figures.pass_at_k.value:.1%}", f"pass@{figures.k}", percent(figures.pass_at_k)))
    subtitle = (
        f"{one.questions} questions of {one.question_set}, {one.agent.get('paradigm')} at "
        f"{one.agent.get('context_limit')} tokens, {one.environment} environment, judged by {one.judge} "
        f"({one.judge_style}), weights {one.policy.get('version')}."
    )
    write_pages(result.folder, f"Evaluation {one.name}", subtitle, facts, result_tables(result), notes_of(result))
