"""The translator service: batches of documents through one model, the structure contract kept.

Without a model it is live and NOT_SERVING, and answers FAILED_PRECONDITION/NO_MODEL. A text whose structure could not
be kept is an entry with problems, never a status. Cancelling a call cancels its generations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily
from pydantic import Field

from services.runtime import RuntimeSettings, ServiceContext
from services.runtime.model_control import ModelSettings, serve_model
from sindbad.engines.factory import EngineSettings, create_engine
from sindbad.engines.protocol import Engine
from sindbad.engines.transformers_engine import TransformersEngineSettings
from sindbad.errors import InvalidInput, NoModel
from sindbad.translation.glossary import Glossary
from sindbad.translation.prompts import language_name
from sindbad.translation.protocol import Translation
from sindbad.translation.small_models import prompt_style
from sindbad.translation.translator import Translator, TranslatorSettings
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
    """Longest text."""


class TranslatorServicer(translator_pb2_grpc.TranslatorServicer):
    """Translator over an engine; the tokenizer comes with each model."""

    def __init__(self, engine: Engine, settings: TranslatorServiceSettings) -> None:
        self._engine, self._settings = engine, settings
        self._translator: Translator | None = None
        self.outcomes: Counter[str] = Counter()

    async def load(self, model_dir: Path, version: int) -> None:
        """Put a model to work: its weights and its tokenizer together. Requests under way keep their translator."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(model_dir), local_files_only=True)
        style = prompt_style(model_dir, self._settings.translator.style)
        settings = self._settings.translator.model_copy(update={"style": style})
        translator = Translator(self._engine, tokenizer, settings, revision=str(version))
        await self._engine.load(model_dir, version)
        self._translator = translator

    async def Translate(
        self, request: translator_pb2.TranslateRequest, context: Any
    ) -> translator_pb2.TranslateResponse:
        """See translator.proto."""
        glossary = self._check(request)
        if self._translator is None:
            raise NoModel("the translator holds no model; load one through ModelControl or set model.directory")
        outcomes = await self._translator.translate(
            list(request.texts),
            source=request.source_language,
            target=request.target_language,
            glossary=glossary,
            temperature=request.temperature if request.HasField("temperature") else 0.0,
            seed=request.seed if request.HasField("seed") else 0,
        )
        self.outcomes.update(outcome.reason.split(":")[0] or "accepted" for outcome in outcomes)
        return _reply(outcomes)

    def _check(self, request: translator_pb2.TranslateRequest) -> Glossary:
        """Raise InvalidInput for what will stay wrong; return the glossary."""
        limits = self._settings
        if not 0 < len(request.texts) <= limits.max_texts:
            raise InvalidInput(
                f"send 1 to {limits.max_texts} texts, not {len(request.texts)}", metadata={"field": "texts"}
            )
        if max(map(len, request.texts)) > limits.max_characters:
            raise InvalidInput(f"a text has at most {limits.max_characters} characters", metadata={"field": "texts"})
        for name in (request.source_language, request.target_language):
            language_name(name)
        direction = f"{request.source_language}-{request.target_language}"
        if direction not in limits.directions:
            raise InvalidInput(f"this model translates {', '.join(limits.directions)}, not {direction}")
        if request.HasField("temperature") and not 0.0 <= request.temperature <= 2.0:
            raise InvalidInput("temperature lies between 0 and 2", metadata={"field": "temperature"})
        return Glossary((entry.source, entry.target) for entry in request.glossary)


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
    engine = create_engine(settings.engine)
    await engine.start()
    context.on_shutdown(engine.close)
    servicer = TranslatorServicer(engine, settings)
    context.add_servicer(translator_pb2_grpc.add_TranslatorServicer_to_server, servicer, service_name=SERVICE_NAME)
    context.metrics.register(OutcomeCollector(servicer))
    await serve_model(context, settings.model, servicer.load, [SERVICE_NAME])
