"""What a service's ``build`` gets: where it registers servicers, readiness, background work and shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from services.runtime.settings import RuntimeSettings

AddServicer = Callable[[Any, Any], None]


@dataclass(frozen=True, slots=True)
class Registration:
    """One service's method handlers, not yet guarded. ``methods`` maps a short name ("Search") to its handler."""

    service_name: str
    methods: dict[str, grpc.RpcMethodHandler]
    servicer: Any


class HandlerCollector:
    """Stands in for a server while generated code registers a servicer, so that every host can have the handlers."""

    def __init__(self) -> None:
        self.service_name = ""
        self.methods: dict[str, grpc.RpcMethodHandler] = {}

    def add_registered_method_handlers(self, service: str, handlers: dict[str, grpc.RpcMethodHandler]) -> None:
        """What generated code (grpcio >= 1.64) calls with the plain handlers."""
        self.service_name, self.methods = service, dict(handlers)

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Generated code calls this too, with the same handlers in an opaque wrapper."""


class ServiceContext:
    """Collects what a service consists of. The host decides how it is served."""

    def __init__(self, name: str, settings: RuntimeSettings) -> None:
        self.name = name
        self.settings = settings
        self.logger = logging.getLogger(f"services.{name}")
        self.metrics = CollectorRegistry()
        """A service may register metrics of its own here; they appear on the Prometheus endpoint."""
        self.registrations: list[Registration] = []
        self.control_registrations: list[Registration] = []
        self._serving: dict[str, bool] = {}
        self._listeners: list[Callable[[str, bool], None]] = []
        self._shutdown: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def add_servicer(self, add_to_server: AddServicer, servicer: Any, *, service_name: str) -> None:
        """Register a servicer with its generated ``add_…Servicer_to_server``. Not serving until said so."""
        self.registrations.append(_collect(add_to_server, servicer, service_name))
        self._serving.setdefault(service_name, False)

    def add_control_servicer(self, add_to_server: AddServicer, servicer: Any, *, service_name: str) -> None:
        """The same on the control port, with the control token."""
        self.control_registrations.append(_collect(add_to_server, servicer, service_name))

    def set_serving(self, service_name: str, serving: bool) -> None:
        """Tell health checks. May be called at any time, from the event loop."""
        self._serving[service_name] = serving
        for listener in self._listeners:
            listener(service_name, serving)

    def on_shutdown(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Run ``callback`` after the last request; last registered, first run."""
        self._shutdown.append(callback)

    def start_task(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run background work for the service's life; a failure is logged, and shutdown cancels and awaits it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    @property
    def serving(self) -> dict[str, bool]:
        """Readiness by service name."""
        return dict(self._serving)

    def listen(self, listener: Callable[[str, bool], None]) -> None:
        """Hosts: call ``listener`` now for every service, and at every later change of readiness."""
        self._listeners.append(listener)
        for name, serving in self._serving.items():
            listener(name, serving)

    async def shut_down(self) -> None:
        """Hosts: cancel background work, then run the callbacks. One that fails does not stop the others."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._shutdown:
            callback = self._shutdown.pop()
            try:
                await callback()
            except Exception:
                self.logger.exception("a shutdown callback failed")

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.logger.error("background task %s failed", task.get_name(), exc_info=error)


def _collect(add_to_server: AddServicer, servicer: Any, service_name: str) -> Registration:
    collector = HandlerCollector()
    add_to_server(servicer, collector)
    if collector.service_name != service_name:
        raise ValueError(f"servicer registers {collector.service_name!r}, not {service_name!r}")
    return Registration(service_name, collector.methods, servicer)
