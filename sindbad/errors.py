"""One taxonomy of failures: every failure belongs to exactly one side.

A *bad rollout* (malformed call, wrong answer, exhausted budget) is data and never an exception; what is raised here
stops a request or a run. ``reason`` is the stable, machine-readable name that travels in ``google.rpc.ErrorInfo``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum


class Side(StrEnum):
    """Who has to act so that the failure goes away."""

    USER = "user"
    POLICY = "policy"
    TOOL = "tool"
    ENGINE = "engine"
    PLATFORM = "platform"


class SindbadError(Exception):
    """A failure with a side, a stable reason and a message that says what to do.

    Args:
        message: one sentence for a person, ending in what to do about it.
        reason: UPPER_SNAKE_CASE, stable across releases; defaults to the class's ``default_reason``.
        metadata: small strings for programs (a field's name, a version); never secrets.
    """

    side: Side = Side.PLATFORM
    default_reason: str = "PLATFORM_FAILURE"
    retryable: bool = False

    def __init__(self, message: str, *, reason: str | None = None, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata: dict[str, str] = dict(metadata or {})


class InvalidInput(SindbadError):
    """The caller's request is wrong and will stay wrong (INVALID_ARGUMENT)."""

    side = Side.USER
    default_reason = "INVALID_INPUT"


class NotFound(SindbadError):
    """What the caller named does not exist (NOT_FOUND)."""

    side = Side.USER
    default_reason = "NOT_FOUND"


class PermissionRefused(SindbadError):
    """No or a wrong credential (UNAUTHENTICATED)."""

    side = Side.USER
    default_reason = "UNAUTHENTICATED"


class PolicyFailure(SindbadError):
    """The policy produced something that cannot be used as training data."""

    side = Side.POLICY
    default_reason = "POLICY_FAILURE"


class ToolFailure(SindbadError):
    """A tool's backend failed after every retry and fallback (UNAVAILABLE)."""

    side = Side.TOOL
    default_reason = "TOOL_FAILURE"
    retryable = True


class EngineFailure(SindbadError):
    """The language-model engine failed (INTERNAL)."""

    side = Side.ENGINE
    default_reason = "ENGINE_FAILURE"


class NoModel(EngineFailure):
    """The service is live but holds no model (FAILED_PRECONDITION)."""

    default_reason = "NO_MODEL"


class WeightsBehind(EngineFailure):
    """This replica's weights are older than ``min_version`` (UNAVAILABLE: another replica may be newer)."""

    default_reason = "WEIGHTS_BEHIND"
    retryable = True


class Overloaded(SindbadError):
    """The bounded queue is full (RESOURCE_EXHAUSTED); retry with back-off."""

    default_reason = "OVERLOADED"
    retryable = True


class DeadlineExceeded(SindbadError):
    """The caller's deadline passed (DEADLINE_EXCEEDED)."""

    default_reason = "DEADLINE_EXCEEDED"


class Cancelled(SindbadError):
    """The caller went away (CANCELLED)."""

    default_reason = "CANCELLED"


class Unavailable(SindbadError):
    """A dependency cannot be reached now (UNAVAILABLE)."""

    default_reason = "UNAVAILABLE"
    retryable = True


class Corrupt(SindbadError):
    """Stored data does not match its checksum or schema (DATA_LOSS)."""

    default_reason = "CORRUPT"


@contextmanager
def boundary(failure: type[SindbadError], doing: str) -> Iterator[None]:
    """Assign every unknown exception raised inside to ``failure``'s side; Sindbad's own errors pass unchanged."""
    try:
        yield
    except SindbadError:
        raise
    except Exception as error:
        raise failure(f"{doing} failed: {type(error).__name__}: {error}") from error
