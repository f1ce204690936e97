"""`sindbad questions make`: what a user gets wrong is one sentence, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.errors import InvalidInput


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("--mix", "foo:3=1", "'chain'"),
        ("--mix", "constraint", "is not like"),
        ("--mix", "constraint:3=x", "mix.constraint.3"),
        ("--difficulty", "x:", "min_difficulty"),
        ("--languages", "en,fr", "'fr'"),
        ("--config", b"\xff", "is not YAML"),
        ("--config", b"a: [", "is not YAML"),
        ("--config", b"excerp: {}", "did you mean 'excerpt'"),
        ("--config", None, "cannot read"),
        ("--demand", b'{"wants": [{"knd": 1}]}', "no demand"),
        ("--demand", b"[]", "must hold a mapping"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_makes_nothing(
    tmp_path: Path, option: str, given: str | bytes | None, said: str
) -> None:
    value = given if isinstance(given, str) else str(tmp_path / "given")
    if isinstance(given, bytes):
        (tmp_path / "given").write_bytes(given)
    words = ["--graph", str(tmp_path), "--out", str(tmp_path / "out"), "--count", "3", option, value]
    done = CliRunner().invoke(app, ["questions", "make", *words])
    assert done.exit_code == 1
    assert isinstance(done.exception, InvalidInput), done.output
    assert said in done.exception.message
    assert "\n" not in done.exception.message
    assert not (tmp_path / "out").exists()
