"""Translation requests and outcomes as messages of translator.proto, and back: the client and the service share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import (
    ADDRESSEES,
    Description,
    SegmentAttempt,
    SegmentPair,
    Translation,
    TranslationRequest,
    Turn,
)
from sindbad.v1 import common_pb2, translator_pb2


def _usage(prompt_tokens: int, output_tokens: int) -> common_pb2.TokenUsage:
    return common_pb2.TokenUsage(prompt_tokens=prompt_tokens, completion_tokens=output_tokens)


def _terms(glossary: Glossary | None) -> list[translator_pb2.GlossaryEntry]:
    terms = glossary.terms if glossary is not None else {}
    return [translator_pb2.GlossaryEntry(source=source, target=target) for source, target in terms.items()]


# -- requests ----------------------------------------------------------------------------------------------------------


def items_message(requests: Sequence[TranslationRequest]) -> translator_pb2.TranslateItemsRequest:
    """Requests of one direction and one sampling (the first one's) as a message."""
    first = requests[0]
    return translator_pb2.TranslateItemsRequest(
        items=[_item(request) for request in requests],
        source_language=first.source,
        target_language=first.target,
        temperature=first.temperature,
        seed=first.seed,
    )


def _item(request: TranslationRequest) -> translator_pb2.TranslationItem:
    return translator_pb2.TranslationItem(
        id=request.request_id,
        turns=[turn_message(turn) for turn in request.turns],
        glossary=_terms(request.glossary),
        addressee=cast("translator_pb2.Addressee.ValueType", ADDRESSEES.index(request.addressee)),
        translate_content=not request.keep_content,
    )


def turn_message(turn: Turn) -> translator_pb2.Turn:
    """One turn."""
    return translator_pb2.Turn(
        role=turn.role, content=turn.content, metadata=turn.metadata, keep=turn.keep, kept=turn.kept
    )


def requests_of(message: translator_pb2.TranslateItemsRequest) -> list[TranslationRequest]:
    """Inverse of :func:`items_message`. Raises InvalidInput for a glossary that is none."""
    shared = {entry.source: entry.target for entry in message.glossary}
    return [
        TranslationRequest(
            turns=tuple(_turn(turn) for turn in item.turns),
            source=message.source_language,
            target=message.target_language,
            glossary=Glossary({**shared, **{entry.source: entry.target for entry in item.glossary}}),
            addressee=ADDRESSEES[item.addressee] if 0 <= item.addressee < len(ADDRESSEES) else "unknown",
            temperature=message.temperature if message.HasField("temperature") else 0.0,
            seed=message.seed if message.HasField("seed") else 0,
            keep_content=not item.translate_content,
            request_id=item.id,
        )
        for item in message.items
    ]


def _turn(message: translator_pb2.Turn) -> Turn:
    return Turn(message.role, message.content, dict(message.metadata), message.keep, tuple(message.kept))


# -- outcomes ----------------------------------------------------------------------------------------------------------


def outcome_message(outcome: Translation) -> translator_pb2.TranslatedItem:
    """An outcome as a message."""
    return translator_pb2.TranslatedItem(
        id=outcome.request_id,
        turns=[turn_message(turn) for turn in outcome.turns],
        accepted=outcome.accepted,
        problems=[outcome.reason] if outcome.reason else [],
        notes=outcome.notes,
        attempts=[_attempt_message(record) for record in outcome.records],
        segment_map=[pair_message(pair) for pair in outcome.segment_map],
        mean_logprob=outcome.mean_logprob,
        segments=outcome.segments,
        usage=_usage(outcome.prompt_tokens, outcome.output_tokens),
        weight_version=outcome.model_version if outcome.model_version >= 0 else None,
    )


def pair_message(pair: SegmentPair) -> translator_pb2.SegmentPair:
    """One entry of the segment map."""
    return translator_pb2.SegmentPair(turn=pair.turn, start=pair.start, end=pair.end, text=pair.text)


def _attempt_message(record: SegmentAttempt) -> translator_pb2.SegmentAttempt:
    return translator_pb2.SegmentAttempt(
        turn=record.turn,
        segment=record.segment if record.segment >= 0 else None,
        unit=record.unit,
        number=record.number,
        finish_reason=record.finish_reason,
        usage=_usage(record.prompt_tokens, record.output_tokens),
        repairs=record.repairs,
        span_difference=record.difference,
        reason=record.reason,
        weight_version=record.model_version if record.model_version >= 0 else None,
    )


def outcome_of(message: translator_pb2.TranslatedItem) -> Translation:
    """Inverse of :func:`outcome_message`."""
    turns = tuple(_turn(turn) for turn in message.turns)
    document = len(turns) == 1 and not turns[0].role
    return Translation(
        text=turns[0].content if document else "",
        accepted=message.accepted,
        reason="; ".join(message.problems),
        segments=message.segments,
        attempts=len(message.attempts),
        prompt_tokens=message.usage.prompt_tokens,
        output_tokens=message.usage.completion_tokens,
        mean_logprob=message.mean_logprob,
        model_version=int(message.weight_version) if message.HasField("weight_version") else -1,
        turns=turns,
        records=tuple(_attempt(record) for record in message.attempts),
        segment_map=tuple(pair_of(pair) for pair in message.segment_map),
        notes=tuple(message.notes),
        request_id=message.id,
    )


def pair_of(message: translator_pb2.SegmentPair) -> SegmentPair:
    """Inverse of :func:`pair_message`."""
    return SegmentPair(message.turn, message.start, message.end, message.text)


def _attempt(message: translator_pb2.SegmentAttempt) -> SegmentAttempt:
    return SegmentAttempt(
        turn=message.turn,
        segment=message.segment if message.HasField("segment") else -1,
        unit=message.unit,
        number=message.number,
        finish_reason=message.finish_reason,
        prompt_tokens=message.usage.prompt_tokens,
        output_tokens=message.usage.completion_tokens,
        repairs=tuple(message.repairs),
        difference=message.span_difference,
        reason=message.reason,
        model_version=int(message.weight_version) if message.HasField("weight_version") else -1,
    )


# -- what decides a translation ----------------------------------------------------------------------------------------


def description_message(found: Description) -> translator_pb2.TranslatorDescribeResponse:
    """A description as a message."""
    return translator_pb2.TranslatorDescribeResponse(
        revision=found.revision,
        quantisation=found.quantisation,
        masker=found.masker,
        prompt_style=found.style,
        prompt_digest=found.prompt,
        decoding=found.decoding,
        wordings_digest=found.wordings,
        content_judge=found.judge,
        licence=found.licence,
        weight_version=found.version if found.version >= 0 else None,
    )


def description_of(message: translator_pb2.TranslatorDescribeResponse) -> Description:
    """Inverse of :func:`description_message`."""
    return Description(
        style=message.prompt_style,
        prompt=message.prompt_digest,
        decoding=message.decoding,
        wordings=message.wordings_digest,
        masker=message.masker,
        judge=message.content_judge,
        revision=message.revision,
        quantisation=message.quantisation,
        licence=message.licence,
        version=int(message.weight_version) if message.HasField("weight_version") else -1,
    )
