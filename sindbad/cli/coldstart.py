"""``sindbad coldstart``: teacher rollouts become an SFT set, and their restarts pairs that train a summariser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sindbad.coldstart.make import Counts

app = typer.Typer(no_args_is_help=True, help="Make the set that a policy is fine-tuned on before it learns by itself.")

Config = Annotated[Path, typer.Option("--config", help="The job (YAML), for example recipes/coldstart.yaml.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the run: the journal, and the set below dataset/.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override: key=value, outer.inner=value.")]


@app.command()
def make(
    config: Config,
    out: Out = Path("runs/coldstart"),
    assignments: Set = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved job and stop.")] = False,
) -> None:
    """Roll out, reject, shorten thoughts, remove what overlaps the test set. Run it again to go on after a kill."""
    import asyncio

    from sindbad.coldstart.job import ColdStartJob
    from sindbad.configuration import override, read_mapping, resolve

    job = resolve(ColdStartJob, override(read_mapping(config), assignments or []), source=str(config))
    if dry_run:
        typer.echo(_yaml(job.model_dump(mode="json")), nl=False)
        return
    from sindbad.coldstart.run import run_job

    finished = asyncio.run(run_job(job, out, _progress()))
    counts = finished.counts
    typer.echo(f"{counts.kept:,} trajectories of {counts.asked:,} questions, {counts.segments:,} segments, "
               f"{counts.trained_tokens:,} tokens with loss: {finished.folder}")  # fmt: skip
    for name, number in counts.filters.refused.items():
        typer.echo(f"  refused by {name}: {number:,}   ({counts.filters.examples[name]})")
    for name, number in {**counts.refused, **counts.thought_faults}.items():
        typer.echo(f"  given up, {name}: {number:,}")
    for name, number in counts.decontamination.removed.items():
        typer.echo(f"  removed, {name}: {number:,}")


@app.command()
def pairs(
    source: Annotated[Path, typer.Option("--from", help="Folder of trajectory shards with restarts.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    student: Annotated[Path, typer.Option("--student", help="Model folder of the summariser to be trained.")],
    prompts: Annotated[str, typer.Option(help="Its prompt set, by name or file.")] = "full",
    context_limit: Annotated[int, typer.Option(min=64, help="Its context in tokens.")] = 32 * 1024,
    max_tokens: Annotated[int, typer.Option(min=1, help="Its longest summary in tokens.")] = 4096,
    teacher: Annotated[Path | None, typer.Option(help="YAML of an endpoint that writes the summaries anew.")] = None,
    wrong: Annotated[bool, typer.Option("--wrong", help="Also pairs of attempts that ended wrong.")] = False,
) -> None:
    """<conversation, summary> pairs: prompt and completion (JSONL), ids and masks (Parquet)."""
    import asyncio

    typer.echo(asyncio.run(_pairs(source, out, student, prompts, context_limit, max_tokens, teacher, not wrong)))


async def _pairs(
    source: Path, out: Path, student: Path, prompts: str, context_limit: int, max_tokens: int, teacher: Path | None,
    only_correct: bool,
) -> str:  # fmt: skip
    from contextlib import AsyncExitStack

    from sindbad import atomic
    from sindbad.agent.chat import ChatTokenizer
    from sindbad.agent.prompts import load_prompts
    from sindbad.agent.store import read, shards
    from sindbad.agent.summarize import Writer
    from sindbad.agent.summary_models import LanguageModelSummarizer
    from sindbad.coldstart.dataset import digest_of_path
    from sindbad.coldstart.pairs import COUNTS, PairCounts, PairSettings, asker, checked, recorded, taught, write_pairs
    from sindbad.errors import NotFound

    atomic.check_replaceable(out, COUNTS)
    if not shards(source):
        raise NotFound(f"{source} holds no trajectory shards; name the `trajectories` folder of a cold-start set")
    chat = ChatTokenizer.from_dir(student, load_prompts(prompts))
    settings, counts = PairSettings(only_correct=only_correct, only_models=teacher is not None), PairCounts()
    found: Any = recorded(read(source), settings, counts)
    lineage = {"source": digest_of_path(source), "teacher": "as rolled out", "prompts": chat.prompt_digest()}
    async with AsyncExitStack() as stack:
        if teacher is not None:
            asked, lineage["teacher"] = await _endpoint(teacher, chat, stack)
            writer = LanguageModelSummarizer(asked, chat, Writer.MODEL)
            found = [pair async for pair in taught(found, writer, settings, counts)]
        kept = list(checked(found, settings, counts))
    write_pairs(out, kept, asker(chat, context_limit, max_tokens), counts, lineage)
    refused = ", ".join(f"{name} {number:,}" for name, number in sorted(counts.refused.items())) or "none"
    return f"{counts.kept:,} pairs of {counts.restarts:,} restarts in {out} (left out: {refused})"


async def _endpoint(path: Path, chat: Any, stack: Any) -> tuple[Any, str]:
    from sindbad.clients.openai import OpenAISettings
    from sindbad.configuration import read_mapping, resolve
    from sindbad.engines.chat_endpoint import ChatEndpoint

    settings = resolve(OpenAISettings, read_mapping(path), source=str(path))
    return await stack.enter_async_context(ChatEndpoint(settings, chat)), settings.model


def _yaml(value: Any) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def _progress() -> Callable[[int, int, Counts], None]:
    """A line a twentieth of the work, and one at the end."""
    last = 0

    def show(done: int, total: int, counts: Counts) -> None:
        nonlocal last
        if done == total or (done - last) * 20 >= total:
            last = done
            attempts = counts.filters.attempts
            typer.echo(f"{done:,}/{total:,} questions, {attempts:,} attempts, {counts.kept:,} kept", err=True)

    return show
