"""What docs/tune.md tells is there: its commands, its schedule, HALA's six benchmarks."""

from __future__ import annotations

import re

import yaml
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.training.configuration import MergeConfig
from sindbad.training.schedule import spread
from tests.shared import ROOT

GUIDE = (ROOT / "docs" / "tune.md").read_text(encoding="utf-8")


def test_every_option_of_every_command_in_the_guide_exists() -> None:
    lines = re.findall(r"^\s*\$ sindbad (.+)$", GUIDE, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        words = line.split()
        command = words[:2] if words[0] in ("train", "evaluate", "corpus") else words[:1]
        shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"})
        assert shown.exit_code == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in shown.output, (line, option)


def test_the_schedule_in_the_guide_is_taken() -> None:
    text = re.search(r"`(\[\{filter: self_attn.+?\}\])`", GUIDE, re.DOTALL)
    assert text is not None
    config = MergeConfig.model_validate({"t": yaml.safe_load(text[1])})
    names = ["model.layers.0.self_attn.q", "model.layers.1.feed_forward.w1", "model.embed_tokens.weight"]
    assert list(spread(config.t, names).values()) == [0.3, 1.0, 0.5]


def test_all_six_benchmarks_of_hala_stand_in_the_table() -> None:
    for name in ("AlGhafa", "ArabicMMLU", "ArbMMLU-HT", "EXAMS", "MadinahQA", "AraTrust"):
        assert f"\n| {name} |" in GUIDE
