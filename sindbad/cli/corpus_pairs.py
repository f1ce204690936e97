"""``sindbad corpus pairs`` and ``sindbad corpus run``: the translator's supervision, and a recipe's corpus stage.

Both give their rows to ``sindbad corpus translate``, so its ledger, ``status``, ``why`` and ``resume`` are theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sindbad.cli import corpus

if TYPE_CHECKING:
    from sindbad.corpus.bilingual import Supervision
    from sindbad.corpus.bilingual_settings import PairsSettings, RowsSettings
    from sindbad.corpus.job import Job

IN_FLIGHT = 64
"""Pairs at a judge's endpoint at once, where no --config says it."""

RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="Recipe (YAML), for example recipes/hala.yaml.")]
StageName = Annotated[str | None, typer.Option("--stage", help="Stage of the recipe; needed if it has several.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would run, and stop.")]
LICENCE = typer.Option(help="Licence of the translator, inherited by all that it writes; repeat, if it has several.")
Services = Annotated[list[str] | None, typer.Option("--translator", help="Address of a translator service; repeat.")]
Endpoint = Annotated[str, typer.Option(help="An OpenAI-compatible server instead.")]
EndpointModel = Annotated[str, typer.Option(help="The model's name there.")]
ModelFolder = Annotated[Path | None, typer.Option("--model", help="A model folder instead.")]
Revision = Annotated[str, typer.Option(help="Names the weights; needed unless --model is given.")]
Quantisation = Annotated[str, typer.Option(help="For example FP8_DYNAMIC; a model folder says it itself.")]


def folder_here(text: str) -> Path:
    """A folder of this machine, for typer; a URL would become one of a strange name."""
    if "://" in text:
        raise typer.BadParameter(f"{text} must be a folder of this machine; only a job may lie elsewhere")
    return Path(text)


def register(app: typer.Typer) -> None:
    """Add the commands to ``sindbad corpus``."""
    app.command()(pairs)
    app.command()(run)


def pairs(
    out: Annotated[
        Path,
        typer.Argument(
            parser=folder_here,
            metavar="OUT",
            help="Folder here: pairs.jsonl, rejected.jsonl, counts.json; teacher/ is a job.",
        ),
    ],
    recipe: RecipeFile = None,
    stage: StageName = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML: teacher, parallel, judge, tests, style, cut; instead of a recipe.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Rows for the teacher, as `corpus translate` takes them.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Only the first N rows of each source.")] = None,
    teacher: Annotated[
        list[str] | None, typer.Option("--teacher", help="A translation job that is there already; repeat.")
    ] = None,
    licence: Annotated[list[str] | None, LICENCE] = None,
    translator: Services = None,
    endpoint: Endpoint = "",
    endpoint_model: EndpointModel = "",
    model: ModelFolder = None,
    revision: Revision = "",
    quantisation: Quantisation = "",
    parallel: Annotated[
        list[str] | None, typer.Option("--parallel", help="opus100, opus100=FILE or NAME=FILE@LICENCE; repeat.")
    ] = None,
    candidates: Annotated[int | None, typer.Option(min=1, help="Only the first N pairs of each.")] = None,
    judge: Annotated[str, typer.Option(help="An OpenAI-compatible server whose model judges parallel text.")] = "",
    judge_model: Annotated[str, typer.Option(help="Its name there; without --judge a model folder.")] = "",
    judge_policy: Annotated[
        list[str] | None, typer.Option("--judge-policy", help="A policy service that serves that folder; repeat.")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option("--test", help="NAME=FILE that is measured with: nothing of it gets in; repeat.")
    ] = None,
    from_language: Annotated[str, typer.Option("--from", help="Language of the texts; en by default.")] = "",
    to_language: Annotated[str, typer.Option("--to", help="Language that they are translated into; ar.")] = "",
    workers: corpus.Workers = 1,
    retry: corpus.Retry = True,
    storage: Annotated[str, typer.Option("--storage", help="Options of the storage of --teacher, as JSON.")] = "",
    dry_run: DryRun = False,
) -> None:
    """A teacher's translations and judged parallel text as one training file. Run again, it pays for nothing twice."""
    from sindbad.configuration import resolve
    from sindbad.corpus.bilingual_settings import PairsSettings
    from sindbad.errors import InvalidInput

    values, implied = _chosen(recipe, stage, config)
    for side, name in (("source", from_language), ("target", to_language)):
        if name:
            values[side] = name
    if source:
        values["teacher"] = {**(values.get("teacher") or {}), "sources": source}
    if parallel:
        values["parallel"] = {**(values.get("parallel") or {}), "sources": parallel}
    if values.get("teacher"):  # one direction for both halves
        said = {side: values[side] for side in ("source", "target") if side in values}
        values["teacher"] = {**said, **values["teacher"]}
    for half, name, count in (("teacher", "rows", rows), ("parallel", "candidates", candidates)):
        if count is not None and values.get(half):
            values[half] = {**values[half], name: count}
    if test:
        values["tests"] = test
    judged_by = _judge(judge, judge_model, judge_policy or [], implied.get("judge", ""))
    values = {**values, **({"judge": judged_by} if judged_by else {})}
    settings = resolve(PairsSettings, values, source="the pairs")
    if dry_run:
        _show(settings, out, implied, named=bool(teacher))
        return
    if settings.parallel is not None and settings.judge is None and (judged := implied.get("judge")):
        raise InvalidInput(f"say where {judged} judges: --judge URL, or --judge-model FOLDER with its weights")
    _check_inputs(settings)
    asked = {"translator": translator, "endpoint": endpoint, "endpoint_model": endpoint_model, "model": model,
             "revision": revision, "quantisation": quantisation}  # fmt: skip
    jobs = [_job(url, storage) for url in teacher or []]
    if not jobs and settings.teacher is not None:
        folder = out / "teacher"
        if translator or endpoint or model:
            owed = licence or [name for name in (implied.get("licence"),) if name]
            _translate(str(folder), settings.teacher, asked, owed, workers=workers, retry=retry)
        jobs = [_job(str(folder))]
        _check_rows(jobs[0], settings.teacher)
    _tell(_make(settings, out, jobs), out)


