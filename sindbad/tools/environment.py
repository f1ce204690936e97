"""The one tool interface. A rollout can't tell which environment it is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

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


@dataclass(frozen=True, slots=True)
class Scope:
    """What a call may see: the corpus ("w0007"), the language ("en"), and who asks (trace id)."""

    corpus: str
    language: str
    trace_id: str = ""


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
