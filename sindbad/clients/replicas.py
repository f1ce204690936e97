"""Choosing among replicas, failing over and backing off: a state machine without sockets, tasks or clocks of its own.

Invariant: a failure that a retry can cure is retried until the deadline and never after it; one that it can't cure
(INVALID_ARGUMENT above all) is raised at once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sindbad.errors import DeadlineExceeded, NoModel, SindbadError, Unavailable

AWAY_SECONDS: Final = 10.0
"""How long nobody may be at an address before somebody who waits at a terminal is told so."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter: the n-th wait is uniform in (0, min(longest, first * factor**n)]."""

    first_seconds: float = 0.05
    factor: float = 2.0
    longest_seconds: float = 2.0

    def delay(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after ``failures`` failures in a row (at least 1)."""
        ceiling = min(self.longest_seconds, self.first_seconds * self.factor ** min(failures - 1, 30))
        return ceiling * (1.0 - rng.random())


@dataclass(slots=True)
class Replica:
    """One address and what is known about it."""

    index: int
    address: str
    in_flight: int = 0
    failures: int = 0
    usable_at: float = 0.0
    chosen: int = 0


class Replicas:
    """Least requests in flight among those not backing off; ties go to the one chosen least often."""

    def __init__(self, addresses: Sequence[str], backoff: Backoff | None = None, seed: int | None = None) -> None:
        if not addresses:
            raise ValueError("a client needs at least one address")
        self.all = [Replica(index, address) for index, address in enumerate(addresses)]
        self._backoff = backoff or Backoff()
        self._rng = random.Random(seed)

    def choose(self, now: float) -> tuple[Replica, float]:
        """The replica to ask and how many seconds to wait first (0 unless all of them are backing off)."""
        usable = [replica for replica in self.all if replica.usable_at <= now]
        if not usable:
            soonest = min(self.all, key=lambda replica: replica.usable_at)
            return soonest, soonest.usable_at - now
        replica = min(usable, key=lambda candidate: (candidate.in_flight, candidate.chosen, candidate.index))
        return replica, 0.0

    def started(self, replica: Replica) -> None:
        """A request went out."""
        replica.in_flight += 1
        replica.chosen += 1

    def ended(self, replica: Replica) -> None:
        """That request is over, whatever came of it."""
        replica.in_flight -= 1

    def answered(self, replica: Replica) -> None:
        """It answered: its failures are forgotten."""
        replica.failures = 0
        replica.usable_at = 0.0

    def failed(self, replica: Replica, now: float) -> None:
        """It could not serve the request: leave it alone for a while."""
        replica.failures += 1
        replica.usable_at = now + self._backoff.delay(replica.failures, self._rng)


@dataclass(slots=True)
class Attempts:
    """One request's way through the replicas until ``deadline`` (same clock as ``now``).

    ``patience_seconds``: how long they may be away, all of them, from the first that was found so; None: until the
    deadline, which a server that is only slow needs as well.
    """

    replicas: Replicas
    deadline: float
    patience_seconds: float | None = None
    last_error: SindbadError | None = None
    _without_model: set[int] = field(default_factory=set)
    _given_up_at: float | None = None

    def next(self, now: float) -> tuple[Replica, float]:
        """Whom to ask, and how long to wait first. Raises the last error when the deadline comes before that."""
        replica, wait = self.replicas.choose(now)
        if now + wait >= (self.deadline if self._given_up_at is None else min(self.deadline, self._given_up_at)):
            raise self.last_error or DeadlineExceeded("the deadline passed before the request could be sent")
        return replica, wait

    def failed(self, replica: Replica, error: SindbadError, now: float) -> None:
        """Note the failure; raises ``error`` when no retry would help."""
        self.last_error = error
        self._be_patient(isinstance(error, Unavailable), now)
        if isinstance(error, NoModel):
            # A replica that restarts has no model for a moment; the request fails when none of them has one.
            self._without_model.add(replica.index)
            if len(self._without_model) == len(self.replicas.all):
                raise error
        elif not error.retryable:
            raise error
        self.replicas.failed(replica, now)

    def _be_patient(self, away: bool, now: float) -> None:
        if not away:  # it answered, if only to say that it is busy
            self._given_up_at = None
        elif self._given_up_at is None and self.patience_seconds is not None:
            self._given_up_at = now + self.patience_seconds
