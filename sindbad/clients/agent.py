"""The agent over gRPC: a question in, typed events out as they happen."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio

from sindbad.agent.config import Paradigm
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.clients.channel import ChannelSettings
from sindbad.clients.judge import DECIDERS
from sindbad.clients.search_status import KINDS
from sindbad.clients.service import ServiceClient
from sindbad.clients.status import from_rpc_error
from sindbad.clients.summarizer import WRITERS
from sindbad.clients.tools import from_proto as observation_from_proto
from sindbad.judging.verdict import DecidedBy
from sindbad.tools.environment import Observation
from sindbad.v1 import agent_pb2, agent_pb2_grpc, common_pb2, judge_pb2

PARADIGMS = {
    None: agent_pb2.PARADIGM_UNSPECIFIED,
    Paradigm.REACT: agent_pb2.PARADIGM_REACT,
    Paradigm.RESUM: agent_pb2.PARADIGM_RESUM,
    Paradigm.RECENT_HISTORY: agent_pb2.PARADIGM_RECENT_HISTORY,
}
_WRITER_NAMES = {number: writer.value for writer, number in WRITERS.items()}


@dataclass(frozen=True, slots=True)
class ResearchOptions:
    """Choices of one attempt; None or 0 leaves a choice to the server."""

    paradigm: Paradigm | None = None
    max_context_tokens: int = 0
    max_tool_calls: int = 0
    max_turns: int = 0
    max_turn_tokens: int = 0
    summary_trigger: float | None = None
    temperature: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The attempt began."""

    trajectory_id: str
    language: str
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thought:
    """The policy thought."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The policy called a tool. ``tool`` is empty for a malformed call; ``arguments_json`` then is its raw text."""

    tool: str
    arguments_json: str

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments; empty for a malformed call."""
        return json.loads(self.arguments_json) if self.tool else {}


@dataclass(frozen=True, slots=True)
class Observed:
    """The tool answered."""

    observation: Observation


@dataclass(frozen=True, slots=True)
class Summarised:
    """The context was compressed; ``by`` is "model", "policy" or "rules"."""

    text: str
    by: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The answer was compared with the gold answer that the request carried."""

    correct: bool
    reason: str
    decided_by: DecidedBy


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer: an outcome, not an error. ``termination`` as in ``sindbad.agent.trajectory.Termination``."""

    termination: str
    message: str


@dataclass(frozen=True, slots=True)
class Used:
    """What it took. The last event."""

    prompt_tokens: int
    completion_tokens: int
    tool_calls: int
    summaries: int
    wall_seconds: float
    cost: float


Happening = Started | Thought | ToolCalled | Observed | Summarised | Answered | Judged | Failed | Used


@dataclass(frozen=True, slots=True)
class ResearchEvent:
    """What happened, in which context window and turn (from 0), and when (seconds since the attempt began)."""

    happening: Happening
    segment: int
    turn: int
    elapsed_seconds: float


class AgentClient(ServiceClient):
    """Asks the agent service."""

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        channel: ChannelSettings | None = None,
        deadline_seconds: float = 600.0,
        patience_seconds: float | None = None,
    ) -> None:
        super().__init__(
            addresses, agent_pb2_grpc.AgentStub, channel=channel, deadline_seconds=deadline_seconds,
            patience_seconds=patience_seconds,
        )  # fmt: skip

    async def research(
        self,
        question: str,
        *,
        language: str = "",
        corpus: str = "",
        environment: EnvironmentKind | None = None,
        options: ResearchOptions | None = None,
        gold_answer: str = "",
        gold_aliases: Sequence[str] = (),
    ) -> AsyncIterator[ResearchEvent]:
        """Events as they happen; ``aclose`` cancels the attempt. Retried only while nothing has been shown yet."""
        request = agent_pb2.ResearchRequest(
            question=question,
            language=language,
            corpus=corpus,
            environment=KINDS[environment] if environment else common_pb2.ENVIRONMENT_UNSPECIFIED,
            options=_options(options or ResearchOptions()),
            gold_answer=gold_answer,
            gold_aliases=gold_aliases,
        )
        attempts, shown = self.attempts(None), False
        while True:
            replica = await self.next_replica(attempts)
            with self.using(replica):
                call = self.method(replica, "Research")(
                    request, timeout=self.remaining(attempts), metadata=self.metadata()
                )
                try:
                    async for message in call:
                        shown = True
                        yield from_proto(message)
                    self.replicas.answered(replica)
                    return
                except grpc.aio.AioRpcError as error:
                    failure = from_rpc_error(error)
                    if shown:
                        raise failure from error
                    self.note(attempts, replica, failure)
                finally:
                    call.cancel()


def _options(options: ResearchOptions) -> agent_pb2.ResearchOptions:
    return agent_pb2.ResearchOptions(
        paradigm=PARADIGMS[options.paradigm],
        max_context_tokens=options.max_context_tokens,
        max_tool_calls=options.max_tool_calls,
        max_turns=options.max_turns,
        max_turn_tokens=options.max_turn_tokens,
        summary_trigger=options.summary_trigger,
        temperature=options.temperature,
        seed=options.seed,
    )


def from_proto(message: agent_pb2.ResearchResponse) -> ResearchEvent:
    """A message as ResearchEvent. Raises KeyError for an event that this client's contract does not know."""
    kind = message.WhichOneof("event") or ""
    happening = _READERS[kind](getattr(message, kind))
    return ResearchEvent(happening, message.segment, message.turn, message.elapsed_seconds)


def _judged(event: agent_pb2.VerdictEvent) -> Judged:
    decided_by = DECIDERS.get(event.decided_by, DecidedBy.EXACT)
    return Judged(event.verdict == judge_pb2.VERDICT_CORRECT, event.reason, decided_by)


def _used(event: agent_pb2.UsageEvent) -> Used:
    return Used(
        event.tokens.prompt_tokens,
        event.tokens.completion_tokens,
        event.tool_calls,
        event.summaries,
        event.wall_seconds,
        event.cost,
    )


_READERS: dict[str, Callable[[Any], Happening]] = {
    "started": lambda event: Started(event.trajectory_id, event.language, tuple(event.tools)),
    "thought": lambda event: Thought(event.text),
    "tool_call": lambda event: ToolCalled(event.tool, event.arguments_json),
    "observation": lambda event: Observed(observation_from_proto(event)),
    "summary": lambda event: Summarised(event.text, _WRITER_NAMES.get(event.wrote_by, "rules")),
    "answer": lambda event: Answered(event.text),
    "verdict": _judged,
    "failed": lambda event: Failed(event.termination, event.message),
    "usage": _used,
}
