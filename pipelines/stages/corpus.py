"""HALA step 4: instructions and trajectories through the translator service; tool calls are run again in Arabic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pipelines.crew import CrewSettings
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.trajectories import TrajectoryTranslation


class CorpusSettings(BaseModel):
    """How the corpus is translated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crew: CrewSettings
    """The agent's limits, and the environment in which tool calls are executed again."""
    trajectories: TrajectoryTranslation = TrajectoryTranslation()
    """What must survive for a trajectory to be kept."""
    filters: FilterSettings = FilterSettings()
    """Thresholds of the instruction filters."""


SETTINGS = CorpusSettings


async def translate(
    stage_json: str,
    encyclopedia_path: str,
    trajectories_path: str,
    instructions_path: str,
    base_path: str,
    translator_path: str,
    translated_path: str,
) -> dict[str, float]:
    """Write Arabic trajectories (Parquet) and instructions (JSONL for training) below ``translated_path``."""
    from pathlib import Path

    from pipelines.crew import crew, serve, translator
    from pipelines.encyclopedia import read_encyclopedia
    from pipelines.stage import running
    from sindbad import atomic
    from sindbad.agent.store import append, read
    from sindbad.corpus.identify import Named, identity_of
    from sindbad.corpus.job import Job, JobSpec, local_store
    from sindbad.corpus.records import read_jsonl, write_jsonl, write_training_rows
    from sindbad.corpus.trajectories import translate_trajectories
    from sindbad.corpus.translate import kept, translate_corpus
    from sindbad.corpus.translators import ByMessage
    from sindbad.errors import InvalidInput
    from sindbad.translation.glossary import Glossary

    inputs = (encyclopedia_path, trajectories_path, instructions_path, base_path, translator_path)
    with running(stage_json, *inputs) as stage:
        settings = stage.parse(CorpusSettings)
        worlds = read_encyclopedia(Path(encyclopedia_path)).worlds("train")
        glossaries = {world.world_id: Glossary(world.glossary()) for world in worlds}
        version = await serve(stage, "translator", translator_path)
        named = Named(licence="Apache-2.0", revision=version.manifest_sha256, unit="message")
        async with translator(stage) as client:
            identity = identity_of(await client.describe(named.source, named.target), named)
            spec = JobSpec(identity=identity, filters=settings.filters, duplicates=None)
            job = Job(local_store(stage.folder("corpus")), spec)
            report = await translate_corpus(
                job,
                read_jsonl(Path(instructions_path)),
                ByMessage(client),
                glossary_of=lambda record: glossaries[record.metadata["world_id"]],
            )
            records, dropped = [row.translation for row in kept(job)], report.dropped
            stage.say(f"{len(records)} instructions kept, dropped: {dropped or 'none'}")
            english = list(read(Path(trajectories_path)))
            async with crew(stage, settings.crew, base_path) as agent:
                arabic, moved = await translate_trajectories(
                    english, client, agent.environment, agent.tokenizer, glossaries,
                    agent=settings.crew.agent, settings=settings.trajectories,
                )  # fmt: skip
        stage.say(f"{moved.kept} of {moved.trajectories} trajectories kept, dropped: {moved.dropped or 'none'}")
        if not arabic:
            raise InvalidInput(
                f"none of {len(english)} trajectories survived translation ({moved.dropped}); "
                "train the translator longer (stages.translator.settings.training.sft.steps)"
            )
        folder = Path(translated_path)
        folder.mkdir(parents=True, exist_ok=True)
        append(folder / "trajectories", arabic)
        write_jsonl(folder / "instructions-full.jsonl", records)
        write_training_rows(folder / "instructions.jsonl", records)
        waterfall = {"instructions": dropped, "trajectories": moved.dropped}
        atomic.write_json(stage.folder("corpus") / "waterfall.json", waterfall)
        return {
            "instructions": len(records),
            "instructions_dropped": sum(dropped.values()),
            "trajectories": moved.trajectories,
            "trajectories_kept": moved.kept,
            **{f"dropped_{name}": count for name, count in moved.dropped.items()},
        }
