"""The translator over gRPC: ``TextTranslator`` and ``RequestTranslator`` of ``sindbad.translation.protocol``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import groupby

import grpc

from sindbad.clients.channel import ChannelSettings
from sindbad.clients.service import ServiceClient
from sindbad.clients.translation_messages import description_of, items_message, outcome_of, pair_of
from sindbad.errors import NotFound, SindbadError, Unavailable
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import Description, SegmentPair, Translation, TranslationRequest
from sindbad.v1 import translator_pb2, translator_pb2_grpc


class TranslatorClient(ServiceClient):
    """Asks the translator service."""

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        channel: ChannelSettings | None = None,
        deadline_seconds: float = 600.0,
        patience_seconds: float | None = None,
    ) -> None:
        super().__init__(
            addresses, translator_pb2_grpc.TranslatorStub, channel=channel, deadline_seconds=deadline_seconds,
            patience_seconds=patience_seconds,
        )  # fmt: skip

    async def translate(
        self,
        texts: Sequence[str],
        *,
        source: str = "en",
        target: str = "ar",
        glossary: Glossary | None = None,
        seed: int = 0,
    ) -> list[Translation]:
        """One outcome per text, in order; see ``TextTranslator.translate``. ``seed``: of attempts that are sampled."""
        if not texts:
            return []
        terms = glossary.terms if glossary is not None else {}
        request = translator_pb2.TranslateRequest(
            texts=texts,
            source_language=source,
            target_language=target,
            glossary=[translator_pb2.GlossaryEntry(source=s, target=t) for s, t in terms.items()],
            seed=seed,
        )
        reply = await self.call("Translate", request)
        return [_from_proto(translation) for translation in reply.translations]

    async def describe(self, source: str = "en", target: str = "ar") -> Description:
        """What decides a translation there; of several addresses any one's. Raises InvalidInput for a direction that
        it does not have, NoModel, and NotFound/NO_DESCRIPTION where the server is older than this question."""
        request = translator_pb2.TranslatorDescribeRequest(source_language=source, target_language=target)
        try:
            return description_of(await self.call("Describe", request))
        except SindbadError as error:
            if error.reason != grpc.StatusCode.UNIMPLEMENTED.name:
                raise
            raise NotFound(
                f"the translator service cannot say what decides its translations: {error.message}",
                reason="NO_DESCRIPTION",
            ) from error

    async def translate_request(self, request: TranslationRequest) -> Translation:
        """See ``RequestTranslator``; the request's own deadline counts where it is set."""
        (outcome,) = await self.translate_requests([request])
        return outcome

    async def translate_requests(self, requests: Sequence[TranslationRequest]) -> list[Translation]:
        """One outcome per request, in order; a call for each run of requests of one direction and one sampling."""
        outcomes: list[Translation] = []
        for _, run in groupby(requests, key=_alike):
            own = list(run)
            deadline = min((request.deadline_seconds for request in own if request.deadline_seconds), default=None)
            reply = await self.call("TranslateItems", items_message(own), deadline_seconds=deadline)
            outcomes += map(outcome_of, reply.items)
        return outcomes

    async def stream(
        self, requests: Sequence[TranslationRequest]
    ) -> AsyncIterator[tuple[int, SegmentPair | Translation]]:
        """(index of the request, what is settled): its segments in the source's order, then its outcome.

        All requests have one direction and one sampling (the first one's). Where a replica dies, the items without an
        outcome are asked for again at another one: segments may be told twice, outcomes never. Closing the iterator
        cancels the call.
        """
        attempts = self.attempts(requests[0].deadline_seconds or None)
        waiting = list(range(len(requests)))
        while waiting:
            replica = await self.next_replica(attempts)
            asked = list(waiting)
            message = translator_pb2.StreamItemsRequest(request=items_message([requests[index] for index in asked]))
            async with self.streaming(replica, attempts, "StreamItems", message) as call:
                async for event in call:
                    index = asked[event.item]
                    if event.WhichOneof("event") == "segment":
                        yield index, pair_of(event.segment)
                    else:
                        waiting.remove(index)
                        yield index, outcome_of(event.outcome)
                if waiting:
                    raise Unavailable(f"{replica.address} ended the stream before every item had an outcome")


def _alike(request: TranslationRequest) -> tuple[str, str, float, int]:
    return request.source, request.target, request.temperature, request.seed


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
