"""The waterfall of a job, from its ledger alone: what each step took, with examples; what other thresholds would have
kept; how the filters agree.

A row counts once, under the first reason; "alone" says how many a filter refuses whatever the others say. What the
translator itself rejected has no scores, so a rejection that bears a filter's name is a step of its own, and no step
took more than it refuses alone. Threshold curves re-judge the recorded scores: nothing is translated again to see them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sindbad import atomic
from sindbad.corpus.job import Job
from sindbad.corpus.ledger import Ledger
from sindbad.languages import is_rtl

CURVE_POINTS: Final = 13
EXCERPT: Final = 400

NOT_JUDGED: Final = "not judged yet"
"""Translated, and waiting for the job's present filters and examiners: `corpus resume` judges it, unpaid."""
NOT_ATTEMPTED: Final = "not attempted yet"
_VERDICTS = "SELECT key, accepted, stage, reason, len(repairs) > 0 AS repaired FROM final"
_SCORES = """
SELECT key, u.s.name AS name, u.s.value AS value, u.s.reason <> '' AS refuses, u.s.low AS low, u.s.high AS high
FROM final, unnest(filters) AS u(s)
"""
_STEPS = """
SELECT v.reason AS reason, v.stage AS stage, count(*) AS n FROM rows r JOIN verdicts v USING (key)
WHERE NOT v.accepted AND r.row NOT IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?) GROUP BY 1, 2
"""
_WAITING = """
SELECT key IN (SELECT key FROM attempts WHERE stage <> 'plan') AS translated, count(*) AS n FROM rows
WHERE key NOT IN (SELECT key FROM verdicts)
  AND row NOT IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?)
GROUP BY 1 ORDER BY 1 DESC
"""
_ALONE = """
SELECT s.name AS name, count(*) AS n FROM scored s JOIN rows r USING (key)
WHERE s.refuses AND r.row NOT IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?) GROUP BY 1
"""
_REFUSED = "SELECT name, count(*) FILTER (refuses) AS n FROM scored GROUP BY 1"
_QUANTILES = f"""
SELECT name, quantile_cont(value, {[round(i / (CURVE_POINTS - 1), 4) for i in range(CURVE_POINTS)]}) AS points,
       any_value(low) AS low, any_value(high) AS high, count(*) AS n FROM scored
WHERE value IS NOT NULL AND isfinite(value) GROUP BY 1 HAVING count(*) > 0 ORDER BY 1
"""
_AGREE = """
SELECT a.name AS one, b.name AS other, count(*) AS both FROM scored a JOIN scored b USING (key)
WHERE a.refuses AND b.refuses AND a.name < b.name GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
_EXAMPLES = """
SELECT record_id, key, detail, [m.content for m in before] AS before, [m.content for m in messages] AS after
FROM final WHERE key IN (
  SELECT key FROM verdicts WHERE reason = ? AND stage = ? AND NOT accepted ORDER BY key LIMIT ?
) ORDER BY key
"""
_DROPPED = """
SELECT a.reason AS reason, count(*) AS n, any_value(a.record_id) AS record_id, any_value(a.detail) AS detail
FROM attempts a WHERE a.stage = 'plan' AND a.judging = ? GROUP BY 1
"""
_ORDER: Final = {"plan": 0, "translate": 1, "filter": 2, "examine": 3, "": 4}


@dataclass(frozen=True, slots=True)
class Example:
    """A row that a step refused. ``after`` is "" where there is no translation."""

    record_id: str
    key: str
    detail: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step: rows that it took (each row once), that it would refuse alone, and what is left after it."""

    name: str
    stage: str
    rows: int
    alone: int
    left: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """``points``: (threshold, share of rows kept by this filter alone). ``side``: "least" or "most" may be."""

    name: str
    side: str
    threshold: float
    kept: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rows that both filters refuse, and that over what either refuses."""

    one: str
    other: str
    both: int
    jaccard: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Everything a report shows."""

    title: str
    source: str
    target: str
    model: str
    rows: int
    kept: int
    paid: dict[str, int]
    steps: tuple[Step, ...]
    curves: tuple[Curve, ...]
    agreement: tuple[Agreement, ...]
    repaired: int


