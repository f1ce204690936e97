"""What every client is made of: channels to some replicas and one way to call a unary method on any of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

import grpc
import grpc.aio

from sindbad.clients.channel import ChannelSettings, open_channel, outgoing_metadata, read_token
from sindbad.clients.replicas import Attempts, Backoff, Replica, Replicas
from sindbad.clients.status import from_rpc_error
from sindbad.errors import Cancelled, DeadlineExceeded, SindbadError, Unavailable


class ServiceClient:
    """Stubs of one service on one or more addresses. Belongs to the event loop it is first used in.

    Failing calls are retried on UNAVAILABLE and RESOURCE_EXHAUSTED, on another replica first, with jittered back-off,
    until the call's deadline (or, where nobody can be reached, for ``patience_seconds``); everything else is raised as
    the ``sindbad.errors`` class that the server raised.
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        make_stub: Callable[[Any], Any],
        *,
        channel: ChannelSettings | None = None,
        deadline_seconds: float = 60.0,
        backoff: Backoff | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        chosen = [addresses] if isinstance(addresses, str) else list(addresses)
        self.replicas = Replicas(chosen, backoff)
        self.deadline_seconds, self.patience_seconds = deadline_seconds, patience_seconds
        self._token = read_token(channel)
        self._channels = [open_channel(address, channel) for address in chosen]
        self._stubs = [make_stub(open_) for open_ in self._channels]

    async def close(self) -> None:
        """Close every channel; calls in flight are cancelled. Idempotent."""
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(self, method: str, request: Any, *, deadline_seconds: float | None = None) -> Any:
        """The response to ``request``. Raises SindbadError; the last one met when the deadline passes."""
        attempts = self.attempts(deadline_seconds)
        while True:
            replica = await self.next_replica(attempts)
            with self.using(replica):
                try:
                    response = await self.method(replica, method)(
                        request, timeout=self.remaining(attempts), metadata=self.metadata()
                    )
                    self.replicas.answered(replica)
                    return response
                except grpc.aio.AioRpcError as error:
                    self.note(attempts, replica, from_rpc_error(error))

    def attempts(self, deadline_seconds: float | None) -> Attempts:
        """A new request's way through the replicas."""
        seconds = self.deadline_seconds if deadline_seconds is None else deadline_seconds
        return Attempts(self.replicas, _now() + seconds, self.patience_seconds)

    async def next_replica(self, attempts: Attempts) -> Replica:
        """The replica to ask now, after waiting where every one is backing off."""
        while True:
            replica, wait = attempts.next(_now())
            if wait <= 0:
                return replica
            await asyncio.sleep(wait)

    def note(self, attempts: Attempts, replica: Replica, error: SindbadError) -> None:
        """Account for a failed attempt; raises ``error`` when it is final."""
        if isinstance(error, DeadlineExceeded) and attempts.last_error is not None:
            # What kept failing until the deadline says more than the deadline.
            raise attempts.last_error from error
        if isinstance(error, Cancelled):
            # Our own cancellation is an asyncio.CancelledError: this one is a server that ended with the call running.
            error = Unavailable(f"{replica.address} gave the request up: {error.message}")
        attempts.failed(replica, error, _now())

    def remaining(self, attempts: Attempts) -> float:
        """Seconds until the request's deadline."""
        return max(0.001, attempts.deadline - _now())

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Trace id and token."""
        return outgoing_metadata(self._token)

    def method(self, replica: Replica, name: str) -> Any:
        """A stub's method."""
        return getattr(self._stubs[replica.index], name)

    @asynccontextmanager
    async def streaming(self, replica: Replica, attempts: Attempts, method: str, request: Any) -> AsyncIterator[Any]:
        """One attempt at a streaming method; the call is cancelled at the end.

        A call that fails, or whose reader raises Unavailable because it ended early, is noted: the body is left, and
        another replica should go on. Raises SindbadError where the failure is final.
        """
        with self.using(replica):
            call = self.method(replica, method)(request, timeout=self.remaining(attempts), metadata=self.metadata())
            try:
                yield call
                self.replicas.answered(replica)
            except grpc.aio.AioRpcError as error:
                self.note(attempts, replica, from_rpc_error(error))
            except Unavailable as error:
                self.note(attempts, replica, error)
            finally:
                call.cancel()

    @contextmanager
    def using(self, replica: Replica) -> Iterator[None]:
        """Counts the request as in flight."""
        self.replicas.started(replica)
        try:
            yield
        finally:
            self.replicas.ended(replica)


def _now() -> float:
    return asyncio.get_running_loop().time()
