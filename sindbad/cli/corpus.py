"""``sindbad corpus``: instruction data into another language by many workers; a ledger answers for every row.

Exit codes: 0 done, 1 something failed (run it again: it goes on), 2 wrong usage. Of a worker also 3, an examiner has no
verdict on anything, and 4, something is the user's to mend: another worker would find the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sindbad.corpus.address import Identity
    from sindbad.corpus.connect import Connection, Examination
    from sindbad.corpus.held import Held
    from sindbad.corpus.identify import Named
    from sindbad.corpus.job import Job, JobSpec, Round
    from sindbad.corpus.ledger import Attempt
    from sindbad.corpus.store import JobStore
    from sindbad.corpus.translate import CorpusReport
    from sindbad.corpus.worker import Tally, WorkerSettings
    from sindbad.translation.glossary import Glossary

app = typer.Typer(no_args_is_help=True, help="Translate instruction data; ask why a row was dropped; report; export.")

Folder = Annotated[str, typer.Argument(help="The job: a folder, or a URL that fsspec knows (s3://bucket/job).")]
Options = Annotated[str, typer.Option("--storage", help='Options of the storage as JSON: {"endpoint_url": "…"}.')]
Workers = Annotated[int, typer.Option(min=0, help="Worker processes on this machine; 0 only plans: others work.")]
RayWorkers = Annotated[int, typer.Option(min=1, help="Ray tasks, each a worker.")]
_TELL_SECONDS = 10.0
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
        list[str],
        typer.Option(
            "--source",
            help="NAME or NAME#REVISION (Hub), NAME=FILE or NAME=FOLDER, then @LICENCE if it differs; repeat.",
        ),
    ],
    licence: Annotated[
        list[str], typer.Option(help="Licence of the translator, inherited by all rows; repeat, if it has several.")
    ],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N records of each source.")] = None,
    translator: Annotated[list[str] | None, typer.Option(help="Address of a translator service; repeat.")] = None,
    endpoint: Annotated[str, typer.Option(help="An OpenAI-compatible server instead.")] = "",
    endpoint_model: Annotated[str, typer.Option(help="The model's name there.")] = "",
    model: Annotated[Path | None, typer.Option(help="A model folder instead.")] = None,
    revision: Annotated[
        str, typer.Option(help="Names the weights; needed for an endpoint, and a service that has none of its own.")
    ] = "",
    quantisation: Annotated[
        str, typer.Option(help="For example FP8_DYNAMIC; a model folder and its service say it themselves.")
    ] = "",
    translator_identity: Annotated[
        str, typer.Option(help="Names prompt and decoding of a service too old to say them; it is not asked then.")
    ] = "",
    glossary: Annotated[
        Path | None, typer.Option(help="TSV of terms, SOURCE<tab>TARGET; a changed one reruns the rows that hold it.")
    ] = None,
    from_language: Annotated[str, typer.Option("--from", help="Language of the rows, as CLDR writes it: fr.")] = "en",
    to_language: Annotated[str, typer.Option("--to", help="Language that is wanted.")] = "ar",
    unit: Annotated[str, typer.Option(help="conversation or message.")] = "conversation",
    reuse: Annotated[
        list[str] | None,
        typer.Option(
            "--reuse", help="Another job; what it kept of the same rows is taken over, not asked for; repeat."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML: filters, duplicates, shard_rows, translator, examiners, glossary, worker."),
    ] = None,
    workers: Workers = 1,
    retry: Retry = True,
    storage: Options = "",
) -> None:
    """Plan what is missing and translate it. The same command goes on after a kill; a changed one pays for changes."""
    from sindbad.corpus.identify import Named, owed
    from sindbad.corpus.sources import SourceRequest

    requests = [SourceRequest.parse(text, limit, from_language) for text in source]
    settings = _settings(config)
    connection = _connection(settings.pop("translator", {}), translator, endpoint, endpoint_model, model, unit)
    asked = _examination(settings.pop("examiners", {}))
    manner = _manner(settings.pop("worker", {}))
    terms = _terms(glossary or settings.pop("glossary", None))
    named = Named(
        **owed([*licence, *_made_of(connection)]), revision=revision, quantisation=quantisation,
        declared=translator_identity, unit=unit, source=from_language, target=to_language,
    )  # fmt: skip
    identity = _identity(connection, named)
    held = _held(reuse or [], storage, identity)
    rows = {"sources": [one.describe() for one in requests], **({"held": held.describe()} if held else {})}
    store = _store(job, storage)
    spec = _spec({**settings, "identity": identity.model_dump(), "source": rows,
                  "examiners": _examiner_names(asked, identity),
                  "glossary": _stored(store, terms)})  # fmt: skip
    again = {"sources": source, "limit": limit, "connection": connection.model_dump(mode="json"),
             "examiners": asked.model_dump(mode="json"), "worker": manner.model_dump(mode="json"),
             "named": named.model_dump(mode="json"), "reuse": reuse or []}  # fmt: skip
    _tell_changes(_begun(store), spec)
    _run(store, storage, spec, connection, again, workers=workers, retry=retry)


@app.command()
def resume(
    job: Folder,
    workers: Workers = 1,
    retry: Retry = True,
    as_begun: Annotated[
        bool, typer.Option("--as-begun", help="Keep the content addresses, whatever the translator says by now.")
    ] = False,
    storage: Options = "",
) -> None:
    """Go on with a job as it was last begun; rows that failed are tried again, and those that its translator, if it
    changed meanwhile, would translate otherwise."""
    from sindbad.corpus.job import Job

    store = _store(job, storage)
    spec, again = Job.open(store).spec, store.read_json("job.json")
    connection = _connected_before(again)
    again["as_begun"] = as_begun
    if not as_begun:
        identity = _identity(connection, _named_before(again, spec.identity))
        asked = _examination(again["examiners"])
        names = _examiner_names(asked, identity)
        changed = spec.model_copy(update={"identity": identity, "examiners": names})
        _tell_changes(spec, changed)
        spec = changed
    _run(store, storage, spec, connection, again, workers=workers, retry=retry)


@app.command()
def work(
    job: Folder,
    round_number: Annotated[int, typer.Option("--round", help="The round to work on; the last one by default.")] = 0,
    name: Annotated[str, typer.Option(help="Its name in the ledger; unique. Made up by default.")] = "",
    storage: Options = "",
) -> None:
    """Be one more worker of a job that `translate` or `resume` began, on this or another machine."""
    import asyncio

    from sindbad.cli.failing import told
    from sindbad.corpus.local import exit_code
    from sindbad.errors import SindbadError

    try:
        tally = asyncio.run(join(job, round_number, storage, name))
    except SindbadError as error:
        typer.echo(f"sindbad: {told(error)}", err=True)
        raise typer.Exit(exit_code(error)) from error
    typer.echo(f"{tally.attempts:,} attempts, {tally.accepted:,} accepted, {tally.output_tokens:,} output tokens")


@app.command()
def ray(
    job: Folder,
    workers: RayWorkers = 1,
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
        rows = ledger.planned(record)
        attempts = ledger.why(record, rows)
    if not rows and not attempts:
        raise NotFound(f"{job} has no row {record}; ids are in the export's column id, keys in key")
    for line in explanation(attempts, rows):
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
    from sindbad.corpus.waterfall import NOT_JUDGED, measure, write

    opened = Job.open(_store(job, storage))
    found = measure(opened, examples=examples)
    write(found, out)
    for step in found.steps:
        typer.echo(f"{step.name:<18} -{step.rows:>9,}   left {step.left:>9,}")
    if any(step.name == NOT_JUDGED for step in found.steps):
        typer.echo(f"the filters have changed since these were judged: `sindbad corpus resume {job}` judges again")
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
    settings: dict[str, Any],
    service: list[str] | None,
    endpoint: str,
    endpoint_model: str,
    model: Path | None,
    unit: str,
) -> Connection:
    from sindbad.configuration import resolve
    from sindbad.corpus.connect import Connection
    from sindbad.errors import InvalidInput

    named = {"service": service or [], "endpoint": endpoint, "endpoint_model": endpoint_model,
             "model": str(model) if model else None}  # fmt: skip
    values = {**settings, **{key: value for key, value in named.items() if value}}
    connection = resolve(Connection, values, source="the translator").checked()
    if connection.service and "settings" in values:
        raise InvalidInput("a translator service has settings of its own: set them in its file, not in --config")
    if connection.model is not None:
        from sindbad.weights.folder import check_model_folder

        check_model_folder(connection.model)
    if connection.content_judge is not None and unit != "conversation":
        raise InvalidInput("a content_judge reads conversations: leave --unit as it is, or the judge out")
    return connection


def _terms(path: Path | str | None) -> Glossary | None:
    from sindbad.corpus.terms import read_glossary

    return read_glossary(Path(path)) if path else None


def _stored(store: JobStore, terms: Glossary | None) -> str:
    from sindbad.corpus.terms import store_glossary

    return store_glossary(store, terms) if terms is not None else ""


def _identity(connection: Connection, named: Named) -> Identity:
    """Who translates now, by its own word; says so where the user and the weights name different licences."""
    import asyncio

    from sindbad.corpus.identify import identify

    identity, licence = asyncio.run(identify(connection, named))
    said = named.licences or (named.licence,)
    if licence and licence.lower() not in {named.licence.lower(), *map(str.lower, said)}:
        typer.echo(
            f"the translator's weights state the licence {licence}; the rows inherit {', '.join(said)}, as you say"
        )
    return identity


def _examiner_names(asked: Examination, identity: Identity) -> tuple[str, ...]:
    """Who examines now."""
    import asyncio

    from sindbad.corpus.identify import examiner_names

    return asyncio.run(examiner_names(asked, identity.source, identity.target))


def _made_of(connection: Connection) -> list[str]:
    """The licences of what a model folder was made of, where Sindbad made it: its rows inherit them too."""
    from sindbad.training.card import LINEAGE_KEY, licences_of, parts_of_model
    from sindbad.weights.card import front_matter

    folder = connection.model
    return licences_of(parts_of_model(folder)) if folder is not None and front_matter(folder).get(LINEAGE_KEY) else []


def _connected_before(again: dict[str, Any]) -> Connection:
    from sindbad.corpus.connect import Connection
    from sindbad.translation.settings import TranslatorSettings

    values = dict(again["connection"])
    if "named" not in again:  # written when all settings were, also those that nobody had set
        fields = TranslatorSettings.model_fields
        values["settings"] = {name: value for name, value in values.get("settings", {}).items()
                              if name == "style" or value != fields[name].default}  # fmt: skip
    return Connection(**values)


def _named_before(again: dict[str, Any], identity: Identity) -> Named:
    """What the user said when the job was begun; a job of before holds only what came of it."""
    from sindbad.corpus.identify import Named

    if "named" in again:
        return Named(**again["named"])
    return Named(**identity.model_dump(include={"licence", "revision", "quantisation", "unit", "source", "target"}))


def _begun(store: JobStore) -> JobSpec | None:
    """The spec that a job was last worked on with."""
    from sindbad.corpus.job import Job
    from sindbad.errors import NotFound

    try:
        return Job.open(store).spec
    except NotFound:
        return None


def _tell_changes(before: JobSpec | None, now: JobSpec) -> None:
    """Why rows that were answered are asked for again."""
    if before is None:
        return
    changed = before.identity.differences(now.identity)
    if changed:
        typer.echo("the translator is not what it was when this job was last begun; its rows have new addresses:")
    for line in changed:
        typer.echo(f"  {line}")
    if before.glossary != now.glossary:
        typer.echo("another glossary: the rows that hold a changed term have new addresses")
    if before.examiners != now.examiners:
        typer.echo("other examiners: what is translated is judged again")


def _held(reuse: list[str], storage: str, identity: Identity) -> Held | None:
    """What other jobs translated of the same rows."""
    from sindbad.corpus.held import Held
    from sindbad.corpus.job import Job

    if not reuse:
        return None
    return Held([Job.open(_store(url, storage)) for url in reuse], source=identity.source, target=identity.target)


def _held_as_begun(reuse: list[str], storage: str, spec: JobSpec) -> Held | None:
    """The same. Raises InvalidInput where it is not what the job's settings say."""
    from sindbad.errors import InvalidInput

    held = _held(reuse, storage, spec.identity)
    if held is not None and held.describe() != spec.source.get("held"):
        raise InvalidInput(
            f"{', '.join(reuse)} holds other rows than when this job was begun: begin it again, with the same --reuse"
        )
    return held


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

    from sindbad.corpus.job import BEGUN, Job
    from sindbad.corpus.sources import Reading, SourceRequest, read_sources
    from sindbad.corpus.terms import glossary_of
    from sindbad.corpus.translate import report
    from sindbad.corpus.worker import prepare

    opened, reading = Job(store, spec), Reading()
    store.write(BEGUN, json.dumps({**again, "spec": spec.spec_id}, ensure_ascii=False).encode())
    requests = [SourceRequest.parse(text, again["limit"], spec.identity.source) for text in again["sources"]]
    current = asyncio.run(
        prepare(
            opened, lambda: read_sources(requests, reading), glossary_of=glossary_of(opened), retry_failed=retry,
            held=lambda: _held_as_begun(again.get("reuse", []), storage, spec),
        )
    )  # fmt: skip
    for (name, reason), count in sorted(reading.skipped.items()):
        typer.echo(f"left out of {name}: {count:,} rows, {reason}")
    if current is None:
        typer.echo("nothing is missing")
    elif workers == 0:
        typer.echo(
            f"round {current.number}: {current.rows:,} rows in {len(current.shards)} shards, planned; "
            f"`sindbad corpus work {store.url}` on any machine, or `sindbad corpus ray`, does them"
        )
    elif workers == 1:
        typer.echo(f"round {current.number}: {current.rows:,} rows in {len(current.shards)} shards")
        asyncio.run(_work(opened, current, connection, again))
    else:
        typer.echo(f"round {current.number}: {current.rows:,} rows in {len(current.shards)} shards, {workers} workers")
        from sindbad.corpus.local import run_workers

        asyncio.run(run_workers(store.url, current.number, workers, storage))
    _tell(opened, report(opened))


