"""Pages straight from their sites: guarded, polite (robots.txt), bounded, and extracted outside of the event loop.

The settings here are all that a deployment decides about fetching; see :mod:`sindbad.tools.fetch` for what they mean.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urljoin

from aiohttp.abc import AbstractResolver
from pydantic import Field

from sindbad.retrieval.extraction import PageUnreadable
from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope
from sindbad.tools.extractor import Extractor, ExtractorLimits
from sindbad.tools.fetch import FetchLimits, PageFetcher
from sindbad.tools.guard import AddressGuard
from sindbad.tools.provider import Fetched, ProviderError, ProviderUnavailable
from sindbad.tools.providers.settings import Prices, ProviderSettings
from sindbad.tools.robots import RobotsPolicy


class RobotsSettings(ProviderSettings):
    """robots.txt (RFC 9309)."""

    honour: bool = True
    """Ask every site first. Switch it off only where you may: for sites of your own, or with their owner's consent."""
    allowed_hosts: bool = False
    """Ask the hosts in `allowed_hosts`, too; they are yours, so by default they are not asked."""
    max_delay_seconds: float = Field(default=5.0, ge=0, le=60)
    """Longest wait for a site's `Crawl-delay`; a page that would have to wait longer is a retryable error."""


class HttpSettings(ProviderSettings):
    """Direct HTTP."""

    kind: Literal["http"] = "http"
    """Direct HTTP."""
    allowed_hosts: dict[str, str] = Field(default_factory=dict)
    """Hosts that may be visited although they resolve to no public address: pattern to `address:port`, plain HTTP."""
    only_hosts: tuple[str, ...] = ()
    """Patterns; when set, no other host is visited (`allowed_hosts` are)."""
    robots: RobotsSettings = RobotsSettings()
    """Whether and how robots.txt is honoured."""
    max_bytes: int = Field(default=4_000_000, ge=1000, le=64_000_000)
    """Most bytes of an HTML or text page, decompressed; more is cut off."""
    max_pdf_bytes: int = Field(default=20_000_000, ge=1000, le=64_000_000)
    """Most bytes of a PDF; a larger one is refused."""
    timeout_seconds: float = Field(default=20.0, gt=0, le=300)
    """Longest one page may take, redirects and a slow body included."""
    extraction_seconds: float = Field(default=10.0, gt=0, le=120)
    """Longest the extraction of one page may take before its process is killed."""
    extraction_processes: int = Field(default=2, ge=1, le=64)
    """Processes that extract PDFs and large pages."""
    prices: Prices = Prices()
    """US dollars a call."""


class HttpProvider:
    """Serves pages. Searches are somebody else's."""

    name = "http"
    serves = frozenset({"visit"})

    def __init__(self, settings: HttpSettings, *, resolver: AbstractResolver | None = None) -> None:
        robots = settings.robots
        policy = RobotsPolicy(robots.honour, robots.allowed_hosts, robots.max_delay_seconds)
        limits = FetchLimits(settings.max_bytes, settings.max_pdf_bytes, total_seconds=settings.timeout_seconds)
        guard = AddressGuard(settings.allowed_hosts, only=settings.only_hosts)
        self._pages = PageFetcher(guard=guard, limits=limits, robots=policy, resolver=resolver)
        self._extractor = Extractor(ExtractorLimits(settings.extraction_processes, settings.extraction_seconds))

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        raise ProviderUnavailable("nothing can be searched here")

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        response = await self._pages.get(target)
        try:
            page = await self._extractor.extract(response.body, response.content_type)
        except PageUnreadable as error:
            raise ProviderError(str(error)) from error
        there = {code: _absolute(response.url, link) for code, link in page.translations.items()}
        return Fetched(response.url, page.title or response.url, page.text, there)

    async def close(self) -> None:
        await self._pages.close()
        await self._extractor.close()


def _absolute(page: str, link: str) -> str:
    """A link of a page; "" for what is none ("https://[")."""
    try:
        return urljoin(page, link)
    except ValueError:
        return ""
