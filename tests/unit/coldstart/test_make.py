"""Nothing is attempted twice, nothing is lost, and what is kept depends on the attempts and the settings alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from sindbad.agent.trajectory import Trajectory
from sindbad.coldstart.configuration import ColdStartSettings, FilterSettings, ThoughtSettings
from sindbad.coldstart.journal import Attempted, AttemptJournal
from sindbad.coldstart.make import JOURNAL, Made, Workshop, make
from sindbad.coldstart.teachers import OracleTeacher
from sindbad.errors import Corrupt, InvalidInput, Unavailable
from sindbad.questions.question import Question
from tests.unit.coldstart import attempts
from tests.unit.coldstart.attempts import ids_of

place = partial(attempts.place, fault_rate=0.0)
"""Without faults, which an environment counts over its life, an attempt made again is the same attempt."""
TEMPLATE = ThoughtSettings(writer="template", max_tokens=60)


@dataclass
class Watched:
    """The oracle, counting; fails at the attempts named."""

    inner: OracleTeacher
    made: list[str] = field(default_factory=list)
    fails_at: int = -1
    most_at_once: int = 0
    at_once: int = 0
    name: str = "oracle"
    prefix: str = "demo"

    def identity(self) -> dict[str, str]:
        return self.inner.identity()

    async def attempt(self, question: Question, number: int) -> Trajectory:
        if len(self.made) == self.fails_at:
            raise Unavailable("gone")
        self.made.append(f"{question.question_id}-{number}")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001 * (hash(question.question_id) % 5))
        made = await self.inner.attempt(question, number)
        self.at_once -= 1
        return made


def shop(settings: ColdStartSettings | None = None, **changes: object) -> tuple[Workshop, Watched]:
    base = place().shop(settings)
    watched = Watched(place().teacher(), **changes)  # type: ignore[arg-type]
    return replace(base, teacher=watched), watched


async def run(folder: Path, workshop: Workshop, tests: tuple[Question, ...] = ()) -> tuple[Made, list[Trajectory]]:
    with AttemptJournal(folder / JOURNAL, workshop.journal_key()) as journal:
        made = await make(place().questions, tests, workshop, journal)
        return made, list(made.trajectories())


async def test_only_right_answers_are_kept_in_the_order_of_the_questions_and_every_attempt_is_counted(
    tmp_path: Path,
) -> None:
    workshop, watched = shop()
    made, kept = await run(tmp_path, workshop)
    assert kept
    assert all(one.reward == 1.0 for one in kept)
    order = [question.question_id for question in place().questions]
    assert [one.question_id for one in kept] == [name for name in order if name in {one.question_id for one in kept}]
    counts = made.counts
    assert counts.filters.attempts == len(watched.made) == counts.kept + sum(counts.filters.refused.values())
    assert sum(counts.outcomes.values()) == counts.filters.attempts
    assert counts.kept == counts.solved == len(kept) == counts.outcomes["correct"]
    assert counts.trained_tokens == sum(sum(s.loss_mask) for one in kept for s in one.segments)


async def test_a_second_attempt_is_made_only_where_the_first_was_not_kept(tmp_path: Path) -> None:
    workshop, watched = shop(ColdStartSettings(attempts=3))
    _, kept = await run(tmp_path, workshop)
    solved = {one.trajectory_id.removeprefix("demo-") for one in kept}
    for question in place().questions:
        numbers = [name for name in watched.made if name.rpartition("-")[0] == question.question_id]
        assert numbers == [f"{question.question_id}-{number}" for number in range(len(numbers))]
        assert numbers[-1] in solved or len(numbers) == 3


async def test_a_finished_run_makes_no_attempt_again_and_keeps_the_same(tmp_path: Path) -> None:
    _, first = await run(tmp_path, shop(ColdStartSettings(thoughts=TEMPLATE))[0])
    again, watched = shop(ColdStartSettings(thoughts=TEMPLATE, in_flight=1))
    _, second = await run(tmp_path, again)
    assert watched.made == []
    assert [ids_of(one) for one in second] == [ids_of(one) for one in first]


async def test_after_a_failed_platform_only_what_is_missing_is_made(tmp_path: Path) -> None:
    broken, before = shop(fails_at=7)
    with pytest.raises(Unavailable):
        await run(tmp_path, broken)
    workshop, after = shop()
    _, kept = await run(tmp_path, workshop)
    whole, all_of_it = shop()
    _, expected = await run(tmp_path / "other", whole)
    assert not {name for name in after.made if f"demo-{name}" in _stored(tmp_path)[: _count(before)]}
    assert [ids_of(one) for one in kept] == [ids_of(one) for one in expected]
    assert len(_stored(tmp_path)) == len(set(_stored(tmp_path))) == len(all_of_it.made)


def _count(watched: Watched) -> int:
    return len(watched.made) - watched.at_once


def _stored(folder: Path) -> list[str]:
    rows = map(json.loads, (folder / JOURNAL).read_text("utf-8").splitlines())
    return [row["id"] for row in rows if row["kind"] == "attempt"]


async def test_an_attempt_at_another_question_of_the_same_id_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    """`questions make` gives the same ids for the same seed, whatever the mix."""
    ours, others = place().questions[:6], place().questions[6:12]
    renamed = [replace(theirs, question_id=mine.question_id) for mine, theirs in zip(ours, others, strict=True)]
    odd = replace(ours[0], question_id="odd", kind="superlative")
    known = replace(ours[1], question_id="odd")
    for asked, paid in (([*ours, odd], True), ([*renamed, known], True), ([*renamed, known], False), (ours, False)):
        workshop, watched = shop(ColdStartSettings(thoughts=TEMPLATE))
        with AttemptJournal(tmp_path / JOURNAL, workshop.journal_key()) as journal:
            made = await make(asked, (), workshop, journal)
            kept = list(made.trajectories())
        texts = {question.question_id: (question.text, question.answer) for question in asked}
        assert bool(watched.made) == paid
        assert len(kept) >= 4
        assert all((one.question, one.gold_answer) == texts[one.question_id] for one in kept)
        assert made.counts.refused == ({"UNKNOWN_KIND": 1} if odd in asked else {})


async def test_a_journal_from_before_questions_were_compared_keeps_what_was_paid_for(tmp_path: Path) -> None:
    _, first = await run(tmp_path, shop(ColdStartSettings(thoughts=TEMPLATE))[0])
    rows = [json.loads(line) for line in (tmp_path / JOURNAL).read_text("utf-8").splitlines()]
    assert any(row.pop("about", "") for row in rows if row["kind"] == "thoughts")
    (tmp_path / JOURNAL).write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = (tmp_path / JOURNAL).read_bytes()
    _, second = await run(tmp_path, shop(ColdStartSettings(thoughts=TEMPLATE))[0])
    assert [ids_of(one) for one in second] == [ids_of(one) for one in first]
    assert (tmp_path / JOURNAL).read_bytes() == before


async def test_another_filter_costs_no_attempt(tmp_path: Path) -> None:
    settings = ColdStartSettings(attempts=1)
    await run(tmp_path, shop(settings)[0])
    strict = settings.model_copy(update={"filters": FilterSettings(more_calls_than=2, good_end=True)})
    workshop, watched = shop(strict)
    made, kept = await run(tmp_path, workshop)
    assert watched.made == []
    assert made.counts.filters.refused["tool_calls"] > 0
    assert all(one.tool_calls > 2 for one in kept)


async def test_no_more_questions_are_in_flight_than_allowed(tmp_path: Path) -> None:
    workshop, watched = shop(ColdStartSettings(in_flight=3))
    await run(tmp_path, workshop)
    assert watched.most_at_once == 3


async def test_thoughts_are_rewritten_and_counted_and_the_mask_follows_them(tmp_path: Path) -> None:
    made, kept = await run(tmp_path, shop(ColdStartSettings(thoughts=TEMPLATE))[0])
    assert made.counts.thoughts["template"] == sum(step.kind in {"act", "answer"} for one in kept for step in one.steps)
    assert (
        made.counts.kept + sum(made.counts.thought_faults.values()) + sum(made.counts.filters.refused.values())
        == made.counts.filters.attempts
    )


async def test_questions_of_the_test_set_are_never_attempted(tmp_path: Path) -> None:
    first = place().questions[0]
    workshop, watched = shop()
    made, kept = await run(tmp_path, workshop, (replace(first, question_id="test", world_id="elsewhere"),))
    assert not [name for name in watched.made if name.startswith(f"{first.question_id}-")]
    assert made.counts.asked == len(place().questions) - sum(made.counts.decontamination.removed.values())
    assert first.question_id not in {one.question_id for one in kept}


async def test_a_kind_that_the_oracle_does_not_know_is_counted_and_not_asked_twice(tmp_path: Path) -> None:
    odd = replace(place().questions[0], kind="superlative")
    workshop, _ = shop()
    for _ in range(2):
        with AttemptJournal(tmp_path / JOURNAL, workshop.journal_key()) as journal:
            made = await make([odd], (), workshop, journal)
        assert made.counts.refused == {"UNKNOWN_KIND": 1}
        assert made.counts.filters.attempts == 0


async def test_a_teacher_that_can_be_asked_nothing_ends_the_run_and_is_not_written_down(tmp_path: Path) -> None:
    class Misconfigured(Watched):
        async def attempt(self, question: Question, number: int) -> Trajectory:
            raise InvalidInput("no such parameter")

    workshop, _ = shop()
    with pytest.raises(InvalidInput, match="no such parameter"):
        await run(tmp_path, replace(workshop, teacher=Misconfigured(place().teacher())))
    assert _stored(tmp_path) == []
    made, _ = await run(tmp_path, workshop)
    assert made.counts.refused == {}


def test_a_journal_of_another_teacher_is_refused_and_a_second_writer_too(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    with AttemptJournal(path, "one"):
        with pytest.raises(InvalidInput) as busy:
            AttemptJournal(path, "one")
        assert busy.value.reason == "JOURNAL_BUSY"
    with pytest.raises(InvalidInput) as other:
        AttemptJournal(path, "two")
    assert other.value.reason == "OTHER_SETTINGS"
    AttemptJournal(path, "one").close()


def test_a_torn_last_line_is_cut_off_and_a_broken_line_within_is_corrupt(tmp_path: Path) -> None:
    path, first, second = tmp_path / JOURNAL, Attempted.at("a", "one?", "1"), Attempted.at("b", "two?", "2")
    with AttemptJournal(path, "one") as journal:
        journal.refuse(first, "UNKNOWN_KIND")
    with path.open("a") as file:
        file.write('{"kind": "refused", "id": "b", "wh')
    with AttemptJournal(path, "one") as journal:
        assert journal.attempt(first) == "UNKNOWN_KIND"
        assert journal.attempt(second) is None
        journal.refuse(second, "LATER")
    with AttemptJournal(path, "one") as journal:
        assert journal.attempt(second) == "LATER"
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(Corrupt):
        AttemptJournal(path, "one")


CHILD = """
import asyncio, sys
from pathlib import Path
from sindbad.coldstart.journal import AttemptJournal
from sindbad.coldstart.make import JOURNAL, make
from tests.unit.coldstart.test_make import place, shop

async def main(folder):
    workshop, _ = shop()
    with AttemptJournal(folder / JOURNAL, workshop.journal_key()) as journal:
        made = await make(place().questions, (), workshop, journal)
        print(made.counts.kept, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_run_killed_with_kill_9_goes_on_where_it_was_and_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    def start(folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True)

    journal = tmp_path / "killed" / JOURNAL
    child = start(tmp_path / "killed")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not journal.exists() or journal.read_bytes().count(b"\n") < 4):
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert 3 <= len(_stored(tmp_path / "killed")) <= len(place().questions) * 2
    for folder in ("killed", "whole"):
        assert start(tmp_path / folder).communicate(timeout=120)[0].strip().isdigit()
    assert len(_stored(tmp_path / "killed")) == len(set(_stored(tmp_path / "killed")))
    assert set(_stored(tmp_path / "killed")) == set(_stored(tmp_path / "whole"))
