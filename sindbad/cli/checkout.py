"""Commands that run services or pipelines work from a checkout (or an image): those two are never installed."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def need_checkout() -> Path:
    """Put the checkout on the import path and return it; exit with a message where there is none."""
    for candidate in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (candidate / "services" / "runtime").is_dir() or (candidate / "pipelines" / "mission.py").is_file():
            if str(candidate) not in sys.path:
                sys.path.insert(0, str(candidate))
            return candidate
    typer.echo("This command needs a checkout of Sindbad: run it from the repository's folder.", err=True)
    raise typer.Exit(2)
