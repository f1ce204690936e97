"""A task beside training ends alone, and goes with its block."""

from __future__ import annotations

import asyncio

import pytest

from sindbad.curation.aside import Aside


class Working(Aside):
    doing = "long work"

    def __init__(self, error: BaseException | None, said: list[str]) -> None:
        super().__init__(said.append)
        self._error, self.began, self.cancelled = error, asyncio.Event(), False

    async def _run(self) -> None:
        self.began.set()
        try:
            if self._error is not None:
                raise self._error
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_leaving_the_block_by_an_error_cancels_the_task_and_says_nothing() -> None:
    said: list[str] = []
    work = Working(None, said)

    async def training() -> None:
        async with work:
            await work.began.wait()
            raise KeyError("training")

    with pytest.raises(KeyError, match="training"):
        await training()
    assert work.cancelled
    assert said == []
    assert work.fault == ""
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "long-work"]


async def test_a_bug_ends_the_task_with_the_first_error_of_its_groups_and_nothing_else() -> None:
    said: list[str] = []
    error = ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError("deep")])])
    async with Working(error, said) as work:
        await work.began.wait()
        await asyncio.sleep(0)
    assert said == ["long work stopped, training goes on: ValueError('deep')"]
    assert work.fault == "ValueError('deep')"
    assert not work.cancelled
