"""A task beside training that training never waits for.

Invariants: whatever goes wrong in it ends it with one line and nothing else; when its block is left (end, error,
cancellation) it is cancelled, and after a while left behind if it does not let itself be cancelled.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, Self

LEAVING_SECONDS = 10.0


class Aside(ABC):
    """Use as an async context manager around training. ``say`` gets a line when the task has to stop.

    Attributes:
        fault: why it had to; "" while it has not.
    """

    doing: ClassVar[str]
    """Names the task, also for people ("background sampling")."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._task: asyncio.Task[None] | None = None
        self.fault = ""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._guarded(), name=self.doing.replace(" ", "-"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is not finished."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=LEAVING_SECONDS)
            self._task = None

    async def _guarded(self) -> None:
        try:
            await self._run()
        except Exception as error:  # a bug, too, must not reach training; CancelledError is none and passes
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            self.fault = repr(error)
            self._say(f"{self.doing} stopped, training goes on: {self.fault}")

    @abstractmethod
    async def _run(self) -> None:
        """Works until it is cancelled."""
