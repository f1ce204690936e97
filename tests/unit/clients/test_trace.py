from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from services.runtime import ServiceContext, start_service
from sindbad.clients.service import ServiceClient
from sindbad.errors import NotFound
from sindbad.v1 import sandbox_pb2, sandbox_pb2_grpc
from tests.unit.runtime.echo import SANDBOX, EchoSettings, build


class Forwarder(sandbox_pb2_grpc.SandboxServicer):
    """Passes every request on to another service."""

    def __init__(self, address: str) -> None:
        self.client = ServiceClient(address, sandbox_pb2_grpc.SandboxStub)

    async def RunPython(self, request: Any, context: Any) -> Any:
        return await self.client.call("RunPython", request)


@asynccontextmanager
async def front_of(address: str) -> AsyncIterator[str]:
    async def build_front(_: EchoSettings, context: ServiceContext) -> None:
        forwarder = Forwarder(address)
        context.on_shutdown(forwarder.client.close)
        context.add_servicer(sandbox_pb2_grpc.add_SandboxServicer_to_server, forwarder, service_name=SANDBOX)

    async with await start_service("front", EchoSettings(drain_seconds=0), build_front) as front:
        yield front.address


async def test_a_trace_id_travels_from_service_to_service() -> None:
    async with (
        await start_service("behind", EchoSettings(drain_seconds=0), build) as behind,
        front_of(behind.address) as front,
        grpc.aio.insecure_channel(front) as channel,
    ):
        request = sandbox_pb2.RunPythonRequest(code="hi")
        stub = sandbox_pb2_grpc.SandboxStub(channel)
        assert (await stub.RunPython(request, metadata=(("x-trace-id", "journey-7"),))).stderr == "journey-7"


async def test_an_error_behind_keeps_its_class_through_the_service_in_front() -> None:
    async with (
        await start_service("behind", EchoSettings(drain_seconds=0), build) as behind,
        front_of(behind.address) as front,
        ServiceClient(front, sandbox_pb2_grpc.SandboxStub) as user,
    ):
        with pytest.raises(NotFound) as caught:
            await user.call("RunPython", sandbox_pb2.RunPythonRequest(code="raise NotFound"))
        assert caught.value.metadata == {"field": "code"}
