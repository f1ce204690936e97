from __future__ import annotations

import asyncio
import random

import pytest

from services.runtime.admission import Admission
from sindbad.errors import Overloaded


async def test_waiters_are_woken_in_order() -> None:
    admission, order = Admission(1, 10), []

    async def work(number: int) -> None:
        await admission.acquire()
        order.append(number)
        await asyncio.sleep(0)
        admission.release()

    await asyncio.gather(*(work(number) for number in range(6)))
    assert order == list(range(6))
    assert admission.running == 0


async def test_one_too_many_is_turned_away() -> None:
    admission = Admission(1, 0)
    await admission.acquire()
    with pytest.raises(Overloaded):
        await admission.acquire()


async def test_a_slot_that_arrives_with_the_cancellation_is_passed_on() -> None:
    admission = Admission(1, 2)
    await admission.acquire()
    first, second = asyncio.create_task(admission.acquire()), asyncio.create_task(admission.acquire())
    await asyncio.sleep(0)
    admission.release()
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert (admission.running, admission.waiting) == (1, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_no_slot_is_lost_or_made_whatever_is_cancelled(seed: int) -> None:
    rng, admission, most = random.Random(seed), Admission(3, 1000), 0

    async def work() -> None:
        nonlocal most
        await admission.acquire()
        most = max(most, admission.running)
        try:
            await asyncio.sleep(rng.random() / 1000)
        finally:
            admission.release()

    tasks = [asyncio.create_task(work()) for _ in range(200)]
    for task in tasks:
        await asyncio.sleep(0)
        if rng.random() < 0.4:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (admission.running, admission.waiting, most) == (0, 0, 3)
