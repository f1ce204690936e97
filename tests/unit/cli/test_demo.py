"""What ``sindbad demo`` says at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from sindbad.cli.demo import _finish
from sindbad.evaluation.summary import Summary, TranslationSummary
from sindbad.evaluation.translation import signatures


@pytest.mark.parametrize("stated", [True, False])
def test_a_measure_of_the_translator_is_printed_with_its_signature(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stated: bool
) -> None:
    names = dict(zip(("chrf_signature", "bleu_signature"), signatures(), strict=True)) if stated else {}
    translation = TranslationSummary(chrf=99.24, bleu=98.66, **names)  # a summary of before has none
    Summary(stages={}, paradigms={}, translation=translation, wall_seconds={}).write(tmp_path / "summary.json")
    (tmp_path / "examples.json").write_text("{}")
    _finish(tmp_path, 60.0)
    said = capsys.readouterr().out
    assert "translation: chrF++ 99.2, BLEU 98.7\n" in said
    assert ("tok:intl" in said) is stated
