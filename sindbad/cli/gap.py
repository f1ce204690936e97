"""``sindbad tools gap``: ask the same questions in the simulated and the live environment, and print how far apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.failing import fail
from sindbad.cli.train import (  # fmt: skip
    DEFAULT_RUN,
    DryRun,
    RecipeFile,
    RunDirectory,
    StageName,
    existing,
    resolve,
)

if TYPE_CHECKING:
    from sindbad.tools.gap import Gap
    from sindbad.training.recipe import EvaluateStage


def gap(
    recipe: RecipeFile,
    tokenizer: Annotated[Path | None, typer.Option("--model", help="A folder with the policy's tokenizer.")] = None,
    questions: Annotated[Path | None, typer.Option("--questions", help="JSONL of questions.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Questions asked in both environments.")] = 100,
    stage: StageName = None,
    run: RunDirectory = DEFAULT_RUN,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write it here; a mix reads it as gap.file, the report from gaps/.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """The sim-to-real gap of the served policy: reward, failed tool calls, and overlap of results, with intervals."""
    chosen: EvaluateStage = resolve(recipe, "evaluate", stage, dry_run)
    import asyncio

    from sindbad.atomic import write_json
    from sindbad.errors import SindbadError

    try:
        folder, asked = existing(tokenizer or Path(chosen.model)), existing(questions or Path(chosen.questions))
        found = asyncio.run(_measure(chosen, folder, asked, run, count))
    except SindbadError as error:
        fail(error)
    typer.echo(_told(found))
    write_json(json_file or run / "gaps" / f"{chosen.name}.json", found.to_record())


async def _measure(stage: EvaluateStage, tokenizer_dir: Path, questions: Path, run: Path, count: int) -> Gap:
    """Journals are thrown away: asked again, the served weights may be others."""
    import tempfile

    from sindbad.evaluation.gap import measure_gap
    from sindbad.questions.store import load_questions
    from sindbad.tools.environment import Caller, Purpose
    from sindbad.tools.mix import LIVE, SIMULATED
    from sindbad.training.remote import read_services, remote_arms

    opened = remote_arms(
        read_services(run), tokenizer_dir, stage.agent, [SIMULATED, LIVE], prompts=stage.prompts, tools=stage.tools,
        caller=Caller(run.name, Purpose.EVALUATION),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="sindbad-gap-") as journals:
        async with opened as arms:
            measured, _, _ = await measure_gap(
            arms[SIMULATED], arms[LIVE], load_questions(questions)[:count], stage.evaluation,
            name=f"{stage.name}-gap", journals=Path(journals),
            deadline_seconds=stage.agent.tool_deadline_seconds,
        )  # fmt: skip
    return measured


def _told(found: Gap) -> str:
    """A few lines for people."""

    def row(name: str, simulated: float | None, live: float | None, difference: object) -> str:
        cells = ("     –" if value is None else f"{value:6.3f}" for value in (simulated, live))
        return f"  {name:18}" + "  ".join(cells) + f"  {difference if difference is not None else '–'}"

    return "\n".join([
        f"{found.questions} questions, {found.attempts} attempts each, {found.searches} searches asked in both",
        "                    simulated  live  live minus simulated, 95 % interval",
        row("reward", found.simulated_reward, found.live_reward, found.reward),
        row("failed tool calls", found.simulated_failures, found.live_failures, found.failures),
        f"  overlap of results (Jaccard of URLs)  {found.overlap if found.overlap is not None else '–'}",
    ])  # fmt: skip
