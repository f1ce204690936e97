"""The policy service: an engine, a model that follows a weight store, and the Policy servicer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from pydantic import Field

from services.policy.metrics import EngineCollector
from services.runtime import RuntimeSettings, ServiceContext
from services.runtime.model_control import ModelHolder, ModelSettings, serve_model
from sindbad.engines.factory import EngineSettings, create_engine
from sindbad.engines.protocol import Engine, FinishReason, SamplingParams, TokenChunk
from sindbad.engines.transformers_engine import TransformersEngineSettings
from sindbad.errors import InvalidInput
from sindbad.v1 import policy_pb2, policy_pb2_grpc

SERVICE_NAME = "sindbad.v1.Policy"
_REASONS = {
    FinishReason.STOP: policy_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: policy_pb2.FINISH_REASON_LENGTH,
    FinishReason.CANCELLED: policy_pb2.FINISH_REASON_CANCELLED,
}


class PolicySettings(RuntimeSettings):
    """Settings of the policy service."""

    max_concurrency: int = Field(default=512, ge=1)
    """Streams open at once. The engine has a batch and a queue of its own, so this is only the outer bound."""
    model: ModelSettings = ModelSettings()
    """Where the weights come from."""
    engine: EngineSettings = TransformersEngineSettings()
    """Which engine runs them, and its sizes."""


class PolicyServicer(policy_pb2_grpc.PolicyServicer):
    """Policy over an engine."""

    def __init__(self, engine: Engine, holder: ModelHolder | None = None) -> None:
        self._engine = engine
        self.holder = holder

    async def Generate(
        self, request: policy_pb2.GenerateRequest, context: Any
    ) -> AsyncIterator[policy_pb2.GenerateResponse]:
        """See policy.proto. Cancelling the call closes the stream, which frees the engine's slot."""
        sampling = read_sampling(request)
        stream: Any = self._engine.generate(list(request.prompt_token_ids), sampling, min_version=request.min_version)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield to_message(chunk)

    async def GetInfo(self, request: policy_pb2.GetInfoRequest, context: Any) -> policy_pb2.GetInfoResponse:
        """See policy.proto."""
        engine, loaded = self._engine, self.holder.loaded if self.holder else None
        return policy_pb2.GetInfoResponse(
            version=engine.version,
            max_context=engine.max_context,
            vocabulary_size=engine.vocabulary_size,
            tokenizer_sha256=loaded.tokenizer_sha256 if loaded else "",
            engine=engine.name,
        )


def read_sampling(request: policy_pb2.GenerateRequest) -> SamplingParams:
    """The request's sampling, unset fields at their documented defaults. Raises InvalidInput if it has none."""
    if not request.HasField("sampling"):
        raise InvalidInput("sampling is required; set at least max_tokens", metadata={"field": "sampling"})
    one = request.sampling
    return SamplingParams(
        max_tokens=one.max_tokens,
        temperature=one.temperature if one.HasField("temperature") else 1.0,
        top_p=one.top_p if one.HasField("top_p") else 1.0,
        top_k=one.top_k,
        stop_token_ids=tuple(one.stop_token_ids),
        seed=one.seed if one.HasField("seed") else None,
    )


def to_message(chunk: TokenChunk) -> policy_pb2.GenerateResponse:
    """A chunk on the wire."""
    return policy_pb2.GenerateResponse(
        token_ids=chunk.token_ids,
        logprobs=chunk.logprobs,
        weight_versions=chunk.weight_versions,
        finish_reason=_REASONS[chunk.finish_reason] if chunk.finish_reason else policy_pb2.FINISH_REASON_UNSPECIFIED,
    )


async def build(settings: PolicySettings, context: ServiceContext) -> None:
    """Wire the service; without a model it is live and NOT_SERVING."""
    engine = create_engine(settings.engine)
    await engine.start()
    context.on_shutdown(engine.close)
    servicer = PolicyServicer(engine)
    context.add_servicer(policy_pb2_grpc.add_PolicyServicer_to_server, servicer, service_name=SERVICE_NAME)

    async def load(model_dir: Path, version: int) -> None:
        await engine.load(model_dir, version)

    servicer.holder = await serve_model(context, settings.model, load, [SERVICE_NAME])
    context.metrics.register(EngineCollector(engine))
