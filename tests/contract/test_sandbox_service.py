"""The sandbox over gRPC. Where programs can't be isolated these tests fail, with the reason that the service gives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest

from services.runtime import start_service
from services.sandbox import runner as runner_module
from services.sandbox.service import NAME, SandboxSettings, build
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.clients import ToolClient
from sindbad.errors import Unavailable
from sindbad.tools.environment import Caller, Observation, Scope, ToolCall
from sindbad.tools.record_format import attempt_name
from sindbad.v1 import common_pb2, sandbox_pb2, sandbox_pb2_grpc
from tests.contract.malformed import assert_survives_malformed

SETTINGS = SandboxSettings(wall_seconds=60, cpu_seconds=2, output_bytes=4096, memory_bytes=256 * 2**20)


@asynccontextmanager
async def sandbox(settings: SandboxSettings = SETTINGS) -> AsyncIterator[tuple[str, Any]]:
    async with (
        await start_service("sandbox", settings, build) as service,
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        yield service.address, sandbox_pb2_grpc.SandboxStub(channel)


async def run(code: str, **fields: Any) -> Any:
    async with sandbox() as (_, stub):
        return await stub.RunPython(sandbox_pb2.RunPythonRequest(code=code, **fields), timeout=60)


async def test_a_program_runs_with_its_input_and_says_what_it_printed() -> None:
    reply = await run("import math\nprint(math.comb(5, 2), input(), 'مرحبا')", stdin="hello\n")
    assert (reply.stdout, reply.exit_code, reply.killed_because) == ("10 hello مرحبا\n", 0, 0)
    assert reply.observation == "10 hello مرحبا"


async def test_a_program_that_fails_is_an_answer() -> None:
    reply = await run("print('before')\nraise ValueError('no')")
    assert reply.exit_code == 1
    assert reply.observation.startswith("before\nerror: the program failed")
    assert "ValueError: no" in reply.observation


async def test_it_sees_no_process_environment_or_host_of_ours() -> None:
    code = "import os, socket; print(sorted(os.listdir('/')), os.environ.get('PATH'), len(os.environ) < 8, os.getuid())"
    reply = await run(code + "\nprint(sum(p.isdigit() for p in os.listdir('/proc')), socket.gethostname())")
    first, second = reply.stdout.splitlines()
    assert first.endswith("/usr/bin True 65534")
    assert not {"'etc'", "'home'", "'root'", "'tmp'", "'var'", "'work'"} & set(
        first.replace("[", " ").replace(",", " ").split()
    )
    processes, host = second.split()
    assert int(processes) <= 3
    assert host == "sandbox"


@pytest.mark.parametrize(
    ("code", "because"),
    [
        ("while True: pass", sandbox_pb2.KILLED_BECAUSE_CPU_TIME),
        ("import time; print('x', flush=True); time.sleep(60)", sandbox_pb2.KILLED_BECAUSE_WALL_TIME),
        ("x = 'a' * 10**9", sandbox_pb2.KILLED_BECAUSE_MEMORY),
        ("while True: print('x' * 1000)", sandbox_pb2.KILLED_BECAUSE_OUTPUT),
        ("import os\nwhile True: os.fork()", sandbox_pb2.KILLED_BECAUSE_PROCESSES),
        (
            "import os, time\nfor _ in range(12):\n  if os.fork() == 0: x = b'a' * 180_000_000; time.sleep(30)\n"
            "time.sleep(30)",
            sandbox_pb2.KILLED_BECAUSE_MEMORY,
        ),
    ],
)
async def test_a_program_without_end_is_ended_and_the_reason_is_named(code: str, because: int) -> None:
    wall = 1.5 if because == sandbox_pb2.KILLED_BECAUSE_WALL_TIME else 30  # busy cores take long to burn a second
    limits = sandbox_pb2.SandboxLimits(wall_seconds=wall, cpu_seconds=1)
    reply = await run(code, limits=limits)
    assert reply.killed_because == because, reply
    assert reply.wall_seconds < wall + 5
    assert "error: the program" in reply.observation


async def test_a_deadline_of_the_caller_is_an_answer_with_its_reason() -> None:
    async with sandbox() as (_, stub):
        request = sandbox_pb2.RunPythonRequest(code="import time; print('before', flush=True); time.sleep(60)")
        reply = await stub.RunPython(request, timeout=3)
    assert reply.killed_because == sandbox_pb2.KILLED_BECAUSE_WALL_TIME
    assert reply.observation.startswith("before\nerror: the program was stopped after")
    await _nothing_left()


async def test_output_is_cut_to_the_limit() -> None:
    reply = await run("print('x' * 50_000)")
    assert (len(reply.stdout), reply.truncated, reply.exit_code) == (4096, True, 0)
    assert reply.observation.endswith("[output cut]")


async def test_a_caller_that_leaves_takes_the_program_along() -> None:
    async with sandbox() as (_, stub):
        call = stub.RunPython(sandbox_pb2.RunPythonRequest(code="import time; time.sleep(60)"))
        await asyncio.sleep(0.4)
        call.cancel()
        await _nothing_left()


async def _nothing_left() -> None:
    """No bubblewrap below this process within three seconds."""
    end = time.monotonic() + 3
    while names := [child.name() for child in psutil.Process().children(recursive=True)]:
        assert time.monotonic() < end, names
        await asyncio.sleep(0.05)


async def test_programs_run_side_by_side() -> None:
    async with sandbox() as (_, stub):
        request = sandbox_pb2.RunPythonRequest(code="import os; open('mine', 'x'); print(os.listdir('.'))")
        replies = await asyncio.gather(*(stub.RunPython(request) for _ in range(6)))
    assert {reply.stdout for reply in replies} == {"['mine']\n"}


@pytest.mark.parametrize(
    "fields",
    [
        {"code": ""},
        {"code": " \n"},
        {"code": "x" * 200_000},
        {"code": "1", "limits": {"wall_seconds": float("nan")}},
        {"code": "1", "limits": {"cpu_seconds": -1}},
        {"code": "1", "limits": {"memory_bytes": 1}},
    ],
)
async def test_wrong_requests_are_invalid_arguments(fields: dict[str, Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(**fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_cannot_raise_the_servers_limits() -> None:
    limits = sandbox_pb2.SandboxLimits(wall_seconds=1e9, cpu_seconds=1e9, memory_bytes=2**50, output_bytes=2**31)
    reply = await run(
        "import resource; print(resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(0))", limits=limits
    )
    assert reply.stdout == f"({256 * 2**20}, {256 * 2**20}) (2, 3)\n"


async def test_malformed_requests_get_a_clean_status_and_the_service_stays_up() -> None:
    async with sandbox(SandboxSettings(wall_seconds=2, parallel=8)) as (address, _):
        seen = await assert_survives_malformed(address, [NAME])
        assert seen["INVALID_ARGUMENT"] > 150


async def test_the_agents_python_tool_reaches_it_through_the_client() -> None:
    async with sandbox() as (address, _), ToolClient("127.0.0.1:1", tools=("python",), sandbox=address) as client:
        seen = await client.call(ToolCall("python", {"code": "print(6 * 7)"}), Scope("c", "en"), deadline_seconds=20)
        failed = await client.call(ToolCall("python", {"code": "1 / 0"}), Scope("c", "en"), deadline_seconds=20)
    assert (seen.ok, seen.text, seen.source) == (True, "42", "sandbox")
    assert not failed.ok
    assert "ZeroDivisionError" in failed.text


async def test_without_bubblewrap_it_refuses_to_start_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "find_bwrap", lambda: None)
    with pytest.raises(Unavailable) as caught:
        await start_service("sandbox", SandboxSettings(), build)
    assert caught.value.reason == "NO_ISOLATION"
    async with sandbox(SandboxSettings(allow_unisolated=True, wall_seconds=2)) as (_, stub):
        reply = await stub.RunPython(sandbox_pb2.RunPythonRequest(code="print('plain')"))
        assert reply.stdout == "plain\n"
        slow = await stub.RunPython(
            sandbox_pb2.RunPythonRequest(code="import os\nif os.fork() == 0:\n  while 1: pass\nwhile 1: pass")
        )
        assert slow.killed_because in (sandbox_pb2.KILLED_BECAUSE_WALL_TIME, sandbox_pb2.KILLED_BECAUSE_CPU_TIME)
    await _nothing_left()


CLOCK = "import time; print(time.time_ns())"


def asked(address: str, kind: EnvironmentKind) -> ToolClient:
    return ToolClient("127.0.0.1:1", kind=kind, tools=("python",), sandbox=[address], caller=Caller("run-7"))


async def ask(tools: ToolClient, code: str, episode: str = "e1", seconds: float = 60) -> Observation:
    scope = Scope("", "en", caller=Caller(episode=attempt_name(episode, "a")))
    return await tools.call(ToolCall("python", {"code": code}), scope, deadline_seconds=seconds)


async def test_live_programs_are_recorded_and_a_replay_answers_with_what_they_said_then(tmp_path: Path) -> None:
    recorded = SETTINGS.model_copy(update={"record_to": tmp_path})
    async with sandbox(recorded) as (address, _):
        async with asked(address, EnvironmentKind.LIVE) as tools:
            first, second = await ask(tools, CLOCK), await ask(tools, CLOCK)
            failed = await ask(tools, "raise ValueError('no')", "e2")
        async with asked(address, EnvironmentKind.SIMULATED) as tools:
            await ask(tools, "print('not recorded')")
    assert first.text != second.text
    replayed = SETTINGS.model_copy(update={"recording": tmp_path, "on_miss": "error"})
    async with sandbox(replayed) as (address, _), asked(address, EnvironmentKind.REPLAY) as tools:
        again = [await ask(tools, CLOCK), await ask(tools, CLOCK), await ask(tools, "raise ValueError('no')", "e2")]
        unknown = await ask(tools, "print('not recorded')")
    seen = [(one.text, one.ok, one.error) for one in again]
    assert seen == [(one.text, one.ok, one.error) for one in (first, second, failed)]
    assert not unknown.ok
    assert "not recorded" in unknown.text


async def test_a_replay_runs_what_was_never_recorded_unless_told_otherwise(tmp_path: Path) -> None:
    replayed = SETTINGS.model_copy(update={"recording": tmp_path})
    async with sandbox(replayed) as (address, _), asked(address, EnvironmentKind.REPLAY) as tools:
        assert (await ask(tools, "print(6 * 7)")).text == "42"


async def test_a_program_that_was_cut_by_its_callers_deadline_is_cut_in_the_replay(tmp_path: Path) -> None:
    slow = "import time; time.sleep(30)"
    async with sandbox(SETTINGS.model_copy(update={"record_to": tmp_path})) as (_, stub):
        call = stub.RunPython(
            sandbox_pb2.RunPythonRequest(
                code=slow,
                environment=common_pb2.ENVIRONMENT_LIVE,
                caller=common_pb2.Caller(episode=attempt_name("e1", "a")),
            )
        )
        await asyncio.sleep(2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for _ in range(400):
            if any(file.stat().st_size for file in tmp_path.glob("calls-*")):
                break
            await asyncio.sleep(0.05)
    replayed = SETTINGS.model_copy(update={"recording": tmp_path})
    async with sandbox(replayed) as (address, _), asked(address, EnvironmentKind.REPLAY) as tools:
        began = time.monotonic()
        seen = await ask(tools, slow)
    assert not seen.ok
    assert time.monotonic() - began < 20  # it is not run


async def test_an_unknown_environment_or_an_endless_caller_is_refused() -> None:
    async with sandbox() as (_, stub):
        for fields in ({"environment": 99}, {"caller": common_pb2.Caller(run="x" * 201)}):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.RunPython(sandbox_pb2.RunPythonRequest(code="print(1)", **fields))
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