def run(
    job: corpus.Folder,
    recipe: Annotated[Path, typer.Option("--recipe", help="Recipe (YAML) with a corpus stage.")],
    licence: Annotated[list[str], LICENCE],
    stage: StageName = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Only the first N rows of each source.")] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Instead of the recipe's: NAME=FILE for files here; repeat.")
    ] = None,
    translator: Services = None,
    endpoint: Endpoint = "",
    endpoint_model: EndpointModel = "",
    model: ModelFolder = None,
    revision: Revision = "",
    quantisation: Quantisation = "",
    reuse: Annotated[
        list[str] | None, typer.Option("--reuse", help="As of `corpus translate`: a job that has rows already; repeat.")
    ] = None,
    workers: corpus.Workers = 1,
    retry: corpus.Retry = True,
    storage: corpus.Options = "",
    dry_run: DryRun = False,
) -> None:
    """Translate the rows of a recipe's corpus stage: `corpus translate` with its settings."""
    from sindbad.training.recipe import CorpusStage, load_recipe

    chosen: CorpusStage = load_recipe(recipe).only("corpus", stage)
    changes: dict[str, Any] = {"sources": tuple(source)} if source else {}
    asked = chosen.rows.model_copy(update={**changes, **({"rows": rows} if rows else {})})
    if dry_run:
        _show_rows(asked, job)
        for one in reuse or []:
            typer.echo(f"# but for those that {one} has kept: they are taken over")
        return
    named = {"translator": translator, "endpoint": endpoint, "endpoint_model": endpoint_model, "model": model,
             "revision": revision, "quantisation": quantisation, "reuse": reuse}  # fmt: skip
    _translate(job, asked, named, licence, workers=workers, retry=retry, storage=storage)


# -- behind the commands -----------------------------------------------------------------------------------------------


def _chosen(recipe: Path | None, stage: str | None, config: Path | None) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings as values, and what a recipe implies beside them: judge, licence, the paper's sizes."""
    from sindbad.configuration import read_mapping
    from sindbad.errors import InvalidInput

    if recipe is None:
        return (dict(read_mapping(config)) if config is not None else {}), {}
    if config is not None:
        raise InvalidInput("--recipe and --config are two ways to say the same; give one")
    from sindbad.training.recipe import BilingualStage, load_recipe

    chosen: BilingualStage = load_recipe(recipe).only("bilingual", stage)
    implied = {"judge": chosen.judge, "licence": chosen.licence, "model": chosen.model}
    return chosen.pairs.model_dump(mode="json", exclude_unset=True), implied


def _judge(url: str, model: str, policy: list[str], implied: str) -> dict[str, Any]:
    if url:
        return {"endpoint": {"base_url": url, "model": model or implied, "parallel": IN_FLIGHT}}
    return {"model": model, "policy": policy} if model or policy else {}


def _job(url: str, storage: str = "") -> Job:
    from sindbad.corpus.job import Job
    from sindbad.errors import InvalidInput, NotFound

    try:
        return Job.open(corpus._store(url, storage))
    except NotFound as error:
        raise InvalidInput(
            f"{error.message}, and no teacher is named that could begin one: --translator, --endpoint or --model, "
            "or --teacher JOB"
        ) from error


def _check_rows(job: Job, rows: RowsSettings) -> None:
    """Raise InvalidInput where a teacher's job holds other rows than those that are asked for."""
    from sindbad.corpus.sources import SourceRequest
    from sindbad.errors import InvalidInput, NotFound

    try:
        asked = [SourceRequest.parse(text, rows.rows, rows.source).describe() for text in rows.sources]
    except NotFound:
        return  # what cannot be read any more cannot be compared; the job has it
    there = job.spec.source.get("sources")
    if _but_terms(asked) != _but_terms(there if isinstance(there, list) else []):
        raise InvalidInput(
            f"the job in {job.store.url} translates other rows than these: name the teacher again to go on with these "
            f"(--translator, --endpoint or --model), or take the job as it is with --teacher {job.store.url}"
        )


