"""KServe's model server as host: its REST endpoints, and ONE gRPC port of ours with everything that belongs there.

KServe's own gRPC server has no hook for further servicers, no health, no reflection, no TLS. So it stays off
(``enable_grpc=False``), and the runtime's server joins KServe's list of servers with the service, health, reflection
and KServe's Open Inference Protocol side by side. ``build`` runs unchanged. KServe binds its HTTP port on all
interfaces; a NetworkPolicy has to close it where it isn't wanted.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from services.runtime.context import ServiceContext
from services.runtime.server import Build, SettingsT, start_service
from sindbad.errors import InvalidInput

OPEN_INFERENCE = "inference.GRPCInferenceService"


def serve(name: str, settings: SettingsT, build: Build[SettingsT]) -> int:
    """Serve until SIGTERM; returns the exit code."""
    # KServe parses sys.argv when it is imported, and would read our --config as its --configure_logging.
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        from kserve import Model, ModelServer
        from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
        from kserve.protocol.grpc.servicer import InferenceServicer
    finally:
        sys.argv = arguments

    class Presence(Model):  # type: ignore[misc]
        """Lets KServe's own endpoints say whether the service is ready; predictions go over its gRPC contract."""

        async def predict(self, *_: Any, **__: Any) -> Any:
            raise InvalidInput(f"{name} is called through its gRPC contract, not through predict")

    class Server(ModelServer):  # type: ignore[misc]
        """KServe's server with the runtime's gRPC server among its servers."""

        def __init__(self) -> None:
            super().__init__(http_port=settings.kserve_http_port, enable_grpc=False, workers=1)
            self.presence = Presence(name)
            # KServe refuses to start without a ready model; readiness follows the service from then on.
            self.presence.ready = True
            self._stopping = asyncio.Event()
            self.servers.append(self._serve_grpc())

        def stop(self, sig: int) -> None:
            """KServe's signal handler: ends our server too."""
            super().stop(sig)
            asyncio.get_running_loop().call_soon_threadsafe(self._stopping.set)

        async def _serve_grpc(self) -> None:
            async with await start_service(name, settings, self._build):
                await self._stopping.wait()

        async def _build(self, chosen: SettingsT, context: ServiceContext) -> None:
            await build(chosen, context)
            servicer = InferenceServicer(self.dataplane, self.model_repository_extension)
            own = [registration.service_name for registration in context.registrations]
            context.add_servicer(add_GRPCInferenceServiceServicer_to_server, servicer, service_name=OPEN_INFERENCE)
            context.set_serving(OPEN_INFERENCE, True)
            context.listen(lambda *_: self._follow(context, own))

        def _follow(self, context: ServiceContext, names: list[str]) -> None:
            self.presence.ready = all(context.serving[one] for one in names)

    server = Server()
    server.start([server.presence])
    return 0
