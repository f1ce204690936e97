"""The report is one self-contained page, and nothing that a model or a page wrote can act in it."""

from __future__ import annotations

import re
from pathlib import Path

from sindbad.agent.trajectory import EnvironmentKind, Step, Termination, Trajectory
from sindbad.evaluation.report import Curve, Fact, Report, Table, write_report

HOSTILE = "<script>alert(1)</script>"


def _trajectory(language: str) -> Trajectory:
    return Trajectory(
        "t",
        "q",
        "g",
        EnvironmentKind.LIVE,
        language,
        f"question {HOSTILE}",
        "gold",
        steps=[
            Step("act", 0, "", thought="thinking", tool="visit", arguments="{}", observation=HOSTILE),
            Step("summary", 1, "what is known"),
            Step("answer", 1, "", thought="done"),
        ],
        answer="gold",
        reward=1.0,
        verdict="equal",
        verdict_by="exact",
        termination=Termination.ANSWER,
    )


def _page(tmp_path: Path) -> str:
    report = Report(
        title="Run demo",
        subtitle="the whole loop",
        facts=[Fact("57 %", "success")],
        tables=[Table("Stages", "", ["stage", "success"], [["base", "0.41"]])],
        curves=[
            Curve("Reward", "", series=[("reward", [1, 2], [0.1, 0.2], [0.0, 0.1], [0.2, 0.3])]),
            Curve("Two", "", groups=["192"], bars=[("ReAct", [0.2], [(0.1, 0.3)]), ("ReSum", [0.5], [(0.4, 0.6)])]),
        ],
        trajectories=[("live", _trajectory("en")), ("live", _trajectory("ar"))],
        limits=["one seed"],
    )
    return write_report(report, tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    page = _page(tmp_path)
    loaded = re.findall(r'(?:src|href)="(?!#)([^"]+)"', page)
    assert loaded == []
    assert "@import" not in page
    assert page.count("<svg") == 2


def test_text_of_pages_and_models_is_escaped(tmp_path: Path) -> None:
    page = _page(tmp_path)
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_arabic_trajectories_read_right_to_left(tmp_path: Path) -> None:
    page = _page(tmp_path)
    assert 'lang="ar" dir="rtl"' in page
    assert 'lang="en" dir="ltr"' in page


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    assert _page(tmp_path / "a") == _page(tmp_path / "b")


def test_every_line_of_an_arabic_attempt_runs_in_its_own_direction(tmp_path: Path) -> None:
    attempt = _trajectory("ar")
    attempt.steps[1:1] = [Step("malformed", 0, "no call", observation="", ok=False)]
    page = write_report(Report("Run", "", trajectories=[("live", attempt)]), tmp_path / "report.html").read_text(
        "utf-8"
    )
    block = page[page.index('<div lang="ar" dir="rtl">') :]
    for text in ("thinking", "no call", "what is known", "&lt;script&gt;alert(1)&lt;/script&gt;", "done"):
        (opening,) = re.findall(rf"<div([^>]*)>{re.escape(text)}<", block)
        assert 'dir="auto"' in opening, text
    assert '<div dir="auto"><strong>gold</strong>' in block
    assert '<div class="call" dir="ltr">visit' in block  # JSON
    assert re.search(r'</div>\s*<p class="note">ended by', block)  # English, and outside


def test_columns_of_figures_are_flush_right_and_text_of_any_script_is_flush_left(tmp_path: Path) -> None:
    header = ["rank", "English", "Arabic", "edges", "share", "interval", "chosen", "note"]
    rows = [
        ["1", "the capital of", "عاصمة", "1,234", "12.5 %", "[0.1, 0.2]", "أ 200", "3 of them were lost on the way"],
        ["2", "was born in", "ولد في", "–", "3 of 40", "−0.3 [−1, 1]", "أ 12 ب 3", "2 more"],
    ]
    table = Table("Relations", "", header, rows)
    assert [name for name, figure in zip(header, table.figures, strict=True) if figure] == [
        "edges",
        "share",
        "interval",
    ]
    page = write_report(Report("Graph", "", tables=[table]), tmp_path / "report.html").read_text("utf-8")
    assert '<th scope="col" class="figure">edges</th>' in page
    assert '<td dir="auto" class="figure">1,234</td>' in page
    assert '<td dir="auto">عاصمة</td>' in page
    assert re.search(r"th,td \{[^}]*text-align:left;", page)
    assert re.search(r"th\.figure,td\.figure \{ text-align:right; \}", page)


def test_a_table_without_rows_has_no_figures() -> None:
    assert Table("Empty", "", ["a", "b"], []).figures == (False, False)
