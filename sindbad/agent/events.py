"""What happens while the agent works, as it happens: for a user's screen, a log, a stream.

Order within a trajectory: Started, then per turn TurnStarted, TextSampled*, Thought, then (ToolCalled, Observed) or
(Malformed, Observed unless fatal) or Answered; Summarised between turns; Finished exactly once and last, unless the
run was cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sindbad.agent.trajectory import Trajectory
from sindbad.tools.environment import Observation, ToolCall


@dataclass(frozen=True, slots=True)
class Started:
    """``prompt_tokens`` is the length of the first segment's prompt."""

    trajectory_id: str
    question: str
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The policy begins to write turn ``turn`` (from 0) in segment ``segment`` with ``context_tokens`` before it."""

    turn: int
    segment: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class TextSampled:
    """Raw text of a few sampled tokens, tags included; only emitted when the agent is asked to stream text."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """The turn's reasoning, complete."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A call goes out; ``calls_used`` counts it."""

    turn: int
    call: ToolCall
    calls_used: int


@dataclass(frozen=True, slots=True)
class Observed:
    """The environment answered."""

    turn: int
    observation: Observation


@dataclass(frozen=True, slots=True)
class Malformed:
    """The turn can't be carried out; ``fatal`` says whether it ended the trajectory. ``raw`` is the call as written."""

    turn: int
    reason: str
    fatal: bool
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Summarised:
    """A new segment begins from ``summary``. Token counts are of the whole context before and after."""

    segment: int
    summary: str
    by: str
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, slots=True)
class HistoryCut:
    """Recent-history baseline: a new segment begins with the newest ``kept_tokens`` of the old one."""

    segment: int
    kept_tokens: int
    tokens_before: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The final answer."""

    turn: int
    answer: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. ``trajectory`` is complete but not judged."""

    trajectory: Trajectory = field(repr=False)


Turnwise = TurnStarted | TextSampled | Thought | ToolCalled | Observed | Malformed | Answered
Event = Started | Turnwise | Summarised | HistoryCut | Finished
