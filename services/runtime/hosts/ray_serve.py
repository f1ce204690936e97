"""Ray Serve as host: its gRPC proxy takes the requests, and a deployment's replica runs the service's ``build``.

What the proxy changes (tried with Ray 2.60): it has no grpc.health.v1, so the deployment answers Health.Check itself;
an error keeps code and message and loses its trailing metadata, so the reason travels as ``[REASON] message``, which
``sindbad.clients.status`` reads; ModelControl addresses one replica, which a proxy can't, so replicas follow a weight
store instead. Concurrency and queue are Ray's (max_ongoing_requests, max_queued_requests). Bearer tokens are checked
here; TLS belongs to the mesh or the gateway in front of the proxy.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.authentication import BearerToken, bearer_token
from services.runtime.context import HandlerCollector, ServiceContext
from services.runtime.guard import assign, decoded, decoder
from services.runtime.server import Build, SettingsT
from sindbad.clients.status import to_status
from sindbad.clients.tracing import TRACE_HEADER, accept_trace_id, set_trace_id
from sindbad.errors import DeadlineExceeded

HEALTH = "Check"


def serve(name: str, settings: SettingsT, build: Build[SettingsT], *, replicas: int = 1) -> int:
    """Deploy on the Ray cluster of RAY_ADDRESS (or a local one) and hold it until SIGTERM or SIGINT."""
    connect()
    # After ray.init, which installs a SIGTERM handler of its own that aborts the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        deploy(name, settings, build, replicas=replicas)
        while True:
            signal.pause()
    except _Leaving:
        return 0
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        shut_down()


class _Leaving(BaseException):
    """Raised by the signal handler wherever the main thread is, also in the middle of a deployment."""


def _leave(*_: object) -> None:
    raise _Leaving


def connect() -> None:
    """Join the cluster of RAY_ADDRESS, or start a local one. Idempotent."""
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)


def deploy(name: str, settings: SettingsT, build: Build[SettingsT], *, replicas: int = 1) -> None:
    """Start Serve with a gRPC proxy on ``settings.port`` and deploy the service; returns when it is up."""
    from ray import serve as ray_serve
    from ray.serve.config import gRPCOptions

    connect()
    adder = f"{__name__}.add_{name}_to_server"
    ray_serve.start(
        proxy_location="HeadOnly",
        http_options={"host": "127.0.0.1", "port": 0},
        grpc_options=gRPCOptions(
            port=settings.port,
            grpc_servicer_functions=[adder],
            request_timeout_s=settings.max_deadline_seconds,
        ),
    )
    deployment = ray_serve.deployment(
        replica_class(name),
        name=name,
        num_replicas=replicas,
        max_ongoing_requests=settings.max_concurrency,
        max_queued_requests=settings.queue_limit,
        graceful_shutdown_timeout_s=settings.drain_seconds,
        # Ray's default of one core a replica leaves a small machine waiting for ever, without a word.
        ray_actor_options={"num_cpus": 0},
    )
    # Without a route the proxies, the gRPC one among them, do not know the application.
    ray_serve.run(deployment.bind(name, settings, build), name=name, route_prefix=f"/{name}")


def shut_down() -> None:
    """Take the deployment and the local cluster down."""
    import ray
    from ray import serve as ray_serve

    ray_serve.shutdown()
    ray.shutdown()


def methods_of(name: str) -> list[MethodDescriptor]:
    """Methods of the service that is called ``name`` ("policy" is sindbad.v1.Policy)."""
    importlib.import_module(f"sindbad.v1.{name}_pb2")
    return list(descriptor_pool.Default().FindServiceByName(_service_name(name)).methods)


def __getattr__(name: str) -> Callable[[Any, Any], None]:
    """``add_<service>_to_server``: Ray takes servicer functions by import path, and there is one for each service."""
    if name.startswith("add_") and name.endswith("_to_server"):
        service = name.removeprefix("add_").removesuffix("_to_server")
        return lambda _, server: add_to_server(service, server)
    raise AttributeError(name)


def add_to_server(name: str, server: Any) -> None:
    """Register a service's methods and Health with Ray's proxy, so that bytes it can't decode get this far."""
    module = importlib.import_module(f"sindbad.v1.{name}_pb2_grpc")
    for add in (
        getattr(module, f"add_{name.capitalize()}Servicer_to_server"),
        health_pb2_grpc.add_HealthServicer_to_server,
    ):
        collector = HandlerCollector()
        add(_Nothing(), collector)
        tolerant = {
            method: handler._replace(request_deserializer=decoder(handler.request_deserializer))
            for method, handler in collector.methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(collector.service_name, tolerant),))


