"""ReSum's summariser behind one protocol: a rule, any language model, or a service.

Whoever writes, a summary is *input* of the next segment and never a training target. An empty summary means "leave the
history untouched" (ReSum's code does the same when the call fails).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Role(StrEnum):
    """Who said something."""

    ASSISTANT = "assistant"
    TOOL = "tool"


class Writer(StrEnum):
    """Who wrote a summary."""

    MODEL = "model"
    POLICY = "policy"
    RULES = "rules"


@dataclass(frozen=True, slots=True)
class ConversationTurn:
    """One message of the segment to compress, in order and without system prompt and question.

    An assistant's ``text`` has its tags written out; a tool's is the observation alone and never parsed for tags.
    """

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Plain text without tags, and who wrote it.

    ``prompt_tokens`` and ``completion_tokens`` are what it took (0 for the rules); ``weight_version`` who wrote it;
    ``fallback_reason`` why somebody else than the one asked for wrote it.
    """

    text: str
    by: Writer
    prompt_tokens: int = 0
    completion_tokens: int = 0
    weight_version: int | None = None
    fallback_reason: str = ""


class Summarizer(Protocol):
    """Anything that compresses a segment."""

    async def summarize(
        self,
        question: str,
        conversation: Sequence[ConversationTurn],
        *,
        last_summary: str,
        language: str,
        deadline_seconds: float,
    ) -> Summary:
        """Compress one segment.

        Args:
            conversation: the segment's turns, the observation that set off the trigger included.
            last_summary: what the segment started from; empty in the first one. It is carried on, not lost.

        Raises:
            SindbadError: the writer failed; the caller keeps its history.
        """
        ...
