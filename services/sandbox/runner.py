"""Run one untrusted program and say what became of it.

Invariant: when :meth:`Runner.run` returns, or is cancelled, every process of the program is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import psutil

from services.sandbox.isolation import Bubblewrap, Isolation, Limits, Unisolated, candidates, find_bwrap
from sindbad.errors import Unavailable

DRAINED: Final = 64
"""A stream may write this many times what is kept before it ends the program."""
WATCH_SECONDS: Final = 0.1
_SIGNALS: Final = frozenset({signal.SIGXCPU, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGXFSZ})
_PROBE: Final = "import socket, os; print(os.path.exists('/etc/passwd'), len(socket.if_nameindex()))"


class Killed(StrEnum):
    """What ended a program that did not end itself."""

    NO = ""
    WALL_TIME = "wall_time"
    CPU_TIME = "cpu_time"
    MEMORY = "memory"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Streams are decoded with replacement and cut; ``exit_code`` is negative for the signal that ended it."""

    stdout: str
    stderr: str
    exit_code: int
    killed: Killed
    truncated: bool
    wall_seconds: float


class Runner:
    """Runs programs under one isolation, at most ``parallel`` at once; more wait."""

    def __init__(self, isolation: Isolation, *, parallel: int = 4) -> None:
        self.isolation = isolation
        self._slots = asyncio.Semaphore(parallel)

    async def run(self, code: str, limits: Limits, stdin: str = "") -> Outcome:
        """Raises Unavailable when the sandbox itself can't start; whatever the program does is an outcome."""
        async with self._slots:
            with tempfile.TemporaryDirectory(prefix="sindbad-sandbox-", ignore_cleanup_errors=True) as scratch:
                return await self._run(code, limits, stdin.encode("utf-8", "replace"), Path(scratch))

    async def _run(self, code: str, limits: Limits, stdin: bytes, scratch: Path) -> Outcome:
        started = time.monotonic()
        process = await self._start(code, limits, scratch)
        assert process.stdout
        assert process.stderr
        streams = [_Stream(pipe, limits.output_bytes, process) for pipe in (process.stdout, process.stderr)]
        killed = Killed.NO
        watch = asyncio.create_task(_watch_memory(process, limits.memory_bytes))
        # The readers run until the pipes end: asyncio reports a process's exit only once its pipes are at their end,
        # and a pipe that nobody drains never gets there.
        work = asyncio.gather(_feed(process, stdin), *(stream.read() for stream in streams), process.wait())
        try:
            async with asyncio.timeout(limits.wall_seconds):
                await asyncio.shield(work)
        except TimeoutError:
            killed = Killed.WALL_TIME
        finally:
            await _end(process)
            watch.cancel()
            await _settle([work, watch])
        if any(stream.flooded for stream in streams):
            killed = Killed.OUTPUT
        out, err = (stream.text() for stream in streams)
        code_ = _exit_code(process.returncode or 0)
        if not watch.cancelled() and watch.result():
            killed = Killed.MEMORY
        elif killed is Killed.NO:
            killed = _killed_by_limit(code_, err)
        truncated = any(stream.truncated for stream in streams)
        return Outcome(out, err, code_, killed, truncated, time.monotonic() - started)

    async def _start(self, code: str, limits: Limits, scratch: Path) -> asyncio.subprocess.Process:
        command = self.isolation.command(code, limits, scratch)
        pipe = asyncio.subprocess.PIPE
        try:
            return await asyncio.create_subprocess_exec(
                *command.arguments, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, **command.options
            )
        except OSError as error:
            raise Unavailable(f"The sandbox can't start a process ({error}).", reason="SANDBOX_FAILED") from error
        finally:
            for descriptor in command.inherited:
                os.close(descriptor)


