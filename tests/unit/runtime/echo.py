"""A service for tests of the runtime: RunPython echoes its code or does what the code says; Generate streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from services.runtime import RuntimeSettings, ServiceContext
from sindbad import errors
from sindbad.clients.tracing import current_trace_id
from sindbad.v1 import policy_pb2, policy_pb2_grpc, sandbox_pb2, sandbox_pb2_grpc

SANDBOX = "sindbad.v1.Sandbox"
POLICY = "sindbad.v1.Policy"


class EchoSettings(RuntimeSettings):
    """Nothing of its own."""

    greeting: str = "echo"
    """Written on standard error."""


class EchoServicer(sandbox_pb2_grpc.SandboxServicer):
    """``sleep`` waits for ever, ``raise X`` raises the error of that name, ``bug`` is an unknown exception."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.running = 0
        self.release = asyncio.Event()

    async def RunPython(self, request: sandbox_pb2.RunPythonRequest, context: Any) -> sandbox_pb2.RunPythonResponse:
        command, _, argument = request.code.partition(" ")
        if command == "sleep":
            await self._sleep()
        if command == "bug":
            raise KeyError("secret detail")
        if command == "raise":
            raise getattr(errors, argument)("as told", metadata={"field": "code"})
        return sandbox_pb2.RunPythonResponse(stdout=request.code, stderr=current_trace_id())

    async def _sleep(self) -> None:
        self.running += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


class CountingPolicy(policy_pb2_grpc.PolicyServicer):
    """Streams 1, 2, 3, … one token a message, until max_tokens; ``seed`` -1 never ends."""

    def __init__(self, version: int = 1, pause: float = 0.0) -> None:
        self.version = version
        self.pause = pause
        self.closed = 0
        self.started = 0

    async def Generate(
        self, request: policy_pb2.GenerateRequest, context: Any
    ) -> AsyncIterator[policy_pb2.GenerateResponse]:
        if request.min_version > self.version:
            raise errors.WeightsBehind(f"this replica serves {self.version}", metadata={"version": str(self.version)})
        self.started += 1
        try:
            for token in range(1, request.sampling.max_tokens + 1):
                await asyncio.sleep(self.pause)
                last = token == request.sampling.max_tokens
                yield policy_pb2.GenerateResponse(
                    token_ids=[token],
                    logprobs=[-0.5],
                    weight_versions=[self.version],
                    finish_reason=policy_pb2.FINISH_REASON_LENGTH if last else policy_pb2.FINISH_REASON_UNSPECIFIED,
                )
        finally:
            self.closed += 1

    async def GetInfo(self, request: policy_pb2.GetInfoRequest, context: Any) -> policy_pb2.GetInfoResponse:
        return policy_pb2.GetInfoResponse(version=self.version, max_context=64, vocabulary_size=704, engine="counting")


async def build(settings: EchoSettings, context: ServiceContext) -> None:
    """Both servicers on one port; the policy is not serving yet."""
    context.add_servicer(sandbox_pb2_grpc.add_SandboxServicer_to_server, EchoServicer(), service_name=SANDBOX)
    context.add_servicer(policy_pb2_grpc.add_PolicyServicer_to_server, CountingPolicy(), service_name=POLICY)
    context.set_serving(SANDBOX, True)


def servicer_of(context: ServiceContext, service_name: str) -> Any:
    """The servicer instance behind a service."""
    return next(r.servicer for r in context.registrations if r.service_name == service_name)


def generic_call(channel: grpc.aio.Channel, method: str) -> Any:
    """A unary call of raw bytes, past every generated stub."""
    return channel.unary_unary(method, request_serializer=lambda b: b, response_deserializer=lambda b: b)
