"""What every engine, local or behind gRPC, promises. Imports neither torch nor grpc.

Tokens in, tokens out: nothing that was sampled is ever re-tokenised. ``logprobs`` are those of the *unmodified*
distribution (temperature 1, no top-k / top-p) at the sampled token, natural logarithm, float32.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable


class FinishReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample. ``temperature`` 0 is greedy; ``top_p`` 1 and ``top_k`` 0 leave the distribution alone.

    The stop token is part of the output (it is what the policy wrote, so it carries loss).
    ``seed`` makes one request reproducible on one engine, whatever else is in its batch.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop_token_ids: tuple[int, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """A few sampled tokens. The three tuples have equal length; ``finish_reason`` is set on the last chunk only."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    weight_versions: tuple[int, ...]
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole generation: the concatenation of its chunks."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    weight_versions: tuple[int, ...]
    finish_reason: FinishReason


class Generator(Protocol):
    """Anything that continues token ids: an engine in this process, or a policy server through its client."""

    def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        """Stream the continuation. Closing the iterator (``aclose``) cancels it and frees its slot.

        Raises:
            InvalidInput: empty prompt, ids outside the vocabulary, prompt + max_tokens over the context.
            NoModel: nothing is loaded. WeightsBehind: loaded version < ``min_version``. Overloaded: queue full.
        """
        ...


@runtime_checkable
class Engine(Generator, Protocol):
    """A generator that owns weights."""

    @property
    def name(self) -> str:
        """Which engine it is: "transformers" or "vllm"."""
        ...

    @property
    def vocabulary_size(self) -> int:
        """Token ids are below it; 0 while no model is loaded."""
        ...

    def stats(self) -> dict[str, float]:
        """Counters and gauges for metrics, by name; at least ``running``, ``waiting``, ``sampled_tokens``."""
        ...

    @property
    def version(self) -> int | None:
        """The weight version being served; None while no model is loaded."""
        ...

    @property
    def max_context(self) -> int:
        """Longest prompt + output in tokens."""
        ...

    async def load(self, model_dir: Path, version: int) -> None:
        """Swap to the weights in ``model_dir``; running generations continue on the new weights, token by token.

        A bad folder raises EngineFailure and leaves the old weights serving.
        """
        ...

    async def start(self) -> None:
        """Begin serving."""
        ...

    async def close(self) -> None:
        """Cancel what runs and free everything. Idempotent."""
        ...


async def complete(
    generator: Generator, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
) -> Completion:
    """Collect a stream into one :class:`Completion`."""
    tokens: list[int] = []
    logprobs: list[float] = []
    versions: list[int] = []
    reason = FinishReason.CANCELLED
    async for chunk in generator.generate(prompt_ids, sampling, min_version=min_version):
        tokens += chunk.token_ids
        logprobs += chunk.logprobs
        versions += chunk.weight_versions
        reason = chunk.finish_reason or reason
    return Completion(tuple(tokens), tuple(logprobs), tuple(versions), reason)
