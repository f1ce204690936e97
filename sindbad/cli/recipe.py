"""``sindbad recipe``: a published method as the commands that run it, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def recipe(
    file: Annotated[Path, typer.Argument(help="Recipe (YAML), for example recipes/hala.yaml.")],
    stage: Annotated[str | None, typer.Option("--stage", help="Only this one.")] = None,
) -> None:
    """Print what would run, stage by stage, and what of it is our choice and not the paper's. Nothing is started."""
    from sindbad.training.recipe import load_recipe
    from sindbad.training.recipe_commands import commands

    found = load_recipe(file)
    for one in found.stages if stage is None else (found.stage(stage),):
        ours = sorted(path.partition(".")[2] for path in found.our_choices if path.partition(".")[0] == one.name)
        typer.echo(f"# {one.name} ({one.kind}){f': {one.about}' if one.about else ''}")
        if ours:
            typer.echo(f"#   our choice: {', '.join(ours)}")
        for line in commands(found, file, one):
            typer.echo(line)
        typer.echo("")
