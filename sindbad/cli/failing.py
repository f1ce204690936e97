"""How every command ends that cannot go on: one voice, one exit code."""

from __future__ import annotations

from typing import NoReturn

import typer


def fail(message: str) -> NoReturn:
    """Say what went wrong and what to do, and end with status 1."""
    typer.echo(f"sindbad: {message}", err=True)
    raise typer.Exit(1)
