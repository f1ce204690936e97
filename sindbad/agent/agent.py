"""The agent: drives an :class:`Episode` with a policy, an environment and a summariser, and says what happens.

Cancellation-safe: closing :meth:`Agent.stream` (or cancelling the task that reads it) closes the policy's stream, which
frees its slot; nothing runs on in the background. Failures of the platform (a server that is gone, no model) raise, so
that a driver can run the attempt again; failures of a tool are observations, failures of the policy are data.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.events import (
    Answered,
    Event,
    Finished,
    HistoryCut,
    Malformed,
    Observed,
    Started,
    Summarised,
    TextSampled,
    Thought,
    ToolCalled,
    TurnStarted,
)
from sindbad.agent.parsing import Turn, TurnKind
from sindbad.agent.react import Episode, Task
from sindbad.agent.recent import RecentHistoryEpisode
from sindbad.agent.resum import ReSumEpisode
from sindbad.agent.summarize import Summarizer, Summary
from sindbad.agent.trajectory import Trajectory
from sindbad.engines.protocol import Completion, FinishReason, Generator, TokenChunk
from sindbad.errors import (
    DeadlineExceeded,
    EngineFailure,
    InvalidInput,
    NoModel,
    NotFound,
    PolicyFailure,
    ToolFailure,
    WeightsBehind,
    boundary,
)
from sindbad.tools.environment import Environment, Observation, Scope, ToolCall
from sindbad.tools.render import error_observation

log = logging.getLogger(__name__)
EPISODES: dict[Paradigm, type[Episode]] = {
    Paradigm.REACT: Episode,
    Paradigm.RESUM: ReSumEpisode,
    Paradigm.RECENT_HISTORY: RecentHistoryEpisode,
}


class Agent:
    """One agent serves any number of concurrent attempts; it holds no state of any of them.

    Args:
        generator: the policy; an engine in this process or a client.
        environment: where tool calls go.
        tokenizer: must be the policy's own.
        config: limits and choices.
        summarizer: needed for ``resum`` alone.

    Raises:
        InvalidInput: ``resum`` without a summariser.
    """

    def __init__(
        self,
        generator: Generator,
        environment: Environment,
        tokenizer: ChatTokenizer,
        config: AgentConfig,
        summarizer: Summarizer | None = None,
    ) -> None:
        if config.paradigm is Paradigm.RESUM and summarizer is None:
            raise InvalidInput("The resum paradigm needs a summarizer; give one or choose paradigm react.")
        self.generator, self.environment, self.tokenizer = generator, environment, tokenizer
        self.config, self.summarizer = config, summarizer

    async def run(self, task: Task, *, seed: int = 0, min_version: int = 0) -> Trajectory:
        """Make one attempt. The trajectory has reward 0 when it failed, None when a judge has to decide."""
        async with aclosing(self.stream(task, seed=seed, min_version=min_version)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.trajectory
        raise AssertionError("a stream ends in Finished or raises")

    async def stream(
        self, task: Task, *, seed: int = 0, min_version: int = 0, text: bool = False
    ) -> AsyncGenerator[Event, None]:
        """Make one attempt and tell what happens (:mod:`sindbad.agent.events`); ``text`` adds the sampled text.

        Raises:
            InvalidInput: empty question, or a prompt that leaves no room. SindbadError: the platform failed.
        """
        began = time.monotonic()
        episode = EPISODES[self.config.paradigm](
            task,
            self.tokenizer,
            self.config,
            environment=self.environment.kind,
            tools=self.environment.tools,
            seed=seed,
        )
        yield Started(task.trajectory_id, task.question, len(episode.segment))
        while not episode.done:
            async with aclosing(self._turn(episode, min_version, text)) as events:
                async for event in events:
                    yield event
        episode.trajectory.wall_seconds = time.monotonic() - began
        yield Finished(episode.trajectory)

    # -- one turn ----------------------------------------------------------------------------------------------------

    async def _turn(self, episode: Episode, min_version: int, text: bool) -> AsyncGenerator[Event, None]:
        number, segments, before = episode.turns, len(episode.trajectory.segments), len(episode.segment)
        yield TurnStarted(number, segments - 1, before)
        chunks: list[TokenChunk] = []
        told = ""
        async with aclosing(self._sample(episode, min_version)) as sampled:
            async for chunk in sampled:
                chunks.append(chunk)
                if text and (news := self._news(chunks, told)):
                    told += news
                    yield TextSampled(number, news)
        turn = episode.accept_turn(_joined(chunks))
        for event in _told(number, turn, episode):
            yield event
        if episode.refusal is not None:
            yield Observed(number, episode.refusal)
        if episode.pending_call is not None:
            observation = await self._call(episode.pending_call, episode.task.scope)
            episode.accept_observation(observation)
            yield Observed(number, observation)
        if episode.wants_summary:
            async for event in self._summarise(episode):
                yield event
        elif len(episode.trajectory.segments) > segments:
            yield HistoryCut(len(episode.trajectory.segments) - 1, len(episode.segment), before)

    def _news(self, chunks: Sequence[TokenChunk], told: str) -> str:
        """Text that the newest chunk completed; decoded as a whole, because a token's text depends on its left."""
        whole = self.tokenizer.text(_joined(chunks).token_ids).rstrip("\ufffd")
        return whole[len(told) :] if whole.startswith(told) else ""

    async def _sample(self, episode: Episode, min_version: int) -> AsyncGenerator[TokenChunk, None]:
        """The policy's stream, each wait bounded by what is left of the turn's deadline."""
        ends = asyncio.get_running_loop().time() + self.config.turn_deadline_seconds
        stream = self.generator.generate(episode.context_ids, episode.sampling(), min_version=min_version)
        try:
            while (chunk := await _next_before(stream, ends)) is not None:
                yield chunk
        finally:
            await _close(stream)

    async def _call(self, call: ToolCall, scope: Scope) -> Observation:
        """Carry out a call. What the tool or its arguments got wrong is an observation; a lost platform raises."""
        limit = self.config.tool_deadline_seconds
        try:
            async with asyncio.timeout(limit):
                with boundary(ToolFailure, f"tool {call.name}"):
                    return await self.environment.call(call, scope, deadline_seconds=limit)
        except (TimeoutError, DeadlineExceeded):
            return error_observation("the tool took too long", source="agent", latency_seconds=limit)
        except (ToolFailure, InvalidInput, NotFound) as error:
            log.warning("tool %s failed: %s", call.name, error.message, exc_info=error.__cause__)
            return error_observation(error.message, source="agent")

    # -- summaries ---------------------------------------------------------------------------------------------------

    async def _summarise(self, episode: Episode) -> AsyncIterator[Event]:
        before = len(episode.segment)
        summary = await self._summary(episode)
        if episode.accept_summary(summary) and summary is not None:
            segment, index = episode.segment, len(episode.trajectory.segments) - 1
            yield Summarised(index, segment.summary, str(summary.by), before, len(segment))

    async def _summary(self, episode: Episode) -> Summary | None:
        """The summariser's text; None when the writer itself failed, so that the history stays (ReSum's code)."""
        assert self.summarizer is not None
        task, limit = episode.task, self.config.summary_deadline_seconds
        try:
            async with asyncio.timeout(limit):
                return await self.summarizer.summarize(
                    task.question,
                    tuple(episode.conversation),
                    last_summary=episode.segment.summary,
                    language=task.language,
                    deadline_seconds=limit,
                )
        except (NoModel, WeightsBehind):
            raise
        except (TimeoutError, DeadlineExceeded, PolicyFailure, EngineFailure, InvalidInput) as error:
            log.warning("no summary for %s, its history stays: %s", task.trajectory_id, error)
            return None