class _Nothing:
    """A servicer with every method: the proxy replaces them all."""

    def __getattr__(self, _: str) -> None:
        return None


class ReplicaCore:
    """What a replica does for every method; :func:`replica_class` adds the methods by name."""

    async def __init__(self, name: str, settings: Any, build: Build[Any]) -> None:  # type: ignore[misc]
        self._context = ServiceContext(name, settings)
        await build(settings, self._context)
        self._service = _service_name(name)
        self._token: BearerToken | None = bearer_token(settings.token_file)
        self._methods = next(r.methods for r in self._context.registrations if r.service_name == self._service)

    async def __del__(self) -> None:
        await self._context.shut_down()

    async def Check(self, request: Any) -> health_pb2.HealthCheckResponse:
        """grpc.health.v1.Health/Check for this service."""
        serving = not request.service or self._context.serving.get(request.service, False)
        known = health_pb2.HealthCheckResponse
        return health_pb2.HealthCheckResponse(status=known.SERVING if serving else known.NOT_SERVING)

    async def unary(self, method: str, request: Any, context: Any) -> Any:
        """Run a method that answers once."""
        trace_id = ""
        try:
            trace_id = self._enter(context)
            async with asyncio.timeout(self._context.settings.max_deadline_seconds):
                return await self._methods[method].unary_unary(decoded(request), context)
        except Exception as error:
            raise _failed(error, trace_id, context) from error

    async def stream(self, method: str, request: Any, context: Any) -> AsyncIterator[Any]:
        """Run a method that answers with a stream."""
        trace_id = ""
        try:
            trace_id = self._enter(context)
            async for response in self._methods[method].unary_stream(decoded(request), context):
                yield response
        except Exception as error:
            raise _failed(error, trace_id, context) from error

    def _enter(self, context: Any) -> str:
        metadata = dict(context.invocation_metadata())
        trace_id = accept_trace_id(metadata.get(TRACE_HEADER))
        set_trace_id(trace_id)
        context.set_trailing_metadata([(TRACE_HEADER, trace_id)])
        if self._token is not None:
            self._token.check(metadata)
        return trace_id


def replica_class(name: str) -> type[ReplicaCore]:
    """A deployment class with the service's methods: Ray's proxy calls them by name."""
    methods: dict[str, Any] = {}
    for descriptor in methods_of(name):
        make = _stream_method if descriptor.server_streaming else _unary_method
        methods[descriptor.name] = make(descriptor.name)
    return type(f"{name.capitalize()}Replica", (ReplicaCore,), methods)


def _unary_method(method: str) -> Any:
    async def call(self: ReplicaCore, request: Any, grpc_context: Any) -> Any:
        return await self.unary(method, request, grpc_context)

    return call


def _stream_method(method: str) -> Any:
    async def call(self: ReplicaCore, request: Any, grpc_context: Any) -> AsyncIterator[Any]:
        async for response in self.stream(method, request, grpc_context):
            yield response

    return call


def _failed(error: Exception, trace_id: str, context: Any) -> Exception:
    """What to raise: Ray reads code and details from the context, and would pickle the original, which may not work."""
    if isinstance(error, TimeoutError):
        error = DeadlineExceeded("the request took longer than this server allows; ask for less")
    ours = assign(error, trace_id)
    code, message, _ = to_status(ours)
    context.set_code(code)
    context.set_details(f"[{ours.reason}] {message}")
    return RuntimeError(ours.reason)


def _service_name(name: str) -> str:
    return f"sindbad.v1.{name.capitalize()}"