def measure(job: Job, *, examples: int = 3) -> Waterfall:
    """Read a job's ledger."""
    spec, plan = job.spec, job.spec.plan_id
    with job.ledger() as ledger:
        rows = int(ledger.rows("SELECT count(*) AS n FROM rows")[0]["n"])
        ledger.keep("verdicts", _VERDICTS)
        ledger.keep("scored", _SCORES)
        alone = {row["name"]: int(row["n"]) for row in ledger.rows(_ALONE, (plan,))}
        refused = {row["name"]: int(row["n"]) for row in ledger.rows(_REFUSED)}
        steps = list(_steps(ledger, plan, rows, alone, examples))
        (paid,) = ledger.rows(
            """SELECT count(*) AS attempts, coalesce(sum(generations), 0)::BIGINT AS generations,
               coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens FROM attempts WHERE stage <> 'plan'"""
        )
        (repaired,) = ledger.rows("SELECT count(*) AS n FROM verdicts WHERE repaired")
        curves = tuple(curve for row in ledger.rows(_QUANTILES) for curve in _curves(ledger, row))
        agreement = tuple(
            Agreement(row["one"], row["other"], int(row["both"]),
                      int(row["both"]) / max(1, refused[row["one"]] + refused[row["other"]] - int(row["both"])))
            for row in ledger.rows(_AGREE)
        )  # fmt: skip
    identity = spec.identity
    left = steps[-1].left if steps else rows
    return Waterfall(
        job.store.url.rsplit("/", 1)[-1], identity.source, identity.target, identity.model, rows, left,
        {name: int(value) for name, value in paid.items()}, tuple(steps), curves, agreement, int(repaired["n"]),
    )  # fmt: skip


def _steps(ledger: Ledger, plan: str, rows: int, alone: dict[str, int], examples: int) -> Iterator[Step]:
    left = rows
    for row in ledger.rows(_DROPPED, (plan,)):
        left -= int(row["n"])
        shown = (Example(row["record_id"], "", row["detail"], "", ""),) if examples else ()
        yield Step(row["reason"], "plan", int(row["n"]), int(row["n"]), left, shown)
    found = ledger.rows(_STEPS, (plan,))
    from sindbad.corpus.filters import FILTER_NAMES

    places = {name: place for place, name in enumerate(FILTER_NAMES)}
    found.sort(key=lambda row: (_ORDER[row["stage"]], places.get(row["reason"], 99), row["reason"]))
    for row in found:
        left -= int(row["n"])
        reason, stage, took = row["reason"], row["stage"], int(row["n"])
        name = f"{reason} (translator)" if stage == "translate" and reason in places else reason
        refuses = alone.get(reason, took) if stage == "filter" else took
        yield Step(name, stage, took, refuses, left, tuple(_examples(ledger, reason, stage, examples)))
    for row in ledger.rows(_WAITING, (plan,)):
        left, took = left - int(row["n"]), int(row["n"])
        yield Step(NOT_JUDGED if row["translated"] else NOT_ATTEMPTED, "", took, took, left)


def _examples(ledger: Ledger, reason: str, stage: str, count: int) -> Iterator[Example]:
    for row in ledger.rows(_EXAMPLES, (reason, stage, count)):
        before, after = row["before"] or [], row["after"] or []
        pairs = list(zip(before, after, strict=False)) if after else [(before[0] if before else "", "")]
        changed = max(pairs, key=lambda pair: len(pair[0]), default=("", ""))
        yield Example(row["record_id"], row["key"], row["detail"], _cut(changed[0]), _cut(changed[1]))


def _cut(text: str) -> str:
    return text if len(text) <= EXCERPT else text[:EXCERPT] + " …"


def _curves(ledger: Ledger, row: dict[str, Any]) -> Iterator[Curve]:
    points = sorted(set(row["points"]))
    for side, threshold in (("least", row["low"]), ("most", row["high"])):
        if threshold is None or abs(threshold) == float("inf"):
            continue
        compare = ">=" if side == "least" else "<="
        wanted = sorted({*points, float(threshold)})
        counts = ", ".join(f"count(*) FILTER (value {compare} {value!r})" for value in wanted)
        (found,) = ledger.query(f"SELECT {counts} FROM scored WHERE name = ?", (row["name"],)).fetchall()
        shares = [(value, count / row["n"]) for value, count in zip(wanted, found, strict=True)]
        yield Curve(row["name"], side, float(threshold), dict(shares)[float(threshold)], tuple(shares))


