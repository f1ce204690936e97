"""kill -9 at any journal write: a state machine over a learner, a background sampler and a generator.

A kill comes before, inside or after the line that is being written (the three things that kill -9 can do to one
write), at every write that the rules make. Beside the curator stands a model in plain Python.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sindbad.curation.curator import Curator
from sindbad.curation.journal import Event, EventJournal
from sindbad.curation.state import CuratorConfig, Outcome
from sindbad.curation.versions import DataSetStore, VersionRecorder
from sindbad.journal import Place
from tests.unit.curation.making import ENGLISH

POOL = [replace(ENGLISH, question_id=f"q{number}", text=f"q{number}?") for number in range(14)]
NAMES = [question.question_id for question in POOL]
CONFIG = CuratorConfig(refresh_every_steps=3, active_size=6)
KILLS = st.sampled_from(["no", "no", "before", "within", "after"])


class Killed(BaseException):
    """The process is gone: nothing above the write runs on."""


class DyingJournal(EventJournal):
    """Writes as a journal does; dies at the next write in the way it is told."""

    death = "no"

    def append(self, record: Event) -> Place:
        death, type(self).death = type(self).death, "no"
        if death == "before":
            raise Killed
        if death == "within":
            with self.path.open("ab") as file:
                file.write(b'{"event":"observe","outcomes":[["q')
            raise Killed
        place = super().append(record)
        if death == "after":
            raise Killed
        return place


class LivesOfACurator(RuleBasedStateMachine):
    """Whatever dies, the process that comes after asks for the same thing again, as the real ones do."""

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.chance = random.Random(seed)
        self.step, self.extended, self.kills = 0, 0, 0
        self.trained: list[tuple[str, ...]] = []
        self.solved: dict[tuple[int, str], int] = {}
        self.curator = self.opened()
        outcomes = [Outcome(name, 4, (0, 2, 2, 4)[number % 4]) for number, name in enumerate(NAMES)]
        self.surviving(lambda: self.curator.profile(outcomes, version=0), "no")

    def opened(self) -> Curator:
        root = Path(self.folder.name)
        store = DataSetStore(root / "datasets")
        return Curator(NAMES, CONFIG, root / "j.jsonl", on_change=VersionRecorder(store, POOL, writer="w"))

    def surviving(self, ask: object, death: str) -> object:
        """Ask; where the process dies, open the journal again and ask the same again."""
        with mock.patch("sindbad.curation.curator.EventJournal", DyingJournal):
            DyingJournal.death = "no"
            self.curator.close()
            self.curator = self.opened()
            DyingJournal.death = death
            try:
                return ask()  # type: ignore[operator]
            except Killed:
                self.kills += 1
                self.curator.close()
                self.curator = self.opened()
                return ask()  # type: ignore[operator]
            finally:
                DyingJournal.death = "no"

    @rule(drawing=KILLS, telling=KILLS, refreshing=KILLS)
    def train(self, drawing: str, telling: str, refreshing: str) -> None:
        batch = self.surviving(lambda: self.curator.next_batch(4, step=self.step), drawing)
        names = batch.question_ids  # type: ignore[attr-defined]
        outcomes = [Outcome(name, 4, self.chance.choice([0, 2, 4, 4])) for name in names]
        self.surviving(lambda: self.curator.observe(self.step, outcomes, version=self.step + 1), telling)
        self.surviving(lambda: self.curator.refresh_if_due(), refreshing)
        self.trained.append(names)
        self.solved |= {(self.step, item.question_id): item.solved for item in outcomes}
        self.step += 1

    @rule(death=KILLS)
    def sample_in_the_background(self, death: str) -> None:
        version = self.step + 1
        names = self.curator.background_candidates(2, version=version)
        outcomes = [Outcome(name, 4, self.chance.randint(0, 4)) for name in names]
        if outcomes:
            self.surviving(lambda: self.curator.observe_background(outcomes, version=version), death)

    @rule(death=KILLS)
    def synthesise(self, death: str) -> None:
        name = f"new{self.extended}"
        new = [replace(ENGLISH, question_id=name, text=name)]
        self.surviving(lambda: self.curator.extend(new, reason="synthesis"), death)
        self.extended += 1

    @rule()
    def draw_again(self) -> None:
        """A learner that was killed after its draw asks for the same step again."""
        for step, names in enumerate(self.trained):
            assert self.curator.next_batch(4, step=step).question_ids == names

    @invariant()
    def nothing_is_lost_and_nothing_comes_twice(self) -> None:
        state = self.curator.state
        joined = [f"new{number}" for number in range(self.extended)]
        assert state.pool == (*NAMES, *joined)
        assert {question.question_id for question in self.curator.joined} == set(joined)
        assert state.batches == dict(enumerate(self.trained))
        assert state.observed == set(self.solved)
        assert all(count == 1 for count in Counter(state.queue).values())
        assert set(state.queue) | state.seen >= set(state.active) or not state.queue
        assert not set(state.queue) & state.seen
        assert set(state.queue) <= set(state.active)

    @invariant()
    def every_change_is_one_version(self) -> None:
        change = self.curator.state.last_change
        log = DataSetStore(Path(self.folder.name) / "datasets").log()
        assert [item.event for item in log] == list(range(0 if change is None else change.number + 1))
        if log:
            assert log[-1].counts["active"] == len(self.curator.state.active)

    def teardown(self) -> None:
        if hasattr(self, "curator"):
            self.curator.close()
            self.folder.cleanup()


LivesOfACurator.TestCase.settings = settings(max_examples=12, stateful_step_count=14, deadline=None)
TestLivesOfACurator = pytest.mark.slow(LivesOfACurator.TestCase)


def test_a_kill_at_each_single_write_of_a_long_life_changes_nothing(tmp_path: Path) -> None:
    """The same script is lived once without kills, and once for every (write, kind of death)."""
    steady = _life(tmp_path / "steady", at=-1, death="no")
    writes = steady[1]
    assert writes > 20
    for at in range(writes):
        for death in ("before", "within", "after"):
            state, _ = _life(tmp_path / f"{at}-{death}", at=at, death=death)
            assert state == steady[0], (at, death)


def _life(folder: Path, *, at: int, death: str) -> tuple[object, int]:
    written, checkpoints = 0, list[int]()

    class Dying(DyingJournal):
        def append(self, record: Event) -> Place:
            nonlocal written
            number, written = written, written + 1
            type(self).death = death if number == at else "no"
            return super().append(record)

    with mock.patch("sindbad.curation.curator.EventJournal", Dying):
        for _ in range(2):
            try:
                with Curator(NAMES, CONFIG, folder / "j.jsonl") as curator:
                    return _lived(curator, checkpoints), written
            except Killed:
                pass
    raise AssertionError("killed twice")


def _lived(curator: Curator, checkpoints: list[int]) -> object:
    """A run: it resumes at the step after its last checkpoint, as a learner does."""
    curator.profile([Outcome(name, 4, (0, 2, 2, 4)[number % 4]) for number, name in enumerate(NAMES)])
    for step in range(len(checkpoints), 7):
        chance = random.Random(step)
        batch = curator.next_batch(4, step=step).question_ids
        curator.observe(step, [Outcome(name, 4, chance.choice([0, 2, 4, 4])) for name in batch], version=step)
        names = NAMES[2 * step : 2 * step + 2]
        curator.observe_background([Outcome(name, 4, 2) for name in names], version=step + 1)
        curator.refresh_if_due()
        curator.extend([replace(ENGLISH, question_id=f"new{step}", text=f"{step}")], reason="synthesis")
        checkpoints.append(step)
    return curator.state
