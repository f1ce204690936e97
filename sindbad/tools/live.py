"""The live environment: a search endpoint over HTTP, and real pages fetched, extracted and read.

The endpoint speaks SearXNG's JSON (``GET /search?q=…&format=json`` → ``{"results": [{"url", "title", "content"}]}``),
so a SearXNG instance and the loopback web of the tests are the same provider.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from sindbad.agent.trajectory import EnvironmentKind
from sindbad.retrieval import analysis
from sindbad.retrieval.extraction import PageUnreadable, extract
from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope
from sindbad.tools.fetch import PageFetcher, as_provider_error, raise_for_status
from sindbad.tools.provider import CodeProvider, Fetched, ProviderError, ScholarProvider, no_such_page
from sindbad.tools.resilience import ResilientProvider, ResultCache, RetrySettings
from sindbad.tools.toolbox import Toolbox, ToolboxSettings

_REMEMBERED_TITLES = 50_000


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """``search_url`` is the operator's own and not guarded; ``allowed_hosts`` as in ``AddressGuard``."""

    search_url: str
    allowed_hosts: Mapping[str, str] = field(default_factory=dict)
    retry: RetrySettings = field(default_factory=RetrySettings)
    cache_entries: int = 4096
    cache_ttl_seconds: float = 3600.0
    seed: int | None = None


class WebProvider:
    """Search by the endpoint, pages by HTTP. A title is looked up among what searches have shown, then searched for."""

    name = "http"

    def __init__(self, settings: LiveSettings, *, resolver: AbstractResolver | None = None) -> None:
        self._search_url = settings.search_url
        self._pages = PageFetcher(settings.allowed_hosts, resolver=resolver)
        self._session: aiohttp.ClientSession | None = None
        self._titles: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        wanted = {"q": query, "format": "json", "language": scope.language, "corpus": scope.corpus, "count": str(k)}
        try:
            async with self._open().get(self._search_url, params=wanted, allow_redirects=False) as reply:
                raise_for_status(reply, "search")
                answer = await reply.json(content_type=None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise as_provider_error(error) from error
        hits = _hits(answer)[:k]
        for hit in reversed(hits):  # the first result with a title wins
            self._remember(scope, hit)
        return hits

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        url = target if "://" in target else await self._url_of(target, scope)
        response = await self._pages.get(url)
        try:
            page = extract(response.body, response.content_type)
        except PageUnreadable as error:
            raise ProviderError(str(error)) from error
        return Fetched(response.url, page.title or response.url, page.text)

    async def close(self) -> None:
        await self._pages.close()
        if self._session is not None:
            await self._session.close()

    async def _url_of(self, title: str, scope: Scope) -> str:
        key = (scope.corpus, scope.language, analysis.title_key(title))
        if key not in self._titles:
            await self.search(title, scope, 10)
        if key not in self._titles:
            raise no_such_page(title)
        return self._titles[key]

    def _remember(self, scope: Scope, hit: Hit) -> None:
        self._titles[scope.corpus, scope.language, analysis.title_key(hit.title)] = hit.url
        while len(self._titles) > _REMEMBERED_TITLES:
            self._titles.popitem(last=False)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


def _hits(answer: Any) -> list[Hit]:
    """Results with a URL and a title; whatever else an endpoint may send is dropped."""
    rows = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise ProviderError("the search engine answered nonsense, try again", retryable=True)
    good = [row for row in rows if isinstance(row, dict) and row.get("url") and row.get("title")]
    return [Hit(str(row["url"]), _line(row["title"]), _line(row.get("content")), _score(row)) for row in good]


def _line(value: Any) -> str:
    return " ".join(str(value or "").split())[:1000]


def _score(row: Mapping[str, Any]) -> float:
    value = row.get("score")
    return float(value) if isinstance(value, int | float) else 0.0


def live_environment(
    live: LiveSettings,
    settings: ToolboxSettings | None = None,
    *,
    scholar: ScholarProvider | None = None,
    code: CodeProvider | None = None,
    resolver: AbstractResolver | None = None,
) -> Toolbox:
    """The environment over the web; close it to give back its sockets."""
    cache = ResultCache(live.cache_entries, live.cache_ttl_seconds) if live.cache_entries else None
    provider = ResilientProvider(WebProvider(live, resolver=resolver), live.retry, cache=cache, seed=live.seed)
    return Toolbox(EnvironmentKind.LIVE, provider, settings, scholar=scholar, code=code)
