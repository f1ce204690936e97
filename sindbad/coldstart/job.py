"""A cold-start run as one configuration: teacher, tools, student, judge, settings; and how its parts are put together.

Offline (an index in this process, the oracle, the rule judge) it needs no service and no model. Everything else is
reached through the clients.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sindbad.agent.config import AgentConfig, Paradigm, Sampling
from sindbad.agent.summarize import Writer
from sindbad.clients.openai import OpenAISettings
from sindbad.coldstart.configuration import ColdStartSettings, ThoughtWriterKind
from sindbad.coldstart.dataset import digest_of_path
from sindbad.coldstart.make import Workshop
from sindbad.coldstart.teachers import AgentTeacher, ForeignPolicy, OracleTeacher, Teacher
from sindbad.coldstart.thoughts import make_writer
from sindbad.errors import InvalidInput
from sindbad.questions.question import Question

GLOSSARY = "glossary.jsonl"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OracleSettings(_Part):
    """The noisy graph oracle: no model."""

    kind: Literal["oracle"] = "oracle"
    """Which teacher this is."""
    worlds: Path | None = None
    """Folder of a synthetic encyclopedia (facts.jsonl, glossary.jsonl): where the oracle's names come from."""
    graph: Path | None = None
    """A stored graph, instead."""
    wrong_read: float = Field(default=0.02, ge=0, le=1)
    """How often it reads the wrong sentence."""
    skip_verification: float = Field(default=0.4, ge=0, le=1)
    """How often it trusts the first candidate."""
    give_up: float = Field(default=0.2, ge=0, le=1)
    """How often it quits after a tool error."""

    @model_validator(mode="after")
    def _names_come_from_somewhere(self) -> OracleSettings:
        if (self.worlds is None) == (self.graph is None):
            raise ValueError("the oracle's names come from `worlds` or from `graph`: give one")
        return self


class PolicySettings(_Part):
    """A policy service (gRPC)."""

    kind: Literal["policy"] = "policy"
    """Which teacher this is."""
    addresses: tuple[str, ...] = Field(min_length=1)
    """Its replicas."""
    tokenizer: Path | None = None
    """Its model folder, where its tokenizer is not the student's: then its words are written anew in our ids."""
    max_tokens: int = Field(default=4096, ge=1)
    """Of a turn, in its own tokens (with a tokenizer of its own)."""


class EndpointSettings(_Part):
    """Any OpenAI-compatible endpoint: text in, text out, written anew in our ids."""

    kind: Literal["endpoint"] = "endpoint"
    """Which teacher this is."""
    endpoint: OpenAISettings
    """Where it is and how it is asked."""
    max_tokens: int = Field(default=4096, ge=1)
    """Of a turn, in its own tokens, its thinking included."""
    native_tools: bool = False
    """Offer the tools through the API as well."""


TeacherSettings = Annotated[OracleSettings | PolicySettings | EndpointSettings, Field(discriminator="kind")]


class ToolsSettings(_Part):
    """Where tool calls go: an index in this process, or a search service."""

    index: Path | None = None
    """Folder of an index: a simulated environment without a service."""
    search: tuple[str, ...] = ()
    """Addresses of the search service, instead."""
    sandbox: tuple[str, ...] = ()
    """Addresses of the sandbox, for the python tool."""
    environment: Literal["simulated", "replay", "live"] = "simulated"
    """Which environment of the search service."""
    tools: tuple[str, ...] = ("search", "visit")
    """On offer."""
    style: Literal["compact", "full"] = "full"
    """How results are shown."""
    top_k: int = Field(default=10, ge=1)
    """Results a query."""
    fault_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of calls that fail, in an index of this process."""

    @model_validator(mode="after")
    def _somewhere(self) -> ToolsSettings:
        if (self.index is None) == (not self.search):
            raise ValueError("tool calls go to an `index` or to a `search` service: give one")
        return self


class ColdStartJob(_Part):
    """What `sindbad coldstart make` does."""

    name: str = "cold-start"
    """The run's name, for the card."""
    questions: Path
    """Training questions (JSONL of Question records)."""
    tests: tuple[Path, ...] = ()
    """Test questions, held against them: any question set that `sindbad evaluate` reads, BrowseComp's CSV too."""
    language: str = ""
    """Only questions in this language; empty takes all."""
    most_questions: int | None = Field(default=None, ge=1)
    """At most so many, the first ones."""
    student: Path
    """Model folder whose tokenizer the set is made for."""
    prompts: str = "full"
    """Prompt set, by name or file."""
    teacher: TeacherSettings
    """Who writes the attempts."""
    tools: ToolsSettings
    """Where calls go."""
    agent: AgentConfig = AgentConfig()
    """Paradigm and limits; `resum` with a small context_limit makes restarts, and so summaries."""
    summaries: Literal["rules", "teacher", "service"] = "rules"
    """Who writes them: the rules, the teacher itself (ReSum's way to ReSumTool's data), or a summarizer service."""
    summarizer: tuple[str, ...] = ()
    """Addresses of the summarizer service."""
    summary_context: int = Field(default=32 * 1024, ge=64)
    """A summarising teacher's prompt and reply together, in our tokens; the oldest observations are left out first."""
    summary_tokens: int = Field(default=4096, ge=1)
    """Its longest summary."""
    judge: tuple[str, ...] = ()
    """Addresses of the judge service; none judges by normalised exact match."""
    settings: ColdStartSettings = ColdStartSettings()
    """Attempts, filters, thoughts, de-contamination."""

    @model_validator(mode="after")
    def _roles_are_played(self) -> ColdStartJob:
        oracle = isinstance(self.teacher, OracleSettings)
        if oracle and self.summaries == "teacher":
            raise ValueError("the oracle writes no summaries; choose rules or service")
        if oracle and self.settings.thoughts.writer is ThoughtWriterKind.MODEL:
            raise ValueError("the oracle is no model to write thoughts; choose keep or template")
        if (self.summaries == "service") != bool(self.summarizer):
            raise ValueError("`summaries: service` and addresses under `summarizer` go together")
        return self

    def lineage_files(self) -> dict[str, Path]:
        """What was read, by role, for the lineage."""
        found = {"questions": self.questions}
        found |= {f"tests_{number}": path for number, path in enumerate(self.tests)}
        if isinstance(self.teacher, OracleSettings):
            found["graph"] = self.teacher.graph or self.teacher.worlds or self.questions
        return found


