from __future__ import annotations

import asyncio
import json
import logging
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.runtime import RunningService, start_service
from services.runtime.logs import JsonFormatter
from sindbad.clients.status import error_info, from_rpc_error
from sindbad.errors import NoModel, Overloaded
from sindbad.v1 import policy_pb2, policy_pb2_grpc, sandbox_pb2, sandbox_pb2_grpc
from tests.contract.malformed import assert_survives_malformed
from tests.unit.runtime.echo import POLICY, SANDBOX, EchoSettings, build, servicer_of

Request = sandbox_pb2.RunPythonRequest
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def echo(**settings: Any) -> AsyncIterator[tuple[RunningService, sandbox_pb2_grpc.SandboxStub]]:
    service = await start_service("echo", EchoSettings(drain_seconds=0.2, **settings), build)
    async with service, grpc.aio.insecure_channel(service.address) as channel:
        yield service, sandbox_pb2_grpc.SandboxStub(channel)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def until(condition: Any) -> None:
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110 - polls a plain counter of the test's servicer
            await asyncio.sleep(0.005)


async def health(channel: grpc.aio.Channel, name: str) -> int:
    reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
    return int(reply.status)


async def test_a_trace_id_travels_in_and_comes_back() -> None:
    async with echo() as (_, stub):
        call = stub.RunPython(Request(code="hello"), metadata=(("x-trace-id", "abc-1"),))
        assert (await call).stderr == "abc-1"
        assert dict(await call.trailing_metadata())["x-trace-id"] == "abc-1"


async def test_a_trace_id_that_could_forge_a_log_line_is_replaced() -> None:
    async with echo() as (_, stub):
        reply = await stub.RunPython(Request(code="hello"), metadata=(("x-trace-id", 'a" b{'),))
        assert len(reply.stderr) == 32


async def test_health_is_kept_per_service_and_follows_set_serving() -> None:
    async with echo() as (service, _), grpc.aio.insecure_channel(service.address) as channel:
        assert await health(channel, SANDBOX) == SERVING
        assert await health(channel, POLICY) == NOT_SERVING
        assert await health(channel, "") == SERVING
        service.context.set_serving(POLICY, True)
        await asyncio.sleep(0)
        assert await health(channel, POLICY) == SERVING


