"""The engine is kept busy: at a shard's end, behind a slow row, and where many shards have a row or two to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sindbad.corpus.job import local_store
from sindbad.corpus.translate import kept
from sindbad.corpus.worker import Worker, prepare
from tests.unit.corpus.jobs import FAST, Held, job, records

IN_FLIGHT, ROWS = 6, 24


@pytest.mark.parametrize("shard_rows", [1, 3, 4])
async def test_slow_rows_of_several_shards_do_not_keep_the_next_shard_from_the_engine(
    tmp_path: Path, shard_rows: int
) -> None:
    one, rows = job(local_store(tmp_path / "job"), shard_rows=shard_rows), records(ROWS)
    settings = FAST.model_copy(update={"in_flight": IN_FLIGHT, "poll_seconds": 5.0})
    current = await prepare(one, lambda: rows, settings=settings)
    assert current is not None
    engine = Held()
    working = asyncio.create_task(Worker(one, engine, settings=settings).run(current))
    slow = {rows[0].record_id, rows[shard_rows].record_id, rows[2 * shard_rows].record_id}
    for answered in range(ROWS - IN_FLIGHT):  # whatever is answered, another row takes its place
        await engine.until(IN_FLIGHT)
        assert len(engine.begun) == IN_FLIGHT + answered
        next(gate for name, gate in engine.flying.items() if name not in slow).set()
    await engine.until(IN_FLIGHT)
    for gate in engine.flying.values():
        gate.set()
    tally = await working
    assert (tally.attempts, tally.shards) == (ROWS, ROWS // shard_rows)
    assert len(list(kept(one))) == ROWS


async def test_a_kill_never_costs_more_than_two_unwritten_batches_beside_what_is_in_flight(tmp_path: Path) -> None:
    one, rows = job(local_store(tmp_path / "job"), shard_rows=3), records(ROWS)
    settings = FAST.model_copy(update={"in_flight": 9, "part_rows": 4, "part_seconds": 600.0, "poll_seconds": 0.01})
    current = await prepare(one, lambda: rows, settings=settings)
    assert current is not None
    engine, written = Held(), list[str]()
    worker = Worker(one, engine, settings=settings, progress=lambda attempt: written.append(attempt.record_id))
    working = asyncio.create_task(worker.run(current))
    first = {row.record_id for row in rows[::3]}  # of every shard one row is slow, so that none is sealed
    answered = 0
    async with asyncio.timeout(30):
        while answered < ROWS - len(first) or answered - len(written) >= 2 * settings.part_rows:
            for name in [name for name, gate in engine.flying.items() if name not in first and not gate.is_set()]:
                engine.flying[name].set()
                answered += 1
            await asyncio.sleep(0.005)
    assert len(engine.flying) == len(first)
    while not working.done():
        for gate in engine.flying.values():
            gate.set()
        await asyncio.sleep(0.01)
    assert working.result().attempts == ROWS == len(written)
