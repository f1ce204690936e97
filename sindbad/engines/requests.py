"""Checks that every engine makes before it accepts a request, so that both refuse the same things in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from sindbad.engines.protocol import SamplingParams
from sindbad.errors import InvalidInput, NoModel, WeightsBehind


def check_request(prompt_ids: Sequence[int], sampling: SamplingParams, vocabulary_size: int, max_context: int) -> None:
    """Raise InvalidInput, naming the field, for a request that can never be served."""
    _require(len(prompt_ids) > 0, "prompt_ids", "the prompt is empty; send at least one token id")
    _require(sampling.max_tokens >= 1, "max_tokens", "max_tokens must be at least 1")
    _require(
        len(prompt_ids) + sampling.max_tokens <= max_context,
        "max_tokens",
        f"{len(prompt_ids)} prompt tokens + max_tokens {sampling.max_tokens} exceed the context of {max_context}",
    )
    for token in (min(prompt_ids), max(prompt_ids)):
        inside = 0 <= token < vocabulary_size
        _require(inside, "prompt_ids", f"token id {token} is outside the vocabulary of {vocabulary_size}")
    _require(0.0 <= sampling.temperature < float("inf"), "temperature", "temperature must be finite and at least 0")
    _require(0.0 < sampling.top_p <= 1.0, "top_p", "top_p must be in (0, 1]")
    _require(sampling.top_k >= 0, "top_k", "top_k must be 0 (off) or positive")


def check_model(version: int | None) -> int:
    """The loaded version. Raises NoModel when there is none."""
    if version is None:
        raise NoModel("no model is loaded; load one through ModelControl or publish one to the weight store")
    return version


def check_version(version: int, min_version: int) -> None:
    """Raise WeightsBehind when ``version`` is older than the caller accepts."""
    if version < min_version:
        raise WeightsBehind(
            f"serving version {version}, asked for {min_version} or newer; try another replica",
            metadata={"version": str(version), "min_version": str(min_version)},
        )


def _require(condition: bool, field: str, message: str) -> None:
    if not condition:
        raise InvalidInput(message, metadata={"field": field})
