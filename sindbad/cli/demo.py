"""`sindbad demo`: encyclopedia, services, pipeline, report. Run again after Ctrl-C or a crash, it resumes."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.pipeline_process import resumable, run_child, run_pipeline_process, say, show_recipe
from sindbad.cli.runs import DEMO, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.recipe import MissionRecipe
    from sindbad.supervisor import ServiceSpec

RecipeOption = Annotated[Path, typer.Option("--recipe", help="YAML of the run")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="stages.sft.settings.steps=100, repeatable")]


def demo(
    run: Run = DEMO,
    recipe: RecipeOption = Path("recipes/demo.yaml"),
    assignments: SetOption = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="train the tiny base models too")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the resolved recipe and stop")] = False,
) -> None:
    """Run the main job: translate, tune, merge, reinforce, evaluate. Resumes where it stopped."""
    from sindbad.cli.checkout import need_checkout

    need_checkout()
    with resumable(run):
        _demo(run, recipe, assignments or [], from_scratch, dry_run)


def _demo(run: Path, recipe: Path, assignments: list[str], from_scratch: bool, dry_run: bool) -> None:
    from pipelines.recipe import FROM_SCRATCH, load_recipe

    chosen = load_recipe(recipe, (*assignments, *(FROM_SCRATCH if from_scratch else ())))
    if dry_run:
        show_recipe(chosen)
        return
    chosen.check_inputs()
    run_mission_here(chosen, run)


def run_mission_here(recipe: MissionRecipe, run_dir: Path) -> None:
    """Everything that `make demo` does after installation. Raises SindbadError or RuntimeError naming what failed."""
    from pipelines.digest import ROOT
    from pipelines.encyclopedia import write_all
    from pipelines.eviction import evict
    from sindbad.supervisor import read_specs

    started = time.monotonic()
    run_dir.mkdir(parents=True, exist_ok=True)
    say(f"Sindbad · run {run_dir.name} · budget {recipe.budget_seconds / 60:.0f} min in {len(recipe.stages)} stages")
    say("1. encyclopedia and search index")
    write_all(run_dir / "worlds", run_dir / "index", recipe.encyclopedia, lambda text: say(f"   {text}"))
    say("2. services")
    specs = read_specs(ROOT / recipe.services)
    if recipe.judge.from_scratch:
        specs = asyncio.run(with_own_judge(recipe, run_dir, specs))
    asyncio.run(_with_services(recipe, run_dir, specs))
    if freed := evict(run_dir):
        say(f"   {freed / 1e6:,.0f} MB of older attempts removed")
    _finish(run_dir, time.monotonic() - started)


async def _with_services(recipe: MissionRecipe, run_dir: Path, specs: Sequence[ServiceSpec]) -> None:
    """The pipeline runs in a process of its own: KFP blocks, and the supervisor must keep supervising."""
    from sindbad.supervisor import Supervisor
    from sindbad.supervisor.resources import watched_memory

    async with Supervisor(run_dir, specs) as supervisor, watched_memory(run_dir):
        await supervisor.wait_live(120)
        say(f"   {', '.join(spec.name for spec in specs)} are up ({run_dir}/services.json, logs in {run_dir}/logs)")
        say("3. pipeline")
        await run_pipeline_process(recipe, run_dir)


async def with_own_judge(recipe: MissionRecipe, run_dir: Path, specs: Sequence[ServiceSpec]) -> list[ServiceSpec]:
    """The services with the judge's model trained in this run instead of the committed one.

    Raises RuntimeError when the training fails; the next call goes on where it was.
    """
    from dataclasses import replace

    from pipelines.judge_model import STAGE, is_made
    from pipelines.stage import write_budgets
    from sindbad import atomic

    stage, folder, log = recipe.judge.stage(run_dir), run_dir / STAGE, run_dir / "logs" / f"{STAGE}-training.log"
    write_budgets(run_dir, recipe.budgets)
    payload = stage.folder("stages").parent / "judge-stage.json"
    atomic.write_text(payload, stage.to_json())
    log.parent.mkdir(parents=True, exist_ok=True)
    code, last = await run_child(log, "pipelines.judge_model", payload.resolve(), folder.resolve())
    if code or not is_made(stage, folder):
        tail = "\n".join(last)
        raise RuntimeError(f"the judge's training stopped:\n{tail}\nWhole log: {log}. Run the same command to resume.")
    own = {"model": {"directory": str(folder.resolve())}}
    return [replace(spec, settings={**spec.settings, **own}) if spec.name == STAGE else spec for spec in specs]


def _finish(run_dir: Path, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from sindbad.evaluation.summary import Summary

    summary = Summary.read(run_dir / "summary.json")
    table = Table(title=f"Success on held-out questions · {run_dir.name}", title_justify="left")
    for column in ("stage", "success", "95 % interval", "en", "ar", "questions"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, stage in summary.stages.items():
        low, high = stage.ci95
        languages = [f"{stage.by_language.get(language, 0):.1%}" for language in ("en", "ar")]
        table.add_row(name, f"{stage.success:.1%}", f"{low:.1%} – {high:.1%}", *languages, str(stage.questions))
    Console().print(table)
    for paradigm, by_limit in summary.paradigms.items():
        for limit, success in by_limit.items():
            say(f"   {paradigm:6} at {limit} tokens: {success:.1%}")
    if summary.translation:
        said = summary.translation
        say(f"   translation: chrF++ {said.chrf:.1f}, BLEU {said.bleu:.1f}")
        if said.bleu_signature:
            say(f"   chrF++ {said.chrf_signature}; BLEU {said.bleu_signature}")
    if taken := summary.resources:
        say(f"   at most {taken.peak_rss_bytes / 1e9:.1f} GB of memory, {taken.disk_bytes / 1e6:,.0f} MB of disk")
    say(f"Done in {seconds / 60:.1f} min. Report: {run_dir / 'report.html'}")
    say("Ask the trained agent, for example:")
    for question in json.loads((run_dir / "examples.json").read_text("utf-8")).values():
        say(f'   .venv/bin/sindbad ask "{question}"')
