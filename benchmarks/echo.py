"""The runtime's overhead: a unary echo on sindbad's runtime beside the same echo on a bare grpc.aio server.

Both servers are processes of their own that do nothing but return a protobuf message; the load generator is one
process with N callers in a closed loop (each sends its next call when the last one is answered). Rounds alternate
between the servers, so that a busy machine is busy for all of them. A third column calls sindbad's server through
sindbad's client.

Covered: trace id, admission, deadline, metrics, error mapping, all as in production. Not covered: TLS, tokens, several
clients. On few cores the load generator and the server compete: what counts is the ratio, not the milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import BytesValue

from benchmarks.figures import Figure, ratio
from sindbad.clients.service import ServiceClient

SERVICE, METHOD = "benchmark.Echo", "Say"
PAYLOAD = BytesValue(value=b"a question of about two hundred bytes, as long as a short search request. " * 3)
CALLERS = (1, 16)
PEERS = ("bare", "runtime", "client")
Call = Callable[[], Awaitable[Any]]


class Echo:
    """The servicer of both servers."""

    async def say(self, request: BytesValue, context: Any) -> BytesValue:
        """Return what came."""
        return request


def register(servicer: Echo, server: Any) -> None:
    """What generated code would do, for a message that protobuf brings along."""
    handler = grpc.unary_unary_rpc_method_handler(
        servicer.say, request_deserializer=BytesValue.FromString, response_serializer=BytesValue.SerializeToString
    )
    server.add_registered_method_handlers(SERVICE, {METHOD: handler})
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))


class EchoStub:
    """The stub that generated code would make."""

    def __init__(self, channel: Any) -> None:
        self.Say = channel.unary_unary(
            f"/{SERVICE}/{METHOD}",
            request_serializer=BytesValue.SerializeToString,
            response_deserializer=BytesValue.FromString,
        )


# ---- servers: python -m benchmarks.echo bare|runtime PORT_FILE
async def serve_bare(port_file: Path) -> None:
    """A grpc.aio server with nothing around it, until the process is killed."""
    server = grpc.aio.server()
    register(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _announce(port_file, port)
    await server.wait_for_termination()


async def serve_runtime(port_file: Path) -> None:
    """The same servicer on sindbad's runtime with its default settings and the Prometheus endpoint."""
    from services.runtime import RuntimeSettings, ServiceContext, start_service

    async def build(settings: RuntimeSettings, context: ServiceContext) -> None:
        context.add_servicer(lambda servicer, server: register(servicer, server), Echo(), service_name=SERVICE)
        context.set_serving(SERVICE, True)

    async with await start_service("echo", RuntimeSettings(metrics_port=0), build) as running:
        _announce(port_file, running.port)
        await asyncio.Event().wait()


def _announce(port_file: Path, port: int) -> None:
    from sindbad import atomic

    atomic.write_text(port_file, str(port))


@dataclass(slots=True)
class Server:
    """A server in a process of its own; ``async with`` kills it."""

    kind: str
    folder: Path
    process: asyncio.subprocess.Process | None = None
    address: str = ""

    async def __aenter__(self) -> Server:
        port_file = self.folder / f"{self.kind}.port"
        # Through the supervisor's child, so that a benchmark killed with -9 leaves no server behind.
        child = ["-m", "sindbad.supervisor.child", str(os.getpid()), "benchmarks.echo"]
        command = [sys.executable, *child, self.kind, str(port_file)]
        self.process = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[1])
        async with asyncio.timeout(60):
            while not port_file.exists():
                if self.process.returncode is not None:
                    raise RuntimeError(f"the {self.kind} echo server ended with {self.process.returncode}")
                await asyncio.sleep(0.05)
        self.address = f"127.0.0.1:{port_file.read_text()}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


# ---- load
@dataclass(slots=True)
class Timings:
    """Latencies of one peer at one number of callers, in seconds, by round."""

    rounds: list[list[float]] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def quantiles(self, share: float) -> list[float]:
        """One a round."""
        return [sorted(one)[min(len(one) - 1, int(share * len(one)))] for one in self.rounds]

    @property
    def calls_per_second(self) -> float:
        """Median over rounds."""
        return median(len(one) / wall for one, wall in zip(self.rounds, self.wall, strict=True))


async def load(call: Call, callers: int, count: int) -> tuple[list[float], float]:
    """``count`` calls by ``callers`` in a closed loop: their latencies, and the wall time of all."""
    latencies: list[float] = []

    async def caller(number: int) -> None:
        for _ in range(number, count, callers):
            began = time.perf_counter()
            await call()
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(number))
    return latencies, time.perf_counter() - began


async def measure_overhead(folder: Path, *, calls: int, rounds: int) -> dict[str, Figure]:
    """Flat figures: milliseconds by peer, quantile and callers, and the ratios to the bare server."""
    found: dict[tuple[str, int], Timings] = {(peer, n): Timings() for peer in PEERS for n in CALLERS}
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(Server("bare", folder))
        ours = await stack.enter_async_context(Server("runtime", folder))
        stubs = {}
        for server in (bare, ours):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
            stubs[server.kind] = EchoStub(channel)
        client = await stack.enter_async_context(ServiceClient(ours.address, EchoStub))
        peers: dict[str, Call] = {
            "bare": lambda: stubs["bare"].Say(PAYLOAD, timeout=30),
            "runtime": lambda: stubs["runtime"].Say(PAYLOAD, timeout=30),
            "client": lambda: client.call(METHOD, PAYLOAD, deadline_seconds=30),
        }
        for peer in PEERS:
            await load(peers[peer], 4, 100)
        for number in range(rounds):
            for callers in CALLERS:
                for peer in PEERS if number % 2 == 0 else tuple(reversed(PEERS)):
                    latencies, wall = await load(peers[peer], callers, calls)
                    found[peer, callers].rounds.append(latencies)
                    found[peer, callers].wall.append(wall)
    return overhead_figures(found)


def overhead_figures(found: dict[tuple[str, int], Timings]) -> dict[str, Figure]:
    """Flat figures of all peers; ``…_over_bare_…_ratio`` above 1 is what the runtime (and the client) cost.

    All are medians over rounds, ratios and differences too: one disturbed round does not decide.
    """
    figures: dict[str, Figure] = {}
    for (peer, callers), timings in found.items():
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            own, bare = timings.quantiles(share), found["bare", callers].quantiles(share)
            pairs = list(zip(own, bare, strict=True))  # a round's calls were made within a second or two
            figures[f"echo_{peer}_{name}_c{callers}_ms"] = 1e3 * median(own)
            if peer != "bare":
                figures[f"{peer}_over_bare_{name}_c{callers}_ratio"] = median(ratio(*pair) for pair in pairs)
                figures[f"{peer}_added_{name}_c{callers}_ms"] = 1e3 * median(left - right for left, right in pairs)
        figures[f"echo_{peer}_c{callers}_calls_per_second"] = timings.calls_per_second
    for name in ("p50", "p99"):
        figures[f"runtime_over_bare_{name}_ratio"] = figures[f"runtime_over_bare_{name}_c1_ratio"]
    return figures


def main() -> None:
    """A server's process."""
    arguments = argparse.ArgumentParser(description="One echo server.")
    arguments.add_argument("kind", choices=("bare", "runtime"))
    arguments.add_argument("port_file", type=Path)
    chosen = arguments.parse_args()
    asyncio.run((serve_bare if chosen.kind == "bare" else serve_runtime)(chosen.port_file))


if __name__ == "__main__":
    main()
