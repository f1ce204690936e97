"""From where a translator is to something that translates records: a service, an endpoint, or weights in this process.

Holds no secret: an endpoint's key is read from the environment variable that is named. Nothing heavy is imported until
a connection is made.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from sindbad.clients.openai import OpenAISettings
from sindbad.corpus.address import Identity
from sindbad.corpus.examiners import (
    EndpointJudge,
    Examiner,
    JudgeExaminer,
    QualityExaminer,
    RoundTrip,
    RoundTripSettings,
    SequenceRegressionEstimator,
)
from sindbad.corpus.translators import ByConversation, ByMessage, RecordTranslator
from sindbad.errors import InvalidInput, NotFound, Unavailable
from sindbad.translation.described import model_name
from sindbad.translation.judges import JUDGE_PROMPT
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.settings import TranslatorSettings

if TYPE_CHECKING:
    from sindbad.clients.translator import TranslatorClient
    from sindbad.translation.content import ContentJudge
    from sindbad.translation.translator import Translator


log = logging.getLogger(__name__)
AWAY_SECONDS = 5.0
"""How long a call looks for a translator service before it says that there is none."""


_OURS = frozenset(("model", "messages", "max_tokens", "temperature", "seed", "stream"))


class Connection(BaseModel):
    """Where the translator is: exactly one of service, endpoint and model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: tuple[str, ...] = ()
    """Addresses of translator services; workers take them in turn."""
    endpoint: str = ""
    """An OpenAI-compatible server, up to and including the version (http://127.0.0.1:8000/v1)."""
    endpoint_model: str = ""
    """The model's name there."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the endpoint's key."""
    model: Path | None = None
    """A model folder that every worker loads for itself."""
    settings: TranslatorSettings = TranslatorSettings(style=PromptStyle.INSTRUCT)
    """Prompt, segments and retries; a service has its own."""
    deadline_seconds: float = Field(default=600.0, gt=0.0)
    """Longest one record may take."""
    in_flight: int = Field(default=64, ge=1)
    """Requests at once to an endpoint."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of an endpoint's requests, as its server knows them (chat_template_kwargs); part of the key."""
    content_judge: OpenAISettings | None = None
    """A model that says what of an instruction is content to be left alone; unset: the rules alone. A service has its
    own."""

    def checked(self) -> Connection:
        """Itself. Raises InvalidInput unless it names one translator."""
        named = [bool(self.service), bool(self.endpoint), self.model is not None]
        if sum(named) != 1:
            raise InvalidInput(
                "name one translator: --translator HOST:PORT (a Sindbad service), --endpoint URL (OpenAI-compatible) "
                "or --model DIR"
            )
        if self.endpoint and not self.endpoint_model:
            raise InvalidInput("an endpoint needs the model's name there: --endpoint-model NAME")
        if self.extra and not self.endpoint:
            raise InvalidInput("translator.extra is for an endpoint's requests; nothing else would read it")
        if own := sorted(_OURS & set(self.extra)):
            raise InvalidInput(f"translator.extra cannot set {', '.join(own)}: every request sets that itself")
        if self.service and self.content_judge is not None:
            raise InvalidInput("a translator service has a content_judge of its own: set it in the service's file")
        return self

    def asked(self) -> OpenAISettings:
        """How its endpoint is asked."""
        return OpenAISettings(
            base_url=self.endpoint, model=self.endpoint_model, key_variable=self.key_variable,
            deadline_seconds=self.deadline_seconds, parallel=self.in_flight, extra=self.extra,
        )  # fmt: skip


@asynccontextmanager
async def connected(connection: Connection, identity: Identity) -> AsyncIterator[RecordTranslator]:
    """The translator for as long as the block runs. Raises NotFound, InvalidInput for what cannot be reached at all."""
    direction = {"source": identity.source, "target": identity.target}
    async with texts(connection) as translator:
        yield (
            ByMessage(translator, **direction)
            if identity.unit == "message"
            else ByConversation(translator, **direction)
        )


