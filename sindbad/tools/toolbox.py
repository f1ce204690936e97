"""The one implementation of the Environment protocol: check, dispatch, render. Environments differ only in providers.

Invariant: :meth:`Toolbox.call` never raises but for cancellation; whatever goes wrong is an observation with
``ok=False`` that the agent can read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sindbad.agent.trajectory import EnvironmentKind
from sindbad.retrieval.page import Hit
from sindbad.retrieval.visit import DEFAULT_BUDGET_CHARS
from sindbad.tools import render, specs, untrusted
from sindbad.tools.environment import TRANSLATION, Observation, Scope, ToolCall, ToolSpec
from sindbad.tools.provider import Article, CallCut, CodeProvider, Provider, ProviderError, ScholarProvider
from sindbad.tools.reader import ExcerptReader, PageReader, Reading, ScopedReader
from sindbad.tools.render import Evidence, Style
from sindbad.tools.scheduler.errand import errand

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_PARALLEL = 3
"""Queries or pages of one call in flight at once (papers.md §2a, from the released code)."""
NO_SCHOLAR = "scholar is not available here; use search instead"
NO_PYTHON = "python is not available here"
_PAGE_TOO_SLOW = "the page took too long, try again"


@dataclass(frozen=True, slots=True)
class ToolboxSettings:
    """How much a call brings back. ``tools`` names what the model is offered."""

    style: Style = Style.FULL
    top_k: int = 10
    max_evidence_chars: int = DEFAULT_BUDGET_CHARS
    tools: tuple[str, ...] = ("search", "visit")


class Toolbox:
    """An environment over providers. Owns ``provider`` and closes it; scholar and code belong to the caller."""

    def __init__(
        self,
        kind: EnvironmentKind,
        provider: Provider,
        settings: ToolboxSettings | None = None,
        *,
        scholar: ScholarProvider | None = None,
        code: CodeProvider | None = None,
        reader: PageReader | None = None,
    ) -> None:
        self._kind = kind
        self.provider = provider
        self.settings = settings or ToolboxSettings()
        self._scholar = scholar
        self._code = code
        self._reader = reader or ExcerptReader()
        self._scoped = self._reader if isinstance(self._reader, ScopedReader) else None
        self._tools = specs.by_name(self.settings.tools)

    @property
    def kind(self) -> EnvironmentKind:
        return self._kind

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        return self._tools

    async def close(self) -> None:
        """Close the provider; idempotent."""
        await self.provider.close()

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        """Carry out one call within ``deadline_seconds``."""
        started = time.monotonic()
        problem = specs.problem_with(call, self._tools)
        if problem is not None:
            return render.error_observation(problem)
        with errand(seconds=deadline_seconds) as receipt:
            seen = await self._guarded(self._carry_out(call, scope, deadline_seconds), deadline_seconds)
        facts = {**seen.metadata, **receipt.facts()}
        source = ",".join(receipt.providers) or seen.source
        seconds = time.monotonic() - started
        return replace(seen, source=source, cost=receipt.cost, metadata=facts, latency_seconds=seconds)

    async def _guarded(self, work: Awaitable[Observation], deadline_seconds: float) -> Observation:
        try:
            async with asyncio.timeout(max(0.0, deadline_seconds)):
                return await work
        except ProviderError as error:
            return render.error_observation(str(error), source=self.provider.name)
        except TimeoutError:
            return render.error_observation("the call took too long, try again", source=self.provider.name)
        except Exception:
            log.exception("a provider broke its contract")
            return render.error_observation("the tool failed, try again", source=self.provider.name)

    async def _carry_out(self, call: ToolCall, scope: Scope, deadline_seconds: float) -> Observation:
        arguments: Any = call.arguments
        if call.name == "search":
            results = await self.search(arguments["query"], scope)
            return render.search_observation(
                arguments["query"], results, self.settings.style, source=self.provider.name
            )
        if call.name == "visit":
            pages = await self.visit(arguments["urls"], arguments["goal"], scope)
            seen = render.visit_observation(
                arguments["goal"], [page.evidence for page in pages], self.settings.style, source=self.provider.name
            )
            return replace(seen, metadata=translation_facts(pages, arguments["goal"]))
        if call.name == "scholar":
            found = await self.scholar(arguments["query"], scope)
            name = self._scholar.name if self._scholar else ""
            return render.search_observation(arguments["query"], as_hits(found), self.settings.style, source=name)
        return await self._python(arguments["code"], deadline_seconds)

    async def search(self, queries: Sequence[str], scope: Scope, k: int = 0) -> list[list[Hit]]:
        """Hits of every query, in order; a query that fails beside others that don't finds nothing.

        Raises ProviderError when all fail.
        """
        wanted = k or self.settings.top_k

        async def ask(query: str) -> list[Hit]:
            return untrusted.hits(await self.provider.search(query, scope, wanted), wanted)

        return await _all_or_some(queries, ask)

    async def scholar(self, queries: Sequence[str], scope: Scope, k: int = 0) -> list[list[Article]]:
        """As :meth:`search`, for articles. Raises ProviderError also when no scholar provider is configured."""
        if self._scholar is None:
            raise ProviderError(NO_SCHOLAR)
        provider, wanted = self._scholar, k or self.settings.top_k

        async def ask(query: str) -> list[Article]:
            return untrusted.articles(await provider.articles(query, scope, wanted), wanted)

        return await _all_or_some(queries, ask)

    async def visit(
        self, targets: Sequence[str], goal: str, scope: Scope, *, max_chars: int = 0, max_seconds: float = 0.0
    ) -> list[Visited]:
        """What every page says about ``goal``, in order. A page that can't be read says why.

        Raises CallCut in a replay, where the recorded call was cut short.
        """
        gate = asyncio.Semaphore(MAX_PARALLEL)
        budget = min(max_chars or self.settings.max_evidence_chars, self.settings.max_evidence_chars)
        reader = self._scoped.within(scope) if self._scoped is not None else self._reader

        async def one(target: str) -> Visited | CallCut:
            started = time.monotonic()
            try:
                async with gate, asyncio.timeout(max_seconds or None):
                    page = await self.provider.fetch(target, scope)
            except CallCut as cut:
                return Visited(Evidence(target, error=_PAGE_TOO_SLOW)) if max_seconds else cut
            except ProviderError as error:
                return Visited(Evidence(target, error=untrusted.reason(str(error))))
            except TimeoutError:
                return Visited(Evidence(target, error=_PAGE_TOO_SLOW))
            left = max(0.001, max_seconds - (time.monotonic() - started)) if max_seconds else 0.0
            try:
                async with gate:
                    reading = await reader.read(
                        page.text, goal, language=scope.language, max_chars=budget, deadline_seconds=left
                    )
            except CallCut as cut:
                return cut
            url, title = untrusted.address(page.url) or target, untrusted.page_title(page.title)
            evidence = Evidence(target, url, title, reading.evidence, summary=reading.summary)
            return Visited(evidence, reading.truncated, reading, page.translations)

        pages: list[Visited | CallCut] = await _gather([one(target) for target in targets])
        for page in pages:
            if isinstance(page, CallCut):
                raise page
        return [page for page in pages if isinstance(page, Visited)]

    async def _python(self, code: str, deadline_seconds: float) -> Observation:
        if self._code is None:
            raise ProviderError(NO_PYTHON)
        result = await self._code.run(code, deadline_seconds=deadline_seconds)
        return Observation(result.text, ok=result.ok, error="" if result.ok else result.text, source="sandbox")


@dataclass(frozen=True, slots=True)
class Visited:
    """Evidence of one page, whether it was cut to the budget, and how it was read (None: it was not).

    ``translations``: language code -> where the page says that it stands in that language.
    """

    evidence: Evidence
    truncated: bool = False
    reading: Reading | None = None
    translations: Mapping[str, str] = field(default_factory=dict)


def translation_facts(pages: Sequence[Visited], goal: str) -> dict[str, str]:
    """For ``Observation.metadata``: where the one page that was read for itself, without a goal, stands in others.

    An encyclopedia's page may name hundreds of languages; who asks a page a question needs none of them.
    """
    if goal or len(pages) != 1:
        return {}
    found = {code: untrusted.address(url) for code, url in pages[0].translations.items()}
    return {f"{TRANSLATION}{code}": url for code, url in found.items() if url.startswith(("https://", "http://"))}


def as_hits(found: Sequence[Sequence[Article]]) -> list[list[Hit]]:
    """Articles as search results: authors and year lead the snippet."""
    return [[Hit(a.url, a.title, _citation(a) + a.snippet, 0.0) for a in articles] for articles in found]


def _citation(article: Article) -> str:
    who = ", ".join(article.authors[:3]) + (" et al." if len(article.authors) > 3 else "")
    when = str(article.year) if article.year else ""
    label = " ".join(part for part in (who, when) if part)
    return f"({label}) " if label else ""


async def _all_or_some(items: Sequence[str], ask: Callable[[str], Awaitable[list[T]]]) -> list[list[T]]:
    """One answer an item; [] for those that failed, unless all did: then the first failure is raised."""
    if len(items) == 1:
        return [await ask(items[0])]
    gate = asyncio.Semaphore(MAX_PARALLEL)

    async def one(item: str) -> list[T] | ProviderError:
        async with gate:
            try:
                return await ask(item)
            except ProviderError as error:
                return error

    answers: list[list[T] | ProviderError] = await _gather([one(item) for item in items])
    failures = [answer for answer in answers if isinstance(answer, ProviderError)]
    cut = [failure for failure in failures if isinstance(failure, CallCut)]
    if cut or (failures and len(failures) == len(answers)):
        raise (cut or failures)[0]
    return [[] if isinstance(answer, ProviderError) else answer for answer in answers]


async def _gather(work: Sequence[Any]) -> list[T]:
    """In order; the first unexpected exception, or a cancellation, takes the others with it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(item) for item in work]
    return [task.result() for task in tasks]
