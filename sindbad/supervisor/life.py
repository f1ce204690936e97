"""When to restart a process: a state machine without processes or clocks. The shell tells it what happened and when.

Invariant: the wait before a restart grows with consecutive failures up to a ceiling, and starts over after a process
has been live for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# sysexits.h EX_CONFIG, services.runtime's answer to a wrong configuration: the next start would fail as well.
EX_CONFIG = 78


class Phase(StrEnum):
    """Where a replica is in its life."""

    NEW = "new"
    STARTING = "starting"
    LIVE = "live"
    WAITING = "waiting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How long to wait and when to give up.

    Attributes:
        first_seconds, factor, longest_seconds: the back-off.
        stable_seconds: live for that long forgives earlier failures.
        start_seconds: not live after that long counts as a failed start, and the process is killed.
        silent_seconds: live but answering no health check for that long: it hangs, and is killed.
        start_attempts: failed starts in a row, never having been live, after which the replica is given up.
    """

    first_seconds: float = 0.25
    factor: float = 2.0
    longest_seconds: float = 15.0
    stable_seconds: float = 30.0
    start_seconds: float = 120.0
    silent_seconds: float = 120.0
    start_attempts: int = 4

    def delay(self, failures: int) -> float:
        """Wait after ``failures`` failures in a row (at least 1)."""
        return min(self.longest_seconds, self.first_seconds * self.factor ** min(failures - 1, 30))


class Life:
    """One replica's phases, counted restarts, and the answer to "what now?" after each exit."""

    def __init__(self, policy: RestartPolicy | None = None) -> None:
        self.policy = policy or RestartPolicy()
        self.phase = Phase.NEW
        self.restarts = 0
        self.failures = 0
        self.was_live = False
        self._since = 0.0
        self._heard = 0.0

    def spawned(self, now: float) -> None:
        """A process was started."""
        if self.phase is Phase.WAITING:
            self.restarts += 1
        self.phase, self._since, self._heard = Phase.STARTING, now, now

    def answered(self, now: float) -> bool:
        """A health check was answered, with whatever status; True when that is what made it live."""
        self._heard = now
        if self.phase is not Phase.STARTING:
            return False
        self.phase, self._since, self.was_live = Phase.LIVE, now, True
        return True

    def hangs(self, now: float) -> bool:
        """The process has to be killed: its start takes too long, or it stopped answering."""
        if self.phase is Phase.STARTING:
            return now - self._since > self.policy.start_seconds
        return self.phase is Phase.LIVE and now - self._heard > self.policy.silent_seconds

    def exited(self, code: int, now: float) -> float | None:
        """Seconds to wait before the next start; None when there is to be none (given up, or stopping)."""
        if self.phase is Phase.STOPPED:
            return None
        if self.phase is Phase.LIVE and now - self._since >= self.policy.stable_seconds:
            self.failures = 0
        self.failures += 1
        if code == EX_CONFIG or (not self.was_live and self.failures >= self.policy.start_attempts):
            self.phase = Phase.FAILED
            return None
        self.phase = Phase.WAITING
        return self.policy.delay(self.failures)

    def stop(self) -> None:
        """Whatever happens from now on, no restart. A replica that was given up stays FAILED."""
        if self.phase is not Phase.FAILED:
            self.phase = Phase.STOPPED
