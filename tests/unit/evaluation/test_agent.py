"""Evaluation asks every question, in order, exactly as often as told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sindbad.agent.trajectory import Trajectory
from sindbad.errors import EngineFailure, InvalidInput, Unavailable
from sindbad.evaluation.agent import EvaluationConfig, evaluate_agent
from sindbad.questions.question import Clue, Question
from sindbad.training.rollout import Ticket
from tests.unit.training.conftest import random_trajectory


def questions(count: int) -> list[Question]:
    clue = (Clue("a", "r", "?0"),)
    return [
        Question(f"q{n}", "w", "ar" if n % 2 else "en", "?", "chain", clue, "?0", "b", "B", hops=1 + n % 3)
        for n in range(count)
    ]


async def even_numbers_are_easy(ticket: Ticket) -> Trajectory:
    number = int(ticket.question.question_id[1:])
    right = number % 2 == 0 or (ticket.trajectory_id.endswith("1") and number % 4 == 1)
    return random_trajectory(ticket.trajectory_id, ticket.group_id, float(right))


async def test_single_attempts_give_a_wilson_interval_by_language_and_a_summary(tmp_path: Path) -> None:
    asked = questions(40)
    result = await evaluate_agent(even_numbers_are_easy, asked, EvaluationConfig(), name="t", journals=tmp_path)
    assert [outcome.question for outcome in result.outcomes] == asked
    assert result.success.value == 0.5
    assert result.by("language") == {"ar": 0.0, "en": 1.0}
    summary = result.summary()
    assert (summary.questions, summary.success) == (40, 0.5)


async def test_several_attempts_give_pass_at_k(tmp_path: Path) -> None:
    config = EvaluationConfig(attempts=2)
    result = await evaluate_agent(even_numbers_are_easy, questions(8), config, name="t", journals=tmp_path)
    assert result.pass_at(1) == pytest.approx((4 + 2 * 0.5) / 8)
    assert result.pass_at(2) == pytest.approx(6 / 8)


async def test_gains_are_paired_over_the_same_questions_only(tmp_path: Path) -> None:
    async def all_right(ticket: Ticket) -> Trajectory:
        return random_trajectory(ticket.trajectory_id, ticket.group_id, 1.0)

    config = EvaluationConfig()
    before = await evaluate_agent(even_numbers_are_easy, questions(40), config, name="a", journals=tmp_path)
    after = await evaluate_agent(all_right, questions(40), config, name="b", journals=tmp_path)
    assert after.gain_over(before).value == 0.5
    other = await evaluate_agent(all_right, questions(39), config, name="c", journals=tmp_path)
    with pytest.raises(InvalidInput, match="same questions"):
        after.gain_over(other)


async def test_a_question_that_cannot_be_completed_fails_the_evaluation(tmp_path: Path) -> None:
    async def broken(ticket: Ticket) -> Trajectory:
        raise EngineFailure("broken")

    with pytest.raises(Unavailable):
        await evaluate_agent(broken, questions(4), EvaluationConfig(), name="t", journals=tmp_path)
