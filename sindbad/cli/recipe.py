"""``sindbad recipe``: a published method as the commands that run it, stage by stage, printed or run as one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.failing import fail

if TYPE_CHECKING:
    from sindbad.training.recipe import Recipe
    from sindbad.training.recipe_commands import Places
    from sindbad.training.recipe_run import Outcome

INTERRUPTED = 130


def recipe(
    file: Annotated[Path, typer.Argument(help="Recipe (YAML), for example recipes/hala.yaml.")],
    stage: Annotated[str | None, typer.Option("--stage", help="Only this one.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run the stages; run again, it goes on where it was.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="One folder for all that is made; default: where the recipe says.")
    ] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Leave the stages before this one as they are.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this stage; repeat.")] = None,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", help="STAGE=WORDS: further words of its command ('corpus=--workers 4'); repeat."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print, even with --run.")] = False,
) -> None:
    """Print what would run, stage by stage, and what of it is our choice and not the paper's; with --run, run it."""
    from sindbad.errors import SindbadError
    from sindbad.training.recipe import load_recipe
    from sindbad.training.recipe_commands import Places, parse_added
    from sindbad.training.recipe_run import select

    try:
        found = load_recipe(file)
        chosen = select(found, begin, [*(only or []), *([stage] if stage else [])])
        places = Places(found, file, out, parse_added(add or [], found))
    except SindbadError as error:
        fail(error)
    if run and not dry_run:
        _run(places, chosen, _again(file, out, begin, stage, only or [], add or []))
    else:
        _print(found, places, chosen)


def _print(found: Recipe, places: Places, chosen: list[str]) -> None:
    for one in (found.stage(name) for name in chosen):
        ours = sorted(path.partition(".")[2] for path in found.our_choices if path.partition(".")[0] == one.name)
        typer.echo(f"# {one.name} ({one.kind}){f': {one.about}' if one.about else ''}")
        if ours:
            typer.echo(f"#   our choice: {', '.join(ours)}")
        if getattr(one, "elsewhere", False):
            typer.echo(
                f"#   trained elsewhere with the settings that this prints; its folder: {places.model(f'@{one.name}')}"
            )
        for words in places.words(one):
            typer.echo(shlex.join(("sindbad", *words)))
        typer.echo("")


def _run(places: Places, chosen: list[str], again: str) -> None:
    import signal

    from sindbad.errors import SindbadError
    from sindbad.training.recipe_run import RecipeRun, run_child

    # `timeout` and container runtimes end a run as Ctrl-C does: the child's group first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        running = RecipeRun(
            places, chosen, say=typer.echo,
            execute=lambda words, log: run_child(words, log, lambda said: typer.echo(said, nl=False)),
        )  # fmt: skip
        _tell(running.run())
    except SindbadError as error:
        if error.reason == "STAGE_FAILED":
            fail(f"{error.message}\nwhat is finished stays finished; when it is mended: {again}")
        fail(error)
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; go on with: {again}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _again(
    file: Path, out: Path | None, begin: str | None, stage: str | None, only: list[str], add: list[str]
) -> str:  # fmt: skip
    """The same command."""
    words = ["sindbad", "recipe", str(file), "--run"]
    for option, values in (
        ("--out", [out]),
        ("--from", [begin]),
        ("--stage", [stage]),
        ("--only", only),
        ("--add", add),
    ):
        words += [word for value in values if value is not None for word in (option, str(value))]
    return shlex.join(words)


def _tell(outcomes: list[Outcome]) -> None:
    from sindbad.training.recipe_run import State

    count = {state: sum(one.state is state for one in outcomes) for state in State}
    typer.echo(", ".join(f"{number} {state.value}" for state, number in count.items() if number))
    for one in outcomes:
        if one.state is State.SKIPPED:
            typer.echo(f"  {one.stage}: skipped, {one.why}")