async def join(url: str, round_number: int, storage: str, name: str = "") -> Tally:
    """One worker of a round (0: the last) until that is finished. Raises NotFound where there is none."""
    from sindbad.corpus.job import Job
    from sindbad.corpus.unchanged import still_examined_by, still_translated_by
    from sindbad.errors import NotFound

    store = _store(url, storage)
    opened = Job.open(store)
    found = [one for one in opened.rounds() if one.number == round_number or not round_number]
    if not found:
        raise NotFound(f"{url} has no round {round_number}")
    opened = Job.open(store, found[-1].spec)  # a later beginning may have found nothing missing
    began = store.read_json("job.json")
    connection = _connected_before(began)
    if not began.get("as_begun"):
        patience = _manner(began.get("worker", {})).engine_patience_seconds
        await still_translated_by(opened, connection, _named_before(began, opened.spec.identity), patience)
        await still_examined_by(opened, _examination(began["examiners"]), patience)
    return await _work(opened, found[-1], connection, began, name)


async def _work(job: Job, current: Round, connection: Connection, began: dict[str, Any], name: str = "") -> Tally:
    from sindbad.corpus.connect import connected, examiners
    from sindbad.corpus.terms import glossary_of
    from sindbad.corpus.worker import Worker

    identity, asked = job.spec.identity, _examination(began["examiners"])
    manner = _manner(began.get("worker", {}))  # a job of before may not say
    async with connected(connection, identity) as translator, examiners(asked, identity) as models:
        worker = Worker(
            job, translator, name=name, examiners=models, settings=manner, glossary_of=glossary_of(job),
            progress=_telling(),
        )  # fmt: skip
        return await worker.run(current)


def _telling() -> Callable[[Attempt], None]:
    """Says now and then how far this worker is, when a batch is on disk."""
    import time

    begun = told = time.monotonic()
    done = accepted = 0

    def tell(attempt: Attempt) -> None:
        nonlocal told, done, accepted
        done, accepted = done + 1, accepted + attempt.accepted
        now = time.monotonic()
        if now - told >= _TELL_SECONDS:
            told = now
            typer.echo(f"  {done:,} rows, {accepted:,} kept · {now - begun:.0f} s", err=True)

    return tell


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
    from sindbad.corpus.held import taken_over

    for model, count in taken_over(job).items():
        typer.echo(f"  of them {count:,} by {model}, taken over from another job")
    for reason, count in found.dropped.items():
        typer.echo(f"  {reason}: {count:,}")
