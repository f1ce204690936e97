"""The Search servicer. A tool that fails is an observation; a status is for wrong requests and for a missing index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from services.runtime import ServiceContext
from services.runtime.requests import caller_of, chosen
from services.search.backends import Backends
from services.search.settings import SearchSettings
from sindbad.clients.search_status import KINDS, to_proto
from sindbad.clients.tools import STYLES
from sindbad.clients.tracing import current_trace_id
from sindbad.errors import InvalidInput
from sindbad.tools import render, specs
from sindbad.tools.environment import Observation, Scope, ToolCall
from sindbad.tools.provider import ProviderError
from sindbad.tools.reader import reading_facts
from sindbad.tools.render import Style
from sindbad.tools.scheduler.errand import Errand, errand
from sindbad.tools.toolbox import Toolbox, Visited, as_hits, translation_facts
from sindbad.v1 import common_pb2, search_pb2, search_pb2_grpc

NAME: Final = "sindbad.v1.Search"


async def build(settings: SearchSettings, context: ServiceContext) -> None:
    """Open what is configured; serving as soon as the default environment can answer."""
    backends = Backends(settings, context.metrics)
    context.on_shutdown(backends.close)
    backends.refresh()
    if backends.share is not None:
        await backends.share.begin()
        context.start_task(backends.share.run(), name="share")
    context.add_servicer(
        search_pb2_grpc.add_SearchServicer_to_server, SearchServicer(settings, backends), service_name=NAME
    )
    context.set_serving(NAME, backends.ready)
    if settings.index_root is not None:
        context.start_task(backends.watch(lambda: context.set_serving(NAME, backends.ready)), name="watch-index")


class SearchServicer(search_pb2_grpc.SearchServicer):
    """Validates, asks a toolbox, renders."""

    def __init__(self, settings: SearchSettings, backends: Backends) -> None:
        self._settings = settings
        self._backends = backends

    async def Search(self, request: Any, context: Any) -> Any:
        queries = list(request.queries)
        toolbox, scope, style = self._admit(request, ToolCall("search", {"query": queries}))
        top_k, failure = self._top_k(request), None
        with _errand(context) as receipt:
            try:
                results = await toolbox.search(queries, scope, top_k)
            except ProviderError as error:
                results, failure = [[] for _ in queries], error
        seen = _observation(toolbox, receipt, failure, lambda: render.search_observation(queries, results, style))
        rows = [
            search_pb2.SearchResults(query=query, hits=[_hit(hit) for hit in hits])
            for query, hits in zip(queries, results, strict=True)
        ]
        return search_pb2.SearchResponse(results=rows, observation=seen)

    async def Visit(self, request: Any, context: Any) -> Any:
        targets, budget = list(request.urls_or_titles), _budget(request.budget)
        toolbox, scope, style = self._admit(request, ToolCall("visit", {"urls": targets, "goal": request.goal}))
        failure = None
        with _errand(context, max_cost=request.budget.max_cost or None) as receipt:
            try:
                pages = await toolbox.visit(targets, request.goal, scope, **budget)
            except ProviderError as error:
                pages, failure = [], error
        evidence = [page.evidence for page in pages]
        facts = reading_facts(page.reading for page in pages if page.reading is not None)
        facts |= translation_facts(pages, request.goal)
        seen = _observation(
            toolbox,
            receipt,
            failure,
            lambda: replace(render.visit_observation(request.goal, evidence, style), metadata=facts),
        )
        return search_pb2.VisitResponse(pages=[_page(page) for page in pages], observation=seen)

    async def Scholar(self, request: Any, context: Any) -> Any:
        """Not critical: where no provider can answer, a degraded observation lets the rollout go on."""
        queries = list(request.queries)
        toolbox, scope, style = self._admit(request, ToolCall("scholar", {"query": queries}))
        top_k, failure = self._top_k(request), None
        with _errand(context) as receipt:
            try:
                found = await toolbox.scholar(queries, scope, top_k)
            except ProviderError as error:
                found, failure = [[] for _ in queries], error
        seen = _observation(
            toolbox, receipt, failure, lambda: render.search_observation(queries, as_hits(found), style)
        )
        rows = [
            search_pb2.ScholarResults(query=query, hits=[_article(article) for article in articles])
            for query, articles in zip(queries, found, strict=True)
        ]
        return search_pb2.ScholarResponse(results=rows, observation=seen)

    async def Status(self, request: Any, context: Any) -> Any:
        """What the schedulers know; nothing is asked of a provider."""
        kinds = [chosen(number, KINDS, self._settings.environment, "environment") for number in request.environments]
        return search_pb2.SearchStatusResponse(environments=[to_proto(one) for one in self._backends.statuses(kinds)])

    def _admit(self, request: Any, call: ToolCall) -> tuple[Toolbox, Scope, Style]:
        """Check what all requests share. Raises InvalidInput, Unavailable."""
        problem = specs.problem_with(call, specs.ALL_TOOLS)
        if problem is not None:
            raise InvalidInput(problem)
        kind = chosen(request.environment, KINDS, self._settings.environment, "environment")
        style = chosen(request.style, STYLES, self._settings.style, "style")
        corpus, language = request.corpus or self._settings.default_corpus, request.language
        if len(corpus) > 200 or len(language) > 35:
            raise InvalidInput("corpus or language is too long; name one corpus and a BCP 47 code")
        language = language or self._settings.default_language
        scope = Scope(corpus, language, current_trace_id(), caller_of(request.caller))
        return self._backends.of(kind), scope, style

    def _top_k(self, request: Any) -> int:
        if request.top_k > self._settings.max_top_k:
            raise InvalidInput(f"top_k is {request.top_k}; ask for at most {self._settings.max_top_k}")
        return request.top_k or self._settings.top_k


def _budget(budget: Any) -> dict[str, Any]:
    """Keyword arguments of ``Toolbox.visit``; money is the errand's."""
    if not 0 <= budget.max_seconds <= 3600 or not budget.max_cost >= 0:
        raise InvalidInput("a budget's seconds lie in [0, 3600] and its cost is not negative")
    return {"max_chars": budget.max_characters, "max_seconds": budget.max_seconds}


