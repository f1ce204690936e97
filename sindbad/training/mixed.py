"""Episodes in a mix of environments: the asyncio shell around :class:`sindbad.tools.mix.MixController`.

Every attempt asks the controller where to run; the decision, and the controller's state after it, are on disk before
the attempt starts, so that a killed run goes on with the same budget, health and gap. The reason stands on the
trajectory. A task of its own asks the search service how its live providers fare.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sindbad.agent.trajectory import EnvironmentKind, Trajectory
from sindbad.errors import SindbadError
from sindbad.journal import Journal, Place, Record
from sindbad.tools.mix import Decision, LiveSample, MixController
from sindbad.training.journal import in_use
from sindbad.training.rollout import Episode, Ticket

log = logging.getLogger(__name__)
Look = Callable[[], Awaitable[LiveSample]]
"""Asks how live tools fare, and what happened since it was last asked."""
_LOOK_SECONDS: Final = 10.0


class MixJournal:
    """What a mix decided and saw, one line each with the controller's state after it.

    Raises InvalidInput (JOURNAL_BUSY) where another process writes it; Corrupt.
    """

    def __init__(self, path: Path) -> None:
        self.state: dict[str, Any] | None = None
        self._lines = Journal(path, self._apply, busy=in_use(path))

    def _apply(self, row: Record, _: Place) -> None:
        self.state = row.get("state", self.state)

    def write(self, **event: Any) -> None:
        """One event; it reaches the kernel before this returns. Raises OSError."""
        self._lines.append(event)

    def close(self) -> None:
        """Close the file; idempotent."""
        self._lines.close()


class MixedEpisodes:
    """One judged attempt at a ticket, in the environment that the controller chooses: an ``Episode`` for collectors.

    Args:
        episodes: the same policy, agent and judge over each environment that is available.
        look: how live tools fare.
    """

    def __init__(
        self,
        episodes: Mapping[EnvironmentKind, Episode],
        controller: MixController,
        journal: MixJournal,
        look: Look,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.episodes, self.controller = dict(episodes), controller
        self._journal, self._look, self._clock = journal, look, clock
        if journal.state is not None:
            controller.restore(journal.state)

    async def __call__(self, ticket: Ticket) -> Trajectory:
        decision, made = await self._attempt(ticket)
        calls, failures = _calls(made)
        if failures and self.controller.health.live == "well" and decision.environment is EnvironmentKind.LIVE:
            await self.look()  # an outage may be younger than the last look
        if not self.controller.should_remake(decision, calls, failures):
            made.environment_reason = decision.reason
            return made
        again, made = await self._attempt(ticket)
        made.environment_reason = f"made again after {failures} of {calls} calls failed live; {again.reason}"
        return made

    async def look(self) -> None:
        """Take in a new sample; a service that can't be asked now says nothing."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                sample = await self._look()
        except (SindbadError, TimeoutError) as error:
            log.warning("the search service did not say how its providers fare: %s", error)
            return
        if self.controller.see(sample, self._clock()):
            health = self.controller.health
            log.info("live is %s", health.live, extra={"why": health.why})
            self._note(live=str(health.live), why=health.why)

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(self.controller.settings.poll_seconds)
            await self.look()

    async def _attempt(self, ticket: Ticket) -> tuple[Decision, Trajectory]:
        decision = self.controller.decide(ticket.trajectory_id, ticket.group_id, ticket.step, self._clock())
        self._note(
            episode=ticket.trajectory_id, step=ticket.step, environment=str(decision.environment),
            scheduled=str(decision.scheduled), reason=decision.reason,
        )  # fmt: skip
        try:
            return decision, await self.episodes[decision.environment](ticket)
        finally:
            self.controller.finish(ticket.trajectory_id)

    def measured(self, record: Mapping[str, Any]) -> None:
        """Note a measured gap that the controller has taken in."""
        self._note(gap=dict(record), verdict=str(self.controller.verdict))

    def _note(self, **event: Any) -> None:
        self._journal.write(at=self._clock(), **event, state=self.controller.state())


@asynccontextmanager
async def watching(mixed: MixedEpisodes) -> AsyncIterator[MixedEpisodes]:
    """Look once, then keep looking until the block ends."""
    await mixed.look()
    task = asyncio.create_task(mixed.watch(), name="mix-watch")
    try:
        yield mixed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _calls(made: Trajectory) -> tuple[int, int]:
    """(tool calls, those whose observation was an error)."""
    ok = [step.ok for step in made.steps if step.kind == "act"]
    return len(ok), ok.count(False)
