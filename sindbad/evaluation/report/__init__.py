"""`runs/<name>/report.html`: one self-contained page (inline CSS and SVG, no script, no network)."""

from sindbad.evaluation.report.page import Curve, Fact, Report, Sample, Table, write_report

__all__ = ["Curve", "Fact", "Report", "Sample", "Table", "write_report"]
