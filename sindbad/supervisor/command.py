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
) -> None:
    """Run to the end, its words in ``log``.

    Args:
        what: names it in messages. advice: what to do about a deadline ("(--deadline)"). reason: of a failure.
        environment: all of it; None for ours.
        stopped: looked at five times a second; true ends the program.
        nice: added to our own niceness.

    Raises:
        DeadlineExceeded: it was not done in time. Cancelled: it was stopped. EngineFailure: it failed. All with its
        last lines.
    """
    # -P: the modules beside that script stay off its path. A session of its own: Ctrl-C is ours to hear, not its.
    armed = [sys.executable, "-P", str(_CHILD), str(os.getpid()), "--", *command]
    with log.open("wb") as output:
        child = subprocess.Popen(
            armed, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            if nice:
                os.setpriority(os.PRIO_PROCESS, child.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + nice))
            code = _wait(child, deadline_seconds, stopped)
        finally:
            _end(child)
    if code is None:
        late = not stopped()
        said = f"was not done after {deadline_seconds:g} s{f' {advice}' if advice else ''}" if late else "was stopped"
        raise (DeadlineExceeded if late else Cancelled)(f"{what} {said}; its last words:\n{_last(log)}")
    if code != 0:
        raise EngineFailure(f"{what} failed (exit {code}):\n{_last(log)}", reason=reason)


def _wait(child: subprocess.Popen[bytes], deadline_seconds: float, stopped: Callable[[], bool]) -> int | None:
    """Its exit code; None where it was not done in time, or was stopped."""
    until = time.monotonic() + deadline_seconds
    while not stopped() and (left := until - time.monotonic()) > 0:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=min(_LOOK_SECONDS, left))
    return None


def _last(log: Path) -> str:
    """Its last lines; a progress bar's line is what it last showed."""
    lines = [line.rpartition("\r")[2] for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return "\n".join([line for line in lines if line.strip()][-_LAST_LINES:])


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing is left of its group: SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_GRACE_SECONDS)
