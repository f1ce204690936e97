"""What stands below an environment: whoever answers searches, serves pages, finds articles or runs code.

An environment validates and renders; a provider fetches. Retries, caches and coalescing are providers around a provider
(:mod:`sindbad.tools.scheduler`), so that simulated, recorded and live ones are put together in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope


class ProviderError(Exception):
    """A provider could not answer. The message is for the agent: words, no addresses of our own, no stack.

    ``retryable``: the same request may succeed later; ``retry_after``: the seconds that the provider asked for.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class ProviderUnavailable(ProviderError):
    """The provider can serve nobody now, whatever is asked: quota or money spent, key refused, tool not offered.

    Never worth a retry at this provider, always worth another one. ``retry_after`` says when it may serve again, if
    known.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message, retryable=False, retry_after=retry_after)


class CallCut(ProviderError):
    """The caller's deadline passed before there was an answer: what a recording says where it was so.

    It ends the whole tool call, also where other queries or pages of the call have answers, as the deadline did.
    """

    def __init__(self) -> None:
        super().__init__("the call took too long, try again")


@dataclass(frozen=True, slots=True)
class Fetched:
    """One page's main text, canonical (:func:`sindbad.retrieval.extraction.canonical`).

    ``translations``: language code -> the URL of which the page says that it is the same page in that language.
    """

    url: str
    title: str
    text: str
    translations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Article:
    """One scholarly result; ``year`` 0 means unknown."""

    url: str
    title: str
    authors: tuple[str, ...]
    year: int
    snippet: str


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What a program printed; ``ok`` False when it failed or was stopped, with the reason in ``text`` as well."""

    text: str
    ok: bool = True


class Provider(Protocol):
    """Searches and serves pages of a corpus. Raises ProviderError, and nothing else on purpose."""

    @property
    def name(self) -> str:
        """ "index", "http", "recording": goes to ``Observation.source``."""
        ...

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        """At most ``k`` hits, best first; none is an answer."""
        ...

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        """The page with this URL, or with this title in the scope."""
        ...

    async def close(self) -> None:
        """Give back sockets and files; idempotent."""
        ...


class ScholarProvider(Protocol):
    """Finds scholarly articles. Raises ProviderError."""

    @property
    def name(self) -> str: ...

    async def articles(self, query: str, scope: Scope, k: int) -> list[Article]:
        """At most ``k`` articles, best first."""
        ...


class CodeProvider(Protocol):
    """Runs untrusted Python in isolation. Raises ProviderError when it can't run anything now."""

    async def run(self, code: str, *, deadline_seconds: float) -> CodeResult:
        """Run one program."""
        ...


def no_such_page(target: str) -> ProviderError:
    """The words are the same in every environment."""
    shown = target if len(target) <= 120 else target[:119] + "…"
    return ProviderError(f"there is no page {shown}")
