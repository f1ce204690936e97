"""Building a graph through the tools, as a researcher would: search, visit, read, follow (WebSailor-V2 §3, step 1).

Expansion from the seeds picks the newest node or an earlier one; then cycles are closed on purpose: of the nodes that
are known by name only, those that most known nodes mention are read first, because each closes at least one cycle. A
sweep of searches finds what no page mentions. Other languages are read from the same entities' pages at the end, so
that every fact has its sentence in each language.

A failed tool call is counted and passed over. The same environment, seeds and ``seed`` give the same graph.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sindbad.errors import InvalidInput
from sindbad.graph.knowledge import Edge, Entity, KnowledgeGraph, Source
from sindbad.graph.reading import IS_A, Reader, ReadFact, template_readers
from sindbad.graph.statistics import annotate, components, skeleton
from sindbad.tools.environment import Environment, Observation, Scope, ToolCall

_T = TypeVar("_T")
_PARALLEL = 8
"""Independent calls in flight; their answers are used in a fixed order, so the graph stays deterministic."""


class BuildBudget(BaseModel):
    """When to stop, and how to choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_nodes: int = Field(default=10_000, ge=1)
    """Entities to read."""
    max_calls: int = Field(default=100_000, ge=1)
    """Tool calls for the expansion in the scope's language; other languages cost one visit a node on top."""
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
    call_deadline_seconds: float = Field(default=30.0, gt=0.0)
    """Deadline of one tool call."""
    call_attempts: int = Field(default=4, ge=1)
    """Tries of a call that failed: a page missed for a passing fault would make wrong answers look unique."""


WHOLE_WORLD = BuildBudget(min_mentions=1, sweep=True)
"""Reads everything that can be reached from the seeds: what uniqueness "in the whole graph" needs in a closed world."""


