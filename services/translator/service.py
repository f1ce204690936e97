"""The translator service: documents and conversations through one model, the structure contract kept.

The model is its own (an engine, weights by ModelControl), the policy service's, or one behind an OpenAI-compatible
endpoint. Without a model it is live and NOT_SERVING, and answers FAILED_PRECONDITION/NO_MODEL. A text whose structure
could not be kept is an entry with problems, never a status. Cancelling a call cancels its generations.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily
from pydantic import Field, model_validator

from services.runtime import RuntimeSettings, ServiceContext
from services.runtime.model_control import ModelSettings, serve_model
from sindbad.clients.openai import ChatCompletions, OpenAISettings
from sindbad.clients.policy import PolicyClient
from sindbad.clients.translation_messages import description_message, outcome_message, pair_message, requests_of
from sindbad.engines.factory import EngineSettings, create_engine
from sindbad.engines.protocol import Engine
from sindbad.engines.transformers_engine import TransformersEngineSettings
from sindbad.errors import InvalidInput, NoModel
from sindbad.translation.content import ContentJudge, LanguageModelJudge
from sindbad.translation.described import Weights, describe, weights_of
from sindbad.translation.glossary import Glossary
from sindbad.translation.prompts import language_name
from sindbad.translation.protocol import SegmentPair, Translation, TranslationRequest
from sindbad.translation.small_models import prompt_style
from sindbad.translation.speakers import EndpointSpeaker, EngineSpeaker, Speaker
from sindbad.translation.translator import Translator, TranslatorSettings, all_or_first_error
from sindbad.v1 import common_pb2, translator_pb2, translator_pb2_grpc

SERVICE_NAME = "sindbad.v1.Translator"


class TranslatorServiceSettings(RuntimeSettings):
    """Settings of the translator service."""

    model: ModelSettings = ModelSettings()
    """Where the weights come from."""
    engine: EngineSettings = TransformersEngineSettings()
    """Which engine runs them, and its sizes."""
    translator: TranslatorSettings = TranslatorSettings()
    """Prompt, segmentation, retries, cache."""
    directions: tuple[str, ...] = ("en-ar",)
    """Language pairs this model has; others are INVALID_ARGUMENT."""
    max_texts: int = Field(default=1024, ge=1)
    """Most texts a request."""
    max_characters: int = Field(default=100_000, ge=1)
    """Longest text; for a conversation, of all its turns together."""
    max_turns: int = Field(default=256, ge=1)
    """Most turns of a conversation."""
    endpoint: OpenAISettings | None = None
    """Translate with a model behind an OpenAI-compatible endpoint; no engine is started. Set translator.style:
    instruct."""
    policy: tuple[str, ...] = ()
    """Translate with the policy service at these addresses; no engine is started."""
    policy_tokenizer: Path | None = None
    """The model folder whose tokenizer the policy service's model has."""
    content_judge: OpenAISettings | None = None
    """A model that says what of an instruction is content to be left alone; unset: the rules alone."""

    @model_validator(mode="after")
    def _one_model(self) -> TranslatorServiceSettings:
        if self.endpoint is not None and self.policy:
            raise ValueError("give `endpoint` or `policy`, not both: one of them would win by chance")
        if bool(self.policy) != (self.policy_tokenizer is not None):
            raise ValueError("`policy` and `policy_tokenizer` belong together: set both or neither")
        return self

    @property
    def remote(self) -> bool:
        """The model is somebody else's."""
        return self.endpoint is not None or bool(self.policy)


