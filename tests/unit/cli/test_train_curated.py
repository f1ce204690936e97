"""`sindbad train grpo` with a curator: what it was killed in, the same command goes on with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sindbad.agent.trajectory import Trajectory
from sindbad.cli.train_questions import question_source
from sindbad.training.configuration import RunPaths
from sindbad.training.metrics import read_metrics
from sindbad.training.publish import StorePublisher
from sindbad.training.recipe import GRPOStage
from sindbad.training.rollout import Ticket
from sindbad.training.run import GRPOResult, run_grpo
from sindbad.weights import WeightStore
from tests.unit.training.conftest import random_trajectory, tiny_model
from tests.unit.training.toy import QUESTIONS, toy_config


class Killed(BaseException):
    """The process is gone: nothing above runs on."""


async def train(run: Path, attempted: Callable[[Ticket], None]) -> GRPOResult:
    """The command, with made-up attempts: every second one at a question is right."""
    given = {
        "kind": "grpo", "name": "rl", "model": "m", "questions": "q", "curator": {}, "profile_attempts": 2,
        "grpo": toy_config(2).model_dump(),
    }  # fmt: skip
    stage = GRPOStage.model_validate(given)
    paths, model = RunPaths.under(run, "rl"), tiny_model()
    if not (run / "base").exists():
        model.save_pretrained(str(run / "base"))

    async def episode(ticket: Ticket) -> Trajectory:
        attempted(ticket)
        right = float(ticket.trajectory_id[-1] in "02468")
        made = random_trajectory(ticket.trajectory_id, ticket.group_id, right, version=ticket.min_version)
        made.question_id = ticket.question.question_id
        return made

    publisher = StorePublisher(WeightStore(run / "models" / "rl"), run / "base", learner="rl")
    async with question_source(stage, list(QUESTIONS), paths, run, episode) as (source, published):
        return await run_grpo(
            stage.grpo, model, episode=episode, questions=source, publisher=publisher, paths=paths, stage="rl",
            on_published=published,
        )  # fmt: skip


@pytest.mark.slow
async def test_a_run_killed_in_its_profile_goes_on_with_the_profile_and_then_trains(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def dying(ticket: Ticket) -> None:
        if len(asked) == 5:
            raise Killed
        asked[ticket.trajectory_id] += 1

    with pytest.raises(BaseException) as told:
        await train(tmp_path, dying)
    assert "Killed" in repr(told.value)
    assert read_metrics(RunPaths.under(tmp_path, "rl").metrics) == []

    def counted(ticket: Ticket) -> None:
        asked[ticket.trajectory_id] += 1

    result = await train(tmp_path, counted)
    assert (result.steps, result.version) == (2, 3)
    profile = {name: times for name, times in asked.items() if name.startswith("rl-profile")}
    assert len(profile) == 2 * len(QUESTIONS)
    assert set(profile.values()) == {1}