# -- pages -------------------------------------------------------------------------------------------------------------


def write(found: Waterfall, folder: Path) -> None:
    """``waterfall.html`` (one file, no script, nothing fetched), ``waterfall.md`` and ``waterfall.json``."""
    from dataclasses import asdict

    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(folder / "waterfall.html", page(found))
    atomic.write_text(folder / "waterfall.md", markdown(found))
    atomic.write_text(folder / "waterfall.json", json.dumps(asdict(found), ensure_ascii=False, indent=2) + "\n")


def markdown(found: Waterfall) -> str:
    """The tables, for a repository or a terminal."""
    lines = [f"# Waterfall of {found.title}", "", _headline(found), ""]
    lines += ["| step | took | refuses alone | left |", "|---|---:|---:|---:|", f"| rows | | | {found.rows:,} |"]
    lines += [f"| {step.name} | {step.rows:,} | {step.alone:,} | {step.left:,} |" for step in found.steps]
    lines += [
        "",
        "## Thresholds",
        "",
        "| filter | bound | now keeps | other thresholds (keeps) |",
        "|---|---|---:|---|",
    ]
    for curve in found.curves:
        shown = "; ".join(f"{value:.3g} ({share:.1%})" for value, share in _thinned(curve.points))
        lines.append(f"| {curve.name} | {curve.side} {curve.threshold:.3g} | {curve.kept:.1%} | {shown} |")
    lines += ["", "## Agreement", "", "| filters | both refuse | of what either refuses |", "|---|---:|---:|"]
    lines += [f"| {one.one}, {one.other} | {one.both:,} | {one.jaccard:.0%} |" for one in found.agreement]
    for step in found.steps:
        lines += ["", f"## {step.name}", ""] if step.examples else []
        for example in step.examples:
            lines += [f"- `{example.record_id}` {example.detail}"]
            lines += [f"  - {_one_line(text)}" for text in (example.before, example.after) if text]
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _thinned(points: Sequence[tuple[float, float]], most: int = 5) -> Sequence[tuple[float, float]]:
    return points if len(points) <= most else [points[i * (len(points) - 1) // (most - 1)] for i in range(most)]


def _headline(found: Waterfall) -> str:
    share = found.kept / found.rows if found.rows else 0.0
    return (
        f"{found.kept:,} of {found.rows:,} rows kept ({share:.1%}), {found.source} to {found.target} by {found.model}; "
        f"{found.paid['attempts']:,} attempts, {found.paid['generations']:,} generations, "
        f"{found.paid['output_tokens']:,} output tokens; {found.repaired:,} rows with repaired spans."
    )


def page(found: Waterfall) -> str:
    """One HTML page; text in the target language has its direction set, and everything from data is escaped."""
    most = max(1, found.rows)
    bars = "".join(_bar(step, most) for step in found.steps)
    curves = "".join(_plot(curve) for curve in found.curves if len(curve.points) > 1)
    return _PAGE.format(
        title=html.escape(f"Waterfall of {found.title}"),
        headline=html.escape(_headline(found)),
        rows=f"{found.rows:,}",
        bars=bars or "<tr><td colspan=5>Nothing was dropped.</td></tr>",
        curves=curves or "<p>No scores yet.</p>",
        agreement=_matrix(found) if found.agreement else "<p>No row is refused by two filters.</p>",
        examples="".join(_shown(step, found) for step in found.steps if step.examples),
    )


def _bar(step: Step, most: int) -> str:
    left, took = 100 * step.left / most, 100 * step.rows / most
    return (
        f"<tr><th scope=row>{html.escape(step.name)}</th><td>{step.rows:,}</td><td>{step.alone:,}</td>"
        f"<td>{step.left:,}</td><td class=bar><i style='width:{left:.3f}%'></i><b style='width:{took:.3f}%'></b></td>"
        "</tr>"
    )


def _plot(curve: Curve) -> str:
    """Share kept over threshold as a small SVG; the line is where the threshold stands."""
    values = [value for value, _ in curve.points]
    low, high = min(values), max(values)
    width = (high - low) or 1.0

    def place(value: float, share: float) -> str:
        return f"{10 + 220 * (value - low) / width:.1f},{78 - 66 * share:.1f}"

    line = " ".join(place(*point) for point in curve.points)
    x = 10 + 220 * (min(max(curve.threshold, low), high) - low) / width
    name = html.escape(f"{curve.name}: at {curve.side} {curve.threshold:.3g}, keeps {curve.kept:.1%}")
    return (
        f"<figure><svg viewBox='0 0 240 96' role=img aria-label='{name}'><path class=axis d='M10 12V78H230'/>"
        f"<line class=now x1={x:.1f} x2={x:.1f} y1=8 y2=78 /><polyline points='{line}'/>"
        f"<text x=10 y=92>{low:.3g}</text><text x=230 y=92 text-anchor=end>{high:.3g}</text></svg>"
        f"<figcaption>{name}</figcaption></figure>"
    )


def _matrix(found: Waterfall) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(one.one)}</td><td>{html.escape(one.other)}</td><td>{one.both:,}</td>"
        f"<td>{one.jaccard:.0%}</td></tr>" for one in found.agreement
    )  # fmt: skip
    return f"<table><tr><th>filter</th><th>filter</th><th>both refuse</th><th>of either</th></tr>{rows}</table>"