def selected(job: ColdStartJob, questions: Sequence[Question]) -> list[Question]:
    """Those that the job asks for, in order."""
    chosen = [question for question in questions if not job.language or question.language == job.language]
    return chosen[: job.most_questions]


@asynccontextmanager
async def workshop(job: ColdStartJob, progress: Any = None) -> AsyncIterator[Workshop]:
    """The job's parts, closed at the end. Raises NotFound, InvalidInput, and what the clients raise."""
    from sindbad.agent.chat import ChatTokenizer
    from sindbad.agent.prompts import load_prompts

    chat = ChatTokenizer.from_dir(job.student, load_prompts(job.prompts))
    async with AsyncExitStack() as stack:
        environment = await _environment(job.tools, job.name, stack)
        generator, about = await _generator(job.teacher, chat, environment.tools, stack)
        summarizer = await _summarizer(job, generator, chat, stack)
        if isinstance(job.teacher, OracleSettings):
            teacher: Teacher = _oracle(job, job.teacher, environment, chat, summarizer)
        else:
            teacher = await _agent_teacher(job, generator, about, environment, chat, summarizer, stack)
        writer = make_writer(job.settings.thoughts, generator, chat)
        shop = Workshop(
            teacher, writer, teacher.name, chat, job.agent, environment.tools, job.settings,
            **({"progress": progress} if progress else {}),
        )  # fmt: skip
        yield shop


async def _environment(settings: ToolsSettings, run: str, stack: AsyncExitStack) -> Any:
    from sindbad.tools.render import Style

    if settings.index is not None:
        from sindbad.tools.simulated import simulated_environment
        from sindbad.tools.toolbox import ToolboxSettings

        toolbox = ToolboxSettings(style=Style(settings.style), top_k=settings.top_k, tools=settings.tools)
        environment = simulated_environment(settings.index, toolbox, fault_rate=settings.fault_rate)
        stack.push_async_callback(environment.close)
        return environment
    from sindbad.agent.trajectory import EnvironmentKind
    from sindbad.clients import ToolClient
    from sindbad.tools.environment import Caller

    return await stack.enter_async_context(
        ToolClient(
            settings.search,
            kind=EnvironmentKind(settings.environment),
            tools=settings.tools,
            sandbox=settings.sandbox or None,
            style=Style(settings.style),
            top_k=settings.top_k,
            caller=Caller(run),
        )
    )


async def _generator(settings: Any, chat: Any, tools: Any, stack: AsyncExitStack) -> tuple[Any, Mapping[str, str]]:
    """(generator in our ids or None, what identifies it)."""
    if isinstance(settings, EndpointSettings):
        from sindbad.engines.chat_endpoint import ChatEndpoint

        native = tools if settings.native_tools else ()
        made = ChatEndpoint(settings.endpoint, chat, max_tokens=settings.max_tokens, native_tools=native)
        asked = settings.endpoint.model_dump_json(exclude={"key_variable", "parallel", "deadline_seconds"})
        return await stack.enter_async_context(made), {"endpoint": asked}
    if isinstance(settings, PolicySettings):
        from sindbad.agent.chat import ChatTokenizer
        from sindbad.clients import PolicyClient

        client = await stack.enter_async_context(PolicyClient(settings.addresses))
        info = await client.info()
        about = {"engine": info.engine, "tokenizer": info.tokenizer_sha256, "version": str(info.version)}
        if settings.tokenizer is None:
            return client, about
        theirs = ChatTokenizer.from_dir(settings.tokenizer, chat.prompts)
        return ForeignPolicy(client, theirs, chat, settings.max_tokens), about
    return None, {}