@dataclass(slots=True)
class BuildReport:
    """What the expansion did. ``open_facts`` name an end that was never read; ``dropped_nodes`` lay in trees."""

    searches: int = 0
    visits: int = 0
    failures: int = 0
    expanded: int = 0
    closed: int = 0
    open_facts: int = 0
    dropped_nodes: int = 0
    missing_pages: dict[str, int] = field(default_factory=dict)

    def to_record(self) -> dict[str, object]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The graph and how it came about."""

    graph: KnowledgeGraph
    report: BuildReport


@dataclass(slots=True)
class _Reading:
    """One page as read: which entity, and its facts with names."""

    entity_id: str
    name: str
    entity_type: str
    url: str
    query: str
    facts: list[ReadFact]
    introduction: str
    length: int


async def build_graph(
    environment: Environment,
    seeds: Sequence[str],
    scope: Scope,
    budget: BuildBudget = WHOLE_WORLD,
    *,
    languages: Sequence[str] = ("en", "ar"),
    readers: Mapping[str, Reader] | None = None,
    seed: int = 0,
) -> BuildResult:
    """Expand from ``seeds`` (names or URLs) in ``scope``'s corpus and language, then read the other languages.

    Raises InvalidInput if there is no seed, or none of them could be read.
    """
    known = dict(readers or template_readers(tuple(dict.fromkeys((scope.language, *languages)))))
    builder = _Builder(environment, scope, budget, known, random.Random(f"graph:{seed}"))
    await builder.expand(seeds)
    await builder.close_cycles()
    if budget.sweep:
        await builder.sweep()
    graph = builder.assemble()
    for language in languages:
        if language != scope.language:
            await builder.read_language(graph, language)
    annotate(graph)
    return BuildResult(graph, builder.report)


class _Builder:
    def __init__(
        self,
        environment: Environment,
        scope: Scope,
        budget: BuildBudget,
        readers: Mapping[str, Reader],
        rng: random.Random,
    ) -> None:
        self._environment, self._scope, self._budget, self._rng = environment, scope, budget, rng
        self._readers = readers
        self._reader = readers[scope.language]
        self.report = BuildReport()
        self._frontier: dict[str, str] = {}  # name or URL -> the query that led there; insertion order is age
        self._asked: set[str] = set()  # names and URLs that were followed
        self._readings: dict[str, _Reading] = {}  # entity id -> page
        self._searched: set[str] = set()

    @property
    def _calls(self) -> int:
        return self.report.searches + self.report.visits

    async def expand(self, seeds: Sequence[str]) -> None:
        """Grow from the seeds until the share of nodes that is not kept for closing is read."""
        if not seeds:
            raise InvalidInput("a graph needs at least one seed entity")
        self._frontier.update((seed, seed) for seed in seeds)
        goal = max(1, round(self._budget.max_nodes * (1 - self._budget.closing)))
        while len(self._readings) < goal and self._calls < self._budget.max_calls:
            if self._readings and self._rng.random() < self._budget.search:
                await self._search_around(self._rng.choice(sorted(self._readings)))
            elif self._frontier:
                self.report.expanded += await self._follow(self._pick())
            elif not await self._search_anything():
                break
        if not self._readings:
            raise InvalidInput(f"none of the seeds {list(seeds)[:3]} could be read in {self._scope.corpus!r}")

    def _pick(self) -> str:
        names = list(self._frontier)
        return names[-1] if self._rng.random() < self._budget.newest else self._rng.choice(names)

    async def close_cycles(self) -> None:
        """Read the nodes that most known nodes mention, until nothing is mentioned often enough."""
        while self._has_room():
            mentions = self._mentions()
            if not mentions:
                break
            best = min(mentions, key=lambda name: (-mentions[name], name))
            self.report.closed += await self._follow(best)

    async def sweep(self) -> None:
        """Search around every node that was not searched around yet; follow what that brings; until nothing is left."""
        while self._has_room():
            if self._frontier:
                self.report.closed += await self._follow(next(iter(self._frontier)))
            elif not await self._search_anything():
                break

    def _has_room(self) -> bool:
        return len(self._readings) < self._budget.max_nodes and self._calls < self._budget.max_calls

    def _mentions(self) -> dict[str, int]:
        read = {reading.name for reading in self._readings.values()}
        counted = Counter(
            name
            for reading in self._readings.values()
            for name in {fact.object for fact in reading.facts if fact.relation != IS_A}
            if name not in read and name not in self._asked
        )
        return {name: count for name, count in counted.items() if count >= self._budget.min_mentions}

    async def _search_anything(self) -> bool:
        left = sorted(set(self._readings) - self._searched)[:_PARALLEL]
        asked = [self._inverse_queries(entity_id) for entity_id in left]
        for queries, seen in zip(asked, await _together(map(self._search, asked)), strict=True):
            self._take_hits(queries, seen)
        return bool(left)

    async def _search_around(self, entity_id: str) -> None:
        """Search for pages that mention an earlier node; what is found joins the frontier."""
        queries = self._inverse_queries(entity_id)
        self._take_hits(queries, await self._search(queries))

    def _inverse_queries(self, entity_id: str) -> list[str]:
        self._searched.add(entity_id)
        reading = self._readings[entity_id]
        return self._reader.inverse_queries(reading.name, reading.entity_type)

    async def _search(self, queries: list[str]) -> Observation:
        if not queries:
            return Observation("")
        self.report.searches += 1
        return await self._call("search", {"query": queries}, self._scope)

    def _take_hits(self, queries: list[str], seen: Observation) -> None:
        for url in seen.urls:
            if url not in self._asked:
                self._frontier.setdefault(url, "; ".join(queries))

    async def _follow(self, handle: str) -> int:
        """Visit a name or URL once; 1 if that read a new entity."""
        query = self._frontier.pop(handle, handle)
        if handle in self._asked:
            return 0
        self._asked.add(handle)
        reading = await self._read(handle, query, self._scope, self._reader)
        if reading is None or reading.entity_id in self._readings:
            return 0
        self._readings[reading.entity_id] = reading
        self._asked.update((reading.name, reading.url))
        for fact in reading.facts:
            if fact.relation != IS_A and fact.object not in self._asked:
                # Re-inserted at the end: the newest mention counts as the newest name.
                self._frontier[fact.object] = self._frontier.pop(fact.object, fact.object)
        return 1

    async def _read(self, handle: str, query: str, scope: Scope, reader: Reader) -> _Reading | None:
        self.report.visits += 1
        seen = await self._call("visit", {"urls": [handle], "goal": ""}, scope)
        facts = reader.read(seen.text) if seen.ok and seen.urls else []
        own = next((fact for fact in facts if fact.relation == IS_A), None)
        if own is None:
            return None
        url = seen.urls[0]
        stated = [fact for fact in facts if fact.relation != IS_A]
        return _Reading(entity_id_of(url), own.subject, own.object, url, query, stated, own.sentence, len(seen.text))

    async def _call(self, name: str, arguments: Mapping[str, object], scope: Scope) -> Observation:
        call, deadline = ToolCall(name, arguments), self._budget.call_deadline_seconds
        for _ in range(self._budget.call_attempts):
            seen = await self._environment.call(call, scope, deadline_seconds=deadline)
            if seen.ok:
                break
            self.report.failures += 1
        return seen

    def assemble(self) -> KnowledgeGraph:
        """Facts between read entities become edges; components without a cycle go."""
        whole = self._graph_of(set(self._readings))
        if self._budget.keep_trees:
            return whole
        adjacency = skeleton(whole)
        cyclic = [part for part in components(adjacency) if sum(len(adjacency[n]) for n in part) // 2 >= len(part)]
        kept = {node for part in cyclic for node in part}
        self.report.dropped_nodes = len(whole) - len(kept)
        return self._graph_of(kept) if self.report.dropped_nodes else whole

    def _graph_of(self, kept: set[str]) -> KnowledgeGraph:
        graph = KnowledgeGraph(self._scope.corpus)
        language = self._scope.language
        ids = {self._readings[key].name: key for key in kept}
        for key in sorted(kept):
            graph.add_entity(_entity(self._readings[key], language))
        self.report.open_facts = sum(_add_facts(graph, self._readings[key], ids, language) for key in sorted(kept))
        return graph

    async def read_language(self, graph: KnowledgeGraph, language: str) -> None:
        """Visit every entity's page in another language: its name there, and the sentences of facts already known."""
        ids_in_order = [entity.entity_id for entity in graph.entities]
        gate = asyncio.Semaphore(_PARALLEL)
        found = await _together(self._read_sibling(entity_id, language, gate) for entity_id in ids_in_order)
        readings = [reading for reading in found if reading is not None]
        if len(readings) < len(found):
            self.report.missing_pages[language] = len(found) - len(readings)
        for reading in readings:
            graph.add_entity(_entity(reading, language))
        ids = {reading.name: reading.entity_id for reading in readings}
        for reading in readings:
            _add_facts(graph, reading, ids, language, new=False)

    async def _read_sibling(self, entity_id: str, language: str, gate: asyncio.Semaphore) -> _Reading | None:
        known = self._readings[entity_id]
        scope = Scope(self._scope.corpus, language, self._scope.trace_id)
        url = sibling_url(known.url, self._scope.language, language)
        async with gate:
            reading = await self._read(url, known.query, scope, self._readers[language])
        return reading if reading is not None and reading.entity_id == entity_id else None


