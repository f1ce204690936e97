"""``sindbad merge``: SLERP of a tuned model with its base, with a report per tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sindbad.cli.train import DryRun, StageName, fail, resolve


def merge(
    base: Annotated[Path, typer.Argument(help="Folder of the base model (t = 0).")],
    tuned: Annotated[Path, typer.Argument(help="Folder of the tuned model (t = 1).")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    t: Annotated[float | None, typer.Option("-t", help="Interpolation; default 0.5.", min=0.0, max=1.0)] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Take the settings from a recipe.")] = None,
    stage: StageName = None,
    dry_run: DryRun = False,
) -> None:
    """Merge two models of one architecture by mergekit's SLERP in float32."""
    from sindbad.errors import SindbadError
    from sindbad.training.configuration import MergeConfig

    config = MergeConfig() if recipe is None else resolve(recipe, "merge", stage, dry_run).merge
    if t is not None:
        config = config.model_copy(update={"t": t})
    if dry_run:
        typer.echo(f"merge {base} and {tuned} into {out} with {config.model_dump()}")
        raise typer.Exit
    from sindbad.training.merge import merge_folders

    try:
        report = merge_folders(base, tuned, out, config)
    except SindbadError as error:
        fail(error.message)
    largest = max(report.tensors, key=lambda row: row.merged_change)
    typer.echo(
        f"{len(report.tensors)} tensors, {report.slerp_share:.0%} by SLERP, the others by LERP; "
        f"largest change {largest.merged_change:.3f} ({largest.name}); wrote {out}"
    )
