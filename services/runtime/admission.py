"""Bounded concurrency: so many requests run, so many wait, one more is turned away at once."""

from __future__ import annotations

import asyncio
from collections import deque

from sindbad.errors import Overloaded


class Admission:
    """First come, first served. Invariant: ``running <= limit``; who waits is woken in order or leaves for good."""

    def __init__(self, limit: int, queue_limit: int) -> None:
        self.limit = limit
        self.queue_limit = queue_limit
        self.running = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiters)

    async def acquire(self) -> None:
        """Take a slot, waiting in the queue for it. Raises Overloaded when the queue is full."""
        if self.running < self.limit and not self._waiters:
            self.running += 1
            return
        if len(self._waiters) >= self.queue_limit:
            raise Overloaded(
                f"{self.running} requests run and {len(self._waiters)} wait; try again with back-off",
                metadata={"running": str(self.running), "waiting": str(len(self._waiters))},
            )
        await self._wait()

    def release(self) -> None:
        """Give the slot back, or rather on: the first waiter that is still there inherits it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.running -= 1

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()  # the slot arrived together with the cancellation
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise
