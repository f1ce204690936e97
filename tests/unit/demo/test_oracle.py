from __future__ import annotations

import random
from pathlib import Path

import pytest

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.extract import RuleSummarizer
from sindbad.agent.parsing import TurnKind, parse_turn
from sindbad.agent.trajectory import Termination
from sindbad.demo.oracle import NO_NOISE, OracleNoise, OraclePolicy
from sindbad.demo.practice import attempts, demo_tokenizer, environment_over
from sindbad.demo.rollouts import play
from sindbad.demo.sampler import MIX, sample_question
from sindbad.demo.world import World, build_world
from sindbad.languages import LANGUAGES, get_pack
from sindbad.questions.question import Question
from sindbad.tools.environment import Environment


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(11)


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return demo_tokenizer()


@pytest.fixture(scope="module")
def flaky(world: World, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return environment_over([world], tmp_path_factory.mktemp("flaky"), fault_rate=0.1)


@pytest.fixture(scope="module")
def steady(world: World, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return environment_over([world], tmp_path_factory.mktemp("steady"), fault_rate=0.0)


def questions(world: World, language: str, count: int) -> list[Question]:
    rng = random.Random(5)
    return [sample_question(world, language, rng) for _ in range(count)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_sampled_questions_have_one_answer_and_every_form_of_the_mix_occurs(world: World, language: str) -> None:
    made = questions(world, language, 400)
    assert {(question.kind, question.hops) for question in made} == set(MIX)
    for question in made:
        bindings = [{question.clues[0].subject: entity.entity_id} for entity in world.entities]
        if not question.clues[0].subject.startswith("?"):
            bindings = [{}]
        for clue in question.clues:
            bindings = [after for before in bindings for after in _matches(world, clue.subject, clue, before)]
        assert {binding[question.target] for binding in bindings} == {question.answer_id}
        assert question.text.endswith(get_pack(language).question_mark)


def _matches(world: World, subject: str, clue: object, binding: dict[str, str]) -> list[dict[str, str]]:
    relation, wanted = clue.relation, clue.object  # type: ignore[attr-defined]
    found = world.objects(binding.get(subject, subject), relation)
    return [{**binding, wanted: o} for o in found if wanted.startswith("?") or o == wanted]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("limit", [512, 192])
async def test_without_noise_it_answers_nearly_everything_also_through_restarts_and_tool_errors(
    world: World, flaky: Environment, tokenizer: ChatTokenizer, language: str, limit: int
) -> None:
    config = AgentConfig(
        paradigm=Paradigm.REACT if limit == 512 else Paradigm.RESUM, context_limit=limit, trigger_fraction=0.7
    )
    played = [
        await play(
            question, world.names(language), flaky, tokenizer, config, summarizer=RuleSummarizer(), noise=NO_NOISE
        )
        for question in questions(world, language, 40)
    ]
    assert sum(trajectory.reward or 0.0 for trajectory in played) >= 37
    assert all(trajectory.format_ok for trajectory in played)
    assert all(len(segment) <= limit for trajectory in played for segment in trajectory.segments)
    assert any(trajectory.summaries for trajectory in played) == (limit == 192)


async def test_noise_makes_some_attempts_fail_and_an_attempt_repeats_by_its_number(
    world: World, steady: Environment, tokenizer: ChatTokenizer
) -> None:
    config = AgentConfig(paradigm=Paradigm.REACT, context_limit=512)
    noise = OracleNoise(wrong_read=0.3, skip_verification=0.5, give_up=0.5)

    async def once(question: Question) -> tuple[str | None, float | None]:
        trajectory = await play(question, world.names("en"), steady, tokenizer, config, noise=noise, attempt=1)
        return trajectory.answer, trajectory.reward

    some = questions(world, "en", 30)
    first = [await once(question) for question in some]
    assert 0 < sum(reward or 0.0 for _, reward in first) < 30
    assert first[0] == await once(some[0])


async def test_without_a_summary_a_tight_limit_ends_long_questions(
    world: World, flaky: Environment, tokenizer: ChatTokenizer
) -> None:
    config = AgentConfig(paradigm=Paradigm.REACT, context_limit=160)
    longest = [question for question in questions(world, "en", 300) if question.hops == 4][:5]
    for question in longest:
        trajectory = await play(question, world.names("en"), flaky, tokenizer, config, noise=NO_NOISE)
        assert trajectory.termination is Termination.CONTEXT_EXHAUSTED


def test_its_turns_are_in_the_agents_dialect(world: World) -> None:
    question = next(q for q in questions(world, "en", 50) if q.kind == "chain")
    oracle = OraclePolicy(question, world.names("en"), NO_NOISE)
    turn = parse_turn(oracle.next_turn(None).text)
    assert turn.kind is TurnKind.CALL
    assert turn.call is not None
    assert turn.call.name == "visit"
    assert not turn.violations
    page = world.page(question.clues[0].subject, "en").text
    assert world.sentence(world.facts_of[question.clues[0].subject][0], "en") in page
    assert parse_turn(oracle.next_turn(page).text).thought in page


def test_practice_keeps_correct_attempts_only_with_loss_on_what_the_assistant_wrote() -> None:
    practice = attempts(range(100_000, 100_003), 30, restarted=0.5)
    kept = sum(count for key, count in practice.counts.items() if key.endswith("/kept"))
    assert 15 <= kept <= 30
    assert len(practice.examples) >= kept
    tokenizer = demo_tokenizer()
    written = tokenizer.text([t for e in practice.examples for t, m in zip(e.input_ids, e.loss_mask, strict=True) if m])
    assert "<tool_response>" not in written
    assert written.startswith("<think>")
    assert "<summary>" in written


def test_the_practice_index_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    attempts(range(100_000, 100_001), 2)
    assert not list(tmp_path.iterdir())
