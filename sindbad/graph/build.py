"""Building a graph through the tools, as a researcher would: search, visit, read, follow (WebSailor-V2 §3, step 1).

Expansion from the seeds picks the newest node or an earlier one; then cycles are closed on purpose: of the nodes that
are known by name only, those that most known nodes mention are read first, because each closes at least one cycle. A
sweep of searches finds what no page mentions. Other languages are read from the same entities' pages at the end, so
that every fact has its sentence in each language.

A failed tool call is counted and passed over; out of budget the graph is partial and the report says so. The same
environment, extractor, seeds and ``seed`` give the same graph; with a journal also after a kill, without asking again.
Only where ``max_seconds`` cuts depends on the clock: calls in flight are given up, what was read stays, and a build
that goes on with more seconds ends with the graph of one that had them at once.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sindbad.errors import DeadlineExceeded, InvalidInput, Unavailable
from sindbad.graph.build_assembly import (
    PageReading,
    assemble,
    discovery_tree,
    in_cycles,
    merge_language,
    word_relations,
)
from sindbad.graph.build_errands import Errands, in_time, together, translations
from sindbad.graph.build_journal import BuildJournal
from sindbad.graph.build_names import GrowingShape, Names, address, entity_id_of, ids_of, sibling_url
from sindbad.graph.extraction import Extractor, ParserExtractor
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.graph.statistics import annotate
from sindbad.tools.environment import Environment, Observation, Scope

_PARALLEL = 8
"""Independent calls in flight; their answers are used in a fixed order, so the graph stays deterministic."""


class Growth(StrEnum):
    """``dense`` expands and then closes cycles. The others expand only, for comparison: ``expanded`` keeps every fact
    between nodes, ``tree`` only the one through which a node was reached."""

    DENSE = "dense"
    EXPANDED = "expanded"
    TREE = "tree"


class Stopped(StrEnum):
    """Why a build ended. ``exhausted``: nothing was left to follow."""

    TARGET = "target"
    NODES = "nodes"
    CALLS = "calls"
    MODEL_CALLS = "model_calls"
    SECONDS = "seconds"
    TOOLS = "tools"
    EXHAUSTED = "exhausted"


class BuildBudget(BaseModel):
    """What to aim at, when to stop, and how to choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    growth: Growth = Growth.DENSE
    """How the graph grows."""
    target_nodes: int = Field(default=0, ge=0)
    """Done when there are so many nodes and the other targets are met; 0 aims at `max_nodes`."""
    target_mean_degree: float = Field(default=0.0, ge=0.0)
    """Done only from this mean degree on; cycles are closed until then, as far as `max_nodes` allows."""
    target_cycle_rank: int = Field(default=0, ge=0)
    """Done only from so many independent cycles on."""
    max_nodes: int = Field(default=10_000, ge=1)
    """Entities to read at most."""
    max_calls: int = Field(default=100_000, ge=1)
    """Tool calls for the expansion in the scope's language; other languages cost one visit a node on top."""
    max_model_calls: int = Field(default=1_000_000, ge=1)
    """Questions to a model that extracts, for the expansion; other languages cost some a node on top."""
    max_seconds: float = Field(default=0.0, ge=0.0)
    """Seconds for all but the other languages; what is in flight then is given up. 0 has no end."""
    newest: float = Field(default=0.6, ge=0.0, le=1.0)
    """Chance of following the newest name rather than an earlier one: high digs deep, low spreads out."""
    search: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Chance that a step searches for pages that mention an earlier node, instead of following a name."""
    closing: float = Field(default=0.4, ge=0.0, le=1.0)
    """Share of the nodes that is kept for closing cycles."""
    min_mentions: int = Field(default=2, ge=1)
    """While closing, read only nodes that at least so many known nodes mention (1: all of them)."""
    sweep: bool = False
    """Search around every node until that finds nothing new: reaches pages that no other page mentions."""
    keep_trees: bool = False
    """Keep components without a cycle (by default they are dropped: questions need |E| >= |V|)."""
    look_up: Literal["title", "search"] = "title"
    """How a name is followed: visited as a title, as in an encyclopedia, or searched for first (the web)."""
    hits: int = Field(default=3, ge=1)
    """Search results that are visited for a name, until one is about it."""
    width: int = Field(default=1, ge=1, le=64)
    """Pages read at once; the graph depends on it."""
    call_deadline_seconds: float = Field(default=30.0, gt=0.0)
    """Deadline of one tool call."""
    call_attempts: int = Field(default=4, ge=1)
    """Tries of a call that failed: a page missed for a passing fault would make wrong answers look unique."""
    patience: int = Field(default=0, ge=0)
    """Calls in a row that may fail before the tools count as down and the build ends with what it has. 0: no number is
    too many, but a service that cannot be reached at all is an error."""

    @model_validator(mode="after")
    def _within_reach(self) -> BuildBudget:
        if self.target_nodes > self.max_nodes:
            raise ValueError(f"target_nodes ({self.target_nodes}) is above max_nodes ({self.max_nodes})")
        return self

    @property
    def aims(self) -> bool:
        """Whether there is a target at all."""
        return bool(self.target_nodes or self.target_mean_degree or self.target_cycle_rank)

    @property
    def wanted_nodes(self) -> int:
        """Nodes to aim at."""
        return self.target_nodes or self.max_nodes


WHOLE_WORLD = BuildBudget(min_mentions=1, sweep=True)
"""Reads everything that can be reached from the seeds: what uniqueness "in the whole graph" needs in a closed world."""


@dataclass(slots=True)
class BuildReport:
    """What the build did.

    Attributes:
        failures: tries of tool calls that failed in passing; ``gave_up``: calls that did so in every try; ``no_page``:
            calls that were answered by an error, as when there is no such page.
        expanded, closed: nodes read while expanding, and while closing cycles or sweeping.
        open_facts: facts and values that are not in the graph, of pages whose entities are; ``open_reasons`` says why:
            "unread": an end was never read, or was dropped; "several": several entities bear its name and the
            ontology's types do not tell which is meant; "type": who bears its name is not of the relation's type;
            "itself": both ends are one entity. ``dropped_nodes`` lay in trees.
        other_type: pages that were left out because they give their entity another type than its first page does.
        missing_pages: by language, pages of known entities that could not be read, or were left out;
            ``untold_pages``: of which neither the page in the first language nor its address tells where they are, so
            that none was asked for.
        model_calls, malformed, refused, unread: questions to a model, lines of replies that could not be read,
            statements that were refused by reason, pages whose extraction failed by reason.
    """

    searches: int = 0
    visits: int = 0
    failures: int = 0
    gave_up: int = 0
    no_page: int = 0
    expanded: int = 0
    closed: int = 0
    open_facts: int = 0
    open_reasons: dict[str, int] = field(default_factory=dict)
    other_type: int = 0
    dropped_nodes: int = 0
    missing_pages: dict[str, int] = field(default_factory=dict)
    untold_pages: dict[str, int] = field(default_factory=dict)
    model_calls: int = 0
    malformed: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)
    stopped: str = ""

    def to_record(self) -> dict[str, object]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The graph and how it came about. ``order``: entity ids as they were read."""

    graph: KnowledgeGraph
    report: BuildReport
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """Where a build stands."""

    nodes: int
    mean_degree: float
    cycle_rank: int
    calls: int
    failures: int
    stage: str


