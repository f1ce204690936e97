"""The report of one quantisation: JSON for programs, Markdown for a card or a merge request, HTML for people.

Everything stands in the JSON; the pages show the layers with the largest errors and the rows that came out differently.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from sindbad.atomic import write_json, write_text
from sindbad.evaluation.metrics import Interval
from sindbad.evaluation.report.page import Fact, Report, Table, write_report
from sindbad.quantize.agreement import Agreement
from sindbad.quantize.folder import QuantizationReport
from sindbad.quantize.numerics import LayerError
from sindbad.quantize.throughput import Throughput

LAYERS_SHOWN = 12
LIMITS = (
    "Weights and layer inputs are rounded to eight bits; sums are float32, as the hardware's are nearly.",
    "Throughput, where it is told, is of random prompts and greedy outputs of one length under vLLM on one machine.",
)


def write_reports(
    report: QuantizationReport,
    agreement: Agreement | None,
    folder: Path,
    *,
    name: str,
    throughput: Throughput | None = None,
) -> Path:
    """``report.json``, ``report.md`` and ``report.html`` in ``folder``; returns the Markdown's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", as_record(report, agreement, throughput))
    write_text(folder / "report.md", as_markdown(report, agreement, name, throughput))
    page = Report(
        title=f"{name}: {report.scheme.value}",
        subtitle=f"quantised by {report.backend}, {report.arithmetic} arithmetic, without calibration data",
        facts=_facts(report, agreement, throughput),
        tables=[
            Table(title, note, rows[0], rows[1:]) for title, note, rows in _tables(report, agreement)
        ],
        limits=LIMITS,
    )  # fmt: skip
    write_report(page, folder / "report.html")
    return folder / "report.md"


def as_record(
    report: QuantizationReport, agreement: Agreement | None, throughput: Throughput | None = None
) -> dict[str, Any]:
    """Everything, JSON-ready."""
    sizes = {"bytes_before": report.bytes_before, "bytes_after": report.bytes_after, "bytes_left": report.bytes_left}
    errors = {"mean_layer_error": report.mean_error, "max_element_error": report.worst.max_relative}
    head = {"scheme": report.scheme.value, "backend": report.backend, "arithmetic": report.arithmetic}
    compared = None
    if agreement is not None:
        compared = {**asdict(agreement), "chrf_difference": agreement.chrf_difference}
    layers = [asdict(layer) for layer in report.layers]
    speed = None if throughput is None else {**asdict(throughput), "ratio": throughput.ratio}
    return {
        **head, **sizes, "size_ratio": report.ratio, **errors, "agreement": compared, "throughput": speed,
        "layers": layers,
    }  # fmt: skip


def as_markdown(
    report: QuantizationReport, agreement: Agreement | None, name: str, throughput: Throughput | None = None
) -> str:
    """The report as Markdown."""
    lines = [f"# {name}: {report.scheme.value}", ""]
    lines += [
        f"- **{fact.value}** {fact.label}{f' ({fact.note})' if fact.note else ''}"
        for fact in _facts(report, agreement, throughput)
    ]
    for title, note, rows in _tables(report, agreement):
        cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
        lines += ["", f"## {title}", "", note, "", _line(cells[0]), _line(["---"] * len(cells[0]))]
        lines += [_line(row) for row in cells[1:]]
    return "\n".join([*lines, "", *(f"- {limit}" for limit in LIMITS), ""])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _facts(report: QuantizationReport, agreement: Agreement | None, throughput: Throughput | None) -> list[Fact]:
    left = report.bytes_left / max(1, report.bytes_after)
    facts = [
        Fact(f"{report.ratio:.1%}", "of the original's bytes", f"{report.bytes_before:,} → {report.bytes_after:,}"),
        Fact(f"{left:.0%}", "of the result was left as it is", "embeddings, head, norms, depthwise convolutions"),
        Fact(f"{report.mean_error:.4f}", "mean reconstruction error of a layer", "Frobenius norm, relative"),
        Fact(f"{report.worst.max_relative:.4f}", "largest error of an element", f"{report.worst.name}; bound 0.0625"),
    ]
    facts += _speed(throughput)
    if agreement is None:
        return facts
    difference = agreement.chrf_difference
    if difference is not None:
        note = f"{agreement.chrf_original:.2f} → {agreement.chrf_quantised:.2f}; {agreement.signature}"
        facts.append(Fact(f"{difference:+.2f}", "chrF++ against the original", note))
    return [
        *facts,
        Fact(
            f"{agreement.kl_mean.value:.2e}", "nats of KL to the original", f"mean over rows {_span(agreement.kl_mean)}"
        ),
        Fact(f"{agreement.top1:.2%}", "of next tokens are the original's", f"{agreement.positions:,} positions"),
        Fact(f"{agreement.identical:.1%}", "of outputs are identical", f"{agreement.rows:,} rows, greedy"),
    ]


