"""ModelControl over gRPC. It addresses ONE replica: never put a load balancer in between."""

from __future__ import annotations

from dataclasses import dataclass

from sindbad.clients.channel import ChannelSettings
from sindbad.clients.service import ServiceClient
from sindbad.v1 import model_control_pb2, model_control_pb2_grpc


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A swap that happened; ``previous_version`` is None when nothing was loaded before."""

    version: int
    previous_version: int | None
    load_seconds: float


@dataclass(frozen=True, slots=True)
class ModelState:
    """What a replica holds; ``version`` is None and the strings are empty while it holds nothing."""

    version: int | None
    uri: str
    manifest_sha256: str
    config_sha256: str
    loading: bool
    last_error: str


class ModelControlClient(ServiceClient):
    """Loads weights into one replica."""

    def __init__(
        self, address: str, *, channel: ChannelSettings | None = None, deadline_seconds: float = 300.0
    ) -> None:
        super().__init__(
            address, model_control_pb2_grpc.ModelControlStub, channel=channel, deadline_seconds=deadline_seconds
        )

    async def load(self, uri: str, version: int, *, manifest_sha256: str = "") -> LoadedModel:
        """Load ``version`` and return once it serves. Raises Corrupt, NotFound, PermissionRefused, EngineFailure."""
        request = model_control_pb2.LoadRequest(uri=uri, version=version, manifest_sha256=manifest_sha256)
        reply = await self.call("Load", request)
        previous = int(reply.previous_version) if reply.HasField("previous_version") else None
        return LoadedModel(int(reply.version), previous, reply.load_seconds)

    async def get(self) -> ModelState:
        """What is loaded."""
        reply = await self.call("Get", model_control_pb2.ModelControlGetRequest())
        version = int(reply.version) if reply.HasField("version") else None
        return ModelState(
            version, reply.uri, reply.manifest_sha256, reply.config_sha256, reply.loading, reply.last_error
        )
