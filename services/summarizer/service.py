"""The summarizer service: three writers behind one call, rules in front of whatever a model can't do.

``rules`` needs nothing. ``policy`` asks the policy service with the policy's own tokenizer. ``model`` is an engine in
this process whose weights come from a store or through ModelControl. Asked for a model that is not there, the service
answers FAILED_PRECONDITION/NO_MODEL; a model whose *output* is unusable is replaced by the rules, which the reply says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from services.runtime import RuntimeSettings, ServiceContext
from services.runtime.model_control import ModelSettings, serve_model
from services.runtime.readiness import serve_once
from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import Sampling
from sindbad.agent.extract import RuleSummarizer
from sindbad.agent.policy_tokenizer import TokenizerSource
from sindbad.agent.prompts import load_prompts
from sindbad.agent.summarize import ConversationTurn, Role, Summarizer, Summary, Writer
from sindbad.agent.summary_models import FallbackSummarizer, LanguageModelSummarizer
from sindbad.clients import PolicyClient
from sindbad.engines.factory import EngineSettings, create_engine
from sindbad.engines.protocol import Engine, Generator
from sindbad.errors import InvalidInput, NoModel
from sindbad.languages.detect import detect_language
from sindbad.v1 import common_pb2, summarizer_pb2, summarizer_pb2_grpc

SERVICE_NAME = "sindbad.v1.Summarizer"
ROLES = {
    summarizer_pb2.TURN_ROLE_ASSISTANT: Role.ASSISTANT,
    summarizer_pb2.TURN_ROLE_TOOL: Role.TOOL,
}
WRITERS = {
    summarizer_pb2.SUMMARY_WRITER_MODEL: Writer.MODEL,
    summarizer_pb2.SUMMARY_WRITER_POLICY: Writer.POLICY,
    summarizer_pb2.SUMMARY_WRITER_RULES: Writer.RULES,
}
NUMBER_OF = {writer: number for number, writer in WRITERS.items()}


class SummarizerSettings(RuntimeSettings):
    """Settings of the summarizer service."""

    writer: Writer = Writer.RULES
    """Who writes when the request does not say."""
    policy: tuple[str, ...] = ()
    """Addresses of the policy service; empty means that the policy can't be asked to summarise."""
    policy_tokenizer: Path | None = None
    """The policy's model folder or weight store; needed with `policy`."""
    engine: EngineSettings | None = None
    """The engine of a model of its own; unset means there is none."""
    model: ModelSettings = ModelSettings()
    """Where the weights of that model come from."""
    prompts: str = "demo"
    """Prompt set by name, or a YAML file."""
    context_limit: int = Field(default=32 * 1024, ge=64)
    """Longest summary prompt plus summary in tokens; the oldest observations are left out first."""
    max_tokens: int = Field(default=4096, ge=1)
    """Longest summary in tokens."""
    attempts: int = Field(default=3, ge=1)
    """How often a model is asked before its output counts as unusable."""
    sampling: Sampling = Sampling(temperature=0.6, top_p=0.95)
    """How models sample summaries (ReSum's code)."""
    summary_seconds: float = Field(default=360.0, gt=0)
    """Longest one summary may take."""

    @model_validator(mode="after")
    def _default_writer_exists(self) -> SummarizerSettings:
        if self.policy and self.policy_tokenizer is None:
            raise ValueError("`policy` needs `policy_tokenizer`: the prompts are rendered with the policy's tokenizer")
        if self.writer is Writer.POLICY and not self.policy:
            raise ValueError("writer is `policy`, but no `policy` address is given")
        if self.writer is Writer.MODEL and self.engine is None:
            raise ValueError("writer is `model`, but no `engine` is given")
        return self


