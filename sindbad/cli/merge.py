"""``sindbad merge``: SLERP of a tuned model with its base, at one t, a schedule, or the best of a sweep."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sindbad.cli.failing import fail
from sindbad.cli.train import DryRun, StageName, resolve

if TYPE_CHECKING:
    from sindbad.training.configuration import MergeConfig
    from sindbad.training.sweep import SweepRow


class Side(StrEnum):
    """Of a merge."""

    BASE = "base"
    TUNED = "tuned"


class OutDtype(StrEnum):
    """What the result is rounded to."""

    BASE = "base"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def merge(
    base: Annotated[Path, typer.Argument(help="Folder of the base model (t = 0).")],
    tuned: Annotated[Path, typer.Argument(help="Folder of the tuned model (t = 1).")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    t: Annotated[float | None, typer.Option("-t", help="Interpolation; default 0.5.", min=0.0, max=1.0)] = None,
    sweep: Annotated[str, typer.Option("--sweep", help="Values of t, with commas between; OUT is the best.")] = "",
    evaluations: Annotated[
        list[str] | None, typer.Option("--eval", help="loss:FILE or chrf:FILE; the first one decides a sweep.")
    ] = None,
    first: Annotated[int | None, typer.Option("--first", min=1, help="Pairs of each evaluation's file.")] = None,
    tokenizer: Annotated[Side | None, typer.Option("--tokenizer", help="Whose; needed where they differ.")] = None,
    chat_template: Annotated[
        Side | None, typer.Option("--chat-template", help="Whose; needed where they differ.")
    ] = None,
    drop_added_tokens: Annotated[
        bool, typer.Option("--drop-added-tokens", help="Let the base's tokenizer lose what tuning added.")
    ] = False,
    out_dtype: Annotated[
        OutDtype | None, typer.Option("--out-dtype", help="Rounded to once, after float32 arithmetic.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Take the settings from a recipe.")] = None,
    stage: StageName = None,
    dry_run: DryRun = False,
) -> None:
    """Merge two models of one architecture by mergekit's SLERP in float32."""
    from sindbad.errors import SindbadError
    from sindbad.training.configuration import MergeConfig

    config = MergeConfig() if recipe is None else resolve(recipe, "merge", stage, dry_run).merge
    given = {"t": t, "tokenizer": tokenizer, "chat_template": chat_template, "out_dtype": out_dtype}
    changes: dict[str, Any] = {
        name: getattr(value, "value", value) for name, value in given.items() if value is not None
    }
    config = config.model_copy(update={**changes, **({"drop_added_tokens": True} if drop_added_tokens else {})})
    values = _values(sweep)
    if bool(values) != bool(evaluations):
        raise typer.BadParameter("--sweep and --eval go together")
    if dry_run:
        typer.echo(f"merge {base} and {tuned} into {out} with {config.model_dump()}" + (f" at {values}" * bool(values)))
        raise typer.Exit
    try:
        if values:
            _sweep(base, tuned, out, config, values, evaluations or [], first)
        else:
            _merge(base, tuned, out, config)
    except SindbadError as error:
        fail(error)


def _merge(base: Path, tuned: Path, out: Path, config: MergeConfig) -> None:
    from sindbad.training.merge import merge_folders

    report = merge_folders(base, tuned, out, config)
    largest = max(report.tensors, key=lambda row: row.merged_change)
    widest = max(report.tensors, key=lambda row: row.angle)
    typer.echo(
        f"{len(report.tensors)} tensors, {report.slerp_share:.0%} by SLERP, the others by LERP; "
        f"largest change {largest.merged_change:.3f} ({largest.name}), widest angle {widest.angle:.1f}° ({widest.name})"
    )
    if report.dropped_tokens:
        typer.echo(f"lost {len(report.dropped_tokens)} added tokens: {', '.join(report.dropped_tokens[:8])}", err=True)
    typer.echo(f"tokenizer: {report.tokenizer}; chat template: {report.chat_template}; wrote {out}")


def _sweep(
    base: Path, tuned: Path, out: Path, config: MergeConfig, values: list[float], evaluations: list[str],
    first: int | None,
) -> None:  # fmt: skip
    from sindbad.training.sweep import parse_measure, sweep_merge

    measures = [parse_measure(text, first=first) for text in evaluations]

    def show(row: SweepRow) -> None:
        told = "  ".join(f"{name} {value:.4f}" for name, value in row.figures.items())
        typer.echo(f"t {row.t:<5g} {told}  SLERP {row.slerp_share:.0%}")

    found = sweep_merge(base, tuned, out, values, measures, config, on_row=show)
    for name, text in found.signatures.items():
        typer.echo(f"{name}: {text}")
    typer.echo(f"best by {found.decided_by}: t = {found.best:g}; wrote {out}")


def _values(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not numbers with commas between") from None
