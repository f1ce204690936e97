"""What failed, and what was asked for because of it, outlives a kill of the learner."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sindbad.curation.curator import Curator
from sindbad.curation.feedback import DemandConfig, FailureTally
from sindbad.curation.standing import Standing
from sindbad.curation.state import CuratorConfig, Outcome
from sindbad.curation.targeted import TargetedConfig, TargetedSynthesis
from sindbad.errors import Corrupt
from sindbad.questions.demand import Demand
from sindbad.questions.question import Question
from tests.unit.curation.making import ENGLISH, FIRST, act, answer, attempt

NEW = [replace(ENGLISH, question_id=f"w-q{number}-en", text=f"Question {number}?") for number in range(2)]


@dataclass
class Maker:
    """Makes two questions a demand, when it may."""

    may: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[Demand, int]] = field(default_factory=list)

    def __call__(self, demand: Demand, seed: int) -> Sequence[Question]:
        self.asked.append((demand, seed))
        self.may.wait(20)
        return NEW


def ready() -> Maker:
    made = Maker()
    made.may.set()
    return made


class Life:
    """One process: curator and synthesis over what an earlier one left. Leaving it writes nothing, as kill -9."""

    def __init__(self, folder: Path, maker: Maker, attempts: int = 4) -> None:
        self.curator = Curator([ENGLISH.question_id], CuratorConfig(), folder / "j.jsonl")
        self.curator.profile([Outcome(ENGLISH.question_id, 4, 2)])
        config = TargetedConfig(demand=DemandConfig(min_attempts=attempts))
        self.file = folder / "synthesis.json"
        self.synthesis = TargetedSynthesis(self.curator, lambda _: ENGLISH, maker, config, kept=self.file)

    async def __aenter__(self) -> Life:
        await self.synthesis.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.synthesis.__aexit__(None, None, None)
        self.curator.close()

    def step(self, number: int) -> None:
        self.synthesis.observe([attempt(ENGLISH, said="?", name=f"rl-{number}-{member}") for member in (0, 1)])

    async def until(self, done: Callable[[Standing], bool]) -> Standing:
        async with asyncio.timeout(10):
            while (now := Standing.read(self.file)) is None or not done(now):  # noqa: ASYNC110 - it waits for a thread's work
                await asyncio.sleep(0.005)
        return now


async def test_failures_counted_before_a_kill_are_in_the_demand_after_it_and_a_repeated_step_counts_once(
    tmp_path: Path,
) -> None:
    async with Life(tmp_path, ready()) as life:
        life.step(0)
        await life.until(lambda now: now.tally.judged == 2)
    async with Life(tmp_path, ready()) as life:
        life.step(0)  # killed before its checkpoint, the learner repeats it
        life.step(1)
        await life.until(lambda now: now.tally.judged >= 4)
    maker = ready()
    async with Life(tmp_path, maker) as life:
        life.curator.refresh("steps")
        life.synthesis.observe([])
        await life.until(lambda now: now.pending is None and now.answered > 0)
        assert len(life.curator.joined) == 2
    assert maker.asked[0][0].wants[0].why.endswith("4 of 4 attempts")


async def test_a_refresh_that_a_kill_kept_from_being_heard_of_is_answered_after_it(tmp_path: Path) -> None:
    async with Life(tmp_path, ready()) as life:
        life.step(0)
        life.step(1)
        await life.until(lambda now: now.tally.judged == 4)
        life.curator.refresh("steps")
    maker = ready()
    async with Life(tmp_path, maker) as life:
        life.step(1)
        await life.until(lambda now: now.pending is None and now.answered > 0)
        assert len(life.curator.joined) == 2
    assert len(maker.asked) == 1


async def test_a_demand_that_was_being_met_when_the_process_died_is_met_once(tmp_path: Path) -> None:
    stuck, maker, idle = Maker(), ready(), ready()
    async with Life(tmp_path, stuck, attempts=2) as life:
        life.step(0)
        life.curator.refresh("steps")
        life.synthesis.observe([])
        before = await life.until(lambda now: now.pending is not None)
        async with asyncio.timeout(10):
            while not stuck.asked:  # noqa: ASYNC110 - it waits for a thread's work
                await asyncio.sleep(0.005)
    stuck.may.set()
    async with Life(tmp_path, maker, attempts=2) as life:
        await life.until(lambda now: now.pending is None)
        names = [question.question_id for question in life.curator.joined]
        assert names == ["w-s1-q0-en", "w-s1-q1-en"] or names == ["w-s1-q1-en", "w-s1-q0-en"]
    assert maker.asked == stuck.asked
    before.save(tmp_path / "synthesis.json")  # killed once more, after the curator's journal and before this file
    async with Life(tmp_path, idle, attempts=2) as life:
        await life.until(lambda now: now.pending is None)
        assert len(life.curator.joined) == 2
    assert idle.asked == []


def test_a_tally_comes_back_as_it_was_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    made = FailureTally()
    for number, said in enumerate(("?", ENGLISH.answer, None)):
        reward = float(said == ENGLISH.answer)
        made.add(attempt(ENGLISH, [act(FIRST), answer("x")], said=said, reward=reward, name=f"t{number}"), ENGLISH)
    assert FailureTally.from_record(made.to_record()) == made
    assert made.solved == 1
    assert made.causes
    file = tmp_path / "s.json"
    Standing(3, made, frozenset({"a"})).save(file)
    assert Standing.read(file) == Standing(3, made, frozenset({"a"}))
    file.write_text('{"answered": 3}')
    with pytest.raises(Corrupt, match="remove it"):
        Standing.read(file)
