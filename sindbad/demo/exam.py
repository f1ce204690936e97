"""How good is a tiny agent? The real agent loop, the real engine, worlds it has never seen."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from sindbad.agent.agent import Agent
from sindbad.agent.config import AgentConfig, Paradigm, Sampling
from sindbad.agent.extract import RuleSummarizer
from sindbad.agent.summarize import Summarizer, Writer
from sindbad.agent.summary_models import FallbackSummarizer, LanguageModelSummarizer
from sindbad.agent.trajectory import Trajectory
from sindbad.demo.practice import demo_tokenizer, environment_over
from sindbad.demo.rollouts import judged, task_of
from sindbad.demo.sampler import sample_question
from sindbad.demo.world import build_world
from sindbad.engines.protocol import Generator
from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings
from sindbad.questions.question import Question
from sindbad.tools.environment import Environment

EXAM_SEEDS = range(900_000, 900_010)
"""Worlds of the exam; no training uses seeds from here on."""
AMPLE = 512


@dataclass(frozen=True, slots=True)
class ExamConfig:
    """``temperature`` 0 is greedy; ``summarizer`` is "rules" or "self" (with the rules to fall back on)."""

    language: str = "en"
    questions: int = 200
    temperature: float = 0.0
    paradigm: Paradigm = Paradigm.REACT
    context_limit: int = AMPLE
    summarizer: str = "rules"
    fault_rate: float = 0.05
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True, slots=True)
class ExamResult:
    """``by_cell``: "chain/3" -> (success, questions). ``tokens`` is the mean over attempts, all segments."""

    success: float
    by_cell: dict[str, tuple[float, int]]
    tokens: float
    trajectories: tuple[Trajectory, ...] = field(repr=False, default=())


def examine(model_dir: str | Path, config: ExamConfig) -> ExamResult:
    """One attempt at each of ``config.questions`` questions over the exam's worlds."""
    worlds = [build_world(seed) for seed in EXAM_SEEDS]
    rng = random.Random(f"exam-{config.seed}")
    questions = [sample_question(rng.choice(worlds), config.language, rng) for _ in range(config.questions)]
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_over(worlds, folder, fault_rate=config.fault_rate, seed=config.seed)
        made = asyncio.run(_attempt_all(Path(model_dir), environment, questions, config))
    return _result(questions, made)


async def _attempt_all(
    model_dir: Path, environment: Environment, questions: Sequence[Question], config: ExamConfig
) -> list[Trajectory]:
    engine = TransformersEngine(TransformersEngineSettings(threads=config.threads, max_context=1024))
    await engine.start()
    try:
        await engine.load(model_dir, 1)
        agent = _agent(engine, environment, config)
        gate = asyncio.Semaphore(64)

        async def one(number: int, question: Question) -> Trajectory:
            async with gate:
                return judged(await agent.run(task_of(question, number), seed=config.seed), question)

        return list(await asyncio.gather(*(one(number, question) for number, question in enumerate(questions))))
    finally:
        await engine.close()


def _agent(engine: Generator, environment: Environment, config: ExamConfig) -> Agent:
    tokenizer = demo_tokenizer()
    choices = AgentConfig(
        paradigm=config.paradigm,
        context_limit=config.context_limit,
        trigger_fraction=0.7,
        max_tool_calls=12,
        max_turn_tokens=64,
        max_summary_tokens=96,
        sampling=Sampling(temperature=config.temperature),
    )
    summarizer: Summarizer = RuleSummarizer()
    if config.summarizer == "self":
        own = LanguageModelSummarizer(
            engine,
            tokenizer,
            Writer.POLICY,
            context_limit=AMPLE,
            max_tokens=96,
            sampling=Sampling(temperature=config.temperature),
        )
        summarizer = FallbackSummarizer(own, summarizer)
    return Agent(engine, environment, tokenizer, choices, summarizer)


def _result(questions: Sequence[Question], made: Sequence[Trajectory]) -> ExamResult:
    cells: dict[str, list[float]] = defaultdict(list)
    for question, trajectory in zip(questions, made, strict=True):
        cells[f"{question.kind}/{question.hops}"].append(trajectory.reward or 0.0)
    rewards = [reward for group in cells.values() for reward in group]
    tokens = fmean(sum(len(segment) for segment in trajectory.segments) for trajectory in made)
    by_cell = {cell: (fmean(group), len(group)) for cell, group in sorted(cells.items())}
    return ExamResult(fmean(rewards), by_cell, tokens, tuple(made))
