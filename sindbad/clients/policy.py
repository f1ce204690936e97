"""The policy over gRPC: a Generator over several replicas that survives the death of one in mid-stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from sindbad.clients.channel import ChannelSettings
from sindbad.clients.replicas import Attempts, Backoff, Replica
from sindbad.clients.service import ServiceClient
from sindbad.engines.protocol import FinishReason, SamplingParams, TokenChunk
from sindbad.errors import InvalidInput, Unavailable
from sindbad.v1 import policy_pb2, policy_pb2_grpc

_REASONS = {
    policy_pb2.FINISH_REASON_STOP: FinishReason.STOP,
    policy_pb2.FINISH_REASON_LENGTH: FinishReason.LENGTH,
    policy_pb2.FINISH_REASON_CANCELLED: FinishReason.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class PolicyInfo:
    """What a replica serves; ``version`` is None while no model is loaded."""

    version: int | None
    max_context: int
    vocabulary_size: int
    tokenizer_sha256: str
    engine: str


@dataclass(slots=True)
class _Progress:
    """What a generation has so far, over all the replicas that worked on it."""

    prompt: list[int]
    sampling: SamplingParams
    received: int = 0
    finished: bool = False

    def request(self, min_version: int) -> policy_pb2.GenerateRequest:
        """What is still to be sampled, as a request: prompt and received tokens are the new prompt."""
        sampling = self.sampling
        if self.received:
            # The rest must not replay the random numbers that sampled the beginning.
            seed = None if sampling.seed is None else sampling.seed + self.received
            sampling = replace(sampling, max_tokens=sampling.max_tokens - self.received, seed=seed)
        return policy_pb2.GenerateRequest(
            prompt_token_ids=self.prompt, sampling=to_proto(sampling), min_version=min_version
        )

    def accept(self, chunk: TokenChunk) -> None:
        self.prompt += chunk.token_ids
        self.received += len(chunk.token_ids)
        self.finished = chunk.finish_reason is not None

    def last_chunk_lost(self) -> TokenChunk | None:
        """The end, where all tokens had arrived and only the word that it was the end went missing."""
        stopped = self.received and self.prompt[-1] in self.sampling.stop_token_ids
        if stopped:
            return TokenChunk((), (), (), FinishReason.STOP)
        return TokenChunk((), (), (), FinishReason.LENGTH) if self.received >= self.sampling.max_tokens else None


class PolicyClient(ServiceClient):
    """Implements ``engines.protocol.Generator``.

    A stream that breaks goes on at another replica with what was received as part of the prompt: tokens in, tokens
    out makes that exact, and each token keeps the log-probability and version of the weights that sampled it. (With a
    ``seed`` the tokens after a break differ from those of an unbroken run.)
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        channel: ChannelSettings | None = None,
        deadline_seconds: float = 600.0,
        backoff: Backoff | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        super().__init__(
            addresses, policy_pb2_grpc.PolicyStub, channel=channel, deadline_seconds=deadline_seconds, backoff=backoff,
            patience_seconds=patience_seconds,
        )  # fmt: skip

    async def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        """Stream the continuation; ``aclose`` cancels the call at the server. Errors as the protocol says."""
        check_request(prompt_ids, sampling)
        attempts = self.attempts(None)
        progress = _Progress(list(prompt_ids), sampling)
        while not progress.finished:
            if (end := progress.last_chunk_lost()) is not None:
                yield end
                return
            replica = await self.next_replica(attempts)
            async with aclosing(self._stream(replica, attempts, progress, min_version)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def info(self, *, deadline_seconds: float | None = None) -> PolicyInfo:
        """What one replica serves."""
        reply = await self.call("GetInfo", policy_pb2.GetInfoRequest(), deadline_seconds=deadline_seconds)
        version = int(reply.version) if reply.HasField("version") else None
        return PolicyInfo(version, reply.max_context, reply.vocabulary_size, reply.tokenizer_sha256, reply.engine)

    async def _stream(
        self, replica: Replica, attempts: Attempts, progress: _Progress, min_version: int
    ) -> AsyncGenerator[TokenChunk, None]:
        """Chunks of one attempt; ends early, after noting the failure, where another replica should go on."""
        request = progress.request(min_version)
        async with self.streaming(replica, attempts, "Generate", request) as call:
            async for message in call:
                chunk = from_proto(message)
                given_up = chunk.finish_reason is FinishReason.CANCELLED
                if given_up:
                    chunk = replace(chunk, finish_reason=None)
                progress.accept(chunk)
                yield chunk
                if given_up:
                    raise Unavailable(f"{replica.address} gave the generation up; another replica goes on")
            if not progress.finished:
                raise Unavailable(f"{replica.address} ended the stream before the generation had ended")


def check_request(prompt_ids: Sequence[int], sampling: SamplingParams) -> None:
    """What protobuf would refuse with a bare ValueError, as InvalidInput."""
    if not prompt_ids:
        raise InvalidInput("the prompt is empty; send at least one token id")
    if min(prompt_ids) < 0 or max(prompt_ids) > 0xFFFFFFFF:
        raise InvalidInput("token ids lie between 0 and the size of the vocabulary")
    if sampling.max_tokens < 1:
        raise InvalidInput("max_tokens must be at least 1")


def to_proto(sampling: SamplingParams) -> policy_pb2.Sampling:
    """SamplingParams as a message."""
    return policy_pb2.Sampling(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        stop_token_ids=sampling.stop_token_ids,
        seed=sampling.seed,
    )


def from_proto(message: policy_pb2.GenerateResponse) -> TokenChunk:
    """A message as TokenChunk."""
    return TokenChunk(
        tuple(message.token_ids),
        tuple(message.logprobs),
        tuple(message.weight_versions),
        _REASONS.get(message.finish_reason),
    )
