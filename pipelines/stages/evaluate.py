"""Held-out questions in both languages, asked of one model, one attempt each."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pipelines.crew import CrewSettings


class EvaluateSettings(BaseModel):
    """One evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crew: CrewSettings
    """The agent and its environment."""
    questions: int = Field(default=200, ge=1)
    """How many, evenly over the languages; the same ones for every model."""
    in_flight: int = Field(default=64, ge=1)
    """Attempts at once."""
    seed: int = 0
    """Of the sampling."""


SETTINGS = EvaluateSettings


async def measure(stage_json: str, questions_path: str, policy_path: str, outcomes_path: str) -> dict[str, float]:
    """Write outcomes (one a question), the trajectories, and what `sindbad evaluate compare` reads, beside each other.

    Returns success overall and by language.
    """
    from pathlib import Path

    from pipelines.crew import judged_episode, serve
    from pipelines.outcomes import identity_of, write_outcomes
    from pipelines.stage import running
    from sindbad.evaluation.agent import EvaluationConfig, evaluate_agent
    from sindbad.evaluation.folder import write_result
    from sindbad.evaluation.sets.question_set import evenly_by_language
    from sindbad.questions.store import load_questions
    from sindbad.tools.environment import Purpose

    with running(stage_json, questions_path, policy_path) as stage:
        settings = stage.parse(EvaluateSettings)
        crew = settings.crew
        chosen = evenly_by_language(load_questions(questions_path), settings.questions)
        version = await serve(stage, "policy", policy_path)
        config = EvaluationConfig(in_flight=settings.in_flight, seed=settings.seed)
        where = judged_episode(
            stage, crew, policy_path, min_version=version.number, purpose=Purpose.EVALUATION, paired=chosen
        )
        async with where as episode:
            found = await evaluate_agent(episode, chosen, config, name=stage.name, journals=stage.scratch("journals"))
        write_outcomes(Path(outcomes_path), found, paradigm=crew.agent.paradigm, context_limit=crew.agent.context_limit)
        told = identity_of(stage.name, crew, chosen, policy_path, version=version.number, seed=settings.seed)
        write_result(Path(outcomes_path), told, found, text=True)
        languages = {f"success_{name}": value for name, value in found.by("language").items()}
        rates = {"success": found.success.value, **languages}
        stage.say(" · ".join(f"{name} {value:.1%}" for name, value in rates.items()) + f" · {len(chosen)} questions")
        return {**rates, "questions": len(chosen), "seconds": found.seconds}