@asynccontextmanager
async def texts(connection: Connection) -> AsyncIterator[Translator | TranslatorClient]:
    """Whatever translates texts and requests there. Raises as :func:`connected`."""
    connection.checked()
    if connection.service:
        from sindbad.clients.translator import TranslatorClient

        # A worker says that nobody is there, and waits on, so it must hear of it long before a record's deadline.
        async with TranslatorClient(
            connection.service, deadline_seconds=connection.deadline_seconds, patience_seconds=AWAY_SECONDS
        ) as client:
            yield client
    elif connection.endpoint:
        from sindbad.clients.openai import ChatCompletions
        from sindbad.translation.speakers import EndpointSpeaker
        from sindbad.translation.translator import Translator

        async with ChatCompletions(connection.asked()) as endpoint, _judge(connection) as judge:
            try:
                await endpoint.check_there()
            except Unavailable as error:  # a worker waits for it, and says no more before a record's deadline
                log.warning("%s It is waited for.", error.message)
            yield Translator(settings=connection.settings, speaker=EndpointSpeaker(endpoint), judge=judge)
    else:
        async with _judge(connection) as judge, _loaded(connection, judge) as translator:
            yield translator


@asynccontextmanager
async def _judge(connection: Connection) -> AsyncIterator[ContentJudge | None]:
    if connection.content_judge is None:
        yield None
        return
    from sindbad.clients.openai import ChatCompletions
    from sindbad.translation.content import LanguageModelJudge

    async with ChatCompletions(connection.content_judge) as model:
        yield LanguageModelJudge(model)


@asynccontextmanager
async def _loaded(connection: Connection, judge: ContentJudge | None) -> AsyncIterator[Translator]:
    from transformers import AutoTokenizer

    from sindbad.engines.factory import create_engine
    from sindbad.engines.transformers_engine import TransformersEngineSettings
    from sindbad.translation.small_models import prompt_style
    from sindbad.translation.translator import Translator

    folder = connection.model
    if folder is None or not (folder / "config.json").is_file():
        raise NotFound(f"{folder} holds no model")
    style = prompt_style(folder, connection.settings.style)
    engine = create_engine(TransformersEngineSettings())
    await engine.start()
    try:
        await engine.load(folder, 1)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        settings = connection.settings.model_copy(update={"style": style})
        yield Translator(engine, tokenizer, settings, judge=judge)
    finally:
        await engine.close()


class RoundTripConfig(BaseModel):
    """Who translates back, and what the way back must resemble."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    translator: Connection
    """A translator of the opposite direction."""
    settings: RoundTripSettings = RoundTripSettings()
    """The threshold."""
    revision: str = ""
    """Names what translates back where it cannot itself (a service that is older than ``Describe``; it isn't asked
    then), or beside what it says: change it when the model behind an endpoint's name changes."""


class JudgeConfig(BaseModel):
    """A language model behind an OpenAI-compatible endpoint as bilingual judge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: OpenAISettings
    """Where it is."""

    @property
    def name(self) -> str:
        """What decides its verdicts: the model, its prompt, and how it is asked."""
        return f"judge:{model_name(self.endpoint, JUDGE_PROMPT)}"


class QualityConfig(BaseModel):
    """A quality estimator in the Hugging Face format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path
    """Folder of a sequence-regression model."""
    licence: str
    """Of its weights, from their card."""
    minimum: float
    """Least score; what that means is the model's."""
    any_licence: bool = False
    """Use it although its licence is not a permissive one."""


class Examination(BaseModel):
    """What models are asked about translations that the rules keep; all off by default, asked in this order.

    What decides their verdicts is named by :func:`sindbad.corpus.identify.examiner_names`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quality: QualityConfig | None = None
    """The cheapest first."""
    round_trip: RoundTripConfig | None = None
    """A translation back."""
    judge: JudgeConfig | None = None
    """One verdict; what can't be parsed is a rejection."""


@asynccontextmanager
async def examiners(asked: Examination, identity: Identity) -> AsyncIterator[tuple[Examiner, ...]]:
    """The examiners for as long as the block runs, cheapest first. Raises as :func:`connected`."""
    async with AsyncExitStack() as stack:
        found: list[Examiner] = []
        if asked.quality is not None:
            chosen = asked.quality
            estimator = SequenceRegressionEstimator(chosen.model, chosen.licence)
            found.append(QualityExaminer(estimator, chosen.minimum, any_licence=chosen.any_licence))
        if asked.round_trip is not None:
            back = await stack.enter_async_context(texts(asked.round_trip.translator))
            found.append(RoundTrip(back, asked.round_trip.settings))
        if asked.judge is not None:
            from sindbad.clients.openai import ChatCompletions

            model = await stack.enter_async_context(ChatCompletions(asked.judge.endpoint))
            judge = EndpointJudge(model, source=identity.source, target=identity.target)
            found.append(JudgeExaminer(judge, asked.judge.name))
        yield tuple(found)
