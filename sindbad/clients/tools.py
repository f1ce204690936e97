"""Search and Sandbox over gRPC: implements ``sindbad.tools.environment.Environment``.

Invariant: :meth:`ToolClient.call` never raises but for cancellation; a service that stays away until the deadline is
an observation with ``ok=False``, as every other fault.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import grpc.aio

from sindbad.agent.trajectory import EnvironmentKind
from sindbad.clients import search_status
from sindbad.clients.channel import ChannelSettings
from sindbad.clients.replicas import Replica
from sindbad.clients.search_status import KINDS, PURPOSES
from sindbad.clients.service import ServiceClient
from sindbad.errors import DeadlineExceeded, InvalidInput, Overloaded, SindbadError, Unavailable
from sindbad.tools import render, specs
from sindbad.tools.environment import Caller, Observation, Purpose, Scope, ToolCall, ToolSpec
from sindbad.tools.render import Style
from sindbad.tools.scheduler.status import SchedulerStatus
from sindbad.v1 import common_pb2, sandbox_pb2, sandbox_pb2_grpc, search_pb2, search_pb2_grpc

STYLES = {
    None: common_pb2.RENDER_STYLE_UNSPECIFIED,
    Style.COMPACT: common_pb2.RENDER_STYLE_COMPACT,
    Style.FULL: common_pb2.RENDER_STYLE_FULL,
}


class ToolClient:
    """The tools of one environment, served by Search (and Sandbox, where python is offered)."""

    def __init__(
        self,
        search: str | Sequence[str],
        *,
        kind: EnvironmentKind = EnvironmentKind.SIMULATED,
        tools: Iterable[str] = ("search", "visit"),
        sandbox: str | Sequence[str] | None = None,
        style: Style | None = None,
        top_k: int = 0,
        max_evidence_chars: int = 0,
        caller: Caller | None = None,
        channel: ChannelSettings | None = None,
        sandbox_channel: ChannelSettings | None = None,
    ) -> None:
        self._kind, self._caller = kind, caller or Caller()
        self._tools = specs.by_name(tools)
        if sandbox is None and any(spec.name == "python" for spec in self._tools):
            raise InvalidInput("python is offered but no sandbox address is given; give one or leave python out")
        self._style, self._top_k, self._max_chars = STYLES[style], top_k, max_evidence_chars
        self._search = ServiceClient(search, search_pb2_grpc.SearchStub, channel=channel)
        self._sandbox = (
            None if sandbox is None else ServiceClient(sandbox, sandbox_pb2_grpc.SandboxStub, channel=sandbox_channel)
        )

    @property
    def kind(self) -> EnvironmentKind:
        """Which environment the server is asked for."""
        return self._kind

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The schema offered to the model."""
        return self._tools

    async def close(self) -> None:
        """Close the channels; idempotent."""
        await self._search.close()
        if self._sandbox is not None:
            await self._sandbox.close()

    async def __aenter__(self) -> ToolClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        """Carry out one call within ``deadline_seconds``.

        Raises:
            Unavailable, Overloaded: the service itself could not be reached all that time. That is the platform's
                failure, so the attempt is made again; as an observation it would count against the policy.
        """
        problem = specs.problem_with(call, self._tools)
        if problem is not None:
            return render.error_observation(problem)
        started = time.monotonic()
        try:
            seen = await self._send(call, scope, deadline_seconds)
        except (Unavailable, Overloaded):
            raise
        except SindbadError as error:
            seen = render.error_observation(_reason(error))
        return replace(seen, latency_seconds=time.monotonic() - started)

    async def status(self, *, deadline_seconds: float = 5.0) -> dict[str, tuple[SchedulerStatus, ...]]:
        """What every replica's scheduler says of its environments, by address; who does not answer is left out."""

        async def ask(replica: Replica) -> tuple[str, tuple[SchedulerStatus, ...]] | None:
            method, request = self._search.method(replica, "Status"), search_pb2.SearchStatusRequest()
            try:
                reply = await method(request, timeout=deadline_seconds, metadata=self._search.metadata())
            except grpc.aio.AioRpcError:
                return None
            return replica.address, tuple(search_status.from_proto(one) for one in reply.environments)

        answers = await asyncio.gather(*(ask(replica) for replica in self._search.replicas.all))
        return dict(answer for answer in answers if answer is not None)

    async def _send(self, call: ToolCall, scope: Scope, deadline_seconds: float) -> Observation:
        if call.name == "python" and self._sandbox is not None:
            return await self._run_python(self._sandbox, call.arguments["code"], scope, deadline_seconds)
        method, request = self._request(call, scope)
        reply = await self._search.call(method, request, deadline_seconds=deadline_seconds)
        return from_proto(reply.observation)

    def _request(self, call: ToolCall, scope: Scope) -> tuple[str, Any]:
        arguments: Any = call.arguments
        where: dict[str, Any] = {
            "corpus": scope.corpus,
            "language": scope.language,
            "environment": KINDS[self._kind],
            "style": self._style,
            "caller": self._caller_of(scope),
        }
        if call.name == "visit":
            budget = search_pb2.VisitBudget(max_characters=self._max_chars)
            return "Visit", search_pb2.VisitRequest(
                urls_or_titles=arguments["urls"], goal=arguments["goal"], budget=budget, **where
            )
        if call.name == "scholar":
            return "Scholar", search_pb2.ScholarRequest(queries=arguments["query"], top_k=self._top_k, **where)
        return "Search", search_pb2.SearchRequest(queries=arguments["query"], top_k=self._top_k, **where)

    def _caller_of(self, scope: Scope) -> Any:
        """Who asks: what the scope says, and for what it leaves open, the client's own."""
        own, asks = self._caller, scope.caller
        return common_pb2.Caller(
            run=asks.run or own.run,
            purpose=PURPOSES[own.purpose if asks.purpose is Purpose.TRAINING else asks.purpose],
            episode=asks.episode or own.episode or scope.trace_id,
        )

    async def _run_python(
        self, sandbox: ServiceClient, code: str, scope: Scope, deadline_seconds: float
    ) -> Observation:
        request = sandbox_pb2.RunPythonRequest(
            code=code, environment=KINDS[self._kind], caller=self._caller_of(scope)
        )  # fmt: skip
        reply = await sandbox.call("RunPython", request, deadline_seconds=deadline_seconds)
        ok = reply.exit_code == 0 and reply.killed_because == sandbox_pb2.KILLED_BECAUSE_UNSPECIFIED
        return Observation(reply.observation, ok=ok, error="" if ok else reply.observation, source="sandbox")


def from_proto(message: common_pb2.Observation) -> Observation:
    """A message as Observation."""
    return Observation(
        message.text,
        ok=message.ok,
        error=message.error,
        urls=tuple(message.urls),
        source=message.source,
        latency_seconds=message.latency_seconds,
        cost=message.cost,
        metadata=dict(message.metadata),
    )


def _reason(error: SindbadError) -> str:
    """In words for the agent; the same for every environment, so that it can't tell them apart by their faults."""
    if isinstance(error, InvalidInput):
        return error.message
    return "the call took too long, try again" if isinstance(error, DeadlineExceeded) else "the tool failed, try again"
