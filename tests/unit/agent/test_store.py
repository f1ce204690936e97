from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sindbad.agent import store
from sindbad.agent.trajectory import EnvironmentKind, Segment, Step, Termination, Trajectory
from sindbad.errors import Corrupt


def example(name: str, reward: float | None = None) -> Trajectory:
    segment = Segment([1, 2], [3, 4, 5], [1, 0, 1], [-0.5, None, -0.25], [7, -1, 2**40], "so far")
    step = Step(
        "act", 0, "نص", thought="t", tool="visit", arguments="{}", observation="o", ok=False, latency_seconds=0.5
    )
    return Trajectory(
        name,
        "q",
        "g",
        EnvironmentKind.LIVE,
        "ar",
        "سؤال؟",
        "جواب",
        segments=[segment, Segment([1])],
        steps=[step],
        answer=None,
        reward=reward,
        termination=Termination.CALLS_EXHAUSTED,
        tool_calls=3,
        summaries=1,
        cost=0.25,
    )


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    written = [example("a"), example("b", 1.0)]
    store.append(tmp_path, written)
    assert list(store.read(tmp_path)) == written


def test_shards_are_numbered_and_the_ids_present_are_listed(tmp_path: Path) -> None:
    assert store.stored_ids(tmp_path / "nothing") == set()
    paths = [store.append(tmp_path, [example(name)]) for name in "abc"]
    assert [path.name for path in paths] == [f"shard-{number:06d}.parquet" for number in range(3)]
    assert store.stored_ids(tmp_path) == {"a", "b", "c"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)


def test_an_id_written_twice_is_read_once_and_the_newest_wins(tmp_path: Path) -> None:
    store.append(tmp_path, [example("a"), example("b")])
    store.append(tmp_path, [example("a", 1.0)])
    assert [(item.trajectory_id, item.reward) for item in store.read(tmp_path)] == [("b", None), ("a", 1.0)]


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=lambda k=k: [store.append(tmp_path, [example(f"{k}-{n}")]) for n in range(5)])  # type: ignore[misc]
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.stored_ids(tmp_path)) == 20
    assert len(store.shards(tmp_path)) == 20


def test_a_torn_or_newer_or_foreign_file_is_corrupt(tmp_path: Path) -> None:
    path = store.append(tmp_path, [example("a")])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Corrupt):
        store.stored_ids(tmp_path)
    newer = store.SCHEMA.with_metadata({b"sindbad.trajectory.schema": b"99"})
    pq.write_table(newer.empty_table(), path)
    with pytest.raises(Corrupt, match="schema 99"):
        list(store.read(tmp_path))
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(Corrupt):
        store.stored_ids(tmp_path)


def test_an_empty_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        store.append(tmp_path, [])
    assert store.shards(tmp_path) == []
