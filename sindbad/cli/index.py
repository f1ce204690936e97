"""``sindbad index``: build a search index from a corpus, look at it, ask it.

An index is a folder, or an OpenSearch cluster that a YAML file describes (``sindbad.tools.providers.opensearch``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sindbad.cli.failing import fail

if TYPE_CHECKING:
    from sindbad.retrieval.loaders.build import Build, Progress, Sink, Tally
    from sindbad.retrieval.loaders.open import Format
    from sindbad.retrieval.loaders.record import Loader
    from sindbad.retrieval.opensearch import OpenSearchIndex
    from sindbad.retrieval.page import Hit

app = typer.Typer(no_args_is_help=True, help="Build and ask a search index.")
_INTERRUPTED = 130
_SHOWN_REASONS = 8

Index = Annotated[Path, typer.Option("--index", help="Folder of the index, or the YAML of an OpenSearch cluster.")]
Source = Annotated[Path, typer.Option(help="File or folder to read.")]
Out = Annotated[Path, typer.Option(help="Folder of the index, or the YAML of an OpenSearch cluster.")]
Corpus = Annotated[str, typer.Option(help="Name of the corpus that the pages belong to.")]
Language = Annotated[str, typer.Option(help="ar, en, … or auto: what the source says, else by the letters.")]
FormatName = Annotated[str, typer.Option("--format", help="auto, wikipedia, parquet, jsonl or html.")]
Map = Annotated[str, typer.Option("--map", help="Columns of Parquet and JSONL: title=…,text=…,url=…,language=…,id=…")]
UrlTemplate = Annotated[
    str, typer.Option(help="Address of pages without one: https://host/{title}, {id}, {row}; HTML: https://{path}.")
]
Words = Annotated[int, typer.Option(help="Words a passage; 0 keeps documents whole.")]
Links = Annotated[bool, typer.Option(help="Keep Wikipedia's links as [[Target|words]].")]
Workers = Annotated[int | None, typer.Option(help="Processes that parse Wikipedia pages (one less than the cores).")]
Append = Annotated[bool, typer.Option("--append", help="Add to the index that is there.")]
Replace = Annotated[bool, typer.Option("--replace", help="Put the new index in the place of the one that is there.")]
Restart = Annotated[bool, typer.Option("--restart", help="Give up an unfinished build and begin anew.")]
Checkpoint = Annotated[int, typer.Option(help="Pages between two checkpoints.")]


Arabic = Annotated[
    str,
    typer.Option(help="How Arabic words become terms: eval (spelling unified, stems) or light (as spelt)."),
]


@app.command()
def build(
    source: Source,
    out: Out,
    corpus: Corpus,
    language: Language = "auto",
    form: FormatName = "auto",
    mapping: Map = "",
    url_template: UrlTemplate = "",
    words: Words = 200,
    links: Links = True,
    workers: Workers = None,
    append: Append = False,
    replace: Replace = False,
    restart: Restart = False,
    checkpoint_pages: Checkpoint = 20_000,
    arabic: Arabic = "",
) -> None:
    """Read a corpus into an index. Killed or stopped with Ctrl-C, the same command goes on where it was.

    Sources: Wikipedia dumps (pages-articles, .xml, .xml.bz2, multistream or not), Parquet and JSONL ([.gz|.bz2]) with
    columns by their usual names or --map, folders of HTML. Records that can't be read are counted and listed.
    """
    from sindbad.configuration import resolve
    from sindbad.errors import InvalidInput
    from sindbad.retrieval.loaders.build import BuildSettings
    from sindbad.retrieval.loaders.open import Format, detect
    from sindbad.retrieval.loaders.passages import PassageSettings

    if append and replace:
        raise InvalidInput("--append adds to an index and --replace puts another in its place; choose one.")
    if form not in list(Format):
        raise InvalidInput(f"--format {form!r} is none of {', '.join(Format)}.")
    if arabic not in ("", "eval", "light"):
        raise InvalidInput(f"--arabic {arabic!r} is neither eval nor light.")
    passages = resolve(PassageSettings, {"corpus": corpus, "language": language, "words": words}, source="options")
    chosen = Format(form) if form != Format.AUTO else detect(source)
    facts = {
        "source": str(source.resolve()), "format": chosen.value, "map": mapping, "url_template": url_template,
        "links": links, **passages.model_dump(),
    }  # fmt: skip
    if arabic:
        facts["arabic"] = arabic
    settings = BuildSettings(_job(facts), passages, max(1, checkpoint_pages))
    with _workers(chosen, workers) as parsers:
        loader = _loader(source, chosen, corpus, mapping, url_template, links, parsers)
        _fill(loader, out, settings, append=append, replace=replace, restart=restart, arabic=arabic)


def _job(facts: Mapping[str, Any]) -> str:
    """Names a build by what it reads and how; the same command has the same job."""
    import hashlib

    digest = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()[:16]
    return f"{facts['corpus']}-{digest}"


def _loader(source: Path, form: Format, corpus: str, mapping: str, template: str, links: bool, parsers: Any) -> Loader:
    from sindbad.retrieval.loaders.open import open_loader

    return open_loader(
        source, form, corpus=corpus, mapping=mapping, url_template=template, keep_links=links, workers=parsers
    )


@contextmanager
def _workers(form: Format, count: int | None) -> Iterator[Any]:
    """Processes that parse, or None where this one does the work itself, without a limit of time a page."""
    import os

    from sindbad.retrieval.loaders.open import Format
    from sindbad.retrieval.loaders.ordered import Workers

    wanted = max(1, len(os.sched_getaffinity(0)) - 1) if count is None else max(0, count)
    if form is not Format.WIKIPEDIA or wanted == 0:
        yield None
        return
    with Workers(wanted) as processes:
        yield processes


def _fill(loader: Loader, out: Path, settings: Any, *, append: bool, replace: bool, restart: bool, arabic: str) -> None:
    import time

    from sindbad.cli.index_progress import Shown, stopping
    from sindbad.retrieval.loaders.build import Build, finished_tally

    published = _published(out)
    if published is not None and not restart and (tally := finished_tally(published, settings.job)):
        _say(f"{out} is finished: {tally.pages:,} pages. Nothing to do; --restart builds it anew.")
        return
    if published is not None and not (append or replace or restart):
        fail(f"There is an index at {out} already; --append adds to it, --replace puts the new one in its place.")
    opened = _sink(out, settings.job, append=append, restart=restart, arabic=arabic)
    with opened as sink, stopping() as stop, Shown() as shown:
        work = Build(loader, sink, settings, clock=time.monotonic, report=shown.show, stop=stop)
        if work.resumed:
            shown.note(f"going on after {work.tally.pages:,} pages")
        finished = work.run()
    _conclude(work, out, finished)


def _conclude(work: Build, out: Path, finished: bool) -> None:
    progress = work.progress
    _summary(work.tally)
    if not finished:
        _say(f"stopped; {work.tally.pages:,} pages are kept, the same command goes on from there")
        raise typer.Exit(_INTERRUPTED)
    _say(f"{out}: {work.tally.pages:,} pages of {work.tally.documents:,} documents, {_rate(progress)}")


def _rate(progress: Progress) -> str:
    return f"{progress.pages_per_second:,.0f} pages/s for {progress.seconds:,.1f} s"


def _summary(tally: Tally) -> None:
    kinds = (("skipped", tally.skipped), ("rejected", tally.rejected), ("pages refused", tally.refused))
    for name, reasons in kinds:
        for reason, count in reasons.most_common(_SHOWN_REASONS):
            _say(f"  {name}: {count:,} {reason}")
    for example in tally.examples[:3]:
        _say(f"    e.g. {example}")


def _is_cluster(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml")


def _cluster(path: Path) -> OpenSearchIndex:
    from sindbad.configuration import read_mapping, resolve
    from sindbad.retrieval.opensearch import OpenSearchIndex
    from sindbad.tools.providers.opensearch import OpenSearchSettings

    return OpenSearchIndex(resolve(OpenSearchSettings, read_mapping(path), source=str(path)))


def _published(out: Path) -> Mapping[str, Any] | None:
    """The source of the index that readers see; None while they see none."""
    from sindbad.errors import Corrupt
    from sindbad.retrieval import snapshots
    from sindbad.retrieval.writer import read_manifest

    if _is_cluster(out):
        found = _asked(out, lambda index: index.published())
        return found[1] if found else None
    folder = snapshots.current(out)
    try:
        return read_manifest(folder).info.source if folder else None
    except Corrupt:  # of an older version: it can be replaced, not added to
        return {}


@contextmanager
def _sink(out: Path, job: str, *, append: bool, restart: bool, arabic: str) -> Iterator[Sink]:
    from sindbad.retrieval.analysis import Profile
    from sindbad.retrieval.loaders.sinks import FolderSink, OpenSearchSink

    if _is_cluster(out):
        with OpenSearchSink(_cluster(out), job=job, append=append, restart=restart) as cluster:
            yield cluster
    else:
        profile = Profile(arabic) if arabic else None
        with FolderSink(out, job=job, append=append, restart=restart, arabic=profile) as folder:
            yield folder


def _asked(path: Path, question: Callable[[OpenSearchIndex], Any]) -> Any:
    import asyncio

    async def ask() -> Any:
        index = _cluster(path)
        try:
            return await question(index)
        finally:
            await index.close()

    return asyncio.run(ask())


@app.command()
def info(index: Index, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """What an index holds: pages by corpus and language, and how it was built."""
    facts = _facts(index)
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{index}: {facts['pages']:,} pages")
    for corpus, languages in sorted(facts["corpora"].items()):
        typer.echo(f"  {corpus}: " + ", ".join(f"{count:,} {name}" for name, count in sorted(languages.items())))
    for name, value in facts["details"].items():
        typer.echo(f"  {name}: {value}")


def _facts(index: Path) -> dict[str, Any]:
    from sindbad.retrieval import snapshots
    from sindbad.retrieval.index import PageIndex

    if _is_cluster(index):
        corpora = _asked(index, lambda one: one.corpora())
        details = {"backend": "OpenSearch"}
    else:
        opened = PageIndex(index)
        corpora, folder = opened.info.corpora, snapshots.current(index)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder else 0
        details = {
            "backend": "Tantivy",
            "snapshot": folder.name if folder else "",
            "size": f"{size / 1e6:,.1f} MB",
            "built in": f"{opened.info.build_seconds:,.1f} s",
        }
    pages = sum(count for languages in corpora.values() for count in languages.values())
    return {"pages": pages, "corpora": corpora, "details": details}


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    index: Index,
    corpus: Annotated[str, typer.Option(help="Corpus; the only one by default.")] = "",
    language: Annotated[str, typer.Option(help="Language; by the letters of the query by default.")] = "",
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="Results.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The pages that an agent would be shown for a query."""
    from dataclasses import asdict

    hits = _hits(index, query, corpus, language, k)
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False, indent=2))
        return
    from sindbad.cli.telling import printable

    for number, hit in enumerate(hits, start=1):
        snippet = " ".join(hit.snippet.split())[:300]
        typer.echo(f"{number:>2}. {printable(hit.title)}  [{hit.score:.2f}]\n    {printable(hit.url)}")
        typer.echo(f"    {printable(snippet)}")
    if not hits:
        typer.echo("nothing found")


