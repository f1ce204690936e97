"""English trajectories in Arabic: real observations, evidence kept, and what loses it dropped and counted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.extract import RuleSummarizer
from sindbad.agent.prompts import load_prompts
from sindbad.agent.trajectory import Termination, Trajectory
from sindbad.corpus.trajectories import TrajectoryTranslation, translate_trajectories
from sindbad.demo.oracle import NO_NOISE
from sindbad.demo.rollouts import play
from sindbad.demo.sampler import sample_question
from sindbad.demo.world import build_world
from sindbad.languages import get_pack
from sindbad.retrieval.index import PageIndex, build
from sindbad.tools.environment import Environment
from sindbad.tools.render import Style
from sindbad.tools.simulated import simulated_environment
from sindbad.tools.toolbox import ToolboxSettings
from sindbad.translation.glossary import Glossary
from sindbad.translation.translator import Translator
from tests.unit.translation.scripted import Scripted, into_arabic, tokenizer

WORLD = build_world(21, entities=30)
GLOSSARIES = {WORLD.world_id: Glossary(WORLD.glossary())}
COMPACT = ToolboxSettings(style=Style.COMPACT)
AMPLE = AgentConfig(paradigm=Paradigm.RESUM, context_limit=4000)


@cache
def chat() -> ChatTokenizer:
    """The agent's renderer on the tiny tokenizer."""
    return ChatTokenizer.from_hf(tokenizer(), load_prompts("demo"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> PageIndex:
    folder = tmp_path_factory.mktemp("index") / "both"
    build([*WORLD.pages("en"), *WORLD.pages("ar")], folder)
    return PageIndex(folder)


async def english(environment: Environment, count: int = 12, config: AgentConfig = AMPLE) -> list[Trajectory]:
    rng = random.Random(4)
    questions = [sample_question(WORLD, "en", rng) for _ in range(count)]
    summarizer = RuleSummarizer()
    played = [
        await play(
            question, WORLD.names("en"), environment, chat(), config, summarizer=summarizer, noise=NO_NOISE
        )
        for question in questions
    ]  # fmt: skip
    return [trajectory for trajectory in played if trajectory.reward]


async def translated(trajectories: Sequence[Trajectory], environment: Environment, answer=into_arabic, **settings):  # type: ignore[no-untyped-def]
    return await translate_trajectories(
        trajectories, Translator(Scripted(answer), tokenizer()), environment, chat(), GLOSSARIES,
        agent=AMPLE, settings=TrajectoryTranslation(**settings),
    )  # fmt: skip


async def test_every_call_is_made_again_on_the_arabic_index_and_the_answer_is_the_right_name(index: PageIndex) -> None:
    environment = simulated_environment(index, COMPACT)
    source = await english(environment)
    kept, report = await translated(source, environment)
    assert len(source) >= 8
    assert (report.trajectories, report.kept, report.dropped) == (len(source), len(source), {})
    pack = get_pack("ar")
    for before, after in zip(source, kept, strict=True):
        assert (after.language, after.reward, after.termination) == ("ar", 1.0, Termination.ANSWER)
        assert after.answer == WORLD.glossary()[before.answer or ""]
        assert after.tool_calls == before.tool_calls
        for step in after.steps:
            assert pack.script_share(f"{step.thought} {step.observation}") > 0.9
        assert after.trajectory_id == f"{before.trajectory_id}-ar"


async def test_the_ids_are_a_fresh_rendering_of_the_arabic_turns_and_nobody_sampled_them(index: PageIndex) -> None:
    environment = simulated_environment(index, COMPACT)
    (kept, *_), _ = await translated((await english(environment))[:1], environment)
    (segment,) = kept.segments
    assert segment.prompt_ids == chat().segment_prompt(kept.question, "ar", tools=environment.tools)
    text = chat().text(segment.token_ids)
    assert all(f"<think>{step.thought}</think>" in text for step in kept.steps)
    assert set(segment.logprobs) == {None}
    assert set(segment.weight_versions) == {-1}
    own = [token for token, mask in zip(segment.token_ids, segment.loss_mask, strict=True) if mask]
    assert "<tool_response>" not in chat().text(own)


async def test_restarts_stay_where_they_were(index: PageIndex) -> None:
    environment = simulated_environment(index, COMPACT)
    tight = AgentConfig(paradigm=Paradigm.RESUM, context_limit=150, headroom_tokens=40, max_turn_tokens=60)
    source = [one for one in await english(environment, 30, tight) if one.summaries]
    assert source, "no attempt was long enough to restart"
    kept, _ = await translated(source, environment)
    for after in kept:
        before = next(one for one in source if f"{one.trajectory_id}-ar" == after.trajectory_id)
        assert [step.segment for step in after.steps] == [step.segment for step in before.steps]
        assert len(after.segments) == len(before.segments)
        assert after.segments[1].summary
        assert get_pack("ar").script_share(after.segments[1].summary) > 0.9
    assert kept


async def test_a_wrong_relation_in_a_thought_loses_the_evidence(index: PageIndex) -> None:
    environment = simulated_environment(index, COMPACT)

    def wrong(text: str, attempt: int) -> str:
        return into_arabic(text).replace("ولد في", "تقع في") if text.endswith(".") else into_arabic(text)

    source = await english(environment, 30)
    affected = [one for one in source if any("was born in" in step.thought for step in one.steps)]
    kept, report = await translated(source, environment, wrong)
    assert affected
    assert report.dropped == {"evidence_lost": len(affected)}
    assert len(kept) == len(source) - len(affected)


async def test_an_untranslated_text_and_a_wrong_answer_are_dropped_by_name(index: PageIndex) -> None:
    environment = simulated_environment(index, COMPACT)
    source = await english(environment, 4)
    failed = replace(source[0], reward=0.0)
    silent = replace(source[1], question="Which one?")
    kept, report = await translated(
        [failed, silent], environment, lambda text, attempt: "" if text == "Which one?" else into_arabic(text)
    )
    assert kept == []
    assert report.dropped == {"wrong_answer": 1, "translation": 1}


async def test_a_page_that_is_not_in_the_arabic_index_is_a_failed_call(tmp_path: Path, index: PageIndex) -> None:
    source = [one for one in await english(simulated_environment(index, COMPACT)) if one.question_kind == "chain"]
    build(WORLD.pages("en"), tmp_path / "english-only")
    kept, report = await translated(source, simulated_environment(tmp_path / "english-only", COMPACT))
    assert kept == []
    assert report.dropped == {"tool_failed": len(source)}


async def test_faults_of_the_source_stay_and_faults_of_today_are_tried_again(index: PageIndex) -> None:
    flaky = simulated_environment(index, COMPACT, fault_rate=0.25, seed=3)
    source = await english(flaky, 20)
    assert any(not step.ok for one in source for step in one.steps)
    kept, report = await translated(source, flaky, call_attempts=8)
    assert report.dropped == {}
    for before, after in zip(source, kept, strict=True):
        assert [step.ok for step in after.steps] == [step.ok for step in before.steps]