def _speed(throughput: Throughput | None) -> list[Fact]:
    if throughput is None:
        return []
    rates = f"{throughput.original:,.0f} → {throughput.quantised:,.0f} output tokens/s, {throughput.threads} threads"
    return [Fact(f"{throughput.ratio:.2f}×", "the original's speed in bfloat16 under vLLM", rates)]


def _tables(report: QuantizationReport, agreement: Agreement | None) -> list[tuple[str, str, list[list[str]]]]:
    worst = sorted(report.layers, key=lambda layer: -layer.relative)[:LAYERS_SHOWN]
    note = f"The {len(worst)} of {len(report.layers)} layers with the largest relative error; all are in report.json."
    tables = [
        ("Layers", note, [["layer", "shape", "error", "worst element", "small elements"], *map(_layer_row, worst)])
    ]
    if agreement is None:
        return tables
    figures = [["figure", "value"], *_figures(agreement)]
    shown = [["source", "reference", "original", "quantised"]]
    shown += [[one.source, one.reference or "", one.original, one.quantised] for one in agreement.samples]
    about = "Both models in float32 but for the eight bits; greedy decoding; KL is told the reference."
    return [
        *tables,
        ("Agreement with the original", about, figures),
        ("Rows", "Rows that came out differently first.", shown),
    ]


def _layer_row(layer: LayerError) -> list[str]:
    shape = " × ".join(map(str, layer.shape))
    return [layer.name, shape, f"{layer.relative:.5f}", f"{layer.max_relative:.4f}", f"{layer.small_share:.2%}"]


def _figures(agreement: Agreement) -> list[list[str]]:
    rows = [
        ["KL, mean over rows (nats)", f"{agreement.kl_mean.value:.3e} {_span(agreement.kl_mean)}"],
        ["KL, 99th percentile / largest of a position", f"{agreement.kl_p99:.3e} / {agreement.kl_max:.3e}"],
        ["same most likely token", f"{agreement.top1:.3%}"],
        ["identical outputs", f"{agreement.identical:.2%}"],
        ["tokens equal position by position", f"{agreement.token_agreement:.2%}"],
        ["chrF++ of the outputs against the original's", f"{agreement.chrf_between:.2f}"],
        ["signature of chrF++", agreement.signature],
    ]
    if agreement.chrf_row_difference is not None:
        rows += [
            ["chrF++ original → quantised", f"{agreement.chrf_original:.2f} → {agreement.chrf_quantised:.2f}"],
            ["BLEU original → quantised", f"{agreement.bleu_original:.2f} → {agreement.bleu_quantised:.2f}"],
            ["chrF++ difference of a row, mean", str(agreement.chrf_row_difference)],
            ["signature of BLEU", agreement.bleu_signature],
        ]
    return rows


def _span(interval: Interval) -> str:
    return f"[{interval.low:.1e}, {interval.high:.1e}]"
