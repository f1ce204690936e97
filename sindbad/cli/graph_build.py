"""``sindbad graph build``: a graph through the Search and Visit tools, from seed entities.

Exit codes: 0 done or out of budget (the report says which), 1 something failed, 130 interrupted; after the last two the
same command goes on where it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sindbad.cli.runs import run_folder

if TYPE_CHECKING:
    from sindbad.graph.build import BuildBudget, BuildProgress, BuildResult
    from sindbad.graph.extraction import Extractor
    from sindbad.graph.statistics import GraphStatistics
    from sindbad.tools.environment import Environment, Scope

INTERRUPTED = 130
PATIENCE = 25
_LINE_SECONDS = 5.0


class EnvironmentChoice(StrEnum):
    """As ``sindbad.agent.trajectory.EnvironmentKind``, here so that ``--help`` need not import it."""

    SIMULATED = "simulated"
    REPLAY = "replay"
    LIVE = "live"


class ExtractorChoice(StrEnum):
    """Who reads facts out of pages."""

    PARSER = "parser"
    LOCAL = "local"
    POLICY = "policy"
    OPENAI = "openai"


class GrowthChoice(StrEnum):
    """As ``sindbad.graph.build.Growth``."""

    DENSE = "dense"
    EXPANDED = "expanded"
    TREE = "tree"


def build(
    seeds: Annotated[Path, typer.Option(help="Text file: a name or URL a line.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="Folder of the graph; the journal and the report go to OUT.build.")],
    run: Annotated[
        Path | None, typer.Option("--run", parser=run_folder, help="Use the search service of this run.")
    ] = None,
    search_at: Annotated[
        list[str] | None, typer.Option("--services", help="host:port of a search service, instead of a run's.")
    ] = None,
    index: Annotated[Path | None, typer.Option(help="Search this index in the process, without a service.")] = None,
    environment: Annotated[EnvironmentChoice, typer.Option(help="Where tool calls go.")] = EnvironmentChoice.SIMULATED,
    corpus: Annotated[str, typer.Option(help="Corpus to search; empty is the service's default.")] = "",
    language: Annotated[str, typer.Option(help="Language that is read first.")] = "en",
    also: Annotated[list[str] | None, typer.Option(help="Languages whose pages of the same entities are read.")] = None,
    extractor: Annotated[ExtractorChoice, typer.Option(help="Who reads facts out of pages.")] = ExtractorChoice.PARSER,
    model: Annotated[
        str, typer.Option(help="local: model folder (default: the tiny extractor); openai: the model's name.")
    ] = "",
    policy: Annotated[list[str] | None, typer.Option(help="policy: host:port of the service.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="policy: model folder or weight store.")] = None,
    base_url: Annotated[str, typer.Option(help="openai: URL up to the version, http://host:8000/v1.")] = "",
    key_variable: Annotated[str, typer.Option(help="openai: variable that holds the key.")] = "OPENAI_API_KEY",
    prompts: Annotated[str, typer.Option(help="demo, full, or a YAML file. Default: demo for local.")] = "",
    ontology: Annotated[
        str, typer.Option(help="encyclopedia, world, a YAML file, or a graph's folder.")
    ] = "encyclopedia",
    nodes: Annotated[int, typer.Option(min=0, help="Target of nodes; 0 aims at --max-nodes.")] = 0,
    mean_degree: Annotated[float, typer.Option(min=0, help="Target of mean degree.")] = 0.0,
    cycle_rank: Annotated[int, typer.Option(min=0, help="Target of independent cycles.")] = 0,
    max_nodes: Annotated[int, typer.Option(min=1, help="Most nodes, also short of the other targets.")] = 10_000,
    max_calls: Annotated[int, typer.Option(min=1, help="Most tool calls.")] = 100_000,
    max_model_calls: Annotated[int, typer.Option(min=1, help="Most questions to a model.")] = 1_000_000,
    max_seconds: Annotated[float, typer.Option(min=0, help="Longest expansion; 0 has no end.")] = 0.0,
    closing: Annotated[float, typer.Option(min=0, max=1, help="Share of nodes kept for closing cycles.")] = 0.4,
    newest: Annotated[float, typer.Option(min=0, max=1, help="Chance of following the newest name.")] = 0.6,
    min_mentions: Annotated[int, typer.Option(min=1, help="Known nodes that must mention a closing one.")] = 2,
    sweep: Annotated[bool, typer.Option(help="Search around every node in the end.")] = False,
    keep_trees: Annotated[bool, typer.Option(help="Keep components without a cycle.")] = False,
    growth: Annotated[GrowthChoice, typer.Option(help="dense, or for comparison one that only grows.")] = (
        GrowthChoice.DENSE
    ),
    width: Annotated[int, typer.Option(min=1, max=64, help="Pages read at once; the graph depends on it.")] = 8,
    baseline: Annotated[bool, typer.Option(help="Grow a graph without closing cycles beside, for the report.")] = True,
    seed: Annotated[int, typer.Option(help="Of all choices.")] = 0,
    fresh: Annotated[bool, typer.Option(help="Forget the journal of an earlier build.")] = False,
) -> None:
    """Build a graph from seed entities through the search and visit tools; interrupted, the same command goes on."""
    import asyncio

    from sindbad.errors import InvalidInput
    from sindbad.graph.build import BuildBudget, Growth
    from sindbad.tools.environment import Scope

    names = _seed_names(seeds)
    if sum(source is not None and source != [] for source in (run, search_at, index)) != 1:
        raise InvalidInput("name one of --run, --services and --index: where the tools are")
    budget = BuildBudget(
        growth=Growth(growth), target_nodes=nodes, target_mean_degree=mean_degree, target_cycle_rank=cycle_rank,
        max_nodes=max_nodes, max_calls=max_calls, max_model_calls=max_model_calls, max_seconds=max_seconds,
        closing=closing, newest=newest, min_mentions=min_mentions, sweep=sweep, keep_trees=keep_trees, width=width,
        patience=PATIENCE, look_up="search" if environment is EnvironmentChoice.LIVE else "title",
    )  # fmt: skip
    choice = _Extracting(extractor, model, policy or [], tokenizer, base_url, key_variable, prompts, ontology)
    languages = tuple(dict.fromkeys((language, *(also or ()))))
    task = _Build(
        names, out, Scope(corpus, language), languages, budget, seed, baseline, fresh,
        lambda: _tools(run, search_at or [], index, environment), choice, environment.value,
    )  # fmt: skip
    try:
        stopped = asyncio.run(task.run())
    except KeyboardInterrupt:
        typer.echo("Interrupted; the same command goes on.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if stopped == "tools":
        typer.echo("The tools failed too often in a row; the same command goes on when they are back.", err=True)
        raise typer.Exit(1)


class _Extracting:
    """From options to an extractor."""

    def __init__(
        self,
        kind: ExtractorChoice,
        model: str,
        policy: list[str],
        tokenizer: Path | None,
        base_url: str,
        key_variable: str,
        prompts: str,
        ontology: str,
    ) -> None:
        self._kind, self._model, self._policy, self._tokenizer = kind, model, policy, tokenizer
        self._base_url, self._key_variable, self._prompts, self._ontology = base_url, key_variable, prompts, ontology

    @asynccontextmanager
    async def opened(self, languages: tuple[str, ...]) -> AsyncIterator[Extractor]:
        extractor = await self._open(languages)
        try:
            yield extractor
        finally:
            await extractor.close()

    async def _open(self, languages: tuple[str, ...]) -> Extractor:
        from sindbad.clients.openai import ChatCompletions, OpenAISettings
        from sindbad.errors import InvalidInput
        from sindbad.graph import extractors
        from sindbad.graph.extraction import ParserExtractor
        from sindbad.graph.extraction_worded import WordedParser
        from sindbad.graph.ontology import load_ontology

        ontology = load_ontology(self._ontology)
        if self._kind is ExtractorChoice.PARSER:
            return ParserExtractor(languages) if self._ontology == "encyclopedia" else WordedParser(ontology)
        if self._kind is ExtractorChoice.LOCAL:
            from sindbad.demo.extraction_exam import EXTRACTOR

            folder = Path(self._model) if self._model else EXTRACTOR
            return await extractors.local_extractor(folder, prompts=self._prompts or "demo", ontology=ontology)
        if self._kind is ExtractorChoice.POLICY:
            if not self._policy or self._tokenizer is None:
                raise InvalidInput("--extractor policy needs --policy host:port and --tokenizer FOLDER")
            return await extractors.policy_extractor(
                self._policy, self._tokenizer, prompts=self._prompts or "full", ontology=ontology
            )
        if not self._base_url or not self._model:
            raise InvalidInput("--extractor openai needs --base-url and --model")
        settings = OpenAISettings(base_url=self._base_url, model=self._model, key_variable=self._key_variable)
        async with ChatCompletions(settings) as probe:  # a model that is away would look like pages without a fact
            await probe.check_there()
        return extractors.openai_extractor(settings, prompts=self._prompts or "full", ontology=ontology)


class _Build:
    """One build: journal, graph folder, report."""

    def __init__(
        self,
        seeds: list[str],
        out: Path,
        scope: Scope,
        languages: tuple[str, ...],
        budget: BuildBudget,
        seed: int,
        baseline: bool,
        fresh: bool,
        tools: Callable[[], Any],
        extracting: _Extracting,
        environment: str,
    ) -> None:
        self._seeds, self._out, self._scope, self._languages = seeds, out, scope, languages
        self._budget, self._seed, self._baseline, self._fresh = budget, seed, baseline, fresh
        self._tools, self._extracting, self._environment = tools, extracting, environment
        self._beside = out.with_name(f"{out.name}.build")

    async def run(self) -> str:
        """Build, write, tell; why it stopped."""
        from sindbad import atomic
        from sindbad.graph.build_journal import BuildJournal
        from sindbad.graph.store_format import MANIFEST

        atomic.check_replaceable(self._out, MANIFEST)
        path = self._beside / "journal.jsonl"
        if self._fresh:
            path.unlink(missing_ok=True)
        header = {"environment": self._environment, "corpus": self._scope.corpus}
        with BuildJournal(path, header) as journal:
            if len(journal):
                typer.echo(f"Going on: {len(journal)} finished calls are known.")
            async with self._tools() as environment, self._extracting.opened(self._languages) as extractor:
                result = await self._grow(environment, extractor, journal, self._budget, self._languages)
                beside = await self._grow_beside(environment, extractor, journal, result)
            reused = journal.reused
        self._write(result, beside, extractor.signature)
        typer.echo(f"{self._out}: stopped by {result.report.stopped}; {reused} calls answered by the journal")
        return result.report.stopped

    async def _grow(
        self,
        environment: Environment,
        extractor: Extractor,
        journal: Any,
        budget: BuildBudget,
        languages: tuple[str, ...],
    ) -> BuildResult:
        from sindbad.graph.build import build_graph

        return await build_graph(
            environment, self._seeds, self._scope, budget, languages=languages, extractor=extractor, seed=self._seed,
            journal=journal, on_progress=_teller(),
        )  # fmt: skip

    async def _grow_beside(
        self, environment: Environment, extractor: Extractor, journal: Any, result: BuildResult
    ) -> BuildResult | None:
        from sindbad.graph.build import Growth
        from sindbad.graph.build_report import growing_only

        if not self._baseline or self._budget.growth is not Growth.DENSE or not len(result.graph):
            return None
        budget = growing_only(self._budget, len(result.graph))
        return await self._grow(environment, extractor, journal, budget, ())

    def _write(self, result: BuildResult, beside: BuildResult | None, extractor: str) -> None:
        from sindbad import atomic
        from sindbad.errors import InvalidInput
        from sindbad.graph import build_report
        from sindbad.graph.store_write import save_graph

        if not len(result.graph):
            raise InvalidInput(_nothing(self._out, result), reason="EMPTY_GRAPH")
        columns = build_report.compare(result, beside)
        record = build_report.to_record(result, columns)
        made: dict[str, Any] = {
            "command": "graph build",
            "environment": self._environment,
            "corpus": self._scope.corpus,
        }
        made |= {"language": self._scope.language, "languages": list(self._languages), "seed": self._seed}
        made |= {"seeds": self._seeds, "extractor": extractor, "budget": self._budget.model_dump(mode="json")}
        save_graph(result.graph, self._out, made_by={**made, **record["build"]}, rejected=result.report.refused)
        atomic.write_json(self._beside / "report.json", {**made, **record})
        _tell(result, columns)


def _nothing(out: Path, result: BuildResult) -> str:
    report = result.report
    return (
        f"nothing is written to {out}: of the {report.dropped_nodes} entities that were read none lies on a cycle "
        f"(stopped by {report.stopped}). Read more (--max-nodes, --max-calls), or keep what is no part of a cycle "
        "(--keep-trees); the same command goes on from the calls that were made."
    )


def _seed_names(file: Path) -> list[str]:
    from sindbad.errors import InvalidInput

    try:
        return [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not UTF-8 text ({error}); give a name or a URL a line") from error


@asynccontextmanager
async def _tools(
    run: Path | None, search_at: list[str], index: Path | None, environment: EnvironmentChoice
) -> AsyncIterator[Environment]:
    from sindbad.agent.trajectory import EnvironmentKind
    from sindbad.clients import ToolClient
    from sindbad.errors import InvalidInput
    from sindbad.supervisor.registry import addresses_in, read_registry
    from sindbad.tools.render import Style
    from sindbad.tools.simulated import simulated_environment
    from sindbad.tools.toolbox import ToolboxSettings

    if index is not None:
        if environment is not EnvironmentChoice.SIMULATED:
            raise InvalidInput(f"--index is the simulated environment; {environment.value} needs --run or --services")
        toolbox = simulated_environment(index, ToolboxSettings(style=Style.COMPACT))
        try:
            yield toolbox
        finally:
            await toolbox.close()
        return
    addresses = search_at or addresses_in(read_registry(run or Path()), "search")
    kind = EnvironmentKind(environment.value)
    async with ToolClient(addresses, kind=kind, style=Style.COMPACT, top_k=10) as client:  # the page, nothing around it
        yield client


def _teller() -> Callable[[BuildProgress], None]:
    """A line every few seconds."""
    import time

    last = time.monotonic()

    def tell(now: BuildProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            failed = f", {now.failures} failed" if now.failures else ""
            shape = f"mean degree {now.mean_degree:.2f}, {now.cycle_rank} cycles"
            typer.echo(f"{now.stage}: {now.nodes} nodes, {shape}, {now.calls} calls{failed}")

    return tell


def _tell(result: BuildResult, columns: dict[str, GraphStatistics]) -> None:
    from rich.console import Console
    from rich.table import Table

    from sindbad.graph import build_report

    report = result.report
    head, *rows = build_report.table(columns)
    shown = Table(*head, box=None, pad_edge=False)
    for row in rows:
        shown.add_row(*row)
    Console(highlight=False).print(shown)
    typer.echo(
        f"{report.searches} searches, {report.visits} visits, {report.no_page} without a page; {report.failures} "
        f"failed tries, {report.gave_up} given up; {_open(report.open_reasons)}"
    )
    if report.other_type:
        typer.echo(f"{report.other_type} pages were left out: they give their entity a second type")
    for language, count in report.untold_pages.items():
        typer.echo(
            f"{language}: {count} pages were not looked for: no link between languages on the page, and no folder of "
            "its own language in its address, tells where they are"
        )
    if report.model_calls:
        typer.echo(
            f"{report.model_calls} questions to the model, {report.malformed} lines unreadable; refused: "
            f"{_counts(report.refused)}; pages unread: {_counts(report.unread)}"
        )


_OPEN: Final = {
    "unread": "facts lead to pages that were not read",
    "several": "name what several entities are called",
    "type": "name something of another type than their relation joins",
    "itself": "lead back to where they began",
}
"""Why facts stay out of a graph; the first is told also where there is none."""


def _open(reasons: dict[str, int]) -> str:
    return ", ".join(
        f"{reasons.get(key, 0)} {said}" for key, said in _OPEN.items() if key in reasons or key == "unread"
    )


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.items()) or "none"
