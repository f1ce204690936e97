"""`sindbad pipeline compile | run`, and `sindbad report`."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.checkout import need_checkout
from sindbad.cli.demo import SetOption
from sindbad.cli.runs import DEMO, Run

if TYPE_CHECKING:
    from pipelines.plan import PipelineRecipe

SUMMARIES = ("summary.json", "tune.json")
"""What a finished run of `sindbad demo`, and of `sindbad tune`, has written."""

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
    release: Annotated[str, typer.Option("--release", help="Helm release that the pipeline runs beside")] = "sindbad",
    values: Annotated[
        list[Path] | None,
        typer.Option(
            "--values", "-f",
            help="values of the release: the files that it was installed with, in order, or what `helm get values "
            "RELEASE --all -o yaml` says; default: the chart's own",
        ),
    ] = None,
    image: Annotated[
        str, typer.Option("--image", help="image of the steps; default: pipelines, by the values' registry and tag")
    ] = "",
) -> None:  # fmt: skip
    """Write the IR YAML for Kubeflow Pipelines (two documents: pipeline and Kubernetes platform)."""
    need_checkout()
    from pipelines.local import compile_pipeline
    from pipelines.release import read_release

    beside = read_release(release, values or [], image=image)
    if pipeline is Pipeline.MISSION:
        beside.need_open_services()
    written = output or Path("build") / f"{pipeline.value}.yaml"
    name = compile_pipeline(pipeline.value, written, beside)
    typer.echo(beside.told())
    typer.echo(f"{written}: upload it in the Kubeflow UI, or kfp pipeline create -p {name} {shlex.quote(str(written))}")


@app.command()
def arguments(
    run: Annotated[
        str,
        typer.Option("--run", help="name of the run, or its folder as the steps see it; default: mission, or tune"),
    ] = "",
    data: Annotated[
        str, typer.Option("--data", help="folder of the recipe's data as the steps see it; default: data in the run's")
    ] = "",
    recipe: RecipeOption = None,
    assignments: SetOption = None,
    pipeline: PipelineOption = Pipeline.MISSION,
) -> None:
    """Print the pipeline's arguments for a recipe as JSON: what a run in Kubeflow is started with.

    Runs lie on the release's runs claim, which the chart mounts at /runs: a bare name is a folder there.
    """
    need_checkout()
    import json

    from pipelines.release import run_in_cluster
    from sindbad.errors import InvalidInput

    folder = run_in_cluster(run or ("tune" if pipeline is Pipeline.TUNE else "mission"))
    given = _recipe(pipeline, recipe, assignments).arguments(folder)
    if "data_uri" in given:
        given["data_uri"] = data or f"{folder}/data"  # never the folder that the files' digests were taken from here
    elif data:
        raise InvalidInput("the mission reads no data; --data belongs to --pipeline translate_and_tune")
    typer.echo(json.dumps(given, indent=2))


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
    """Say where the report of a demo or tune run is, and print its summary."""
    summary = next((run / name for name in SUMMARIES if (run / name).is_file()), None)
    if summary is None:
        typer.echo(_unfinished(run), err=True)
        raise typer.Exit(1)
    typer.echo(summary.read_text("utf-8"))
    typer.echo(f"{run / 'report.html'}")


def _unfinished(run: Path) -> str:
    """What to do about a run without a summary, by what it was started as."""
    import json

    started = run / "pipeline-arguments.json"
    if not started.is_file():
        return f"There is no run of `sindbad demo` or `sindbad tune` in {run.resolve()}; `make demo` makes one"
    command = "tune" if "data_uri" in json.loads(started.read_text("utf-8")) else "demo"
    return f"{run} has no summary yet; finish the run with the command that began it: sindbad {command} --run {run} …"
