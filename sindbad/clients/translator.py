"""The translator over gRPC: implements ``sindbad.translation.protocol.TextTranslator``."""

from __future__ import annotations

from collections.abc import Sequence

from sindbad.clients.channel import ChannelSettings
from sindbad.clients.service import ServiceClient
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import Translation
from sindbad.v1 import translator_pb2, translator_pb2_grpc


class TranslatorClient(ServiceClient):
    """Asks the translator service."""

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        channel: ChannelSettings | None = None,
        deadline_seconds: float = 600.0,
    ) -> None:
        super().__init__(
            addresses, translator_pb2_grpc.TranslatorStub, channel=channel, deadline_seconds=deadline_seconds
        )

    async def translate(
        self, texts: Sequence[str], *, source: str = "en", target: str = "ar", glossary: Glossary | None = None
    ) -> list[Translation]:
        """One outcome per text, in order; see ``TextTranslator.translate``."""
        if not texts:
            return []
        terms = glossary.terms if glossary is not None else {}
        request = translator_pb2.TranslateRequest(
            texts=texts,
            source_language=source,
            target_language=target,
            glossary=[translator_pb2.GlossaryEntry(source=s, target=t) for s, t in terms.items()],
        )
        reply = await self.call("Translate", request)
        return [_from_proto(translation) for translation in reply.translations]


def _from_proto(message: translator_pb2.Translation) -> Translation:
    return Translation(
        text=message.text,
        accepted=message.structure_kept,
        reason="; ".join(message.problems),
        segments=message.segments,
        attempts=message.attempts,
        prompt_tokens=message.usage.prompt_tokens,
        output_tokens=message.usage.completion_tokens,
        mean_logprob=message.mean_logprob,
        model_version=int(message.weight_version) if message.HasField("weight_version") else -1,
    )
