"""Which addresses a page that a model named may be fetched from (server-side request forgery).

Invariant: the address that a connection is made to is the address that was checked. Names are resolved once, here, and
the connector gets only public addresses; literal addresses are checked before; every redirect hop starts again.
The one way around is an operator's explicit map from host patterns to addresses.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sindbad.tools.provider import ProviderError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect (``url``) and which ``Host`` header to send (empty: the URL's own)."""

    url: URL
    host_header: str = ""


def is_public(address: str) -> bool:
    """Global unicast, also after unwrapping the IPv4 address that an IPv6 address may carry."""
    try:
        ip = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_unspecified


class AddressGuard:
    """``allowed`` maps hosts (``*.encyclopedia.example``) to ``address:port``: plain HTTP, unchecked on purpose."""

    def __init__(self, allowed: Mapping[str, str] | None = None) -> None:
        self._allowed = {pattern.lower(): address for pattern, address in (allowed or {}).items()}

    def target(self, url: str) -> Target:
        """Check everything about a URL that can be checked without resolving it. Raises ProviderError."""
        try:
            parsed = URL(url.strip())
            host = (parsed.host or "").lower().rstrip(".")
            port = parsed.port
        except (ValueError, TypeError) as error:
            raise ProviderError("that is not a URL") from error
        if parsed.scheme not in ("http", "https") or not host:
            raise ProviderError("only http and https pages can be visited")
        if parsed.user is not None or parsed.password is not None:
            raise ProviderError("a URL with a user name can't be visited")
        mapped = self._mapped(host)
        if mapped:
            return Target(_at(parsed, mapped), host_header=host)
        if _is_literal(host) and not is_public(host):
            raise refused()
        if port is None or not 0 < port < 65536:
            raise ProviderError("that is not a URL")
        return Target(parsed.with_fragment(None))

    def _mapped(self, host: str) -> str:
        return next((to for pattern, to in self._allowed.items() if fnmatchcase(host, pattern)), "")


def refused() -> ProviderError:
    """Says no more than that: the reason would map our network for the asker."""
    return ProviderError("this address can't be visited")


def _at(url: URL, address: str) -> URL:
    host, _, port = address.rpartition(":")
    return url.with_fragment(None).with_scheme("http").with_host(host.strip("[]")).with_port(int(port))


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves with ``inner`` and fails when any address is not public: a name with one private address is hostile."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found: Sequence[ResolveResult] = await self._inner.resolve(host, port, family)
        if not found or not all(is_public(result["host"]) for result in found):
            raise refused()
        return list(found)

    async def close(self) -> None:
        await self._inner.close()
