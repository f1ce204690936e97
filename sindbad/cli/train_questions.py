"""Where `sindbad train grpo` takes its questions from: a fixed list, or a curator with what runs beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import typer

from sindbad.curation.beside import beside
from sindbad.curation.curator import Curator
from sindbad.curation.graph_synthesis import GraphGenerator
from sindbad.curation.profile import profile_pool
from sindbad.curation.runs import DATASETS
from sindbad.curation.versions import DataSetStore, VersionRecorder
from sindbad.errors import InvalidInput
from sindbad.evaluation.agent import EvaluationConfig
from sindbad.questions.question import Question
from sindbad.training.configuration import RunPaths
from sindbad.training.recipe import GRPOStage
from sindbad.training.rollout import Episode, ListQuestions, QuestionSource
from sindbad.training.run import OnPublished
from sindbad.training.sources import CuratedQuestions


@asynccontextmanager
async def question_source(
    stage: GRPOStage, asked: list[Question], paths: RunPaths, run: Path, episode: Episode
) -> AsyncIterator[tuple[QuestionSource, OnPublished | None]]:
    """The learner's questions, and what must be done with each published version.

    With a curator the first published weights profile the pool (resumable), before the first step draws from it.
    """
    groups = stage.grpo.rollout.groups
    if stage.curator is None:
        for given in ("background", "synthesis"):
            if getattr(stage, given) is not None:
                raise InvalidInput(f"stage {stage.name} has `{given}` without a curator to tell; add `curator`")
        yield ListQuestions(asked, groups, seed=stage.grpo.seed), None
        return
    if stage.synthesis is not None and stage.background is None:
        raise InvalidInput(f"stage {stage.name} has `synthesis`, but nobody to measure what it makes; add `background`")
    recorder = VersionRecorder(DataSetStore(run / DATASETS), asked, writer=stage.name, run=run.name, stage=stage.name)
    names = [question.question_id for question in asked]
    with ExitStack() as stack:
        journal = paths.checkpoints / "curator.jsonl"
        curator = stack.enter_context(Curator(names, stage.curator, journal, on_change=recorder))
        source = CuratedQuestions(curator, asked, groups, seed=stage.grpo.seed)
        generate = None
        if stage.synthesis is not None:

            def pool() -> list[Question]:
                return [source.question(name) for name in curator.state.pool]

            generate = GraphGenerator(stage.synthesis, pool, run / "synthesis" / stage.name)
            stack.callback(generate.close)
        attempts = run / "trajectories" / stage.name / "background"
        async with beside(
            curator, source.question, episode, stage=stage.name, attempts=attempts, background=stage.background,
            synthesis=stage.synthesis, generate=generate, standing=paths.checkpoints / "synthesis.json", say=typer.echo,
        ) as side:  # fmt: skip
            source.on_observed = side.stepped

            async def published(version: int, _folder: Path) -> None:
                if not curator.state.profiled:
                    await _profile(stage, asked, paths, episode, curator, version)

            yield source, published


async def _profile(
    stage: GRPOStage, asked: list[Question], paths: RunPaths, episode: Episode, curator: Curator, version: int
) -> None:
    rollout = stage.grpo.rollout
    config = EvaluationConfig(
        attempts=stage.profile_attempts, in_flight=rollout.in_flight, deadline_seconds=rollout.deadline_seconds,
        seed=stage.grpo.seed,
    )  # fmt: skip
    journals = paths.checkpoints / "profile"
    name = f"{stage.name}-profile"
    outcomes = await profile_pool(episode, asked, config, version=version, name=name, journals=journals)
    active = curator.profile(outcomes, version=version)
    typer.echo(f"profile: {len(active)} of {len(asked)} questions are solved sometimes, and are trained on")