async def _summarizer(job: ColdStartJob, generator: Any, chat: Any, stack: AsyncExitStack) -> Any:
    from sindbad.agent.extract import RuleSummarizer
    from sindbad.agent.summary_models import FallbackSummarizer, LanguageModelSummarizer

    if job.agent.paradigm is not Paradigm.RESUM:
        return None
    if job.summaries == "service":
        from sindbad.clients import SummarizerClient

        return await stack.enter_async_context(SummarizerClient(job.summarizer))
    if job.summaries == "rules":
        return RuleSummarizer()
    own = LanguageModelSummarizer(
        generator, chat, Writer.MODEL,
        context_limit=job.summary_context, max_tokens=job.summary_tokens,
        sampling=Sampling(temperature=0.6, top_p=0.95),
    )  # fmt: skip
    return FallbackSummarizer(own, RuleSummarizer())


def _oracle(job: ColdStartJob, settings: OracleSettings, environment: Any, chat: Any, summarizer: Any) -> OracleTeacher:
    from sindbad.demo.oracle import OracleNoise

    noise = OracleNoise(settings.wrong_read, settings.skip_verification, settings.give_up)
    about = {
        "summaries": job.summaries, "tools": job.tools.model_dump_json(exclude={"index", "search", "sandbox"}),
        "index": _index_digest(job.tools.index), "names": _names_digest(settings),
    }  # fmt: skip
    return OracleTeacher(names_of(settings), environment, chat, job.agent, summarizer, noise, about=about)


def _index_digest(folder: Path | None) -> str:
    """Of what the index says of itself (build, pages, bytes), cheaply; "" for a search service, which says nothing."""
    from sindbad.retrieval import snapshots
    from sindbad.retrieval.writer import read_manifest

    if folder is None:
        return ""
    manifest = read_manifest(snapshots.current(folder) or folder)
    info = manifest.info
    about = [info.job, info.pages, info.corpora, info.arabic, info.ranking, manifest.records, manifest.store_bytes]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _names_digest(settings: OracleSettings) -> str:
    """Of the stored graph's tables, or of the encyclopedia's glossary."""
    if settings.graph is not None:
        from sindbad.graph.store_format import read_manifest

        return read_manifest(settings.graph).digest
    return digest_of_path((settings.worlds or Path()) / GLOSSARY)


async def _agent_teacher(
    job: ColdStartJob, generator: Any, about: Mapping[str, str], environment: Any, chat: Any, summarizer: Any,
    stack: AsyncExitStack,
) -> AgentTeacher:  # fmt: skip
    from sindbad.agent.agent import Agent
    from sindbad.clients import JudgeClient
    from sindbad.judging import ExactJudge

    judge: Any = ExactJudge()
    if job.judge:
        judge = await stack.enter_async_context(JudgeClient(job.judge))
    sampled = isinstance(job.teacher, PolicySettings) and job.teacher.tokenizer is None
    model = job.teacher.endpoint.model if isinstance(job.teacher, EndpointSettings) else "policy"
    agent = Agent(generator, environment, chat, job.agent, summarizer)
    own = {**about, "summaries": job.summaries, "tools": job.tools.model_dump_json(exclude={"search", "sandbox"})}
    return AgentTeacher(agent, judge, model, job.settings.seed, sampled, own)


def names_of(settings: OracleSettings) -> Any:
    """Question -> (entity id -> name in its language)."""
    if settings.graph is not None:
        from sindbad.graph.store import open_graph

        return _GraphNames(open_graph(settings.graph))
    return _GlossaryNames(_glossary(settings.worlds or Path()))


class _GlossaryNames:
    def __init__(self, names: Mapping[tuple[str, str], Mapping[str, str]]) -> None:
        self._names = names

    def __call__(self, question: Question) -> Mapping[str, str]:
        return self._names.get((question.world_id, question.language), {})


class _GraphNames:
    """Looks up only what a question mentions: a graph may have a million entities."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def __call__(self, question: Question) -> Mapping[str, str]:
        mentioned = {name for clue in question.clues for name in (clue.subject, clue.object) if name in self._graph}
        found = {name: self._graph.entity(name).names.get(question.language) for name in mentioned}
        return {name: value for name, value in found.items() if value}


def _glossary(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    from sindbad.languages import LANGUAGES

    path = folder / GLOSSARY
    if not path.is_file():
        raise InvalidInput(f"{path} is not there; `worlds` is a folder that holds a synthetic encyclopedia")
    names: dict[tuple[str, str], dict[str, str]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            for language in LANGUAGES:
                names.setdefault((row["corpus"], language), {})[row["entity_id"]] = row[language]
    return names
