"""A pipeline in a process of its own: it dies with us, its steps' own lines are shown, and everything goes to a log."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pipelines.plan import PipelineRecipe


_OURS = "sindbad.errors."
_CHAIN = re.compile("direct cause of the following|During handling of the above")


@contextmanager
def resumable(run: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end what runs in here in order, with a word about how to go on."""
    import signal

    # `timeout` and container runtimes send SIGTERM: the same orderly end as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nInterrupted, nothing is lost: the same command goes on at the first unfinished step ({run})")
        raise typer.Exit(130) from None


def show_recipe(recipe: PipelineRecipe) -> None:
    """Print the resolved recipe as YAML: what --dry-run does."""
    import yaml

    typer.echo(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


async def run_pipeline_process(recipe: PipelineRecipe, run_dir: Path) -> None:
    """Run the pipeline as a child that dies with us. Shows the steps' own lines; everything goes to a log.

    Raises RuntimeError when it fails, with the last lines of the log.
    """
    from pipelines.stage import write_budgets
    from sindbad import atomic
    from sindbad.supervisor.rotation import rotate

    arguments, log = run_dir / "pipeline-arguments.json", run_dir / "logs" / "pipeline.log"
    atomic.write_json(arguments, recipe.arguments(run_dir))
    write_budgets(run_dir, recipe.budgets)
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    code, last = await run_child(log, "pipelines.local", run_dir.resolve(), arguments.resolve(), recipe.PIPELINE)
    if code:
        tail = "\n".join(last)
        raise RuntimeError(f"the pipeline stopped:\n{tail}\nWhole log: {log}. Run the same command to resume.")


async def run_child(log: Path, module: str, *arguments: Path | str) -> tuple[int, list[str]]:
    """Run a module that dies with us; returns its exit code and the last lines of what went wrong."""
    from pipelines.digest import ROOT

    starter = [sys.executable, "-m", "sindbad.supervisor.child", str(os.getpid())]
    command = [*starter, module, *map(str, arguments)]
    # KFP orders independent steps by iterating over sets: with one hash seed every attempt takes them in the same
    # order, so that a resumed run begins at the step that was interrupted.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, start_new_session=True, stdout=pipe,
        stderr=asyncio.subprocess.STDOUT, limit=2**24,
    )  # fmt: skip
    try:
        last = await _relay(child, log)
        return await child.wait(), last
    finally:
        await _end(child)  # also where it ended by itself: a pipeline that was killed leaves its step behind


async def _relay(child: asyncio.subprocess.Process, log: Path) -> list[str]:
    """Copy the child's output to the log, a step's own lines to the terminal too; returns the last error's lines."""
    from pipelines.stage import is_progress

    assert child.stdout is not None
    recent: deque[str] = deque(maxlen=400)
    with log.open("a", encoding="utf-8") as file:
        async for raw in child.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            file.write(line + "\n")
            file.flush()
            recent.append(line)
            if is_progress(line):
                say(f"   {line.strip()}")
    return first_error(list(recent))


def first_error(lines: list[str]) -> list[str]:
    """What went wrong in the step (KFP's own tracebacks follow the step's); without a traceback, the last lines.

    Sindbad's own errors are written for people: the message alone. Anything else is the end of its traceback. Of a
    chain of exceptions the last one counts, which knows what the first one meant.
    """
    start = _traceback(lines, 0)
    if start is None:
        return lines[-10:]
    end = _blank(lines, start)
    while (following := _traceback(lines, end)) is not None and _CHAIN.search("\n".join(lines[end:following])):
        start, end = following, _blank(lines, following)
    block = [line.strip() for line in lines[start:end]]
    ours = next((number for number, line in enumerate(block) if line.startswith(_OURS)), None)
    if ours is None:
        return lines[start:end][-12:]
    return [block[ours].partition(": ")[2], *block[ours + 1 :]]


def _traceback(lines: list[str], start: int) -> int | None:
    return next((number for number in range(start, len(lines)) if "Traceback (most recent" in lines[number]), None)


def _blank(lines: list[str], start: int) -> int:
    return next((number for number in range(start, len(lines)) if not lines[number].strip()), len(lines))


async def _end(child: asyncio.subprocess.Process) -> None:
    """Return when nothing is left of the child's process group: the pipeline and its step."""
    import signal
    from contextlib import suppress

    with suppress(ProcessLookupError):
        for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            os.killpg(child.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while True:  # the step is no child of ours: nobody tells us when it is gone
                        await asyncio.sleep(0.02)
                        os.killpg(child.pid, 0)


def say(text: str) -> None:
    """One line, at once, also into a pipe."""
    typer.echo(text)
    sys.stdout.flush()
