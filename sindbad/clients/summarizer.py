"""The summarizer over gRPC: implements ``sindbad.agent.summarize.Summarizer``."""

from __future__ import annotations

from collections.abc import Sequence

from sindbad.agent.summarize import ConversationTurn, Role, Summary, Writer
from sindbad.clients.channel import ChannelSettings
from sindbad.clients.service import ServiceClient
from sindbad.v1 import summarizer_pb2, summarizer_pb2_grpc

ROLES = {Role.ASSISTANT: summarizer_pb2.TURN_ROLE_ASSISTANT, Role.TOOL: summarizer_pb2.TURN_ROLE_TOOL}
WRITERS = {
    Writer.MODEL: summarizer_pb2.SUMMARY_WRITER_MODEL,
    Writer.POLICY: summarizer_pb2.SUMMARY_WRITER_POLICY,
    Writer.RULES: summarizer_pb2.SUMMARY_WRITER_RULES,
}
_BY_NUMBER = {number: writer for writer, number in WRITERS.items()}


class SummarizerClient(ServiceClient):
    """Asks the summarizer service; ``writer`` None leaves the choice to the server."""

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        writer: Writer | None = None,
        max_tokens: int = 0,
        channel: ChannelSettings | None = None,
        deadline_seconds: float = 360.0,
    ) -> None:
        super().__init__(
            addresses, summarizer_pb2_grpc.SummarizerStub, channel=channel, deadline_seconds=deadline_seconds
        )
        self._writer = WRITERS[writer] if writer else summarizer_pb2.SUMMARY_WRITER_UNSPECIFIED
        self._max_tokens = max_tokens

    async def summarize(
        self,
        question: str,
        conversation: Sequence[ConversationTurn],
        *,
        last_summary: str,
        language: str,
        deadline_seconds: float,
    ) -> Summary:
        """Compress one segment; see ``Summarizer.summarize``."""
        turns = [summarizer_pb2.ConversationTurn(role=ROLES[turn.role], text=turn.text) for turn in conversation]
        request = summarizer_pb2.SummarizeRequest(
            question=question,
            language=language,
            turns=turns,
            last_summary=last_summary,
            max_tokens=self._max_tokens,
            writer=self._writer,
        )
        return _from_proto(await self.call("Summarize", request, deadline_seconds=deadline_seconds))


def _from_proto(reply: summarizer_pb2.SummarizeResponse) -> Summary:
    return Summary(
        reply.summary,
        _BY_NUMBER.get(reply.wrote_by, Writer.RULES),
        prompt_tokens=reply.usage.prompt_tokens,
        completion_tokens=reply.usage.completion_tokens,
        weight_version=int(reply.weight_version) if reply.HasField("weight_version") else None,
        fallback_reason=reply.fallback_reason,
    )
