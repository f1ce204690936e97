"""The Sandbox servicer: settings, the server's limits, and what the agent reads."""

from __future__ import annotations

import asyncio
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from services.runtime import RuntimeSettings, ServiceContext
from services.runtime.recording import RECORDER_METRICS, REPLAY_METRICS, CountsCollector
from services.runtime.requests import caller_of, chosen
from services.sandbox.isolation import Limits
from services.sandbox.outcome import Killed, Outcome, describe
from services.sandbox.runner import Runner, open_runner
from services.sandbox.seccomp import compiled
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.clients.search_status import KINDS
from sindbad.clients.tracing import current_trace_id
from sindbad.errors import DeadlineExceeded, InvalidInput
from sindbad.tools.environment import Scope
from sindbad.tools.programs import ProgramReplay, ProgramRun, ProgramTape, program_text
from sindbad.tools.provider import CallCut
from sindbad.tools.record import CallRecorder
from sindbad.tools.replay import NOT_RECORDED
from sindbad.tools.specs import MAX_CODE_CHARS
from sindbad.v1 import sandbox_pb2, sandbox_pb2_grpc

NAME: Final = "sindbad.v1.Sandbox"
_BECAUSE: Final = {
    Killed.NO: sandbox_pb2.KILLED_BECAUSE_UNSPECIFIED,
    Killed.WALL_TIME: sandbox_pb2.KILLED_BECAUSE_WALL_TIME,
    Killed.CPU_TIME: sandbox_pb2.KILLED_BECAUSE_CPU_TIME,
    Killed.MEMORY: sandbox_pb2.KILLED_BECAUSE_MEMORY,
    Killed.OUTPUT: sandbox_pb2.KILLED_BECAUSE_OUTPUT,
    Killed.PROCESSES: sandbox_pb2.KILLED_BECAUSE_PROCESSES,
    Killed.FORBIDDEN: sandbox_pb2.KILLED_BECAUSE_FORBIDDEN,
}


class SandboxSettings(RuntimeSettings):
    """Settings of the sandbox service."""

    allow_unisolated: bool = False
    """Run programs with limits but without isolation where bubblewrap does not work. Only on a machine that is itself
    a sandbox: such programs read the host's files and reach its network."""
    python: str | None = None
    """Interpreter for programs; unset means this one's, or the system's where a dropped user can't read this one."""
    parallel: int = Field(default=4, ge=1, le=256)
    """Programs at once; more wait."""
    wall_seconds: float = Field(default=20.0, gt=0)
    """Most wall time a program; also the default."""
    cpu_seconds: float = Field(default=10.0, ge=1)
    """Most CPU time of all processes of a program together; also the default."""
    memory_bytes: int = Field(default=512 * 2**20, ge=64 * 2**20)
    """Most memory of all processes of a program together, its files included, and most address space of each; also
    the default."""
    scratch_bytes: int = Field(default=32 * 2**20, ge=2**20)
    """Size of a program's scratch folder, which is in memory."""
    output_bytes: int = Field(default=32 * 1024, ge=256)
    """Most bytes kept of each output stream; also the default."""
    processes: int = Field(default=32, ge=1)
    """Most processes and threads of a program."""
    cgroup: Path | None = None
    """A folder of cgroup version 2 that is delegated to the service and holds no process: the kernel then limits each
    program there. Unset means that the service's own watch alone does."""
    max_stdin_characters: int = Field(default=1_000_000, ge=0)
    """More is INVALID_ARGUMENT."""
    record_to: Path | None = None
    """Record the programs of the live environment in this folder: the search service's own, or another one."""
    recording: Path | None = None
    """Recorded programs that the replay environment answers from; unset runs them there as anywhere."""
    on_miss: Literal["run", "error"] = "run"
    """What a program that was never recorded does in a replay: it runs (it has no network), or it is an error."""


async def build(settings: SandboxSettings, context: ServiceContext) -> None:
    """Find an isolation that works, or refuse to start."""
    runner = await open_runner(
        python=settings.python,
        parallel=settings.parallel,
        allow_unisolated=settings.allow_unisolated,
        cgroup=settings.cgroup,
    )
    if runner.isolation.name == "none":
        context.logger.warning("programs run WITHOUT isolation, as configured (allow_unisolated)")
    elif compiled() is None:
        context.logger.warning("no system-call filter is known for this machine; namespaces alone isolate programs")
    recorder = CallRecorder(settings.record_to) if settings.record_to is not None else None
    replay = ProgramReplay(settings.recording) if settings.recording is not None else None
    if recorder is not None:
        context.metrics.register(CountsCollector("sindbad_sandbox_recorder", recorder.counts, RECORDER_METRICS))
    if replay is not None:
        context.metrics.register(CountsCollector("sindbad_sandbox_replay", replay.recording.counts, REPLAY_METRICS))

    async def close() -> None:
        if recorder is not None:
            await asyncio.to_thread(recorder.close)
        if replay is not None:
            replay.close()

    context.on_shutdown(close)
    servicer = SandboxServicer(settings, runner, recorder, replay)
    context.add_servicer(sandbox_pb2_grpc.add_SandboxServicer_to_server, servicer, service_name=NAME)
    context.set_serving(NAME, True)


