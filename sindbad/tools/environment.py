"""The one tool interface. A rollout can't tell which environment it is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from sindbad.agent.trajectory import EnvironmentKind


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it. ``parameters`` is a JSON schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A parsed call: ``name`` is search, visit, scholar or python; ``arguments`` as in the tool's schema."""

    name: str
    arguments: Mapping[str, Any]


class Purpose(StrEnum):
    """What a call is for. The scheduler shares providers between purposes by weight."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for fairness and budgets; never part of what is asked, so two callers share one cached answer.

    ``run`` names the run that pays ("" is a run of its own), ``episode`` the attempt within it. Who does not say what
    a call is for gets the share of training, the smallest.
    """

    run: str = ""
    purpose: Purpose = Purpose.TRAINING
    episode: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a call may see: the corpus ("w0007"), the language ("en"), and who asks (trace id, caller)."""

    corpus: str
    language: str
    trace_id: str = ""
    caller: Caller = Caller()


@dataclass(frozen=True, slots=True)
class Observation:
    """A tool's answer. ``ok`` False is an error the agent can read and act on, never a crash.

    ``text`` is untrusted and goes to the policy as it is (tokenised with special tokens disabled).
    ``urls`` are the sources shown; ``source`` names the provider that answered ("index", "http", "cache", …).
    """

    text: str
    ok: bool = True
    error: str = ""
    urls: tuple[str, ...] = ()
    source: str = ""
    latency_seconds: float = 0.0
    cost: float = 0.0
    metadata: Mapping[str, str] = field(default_factory=dict)


TRANSLATION: Final = "translation:"
"""Before a language code: the key in ``Observation.metadata`` of the URL of a visited page in that language."""


class Environment(Protocol):
    """Where tool calls go."""

    @property
    def kind(self) -> EnvironmentKind:
        """simulated, replay or live: recorded on the trajectory, invisible to the policy."""
        ...

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The schema offered to the model: identical for all three kinds."""
        ...

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        """Carry out one call. Bad arguments, faults and time-outs come back as ``ok=False`` observations."""
        ...
