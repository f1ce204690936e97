"""An evaluation's folder: resumable, of one identity, figures from its rows alone, protected text not in the clear."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sindbad.agent.agent import Agent
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.trajectory import EnvironmentKind, Segment, Step, Termination, Trajectory
from sindbad.errors import Corrupt, EngineFailure, InvalidInput, Unavailable
from sindbad.evaluation.agent import EvaluationConfig
from sindbad.evaluation.attempts import read_attempts, write_attempts
from sindbad.evaluation.comparison import compare
from sindbad.evaluation.figures import figures_of, spread
from sindbad.evaluation.folder import ATTEMPTS, Result, begin_anew, read_result, run_evaluation
from sindbad.evaluation.identity import Identity
from sindbad.evaluation.metrics import pass_at_1, pass_at_k
from sindbad.evaluation.sets import QuestionSet, SetFormat
from sindbad.evaluation.tables import notes_of
from sindbad.judging.exact import ExactJudge
from sindbad.questions.question import Question
from sindbad.training.episode import agent_episode
from sindbad.training.rollout import Episode, Ticket
from tests.unit.agent.scripted import DictionaryTools, ScriptedPolicy, answer, make_chat

SECRET = "the hidden harbour"


def questions(count: int, canary: str = "") -> QuestionSet:
    asked = tuple(
        Question(f"q{n}", "w", "ar" if n % 2 else "en", f"Where is {SECRET} {n}?", "chain", (), "", "", f"Tavel {n}",
                 hops=1 + n % 3, uncertainty=("semantic",) if n % 4 == 0 else (), difficulty=1.0 + 2 * n)
        for n in range(count)
    )  # fmt: skip
    return QuestionSet("set", SetFormat.SINDBAD, asked, canary=canary)


def identity(of: QuestionSet, **other: object) -> Identity:
    told = {
        "name": "t", "question_set": of.name, "set_format": of.format, "questions": len(of.questions),
        "questions_digest": of.digest, "protected": of.protected, "agent": {"paradigm": "react", "context_limit": 160},
        "prompts_digest": "p", "environment": "simulated", "tools": ("search",), "policy": {"version": 3},
        "judge": "rule", "judge_style": "general", "seed": 1,
    }  # fmt: skip
    return Identity.model_validate({**told, **other})


class Asked:
    """An episode whose successes are a function of question and attempt; counts how often each attempt was made."""

    def __init__(self, right: Callable[[int, int], bool], fail_at: int | None = None) -> None:
        self.right, self.fail_at, self.made = right, fail_at, Counter[str]()

    async def __call__(self, ticket: Ticket) -> Trajectory:
        await asyncio.sleep(0)
        if self.fail_at is not None and len(self.made) >= self.fail_at:
            raise EngineFailure("gone")
        self.made[ticket.trajectory_id] += 1
        number, attempt = int(ticket.question.question_id[1:]), int(ticket.trajectory_id[-3:])
        right = self.right(number, attempt)
        segment = Segment([1, 2, 3])
        segment.append_sampled([4, 5], [-0.1, -0.2], [3, 3])
        question = ticket.question
        return Trajectory(
            ticket.trajectory_id, question.question_id, ticket.group_id, EnvironmentKind.SIMULATED, question.language,
            question.text, question.answer, [segment], [Step("act", 0, "searches", observation=question.answer)],
            question.answer if right else "elsewhere", float(right), "by hand", "exact", Termination.ANSWER, 1,
        )  # fmt: skip


async def evaluated(folder: Path, episode: Episode, of: QuestionSet, attempts: int = 1, **other: object) -> Result:
    return await run_evaluation(
        episode, of, EvaluationConfig(attempts=attempts, in_flight=4), identity(of, **other), folder
    )


async def test_figures_are_the_papers_and_come_back_from_the_table(tmp_path: Path) -> None:
    of = questions(12)
    right = lambda number, attempt: (number + attempt) % 3 == 0  # noqa: E731
    result = await evaluated(tmp_path / "e", Asked(right), of, attempts=3)
    runs = [[right(number, attempt) for number in range(12)] for attempt in range(3)]
    assert result.figures.pass_at_1.value == pytest.approx(pass_at_1(runs))
    assert result.figures.pass_at_k.value == pass_at_k(runs) == 1.0
    assert result.figures.unbiased[1].value == pytest.approx(result.figures.pass_at_1.value)
    assert result.figures.unbiased[2].value == pytest.approx(2 / 3)
    assert result.figures.unbiased[3].value == 1.0
    assert {name: cell.questions for name, cell in result.figures.by["language"].items()} == {"ar": 6, "en": 6}
    assert {name: cell.questions for name, cell in result.figures.by["uncertainty"].items()} == {
        "none": 9,
        "semantic": 3,
    }
    assert {name: cell.questions for name, cell in result.figures.by["difficulty"].items()} == {
        "00-03": 1, "03-06": 2, "06-09": 1, "09-12": 2, "12-15": 1, "15-20": 3, "20+": 2,
    }  # fmt: skip
    assert result.figures.use["tool_calls"].mean == 1.0
    assert sum(result.figures.failures.values()) == 24
    assert result.figures.weight_versions == (3,)
    again = read_result(tmp_path / "e")
    assert (again.attempts, again.figures, again.identity) == (result.attempts, result.figures, result.identity)


async def test_a_dial_from_nought_to_one_is_told_in_fifths(tmp_path: Path) -> None:
    of = questions(12)
    dialled = replace(of, questions=tuple(replace(one, difficulty=at / 11) for at, one in enumerate(of.questions)))
    result = await evaluated(tmp_path / "e", Asked(lambda number, _: number < 6), dialled)
    cells = result.figures.by["difficulty"]
    assert list(cells) == ["0.0–0.2", "0.2–0.4", "0.4–0.6", "0.6–0.8", "0.8–1.0"]
    assert [cell.questions for cell in cells.values()] == [3, 2, 2, 2, 3]
    assert [cell.pass_at_1.value for cell in cells.values()] == [1.0, 1.0, 0.5, 0.0, 0.0]


async def test_after_a_failure_nothing_finished_is_repeated_and_more_attempts_only_add(tmp_path: Path) -> None:
    of = questions(10)
    first = Asked(lambda *_: True, fail_at=6)
    with pytest.raises(Unavailable):
        await evaluated(tmp_path, first, of)
    assert len(first.made) == 6
    second = Asked(lambda *_: True)
    await evaluated(tmp_path, second, of)
    assert len(second.made) == 4
    assert not first.made.keys() & second.made.keys()
    third = Asked(lambda *_: False)
    result = await evaluated(tmp_path, third, of, attempts=3)
    assert len(third.made) == 20
    assert result.figures.pass_at_1.value == pytest.approx(1 / 3)
    with pytest.raises(InvalidInput, match="3 attempts"):
        await evaluated(tmp_path, third, of, attempts=2)


async def test_a_cancelled_evaluation_keeps_what_was_finished(tmp_path: Path) -> None:
    of, made = questions(30), Asked(lambda *_: True)

    async def slow(ticket: Ticket) -> Trajectory:
        if len(made.made) >= 12:
            await asyncio.sleep(30)
        return await made(ticket)

    task = asyncio.create_task(evaluated(tmp_path, slow, of))
    while len(made.made) < 12:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    rest = Asked(lambda *_: True)
    await evaluated(tmp_path, rest, of)
    assert len(rest.made) == 18


async def test_a_folder_is_of_one_identity_and_says_what_differs(tmp_path: Path) -> None:
    of = questions(4)
    await evaluated(tmp_path, Asked(lambda *_: True), of)
    with pytest.raises(InvalidInput, match=r"policy.version: 3 there, 4 now"):
        await evaluated(tmp_path, Asked(lambda *_: True), of, policy={"version": 4})
    with pytest.raises(InvalidInput, match="questions"):
        await evaluated(tmp_path, Asked(lambda *_: True), questions(5))
    begin_anew(tmp_path)
    again = Asked(lambda *_: True)
    await evaluated(tmp_path, again, questions(5))
    assert len(again.made) == 5


def test_beginning_anew_touches_only_evaluations(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text("{}")
    with pytest.raises(InvalidInput):
        begin_anew(tmp_path)
    assert (tmp_path / "figures.json").exists()


async def test_protected_questions_leave_no_readable_text_and_can_be_resumed(tmp_path: Path) -> None:
    of = questions(8, canary="a canary 42")
    with pytest.raises(Unavailable):
        await evaluated(tmp_path, Asked(lambda *_: True, fail_at=3), of)
    rest = Asked(lambda *_: True)
    result = await evaluated(tmp_path, rest, of)
    assert len(rest.made) == 5
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (SECRET, "Tavel", "elsewhere"):
        assert text.encode() not in everything
    assert all(item.question is None and item.answer is None for item in result.attempts)
    assert not (tmp_path / "trajectories").exists()
    with pytest.raises(Corrupt, match="canary"):
        await evaluated(tmp_path, rest, replace(of, canary="another"))


async def test_what_is_kept_in_the_clear_on_request_is_text_and_trajectories(tmp_path: Path) -> None:
    of = questions(2, canary="a canary 42")
    config = EvaluationConfig()
    result = await run_evaluation(Asked(lambda *_: True), of, config, identity(of), tmp_path, keep_text=True)
    assert result.attempts[0].question == f"Where is {SECRET} 0?"
    assert (tmp_path / "trajectories").is_dir()


async def test_two_evaluations_are_compared_in_pairs_by_language_and_unlike_sets_are_refused(tmp_path: Path) -> None:
    of = questions(40)
    before = await evaluated(tmp_path / "a", Asked(lambda number, _: number % 4 == 0), of)
    after = await evaluated(tmp_path / "b", Asked(lambda number, _: number % 4 == 0 or number % 4 == 1), of)
    found = compare(after, before)
    assert found.pass_at_1["all"].difference.value == pytest.approx(0.25)
    assert (found.pass_at_1["ar"].better, found.pass_at_1["en"].discordant) == (10, 0)
    assert found.pass_at_1["ar"].p_mcnemar == pytest.approx(2 / 2**10)
    assert found.adjusted["ar"] == pytest.approx(2 * 2 / 2**10)
    assert found.warnings == ()
    other = await evaluated(tmp_path / "c", Asked(lambda *_: True), questions(39), judge="service")
    with pytest.raises(InvalidInput, match="only in") as refused:
        compare(after, other)
    assert refused.value.reason == "UNLIKE_QUESTIONS"
    judged = await evaluated(tmp_path / "d", Asked(lambda *_: True), of, judge="service", attempts=2)
    warned = compare(judged, before)
    assert any("judged differently" in told for told in warned.warnings)
    assert warned.pass_at_k == {}


async def test_a_table_of_another_kind_or_with_uneven_attempts_is_refused(tmp_path: Path) -> None:
    result = await evaluated(tmp_path, Asked(lambda *_: True), questions(3), attempts=2)
    with pytest.raises(InvalidInput, match="attempts"):
        figures_of(result.attempts[:-1])
    write_attempts(tmp_path / "again.parquet", result.attempts)
    assert tuple(read_attempts(tmp_path / "again.parquet")) == result.attempts
    (tmp_path / ATTEMPTS).write_bytes(b"PAR1 no")
    with pytest.raises(Corrupt):
        read_result(tmp_path)


def test_a_spread_is_by_nearest_rank() -> None:
    found = spread([float(n) for n in range(1, 101)])
    assert (found.mean, found.median, found.p95, found.maximum) == (50.5, 50.5, 95.0, 100.0)
    assert spread([3.0]).p95 == 3.0


async def test_a_question_too_long_for_the_context_is_a_wrong_answer_with_its_reason(tmp_path: Path) -> None:
    of = questions(6)
    long = replace(of.questions[2], text="Which harbour? " * 200)
    of, chat = replace(of, questions=(*of.questions[:2], long, *of.questions[3:])), make_chat()

    async def episode(ticket: Ticket) -> Trajectory:
        policy = ScriptedPolicy(chat, [answer("known", ticket.question.answer)])
        agent = Agent(policy, DictionaryTools({}), chat, AgentConfig(paradigm=Paradigm.REACT, context_limit=2048))
        return await agent_episode(agent, ExactJudge())(ticket)

    result = await evaluated(tmp_path, episode, of)
    assert result.figures.pass_at_1.value == pytest.approx(5 / 6)
    (wrong,) = [item for item in result.attempts if not item.correct]
    assert (wrong.question_id, wrong.termination, wrong.environment) == ("q2", "context_exhausted", "simulated")
    assert "leaves no room under the limit of 2048" in str(wrong.verdict)
    assert wrong.failure == "budget"
    assert any("too long for the limits" in told and "1 (q2)" in told for told in notes_of(result))
    assert notes_of(read_result(tmp_path)) == notes_of(result)