async def _together(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Results in order; the first failure, or a cancellation, takes the others with it."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _entity(reading: _Reading, language: str) -> Entity:
    source = Source(reading.query, reading.url, reading.introduction, language)
    features = {f"page_characters_{language}": reading.length, f"facts_stated_{language}": len(reading.facts)}
    return Entity(reading.entity_id, reading.entity_type, {language: reading.name}, {}, (source,), features)


def _add_facts(
    graph: KnowledgeGraph, reading: _Reading, ids: Mapping[str, str], language: str, *, new: bool = True
) -> int:
    """Add a page's facts; returns how many could not be placed. ``new=False`` only adds sources to known edges."""
    unplaced = 0
    for fact in reading.facts:
        subject, object_ = ids.get(fact.subject), ids.get(fact.object)
        if subject is None or object_ is None:
            unplaced += 1
        elif new or graph.has(subject, fact.relation, object_):
            source = Source(reading.query, reading.url, fact.sentence, language)
            graph.add_edge(Edge(subject, fact.relation, object_, (source,)))
    return unplaced


def entity_id_of(url: str) -> str:
    """The last part of the path: the page's slug, which is the same in every language."""
    return url.rstrip("/").rsplit("/", 1)[-1]


def sibling_url(url: str, language: str, other: str) -> str:
    """The same entity's page in another language (…/en/marota-lin -> …/ar/marota-lin)."""
    head, _, slug = url.rpartition("/")
    return f"{head.removesuffix(language)}{other}/{slug}"
