"""`sindbad pipeline compile | run`, and `sindbad report`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.checkout import need_checkout
from sindbad.cli.demo import SetOption
from sindbad.cli.runs import DEMO, Run

if TYPE_CHECKING:
    from pipelines.plan import PipelineRecipe

app = typer.Typer(no_args_is_help=True, help="The mission, and translate-and-tune, as Kubeflow pipelines.")


class Pipeline(StrEnum):
    """The pipelines that there are."""

    MISSION = "mission"
    TUNE = "translate_and_tune"


PipelineOption = Annotated[Pipeline, typer.Option("--pipeline", help="which one")]
RecipeOption = Annotated[Path | None, typer.Option("--recipe", help="YAML of the run; default: the pipeline's own")]


@app.command("compile")
def compile_(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="IR YAML to write")] = None,
    pipeline: PipelineOption = Pipeline.MISSION,
) -> None:
    """Write the IR YAML for Kubeflow Pipelines (two documents: pipeline and Kubernetes platform)."""
    need_checkout()
    from pipelines.local import compile_pipeline

    written = compile_pipeline(pipeline.value, output or Path("build") / f"{pipeline.value}.yaml")
    typer.echo(f"{written}: upload it in the Kubeflow UI, or kfp pipeline create -p sindbad {written}")


@app.command()
def arguments(
    run: Run = DEMO,
    recipe: RecipeOption = None,
    assignments: SetOption = None,
    pipeline: PipelineOption = Pipeline.MISSION,
) -> None:
    """Print the pipeline's arguments for a recipe as JSON: what a run in Kubeflow is started with."""
    need_checkout()
    import json

    typer.echo(json.dumps(_recipe(pipeline, recipe, assignments).arguments(run), indent=2))


@app.command()
def run(
    run: Run = DEMO,
    recipe: RecipeOption = None,
    assignments: SetOption = None,
    pipeline: PipelineOption = Pipeline.MISSION,
) -> None:
    """Run the pipeline with KFP's local runner; the mission's services must be up already (`sindbad up`)."""
    need_checkout()
    import asyncio

    from sindbad.cli.pipeline_process import run_pipeline_process

    chosen = _recipe(pipeline, recipe, assignments)
    chosen.check_inputs()
    asyncio.run(run_pipeline_process(chosen, run))


def _recipe(pipeline: Pipeline, recipe: Path | None, assignments: list[str] | None) -> PipelineRecipe:
    if pipeline is Pipeline.TUNE:
        from pipelines.tune_recipe import load_tune_recipe

        return load_tune_recipe(recipe or Path("recipes/translate_and_tune.yaml"), tuple(assignments or ()))
    from pipelines.recipe import load_recipe

    return load_recipe(recipe or Path("recipes/demo.yaml"), tuple(assignments or ()))


def report(run: Run = DEMO) -> None:
    """Say where a run's report is, and print its summary."""
    folder = run
    if not (folder / "summary.json").is_file():
        typer.echo(f"{folder} has no summary yet; finish the run: sindbad demo --run {run}", err=True)
        raise typer.Exit(1)
    typer.echo((folder / "summary.json").read_text("utf-8"))
    typer.echo(f"{folder / 'report.html'}")
