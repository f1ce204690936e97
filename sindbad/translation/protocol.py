"""What asks for a translation and what gives it: the local :class:`Translator` and the service's client alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sindbad.translation.glossary import Glossary


@dataclass(frozen=True, slots=True)
class Translation:
    """The outcome for one document.

    Attributes:
        text: the translation; empty when rejected.
        accepted: every segment kept the structure contract.
        reason: why it was rejected, "" otherwise; the part before ":" is a stable name ("span_lost", "span_repeated",
            "span_unknown", "empty", "truncated", "too_long").
        segments: units with something to translate, answered by the model or from the cache.
        attempts: generations paid for, retries included. prompt_tokens / output_tokens: summed over attempts.
        mean_logprob: natural-log probability a sampled token, of the unmodified distribution; 0 when none was sampled.
        model_version: weight version that translated; -1 when nothing had to be.
    """

    text: str
    accepted: bool
    reason: str = ""
    segments: int = 0
    attempts: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    mean_logprob: float = 0.0
    model_version: int = -1


class TextTranslator(Protocol):
    """Translates documents; implemented in process and over gRPC."""

    async def translate(
        self, texts: Sequence[str], *, source: str = "en", target: str = "ar", glossary: Glossary | None = None
    ) -> list[Translation]:
        """One outcome per text, in order. A bad translation is a rejected outcome, never an exception.

        Raises:
            InvalidInput: unknown language, oversized request. NoModel, Unavailable, Overloaded: as every service.
        """
        ...
