"""`sindbad tune`: HALA on real data as one command. Run again after Ctrl-C or a crash, it resumes."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.demo import SetOption
from sindbad.cli.pipeline_process import resumable, run_pipeline_process, say, show_recipe
from sindbad.cli.runs import Run

if TYPE_CHECKING:
    from pipelines.tune_recipe import TuneRecipe


def tune(
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of your files; without it, the recipe's public data sets.")
    ] = None,
    run: Run = Path("runs/tune"),
    recipe: Annotated[Path, typer.Option("--recipe", help="YAML of the run")] = Path("recipes/translate_and_tune.yaml"),
    assignments: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the resolved recipe and stop")] = False,
) -> None:
    """Translate and tune: parallel text, translator, translated rows, SFT, merge, evaluation, one report."""
    from sindbad.cli.checkout import need_checkout

    need_checkout()
    with resumable(run):
        _tune(data, run, recipe, assignments or [], dry_run)


def _tune(data: Path | None, run: Path, recipe: Path, assignments: list[str], dry_run: bool) -> None:
    from pipelines.tune_recipe import FROM_HUB, load_tune_recipe
    from sindbad.errors import NotFound

    if data is not None and not data.is_dir():
        raise NotFound(f"there is no folder {data}; --data names the folder of your files (docs/data.md, docs/tune.md)")
    implied = [f"data={json.dumps(str(data))}"] if data is not None else list(FROM_HUB)
    chosen = load_tune_recipe(recipe, (*implied, *assignments))
    if dry_run:
        show_recipe(chosen)
        return
    chosen.check_inputs()
    _run(chosen, run)


def _run(recipe: TuneRecipe, run_dir: Path) -> None:
    from pipelines.eviction import evict

    started = time.monotonic()
    run_dir.mkdir(parents=True, exist_ok=True)
    say(f"Translate and tune · {run_dir.name} · budget {recipe.budget_seconds / 60:.0f} min")
    asyncio.run(run_pipeline_process(recipe, run_dir))
    if freed := evict(run_dir):
        say(f"   {freed / 1e6:,.0f} MB of older attempts removed")
    _finish(run_dir, time.monotonic() - started)


def _finish(run_dir: Path, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    summary = json.loads((run_dir / "tune.json").read_text("utf-8"))
    for name, profiles in summary["translation"].items():
        chrf = profiles["raw"]["chrf"]
        say(f"   {name}: chrF++ {chrf['value']:.1f} [{chrf['low']:.1f}, {chrf['high']:.1f}]")
    corpus = summary["corpus"]
    say(f"   {corpus['kept']:,} of {corpus['records']:,} instruction rows kept; see {run_dir / 'waterfall'}")
    table = Table(title="Loss on held-out text, nats a token", title_justify="left")
    kinds = list(next(iter(summary["losses"].values())))
    table.add_column("model")
    for kind in kinds:
        table.add_column(kind, justify="right")
    for name, losses in summary["losses"].items():
        table.add_row(name, *(f"{losses[kind]:.3f}" for kind in kinds))
    Console().print(table)
    say(f"Done in {seconds / 60:.1f} min. Report: {run_dir / 'report.html'}")
