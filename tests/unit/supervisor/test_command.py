"""A program beside us ends in time, with all that it started, when it is stopped, and when we do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sindbad.errors import Cancelled, DeadlineExceeded, EngineFailure
from sindbad.supervisor.command import foreign_environment, run_command


def test_a_child_that_is_too_slow_is_gone_with_all_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, pathlib, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "pathlib.Path('pid').write_text(str(child.pid)); print('at it', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code]
    with pytest.raises(DeadlineExceeded, match="at it"):
        run_command(command, what="it", cwd=tmp_path, log=tmp_path / "log", deadline_seconds=3.0)
    _gone(int((tmp_path / "pid").read_text()))


def _gone(process: int) -> None:
    """Fails where it lives on."""
    for _ in range(200):
        try:
            os.kill(process, 0)
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return
        if state == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the process lives")


def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    waiting = "import pathlib, os, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"
    code = (
        "import pathlib, sys; from sindbad.supervisor.command import run_command; "
        f"run_command([sys.executable, '-c', {waiting!r}], what='it', cwd=pathlib.Path({str(tmp_path)!r}), "
        f"log=pathlib.Path({str(tmp_path / 'log')!r}), deadline_seconds=600.0)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < until
        assert parent.poll() is None
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    _gone(int((tmp_path / "pid").read_text()))


def test_a_child_that_fails_is_told_by_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('first'); raise SystemExit('no such task')"]
    with pytest.raises(EngineFailure, match=r"(?s)exit 1.*no such task"):
        run_command(command, what="it", cwd=tmp_path, log=tmp_path / "log", deadline_seconds=60.0)


def test_a_child_that_is_stopped_is_gone_and_no_failure_of_its_own(tmp_path: Path) -> None:
    code = "import pathlib, os, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"
    seen = tmp_path / "pid"
    with pytest.raises(Cancelled, match="it was stopped"):
        run_command(
            [sys.executable, "-c", code], what="it", cwd=tmp_path, log=tmp_path / "log", deadline_seconds=60.0,
            stopped=lambda: seen.exists() and seen.read_text() != "",
        )  # fmt: skip
    _gone(int(seen.read_text()))


def test_it_runs_with_the_priority_and_the_environment_that_it_is_given(tmp_path: Path) -> None:
    code = "import os; print(os.getpriority(os.PRIO_PROCESS, 0), os.environ.get('PYTHONPATH'), os.environ['MORE'])"
    run_command(
        [sys.executable, "-c", f"import time; time.sleep(0.3); {code}"], what="it", log=tmp_path / "log",
        deadline_seconds=60.0, nice=7, environment=foreign_environment({"MORE": "1"}),
    )  # fmt: skip
    assert (tmp_path / "log").read_text().split() == [str(min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)), "None", "1"]


def test_its_words_are_passed_on_while_it_runs_and_the_log_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("earlier words\n")
    go, told = tmp_path / "go", []

    def hear(words: bytes) -> None:
        told.append(words)
        go.touch()  # it waits for having been heard

    code = (
        "import pathlib, sys, time; print('one', flush=True)\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
        "print('two', end='')"
    )
    run_command(
        [sys.executable, "-c", code], what="it", log=tmp_path / "log", deadline_seconds=60.0, append=True, told=hear
    )
    assert b"".join(told) == b"one\ntwo"
    assert (tmp_path / "log").read_text() == "earlier words\none\ntwo"
    with pytest.raises(EngineFailure) as failed:
        run_command(
            [sys.executable, "-c", "raise SystemExit('no')"], what="it", log=tmp_path / "log", deadline_seconds=60.0,
            append=True,
        )  # fmt: skip
    assert failed.value.message == "it failed (exit 1):\nno"  # its own words, not those of before
