"""Oracle attempts as training examples: worlds, their index, many attempts, the successful ones kept.

A few processes' worth of work is done in one; :func:`attempts` is a plain function of its arguments, so that a caller
may run it in another process while the drills train.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.extract import RuleSummarizer
from sindbad.agent.prompts import load_prompts
from sindbad.agent.summarize import Writer
from sindbad.agent.summary_models import LanguageModelSummarizer
from sindbad.agent.summary_pairs import summary_pairs, to_training_example
from sindbad.agent.trajectory import Trajectory
from sindbad.demo.oracle import OracleNoise
from sindbad.demo.rollouts import play
from sindbad.demo.sampler import sample_question
from sindbad.demo.tokenizer import build_tokenizer
from sindbad.demo.world import World, build_world
from sindbad.engines.protocol import Generator
from sindbad.languages import LANGUAGES
from sindbad.retrieval.index import build
from sindbad.tools.environment import Environment
from sindbad.tools.render import Style
from sindbad.tools.simulated import simulated_environment
from sindbad.tools.toolbox import ToolboxSettings
from sindbad.training.examples import Example, examples_of_trajectories

TOOLS = ToolboxSettings(style=Style.COMPACT, top_k=3)
"""How the demo's tools answer a tiny model."""
SEGMENT_LIMITS = (128, 160, 192, 224)


@dataclass(frozen=True, slots=True)
class Practice:
    """Examples kept by rejection sampling, and what was counted on the way ("en/chain/2/kept", …)."""

    examples: tuple[Example, ...]
    counts: dict[str, int] = field(default_factory=dict)


def demo_tokenizer() -> ChatTokenizer:
    """The tiny tokenizer with the demo's prompts."""
    return ChatTokenizer.from_hf(build_tokenizer(), load_prompts("demo"))


def environment_over(worlds: Iterable[World], folder: str | Path, *, fault_rate: float, seed: int = 0) -> Environment:
    """A simulated environment whose index (written below ``folder``) holds the worlds' pages in both languages."""
    target = Path(folder) / "index"
    build((page for world in worlds for code in LANGUAGES for page in world.pages(code)), target)
    return simulated_environment(target, TOOLS, fault_rate=fault_rate, seed=seed)


def attempts(
    world_seeds: Sequence[int],
    count: int,
    *,
    language: str = "en",
    seed: int = 0,
    fault_rate: float = 0.05,
    noise: OracleNoise | None = None,
    restarted: float = 0.35,
) -> Practice:
    """``count`` noisy attempts over the worlds, the correct ones as examples.

    Args:
        restarted: share of attempts played with ReSum restarts under a tight limit; each of their summaries is an
            example of its own (prompt of the summary call, text by the rules).
    """
    with tempfile.TemporaryDirectory() as folder:
        worlds = [build_world(world_seed) for world_seed in world_seeds]
        environment = environment_over(worlds, folder, fault_rate=fault_rate, seed=seed)
        played = asyncio.run(_play_all(worlds, environment, count, language, seed, noise, restarted))
    counts = Counter(f"{t.language}/{t.question_kind}/{'kept' if t.reward else 'rejected'}" for t in played)
    return Practice(tuple(_examples([t for t in played if t.reward], demo_tokenizer())), dict(counts))


async def _play_all(
    worlds: Sequence[World], environment: Environment, count: int, language: str, seed: int,
    noise: OracleNoise | None, restarted: float,
) -> list[Trajectory]:  # fmt: skip
    rng = random.Random(f"practice-{seed}-{language}")
    tokenizer, summarizer = demo_tokenizer(), RuleSummarizer()
    played = []
    for number in range(count):
        world = rng.choice(worlds)
        question = sample_question(world, language, rng)
        config = _config(rng, restarts=rng.random() < restarted)
        names = world.names(language)
        played.append(
            await play(
                question, names, environment, tokenizer, config, summarizer=summarizer, noise=noise, attempt=number
            )
        )
    return played


def _config(rng: random.Random, *, restarts: bool) -> AgentConfig:
    if not restarts:
        return AgentConfig(paradigm=Paradigm.REACT, context_limit=512, max_tool_calls=16)
    limit, fraction = rng.choice(SEGMENT_LIMITS), rng.choice((0.5, 0.7, 0.9))
    return AgentConfig(paradigm=Paradigm.RESUM, context_limit=limit, trigger_fraction=fraction, max_tool_calls=16)


class _NoGenerator:
    """Prompts are rendered here; nothing is generated."""


def _examples(kept: Sequence[Trajectory], tokenizer: ChatTokenizer) -> Iterable[Example]:
    yield from examples_of_trajectories(kept)
    generator: Generator = _NoGenerator()  # type: ignore[assignment]
    asked = LanguageModelSummarizer(generator, tokenizer, Writer.POLICY, context_limit=512, max_tokens=96)
    yield from examples_of_trajectories(to_training_example(pair, asked) for pair in summary_pairs(kept))
