"""An episode that follows a recording: for telling an attempt again, in other words or in another language."""

from __future__ import annotations

from collections.abc import Iterator

from sindbad.agent.resum import ReSumEpisode
from sindbad.agent.trajectory import Step, Trajectory


class RecordedEpisode(ReSumEpisode):
    """Summarises where the recording did, instead of where a trigger fires."""

    restart_next = False

    def _make_room(self) -> None:
        if self.restart_next:
            self._triggered = True
        else:
            self._continue()

    def follow(self, source: Trajectory) -> Iterator[Step]:
        """The recording's steps, one by one; the caller plays each before it asks for the next."""
        for index, step in enumerate(source.steps):
            following = source.steps[index + 1] if index + 1 < len(source.steps) else None
            self.restart_next = following is not None and following.kind == "summary"
            yield step