class Writers:
    """Finds the summariser that a request asks for."""

    def __init__(
        self,
        settings: SummarizerSettings,
        *,
        policy: Generator | None = None,
        tokenizer: TokenizerSource | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._settings, self._policy, self._tokenizer, self._engine = settings, policy, tokenizer, engine
        self.own_chat: ChatTokenizer | None = None

    def find(self, writer: Writer, max_tokens: int) -> Summarizer:
        """Raises NoModel when a model is asked for and none is there; FAILED_PRECONDITION on the wire."""
        if writer is Writer.RULES:
            return RuleSummarizer()
        return FallbackSummarizer(self._language_model(writer, max_tokens), RuleSummarizer())

    def _language_model(self, writer: Writer, max_tokens: int) -> LanguageModelSummarizer:
        settings = self._settings
        generator, chat = self._own() if writer is Writer.MODEL else self._policys()
        return LanguageModelSummarizer(
            generator,
            chat,
            writer,
            context_limit=settings.context_limit,
            max_tokens=min(max_tokens or settings.max_tokens, settings.max_tokens),
            attempts=settings.attempts,
            sampling=settings.sampling,
        )

    def _own(self) -> tuple[Generator, ChatTokenizer]:
        if self._engine is None or self._engine.version is None or self.own_chat is None:
            raise NoModel("This summarizer has no model of its own; ask for the rules or load one.")
        return self._engine, self.own_chat

    def _policys(self) -> tuple[Generator, ChatTokenizer]:
        if self._policy is None or self._tokenizer is None:
            raise NoModel("This summarizer knows no policy service; ask for the rules or set `policy`.")
        return self._policy, self._tokenizer.get()


class SummarizerServicer(summarizer_pb2_grpc.SummarizerServicer):
    """Summarizer over its writers."""

    def __init__(self, settings: SummarizerSettings, writers: Writers) -> None:
        self._settings, self._writers = settings, writers

    async def Summarize(
        self, request: summarizer_pb2.SummarizeRequest, context: Any
    ) -> summarizer_pb2.SummarizeResponse:
        """See summarizer.proto."""
        conversation = read_turns(request)
        remaining = context.time_remaining()
        limit = self._settings.summary_seconds
        summarizer = self._writers.find(self._writer_of(request), request.max_tokens)
        summary = await summarizer.summarize(
            request.question,
            conversation,
            last_summary=request.last_summary,
            language=request.language or detect_language(request.question),
            deadline_seconds=limit if remaining is None else max(0.001, min(limit, remaining)),
        )
        return to_message(summary)

    def _writer_of(self, request: summarizer_pb2.SummarizeRequest) -> Writer:
        if request.writer == summarizer_pb2.SUMMARY_WRITER_UNSPECIFIED:
            return self._settings.writer
        if request.writer not in WRITERS:
            raise InvalidInput(f"there is no summary writer {request.writer}", metadata={"field": "writer"})
        return WRITERS[request.writer]


def read_turns(request: summarizer_pb2.SummarizeRequest) -> list[ConversationTurn]:
    """The request's conversation. Raises InvalidInput for an empty question or a turn by nobody."""
    if not request.question.strip():
        raise InvalidInput("question is empty; send the user's question", metadata={"field": "question"})
    for number, turn in enumerate(request.turns):
        if turn.role not in ROLES:
            raise InvalidInput(f"turn {number} is by neither assistant nor tool", metadata={"field": "turns"})
    return [ConversationTurn(ROLES[turn.role], turn.text) for turn in request.turns]


def to_message(summary: Summary) -> summarizer_pb2.SummarizeResponse:
    """A summary on the wire."""
    return summarizer_pb2.SummarizeResponse(
        summary=summary.text,
        wrote_by=NUMBER_OF[summary.by],
        fallback_reason=summary.fallback_reason,
        usage=common_pb2.TokenUsage(prompt_tokens=summary.prompt_tokens, completion_tokens=summary.completion_tokens),
        weight_version=summary.weight_version,
    )


async def build(settings: SummarizerSettings, context: ServiceContext) -> None:
    """Wire the service. It is NOT_SERVING only while the writer that answers by default has no model yet."""
    prompts = load_prompts(settings.prompts)
    channel = settings.outgoing.channel()
    policy = PolicyClient(list(settings.policy), channel=channel) if settings.policy else None
    if policy is not None:
        context.on_shutdown(policy.close)
    tokenizer = TokenizerSource(settings.policy_tokenizer, prompts) if settings.policy_tokenizer else None
    engine = create_engine(settings.engine) if settings.engine is not None else None
    writers = Writers(settings, policy=policy, tokenizer=tokenizer, engine=engine)
    servicer = SummarizerServicer(settings, writers)
    context.add_servicer(summarizer_pb2_grpc.add_SummarizerServicer_to_server, servicer, service_name=SERVICE_NAME)
    if settings.writer is not Writer.MODEL:
        needs_tokenizer = tokenizer if settings.writer is Writer.POLICY else None
        serve_once(context, SERVICE_NAME, needs_tokenizer.ready if needs_tokenizer else lambda: True)
    if engine is None:
        return
    own: Engine = engine
    await own.start()
    context.on_shutdown(own.close)

    async def load(model_dir: Path, version: int) -> None:
        chat = ChatTokenizer.from_dir(model_dir, prompts)
        await own.load(model_dir, version)
        writers.own_chat = chat

    await serve_model(context, settings.model, load, [SERVICE_NAME] if settings.writer is Writer.MODEL else [])
