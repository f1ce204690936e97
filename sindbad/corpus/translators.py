"""Whoever translates a record: a text translator, message by message, or one that takes whole conversations.

The worker knows neither engines nor wires; it gives a record and gets an outcome with everything that was paid for it.
A record comes out whole or not at all: same message count, roles and order (papers §4.7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sindbad.corpus.records import InstructionRecord
from sindbad.translation.content import kept_by_rule
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import (
    RequestTranslator,
    SegmentAttempt,
    Translation,
    TranslationRequest,
    Turn,
)

_KEPT = re.compile(r"kept: turn (\d+): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a record. ``contents``: one text a message, () when rejected; ``reason`` is "" when accepted.

    ``kept``: for each message what of it stayed in the source language because a task asks to transform it; () for a
    record without such a task.
    """

    contents: tuple[str, ...]
    reason: str = ""
    generations: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    model_version: int = -1
    notes: tuple[str, ...] = ()
    segments: tuple[SegmentAttempt, ...] = ()
    kept: tuple[tuple[str, ...], ...] = ()

    @property
    def finish_reason(self) -> str:
        """The worst of all generations: anything but "stop" wins."""
        seen = [segment.finish_reason for segment in self.segments if segment.finish_reason]
        return next((reason for reason in seen if reason != "stop"), seen[0] if seen else "")


def kept_notes(kept: Sequence[Sequence[str]]) -> Iterator[str]:
    """What stayed in the source language, message by message, for whoever reads the ledger, and for other filters that
    judge it again."""
    for number, parts in enumerate(kept):
        yield from (f"kept: turn {number}: {part}" for part in parts)


def kept_in(notes: Sequence[str], messages: int) -> tuple[tuple[str, ...], ...]:
    """Inverse of :func:`kept_notes` for so many messages; () where nothing stayed."""
    found = [match.groups() for match in map(_KEPT.fullmatch, notes) if match]
    turns = range(messages) if found else ()
    return tuple(tuple(part for turn, part in found if int(turn) == number) for number in turns)


class RecordTranslator(Protocol):
    """Translates one record at a time; called concurrently."""

    async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        """The outcome; a bad translation is a rejected one. Raises what the engine or the wire raises."""
        ...


class MessageTranslator(RequestTranslator, Protocol):
    """Translates texts, and conversations: the local translator and the service's client alike."""

    async def translate(
        self,
        texts: Sequence[str],
        *,
        source: str = "en",
        target: str = "ar",
        glossary: Glossary | None = None,
        seed: int = 0,
    ) -> list[Translation]:
        """See ``TextTranslator``; another ``seed`` samples otherwise, wherever it is sampled at all."""
        ...


class ByMessage:
    """Each message for itself, through ``MessageTranslator``: for models that know sentences, not conversations.

    A record with a task about its own text ("fix the grammar of …") goes as a conversation, whatever the model knows:
    what of an answer stays in the source language hangs on its question.
    """

    def __init__(self, translator: MessageTranslator, *, source: str = "en", target: str = "ar") -> None:
        self._translator, self._source, self._target = translator, source, target
        self._whole = ByConversation(translator, source=source, target=target)

    async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        """See :class:`RecordTranslator`."""
        users = (message.content for message in record.messages if message.role == "user")
        if any(kept_by_rule(text, self._source).ranges for text in users):
            return await self._whole.translate(record, glossary, seed)
        texts = list(dict.fromkeys(message.content for message in record.messages if message.content.strip()))
        found = await self._translator.translate(
            texts, source=self._source, target=self._target, glossary=glossary, seed=seed
        ) if texts else []  # fmt: skip
        known = dict(zip(texts, found, strict=True))
        reason = next((one.reason or "rejected" for one in found if not one.accepted), "")
        contents = tuple(
            known[message.content].text if message.content in known else message.content for message in record.messages
        )
        return _outcome(() if reason else contents, reason, found)


class ByConversation:
    """The whole record at once, earlier turns as context, through ``RequestTranslator``."""

    def __init__(self, translator: RequestTranslator, *, source: str = "en", target: str = "ar") -> None:
        self._translator, self._source, self._target = translator, source, target

    async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        """See :class:`RecordTranslator`."""
        turns = tuple(Turn(message.role, message.content) for message in record.messages)
        request = TranslationRequest(
            turns, self._source, self._target, glossary=glossary, seed=seed, request_id=record.record_id
        )
        found = await self._translator.translate_request(request)
        reason = "" if found.accepted else found.reason or "rejected"
        if not reason and [turn.role for turn in found.turns] != [turn.role for turn in turns]:
            reason = "roles: the conversation came back with other turns"
        outcome = _outcome(() if reason else tuple(turn.content for turn in found.turns), reason, [found])
        kept = any(turn.kept for turn in found.turns) and not reason
        return replace(outcome, kept=tuple(turn.kept for turn in found.turns)) if kept else outcome


def _outcome(contents: tuple[str, ...], reason: str, found: Sequence[Translation]) -> Outcome:
    return Outcome(
        contents,
        reason,
        sum(one.attempts for one in found),
        sum(one.prompt_tokens for one in found),
        sum(one.output_tokens for one in found),
        max((one.model_version for one in found), default=-1),
        tuple(note for one in found for note in one.notes),
        tuple(segment for one in found for segment in one.records),
    )
