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
