"""How every command ends that cannot go on: one voice, one exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from sindbad.errors import SindbadError


def told(error: SindbadError) -> str:
    """An error of ours as people read it; the reason is for programs and searches."""
    return f"{error.message} [{error.reason}]"


def fail(error: SindbadError | str) -> NoReturn:
    """Say what went wrong and what to do, and end with status 1."""
    typer.echo(f"sindbad: {error if isinstance(error, str) else told(error)}", err=True)
    raise typer.Exit(1)
