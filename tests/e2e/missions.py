"""`sindbad demo`, or `tune`, as a process that a test starts, watches, interrupts and kills."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pipelines.digest import ROOT
from sindbad.supervisor.registry import read_registry

MARK = "SINDBAD_TEST_MARK"
RECIPE = "recipes/mini.yaml"


def hear_ctrl_c() -> None:
    """A shell that runs the tests in the background makes them, and their children, deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo:
    """One command on its miniature recipe. All its processes carry a mark of their own in the environment."""

    def __init__(self, run: Path, *assignments: str, words: Sequence[str] = ("demo", "--recipe", RECIPE)) -> None:
        self.run, self.mark, self.lines = run, uuid.uuid4().hex, list[str]()
        options = [part for assignment in assignments for part in ("--set", assignment)]
        command = [sys.executable, "-m", "sindbad.cli.main", *words, "--run", str(run), *options]
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, MARK: self.mark}, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=hear_ctrl_c,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return "\n".join(self.lines)

    @property
    def began(self) -> list[str]:
        """Stages that were started, in order; a cached one is not."""
        return [line.split()[1] for line in self.lines if line.strip().startswith("▶ ")]

    def until(self, what: str, condition: Callable[[], object], seconds: float = 240.0) -> None:
        """Wait until ``condition`` holds. Fails with the output when the demo ends first or time is over."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"it ended before {what}:\n{self.text}"
            assert time.monotonic() < deadline, f"no {what} within {seconds:g} s:\n{self.text}"
            time.sleep(0.01)

    def until_printed(self, text: str) -> None:
        """Wait for a line that contains ``text``."""
        self.until(repr(text), lambda: any(text in line for line in self.lines))

    def send(self, number: signal.Signals) -> None:
        """A signal to the demo alone."""
        self.process.send_signal(number)

    def end(self, seconds: float = 840.0) -> int:
        """Wait for the end, and see that nothing is left; returns the exit code."""
        code = self.process.wait(seconds)
        self._reader.join(10)
        self.assert_nothing_left()
        return code

    def members(self) -> list[psutil.Process]:
        """Its living processes: whoever carries its mark, or names its run on the command line."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.status() != psutil.STATUS_ZOMBIE and (
                    process.environ().get(MARK) == self.mark or str(self.run) in " ".join(process.cmdline())
                ):
                    found.append(process)
        return found

    def member(self, text: str) -> psutil.Process:
        """The one process whose command line contains ``text``."""
        (found,) = [process for process in self.members() if text in " ".join(process.cmdline())]
        return found

    def assert_nothing_left(self, seconds: float = 3.0) -> None:
        """No process is left (a step notices within half a second that its owner was killed), and no port is open."""
        deadline = time.monotonic() + seconds
        while (left := self.members()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [" ".join(process.cmdline())[:200] for process in left] == []
        assert [address for address in self.addresses() if _listens(address)] == []

    def addresses(self) -> list[str]:
        """Every address that the run's services were given."""
        if not (self.run / "services.json").exists():
            return []
        entries = [entry for replicas in read_registry(self.run).values() for entry in replicas]
        names = ("address", "control_address", "metrics_address")
        return [entry[name] for entry in entries for name in names if entry[name]]

    def kill_all(self) -> None:
        """For the end of a test that failed."""
        for process in self.members():
            with suppress(psutil.Error):
                process.kill()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


@contextmanager
def demo(run: Path, *assignments: str) -> Iterator[Demo]:
    """Start a demo; whatever happens in the block, nothing of it survives."""
    started = Demo(run, *assignments)
    try:
        yield started
    finally:
        started.kill_all()
        started.process.wait(10)
