"""A planned round is done by workers on Ray, each a task; where Ray is missing the command says so."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.corpus.job import Job
from sindbad.corpus.store import JobStore
from sindbad.corpus.translate import report
from sindbad.errors import InvalidInput
from sindbad.translation.train_teacher import FOLDER
from tests.unit.cli.test_corpus import written

RAY = importlib.util.find_spec("ray") is not None


def plan(folder: Path) -> str:
    """A job of eight rows in four shards, nothing of it done."""
    job, config = str(folder / "job"), folder / "job.yaml"
    config.write_text("duplicates: null\nshard_rows: 2\n", encoding="utf-8")
    begin = ("translate", job, "--source", f"messages={written(folder / 'rows.jsonl', 8)}@mit", "--model", str(FOLDER),
             "--licence", "mit", "--unit", "message", "--config", str(config), "--workers", "0")  # fmt: skip
    done = CliRunner().invoke(app, ["corpus", *begin])
    assert done.exit_code == 0, done.output
    assert "8 rows in 4 shards, planned" in done.output
    return job


@pytest.mark.slow
@pytest.mark.skipif(RAY, reason="Ray is installed here")
def test_without_ray_the_command_says_what_else_there_is(tmp_path: Path) -> None:
    job = plan(tmp_path)
    done = CliRunner().invoke(app, ["corpus", "ray", job])
    assert isinstance(done.exception, InvalidInput), done.output
    assert "use --workers" in done.exception.message
    assert report(Job.open(JobStore(job))).kept == 0


@pytest.fixture
def stopped() -> Iterator[None]:
    """Nothing of Ray is left behind."""
    yield
    import ray

    ray.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(not RAY, reason="ray is not installed here: workers on Ray are not shown by this run")
@pytest.mark.usefixtures("stopped")
def test_two_tasks_on_ray_do_a_planned_round(tmp_path: Path) -> None:
    from ray.util.annotations import RayDeprecationWarning

    job = plan(tmp_path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        done = CliRunner().invoke(app, ["corpus", "ray", job, "--workers", "2"])
    assert [str(one.message) for one in told if issubclass(one.category, RayDeprecationWarning)] == []
    assert done.exit_code == 0, (done.output, done.exception)
    lines = [line for line in done.output.splitlines() if line.startswith("worker ")]
    assert len(lines) == 2
    assert sum(int(line.split()[2]) for line in lines) == 8
    found = report(Job.open(JobStore(job)))
    assert found.kept + sum(found.dropped.values()) == 8
    assert found.kept > 0


@pytest.mark.slow
@pytest.mark.skipif(not RAY, reason="ray is not installed here: a killed worker on Ray is not shown by this run")
@pytest.mark.usefixtures("stopped")
def test_a_worker_on_ray_that_is_killed_is_started_again(tmp_path: Path) -> None:
    job, killed = plan(tmp_path), list[int]()
    killer = threading.Thread(target=kill_the_first_holder, args=(Path(job), killed))
    killer.start()
    done = CliRunner().invoke(app, ["corpus", "ray", job, "--workers", "1"])
    killer.join()
    assert len(killed) == 1
    assert done.exit_code == 0, (done.output, done.exception)
    found = report(Job.open(JobStore(job)))
    assert found.kept + sum(found.dropped.values()) == 8
    assert "not_attempted" not in found.dropped


def kill_the_first_holder(job: Path, killed: list[int]) -> None:
    """End the process that holds a shard, as soon as one does."""
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        for lease in job.glob("leases/0001-*/000001"):
            holder = json.loads(lease.read_text("utf-8"))
            os.kill(holder["pid"], signal.SIGKILL)
            killed.append(holder["pid"])
            return
        time.sleep(0.01)
