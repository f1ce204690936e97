"""The encyclopedia of a run: written once, written again when its settings or the code that draws it change."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import encyclopedia
from pipelines.encyclopedia import EncyclopediaSettings, read_encyclopedia, write_all

SMALL = EncyclopediaSettings(train_worlds=1, test_worlds=1, entities=24, first_seed=7)


def written(run: Path, settings: EncyclopediaSettings) -> bool:
    """Whether anything was written."""
    said: list[str] = []
    write_all(run / "worlds", run / "index", settings, said.append)
    return "are there already" not in said[0]


def test_it_is_written_once_and_again_when_settings_or_code_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert written(tmp_path, SMALL)
    assert not written(tmp_path, SMALL)
    assert written(tmp_path, SMALL.model_copy(update={"entities": 30}))
    monkeypatch.setattr(encyclopedia, "code_digest", lambda module: "changed")
    assert written(tmp_path, SMALL.model_copy(update={"entities": 30}))


def test_what_was_written_can_be_read_and_the_splits_share_no_world(tmp_path: Path) -> None:
    write_all(tmp_path / "worlds", tmp_path / "index", SMALL, lambda text: None)
    found = read_encyclopedia(tmp_path / "worlds")
    assert (found.train, found.test, found.entities) == ((7,), (8,), 24)
    assert [len(world.entities) for world in found.worlds("test")] == [24]
