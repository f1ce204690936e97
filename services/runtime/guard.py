"""What surrounds every method of every service.

Each handler is wrapped once, at registration. (Interceptors of grpc.aio do the same per request and cost more, and
they never see bytes that cannot be decoded: gRPC answers INTERNAL for those before any interceptor runs.)
A request passes: token, trace id, decoded at all, a slot, a deadline; whatever it raises becomes a status with an
ErrorInfo; UNKNOWN never leaves.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from services.runtime.admission import Admission
from services.runtime.authentication import BearerToken
from services.runtime.metrics import MethodMetrics, RequestMetrics
from sindbad.clients.status import to_status
from sindbad.clients.tracing import TRACE_HEADER, accept_trace_id, set_trace_id
from sindbad.errors import DeadlineExceeded, InvalidInput, SindbadError

logger = logging.getLogger(__name__)

ServicerContext = Any
"""grpc.aio.ServicerContext; generic in its messages, which are Any here."""
Behaviour = Callable[[Any, ServicerContext], Any]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands for a request whose bytes are no such message. Plain text inside: Ray's proxy pickles it."""

    cause: str


class Guard:
    """Wraps handlers of one port; the bound on concurrency is shared by all of them."""

    def __init__(
        self, admission: Admission | None, token: BearerToken | None, metrics: RequestMetrics, max_seconds: float
    ) -> None:
        self._admission = admission
        self._token = token
        self._metrics = metrics
        self._max_seconds = max_seconds

    def wrap(self, service: str, name: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """The guarded form of one handler, of any of gRPC's four kinds."""
        metrics = self._metrics.method(f"/{service}/{name}")
        decode = decoder(handler.request_deserializer)
        encode = handler.response_serializer
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, metrics), decode, encode)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._unary(handler.stream_unary, metrics), decode, encode)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, metrics), decode, encode)
        return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream, metrics), decode, encode)

    def wrap_all(self, service: str, methods: dict[str, grpc.RpcMethodHandler]) -> dict[str, grpc.RpcMethodHandler]:
        """Every method of one service."""
        return {name: self.wrap(service, name, handler) for name, handler in methods.items()}

    def _unary(self, behaviour: Behaviour, metrics: MethodMetrics) -> Behaviour:
        async def guarded(request: Any, context: ServicerContext) -> Any:
            return await self._run(lambda: behaviour(decoded(request), context), context, metrics)

        return guarded

    def _stream(self, behaviour: Behaviour, metrics: MethodMetrics) -> Behaviour:
        async def write_all(request: Any, context: ServicerContext) -> None:
            produced = behaviour(decoded(request), context)
            if inspect.isawaitable(produced):  # a coroutine that writes for itself
                await produced
                return
            async with aclosing(produced) as responses:
                async for response in responses:
                    await context.write(response)

        async def guarded(request: Any, context: ServicerContext) -> None:
            await self._run(lambda: write_all(request, context), context, metrics)

        return guarded

    async def _run(
        self, work: Callable[[], Coroutine[Any, Any, Any]], context: ServicerContext, metrics: MethodMetrics
    ) -> Any:
        started, code = time.perf_counter(), "OK"
        metrics.in_flight += 1
        trace_id = ""
        try:
            trace_id = self._enter(context)
            return await self._admitted(work)
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = _code_name(context)
            raise
        except Exception as error:
            status = to_status(assign(error, trace_id))
            code = status[0].name
            await context.abort(status[0], status[1], (*status[2], (TRACE_HEADER, trace_id)))
        finally:
            metrics.in_flight -= 1
            metrics.finished(code, time.perf_counter() - started)

    def _enter(self, context: ServicerContext) -> str:
        metadata = dict(context.invocation_metadata() or ())
        trace_id = accept_trace_id(metadata.get(TRACE_HEADER))
        set_trace_id(trace_id)
        context.set_trailing_metadata(((TRACE_HEADER, trace_id),))
        if self._token is not None:
            self._token.check(metadata)
        return trace_id

    async def _admitted(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        limit = asyncio.timeout(self._max_seconds)
        try:
            async with limit:
                if self._admission is None:
                    return await work()
                await self._admission.acquire()
                try:
                    return await work()
                finally:
                    self._admission.release()
        except TimeoutError as error:
            if limit.expired():
                raise DeadlineExceeded(
                    f"the request took longer than this server allows ({self._max_seconds:g} s); ask for less",
                    metadata={"limit_seconds": f"{self._max_seconds:g}"},
                ) from error
            raise


def decoder(deserializer: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """``deserializer`` that answers :class:`Undecodable` instead of raising."""
    if deserializer is None:
        return lambda data: data

    def decode(data: bytes) -> Any:
        try:
            return deserializer(data)
        except Exception as error:
            return Undecodable(f"{type(error).__name__}: {error}")

    return decode


def decoded(request: Any) -> Any:
    """The request, or for a stream of requests its items, once they are known to be messages."""
    if isinstance(request, Undecodable):
        raise InvalidInput("the bytes are no message of this method's type", reason="UNDECODABLE")
    return _decoded_stream(request) if hasattr(request, "__aiter__") else request


async def _decoded_stream(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield decoded(request)


def assign(error: Exception, trace_id: str) -> SindbadError:
    """Log ``error`` at the level it deserves; what is not ours becomes INTERNAL, with the trace id and no details."""
    if isinstance(error, SindbadError):
        extra = {"reason": error.reason, "side": error.side.value}
        logger.log(logging.INFO if error.side == "user" else logging.WARNING, "%s", error.message, extra=extra)
        return error
    logger.error("a handler failed", exc_info=error)
    return SindbadError(
        f"internal failure ({type(error).__name__}); the server's log has it under trace id {trace_id}",
        reason="INTERNAL",
        metadata={"trace_id": trace_id},
    )


def _code_name(context: ServicerContext) -> str:
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return str(code.name)
    return next((known.name for known in grpc.StatusCode if known.value[0] == code), "UNKNOWN")
