"""`--run`: the same in every command. A bare name is a folder below `runs/`, anything with a slash is a path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run_folder(value: str | Path) -> Path:
    """The run directory that ``value`` names."""
    text = str(value)
    return Path(text) if "/" in text or text in (".", "..") else Path("runs") / text


Run = Annotated[Path, typer.Option("--run", parser=run_folder, help="name of the run (below runs/), or its folder")]
LatestRun = Annotated[
    Path | None,
    typer.Option("--run", parser=run_folder, help="name of the run (below runs/), or its folder; default: the latest"),
]
DEMO = Path("runs/demo")
