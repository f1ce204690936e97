"""``sindbad quantize``: a model in eight bits, and what that costs on the user's own held-out rows."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.failing import fail

if TYPE_CHECKING:
    from sindbad.quantize.heldout import HeldOut


class SchemeChoice(StrEnum):
    """As ``sindbad.quantize.numerics.Scheme``, here so that ``--help`` need not import it."""

    FP8_DYNAMIC = "fp8-dynamic"
    INT8 = "int8"


class BackendChoice(StrEnum):
    """As in ``sindbad.quantize.configuration``."""

    AUTO = "auto"
    LLM_COMPRESSOR = "llm-compressor"
    OWN = "own"


class ArithmeticChoice(StrEnum):
    """As in ``sindbad.quantize.configuration``."""

    FLOAT32 = "float32"
    STORED = "stored"


class StyleChoice(StrEnum):
    """As ``sindbad.quantize.agreement.AgreementConfig.style``."""

    AUTO = "auto"
    LIGHT = "light"
    TEACHER = "teacher"
    INSTRUCT = "instruct"
    NONE = "none"


def quantize(
    model: Annotated[Path, typer.Argument(help="Folder of the model: config.json, tokenizer.json, safetensors.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; an earlier result in it is replaced.")],
    scheme: Annotated[
        SchemeChoice, typer.Option(help="fp8-dynamic for GPUs from compute capability 8.9 on, int8 for CPUs.")
    ] = SchemeChoice.FP8_DYNAMIC,
    backend: Annotated[
        BackendChoice, typer.Option(help="auto: llm-compressor where `scripts/install.sh quantize` was run.")
    ] = BackendChoice.AUTO,
    arithmetic: Annotated[
        ArithmeticChoice, typer.Option(help="stored: in the checkpoint's dtype, as llm-compressor's own default.")
    ] = ArithmeticChoice.FLOAT32,
    evaluate: Annotated[
        Path | None, typer.Option("--eval", help="Held-out rows (.tsv with a header, .jsonl; .gz): compare on them.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="SOURCE,REFERENCE: their names in the held-out file.")] = None,
    limit: Annotated[int | None, typer.Option(help="Compare on so many rows at most.", min=1)] = None,
    style: Annotated[
        StyleChoice, typer.Option(help="Prompt for held-out rows; auto: the model's own; none: the row alone.")
    ] = StyleChoice.AUTO,
    languages: Annotated[str, typer.Option(help="FROM-TO, named in the prompt.")] = "en-ar",
    max_tokens: Annotated[int, typer.Option(help="Longest output on held-out rows.", min=1)] = 192,
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Tokens/s of both under vLLM (scripts/install.sh vllm), in the report.")
    ] = False,
    threads: Annotated[int, typer.Option(help="CPU threads of vLLM.", min=1)] = 2,
    device: Annotated[str, typer.Option(help="torch device for the comparison.")] = "cpu",
    licence: Annotated[str | None, typer.Option(help="Of the model, where its card does not say.")] = None,
    any_architecture: Annotated[
        bool, typer.Option("--any-architecture", help="Let through architectures that nobody has checked.")
    ] = False,
) -> None:
    """Quantise a model to eight bits without calibration data, in the format that vLLM and transformers load."""
    from sindbad.errors import SindbadError
    from sindbad.quantize.configuration import QuantizeConfig
    from sindbad.quantize.folder import quantise_folder
    from sindbad.quantize.throughput import Load, measure_throughput, vllm_python

    asked = {"scheme": scheme.value, "backend": backend.value, "arithmetic": arithmetic.value}
    config = QuantizeConfig.model_validate({**asked, "any_architecture": any_architecture})
    source, _, target = languages.partition("-")
    try:
        python = vllm_python() if throughput else None
        rows = _held_out(evaluate, columns, limit)  # first: a typo there should not cost a quantisation
        if rows:
            from sindbad.quantize.agreement import AgreementConfig, check_asking, compare_folders

            chosen = {"style": style.value, "source_language": source, "target_language": target}
            asking = AgreementConfig.model_validate({**chosen, "max_tokens": max_tokens, "device": device})
            check_asking(asking)
        report = quantise_folder(model, out, config, licence=licence)
        typer.echo(
            f"{len(report.layers)} Linear layers as {report.scheme.value} by {report.backend}: "
            f"{report.bytes_before:,} → {report.bytes_after:,} bytes ({report.ratio:.1%}); "
            f"mean layer error {report.mean_error:.4f}, "
            f"worst element {report.worst.max_relative:.4f} ({report.worst.name})"
        )
        agreement = None
        if rows:
            agreement = compare_folders(model, out, rows, asking)
            typer.echo(
                f"{agreement.rows} held-out rows: KL {agreement.kl_mean.value:.2e} nats, same next token "
                f"{agreement.top1:.2%}, identical outputs {agreement.identical:.1%}"
                + ("" if agreement.chrf_difference is None else f", chrF++ {agreement.chrf_difference:+.2f}")
            )
        speed = measure_throughput(model, out, python, Load(threads=threads)) if python is not None else None
        if speed is not None:
            typer.echo(
                f"{speed.quantised:,.0f} output tokens/s under vLLM, {speed.ratio:.2f} times the original's "
                f"{speed.original:,.0f} in bfloat16"
            )
        from sindbad.quantize.report import write_reports

        page = write_reports(report, agreement, out / "report", name=model.resolve().name, throughput=speed)
    except SindbadError as error:
        fail(error)
    typer.echo(f"wrote {out}; report: {page} (and .json, .html)")


def _held_out(path: Path | None, columns: str | None, limit: int | None) -> list[HeldOut]:
    from sindbad.errors import InvalidInput
    from sindbad.quantize.heldout import read_held_out

    if path is None:
        return []
    names = tuple(name.strip() for name in columns.split(",")) if columns else None
    if names is not None and len(names) != 2:
        raise InvalidInput(f"--columns {columns}: give two names, SOURCE,REFERENCE")
    return read_held_out(path, columns=names, limit=limit)