def _but_terms(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "terms"} for one in sources]


def _check_inputs(settings: PairsSettings) -> None:
    """Raise what is wrong with the parallel text and the tests, which are read when a teacher has been paid. What is
    on the Hub is not asked for yet."""
    from sindbad.corpus.bilingual import parallel_sources, read_tests
    from sindbad.corpus.sources import path_in

    read_tests(settings.tests, settings.languages)
    named = settings.parallel.sources if settings.parallel is not None else ()
    for text, source in zip(named, parallel_sources(settings, limit=1), strict=True):
        if path_in(text):
            next(iter(source.pairs), None)


def _translate(
    job: str,
    rows: RowsSettings,
    asked: dict[str, Any],
    licence: list[str],
    *,
    workers: int,
    retry: bool,
    storage: str = "",
) -> None:
    """Begin or go on with a translation job, by the command for it; the job keeps what the configuration says."""
    import tempfile

    import yaml

    from sindbad import atomic
    from sindbad.errors import InvalidInput

    if not licence:
        raise InvalidInput("name the teacher's licence with --licence: all that it writes inherits it")
    with tempfile.TemporaryDirectory(prefix="sindbad-rows-") as scratch:
        config = Path(scratch) / "rows.yaml" if "://" in job else Path(job).with_name(f"{Path(job).name}.yaml")
        atomic.write_text(config, yaml.safe_dump(rows.configuration(), sort_keys=False, allow_unicode=True))
        corpus.translate(
            job=job, source=list(rows.sources), licence=licence, limit=rows.rows, unit=rows.unit, config=config,
            from_language=rows.source, to_language=rows.target, workers=workers, retry=retry, storage=storage, **asked,
        )  # fmt: skip


def _make(settings: PairsSettings, out: Path, jobs: list[Job]) -> Supervision:
    import asyncio

    from sindbad.corpus.bilingual import Half, make_pairs
    from sindbad.corpus.verdicts import VerdictBook, judging

    def told(name: str, half: Half) -> None:
        typer.echo(f"{name}: {half.candidates:,} candidates, {half.kept:,} kept")

    async def work() -> Supervision:
        if settings.judge is None or settings.parallel is None:
            return await make_pairs(settings, out, jobs=jobs, progress=told)
        chosen = settings.judge
        identity = chosen.identity(*settings.languages)
        with VerdictBook(out / "verdicts.jsonl", identity, judge=chosen.name, silent=chosen.silent_pairs) as book:
            async with judging(chosen, source=settings.source, target=settings.target) as judge:
                made = await make_pairs(
                    settings, out, jobs=jobs, judge_name=chosen.name, progress=told,
                    judge=lambda pairs: book.judge(judge, pairs, in_flight=chosen.at_once),
                )  # fmt: skip
            typer.echo(f"{chosen.name} was asked about {book.asked:,} pairs")
            return made

    return asyncio.run(work())


def _tell(made: Supervision, out: Path) -> None:
    if made.teacher:
        typer.echo(f"teacher: {made.teacher['translated']:,} of {made.teacher['rows']:,} rows, two pairs each")
        for reason, count in made.teacher["dropped"].items():
            typer.echo(f"  {reason}: {count:,} rows")
    for name, half in made.origins.items():
        typer.echo(f"{name}: {half.kept:,} of {half.candidates:,} pairs, {half.lines:,} lines")
        for kind, counts in (("rejected", half.rejected), ("left out", half.left_out)):
            for reason, count in counts.most_common():
                typer.echo(f"  {kind}, {reason}: {count:,}")
    typer.echo(f"{made.pairs:,} pairs, {made.lines:,} lines in {out / 'pairs.jsonl'}")
    for sentence in made.to_record()["obligations"]:
        typer.echo(f"  {sentence}")


def _show(settings: PairsSettings, out: Path, implied: dict[str, str], *, named: bool) -> None:
    from sindbad.training.recipe import dump_recipe

    if settings.teacher is not None and not named:
        _show_rows(settings.teacher, str(out / "teacher"), by=implied.get("model", ""))
    if settings.parallel is not None:
        judge = settings.judge.name if settings.judge else implied.get("judge", "")
        count = f"the first {settings.parallel.candidates:,}" if settings.parallel.candidates else "all"
        said = f"judged by {judge}" if judge else "by rules only"
        typer.echo(f"# {count} pairs of {', '.join(settings.parallel.sources)}, {said}")
    typer.echo(f"# into {out / 'pairs.jsonl'}, rejected.jsonl and counts.json; the settings:")
    typer.echo(dump_recipe(settings), nl=False)


def _show_rows(rows: RowsSettings, job: str, by: str = "") -> None:
    count = f"the first {rows.rows:,}" if rows.rows else "all"
    typer.echo(f"# {count} rows of {', '.join(rows.sources)}, translated{f' by {by}' * bool(by)}, job {job}")
