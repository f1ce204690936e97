"""Background attempts on disk, and a run read back."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sindbad.agent import store
from sindbad.agent.trajectory import Trajectory
from sindbad.curation.attempts import SHARDS_WAITING, AttemptLog
from sindbad.curation.background import BackgroundConfig
from sindbad.curation.beside import beside
from sindbad.curation.curator import Curator
from sindbad.curation.runs import attempts, curated_stages, find_stage, tally_of
from sindbad.curation.state import CuratorConfig
from sindbad.errors import NotFound
from sindbad.training.rollout import Ticket
from tests.unit.curation.making import ENGLISH, act, answer, attempt


def test_attempts_are_written_in_full_shards_and_the_rest_at_the_end(tmp_path: Path) -> None:
    with AttemptLog(tmp_path, shard=4) as log:
        for number in range(5):
            log.add([attempt(ENGLISH, name=f"{number}-{k}") for k in range(2)])
        assert len(store.shards(tmp_path)) == 2
    assert len(store.shards(tmp_path)) == 3
    assert len(list(store.read(tmp_path))) == 10


def test_threads_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    with AttemptLog(tmp_path, shard=3) as log, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: log.add([attempt(ENGLISH, name=str(number))]), range(40)))
    assert {item.trajectory_id for item in store.read(tmp_path)} == {str(number) for number in range(40)}


class Disk:
    """Full until it is emptied."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full, self._append = True, store.append
        monkeypatch.setattr(store, "append", self.append)

    def append(self, folder: str | Path, made: Sequence[Trajectory]) -> Path:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._append(folder, made)


def test_what_a_full_disk_refuses_waits_and_is_written_with_the_next_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    disk = Disk(monkeypatch)
    with AttemptLog(tmp_path, shard=2, say=said.append) as log:
        for number in range(6):
            log.add([attempt(ENGLISH, name=str(number))])
        assert len(said) == 1
        assert "2 background attempts wait" in said[0]
        disk.full = False
        log.add([attempt(ENGLISH, name="6")])
        assert store.stored_ids(tmp_path) == {str(number) for number in range(7)}
    assert len(said) == 1


def test_a_disk_that_stays_full_refuses_more_than_may_wait_and_leaving_says_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    disk = Disk(monkeypatch)
    with AttemptLog(tmp_path, shard=2, say=said.append) as log:
        for number in range(2 * SHARDS_WAITING):
            log.add([attempt(ENGLISH, name=str(number))])
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                log.add([attempt(ENGLISH, name="one more")])
    assert f"{2 * SHARDS_WAITING} background attempts are lost" in said[-1]
    disk.full = False
    log.flush()  # nothing was dropped until the process ends
    assert store.stored_ids(tmp_path) == {str(number) for number in range(2 * SHARDS_WAITING)}


async def test_a_full_disk_stops_neither_training_nor_what_the_curator_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch)
    said: list[str] = []
    pool = {f"q{number}": replace(ENGLISH, question_id=f"q{number}") for number in range(40)}

    async def episode(ticket: Ticket) -> Trajectory:
        return attempt(ticket.question, version=1, name=ticket.trajectory_id)

    with Curator(pool, CuratorConfig(), tmp_path / "journal.jsonl") as curator:
        config = BackgroundConfig(attempts=2, share=4.0)
        async with beside(
            curator, pool.__getitem__, episode, stage="rl", attempts=tmp_path / "background", background=config,
            say=said.append,
        ) as aside:  # fmt: skip
            aside.served(1)
            assert aside.sampler is not None
            aside.sampler.grant(20)
            async with asyncio.timeout(20):
                while len(curator.state.measured) < 40:
                    aside.sampler.grant(20)
                    await asyncio.sleep(0.001)
    assert any("attempts wait" in line for line in said)
    assert any("80 background attempts are lost" in line for line in said)


def test_only_the_newest_steps_are_read_and_always_the_background(tmp_path: Path) -> None:
    for step in range(3):
        store.append(tmp_path / f"step-{step:05d}", [attempt(ENGLISH, [answer("?")], said="?", name=f"s{step}")])
    store.append(tmp_path / "background", [attempt(ENGLISH, [act("x")], said="?", name="b")])
    assert [item.trajectory_id for item in attempts(tmp_path, 1)] == ["b", "s2"]
    tally, left_out = tally_of(tmp_path, (ENGLISH,))
    assert (tally.judged, left_out) == (4, 0)


def test_a_folder_without_attempts_and_a_run_without_a_curator_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no attempts"):
        list(attempts(tmp_path))
    with pytest.raises(NotFound, match="no attempts"):
        list(attempts(tmp_path / "nowhere"))
    with pytest.raises(NotFound, match="no curator ran"):
        find_stage(tmp_path, None)


def test_both_layouts_of_a_run_are_found(tmp_path: Path) -> None:
    for path in ("curator/rl_sim-0123456789ab/journal.jsonl", "checkpoints/grpo/curator.jsonl"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    assert {(item.stage, item.writer) for item in curated_stages(tmp_path)} == {
        ("rl_sim", "rl_sim-0123456789ab"), ("grpo", "grpo"),
    }  # fmt: skip