def _hits(index: Path, query: str, corpus: str, language: str, k: int) -> list[Hit]:
    from sindbad.retrieval.index import PageIndex

    if _is_cluster(index):

        async def ask(cluster: OpenSearchIndex) -> list[Hit]:
            place = _place(await cluster.corpora(), corpus, language, query)
            return await cluster.search(*place, query, k)

        found: list[Hit] = _asked(index, ask)
        return found
    opened = PageIndex(index)
    return opened.search(*_place(opened.info.corpora, corpus, language, query), query, k)


def _place(corpora: Mapping[str, Mapping[str, int]], corpus: str, language: str, query: str) -> tuple[str, str]:
    """Corpus and language to search in. Raises InvalidInput when the corpus must be named, or is not there."""
    from sindbad.errors import InvalidInput
    from sindbad.languages.detect import detect_language

    if not corpus and len(corpora) == 1:
        corpus = next(iter(corpora))
    if corpus not in corpora:
        raise InvalidInput(f"Name one of the index's corpora with --corpus: {', '.join(sorted(corpora)) or 'none'}.")
    languages = corpora[corpus]
    guessed = detect_language(query)
    best = guessed if guessed in languages else max(languages, key=lambda name: languages[name], default=guessed)
    return corpus, language or best


def _say(message: str) -> None:
    typer.echo(message, err=True)
