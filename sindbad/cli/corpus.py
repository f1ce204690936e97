"""``sindbad corpus``: instruction data into another language by many workers; a ledger answers for every row.

Exit codes: 0 done, 1 something failed (run it again: it goes on), 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sindbad.corpus.connect import Connection, Examination
    from sindbad.corpus.job import Job, JobSpec, Round
    from sindbad.corpus.store import JobStore
    from sindbad.corpus.translate import CorpusReport
    from sindbad.corpus.worker import Tally, WorkerSettings

app = typer.Typer(no_args_is_help=True, help="Translate instruction data; ask why a row was dropped; report; export.")

Folder = Annotated[str, typer.Argument(help="The job: a folder, or a URL that fsspec knows (s3://bucket/job).")]
Options = Annotated[str, typer.Option("--storage", help='Options of the storage as JSON: {"endpoint_url": "…"}.')]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes on this machine.")]
Retry = Annotated[bool, typer.Option("--retry/--no-retry", help="Try rows again that failed before.")]


def _store(folder: str, storage: str) -> JobStore:
    import json

    from sindbad.corpus.store import JobStore
    from sindbad.errors import InvalidInput

    try:
        options = json.loads(storage or "{}")
    except ValueError as error:
        raise InvalidInput(f"--storage is not JSON: {error}") from error
    return JobStore(folder, options)


@app.command()
def translate(
    job: Folder,
    source: Annotated[
        list[str], typer.Option("--source", help="NAME, NAME=FILE or NAME=FOLDER, then @LICENCE if it differs; repeat.")
    ],
    licence: Annotated[str, typer.Option(help="Licence of the translator; inherited by all rows.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N records of each source.")] = None,
    translator: Annotated[list[str] | None, typer.Option(help="Address of a translator service; repeat.")] = None,
    endpoint: Annotated[str, typer.Option(help="An OpenAI-compatible server instead.")] = "",
    endpoint_model: Annotated[str, typer.Option(help="The model's name there.")] = "",
    model: Annotated[Path | None, typer.Option(help="A model folder instead.")] = None,
    revision: Annotated[str, typer.Option(help="Names the weights; needed unless --model is given.")] = "",
    quantisation: Annotated[str, typer.Option(help="For example FP8_DYNAMIC; a model folder says it itself.")] = "",
    from_language: Annotated[str, typer.Option("--from")] = "en",
    to_language: Annotated[str, typer.Option("--to")] = "ar",
    unit: Annotated[str, typer.Option(help="conversation or message.")] = "conversation",
    config: Annotated[
        Path | None, typer.Option(help="YAML: filters, duplicates, shard_rows, translator, examiners, worker.")
    ] = None,
    workers: Workers = 1,
    retry: Retry = True,
    storage: Options = "",
) -> None:
    """Plan what is missing and translate it. The same command goes on after a kill; a changed one pays for changes."""
    from sindbad.corpus.sources import SourceRequest

    requests = [SourceRequest.parse(text, limit) for text in source]
    settings = _settings(config)
    connection = _connection(settings.pop("translator", {}), translator, endpoint, endpoint_model, model)
    asked = _examination(settings.pop("examiners", {}))
    manner = _manner(settings.pop("worker", {}))
    identity = {
        "revision": revision or _revision(connection.model),
        "quantisation": quantisation or _quantisation(connection.model), "licence": licence, "unit": unit,
        "source": from_language, "target": to_language, "decoding": connection.settings.decoding(),
        "style": _style(connection),
    }  # fmt: skip
    rows = {"sources": [one.describe() for one in requests]}
    spec = _spec({**settings, "identity": identity, "source": rows, "examiners": asked.names()})
    store = _store(job, storage)
    again = {"sources": source, "limit": limit, "connection": connection.model_dump(mode="json"),
             "examiners": asked.model_dump(mode="json"), "worker": manner.model_dump(mode="json")}  # fmt: skip
    _run(store, storage, spec, connection, again, workers=workers, retry=retry)


@app.command()
def resume(job: Folder, workers: Workers = 1, retry: Retry = True, storage: Options = "") -> None:
    """Go on with a job as it was last begun; rows that failed are tried again."""
    from sindbad.corpus.connect import Connection
    from sindbad.corpus.job import Job

    store = _store(job, storage)
    spec, again = Job.open(store).spec, store.read_json("job.json")
    _run(store, storage, spec, Connection(**again["connection"]), again, workers=workers, retry=retry)


@app.command()
def work(
    job: Folder,
    round_number: Annotated[int, typer.Option("--round", help="The round to work on; the last one by default.")] = 0,
    storage: Options = "",
) -> None:
    """Be one more worker of a job that `translate` or `resume` began, on this or another machine."""
    import asyncio

    tally = asyncio.run(join(job, round_number, storage))
    typer.echo(f"{tally.attempts:,} attempts, {tally.accepted:,} accepted, {tally.output_tokens:,} output tokens")


@app.command()
def ray(
    job: Folder,
    workers: Workers = 1,
    address: Annotated[str, typer.Option(help="Of the cluster; empty starts Ray on this machine.")] = "",
    storage: Options = "",
) -> None:
    """Work on the last round of a job with workers on a Ray cluster; its folder must be reachable from every node."""
    from sindbad.cli.corpus_ray import run_on_ray

    for done in run_on_ray(job, 0, workers, storage, address=address):
        typer.echo(f"worker {done['worker']}: {done['attempts']:,} attempts, {done['accepted']:,} accepted")


@app.command()
def status(job: Folder, storage: Options = "") -> None:
    """How far a job is, and what it dropped so far."""
    from sindbad.corpus.job import Job
    from sindbad.corpus.leases import LeaseBook
    from sindbad.corpus.translate import report

    opened = Job.open(_store(job, storage))
    book = LeaseBook(opened.store, "status")
    for one in opened.rounds():
        sealed = opened.sealed(one)
        typer.echo(f"round {one.number}: {one.rows:,} rows asked for, {len(sealed)} of {len(one.shards)} shards sealed")
        for shard in sorted(set(one.shards) - sealed):
            held = book.holder(f"{one.name}-{shard:05d}")
            if held is not None:
                typer.echo(f"  shard {shard}: {held.worker}, beat {held.beat}")
    _tell(opened, report(opened))


@app.command()
def why(
    job: Folder, record: Annotated[str, typer.Argument(help="Id or key of a record.")], storage: Options = ""
) -> None:
    """Everything that was ever done to a record, and why it is in or out."""
    from sindbad.corpus.explain import explanation
    from sindbad.corpus.job import Job
    from sindbad.errors import NotFound

    opened = Job.open(_store(job, storage))
    with opened.ledger() as ledger:
        attempts = ledger.why(record)
    if not attempts:
        raise NotFound(f"{job} has no attempt at {record}; ids are in the export's column id, keys in key")
    for line in explanation(attempts):
        typer.echo(line)


@app.command()
def query(
    job: Folder,
    sql: Annotated[str, typer.Argument(help="SQL (DuckDB) over the views attempts, final and rows.")],
    limit: Annotated[int, typer.Option(min=1, help="Most rows that are printed.")] = 50,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    storage: Options = "",
) -> None:
    """Ask the ledger anything, accepted and rejected rows alike."""
    import json

    from sindbad.corpus.job import Job

    opened = Job.open(_store(job, storage))
    with opened.ledger() as ledger:
        found = ledger.query(sql)
        names = [column[0] for column in found.description or ()]
        rows = found.fetchmany(limit)
    if not json_lines:
        typer.echo("\t".join(names))
    for row in rows:
        record = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str)
        typer.echo(record if json_lines else "\t".join(str(value) for value in row))


@app.command()
def report(
    job: Folder,
    out: Annotated[Path, typer.Option(help="Folder for waterfall.html and waterfall.md.")] = Path("corpus-report"),
    examples: Annotated[int, typer.Option(min=0, help="Examples a reason.")] = 3,
    storage: Options = "",
) -> None:
    """Write the waterfall: what each filter took, examples, threshold curves, and how filters agree."""
    from sindbad.corpus.job import Job
    from sindbad.corpus.waterfall import measure, write

    opened = Job.open(_store(job, storage))
    found = measure(opened, examples=examples)
    write(found, out)
    for step in found.steps:
        typer.echo(f"{step.name:<18} -{step.rows:>9,}   left {step.left:>9,}")
    typer.echo(f"{out / 'waterfall.html'} and {out / 'waterfall.md'}")


@app.command()
def export(
    job: Folder,
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    name: Annotated[str, typer.Option(help="Its name in the card.")] = "",
    storage: Options = "",
) -> None:
    """Write the accepted rows as a Hugging Face data set with its card, licences and lineage."""
    from sindbad.corpus.export import export as write
    from sindbad.corpus.export import inherited
    from sindbad.corpus.job import Job

    contents = write(Job.open(_store(job, storage)), out, name=name)
    typer.echo(f"{contents.rows:,} rows in {out}")
    for sentence in inherited(contents).sentences():
        typer.echo(f"  {sentence}")


# -- behind the commands -----------------------------------------------------------------------------------------------


def _settings(config: Path | None) -> dict[str, Any]:
    from sindbad.configuration import read_mapping

    return dict(read_mapping(config)) if config is not None else {}


def _spec(values: dict[str, Any]) -> JobSpec:
    from sindbad.configuration import resolve
    from sindbad.corpus.job import JobSpec, check_languages

    spec = resolve(JobSpec, values, source="the job")
    check_languages(spec)
    return spec


def _connection(
    settings: dict[str, Any], service: list[str] | None, endpoint: str, endpoint_model: str, model: Path | None
) -> Connection:
    from sindbad.configuration import resolve
    from sindbad.corpus.connect import Connection

    named = {"service": service or [], "endpoint": endpoint, "endpoint_model": endpoint_model,
             "model": str(model) if model else None}  # fmt: skip
    values = {**settings, **{key: value for key, value in named.items() if value}}
    connection = resolve(Connection, values, source="the translator").checked()
    if connection.model is not None:
        from sindbad.weights.folder import check_model_folder

        check_model_folder(connection.model)
    return connection


def _style(connection: Connection) -> str:
    if connection.model is None:
        return connection.settings.style.value
    from sindbad.translation.small_models import prompt_style

    return prompt_style(connection.model, connection.settings.style).value


def _revision(model: Path | None) -> str:
    from sindbad.corpus.connect import model_revision
    from sindbad.errors import InvalidInput

    if model is None:
        raise InvalidInput("name the weights with --revision: two models must never share content addresses")
    return model_revision(model)


def _quantisation(model: Path | None) -> str:
    from sindbad.quantize.loading import quantisation_name

    return quantisation_name(model) if model is not None else ""


def _run(
    store: JobStore,
    storage: str,
    spec: JobSpec,
    connection: Connection,
    again: dict[str, Any],
    *,
    workers: int,
    retry: bool,
) -> None:
    import asyncio
    import json

    from sindbad.corpus.job import Job
    from sindbad.corpus.sources import Reading, SourceRequest, read_sources
    from sindbad.corpus.translate import report
    from sindbad.corpus.worker import prepare

    opened, reading = Job(store, spec), Reading()
    store.write("job.json", json.dumps(again, ensure_ascii=False).encode())
    requests = [SourceRequest.parse(text, again["limit"]) for text in again["sources"]]
    current = asyncio.run(prepare(opened, lambda: read_sources(requests, reading), retry_failed=retry))
    for (name, reason), count in sorted(reading.skipped.items()):
        typer.echo(f"left out of {name}: {count:,} rows, {reason}")
    if current is None:
        typer.echo("nothing is missing")
    elif workers == 1:
        typer.echo(f"round {current.number}: {current.rows:,} rows in {len(current.shards)} shards")
        asyncio.run(_work(opened, current, connection, again))
    else:
        typer.echo(f"round {current.number}: {current.rows:,} rows in {len(current.shards)} shards, {workers} workers")
        from sindbad.corpus.local import run_workers

        asyncio.run(run_workers(store.url, current.number, workers, storage))
    _tell(opened, report(opened))


async def join(url: str, round_number: int, storage: str) -> Tally:
    """One worker of a round (0: the last) until that is finished. Raises NotFound where there is none."""
    from sindbad.corpus.connect import Connection
    from sindbad.corpus.job import Job
    from sindbad.errors import NotFound

    store = _store(url, storage)
    opened = Job.open(store)
    found = [one for one in opened.rounds() if one.number == round_number or not round_number]
    if not found:
        raise NotFound(f"{url} has no round {round_number}")
    began = store.read_json("job.json")
    return await _work(opened, found[-1], Connection(**began["connection"]), began)


async def _work(job: Job, current: Round, connection: Connection, began: dict[str, Any]) -> Tally:
    from sindbad.corpus.connect import connected, examiners
    from sindbad.corpus.worker import Worker

    identity, asked = job.spec.identity, _examination(began["examiners"])
    manner = _manner(began.get("worker", {}))  # a job of before may not say
    async with connected(connection, identity) as translator, examiners(asked, identity) as models:
        return await Worker(job, translator, examiners=models, settings=manner).run(current)


def _examination(values: dict[str, Any]) -> Examination:
    from sindbad.configuration import resolve
    from sindbad.corpus.connect import Examination

    return resolve(Examination, values, source="examiners")


def _manner(values: dict[str, Any]) -> WorkerSettings:
    from sindbad.configuration import resolve
    from sindbad.corpus.worker import WorkerSettings

    return resolve(WorkerSettings, values, source="worker")


def _tell(job: Job, found: CorpusReport) -> None:
    typer.echo(f"{found.records:,} rows, {found.kept:,} kept")
    for reason, count in found.dropped.items():
        typer.echo(f"  {reason}: {count:,}")
