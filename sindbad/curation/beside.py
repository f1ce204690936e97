"""What runs beside a learner: background sampling and targeted synthesis, as the learner's hooks see them.

Nothing in it can hold the learner up: each hook returns at once, both tasks are left to themselves, and both are given
up when the block ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sindbad.agent.trajectory import Trajectory
from sindbad.curation.attempts import AttemptLog
from sindbad.curation.background import BackgroundConfig, BackgroundSampler
from sindbad.curation.curator import Curator
from sindbad.curation.outcomes import oldest_weights
from sindbad.curation.targeted import AskingConfig, Generator, TargetedSynthesis
from sindbad.questions.question import Question
from sindbad.training.rollout import Episode


@dataclass(frozen=True, slots=True)
class Beside:
    """Either may be None: not configured."""

    sampler: BackgroundSampler | None = None
    synthesis: TargetedSynthesis | None = None

    def stepped(self, trajectories: Sequence[Trajectory]) -> None:
        """A step's attempts are judged, and the curator has observed them."""
        if self.sampler is not None:
            self.sampler.served(oldest_weights(trajectories))  # what sampled them is served for certain
            self.sampler.grant(len(trajectories))
        if self.synthesis is not None:
            self.synthesis.observe(trajectories)

    def served(self, version: int) -> None:
        """Every replica of the policy serves these weights."""
        if self.sampler is not None:
            self.sampler.served(version)


@asynccontextmanager
async def beside(
    curator: Curator,
    question: Callable[[str], Question],
    episode: Episode,
    *,
    stage: str,
    attempts: Path,
    background: BackgroundConfig | None = None,
    synthesis: AskingConfig | None = None,
    generate: Generator | None = None,
    standing: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Beside]:
    """Start what is configured.

    Args:
        question: a question of D by its id.
        attempts: folder of the background's attempts.
        generate: makes questions for a demand; synthesis needs one. standing: file of what it counted.
    """
    async with AsyncExitStack() as stack:
        sampler = targeted = None
        if background is not None:
            log = stack.enter_context(AttemptLog(attempts, say=say))
            sampler = await stack.enter_async_context(
                BackgroundSampler(episode, curator, question, background, stage=stage, keep=log.add, say=say)
            )
        if synthesis is not None and generate is not None:
            targeted = await stack.enter_async_context(
                TargetedSynthesis(curator, question, generate, synthesis, kept=standing, say=say)
            )
        yield Beside(sampler, targeted)
        if sampler is not None:
            say("background: " + ", ".join(f"{name} {value}" for name, value in sampler.figures().items()))