class _Stream:
    """Keeps the first ``limit`` bytes and drains the rest; far beyond that it kills the program, and drains on."""

    def __init__(self, reader: asyncio.StreamReader, limit: int, process: asyncio.subprocess.Process) -> None:
        self._reader = reader
        self._limit = limit
        self._process = process
        self._kept = bytearray()
        self._seen = 0
        self.flooded = False

    async def read(self) -> None:
        while chunk := await self._reader.read(65_536):
            self._seen += len(chunk)
            self._kept += chunk[: max(0, self._limit - len(self._kept))]
            if not self.flooded and self._seen > DRAINED * max(self._limit, 16_384):
                self.flooded = True
                _kill(self._process)

    @property
    def truncated(self) -> bool:
        return self._seen > len(self._kept)

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the program and wait for its end; its pipes are being drained meanwhile."""
    _kill(process)
    await asyncio.shield(process.wait())


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the group; with bubblewrap the death of its parent takes the whole process namespace along."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _watch_memory(process: asyncio.subprocess.Process, memory_bytes: int) -> bool:
    """Kill a program whose processes together exceed twice what one may have (that is the address-space limit's).

    Returns whether it did.
    """
    try:
        parent = psutil.Process(process.pid)
        while sum(map(_resident, parent.children(recursive=True))) <= 2 * memory_bytes:  # noqa: ASYNC110 - no event
            await asyncio.sleep(WATCH_SECONDS)
    except psutil.NoSuchProcess:
        return False
    await _end(process)
    return True


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


async def _settle(transfers: Sequence[asyncio.Future[Any]]) -> None:
    """The pipes end when the last process that holds them dies; don't wait for ever for a kernel that is busy."""
    _, late = await asyncio.wait(transfers, timeout=2.0)
    for transfer in late:
        transfer.cancel()
    await asyncio.gather(*transfers, return_exceptions=True)


def _exit_code(code: int) -> int:
    """bubblewrap reports a signal as 128 + n, as shells do."""
    return -(code - 128) if code - 128 in _SIGNALS else code


def _killed_by_limit(code: int, stderr: str) -> Killed:
    if code == -signal.SIGXCPU:
        return Killed.CPU_TIME
    last = stderr.rstrip().rpartition("\n")[2]
    return Killed.MEMORY if code != 0 and last.startswith("MemoryError") else Killed.NO


def describe(outcome: Outcome, limits: Limits) -> str:
    """What the agent reads: the output, then what went wrong, if anything did."""
    parts = [outcome.stdout.rstrip("\n")] if outcome.stdout.strip() else []
    if outcome.truncated:
        parts.append("[output cut]")
    if outcome.killed is not Killed.NO:
        parts.append(f"error: {_reason(outcome.killed, limits)}")
    elif outcome.exit_code != 0:
        parts.append(f"error: the program failed\n{outcome.stderr.strip()}".rstrip())
    return "\n".join(parts) or "the program printed nothing"


def _reason(killed: Killed, limits: Limits) -> str:
    return {
        Killed.WALL_TIME: f"the program was stopped after {limits.wall_seconds:g} s",
        Killed.CPU_TIME: f"the program was stopped after {limits.cpu_seconds:g} s of CPU time",
        Killed.MEMORY: f"the program needed more than {limits.memory_bytes // 2**20} MiB of memory",
        Killed.OUTPUT: "the program was stopped because it printed too much",
    }[killed]


async def open_runner(*, python: str | None, parallel: int, allow_unisolated: bool) -> Runner:
    """A runner whose isolation has been seen to work. Raises Unavailable (NO_ISOLATION) rather than run without."""
    interpreters: Sequence[str] = candidates(python)
    failures = []
    bwrap = find_bwrap()
    for interpreter in interpreters if bwrap else ():
        runner = Runner(Bubblewrap(bwrap or "", interpreter), parallel=parallel)
        seen = await runner.run(_PROBE, Limits(wall_seconds=20))
        if seen.stdout.strip().startswith("False"):
            return runner
        failures.append(f"{interpreter}: {seen.stderr.strip()[-200:] or seen.stdout.strip()[-200:]}")
    why = "; ".join(failures) if bwrap else "bubblewrap (bwrap) is not installed"
    if allow_unisolated and interpreters:
        return Runner(Unisolated(interpreters[0]), parallel=parallel)
    raise Unavailable(
        f"Programs can't be isolated here ({why}). Install bubblewrap and allow user namespaces, or set "
        "allow_unisolated: true on a machine that is itself a sandbox.",
        reason="NO_ISOLATION",
    )
