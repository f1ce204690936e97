"""``sindbad evaluate``: ask the running services held-out questions and print success with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.train import (  # fmt: skip
    DEFAULT_RUN,
    DryRun,
    RecipeFile,
    RunDirectory,
    StageName,
    existing,
    fail,
    read_questions,
    resolve,
)

if TYPE_CHECKING:
    from sindbad.evaluation.agent import Evaluation
    from sindbad.training.recipe import EvaluateStage


def evaluate(
    recipe: RecipeFile,
    tokenizer: Annotated[Path | None, typer.Option("--model", help="A folder with the policy's tokenizer.")] = None,
    questions: Annotated[Path | None, typer.Option("--questions", help="JSONL of questions.")] = None,
    stage: StageName = None,
    run: RunDirectory = DEFAULT_RUN,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Success of the served policy on held-out questions."""
    chosen: EvaluateStage = resolve(recipe, "evaluate", stage, dry_run)
    import asyncio

    from sindbad.errors import SindbadError

    try:
        folder, asked = existing(tokenizer or Path(chosen.model)), existing(questions or Path(chosen.questions))
        result = asyncio.run(_evaluate(chosen, folder, asked, run))
    except SindbadError as error:
        fail(error.message)
    typer.echo(f"success {result.success} over {len(result.outcomes)} questions in {result.seconds:.0f} s")
    for key in ("language", "kind", "hops"):
        typer.echo(f"  by {key}: " + "  ".join(f"{name} {rate:.3f}" for name, rate in result.by(key).items()))
    if json_file is not None:
        from sindbad.atomic import write_text

        write_text(json_file, result.summary().model_dump_json(indent=2) + "\n")


async def _evaluate(stage: EvaluateStage, tokenizer_dir: Path, questions: Path, run: Path) -> Evaluation:
    from sindbad.evaluation.agent import evaluate_agent
    from sindbad.training.remote import read_services, remote_episode

    async with remote_episode(
        read_services(run), tokenizer_dir, stage.agent, prompts=stage.prompts, kind=stage.environment, tools=stage.tools
    ) as episode:
        return await evaluate_agent(
            episode, read_questions(questions), stage.evaluation, name=stage.name, journals=run / "evaluation"
        )
