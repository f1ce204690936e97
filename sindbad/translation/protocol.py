"""What asks for a translation and what gives it: the local :class:`Translator` and the service's client alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sindbad.translation.glossary import Glossary

ADDRESSEES = ("", "masculine", "feminine", "plural")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, or a document (role "").

    Attributes:
        role: "system", "user", "assistant", "tool", …: kept as it is, whatever it says.
        content: the text. metadata: kept as it is.
        keep: leave the content in the source language (the turn still is context for the others).
        kept: in an outcome, what of the content stayed in the source language because a task asks to transform it, word
            for word and in order.
    """

    role: str
    content: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """One document or one conversation, in one direction.

    Attributes:
        turns: one turn with role "" is a document; anything else is a conversation, translated in order, each turn
            with the earlier ones as context.
        source, target: language codes; they choose the language packs and the prompt's file.
        glossary: terms whose translation is given.
        addressee: grammatical gender or number of who is spoken to, where it is known: one of ADDRESSEES.
        temperature, seed: of the first attempt; 0 is greedy. deadline_seconds: 0 sets none.
        keep_content: leave what a task asks to transform ("fix the English grammar of …") in the source language.
        request_id: comes back in the outcome.
    """

    turns: tuple[Turn, ...]
    source: str = "en"
    target: str = "ar"
    glossary: Glossary | None = None
    addressee: str = ""
    temperature: float = 0.0
    seed: int = 0
    deadline_seconds: float = 0.0
    keep_content: bool = True
    request_id: str = ""

    @classmethod
    def document(cls, text: str, *, source: str = "en", target: str = "ar", **fields: object) -> TranslationRequest:
        """A request for one text."""
        return cls((Turn("", text),), source, target, **fields)  # type: ignore[arg-type]

    @property
    def is_document(self) -> bool:
        """One text without a role."""
        return len(self.turns) == 1 and not self.turns[0].role


@dataclass(frozen=True, slots=True)
class SegmentAttempt:
    """One generation: a row for a ledger.

    Attributes:
        turn: index of the turn. segment: index within the turn; -1 when the whole turn was asked for at once.
        unit: "turn", "segment" or "sentence"; "terms" for a question how the turn's terms came out.
        number: 0 for the first attempt at this unit.
        finish_reason: as the engine said ("stop", "length", …). prompt_tokens, output_tokens: of this generation.
        repairs: what was mended, by stable names ("digits", "brackets", …).
        difference: what it did to its spans ("missing=[1]"), before any repair; "" for nothing.
        reason: why it could not be used, "" when it was; the part before ":" is a stable name.
        model_version: weight version; -1 where the model does not say.
    """

    turn: int
    segment: int
    unit: str
    number: int
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    repairs: tuple[str, ...] = ()
    difference: str = ""
    reason: str = ""
    model_version: int = -1


@dataclass(frozen=True, slots=True)
class SegmentPair:
    """One entry of the segment map: source characters [start, end) of a turn became ``text``."""

    turn: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Translation:
    """The outcome for one document or conversation.

    Attributes:
        text: the translated document; empty when rejected, and for a conversation.
        accepted: every segment kept the structure contract.
        reason: why it was rejected, "" otherwise; the part before ":" is a stable name ("span_lost", "span_repeated",
            "span_unknown", "span_order", "empty", "truncated", "too_long", "echo", "chatter", "numbers", "structure").
        segments: units with something to translate, answered by the model or from the cache.
        attempts: generations paid for, retries included. prompt_tokens / output_tokens: summed over attempts.
        mean_logprob: natural-log probability a sampled token of the translation (not of questions about it), of the
            unmodified distribution; 0 when none was sampled.
        model_version: weight version that translated; -1 when nothing had to be.
        turns: the conversation with the same roles, order and metadata; for a document its one turn; empty if rejected.
        records: every generation, in the order they ended. segment_map: what became of what, in the source's order.
        notes: remarks that reject nothing ("term_changed: …", "terms_failed: …"), by stable names.
        request_id: that of the request.
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
    turns: tuple[Turn, ...] = ()
    records: tuple[SegmentAttempt, ...] = ()
    segment_map: tuple[SegmentPair, ...] = ()
    notes: tuple[str, ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """What decides a translation in one direction, as whoever translates says it; equal for those that do so alike.

    Attributes:
        style: of the prompt. prompt: digest of its words. decoding: limits, retries and checks; only equality counts.
        wordings: digest of both languages'. masker: version of the protected spans. judge: the content judge, or "".
        revision, quantisation, licence: of the weights; "" where they are somebody else's, but for the name that they
            have at an endpoint: it is the revision then.
        version: that the service calls them by; -1 likewise. It decides nothing.
    """

    style: str
    prompt: str
    decoding: str
    wordings: str
    masker: str
    judge: str = ""
    revision: str = ""
    quantisation: str = ""
    licence: str = ""
    version: int = field(default=-1, compare=False)


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


class RequestTranslator(Protocol):
    """Translates documents and conversations; implemented in process and over gRPC."""

    async def translate_request(self, request: TranslationRequest) -> Translation:
        """The outcome; a bad translation is a rejected one, never an exception.

        Raises:
            InvalidInput: unknown language, oversized request. DeadlineExceeded: the request's deadline passed. NoModel,
            Unavailable, Overloaded: as every service.
        """
        ...
