"""Worker processes of one machine: which are started again, and when the command gives up instead."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sindbad.corpus import local
from sindbad.corpus.job import Job, Round, local_store
from sindbad.corpus.ledger import Attempt
from sindbad.corpus.worker import prepare
from sindbad.errors import EngineFailure
from tests.unit.corpus.endpoint import endpoint
from tests.unit.corpus.jobs import FAST, job, records


async def begun(folder: Path) -> tuple[Job, Round]:
    """A job of one shard that nobody has worked on."""
    opened = job(local_store(folder))
    current = await prepare(opened, lambda: records(4), settings=FAST)
    assert current is not None
    return opened, current


def workers(monkeypatch: pytest.MonkeyPatch, code: Callable[[int, str], int]) -> list[str]:
    """The names of the workers that are started; the n-th ends with a code."""
    names: list[str] = []

    async def worker(url: str, round_number: int, storage: str, name: str) -> int:
        names.append(name)
        return code(len(names), name)

    monkeypatch.setattr(local, "_worker", worker)
    monkeypatch.setattr(local, "_LONGEST_PAUSE", 0.0)
    return names


async def test_workers_that_end_before_they_have_done_a_row_are_started_only_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, current = await begun(tmp_path)
    names = workers(monkeypatch, lambda _, __: -9)
    with pytest.raises(EngineFailure, match="exit code -9 before they have done a row"):
        await local.run_workers(opened.store.url, current.number, 1)
    assert len(set(names)) == local.MOST_FAILURES


async def test_a_worker_that_has_done_a_row_is_replaced_however_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, current = await begun(tmp_path)

    def code(number: int, name: str) -> int:
        attempt = Attempt(f"k{number}", "r", number, True, "filter", worker=name)
        opened.write_part(current, 0, f"{number:06d}-{name}-{1:05d}", [attempt])
        return 0 if number == 3 * local.MOST_FAILURES else -9

    names = workers(monkeypatch, code)
    await local.run_workers(opened.store.url, current.number, 1)
    assert len(names) == 3 * local.MOST_FAILURES


async def test_a_failure_that_another_worker_would_have_too_ends_the_command_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, current = await begun(tmp_path)
    names = workers(monkeypatch, lambda _, __: local.LASTING_EXIT)
    with pytest.raises(EngineFailure, match="no other could"):
        await local.run_workers(opened.store.url, current.number, 1)
    assert len(names) == 1


def until_written(path: Path) -> None:
    """Wait for a line in a file."""
    ends = time.monotonic() + 15
    while not path.exists() or not path.read_text().strip():
        assert time.monotonic() < ends
        time.sleep(0.02)


async def test_a_worker_that_does_not_hear_that_it_is_to_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf, pid = tmp_path / "deaf", tmp_path / "pid"
    deaf.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ > {pid}\nwhile :; do sleep 0.05; done\n")
    deaf.chmod(0o755)
    monkeypatch.setattr(local.sys, "executable", str(deaf))
    monkeypatch.setattr(local, "_GRACE_SECONDS", 0.2)
    opened, current = await begun(tmp_path / "job")
    running = asyncio.create_task(local.run_workers(opened.store.url, current.number, 1))
    async with asyncio.timeout(20):
        await asyncio.to_thread(until_written, pid)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def cli(*arguments: str, workers: str) -> subprocess.CompletedProcess[str]:
    """A command of its own process: workers are that command's children."""
    command = [sys.executable, "-m", "sindbad.cli.main", "corpus", *arguments, "--workers", workers]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_refused_key_ends_the_command_and_its_worker_processes(tmp_path: Path) -> None:
    file, config, folder = tmp_path / "rows.jsonl", tmp_path / "job.yaml", str(tmp_path / "job")
    rows = [[{"role": "user", "content": f"Where is the harbour {n}?"}, {"role": "assistant", "content": "Far away."}]
            for n in range(4)]  # fmt: skip
    file.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), "utf-8")
    config.write_text("duplicates: null\nshard_rows: 2\ntranslator: {settings: {style: light}}\n", "utf-8")
    with endpoint() as server:
        server.status = 401
        ended = cli("translate", folder, "--source", f"messages={file}@mit", "--endpoint", server.url, "--licence",
                    "mit", "--endpoint-model", "m", "--revision", "one", "--unit", "message", "--config", str(config),
                    workers="2")  # fmt: skip
        assert (ended.returncode, "no other could" in ended.stderr) == (1, True), ended.stderr
        assert "answered 401" in ended.stderr
        server.status = 200
        mended = cli("resume", folder, workers="2")
    assert "4 rows, 4 kept" in mended.stdout, mended.stdout + mended.stderr
