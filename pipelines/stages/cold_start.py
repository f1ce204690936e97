"""WebSailor-V2 §4.1: oracle rollouts through the tools, rejection sampling, and an instruction corpus beside them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pipelines.crew import CrewSettings


class ColdStartSettings(BaseModel):
    """What is rolled out and what is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crew: CrewSettings
    """The agent's limits; the oracle writes the turns in the policy's place."""
    questions: int = Field(default=400, ge=1)
    """English training questions that are attempted."""
    attempts: int = Field(default=2, ge=1)
    """Attempts at each; the first correct one is kept."""
    instructions: int = Field(default=300, ge=0)
    """Instruction records beside the trajectories."""
    in_flight: int = Field(default=32, ge=1)
    """Attempts at once."""
    seed: int = 0
    """Of the instructions."""


SETTINGS = ColdStartSettings


async def roll_out(
    stage_json: str, questions_path: str, base_path: str, trajectories_path: str, instructions_path: str
) -> dict[str, float]:
    """Write kept trajectories (Parquet) and instruction records (JSONL)."""
    import asyncio
    from collections import Counter
    from pathlib import Path

    from pipelines.crew import crew
    from pipelines.encyclopedia import read_encyclopedia
    from pipelines.stage import running
    from sindbad.agent.store import append
    from sindbad.agent.trajectory import Trajectory
    from sindbad.corpus.records import write_jsonl
    from sindbad.demo.rollouts import play
    from sindbad.questions.question import Question
    from sindbad.questions.store import load_questions
    from sindbad.translation.instructions import make_instructions

    with running(stage_json, questions_path, base_path) as stage:
        settings = stage.parse(ColdStartSettings)
        worlds = {world.world_id: world for world in read_encyclopedia(stage.run / "worlds").worlds("train")}
        chosen = [q for q in load_questions(questions_path) if q.language == "en"][: settings.questions]
        slots, outcomes = asyncio.Semaphore(settings.in_flight), Counter[str]()
        async with crew(stage, settings.crew, base_path) as agent:

            async def first_correct(question: Question) -> Trajectory | None:
                async with slots:
                    for attempt in range(settings.attempts):
                        made = await play(
                            question, worlds[question.world_id].names("en"), agent.environment, agent.tokenizer,
                            agent.config, summarizer=agent.summarizer, attempt=attempt,
                        )  # fmt: skip
                        outcomes["correct" if made.reward else f"rejected: {made.termination}"] += 1
                        if made.reward:
                            return made
                return None

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(first_correct(question)) for question in chosen]
        kept = [made for task in tasks if (made := task.result()) is not None]
        stage.say(f"{len(kept)} of {len(chosen)} questions kept after rejection sampling; attempts: {dict(outcomes)}")
        append(Path(trajectories_path), kept)
        records = make_instructions(list(worlds.values()), settings.seed, settings.instructions)
        write_jsonl(Path(instructions_path), records)
        attempts = sum(outcomes.values())
        return {"questions": len(chosen), "kept": len(kept), "attempts": attempts, "instructions": len(records)}
