"""The agent's events on the wire. What has no place in the contract (sampled text, turn starts) is left out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import singledispatchmethod

from sindbad.agent import events
from sindbad.agent.summarize import Writer
from sindbad.agent.trajectory import Termination, Trajectory
from sindbad.clients.judge import DECIDERS
from sindbad.clients.summarizer import WRITERS
from sindbad.judging.verdict import Verdict
from sindbad.tools.environment import Observation
from sindbad.v1 import agent_pb2, common_pb2, judge_pb2

Message = agent_pb2.ResearchResponse
JUDGED_BY = {decider: number for number, decider in DECIDERS.items()}
FAILURES = {
    Termination.CONTEXT_EXHAUSTED: "the context is full",
    Termination.CALLS_EXHAUSTED: "all tool calls are used up",
    Termination.TURNS_EXHAUSTED: "all turns are used up",
    Termination.FORMAT: "the policy broke the format of a turn",
    Termination.TURN_TOO_LONG: "a turn did not end in time",
    Termination.ABORTED: "the policy's stream ended early",
}


class Narrator:
    """Turns one attempt's events into messages; knows where and when in the attempt it is."""

    def __init__(self, language: str, tools: tuple[str, ...]) -> None:
        self._language, self._tools = language, tools
        self._began = time.monotonic()
        self._segment = self._turn = 0
        self._fault = ""

    def _message(self) -> Message:
        return Message(segment=self._segment, turn=self._turn, elapsed_seconds=time.monotonic() - self._began)

    @singledispatchmethod
    def tell(self, event: events.Event) -> Iterator[Message]:
        """Messages for one event; none for what the contract does not carry."""
        yield from ()

    @tell.register
    def _(self, event: events.Started) -> Iterator[Message]:
        message = self._message()
        message.started.trajectory_id, message.started.language = event.trajectory_id, self._language
        message.started.tools.extend(self._tools)
        yield message

    @tell.register
    def _(self, event: events.TurnStarted) -> Iterator[Message]:
        self._turn, self._segment = event.turn, event.segment
        yield from ()

    @tell.register
    def _(self, event: events.Thought) -> Iterator[Message]:
        message = self._message()
        message.thought.text = event.text
        yield message

    @tell.register
    def _(self, event: events.ToolCalled) -> Iterator[Message]:
        message = self._message()
        message.tool_call.tool = event.call.name
        message.tool_call.arguments_json = json.dumps(dict(event.call.arguments), ensure_ascii=False)
        yield message

    @tell.register
    def _(self, event: events.Malformed) -> Iterator[Message]:
        self._fault = event.reason
        if event.fatal:
            return
        message = self._message()
        message.tool_call.arguments_json = event.raw
        yield message

    @tell.register
    def _(self, event: events.Observed) -> Iterator[Message]:
        message = self._message()
        message.observation.CopyFrom(observation_message(event.observation))
        yield message

    @tell.register
    def _(self, event: events.Summarised) -> Iterator[Message]:
        self._segment = event.segment
        message = self._message()
        message.summary.text, message.summary.wrote_by = event.summary, WRITERS[Writer(event.by)]
        yield message

    @tell.register
    def _(self, event: events.Answered) -> Iterator[Message]:
        message = self._message()
        message.answer.text = event.answer
        yield message

    @tell.register
    def _(self, event: events.Finished) -> Iterator[Message]:
        trajectory = event.trajectory
        if trajectory.termination is Termination.ANSWER:
            return
        message = self._message()
        message.failed.termination = str(trajectory.termination)
        detail = f": {self._fault}" if trajectory.termination is Termination.FORMAT and self._fault else ""
        message.failed.message = FAILURES[trajectory.termination] + detail
        yield message

    def verdict(self, verdict: Verdict) -> Message:
        """The judge's decision."""
        message = self._message()
        correct = judge_pb2.VERDICT_CORRECT if verdict.correct else judge_pb2.VERDICT_INCORRECT
        message.verdict.verdict, message.verdict.reason = correct, verdict.reason
        message.verdict.decided_by = JUDGED_BY[verdict.decided_by]
        return message

    def usage(self, trajectory: Trajectory) -> Message:
        """What it took: tokens shown to the policy once each, and tokens that it wrote."""
        written = trajectory.sampled_tokens
        shown = sum(len(segment) for segment in trajectory.segments) - written
        message = self._message()
        message.usage.CopyFrom(
            agent_pb2.UsageEvent(
                tokens=common_pb2.TokenUsage(prompt_tokens=shown, completion_tokens=written),
                tool_calls=trajectory.tool_calls,
                summaries=trajectory.summaries,
                wall_seconds=trajectory.wall_seconds,
                cost=trajectory.cost,
            )
        )
        versions = [v for segment in trajectory.segments for v in segment.weight_versions if v >= 0]
        if versions:
            message.usage.min_weight_version, message.usage.max_weight_version = min(versions), max(versions)
        return message


def observation_message(observation: Observation) -> common_pb2.Observation:
    """An observation on the wire."""
    return common_pb2.Observation(
        text=observation.text,
        ok=observation.ok,
        error=observation.error,
        urls=observation.urls,
        source=observation.source,
        latency_seconds=observation.latency_seconds,
        cost=observation.cost,
        metadata=dict(observation.metadata),
    )