class SandboxServicer(sandbox_pb2_grpc.SandboxServicer):
    """Runs programs. One that fails is an answer; a status is for a wrong request."""

    def __init__(
        self,
        settings: SandboxSettings,
        runner: Runner,
        recorder: CallRecorder | None = None,
        replay: ProgramReplay | None = None,
    ) -> None:
        self._settings, self._runner, self._replay = settings, runner, replay
        self._tape = ProgramTape(recorder) if recorder is not None else None

    async def RunPython(self, request: Any, context: Any) -> Any:
        if not request.code.strip():
            raise InvalidInput("code is empty; send a program")
        if len(request.code) > MAX_CODE_CHARS or len(request.stdin) > self._settings.max_stdin_characters:
            raise InvalidInput(
                f"code may have {MAX_CODE_CHARS} characters, stdin {self._settings.max_stdin_characters}"
            )
        limits = limits_of(request.limits, self._settings)
        kind = chosen(request.environment, KINDS, None, "environment")
        scope = Scope("", "", current_trace_id(), caller_of(request.caller))
        program = _program(request)

        async def run() -> ProgramRun:
            left = context.time_remaining()
            return _ended(await self._runner.run(request.code, limits, request.stdin, deadline_seconds=left), limits)

        if kind is EnvironmentKind.LIVE and self._tape is not None:
            ended = await self._tape.through(program, scope, run)
        elif kind is EnvironmentKind.REPLAY and self._replay is not None:
            ended = await self._replayed(self._replay, program, scope) or await run()
        else:
            ended = await run()
        return sandbox_pb2.RunPythonResponse(**asdict(ended))

    async def _replayed(self, replay: ProgramReplay, program: str, scope: Scope) -> ProgramRun | None:
        """What was recorded; None where it is to be run. Raises DeadlineExceeded where the recorded one was cut."""
        try:
            found = await replay.find(program, scope)
        except CallCut:
            raise DeadlineExceeded("the recorded program was cut short by its caller's deadline") from None
        if found is None and self._settings.on_miss == "error":
            return ProgramRun("", "", 1, False, sandbox_pb2.KILLED_BECAUSE_UNSPECIFIED, 0.0, f"error: {NOT_RECORDED}")
        return found


def limits_of(wanted: Any, settings: SandboxSettings) -> Limits:
    """What the request asks for, never more than the server's. Raises InvalidInput for what is no limit."""
    seconds = {"wall_seconds": wanted.wall_seconds, "cpu_seconds": wanted.cpu_seconds}
    if any(not math.isfinite(value) or value < 0 for value in seconds.values()):
        raise InvalidInput("a limit in seconds is a number and not negative")
    if 0 < wanted.memory_bytes < 32 * 2**20:
        raise InvalidInput("Python does not start in less than 32 MiB; give more memory_bytes or none")
    return Limits(
        wall_seconds=min(wanted.wall_seconds or math.inf, settings.wall_seconds),
        cpu_seconds=min(wanted.cpu_seconds or math.inf, settings.cpu_seconds),
        memory_bytes=min(wanted.memory_bytes or settings.memory_bytes, settings.memory_bytes),
        output_bytes=min(wanted.output_bytes or settings.output_bytes, settings.output_bytes),
        processes=settings.processes,
        scratch_bytes=settings.scratch_bytes,
    )


def _program(request: Any) -> str:
    """What is asked, server's limits apart: they are no part of it, as no provider's are."""
    asked = request.limits
    limits = (asked.wall_seconds, asked.cpu_seconds, asked.memory_bytes, asked.output_bytes)
    return program_text(request.code, request.stdin, limits)


def _ended(outcome: Outcome, limits: Limits) -> ProgramRun:
    return ProgramRun(
        outcome.stdout, outcome.stderr, outcome.exit_code, outcome.truncated, int(_BECAUSE[outcome.killed]),
        outcome.wall_seconds, describe(outcome, limits),
    )  # fmt: skip
