"""One child process: started in a session of its own, logging to a file, stopped politely and then not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sindbad import atomic

# Two busy cores: threads that spin while they wait take the other service's core (558 against 7,512 tokens/s).
QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


async def spawn(
    module: str, settings: Mapping[str, Any], *, config: Path, log: Path, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Run ``module`` with ``settings`` (written to ``config``); output is appended to ``log``."""
    atomic.write_text(config, json.dumps(settings, ensure_ascii=False, indent=2, default=str))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sindbad.supervisor.child",
            str(os.getpid()),
            module,
            "--config",
            str(config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(environment),
            # Its own session: Ctrl-C in the terminal reaches the supervisor alone, which then drains in order.
            start_new_session=True,
        )


async def stop(process: asyncio.subprocess.Process, grace_seconds: float) -> None:
    """SIGTERM, wait, then SIGKILL to the whole process group; returns when the process is gone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_seconds)
    kill_group(process)
    await process.wait()


def kill_group(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to the child and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    # A checkout's `services` are not installed: the child finds them beside the package that started it.
    root = str(Path(__file__).parents[2])
    path = os.environ.get("PYTHONPATH")
    merged = {**QUIET_THREADS, **os.environ, "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}
    return {**merged, "PYTHONUNBUFFERED": "1", **extra}
