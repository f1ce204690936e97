"""Data-set versions: numbered, immutable, atomic, with a lineage that is checked."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from sindbad.curation.curator import Curator
from sindbad.curation.state import Change, CuratorConfig, CuratorState, Outcome
from sindbad.curation.versions import DataSetStore, VersionRecorder
from sindbad.errors import Corrupt, NotFound
from sindbad.questions.question import Clue, Evidence, Question

EXAMPLE = Question(
    "q0", "w", "en", "Who leads Zalama?", "chain", (Clue("zalama", "leader", "?0"),), "?0", "zosali", "Zosali Jam",
    evidence=(Evidence("u", "Zalama is led by Zosali Jam."),),
)  # fmt: skip
QUESTIONS = [replace(EXAMPLE, question_id=f"q{number}") for number in range(8)]
NEW = [replace(EXAMPLE, question_id=f"new{number}") for number in range(3)]


def opened(folder: Path, *, writer: str = "rl-1") -> Curator:
    recorder = VersionRecorder(DataSetStore(folder / "datasets"), QUESTIONS, writer=writer, run="demo", stage="rl")
    names = [question.question_id for question in QUESTIONS]
    return Curator(names, CuratorConfig(), folder / f"{writer}.jsonl", on_change=recorder)


def lived(folder: Path, *, writer: str = "rl-1") -> DataSetStore:
    """Profile (q0 to q3 moderate), a step that masters q0, new questions, a refresh."""
    with opened(folder, writer=writer) as curator:
        curator.profile([Outcome(q.question_id, 4, 2 if i < 4 else 0) for i, q in enumerate(QUESTIONS)], version=3)
        curator.observe(0, [Outcome("q0", 8, 8)], version=4)
        curator.extend(NEW, reason="synthesis", details={"wants": 1})
        curator.observe_background([Outcome("new1", 4, 2)], version=5)
        curator.refresh("steps")
    return DataSetStore(folder / "datasets")


def test_every_refresh_and_synthesis_is_a_version_with_its_parent_run_and_weights(tmp_path: Path) -> None:
    log = lived(tmp_path).log()
    assert [(m.number, m.parent, m.reason, m.weight_version, m.step) for m in log] == [
        (1, None, "profile", 3, 0), (2, 1, "synthesis", 4, 1), (3, 2, "steps", 5, 1),
    ]  # fmt: skip
    assert {(m.run, m.stage, m.writer) for m in log} == {("demo", "rl", "rl-1")}
    assert (log[2].removed, log[2].added) == (["q0"], ["new1"])
    assert log[1].details == {"wants": 1}
    assert log[2].counts == {"pool": 11, "active": 4, "reserve": 0, "removed": 1, "added": 1, "joined": 0}


def test_a_version_gives_back_d_and_the_active_set_of_its_time(tmp_path: Path) -> None:
    store = lived(tmp_path)
    first, last = store.load(1), store.load()
    assert first.questions == tuple(QUESTIONS)
    assert first.active == ("q0", "q1", "q2", "q3")
    assert last.questions == (*QUESTIONS, *NEW)
    assert last.active == ("q1", "q2", "q3", "new1")


def test_a_curator_killed_between_its_journal_and_the_version_makes_up_for_it_once(tmp_path: Path) -> None:
    store = lived(tmp_path)
    before = [path.read_bytes() for path in sorted(store.root.glob("*/manifest.json"))]
    for file in (store.root / "v000003").iterdir():
        file.unlink()
    (store.root / "v000003").rmdir()  # as if it had never been written
    opened(tmp_path).close()
    opened(tmp_path).close()
    after = [path.read_bytes() for path in sorted(store.root.glob("*/manifest.json"))]
    assert after[:2] == before[:2]
    ages = [json.loads(text) | {"created": 0} for text in (before[2], after[2])]
    assert ages[0] == ages[1]
    assert len(after) == 3


def test_two_writers_never_take_each_others_number_and_keep_their_own_lineage(tmp_path: Path) -> None:
    with opened(tmp_path, writer="a") as one, opened(tmp_path, writer="b") as two:
        for curator, solved in ((one, 2), (two, 1)):
            curator.profile([Outcome(q.question_id, 4, solved) for q in QUESTIONS])
        one.extend(NEW[:1], reason="synthesis")
        two.extend(NEW[1:], reason="synthesis")
        one.refresh()
    store = DataSetStore(tmp_path / "datasets")
    assert [(m.writer, m.parent) for m in store.log()] == [("a", None), ("b", 1), ("a", 1), ("b", 2), ("a", 3)]
    assert [q.question_id for q in store.load(4).questions[8:]] == ["new1", "new2"]
    assert [q.question_id for q in store.load(5).questions[8:]] == ["new0"]


@pytest.mark.parametrize("name", ["active.txt", "joined.jsonl", "manifest.json"])
def test_a_version_that_was_changed_afterwards_is_found(tmp_path: Path, name: str) -> None:
    store = lived(tmp_path)
    file = store.root / "v000002" / name
    assert not file.stat().st_mode & 0o222
    file.chmod(0o644)
    file.write_text(file.read_text().replace("q1", "q7").replace("new1", "new7").replace('"step": 1', '"step": 2'))
    with pytest.raises(Corrupt):
        store.load(2 if name == "active.txt" else 3)


def test_a_publication_that_was_cut_short_is_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = lived(tmp_path)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.rename", cut)
    with opened(tmp_path) as curator, pytest.raises(KeyboardInterrupt):
        curator.refresh()
    monkeypatch.undo()
    assert store.numbers() == [1, 2, 3]
    assert sorted(path.name for path in store.root.iterdir()) == ["v000001", "v000002", "v000003"]
    opened(tmp_path).close()
    assert store.numbers() == [1, 2, 3, 4]


def test_what_a_full_disk_kept_from_becoming_a_version_becomes_one_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next version names a D that no version before it holds, and can never be loaded."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = DataSetStore(tmp_path / "datasets")
    with opened(tmp_path) as curator:
        curator.profile([Outcome(q.question_id, 4, 2) for q in QUESTIONS], version=3)
        with monkeypatch.context() as patched:
            patched.setattr("sindbad.curation.versions.save_questions", full)
            for new in NEW[:2]:
                with pytest.raises(OSError, match="No space left"):
                    curator.extend([new], reason="synthesis")
        assert store.numbers() == [1]
        curator.refresh("steps")
    assert [(m.event, m.reason, m.parent) for m in store.log()] == [
        (0, "profile", None), (1, "synthesis", 1), (2, "synthesis", 2), (3, "steps", 3),
    ]  # fmt: skip
    assert [len(store.load(number).questions) for number in store.numbers()] == [8, 9, 10, 10]
    opened(tmp_path).close()
    assert store.numbers() == [1, 2, 3, 4]


def test_what_is_not_there_is_said_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="curator that ran there"):
        DataSetStore(tmp_path).load()
    with pytest.raises(NotFound, match="1 to 3"):
        lived(tmp_path).load(9)


def test_a_recorder_needs_every_question_that_the_journal_does_not_hold(tmp_path: Path) -> None:
    recorder = VersionRecorder(DataSetStore(tmp_path), QUESTIONS[:1], writer="x")
    state = CuratorState(CuratorConfig(), ("q0", "stranger"))
    with pytest.raises(KeyError):
        recorder(Change(0, "profile", "profile", -1, 0, joined=("q0", "stranger")), state)
    assert list(tmp_path.iterdir()) == []
