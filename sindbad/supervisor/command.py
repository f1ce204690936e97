"""A program run to its end beside us, most often one in an environment of its own: it outlives neither its deadline
nor whoever waits for it nor us, and its last words are told where it fails.

Invariant: when :func:`run_command` returns or raises, nothing of the program's process group is left; a kill -9 of ours
takes the program itself along (not what it started).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from sindbad.errors import Cancelled, DeadlineExceeded, EngineFailure

_CHILD: Final = Path(__file__).with_name("child.py")
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_LAST_LINES = 12
_READ_BYTES = 1 << 16


def foreign_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment for an interpreter that is not ours: without our module paths, with ``more``."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return {**inherited, **(more or {})}


def run_command(
    command: Sequence[str],
    *,
    what: str,
    log: Path,
    deadline_seconds: float,
    advice: str = "",
    reason: str = "COMMAND_FAILED",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    nice: int = 0,
    append: bool = False,
    told: Callable[[bytes], object] | None = None,
) -> None:
    """Run to the end, its words in ``log``.

    Args:
        deadline_seconds: math.inf for none.
        what: names it in messages. advice: what to do about a deadline ("(--deadline)"). reason: of a failure.
        environment: all of it; None for ours.
        append: leave in the log what is there. told: given its words as they come, some times a second.
        stopped: looked at five times a second; true ends the program.
        nice: added to our own niceness.

    Raises:
        DeadlineExceeded: it was not done in time. Cancelled: it was stopped. EngineFailure: it failed. All with its
        last lines.
    """
    # -P: the modules beside that script stay off its path. A session of its own: Ctrl-C is ours to hear, not its.
    armed = [sys.executable, "-P", str(_CHILD), str(os.getpid()), "--", *command]
    with log.open("ab" if append else "wb") as output:
        words = _Words(log, output.tell(), told)
        child = subprocess.Popen(
            armed, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            if nice:
                os.setpriority(os.PRIO_PROCESS, child.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + nice))
            code = _wait(child, deadline_seconds, stopped, words)
        finally:
            _end(child)
            words.pass_on()
    if code is None:
        late = not stopped()
        said = f"was not done after {deadline_seconds:g} s{f' {advice}' if advice else ''}" if late else "was stopped"
        raise (DeadlineExceeded if late else Cancelled)(f"{what} {said}; its last words:\n{words.last()}")
    if code != 0:
        raise EngineFailure(f"{what} failed (exit {code}):\n{words.last()}", reason=reason)


class _Words:
    """What a program writes into its log from byte ``begin`` on."""

    def __init__(self, log: Path, begin: int, told: Callable[[bytes], object] | None) -> None:
        self._log, self._begin, self._passed, self._told = log, begin, begin, told

    def pass_on(self) -> None:
        """Tell what is new."""
        if self._told is None:
            return
        with self._log.open("rb") as file:
            file.seek(self._passed)
            while new := file.read(_READ_BYTES):
                self._passed += len(new)
                self._told(new)

    def last(self) -> str:
        """Its last lines; a progress bar's line is what it last showed."""
        with self._log.open("rb") as file:
            file.seek(self._begin)
            said = file.read().decode("utf-8", errors="replace")
        lines = [line.rpartition("\r")[2] for line in said.splitlines()]
        return "\n".join([line for line in lines if line.strip()][-_LAST_LINES:])


def _wait(
    child: subprocess.Popen[bytes], deadline_seconds: float, stopped: Callable[[], bool], words: _Words
) -> int | None:
    """Its exit code; None where it was not done in time, or was stopped."""
    until = time.monotonic() + deadline_seconds
    while not stopped() and (left := until - time.monotonic()) > 0:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=min(_LOOK_SECONDS, left))
        words.pass_on()
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing is left of its group: SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_GRACE_SECONDS)
