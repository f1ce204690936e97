"""HTTP GET of pages that a model named: guarded, bounded in size, time and redirects. One session a fetcher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from sindbad.retrieval.extraction import MAX_BYTES
from sindbad.tools.guard import AddressGuard, GuardedResolver
from sindbad.tools.provider import ProviderError, no_such_page

MAX_REDIRECTS: Final = 5
USER_AGENT: Final = "Sindbad/1 (research agent)"
_HEADERS: Final = {
    "User-Agent": USER_AGENT,
    "Accept": "text/html,application/xhtml+xml,text/plain;q=0.8",
    "Accept-Language": "*",
}


@dataclass(frozen=True, slots=True)
class Response:
    """``url`` is where the last redirect led, as the model may name it again; ``body`` is decompressed."""

    url: str
    content_type: str
    body: bytes


class PageFetcher:
    """Fetches pages. ``allowed`` as in :class:`AddressGuard`."""

    def __init__(
        self,
        allowed: Mapping[str, str] | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        connect_seconds: float = 5.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._guard = AddressGuard(allowed)
        self._max_bytes = max_bytes
        self._connect_seconds = connect_seconds
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> Response:
        """Raises ProviderError; time is bounded by the caller."""
        shown = url.strip()
        for _ in range(MAX_REDIRECTS + 1):
            target = self._guard.target(shown)
            headers = {"Host": target.host_header} if target.host_header else {}
            try:
                async with self._open().get(target.url, headers=headers, allow_redirects=False) as reply:
                    location = reply.headers.get("Location")
                    if reply.status in (301, 302, 303, 307, 308) and location:
                        shown = str(URL(shown).join(URL(location)))
                        continue
                    raise_for_status(reply, shown)
                    return Response(shown, reply.headers.get("Content-Type", ""), await self._body(reply))
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise as_provider_error(error) from error
        raise ProviderError("the page redirects too often")

    async def _body(self, reply: aiohttp.ClientResponse) -> bytes:
        """At most ``max_bytes`` after decompression: a bomb is cut, not swallowed."""
        body = bytearray()
        async for chunk in reply.content.iter_chunked(65_536):
            body += chunk
            if len(body) >= self._max_bytes:
                reply.close()
                break
        return bytes(body[: self._max_bytes])

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(resolver=GuardedResolver(self._resolver), limit=256, limit_per_host=64)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, headers=_HEADERS, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        """Close the session; idempotent."""
        if self._session is not None:
            await self._session.close()


def raise_for_status(reply: aiohttp.ClientResponse, shown: str) -> None:
    """ProviderError with words that an agent can act on, unless the status is a success."""
    status = reply.status
    if 200 <= status < 300:
        return
    if status in (404, 410):
        raise no_such_page(shown)
    if status == 429 or status == 503:
        raise ProviderError("the site is busy, try again", retryable=True, retry_after=_retry_after(reply))
    if status >= 500 or status == 408:
        raise ProviderError("the site did not answer, try again", retryable=True)
    raise ProviderError(f"the site refused with status {status}")


def _retry_after(reply: aiohttp.ClientResponse) -> float:
    value = reply.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:  # an HTTP date: our own back-off is good enough
        return 0.0


def as_provider_error(error: Exception) -> ProviderError:
    """Transport failures are retryable; a URL that aiohttp refuses is not."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ProviderError):
            return cause
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return ProviderError("that is not a URL")
    return ProviderError("the site did not answer, try again", retryable=True)
