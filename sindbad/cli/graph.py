"""``sindbad graph``: import a graph, look at it, sample subgraphs of it. ``graph_build`` has building by search."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sindbad.cli import graph_build

if TYPE_CHECKING:
    from sindbad.graph.importers.facts import Importer
    from sindbad.graph.store_format import Manifest
    from sindbad.graph.walk import Subgraph, WalkConfig

app = typer.Typer(no_args_is_help=True, help="Knowledge graphs: import, statistics, subgraphs.")
app.command("build")(graph_build.build)
KINDS = ("countries", "nobel", "elements", "codex", "factbook", "wikispeedia", "metaqa", "all")

Folder = Annotated[Path, typer.Argument(help="Folder of the graph.")]
Kind = Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}; none with --triples.", show_default=False)]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of the data sets (docs/data.md); $SINDBAD_SHARED/data or ../shared/data by default."),
]
Out = Annotated[Path, typer.Option(help="Folder of the new graph.")]
TriplesFile = Annotated[Path | None, typer.Option(help="Your own graph: subject<TAB>relation<TAB>object, a line each.")]
EntitiesFile = Annotated[Path | None, typer.Option(help="Its entities: JSONL with id, type, names, text, attributes.")]
RelationsFile = Annotated[Path | None, typer.Option(help="Its wording: relation, label_en, phrase_en, label_ar, …")]
Corpus = Annotated[str, typer.Option(help="Name of the corpus that the pages belong to.")]
LicenceName = Annotated[str, typer.Option(help="Licence of your own graph, kept with it.")]
ShareAlike = Annotated[bool, typer.Option("--share-alike", help="That licence binds what is derived from it.")]
Pages = Annotated[bool, typer.Option(help="Write pages.jsonl, the encyclopedia that states the graph's facts.")]
Memory = Annotated[int, typer.Option(min=64, help="MB above which sorting spills to disk.")]


@app.command("import")
def import_(
    out: Out,
    kind: Kind = "",
    data: Data = None,
    triples: TriplesFile = None,
    entities: EntitiesFile = None,
    relations: RelationsFile = None,
    corpus: Corpus = "",
    licence: LicenceName = "unknown",
    share_alike: ShareAlike = False,
    pages: Pages = True,
    memory_mb: Memory = 512,
) -> None:
    """Make a graph folder, and the encyclopedia that states it. Killed, the same command goes on where it was."""
    from sindbad.errors import InvalidInput
    from sindbad.graph.importers.assemble import PAGES, import_graph
    from sindbad.graph.importers.triples import Triples

    if (triples is None) == (kind == ""):
        both = " Both were named." if kind else ""
        raise InvalidInput(f"Name one of {', '.join(KINDS)}, or your own graph with --triples FILE.{both}")
    importer: Importer
    if triples is not None:
        importer = Triples(triples, entities, relations, corpus=corpus, licence=licence, share_alike=share_alike)
    else:
        importer = _real(kind, data, corpus)
    manifest = import_graph(importer, out, memory_mb=memory_mb, pages=pages, progress=_progress)
    _tell(out, manifest)
    if pages:
        _say(f"encyclopedia: {out / PAGES} ({manifest.pages.rows if manifest.pages else 0:,} pages). To search it:")
        places = ("--source", out / PAGES, "--corpus", manifest.world_id, "--words", 0,
                  "--out", out.with_name(f"{out.name}-index"))  # fmt: skip
        _say(f"  sindbad index build {shlex.join(map(str, places))}")


def _real(kind: str, data: Path | None, corpus: str) -> Importer:
    import os

    from sindbad.errors import InvalidInput
    from sindbad.graph.importers.encyclopedias import REAL_IMPORTERS

    if kind not in REAL_IMPORTERS:
        raise InvalidInput(f"{kind!r} is none of {', '.join(KINDS)}.")
    folder = data or Path(os.environ.get("SINDBAD_SHARED", "../shared")) / "data"
    if not folder.is_dir():
        raise InvalidInput(
            f"{folder} is no folder; --data names the one that holds the data sets (docs/data.md says which)."
        )
    return REAL_IMPORTERS[kind](folder, corpus)


def _progress(part: str, facts: int) -> None:
    _say(f"  {part}: {facts:,} facts")


def _tell(folder: Path, manifest: Manifest) -> None:
    attributes, sources = manifest.tables["attributes"].rows, manifest.tables["provenance"].rows
    _say(f"{folder}: {manifest.nodes:,} entities, {manifest.edges:,} edges, {attributes:,} values, {sources:,} sources")
    for reason, count in sorted(manifest.rejected.items(), key=lambda item: -item[1]):
        _say(f"  not used: {count:,} × {reason}")
    for example in manifest.rejected_examples[:5]:
        _say(f"    e.g. {example}")
    for licence in manifest.licences:
        bound = ", share-alike" if licence.share_alike else ""
        _say(f"  licence: {licence.source}: {licence.licence}{bound}{f' ({licence.note})' if licence.note else ''}")


@app.command()
def info(
    folder: Folder, verify: Annotated[bool, typer.Option("--verify", help="Read every table and compare.")] = False
) -> None:
    """What a graph folder holds, where it came from and under which licences."""
    from sindbad.graph.store import open_graph

    graph = open_graph(folder, verify=verify)
    _tell(folder, graph.manifest)
    _say(f"  digest {graph.manifest.digest[:16]}{', verified' if verify else ''}, corpus {graph.world_id}")
    for relation in graph.relations:
        told = graph.relation_info(relation)
        phrases = " · ".join(told.phrases[code] for code in sorted(told.phrases, reverse=True))
        ends = f"{told.subject_type or 'any'} → {told.object_type or 'any'}"
        _say(f"  {relation}: {len(graph.pairs(relation)):,} ({ends}{_mark(told.functional)}) {phrases}")


def _mark(functional: bool) -> str:
    return ", functional" if functional else ""


def _say(message: str) -> None:
    typer.echo(message, err=True)


Subgraphs = Annotated[int, typer.Option(min=0, help="Walks to try.")]
Seed = Annotated[int, typer.Option(help="Of the walks.")]
Nodes = Annotated[str, typer.Option(help="Smallest and largest subgraph: 24-36.")]
Shapes = Annotated[str, typer.Option(help="Weights: free=1,chain=1,cycle=1,dense=2.")]
Restart = Annotated[float, typer.Option(min=0.0, max=0.99, help="Chance of jumping back to the start.")]
Degree = Annotated[float, typer.Option(help="Mean degree over the mix; 0 keeps all edges between the nodes met.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def stats(
    folder: Folder,
    html: Annotated[Path | None, typer.Option(help="Write a page with tables and charts.")] = None,
    attempts: Subgraphs = 300,
    seed: Seed = 0,
    nodes: Nodes = "24-36",
    shapes: Shapes = "chain=1,cycle=1,dense=2",
    restart: Restart = 0.15,
    mean_degree: Degree = 2.5,
    as_json: AsJson = False,
) -> None:
    """Degree, clustering, cycles and components of a graph beside a tree on the same entities, and what walks give."""
    import json

    from sindbad.graph import report
    from sindbad.graph.store import open_graph

    graph, config = open_graph(folder), _walks(nodes, shapes, restart, mean_degree)
    told, sampled = report.columns(graph), report.sample(graph, config, seed, attempts)
    if html is not None:
        _say(f"report: {report.write_html(graph, told, sampled, config, html)}")
    if as_json:
        typer.echo(json.dumps(report.to_record(graph, told, sampled), ensure_ascii=False, indent=2))
        return
    rows = report.table(told)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *rest in rows:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        typer.echo(f"{first.ljust(widths[0])}  {numbers}".rstrip())
    _figures(sampled.figures())


@app.command()
def sample(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Write the subgraphs: JSONL with nodes, edges, shape, hash.")] = None,
    attempts: Subgraphs = 300,
    seed: Seed = 0,
    nodes: Nodes = "24-36",
    shapes: Shapes = "chain=1,cycle=1,dense=2",
    restart: Restart = 0.15,
    mean_degree: Degree = 2.5,
    as_json: AsJson = False,
) -> None:
    """Connected subgraphs by random walks with restart, no two isomorphic. The same seed gives the same ones."""
    import json

    from sindbad import atomic
    from sindbad.graph import report
    from sindbad.graph.store import open_graph

    graph, lines = open_graph(folder), list[str]()
    found = report.sample(
        graph, _walks(nodes, shapes, restart, mean_degree), seed, attempts,
        (lambda one: lines.append(_line(one))) if out else None,
    )  # fmt: skip
    if out is not None:
        atomic.write_text(out, "".join(lines))
        _say(f"{out}: {len(lines):,} subgraphs")
    if as_json:
        typer.echo(json.dumps(found.figures(), indent=2))
    else:
        _figures(found.figures())


def _line(one: Subgraph) -> str:
    import json

    record = {
        "hash": one.subgraph_hash,
        "shape": one.form,
        "nodes": sorted(one.nodes),
        "edges": [list(edge.triple) for edge in one.edges],
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


def _walks(nodes: str, shapes: str, restart: float, mean_degree: float) -> WalkConfig:
    """The options as a configuration; InvalidInput names what is wrong."""
    from sindbad.configuration import resolve
    from sindbad.errors import InvalidInput
    from sindbad.graph.walk import WalkConfig

    weights = [part.partition("=") for part in shapes.split(",")]
    if not all(shape and weight for shape, _, weight in weights):
        raise InvalidInput(f"--shapes {shapes!r} is not like chain=1,dense=2")
    low, _, high = nodes.partition("-")
    if not (low.isdecimal() and (high or low).isdecimal()):
        raise InvalidInput(f"--nodes {nodes!r} is not like 24-36, or 30")
    values = {
        "min_nodes": low, "max_nodes": high or low, "restart": restart, "max_steps": 2_000,
        "shapes": {shape: weight for shape, _, weight in weights},
        "edges": "degree" if mean_degree else "induced", "mean_degree": mean_degree or 2.5,
    }  # fmt: skip
    return resolve(WalkConfig, values, source=f"--nodes {nodes} --shapes {shapes}")


def _figures(record: dict[str, Any]) -> None:
    """Figures as aligned lines on standard output."""
    width = max(map(len, record), default=0)
    for name, value in record.items():
        shown = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
        typer.echo(f"{name.replace('_', ' '):<{width}}  {shown}")
