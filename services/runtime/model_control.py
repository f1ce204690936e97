"""The model of a service: where it comes from, how it is swapped, and ModelControl, which swaps it on request.

Translator, summarizer, judge and policy share this. A service says how a model directory is put to work (``load``),
and :func:`serve_model` does the rest: the initial model, following a weight store, ModelControl on the control port,
and readiness. Invariants: one load at a time; a failed load leaves the old model serving; a service is SERVING from
its first model on and never before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pydantic import Field, model_validator

from services.runtime.context import ServiceContext
from services.runtime.settings import Settings
from sindbad.errors import Corrupt, InvalidInput, NotFound, PermissionRefused, SindbadError
from sindbad.v1 import model_control_pb2, model_control_pb2_grpc
from sindbad.weights import WeightStore, WeightVersion, file_sha256, local_path_below, open_model_dir
from sindbad.weights.manifest import MANIFEST_NAME, config_digest, read_manifest

logger = logging.getLogger(__name__)
Load = Callable[[Path, int], Awaitable[None]]
RETRY_SECONDS = 2.0  # after a failed load from the store; the pointer may have moved by then

SERVICE_NAME = "sindbad.v1.ModelControl"


class ModelSettings(Settings):
    """Where a service's model comes from. All unset: live, NOT_SERVING, waiting for ModelControl."""

    directory: Path | None = None
    """A model directory to start with (a Hugging Face folder). It needs no manifest; its version is `version`."""
    version: int = Field(default=0, ge=0)
    """The version that the tokens of `directory` carry; published versions begin at 1."""
    store: Path | None = None
    """A weight store to follow: its current version is loaded at the start, and each later one when it appears."""
    root: str = ""
    """ModelControl.Load accepts URIs below this folder or URL only; unset means below `store`, or none at all."""
    cache: Path | None = None
    """Where models from remote URIs are kept."""
    poll_seconds: float = Field(default=0.25, gt=0)
    """How often the store's pointer is read."""

    @model_validator(mode="after")
    def _one_source(self) -> ModelSettings:
        if self.directory is not None and self.store is not None:
            raise ValueError("give `directory` or `store`, not both: one of them would win by chance")
        return self


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is being served. The two digests are empty where there is nothing to digest."""

    version: int
    path: Path
    uri: str
    manifest_sha256: str
    config_sha256: str
    tokenizer_sha256: str


class ModelHolder:
    """The one model of a service. ``on_loaded`` is called after every successful load."""

    def __init__(self, settings: ModelSettings, load: Load, on_loaded: Callable[[Loaded], None]) -> None:
        self.settings = settings
        self.loaded: Loaded | None = None
        self.loading = False
        self.last_error = ""
        self._load, self._on_loaded = load, on_loaded
        self._turn = asyncio.Lock()

    async def load_directory(self, path: Path, version: int, uri: str = "") -> Loaded:
        """Put ``path`` to work as ``version``. Raises what the checks or the service's loader raise."""
        async with self._turn:
            return await self._replace(path, version, uri or path.absolute().as_uri())

    async def load_uri(self, uri: str, version: int, manifest_sha256: str = "") -> tuple[Loaded, Loaded | None]:
        """ModelControl.Load: (what serves now, what served before).

        Raises:
            PermissionRefused: outside the root. NotFound: nothing there, or another version. Corrupt: a checksum.
        """
        check_below_root(uri, self.settings)
        async with self._turn:
            previous = self.loaded
            path = await asyncio.to_thread(open_model_dir, uri, self.settings.cache)
            digest = await asyncio.to_thread(_check_manifest, path, version, manifest_sha256)
            if previous is not None and (previous.version, previous.manifest_sha256) == (version, digest):
                return previous, previous
            return await self._replace(path, version, uri), previous

    async def follow(self, store: WeightStore) -> None:
        """Load what the store's pointer names, whenever it moves. Runs until cancelled; failures are retried."""
        done: int | None = None
        while True:
            try:
                current = await asyncio.to_thread(store.current)
                if current is not None and current.number != done:
                    await self._load_version(current)
                    done = current.number
                await asyncio.sleep(self.settings.poll_seconds)
            except Exception as error:  # whatever is wrong with one version, the next one may be right
                self.last_error = str(error)
                logger.warning("cannot load from %s: %s", store.root, error, exc_info=not _expected(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _load_version(self, version: WeightVersion) -> None:
        async with self._turn:
            await asyncio.to_thread(version.verify)
            await self._replace(version.path, version.number, version.uri)

    async def _replace(self, path: Path, version: int, uri: str) -> Loaded:
        self.loading = True
        started = time.perf_counter()
        try:
            described = await asyncio.to_thread(_describe, path, version, uri)
            await self._load(path, version)
        except Exception as error:
            self.last_error = str(error)
            raise
        finally:
            self.loading = False
        self.loaded, self.last_error = described, ""
        logger.info("serving version %d after %.3f s", version, time.perf_counter() - started)
        self._on_loaded(described)
        return described


class ModelControlServicer(model_control_pb2_grpc.ModelControlServicer):
    """ModelControl over a holder."""

    def __init__(self, holder: ModelHolder) -> None:
        self._holder = holder

    async def Load(self, request: model_control_pb2.LoadRequest, context: Any) -> model_control_pb2.LoadResponse:
        """See model_control.proto."""
        if not request.uri:
            raise InvalidInput("uri is empty; name the folder of a published version", metadata={"field": "uri"})
        started = time.perf_counter()
        loaded, previous = await self._holder.load_uri(request.uri, request.version, request.manifest_sha256)
        return model_control_pb2.LoadResponse(
            version=loaded.version,
            previous_version=previous.version if previous else None,
            load_seconds=time.perf_counter() - started,
        )

    async def Get(
        self, request: model_control_pb2.ModelControlGetRequest, context: Any
    ) -> model_control_pb2.ModelControlGetResponse:
        """See model_control.proto."""
        loaded = self._holder.loaded
        reply = model_control_pb2.ModelControlGetResponse(
            loading=self._holder.loading, last_error=self._holder.last_error[:1000]
        )
        if loaded is not None:
            reply.version, reply.uri = loaded.version, loaded.uri
            reply.manifest_sha256, reply.config_sha256 = loaded.manifest_sha256, loaded.config_sha256
        return reply


async def serve_model(
    context: ServiceContext, settings: ModelSettings, load: Load, service_names: Sequence[str]
) -> ModelHolder:
    """Give a service its model: load the first one, keep it current, and serve ModelControl.

    Args:
        load: puts a model directory to work as a version, or raises and leaves the old one.
        service_names: become SERVING with the first model.
    Raises:
        SindbadError: the configured directory cannot be loaded (a store that is still empty is no failure).
    """

    def ready(_: Loaded) -> None:
        for name in service_names:
            context.set_serving(name, True)

    holder = ModelHolder(settings, load, ready)
    context.add_control_servicer(
        model_control_pb2_grpc.add_ModelControlServicer_to_server,
        ModelControlServicer(holder),
        service_name=SERVICE_NAME,
    )
    if settings.directory is not None:
        await holder.load_directory(open_model_dir(settings.directory), settings.version)
    if settings.store is not None:
        context.start_task(holder.follow(WeightStore(settings.store)), name="follow-weights")
    return holder


def _expected(error: Exception) -> bool:
    return isinstance(error, SindbadError | OSError)


def check_below_root(uri: str, settings: ModelSettings) -> None:
    """Raise PermissionRefused/OUTSIDE_ROOT unless ``uri`` lies below the configured root."""
    root = settings.root or (str(settings.store) if settings.store else "")
    if not root or not (_remote_below(uri, root) if "://" in root else local_path_below(uri, Path(root))):
        raise PermissionRefused(f"{uri} is not below this server's model root; publish it there", reason="OUTSIDE_ROOT")


def _remote_below(uri: str, root: str) -> bool:
    if root.startswith("file://"):
        return local_path_below(uri, Path(urlparse(root).path)) is not None
    inside = uri.startswith(root.rstrip("/") + "/")
    return inside and not {"..", "."} & set(uri.removeprefix(root).split("/")) and "%" not in uri


def _check_manifest(path: Path, version: int, expected_sha256: str) -> str:
    """The manifest's checksum, after comparing it and the version number."""
    manifest = read_manifest(path)
    digest = file_sha256(path / MANIFEST_NAME)
    if expected_sha256 and digest != expected_sha256.lower():
        raise Corrupt(f"the manifest in {path} has another checksum than the request names")
    if manifest.version != version:
        raise NotFound(f"{path} holds version {manifest.version}, not {version}")
    return digest


def _describe(path: Path, version: int, uri: str) -> Loaded:
    if not (path / "config.json").is_file():
        raise NotFound(f"no model directory at {path}: it has no config.json")
    manifest, tokenizer = path / MANIFEST_NAME, path / "tokenizer.json"
    return Loaded(
        version=version,
        path=path,
        uri=uri,
        manifest_sha256=file_sha256(manifest) if manifest.exists() else "",
        config_sha256=config_digest(path),
        tokenizer_sha256=file_sha256(tokenizer) if tokenizer.exists() else "",
    )
