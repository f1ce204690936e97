"""Readiness that depends on something which may appear later: a tokenizer that is published with the first model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.runtime.context import ServiceContext


def serve_once(context: ServiceContext, service_name: str, ready: Callable[[], bool], *, every: float = 0.5) -> None:
    """Say SERVING for ``service_name`` as soon as ``ready`` says so: now, or when a poll finds it."""
    if ready():
        context.set_serving(service_name, True)
        return

    async def poll() -> None:
        while not await asyncio.to_thread(ready):  # noqa: ASYNC110  (a file appears without telling anybody)
            await asyncio.sleep(every)
        context.set_serving(service_name, True)

    context.start_task(poll(), name=f"wait-for-{service_name}")
