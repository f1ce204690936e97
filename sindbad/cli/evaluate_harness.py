"""``sindbad evaluate harness``: the Arabic benchmarks through lm-eval or lighteval, on a local model folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sindbad.cli.failing import fail

INTERRUPTED = 130


class HarnessChoice(StrEnum):
    """As ``sindbad.evaluation.harness.benchmarks.Harness``, here so that ``--help`` need not import it."""

    LM_EVAL = "lm-eval"
    LIGHTEVAL = "lighteval"


class ChatTemplate(StrEnum):
    """Whether a harness renders its prompts with the model's chat template."""

    DEFAULT = "default"
    ON = "on"
    OFF = "off"


def register(app: typer.Typer) -> None:
    """Add the command to ``sindbad evaluate``."""
    app.command()(harness)


def harness(
    benchmark: Annotated[
        str,
        typer.Argument(help="alghafa, arabicmmlu, arbmmlu_ht, arabic_exams, madinah_qa, aratrust or acva."),
    ],
    model: Annotated[Path, typer.Option("--model", help="A local model folder.")],
    harnesses: Annotated[
        list[HarnessChoice] | None, typer.Option("--with", help="Which harness; twice for both. Default: lm-eval.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="JSONL (also .gz) of the items, instead of the Hub; offline.")
    ] = None,
    subset: Annotated[str, typer.Option("--subset", help="Of --data, where its rows do not say it.")] = "",
    first: Annotated[
        int | None, typer.Option("--first", min=1, help="Only the first rows of --data, or of each task.")
    ] = None,
    chat: Annotated[
        ChatTemplate, typer.Option("--chat-template", help="Default: as the harness does by itself.")
    ] = ChatTemplate.DEFAULT,
    device: Annotated[str, typer.Option("--device", help="Torch device.")] = "cpu",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Prompts at once.")] = 16,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Torch threads.")] = 1,
    python: Annotated[
        Path | None,
        typer.Option("--python", help="Interpreter of the harness's environment; default: the installer's."),
    ] = None,
    deadline: Annotated[float, typer.Option("--deadline", min=1.0, help="Seconds for one harness.")] = 3600.0,
    keep: Annotated[Path | None, typer.Option("--keep", help="Keep its task files, log and results here.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
) -> None:
    """A benchmark by its exact task names, through lm-eval or lighteval: raw beside normalised accuracy."""
    import signal

    from sindbad.atomic import write_json
    from sindbad.errors import InvalidInput, SindbadError
    from sindbad.evaluation.harness.benchmarks import Harness, find_benchmark
    from sindbad.evaluation.harness.results import harness_table
    from sindbad.evaluation.harness.run import Source, run_harness
    from sindbad.evaluation.harness.tasks import Asked
    from sindbad.evaluation.tables import as_text

    # The harness is a child in a group of its own: `timeout` and container runtimes must end it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = [Harness(one.value) for one in dict.fromkeys(harnesses or [HarnessChoice.LM_EVAL])]
    template = {ChatTemplate.DEFAULT: None, ChatTemplate.ON: True, ChatTemplate.OFF: False}[chat]
    runs = []
    try:
        asked = Asked(model, device, batch, template, first)
        if python is not None and len(wanted) > 1:
            raise InvalidInput("--python names one harness's interpreter; ask one harness at a time")
        found = find_benchmark(benchmark)
        for one in wanted:
            found.tasks(one)  # what a harness lacks is told before another has worked for an hour
        for one in wanted:
            typer.echo(f"{one}: {_named(found.tasks(one))}", err=True)
            run = run_harness(
                found, one, asked, Source(data, subset), python=python, keep=keep / one.value if keep else None,
                threads=threads, deadline_seconds=deadline,
            )  # fmt: skip
            runs.append(run)
            _tell_data(run.data)
    except SindbadError as error:
        fail(error)
    except KeyboardInterrupt:
        typer.echo("interrupted; the harness was ended", err=True)
        raise typer.Exit(INTERRUPTED) from None
    table = harness_table(runs)
    typer.echo(as_text([table]))
    typer.echo(f"{table.title}: {table.note}", err=True)
    if json_file is not None:
        write_json(json_file, {"runs": [run.to_record() for run in runs]})


def _named(tasks: tuple[str, ...]) -> str:
    shown = ", ".join(tasks[:3])
    return f"{shown} … ({len(tasks)} tasks)" if len(tasks) > 3 else shown


def _tell_data(data: dict[str, object]) -> None:
    """What was done to a local file before a harness read it."""
    if data.get("converted"):
        typer.echo(f"{data['file']}: {data['converted']} rows brought into the columns that the task reads", err=True)
    left_out = data.get("left_out")
    if isinstance(left_out, dict) and left_out:
        told = ", ".join(f"{count} of {name or 'no subset'!r}" for name, count in left_out.items())
        typer.echo(f"{data['file']}: left out, no subset of the benchmark: {told}", err=True)