async def build_graph(
    environment: Environment,
    seeds: Sequence[str],
    scope: Scope,
    budget: BuildBudget = WHOLE_WORLD,
    *,
    languages: Sequence[str] = ("en", "ar"),
    extractor: Extractor | None = None,
    seed: int = 0,
    journal: BuildJournal | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> BuildResult:
    """Expand from ``seeds`` (names or URLs) in ``scope``'s corpus and language, then read the other languages.

    Args:
        extractor: belongs to the caller; by default the parser of the language packs' sentences.
        journal: finished calls, for a build that goes on after a kill.

    Raises InvalidInput if there is no seed, or none of them could be read; Unavailable if the tools failed before, and
    DeadlineExceeded if the seconds were over.
    """
    chosen = extractor or ParserExtractor(tuple(dict.fromkeys((scope.language, *languages))))
    errands = Errands(environment, chosen, budget, journal)
    builder = _Builder(errands, chosen, scope, budget, random.Random(f"graph:{seed}"), on_progress)
    await builder.expand(seeds)
    if budget.growth is Growth.DENSE:
        await builder.close_cycles()
        if budget.sweep:
            await builder.sweep()
    graph = builder.assemble()
    for language in languages:
        if language != scope.language:
            await builder.read_language(graph, language)
    word_relations(graph, chosen.relation_info)
    annotate(graph)
    return BuildResult(graph, builder.finish(), builder.order)


class _Builder:
    def __init__(
        self,
        errands: Errands,
        extractor: Extractor,
        scope: Scope,
        budget: BuildBudget,
        rng: random.Random,
        on_progress: Callable[[BuildProgress], None] | None,
    ) -> None:
        self._errands, self._extractor = errands, extractor
        self._scope, self._budget, self._rng, self._show = scope, budget, rng, on_progress
        self.report = BuildReport()
        self._names = Names(scope.language, extractor.fits)
        trees = budget.keep_trees or budget.growth is not Growth.DENSE
        self._shape = GrowingShape(self._names, keep_trees=trees)
        self._frontier: dict[str, str] = {}  # name or URL -> the query that led there; insertion order is age
        self._asked: set[str] = set()  # names and URLs that were followed
        self._pages: dict[str, list[PageReading]] = {}  # entity id -> its pages, the first one leads; all of one type
        self._addresses: dict[tuple[str, str], str] = {}  # -> the entity whose page is there
        self._searched: set[str] = set()
        self._mentions: dict[str, int] = {}
        self._most_mentioned: list[tuple[int, str]] = []  # heap of (-mentions, name); stale entries are skipped
        self._started, self._stage = time.monotonic(), "expanding"

    @property
    def order(self) -> tuple[str, ...]:
        """Entity ids as they were read."""
        return tuple(self._pages)

    @property
    def _calls(self) -> int:
        return self._errands.counts.searches + self._errands.counts.visits

    # --- when to stop ---------------------------------------------------------------------------------------------

    def _limit(self) -> Stopped | None:
        """The limit that was reached, if any."""
        budget, counts = self._budget, self._errands.counts
        seconds = self._seconds_left()
        reached = {
            Stopped.NODES: len(self._pages) >= budget.max_nodes,
            Stopped.CALLS: self._calls >= budget.max_calls,
            Stopped.MODEL_CALLS: counts.model_calls >= budget.max_model_calls,
            Stopped.SECONDS: seconds is not None and seconds <= 0,
            Stopped.TOOLS: self._tools_down(),
        }
        return next((stopped for stopped, so in reached.items() if so), None)

    def _seconds_left(self) -> float | None:
        limit = self._budget.max_seconds
        return self._started + limit - time.monotonic() if limit else None

    def _tools_down(self) -> bool:
        return bool(self._budget.patience) and self._errands.counts.in_a_row >= self._budget.patience

    def _done(self) -> bool:
        budget, shape = self._budget, self._shape
        return (
            budget.aims
            and shape.nodes >= budget.target_nodes
            and shape.mean_degree >= budget.target_mean_degree
            and shape.cycle_rank >= budget.target_cycle_rank
        )

    def _has_room(self) -> bool:
        return self._limit() is None and not self._done()

    def _room(self) -> int:
        """Pages that may be read at once."""
        budget, nodes = self._budget, len(self._pages)
        left = min(budget.max_nodes - nodes, budget.max_calls - self._calls)
        short = budget.target_nodes - self._shape.nodes
        return max(1, min(budget.width, left, short if short > 0 else left))

    # --- the three stages -----------------------------------------------------------------------------------------

    async def expand(self, seeds: Sequence[str]) -> None:
        """Grow from the seeds until the share of nodes that is not kept for closing is read."""
        if not seeds:
            raise InvalidInput("a graph needs at least one seed entity")
        self._frontier.update((seed, seed) for seed in seeds)
        share = 1 - self._budget.closing if self._budget.growth is Growth.DENSE else 1.0
        goal = max(1, round(self._budget.wanted_nodes * share))
        while len(self._pages) < goal and self._limit() is None:
            around, handles = self._draw(min(self._room(), goal - len(self._pages)))
            if around or handles:
                await self._search_around(around)
                self.report.expanded += await self._follow(handles)
            elif not await self._search_anything():
                break
        if not self._pages:
            if self._errands.counts.gave_up:
                raise Unavailable("the tools failed before a page was read; start their service and build again")
            if self._limit() is Stopped.SECONDS:
                raise DeadlineExceeded("the seconds were over before a page was read; give more, or none")
            if unread := self._errands.counts.unread:
                said = ", ".join(f"{reason} ({count})" for reason, count in unread.most_common())
                raise Unavailable(f"the seeds' pages were read, but not by the extractor: {said}")
            raise InvalidInput(f"none of the seeds {list(seeds)[:3]} could be read in {self._scope.corpus!r}")

    def _draw(self, steps: int) -> tuple[list[str], list[str]]:
        """Entities to search around, names to follow."""
        around, handles = list[str](), list[str]()
        for _ in range(steps):
            if self._pages and self._rng.random() < self._budget.search:
                around.append(self._rng.choice(sorted(self._pages)))
            elif len(self._frontier) > len(handles):
                handles.append(self._pick(handles))
        return around, handles

    def _pick(self, taken: Sequence[str]) -> str:
        names = [name for name in self._frontier if name not in taken] if taken else list(self._frontier)
        return names[-1] if self._rng.random() < self._budget.newest else self._rng.choice(names)

    async def close_cycles(self) -> None:
        """Read the nodes that most known nodes mention.

        With a target, search around the least connected ones when there are none, and last read what is mentioned once.
        """
        self._stage = "closing"
        while self._has_room():
            best = self._take_mentioned(self._room(), self._budget.min_mentions)
            if not best and self._budget.aims:
                if await self._search_weakest():
                    continue
                best = self._take_mentioned(self._room(), 1)
            if not best:
                break
            self.report.closed += await self._follow(best)

    def _take_mentioned(self, most: int, at_least: int) -> list[str]:
        """Unread names by falling number of known nodes that mention them."""
        best: list[str] = []
        while self._most_mentioned and len(best) < most:
            count, name = self._most_mentioned[0]
            stale = self._mentions[name] != -count or name in self._asked or self._names.find(name) is not None
            if not stale and -count < at_least:
                break
            heapq.heappop(self._most_mentioned)
            best += [] if stale or name in best else [name]
        return best

    async def _search_weakest(self) -> bool:
        """Search around known nodes of low degree and follow what that finds; False when nothing was left to do."""
        left = sorted(set(self._pages) - self._searched, key=lambda key: (self._shape.degree(key), key))[:_PARALLEL]
        await self._search_around(left)
        found = [handle for handle in self._frontier if "://" in handle][: self._room()]
        self.report.closed += await self._follow(found)
        return bool(left or found)

    async def sweep(self) -> None:
        """Search around every node that was not searched around yet; follow what that brings; until nothing is left."""
        self._stage = "sweeping"
        while self._has_room():
            if self._frontier:
                self.report.closed += await self._follow(list(self._frontier)[: self._room()])
            elif not await self._search_anything():
                break

    # --- searching ------------------------------------------------------------------------------------------------

    async def _search_anything(self) -> bool:
        left = sorted(set(self._pages) - self._searched)[:_PARALLEL]
        await self._search_around(left)
        return bool(left)

    async def _search_around(self, entity_ids: Sequence[str]) -> None:
        """Search for pages that mention known nodes; what is found joins the frontier.

        Expansion may search around a node again: of several queries some may have failed beside the others.
        """
        asked = [self._inverse_queries(entity_id) for entity_id in entity_ids]
        searches = (self._errands.search(queries, self._scope) for queries in asked)
        for queries, found in zip(asked, await in_time(searches, self._seconds_left()), strict=True):
            if found is not None:
                self._take_hits(queries, found)

    def _inverse_queries(self, entity_id: str) -> list[str]:
        self._searched.add(entity_id)
        main = self._pages[entity_id][0].main
        return self._extractor.inverse_queries(main.name, main.entity_type, self._scope.language)

    def _take_hits(self, queries: list[str], seen: Observation) -> None:
        for url in seen.urls:
            if url not in self._asked:
                self._frontier.setdefault(url, "; ".join(queries))

    # --- reading --------------------------------------------------------------------------------------------------

    async def _follow(self, handles: Sequence[str]) -> int:
        """Visit names or URLs, each once; how many new entities that read."""
        queries = {handle: self._frontier.pop(handle, handle) for handle in handles}
        fresh = {handle: query for handle, query in queries.items() if handle not in self._asked}
        self._asked.update(fresh)
        pages = await in_time((self._find(*item) for item in fresh.items()), self._seconds_left())
        new = sum(self._take_page(page) for page in pages if page is not None)
        if self._show is not None:
            self._show(self.progress())
        return new

    def _take_page(self, page: PageReading) -> bool:
        """True if its entity is new. A second page of a known one adds what it states."""
        identified = self._identified(page)
        if identified is None:
            self.report.other_type += 1
            return False
        page = identified
        known = self._pages.setdefault(page.entity_id, [])
        if any(page.url == other.url for other in known):
            return False
        known.append(page)
        self._addresses.setdefault(address(page.url), page.entity_id)
        self._names.add(page.entity_id, page.names, page.main.entity_type)
        self._shape.add(page.entity_id, page.names, page.facts)
        self._asked.update((page.main.name, page.url))
        for name in page.mentioned:
            self._mentions[name] = self._mentions.get(name, 0) + 1
            heapq.heappush(self._most_mentioned, (-self._mentions[name], name))
            if name not in self._asked and self._names.find(name) is None:
                # Re-inserted at the end: the newest mention counts as the newest name.
                self._frontier[name] = self._frontier.pop(name, name)
        return len(known) == 1

    def _identified(self, page: PageReading) -> PageReading | None:
        """Pages at one address are one entity's, and pages of one name and type; all others are apart, however alike
        their addresses end. None for a page that gives its entity a second type."""
        there = self._addresses.get(address(page.url))
        known = there or self._names.namesake(page.main.name, page.main.entity_type)
        if known is None:
            return _as(page, next(free for free in ids_of(page.url) if free not in self._pages))
        return _as(page, known) if self._agrees(page, known) else None

    def _agrees(self, page: PageReading, entity_id: str) -> bool:
        return page.main.entity_type == self._pages[entity_id][0].main.entity_type

    async def _find(self, handle: str, query: str) -> PageReading | None:
        """The page of a name or URL; by search, the first that is about the name, else the first that can be read."""
        if "://" in handle or self._budget.look_up == "title":
            return await self._read(handle, query, self._scope)
        seen, first = await self._errands.search([handle], self._scope), None
        for url in [url for url in seen.urls if url not in self._asked][: self._budget.hits]:
            page = await self._read(url, handle, self._scope)
            if page is not None and self._names.normal(handle) in map(self._names.normal, page.names):
                return page
            first = first or page
        return first

    async def _read(self, handle: str, query: str, scope: Scope) -> PageReading | None:
        seen, found = await self._errands.read(handle, scope)
        if found.main is None:
            return None
        url = seen.urls[0]
        page = PageReading.of(entity_id_of(url), found.main, url, query, scope.language, found, len(seen.text))
        return replace(page, translations=translations(seen))

    # --- the graph ------------------------------------------------------------------------------------------------

    def assemble(self) -> KnowledgeGraph:
        """Growth is over. Facts between read entities become edges; of a dense graph, components without a cycle go."""
        self.report.stopped = (Stopped.TARGET if self._done() else self._limit() or Stopped.EXHAUSTED).value
        pages = [page for known in self._pages.values() for page in known]
        whole = self._graph_of(pages, self._pages)
        if self._budget.growth is Growth.TREE:
            return discovery_tree(whole, self.order)
        if self._budget.growth is Growth.EXPANDED or self._budget.keep_trees:
            return whole
        kept = in_cycles(whole)
        self.report.dropped_nodes = len(whole) - len(kept)
        return self._graph_of(pages, kept) if self.report.dropped_nodes else whole

    def _graph_of(self, pages: Sequence[PageReading], kept: Iterable[str]) -> KnowledgeGraph:
        graph, opened = assemble(self._scope.corpus, pages, self._names, kept)
        self.report.open_facts = opened.total()
        self.report.open_reasons = {reason.value: opened[reason] for reason in sorted(opened)}
        return graph

    async def read_language(self, graph: KnowledgeGraph, language: str) -> None:
        """Visit every entity's page in another language: its name there, and the sentences of facts already known."""
        self._stage = f"reading {language}"
        gate = asyncio.Semaphore(_PARALLEL)
        ids = [entity.entity_id for entity in graph.entities]
        urls = {entity_id: url for entity_id in ids if (url := self._sibling(entity_id, language)) is not None}
        if len(urls) < len(ids):
            self.report.untold_pages[language] = len(ids) - len(urls)
        found = await together(self._read_sibling(entity_id, url, language, gate) for entity_id, url in urls.items())
        pages = {page.entity_id: page for page in found if page is not None}
        if len(pages) < len(found):
            self.report.missing_pages[language] = len(found) - len(pages)
        merge_language(graph, pages, Names(language, self._extractor.fits))

    def _sibling(self, entity_id: str, language: str) -> str | None:
        known = self._pages[entity_id][0]
        return sibling_url(known.url, self._scope.language, language, known.translations)

    async def _read_sibling(
        self, entity_id: str, url: str, language: str, gate: asyncio.Semaphore
    ) -> PageReading | None:
        """The page, if it is about an entity of the same type, and stands where it was looked for or a page told of it.

        An address that leads elsewhere may lead to another entity's page, though both end alike.
        """
        known = self._pages[entity_id][0]
        scope = Scope(self._scope.corpus, language, self._scope.trace_id)
        async with gate:
            if self._tools_down():
                return None
            page = await self._read(url, known.query, scope)
        told = url in known.translations.values()
        if page is None or not (told or address(page.url)[1] == address(url)[1]):
            return None
        agrees = self._agrees(page, entity_id)
        self.report.other_type += not agrees
        return _as(page, entity_id) if agrees else None

    # --- telling --------------------------------------------------------------------------------------------------

    def progress(self) -> BuildProgress:
        """Where it stands."""
        shape = self._shape
        failures = self._errands.counts.failures
        return BuildProgress(len(self._pages), shape.mean_degree, shape.cycle_rank, self._calls, failures, self._stage)

    def finish(self) -> BuildReport:
        """The report, counts included."""
        counts, report = self._errands.counts, self.report
        report.searches, report.visits = counts.searches, counts.visits
        report.failures, report.gave_up, report.no_page = counts.failures, counts.gave_up, counts.no_page
        report.model_calls, report.malformed = counts.model_calls, counts.malformed
        report.refused, report.unread = dict(sorted(counts.dropped.items())), dict(sorted(counts.unread.items()))
        if self._tools_down():  # while other languages were read: all that is missing can be had later
            report.stopped = Stopped.TOOLS.value
        return report


def _as(page: PageReading, entity_id: str) -> PageReading:
    return page if page.entity_id == entity_id else replace(page, entity_id=entity_id)
