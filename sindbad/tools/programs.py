"""Programs of the python tool in a recording: written beside the other calls, and played back from there.

A program has no network, so a replay that never heard of it may run it: offline all the same, but bit-identical only
where the program is a function of its text.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sindbad.tools.environment import Scope
from sindbad.tools.record import CallRecorder, Tape
from sindbad.tools.record_format import call_key
from sindbad.tools.replay import Recording, answer_of

TOOL: Final = "python"


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """What a program did, as the sandbox's answer says it (see sandbox.proto)."""

    stdout: str
    stderr: str
    exit_code: int
    truncated: bool
    killed_because: int
    wall_seconds: float
    observation: str


def program_text(code: str, stdin: str = "", limits: Sequence[float] = ()) -> str:
    """What was asked, for :func:`sindbad.tools.record_format.call_key`: program, input and the limits asked for."""
    return json.dumps([code, stdin, *limits])


class ProgramTape:
    """Writes how each program ended."""

    def __init__(self, recorder: CallRecorder) -> None:
        self._tape = Tape("sandbox", recorder)

    async def through(self, program: str, scope: Scope, run: Callable[[], Awaitable[ProgramRun]]) -> ProgramRun:
        """What ``run`` gives, once it has been written down; a program that was cut short is written as that."""
        return await self._tape.through(TOOL, program, scope, 0, run)


class ProgramReplay:
    """A recording's programs."""

    def __init__(self, recording: str | Path) -> None:
        """Raises NotFound when there is no recording."""
        self.recording = Recording(recording)

    async def find(self, program: str, scope: Scope) -> ProgramRun | None:
        """How the program ended then; None where it was never recorded.

        Raises CallCut where its caller's deadline had passed.
        """
        found = await self.recording.find(call_key(TOOL, program, scope), scope)
        return None if found is None else ProgramRun(**answer_of(found))

    def close(self) -> None:
        """Close the recording; idempotent."""
        self.recording.close()
