"""``sindbad train sft`` and ``sindbad train grpo``. torch is loaded by the run, not by the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sindbad.cli.failing import fail

if TYPE_CHECKING:
    from sindbad.training.recipe import GRPOStage, SFTStage

app = typer.Typer(help="Train a model: supervised, or ReSum-GRPO against running services.", no_args_is_help=True)

RecipeFile = Annotated[Path, typer.Option("--recipe", help="Recipe (YAML), for example recipes/resum.yaml.")]
StageName = Annotated[str | None, typer.Option("--stage", help="Stage of the recipe; needed if it has several.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the resolved configuration and stop.")]
RunDirectory = Annotated[
    Path, typer.Option("--run", help="Run directory: checkpoints, metrics, models, services.json.")
]
ModelDir = Annotated[Path | None, typer.Option("--model", help="Local folder of the stage's starting model.")]
DEFAULT_RUN = Path("runs/default")


@app.command()
def sft(
    recipe: RecipeFile,
    stage: StageName = None,
    model: ModelDir = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Trajectory shards, an exported corpus, or JSONL of pairs or messages."),
    ] = None,
    run: RunDirectory = DEFAULT_RUN,
    dry_run: DryRun = False,
) -> None:
    """Supervised fine-tuning; resumes where it was killed."""
    chosen: SFTStage = resolve(recipe, "sft", stage, dry_run)
    from sindbad.errors import SindbadError

    try:
        _run_sft(chosen, existing_model(model or Path(chosen.model)), existing(data or Path(chosen.data)), run)
    except SindbadError as error:
        fail(error)


@app.command()
def grpo(
    recipe: RecipeFile,
    stage: StageName = None,
    model: ModelDir = None,
    questions: Annotated[Path | None, typer.Option("--questions", help="JSONL of questions.")] = None,
    run: RunDirectory = DEFAULT_RUN,
    dry_run: DryRun = False,
) -> None:
    """ReSum-GRPO. The policy service must follow the weight store <run>/models/<stage>; see `sindbad up`."""
    chosen: GRPOStage = resolve(recipe, "grpo", stage, dry_run)
    import asyncio

    from sindbad.errors import SindbadError

    try:
        start, asked = existing_model(model or Path(chosen.model)), existing(questions or Path(chosen.questions))
        asyncio.run(_run_grpo(chosen, start, asked, run))
    except SindbadError as error:
        fail(error)


def resolve(recipe: Path, kind: str, stage: str | None, dry_run: bool) -> Any:
    """The stage of a recipe; with ``dry_run`` print it and stop."""
    from sindbad.errors import SindbadError
    from sindbad.training.recipe import dump_recipe, load_recipe

    try:
        chosen = load_recipe(recipe).only(kind, stage)
    except SindbadError as error:
        fail(error)
    if dry_run:
        typer.echo(dump_recipe(chosen), nl=False)
        raise typer.Exit
    return chosen


def existing(path: Path) -> Path:
    """A local path, or one below ``SINDBAD_SHARED``. Public ids are not downloaded here."""
    import os

    from sindbad.errors import NotFound

    shared = os.environ.get("SINDBAD_SHARED")
    for candidate in (path, *([Path(shared) / path] if shared else [])):
        if candidate.exists():
            return candidate
    raise NotFound(f"{path} is not on this machine; download it and point at it (--model, --data, SINDBAD_SHARED)")


def existing_model(path: Path) -> Path:
    """A local model folder that can be loaded, seen before anything else is read; the current one of a weight store."""
    from sindbad.weights import WeightStore
    from sindbad.weights.folder import check_model_folder
    from sindbad.weights.store import POINTER_NAME

    folder = existing(path)
    if (folder / POINTER_NAME).is_file() and (current := WeightStore(folder).current()) is not None:
        folder = current.path
    check_model_folder(folder)
    return folder


def _show(step: int, total: int, text: str) -> None:
    typer.echo(f"step {step}/{total}  {text}")


def _run_sft(stage: SFTStage, model_dir: Path, data: Path, run: Path) -> None:
    from sindbad.engines.threads import calm_threads

    calm_threads(stage.sft.threads)
    from sindbad.cli.train_data import read_examples
    from sindbad.training.card import card, parts_of_data, parts_of_model, together
    from sindbad.training.configuration import RunPaths
    from sindbad.training.sft import load_causal_lm, run_sft, save_model_folder
    from sindbad.weights import WeightStore

    examples = read_examples(model_dir, data, stage.sft.max_length)
    model = load_causal_lm(model_dir)
    paths = RunPaths.under(run, stage.name)
    result = run_sft(stage.sft, model, examples, paths, on_progress=lambda s, n, loss: _show(s, n, f"loss {loss:.4f}"))
    parts = together(
        ("base model", model_dir.resolve().name, parts_of_model(model_dir)),
        ("data set", data.resolve().name, parts_of_data(data)),
    )
    said = card(stage.name, "Tuned by `sindbad train sft` (supervised, full weights).", parts)
    folder = save_model_folder(model, model_dir, run / "models" / f"{stage.name}.folder", card=said)
    version = WeightStore(run / "models" / stage.name).publish(folder, metadata={"stage": stage.name})
    typer.echo(f"{result.steps} steps, {result.tokens} tokens, loss {result.loss:.4f}; published {version.path}")


async def _run_grpo(stage: GRPOStage, model_dir: Path, questions: Path, run: Path) -> None:
    from sindbad.engines.threads import calm_threads

    calm_threads(stage.grpo.threads)
    from sindbad.cli.train_questions import question_source
    from sindbad.questions.store import load_questions
    from sindbad.training.configuration import RunPaths
    from sindbad.training.publish import StorePublisher
    from sindbad.training.remote import read_services, remote_episode
    from sindbad.training.run import run_grpo
    from sindbad.training.sft import load_causal_lm
    from sindbad.training.subject import check_resumable, grpo_subject, settings_digest
    from sindbad.weights import WeightStore

    asked, paths, model = load_questions(questions), RunPaths.under(run, stage.name), load_causal_lm(model_dir)
    data = settings_digest({"questions": [one.to_record() for one in asked]})
    check_resumable(paths.checkpoints, grpo_subject(stage.grpo, model, data))  # before a curator writes of them
    publisher = StorePublisher(
        WeightStore(run / "models" / stage.name), model_dir, learner=stage.name, stage=stage.name
    )
    async with (
        remote_episode(
            read_services(run), model_dir, stage.agent, prompts=stage.prompts, kind=stage.environment, tools=stage.tools
        ) as episode,
        question_source(stage, asked, paths, run, episode) as (source, published),
    ):
        result = await run_grpo(
            stage.grpo,
            model,
            episode=episode,
            questions=source,
            publisher=publisher,
            paths=paths,
            stage=stage.name,
            data=data,
            on_published=published,
            store_trajectories=lambda step, batch: _store(run / "trajectories" / stage.name, step, batch),
            on_step=lambda s, n, m: _show(s, n, f"reward {m['reward']:.3f}  mixed {m['groups_mixed']:.0f}"),
        )
    typer.echo(f"{result.steps} steps in {result.seconds:.0f} s; published version {result.version}")


def _store(trajectories: Path, step: int, batch: Any) -> None:
    """A folder a step; a step that is made again replaces its attempts."""
    import shutil

    from sindbad.agent import store

    folder = trajectories / f"step-{step:05d}"
    shutil.rmtree(folder, ignore_errors=True)
    store.append(folder, batch)