def _shown(step: Step, found: Waterfall) -> str:
    cards = "".join(
        f"<article><p><code>{html.escape(one.record_id)}</code> {html.escape(one.detail)}</p>"
        + (f"<blockquote {_direction(found.source)}>{html.escape(one.before)}</blockquote>" if one.before else "")
        + (f"<blockquote {_direction(found.target)}>{html.escape(one.after)}</blockquote>" if one.after else "")
        + "</article>"
        for one in step.examples
    )
    return f"<h3>{html.escape(step.name)}</h3>{cards}"


def _direction(language: str) -> str:
    rtl = is_rtl(language)
    return f"lang={html.escape(language)} dir={'rtl' if rtl else 'ltr'}"


_PAGE = """<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1c2733; --soft: #66788a; --line: #d6dee6; --kept: #2c7a6b; --took: #c4553b;
  --paper: #fdfdfb; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e4e9ee; --soft: #9aa9b8; --line: #38444f; --kept: #5bb5a2;
  --took: #e58a70; --paper: #171c21; }} }}
body {{ font: 16px/1.5 system-ui, "Noto Naskh Arabic", sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }}
th[scope=row], th:first-child, td:first-child {{ text-align: left; font-weight: 500; }}
td.bar {{ width: 45%; text-align: left; white-space: nowrap; font-size: 0; }}
td.bar i, td.bar b {{ display: inline-block; height: 1rem; background: var(--kept); }}
td.bar b {{ background: var(--took); }}
.curves {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; }}
figure {{ margin: 0; border: 1px solid var(--line); border-radius: .4rem; padding: .5rem; }}
figcaption {{ font-size: .8rem; color: var(--soft); }}
svg polyline {{ fill: none; stroke: var(--kept); stroke-width: 2; }}
svg .axis {{ fill: none; stroke: var(--line); }} svg .now {{ stroke: var(--took); stroke-dasharray: 3 3; }}
svg text {{ font-size: 10px; fill: var(--soft); }}
article {{ border: 1px solid var(--line); border-radius: .4rem; padding: .2rem 1rem; margin: .6rem 0; }}
blockquote {{ margin: .4rem 0; padding: .2rem .8rem; border-inline-start: 3px solid var(--line);
  white-space: pre-wrap; overflow-wrap: anywhere; }}
code {{ color: var(--soft); font-size: .85em; }}
</style>
<h1>{title}</h1>
<p>{headline}</p>
<h2>Waterfall</h2>
<p>Each row counts once, under the first reason; "alone" is what a filter refuses whatever the others say.</p>
<table><tr><th>step</th><th>took</th><th>alone</th><th>left of {rows}</th><th></th></tr>{bars}</table>
<h2>Thresholds</h2>
<p>Share of the rows that each filter alone would keep; the dashed line is where its threshold stands.</p>
<div class=curves>{curves}</div>
<h2>Agreement</h2>
{agreement}
<h2>Examples</h2>
{examples}
"""
