"""HTTP GET of pages that a model named: guarded, polite, and bounded in size, time, redirects, headers and inflation.

Invariant: no byte goes to an address that :mod:`sindbad.tools.guard` has not checked, at any hop; at most the limits'
bytes of a page are held; a fetch ends within ``total_seconds`` however slowly a site sends. A fetcher belongs to one
event loop.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from sindbad.retrieval.extraction import MAX_BYTES
from sindbad.retrieval.media import media_type, readable
from sindbad.tools.bodies import ACCEPTED_ENCODINGS, Body, read_body, retry_after
from sindbad.tools.guard import AddressGuard, AddressRefused, Target, guarded_connector, refused
from sindbad.tools.provider import ProviderError, no_such_page
from sindbad.tools.robots import MAX_ROBOTS_BYTES, Robots, RobotsPolicy
from sindbad.tools.sessions import open_session

USER_AGENT: Final = "Sindbad/1 (research agent)"
T = TypeVar("T")
_SCHEME_AT_HEAD: Final = re.compile(r"[^/?#]*://")
_HEADERS: Final = {
    "User-Agent": USER_AGENT,
    "Accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,text/plain;q=0.8",
    "Accept-Language": "*",
    "Accept-Encoding": ACCEPTED_ENCODINGS,
}


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bytes count decompressed. A page over ``max_bytes`` is cut, a PDF over ``max_pdf_bytes`` is refused."""

    max_bytes: int = MAX_BYTES
    max_pdf_bytes: int = 20_000_000
    max_redirects: int = 5
    max_header_bytes: int = 8_190
    max_headers: int = 100
    connect_seconds: float = 5.0
    idle_seconds: float = 10.0
    total_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Response:
    """``url`` is where the last redirect led, as the model may name it again; ``body`` is decompressed."""

    url: str
    content_type: str
    body: bytes


class PageFetcher:
    """Fetches pages. ``allowed`` as in :class:`AddressGuard`; ``robots`` None asks nobody."""

    def __init__(
        self,
        allowed: Mapping[str, str] | None = None,
        *,
        guard: AddressGuard | None = None,
        limits: FetchLimits | None = None,
        robots: RobotsPolicy | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._guard = guard or AddressGuard(allowed)
        self._limits = limits or FetchLimits()
        self._robots = Robots(robots, self._robots_file) if robots is not None and robots.honour else None
        self._resolver = resolver
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def get(self, url: str) -> Response:
        """The page. Raises ProviderError."""
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                return await self._follow(url.strip(), self._page, self._admit)
        except TimeoutError:
            raise ProviderError("the site took too long, try again", retryable=True) from None

    async def close(self) -> None:
        """Close the connections; idempotent."""
        for session in self._sessions.values():
            await session.close()

    async def _follow(
        self,
        shown: str,
        read: Callable[[aiohttp.ClientResponse, str], Awaitable[T]],
        admit: Callable[[Target, str], Awaitable[None]] | None = None,
    ) -> T:
        """What ``read`` makes of the reply at the end of the redirects from ``shown``."""
        for _ in range(self._limits.max_redirects + 1):
            target = self._guard.target(shown)
            if admit is not None:
                await admit(target, shown)
            try:
                async with self._request(target) as reply:
                    location = reply.headers.get("Location")
                    if reply.status not in (301, 302, 303, 307, 308) or not location:
                        return await read(reply, shown)
                    shown = _redirected(shown, location)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise as_provider_error(error) from error
        raise ProviderError("the page redirects too often")

    async def _admit(self, target: Target, shown: str) -> None:
        if self._robots is not None and (not target.host_header or self._robots.policy.allowed_hosts):
            await self._robots.admit(URL(shown))

    async def _page(self, reply: aiohttp.ClientResponse, shown: str) -> Response:
        raise_for_status(reply, shown)
        declared = reply.headers.get("Content-Type", "")
        if not readable(media_type(declared)):
            raise ProviderError(f"the page is {media_type(declared)[:60]}, not text")
        body = await self._body(reply, declared)
        return Response(shown, declared, body.data)

    async def _body(self, reply: aiohttp.ClientResponse, declared: str) -> Body:
        """PDFs may be larger, but half a PDF is none; what calls itself something else is cut like a page."""
        pdf = media_type(declared) in ("application/pdf", "application/octet-stream")
        body = await read_body(reply, self._limits.max_pdf_bytes if pdf else self._limits.max_bytes)
        if body.cut and body.data.startswith(b"%PDF-"):
            raise ProviderError("the document is too large to be read")
        return body

    async def _robots_file(self, url: str) -> tuple[int, bytes]:
        async def read(reply: aiohttp.ClientResponse, _: str) -> tuple[int, bytes]:
            return reply.status, (await read_body(reply, MAX_ROBOTS_BYTES)).data

        return await self._follow(url, read)

    def _request(self, target: Target) -> Any:
        own = bool(target.host_header)
        headers = {"Host": target.host_header} if own else {}
        return self._open(own).get(target.url, headers=headers, allow_redirects=False)

    def _open(self, own: bool) -> aiohttp.ClientSession:
        """One session for the web, and one for the operator's own hosts, whose addresses are not checked."""
        if own not in self._sessions or self._sessions[own].closed:
            limits = self._limits
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=limits.connect_seconds, sock_read=limits.idle_seconds
            )
            self._sessions[own] = open_session(
                connector=aiohttp.TCPConnector(limit=256) if own else guarded_connector(self._resolver),
                timeout=timeout,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=limits.max_header_bytes,
                max_field_size=limits.max_header_bytes,
                max_headers=limits.max_headers,
            )
        return self._sessions[own]


def _redirected(shown: str, location: str) -> str:
    """Where a redirect leads. Raises ValueError for what is no URL."""
    there = URL(location)
    if not there.scheme and _SCHEME_AT_HEAD.match(location):  # yarl reads it as a path below this page, for ever
        raise ValueError("a scheme that is none")
    return str(URL(shown).join(there))


def raise_for_status(reply: aiohttp.ClientResponse, shown: str) -> None:
    """ProviderError with words that an agent can act on, unless the status is a success."""
    status = reply.status
    if 200 <= status < 300:
        return
    if status in (404, 410):
        raise no_such_page(shown)
    if status == 429 or status == 503:
        wait = retry_after(reply.headers, time.time())
        raise ProviderError("the site is busy, try again", retryable=True, retry_after=wait)
    if status >= 500 or status == 408:
        raise ProviderError("the site did not answer, try again", retryable=True)
    raise ProviderError(f"the site refused with status {status}")


def as_provider_error(error: Exception) -> ProviderError:
    """Transport failures are retryable; a URL that aiohttp refuses, or headers beyond the limits, are not."""
    for cause in _causes(error):
        if isinstance(cause, ProviderError):
            return cause
        if isinstance(cause, AddressRefused):
            return refused()
    if isinstance(error, aiohttp.InvalidURL | ValueError) and not isinstance(error, aiohttp.ClientConnectionError):
        return ProviderError("that is not a URL")
    if isinstance(error, aiohttp.ClientResponseError):
        return ProviderError("the site answered nonsense")
    return ProviderError("the site did not answer, try again", retryable=True)


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what led to it, groups of connection attempts opened up."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < 50:
        item = waiting.pop()
        if item is None or item in found:
            continue
        found.append(item)
        waiting += [item.__cause__, item.__context__]
        if isinstance(item, BaseExceptionGroup):
            waiting += list(item.exceptions)
        if isinstance(item, aiohttp.ClientConnectorError):
            waiting.append(item.os_error)
    return found
