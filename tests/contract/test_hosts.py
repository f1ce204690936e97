"""One suite for every host: the policy service, unchanged, as a process, in KServe's model server, on Ray Serve.

A host whose library is not importable is skipped and says so. Nothing here knows which host answers, but for two
differences that are documented in ``services.runtime.hosts.ray_serve`` (no control port, no reflection of health).
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from sindbad.clients import PolicyClient
from sindbad.clients.status import from_rpc_error
from sindbad.engines.protocol import SamplingParams, complete
from sindbad.errors import InvalidInput, NoModel, WeightsBehind
from sindbad.supervisor.ports import free_ports
from tests.tiny_models import greedy_tokens, save_tiny_lfm2

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
POLICY = "sindbad.v1.Policy"
LIBRARY = {"process": "grpc", "kserve": "kserve", "ray": "ray"}
HOSTS = [
    pytest.param(
        host,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(library) is None,
            reason=f"{library} is not installed here: the {host} host is not shown by this run",
        ),
    )
    for host, library in LIBRARY.items()
]


@dataclass(frozen=True)
class Hosted:
    """A policy service on some host, and one without a model."""

    kind: str
    address: str
    model: Path
    process: subprocess.Popen[bytes]
    log: Path


def start(kind: str, folder: Path, model: Path | None) -> Hosted:
    port, http_port = free_ports(2)
    settings = [
        f"port={port}",
        f"kserve_http_port={http_port}",
        "drain_seconds=1",
        "engine={kind: transformers, threads: 1}",
    ]
    settings += [f"model.directory={model}", "model.version=3"] if model else []
    command = [sys.executable, "-m", "services.policy", "--host-kind", kind]
    for setting in settings:
        command += ["--set", setting]
    log = folder / f"{kind}-{port}.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    return Hosted(kind, f"127.0.0.1:{port}", model or Path(), process, log)


async def health(address: str) -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int((await stub.Check(health_pb2.HealthCheckRequest(service=POLICY), timeout=5)).status)


def await_health(hosted: Hosted, seconds: float = 120.0) -> int:
    async def poll() -> int:
        async with asyncio.timeout(seconds):
            while True:
                if hosted.process.poll() is not None:
                    raise AssertionError(hosted.log.read_text()[-3000:])
                try:
                    return await health(hosted.address)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.25)

    try:
        return asyncio.run(poll())
    except TimeoutError:
        raise AssertionError(hosted.log.read_text()[-3000:]) from None


def end(hosted: Hosted) -> int:
    hosted.process.send_signal(signal.SIGTERM)
    try:
        return hosted.process.wait(40)
    finally:
        if hosted.process.poll() is None:
            os.killpg(hosted.process.pid, signal.SIGKILL)


@pytest.fixture(scope="module", params=HOSTS)
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    folder = tmp_path_factory.mktemp(request.param)
    service = start(request.param, folder, save_tiny_lfm2(folder / "model", seed=1))
    try:
        assert await_health(service) == health_pb2.HealthCheckResponse.SERVING
        yield service
    finally:
        end(service)


async def test_greedy_tokens_are_those_of_a_plain_forward_pass(hosted: Hosted) -> None:
    async with PolicyClient(hosted.address, deadline_seconds=30) as client:
        done = await complete(client, [5, 6, 7], SamplingParams(max_tokens=12, temperature=0))
    assert list(done.token_ids) == greedy_tokens(hosted.model, [5, 6, 7], 12)
    assert set(done.weight_versions) == {3}
    assert len(done.logprobs) == 12
    assert max(done.logprobs) <= 0


async def test_streams_run_side_by_side(hosted: Hosted) -> None:
    async with PolicyClient(hosted.address, deadline_seconds=60) as client:
        sampling = SamplingParams(max_tokens=8, temperature=0)
        done = await asyncio.gather(*(complete(client, [5 + i, 9], sampling) for i in range(12)))
    assert all(len(completion.token_ids) == 8 for completion in done)


async def test_info_tells_version_and_engine(hosted: Hosted) -> None:
    async with PolicyClient(hosted.address, deadline_seconds=30) as client:
        info = await client.info()
    assert (info.version, info.engine) == (3, "transformers")


async def test_errors_keep_their_class(hosted: Hosted) -> None:
    async with PolicyClient(hosted.address, deadline_seconds=3) as client:
        with pytest.raises(InvalidInput):
            await complete(client, [10_000_000], SamplingParams(max_tokens=2))
        with pytest.raises(WeightsBehind):
            await complete(client, [5], SamplingParams(max_tokens=2), min_version=9)


async def test_undecodable_bytes_are_invalid_argument(hosted: Hosted) -> None:
    async with grpc.aio.insecure_channel(hosted.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await channel.unary_unary(f"/{POLICY}/GetInfo")(b"\xff\xff", timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            _ = [message async for message in channel.unary_stream(f"/{POLICY}/Generate")(b"\xff\xff", timeout=10)]
    for error in (unary.value, stream.value):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert from_rpc_error(error).reason == "UNDECODABLE"


async def test_reflection_names_the_service(hosted: Hosted) -> None:
    async with grpc.aio.insecure_channel(hosted.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        replies = [reply async for reply in stub.ServerReflectionInfo(iter([request]), timeout=10)]
    assert POLICY in {service.name for service in replies[0].list_services_response.service}


async def test_a_cancelled_stream_frees_its_slot(hosted: Hosted) -> None:
    async with PolicyClient(hosted.address, deadline_seconds=30) as client:
        for _ in range(3):
            stream = client.generate([5], SamplingParams(max_tokens=200))
            await anext(stream)
            await stream.aclose()
        done = await complete(client, [5], SamplingParams(max_tokens=2, temperature=0))
    assert len(done.token_ids) == 2


@pytest.mark.parametrize("kind", HOSTS)
def test_without_a_model_it_is_live_and_not_serving_and_sigterm_ends_it(kind: str, tmp_path: Path) -> None:
    service = start(kind, tmp_path, None)
    try:
        assert await_health(service) == health_pb2.HealthCheckResponse.NOT_SERVING

        async def ask() -> None:
            async with PolicyClient(service.address, deadline_seconds=20) as client:
                await complete(client, [5], SamplingParams(max_tokens=2))

        with pytest.raises(NoModel):
            asyncio.run(ask())
    finally:
        code = end(service)
    assert code in (0, -signal.SIGTERM)