class TranslatorServicer(translator_pb2_grpc.TranslatorServicer):
    """Translator over one model at a time."""

    def __init__(self, settings: TranslatorServiceSettings, judge: ContentJudge | None = None) -> None:
        self._settings, self._judge = settings, judge
        self._translator: Translator | None = None
        self._weights = Weights()
        self.outcomes: Counter[str] = Counter()

    def use_speaker(self, speaker: Speaker) -> None:
        """Translate with a model that lives elsewhere."""
        self._translator = Translator(settings=self._settings.translator, speaker=speaker, judge=self._judge)

    async def load(self, engine: Engine, model_dir: Path, version: int) -> None:
        """Put a model to work: its weights and its tokenizer together. Requests under way keep their translator."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(model_dir), local_files_only=True)
        style = prompt_style(model_dir, self._settings.translator.style)
        settings = self._settings.translator.model_copy(update={"style": style})
        translator = Translator(engine, tokenizer, settings, revision=str(version), judge=self._judge)
        weights = await asyncio.to_thread(weights_of, model_dir, version)
        await engine.load(model_dir, version)
        self._translator, self._weights = translator, weights

    async def Translate(
        self, request: translator_pb2.TranslateRequest, context: Any
    ) -> translator_pb2.TranslateResponse:
        """See translator.proto."""
        glossary = self._check(request)
        outcomes = await self._ready().translate(
            list(request.texts),
            source=request.source_language,
            target=request.target_language,
            glossary=glossary,
            temperature=request.temperature if request.HasField("temperature") else 0.0,
            seed=request.seed if request.HasField("seed") else 0,
        )
        self._count(outcomes)
        return _reply(outcomes)

    async def TranslateItems(
        self, request: translator_pb2.TranslateItemsRequest, context: Any
    ) -> translator_pb2.TranslateItemsResponse:
        """See translator.proto."""
        requests = self._items(request)
        translator = self._ready()
        outcomes = await all_or_first_error(translator.translate_request(item) for item in requests)
        self._count(outcomes)
        usage = common_pb2.TokenUsage(
            prompt_tokens=sum(outcome.prompt_tokens for outcome in outcomes),
            completion_tokens=sum(outcome.output_tokens for outcome in outcomes),
        )
        return translator_pb2.TranslateItemsResponse(items=map(outcome_message, outcomes), usage=usage)

    async def StreamItems(
        self, request: translator_pb2.StreamItemsRequest, context: Any
    ) -> AsyncIterator[translator_pb2.StreamItemsResponse]:
        """See translator.proto."""
        requests = self._items(request.request)
        async with aclosing(_events(self._ready(), requests)) as events:
            async for index, event in events:
                if isinstance(event, SegmentPair):
                    yield translator_pb2.StreamItemsResponse(item=index, segment=pair_message(event))
                else:
                    self._count([event])
                    yield translator_pb2.StreamItemsResponse(item=index, outcome=outcome_message(event))

    async def Describe(
        self, request: translator_pb2.TranslatorDescribeRequest, context: Any
    ) -> translator_pb2.TranslatorDescribeResponse:
        """See translator.proto."""
        source, target = request.source_language, request.target_language
        self._check_languages(source, target)
        chosen = self._settings
        found = describe(
            self._ready().settings, source=source, target=target, endpoint=chosen.endpoint, judge=chosen.content_judge,
            weights=self._weights,
        )  # fmt: skip
        return description_message(found)

    def _ready(self) -> Translator:
        if self._translator is None:
            raise NoModel("the translator holds no model; load one through ModelControl or set model.directory")
        return self._translator

    def _count(self, outcomes: Sequence[Translation]) -> None:
        self.outcomes.update(outcome.reason.split(":")[0] or "accepted" for outcome in outcomes)

    def _items(self, request: translator_pb2.TranslateItemsRequest) -> list[TranslationRequest]:
        """The requests. Raises InvalidInput, naming the field, for what will stay wrong."""
        limits = self._settings
        if not 0 < len(request.items) <= limits.max_texts:
            raise InvalidInput(
                f"send 1 to {limits.max_texts} items, not {len(request.items)}", metadata={"field": "items"}
            )
        self._check_direction(request)
        for number, item in enumerate(request.items):
            if not 0 < len(item.turns) <= limits.max_turns:
                raise InvalidInput(
                    f"item {number} has {len(item.turns)} turns; send 1 to {limits.max_turns}",
                    metadata={"field": f"items[{number}].turns"},
                )
            if sum(len(turn.content) for turn in item.turns) > limits.max_characters:
                raise InvalidInput(
                    f"item {number} has more than {limits.max_characters} characters",
                    metadata={"field": f"items[{number}].turns"},
                )
        return requests_of(request)

    def _check(self, request: translator_pb2.TranslateRequest) -> Glossary:
        """Raise InvalidInput for what will stay wrong; return the glossary."""
        limits = self._settings
        if not 0 < len(request.texts) <= limits.max_texts:
            raise InvalidInput(
                f"send 1 to {limits.max_texts} texts, not {len(request.texts)}", metadata={"field": "texts"}
            )
        if max(map(len, request.texts)) > limits.max_characters:
            raise InvalidInput(f"a text has at most {limits.max_characters} characters", metadata={"field": "texts"})
        self._check_direction(request)
        return Glossary((entry.source, entry.target) for entry in request.glossary)

    def _check_languages(self, source: str, target: str) -> None:
        for name in (source, target):
            language_name(name)
        direction, known = f"{source}-{target}", self._settings.directions
        if direction not in known:
            raise InvalidInput(f"this model translates {', '.join(known)}, not {direction}")

    def _check_direction(self, request: translator_pb2.TranslateRequest | translator_pb2.TranslateItemsRequest) -> None:
        self._check_languages(request.source_language, request.target_language)
        if request.HasField("temperature") and not 0.0 <= request.temperature <= 2.0:
            raise InvalidInput("temperature lies between 0 and 2", metadata={"field": "temperature"})


async def _events(
    translator: Translator, requests: Sequence[TranslationRequest]
) -> AsyncGenerator[tuple[int, SegmentPair | Translation], None]:
    """What is settled, as it comes. Closing it cancels what is still under way and waits for it."""
    # Bounded by what was asked for: an item has no more segments than characters, and those are limited.
    queue: asyncio.Queue[tuple[int, SegmentPair | Translation] | None] = asyncio.Queue()

    async def one(index: int, request: TranslationRequest) -> None:
        outcome = await translator.translate_request(request, lambda pair: queue.put_nowait((index, pair)))
        queue.put_nowait((index, outcome))

    async def everything() -> None:
        try:
            await all_or_first_error(one(index, request) for index, request in enumerate(requests))
        finally:
            queue.put_nowait(None)

    work = asyncio.create_task(everything())
    try:
        while (event := await queue.get()) is not None:
            yield event
        await work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def _reply(outcomes: Sequence[Translation]) -> translator_pb2.TranslateResponse:
    return translator_pb2.TranslateResponse(
        translations=[_message(outcome) for outcome in outcomes],
        usage=common_pb2.TokenUsage(
            prompt_tokens=sum(outcome.prompt_tokens for outcome in outcomes),
            completion_tokens=sum(outcome.output_tokens for outcome in outcomes),
        ),
        weight_version=max(0, *(outcome.model_version for outcome in outcomes)),
    )


def _message(outcome: Translation) -> translator_pb2.Translation:
    return translator_pb2.Translation(
        text=outcome.text,
        structure_kept=outcome.accepted,
        problems=[outcome.reason] if outcome.reason else [],
        mean_logprob=outcome.mean_logprob,
        segments=outcome.segments,
        attempts=outcome.attempts,
        usage=common_pb2.TokenUsage(prompt_tokens=outcome.prompt_tokens, completion_tokens=outcome.output_tokens),
        weight_version=outcome.model_version if outcome.model_version >= 0 else None,
    )


class OutcomeCollector:
    """Prometheus: texts by outcome ("accepted", "span_lost", …)."""

    def __init__(self, servicer: TranslatorServicer) -> None:
        self._servicer = servicer

    def collect(self) -> Iterable[Any]:
        """What prometheus_client calls at every scrape."""
        family = CounterMetricFamily("sindbad_translator_texts", "Texts by outcome.", labels=["outcome"])
        for outcome, count in self._servicer.outcomes.items():
            family.add_metric([outcome], count)
        yield family


async def build(settings: TranslatorServiceSettings, context: ServiceContext) -> None:
    """Wire the service; without a model it is live and NOT_SERVING."""
    servicer = TranslatorServicer(settings, _judge(settings, context))
    context.add_servicer(translator_pb2_grpc.add_TranslatorServicer_to_server, servicer, service_name=SERVICE_NAME)
    context.metrics.register(OutcomeCollector(servicer))
    if settings.remote:
        servicer.use_speaker(_remote_speaker(settings, context))
        context.set_serving(SERVICE_NAME, True)
        return
    engine = create_engine(settings.engine)
    await engine.start()
    context.on_shutdown(engine.close)

    async def load(model_dir: Path, version: int) -> None:
        await servicer.load(engine, model_dir, version)

    await serve_model(context, settings.model, load, [SERVICE_NAME])


def _judge(settings: TranslatorServiceSettings, context: ServiceContext) -> ContentJudge | None:
    if settings.content_judge is None:
        return None
    model = ChatCompletions(settings.content_judge)
    context.on_shutdown(model.close)
    return LanguageModelJudge(model)


def _remote_speaker(settings: TranslatorServiceSettings, context: ServiceContext) -> Speaker:
    if settings.endpoint is not None:
        endpoint = ChatCompletions(settings.endpoint)
        context.on_shutdown(endpoint.close)
        return EndpointSpeaker(endpoint)
    from transformers import AutoTokenizer

    client = PolicyClient(settings.policy, channel=settings.outgoing.channel())
    context.on_shutdown(client.close)
    return EngineSpeaker(client, AutoTokenizer.from_pretrained(str(settings.policy_tokenizer), local_files_only=True))