def _joined(chunks: Sequence[TokenChunk]) -> Completion:
    reasons = [chunk.finish_reason for chunk in chunks if chunk.finish_reason is not None]
    return Completion(
        tuple(token_id for chunk in chunks for token_id in chunk.token_ids),
        tuple(value for chunk in chunks for value in chunk.logprobs),
        tuple(version for chunk in chunks for version in chunk.weight_versions),
        reasons[-1] if reasons else FinishReason.CANCELLED,
    )


def _told(number: int, turn: Turn, episode: Episode) -> list[Event]:
    """The events of a parsed turn. A turn whose answer came with a format violation is a malformed one."""
    events: list[Event] = [Thought(number, turn.thought)] if turn.thought else []
    if episode.pending_call is not None:
        events.append(ToolCalled(number, episode.pending_call, episode.trajectory.tool_calls))
    elif episode.trajectory.answer is not None and turn.kind is TurnKind.ANSWER:
        events.append(Answered(number, episode.trajectory.answer))
    else:
        missing = f"missing or misplaced: {', '.join(turn.violations)}" if turn.violations else ""
        events.append(Malformed(number, turn.reason or missing, fatal=episode.refusal is None, raw=turn.raw_call))
    return events


async def _next_before(stream: AsyncIterator[TokenChunk], ends: float) -> TokenChunk | None:
    """The next chunk, None at the end. Raises DeadlineExceeded."""
    try:
        async with asyncio.timeout_at(ends):
            return await anext(stream, None)
    except TimeoutError as error:
        raise DeadlineExceeded("The policy did not finish a turn in time; see turn_deadline_seconds.") from error


async def _close(stream: AsyncIterator[TokenChunk]) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
