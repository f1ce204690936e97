from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import learning_room
from benchmarks.learning_plan import Phase, Room, keyed, marker

CALLS: list[str] = []


def _room() -> Room:
    write = Phase("write", "base", {}, {}, {"model_path": "a/model"})
    copy = Phase("copy", "merge", {}, {"base_path": "a/model"}, {"model_path": "a/copy"})
    (room,) = keyed([Room("a", (), (write, copy))], salt="")
    return room


def _make(stage_json: str, model_path: str) -> dict[str, float]:
    CALLS.append("write")
    assert not Path(model_path).exists()
    Path(model_path).mkdir()
    return {"made": 1.0}


async def _copy(stage_json: str, base_path: str, model_path: str) -> dict[str, float]:
    CALLS.append("copy")
    if CALLS.count("copy") == 1:
        Path(model_path).write_text("half")
        raise OSError("killed")
    assert not Path(model_path).exists()
    Path(model_path).write_text("whole")
    return {"stage": json.loads(stage_json)["name"] == "copy"}


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()
    functions: dict[str, Any] = {"write": _make, "copy": _copy}
    monkeypatch.setattr(learning_room, "_locate", lambda phase: ("pipelines.stages.base_agent", functions[phase.name]))


@pytest.mark.usefixtures("stages")
def test_an_interrupted_room_goes_on_at_the_phase_that_was_not_finished(tmp_path: Path) -> None:
    room = _room()
    with pytest.raises(OSError, match="killed"):
        learning_room.run_phases(tmp_path, room)
    assert list(learning_room.finished(tmp_path, (room,))) == ["a/write"]
    learning_room.run_phases(tmp_path, room)
    learning_room.run_phases(tmp_path, room)
    assert CALLS == ["write", "copy", "copy"]
    assert (tmp_path / "a/copy").read_text() == "whole"


@pytest.mark.usefixtures("stages")
def test_a_marker_tells_the_figures_and_the_code_that_made_them(tmp_path: Path) -> None:
    room = _room()
    learning_room.run_phase(tmp_path, tmp_path / "a", room.phases[0])
    record = json.loads(marker(tmp_path / "a", room.phases[0]).read_text())
    assert record["figures"] == {"made": 1.0}
    assert len(record["code"]) == 64
    assert record["key"] == room.phases[0].key


@pytest.mark.parametrize(("solved", "teaches"), [(0, False), (2, True), (4, False)])
def test_only_a_question_that_is_solved_sometimes_teaches(tmp_path: Path, solved: int, teaches: bool) -> None:
    outcome = {"question_id": "q", "attempts": 4, "solved": solved}
    (tmp_path / "profile.json").write_text(json.dumps({"version": 1, "outcomes": [outcome]}))
    phase = Phase("rl", "rl_sim", {"curator": {"min_attempts": 2}})
    assert learning_room._teaches(tmp_path, phase) is teaches
