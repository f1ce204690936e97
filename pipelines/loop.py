"""The data-policy loop of an RL stage, where the library's (:mod:`sindbad.curation`) meets a run's folders."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pipelines.stage import Stage
from sindbad.curation.background import BackgroundConfig
from sindbad.curation.beside import Beside, beside
from sindbad.curation.curator import Curator
from sindbad.curation.runs import DATASETS
from sindbad.curation.targeted import Generator, TargetedConfig
from sindbad.curation.versions import DataSetStore, VersionRecorder
from sindbad.questions.demand import Demand
from sindbad.questions.question import Question
from sindbad.training.rollout import Episode


def recorder(stage: Stage, questions: Sequence[Question]) -> VersionRecorder:
    """Every change of this stage's curator becomes a version below the run's data sets."""
    writer = stage.scratch("curator").name
    store = DataSetStore(stage.run / DATASETS)
    return VersionRecorder(store, questions, writer=writer, run=stage.run.name, stage=stage.name)


def beside_stage(
    stage: Stage,
    curator: Curator,
    question: Callable[[str], Question],
    episode: Episode,
    background: BackgroundConfig | None,
    synthesis: TargetedConfig | None,
) -> AbstractAsyncContextManager[Beside]:
    """What is configured, beside the stage's learner; it ends with the block."""
    return beside(
        curator,
        question,
        episode,
        stage=stage.name,
        attempts=stage.scratch("trajectories") / "background",
        background=background,
        synthesis=synthesis,
        generate=generator(stage.run / "graph", _worlds(curator, question), synthesis) if synthesis else None,
        standing=stage.scratch("curator") / "synthesis.json",
        say=stage.say,
    )


def _worlds(curator: Curator, question: Callable[[str], Question]) -> list[str]:
    """The worlds that D asks about: training worlds only, so that nothing new touches a held-out one."""
    return sorted({question(name).world_id for name in curator.state.pool})


def generator(graphs: Path, worlds: Sequence[str], config: TargetedConfig) -> Generator:
    """Questions over the graphs that the questions stage has built; each call takes other worlds, by seed."""

    def generate(demand: Demand, seed: int) -> list[Question]:
        from sindbad.graph.knowledge import KnowledgeGraph
        from sindbad.languages import LANGUAGES, get_pack
        from sindbad.questions.synthesis import Topologies, synthesise

        packs, topologies, made = [get_pack(language) for language in LANGUAGES], Topologies(), list[Question]()
        settings = demand.applied(config.synthesis)
        for world in random.Random(f"worlds:{seed}").sample(worlds, min(config.worlds, len(worlds))):
            graph = KnowledgeGraph.load(graphs / f"{world}.jsonl")
            # Another seed than the questions stage's, or the same walks would find the same questions.
            made += synthesise(graph, world, packs, settings, 1_000_003 + seed, topologies=topologies).questions
        return made

    return generate
