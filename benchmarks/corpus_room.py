"""What the corpus benchmark runs against: the translator service as a process, and the demo's instructions.

The engine is the demo's committed teacher (2.4 MB, one thread) on its own kind of text, so that rows are accepted for
good reasons; its figures say what the pipeline costs beside an engine, not how fast a real one is.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sindbad.clients.translator import TranslatorClient
from sindbad.corpus.address import Identity
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.job import Job, JobSpec
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.store import JobStore
from sindbad.demo.world import build_world
from sindbad.errors import SindbadError
from sindbad.translation.instructions import make_instructions
from sindbad.translation.settings import TranslatorSettings

MODEL = Path(__file__).resolve().parent.parent / "sindbad" / "demo" / "models" / "teacher"
FIRST_WORLD = 920_000
"""Worlds that no training uses."""


def records(count: int, seed: int = 0) -> list[InstructionRecord]:
    """English instructions over worlds that the model has not seen."""
    worlds = [build_world(FIRST_WORLD + seed * 8 + i, entities=40) for i in range(8)]
    return make_instructions(worlds, seed, count)


def job(folder: str, shard_rows: int = 32) -> Job:
    """A job for the teacher; names are not filtered, because no glossary is given."""
    settings = TranslatorSettings()
    identity = Identity(revision="demo-teacher", decoding=settings.decoding(), licence="Apache-2.0", unit="message")
    spec = JobSpec(identity=identity, filters=FilterSettings(), duplicates=None, shard_rows=shard_rows)
    return Job(JobStore(folder), spec)


def free_port() -> int:
    """A port of this machine that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EngineServer:
    """``python -m services.translator`` on a port of its own, to be killed and started again."""

    def __init__(self, model: Path = MODEL) -> None:
        self.port, self._model = free_port(), model
        self.address = f"127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return once it translates."""
        settings = [f"port={self.port}", f"model.directory={self._model}", "model.version=1",
                    "engine.kind=transformers", "engine.threads=1", "drain_seconds=0.2", "log_level=error",
                    "translator.cache_size=0"]  # fmt: skip
        flags = [flag for one in settings for flag in ("--set", one)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.translator", *flags, cwd=Path(__file__).resolve().parent.parent,
            stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until = time.monotonic() + 120
        async with TranslatorClient(self.address, deadline_seconds=20) as client:
            while True:
                try:
                    await client.translate(["Let me search."])
                except SindbadError:
                    if time.monotonic() > until or self._process.returncode is not None:
                        raise
                    await asyncio.sleep(0.3)
                else:
                    return

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        import psutil

        assert self._process is not None
        used = psutil.Process(self._process.pid).cpu_times()
        return float(used.user + used.system)


@asynccontextmanager
async def engine_server(model: Path = MODEL) -> AsyncIterator[EngineServer]:
    """A running server, killed at the end."""
    server = EngineServer(model)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


class KillableWorkers:
    """Worker processes of one round; :meth:`kill_one` ends a random one with kill -9, and another takes its place."""

    def __init__(self, folder: str, round_number: int, count: int, seed: int) -> None:
        self._command = [sys.executable, "-m", "benchmarks.corpus_worker", folder, str(round_number)]
        self._count, self._rng = count, random.Random(seed)
        self._running: list[asyncio.subprocess.Process] = []
        self.killed = 0

    async def start(self, address: str) -> None:
        """Begin."""
        self._command.append(address)
        self._running = [await self._worker() for _ in range(self._count)]

    async def _worker(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(*self._command, cwd=Path(__file__).resolve().parent.parent)

    async def kill_one(self) -> None:
        """One of those that still run."""
        alive = [one for one in self._running if one.returncode is None]
        if not alive:
            return
        victim = self._rng.choice(alive)
        os.kill(victim.pid, signal.SIGKILL)
        await victim.wait()
        self.killed += 1
        self._running.remove(victim)
        self._running.append(await self._worker())

    async def wait(self) -> Sequence[int]:
        """Exit codes of those that ended by themselves."""
        return await asyncio.gather(*(one.wait() for one in self._running))

    async def stop(self) -> None:
        """Kill what still runs."""
        for one in self._running:
            if one.returncode is None:
                one.kill()
                await one.wait()