async def test_reflection_lists_the_services() -> None:
    async with echo() as (service, _), grpc.aio.insecure_channel(service.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        replies = [reply async for reply in stub.ServerReflectionInfo(iter([request]))]
        names = {service.name for service in replies[0].list_services_response.service}
        assert {SANDBOX, POLICY, "grpc.health.v1.Health"} <= names


async def test_a_sindbad_error_becomes_a_status_with_error_info_and_back() -> None:
    async with echo() as (_, stub):
        error = await failure(stub.RunPython(Request(code="raise NoModel")))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        raised = from_rpc_error(error)
        assert type(raised) is NoModel
        assert (raised.reason, raised.message, raised.metadata) == ("NO_MODEL", "as told", {"field": "code"})
        assert "x-trace-id" in dict(error.trailing_metadata())


async def test_an_unknown_exception_is_internal_and_tells_no_details(caplog: pytest.LogCaptureFixture) -> None:
    async with echo() as (_, stub):
        error = await failure(stub.RunPython(Request(code="bug")))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert "secret detail" not in error.details()
        info = error_info(error.trailing_metadata())
        assert isinstance(info, error_details_pb2.ErrorInfo)
        assert info.metadata["trace_id"] in error.details()
        assert "secret detail" in caplog.text


@pytest.mark.slow
async def test_two_hundred_malformed_requests_a_method_get_clean_statuses() -> None:
    async with echo(max_deadline_seconds=0.5) as (service, _):
        seen = await assert_survives_malformed(service.address, [SANDBOX])
        assert seen["INVALID_ARGUMENT"] > 100


async def test_undecodable_bytes_are_invalid_argument_for_streams_too() -> None:
    async with echo() as (service, _), grpc.aio.insecure_channel(service.address) as channel:
        call = channel.unary_stream(f"/{POLICY}/Generate")(b"\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [message async for message in call]
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert from_rpc_error(caught.value).reason == "UNDECODABLE"


async def test_a_full_queue_answers_resource_exhausted_and_recovers() -> None:
    async with echo(max_concurrency=1, queue_limit=1) as (service, stub):
        servicer = servicer_of(service.context, SANDBOX)
        first = asyncio.ensure_future(stub.RunPython(Request(code="sleep")))
        await until(lambda: servicer.running == 1)
        second = asyncio.ensure_future(stub.RunPython(Request(code="queued")))
        await asyncio.sleep(0.05)
        error = await failure(stub.RunPython(Request(code="too many")))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert isinstance(from_rpc_error(error), Overloaded)
        servicer.release.set()
        assert [(await first).stdout, (await second).stdout] == ["sleep", "queued"]


async def test_cancellation_reaches_the_handler_and_frees_its_slot() -> None:
    async with echo(max_concurrency=1) as (service, stub):
        servicer = servicer_of(service.context, SANDBOX)
        call = stub.RunPython(Request(code="sleep"))
        await until(lambda: servicer.running == 1)
        call.cancel()
        await until(lambda: servicer.cancelled == 1)
        assert (await stub.RunPython(Request(code="next"), timeout=2)).stdout == "next"


async def test_cancelling_a_stream_closes_the_handlers_generator() -> None:
    async with echo() as (service, _), grpc.aio.insecure_channel(service.address) as channel:
        policy = servicer_of(service.context, POLICY)
        policy.pause = 0.01
        sampling = policy_pb2.Sampling(max_tokens=100_000)
        call = policy_pb2_grpc.PolicyStub(channel).Generate(policy_pb2.GenerateRequest(sampling=sampling))
        assert (await call.read()).token_ids == [1]
        call.cancel()
        await until(lambda: policy.closed == 1)


async def test_the_clients_deadline_cancels_the_handler() -> None:
    async with echo() as (service, stub):
        servicer = servicer_of(service.context, SANDBOX)
        error = await failure(stub.RunPython(Request(code="sleep"), timeout=0.1))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: servicer.cancelled == 1)


async def test_a_client_without_a_deadline_gets_the_servers() -> None:
    async with echo(max_deadline_seconds=0.1) as (_, stub):
        error = await failure(stub.RunPython(Request(code="sleep")))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert from_rpc_error(error).metadata == {"limit_seconds": "0.1"}


async def test_a_message_over_the_limit_is_refused() -> None:
    async with echo(max_message_bytes=4096) as (_, stub):
        error = await failure(stub.RunPython(Request(code="x" * 5000)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert from_rpc_error(error).reason == "MESSAGE_TOO_LARGE"


async def test_draining_says_not_serving_first_and_lets_a_running_request_finish() -> None:
    service = await start_service("echo", EchoSettings(drain_seconds=5, drain_notice_seconds=0.2), build)
    servicer = servicer_of(service.context, SANDBOX)
    async with grpc.aio.insecure_channel(service.address) as channel:
        call = asyncio.ensure_future(sandbox_pb2_grpc.SandboxStub(channel).RunPython(Request(code="sleep")))
        await until(lambda: servicer.running == 1)
        stop = asyncio.create_task(service.stop())
        await asyncio.sleep(0.05)
        assert await health(channel, SANDBOX) == NOT_SERVING
        await asyncio.sleep(0.2)
        servicer.release.set()
        assert (await call).stdout == "sleep"
        await stop


async def test_draining_cancels_what_does_not_finish_in_time() -> None:
    service = await start_service("echo", EchoSettings(drain_seconds=0.1), build)
    servicer = servicer_of(service.context, SANDBOX)
    async with grpc.aio.insecure_channel(service.address) as channel:
        call = asyncio.ensure_future(sandbox_pb2_grpc.SandboxStub(channel).RunPython(Request(code="sleep")))
        await until(lambda: servicer.running == 1)
        async with asyncio.timeout(3):
            await service.stop()
        assert servicer.cancelled == 1
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def test_metrics_count_requests_by_method_and_code() -> None:
    async with echo(metrics_port=0) as (service, stub):
        await stub.RunPython(Request(code="hello"))
        await failure(stub.RunPython(Request(code="raise InvalidInput")))
        page = await asyncio.to_thread(_read, f"http://127.0.0.1:{service.metrics_port}/metrics")
    assert 'sindbad_requests_total{code="OK",method="/sindbad.v1.Sandbox/RunPython"} 1.0' in page
    assert 'sindbad_requests_total{code="INVALID_ARGUMENT",method="/sindbad.v1.Sandbox/RunPython"} 1.0' in page
    assert 'sindbad_requests_in_flight{method="/sindbad.v1.Sandbox/RunPython"} 0.0' in page
    assert "sindbad_request_seconds_bucket" in page
    assert "sindbad_requests_waiting 0.0" in page


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as reply:
        return str(reply.read().decode())


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with echo() as (service, _):
        with pytest.raises(OSError, match="cannot listen"):
            await start_service("second", EchoSettings(port=service.port), build)


def test_a_log_line_is_json_with_extra_fields_and_exception() -> None:
    record = logging.makeLogRecord({"msg": "hi %s", "args": ("you",), "levelname": "INFO", "name": "x", "reason": "R"})
    line = json.loads(JsonFormatter("echo").format(record))
    assert (line["message"], line["service"], line["reason"], line["level"]) == ("hi you", "echo", "R", "info")