@dataclass(slots=True)
class _Receipt:
    """What a call took: the errand, and when it began."""

    errand: Errand
    started: float


@contextmanager
def _errand(context: Any, *, max_cost: float | None = None) -> Iterator[_Receipt]:
    """The call's deadline and purse, for the scheduler to read."""
    remaining = context.time_remaining()
    with errand(seconds=None if remaining is None else max(0.0, remaining), max_cost=max_cost) as opened:
        yield _Receipt(opened, time.monotonic())


def _observation(
    toolbox: Toolbox, receipt: _Receipt, failure: ProviderError | None, rendered: Callable[[], Observation]
) -> Any:
    seen = rendered() if failure is None else render.error_observation(str(failure))
    return common_pb2.Observation(
        text=seen.text,
        ok=seen.ok,
        error=seen.error,
        urls=list(seen.urls),
        source=",".join(receipt.errand.providers) or toolbox.provider.name,
        latency_seconds=time.monotonic() - receipt.started,
        cost=receipt.errand.cost,
        metadata={**seen.metadata, **receipt.errand.facts()},
    )


def _hit(hit: Any) -> Any:
    return search_pb2.SearchHit(url=hit.url, title=hit.title, snippet=hit.snippet, score=hit.score)


def _article(article: Any) -> Any:
    authors: Sequence[str] = article.authors
    return search_pb2.ScholarHit(
        url=article.url, title=article.title, authors=authors, year=article.year, snippet=article.snippet
    )


def _page(page: Visited) -> Any:
    seen = page.evidence
    return search_pb2.VisitedPage(
        requested=seen.target,
        url=seen.url,
        title=seen.title,
        evidence=seen.text,
        truncated=page.truncated,
        error=seen.error,
        summary=seen.summary,
    )
