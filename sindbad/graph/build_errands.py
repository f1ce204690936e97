"""The builder's calls: search, visit, extract. Counted, retried, journalled; a failure is an answer, never an end.

Invariant: what is answered depends on what is asked and on environment and extractor alone, not on whether the journal
or they themselves answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

from sindbad.errors import SindbadError
from sindbad.graph.build_journal import BuildJournal
from sindbad.graph.extraction import Extraction, Extractor
from sindbad.tools import render
from sindbad.tools.environment import TRANSLATION, Environment, Observation, Scope, ToolCall

_T = TypeVar("_T")
_TRY_AGAIN = "try again"
_FINISHED = frozenset({"", "MALFORMED_REPLY"})
"""How an extraction ends that would end the same way again."""


class CallLimits(Protocol):
    """The part of a build's budget that single calls read."""

    @property
    def call_deadline_seconds(self) -> float: ...
    @property
    def call_attempts(self) -> int: ...
    @property
    def patience(self) -> int: ...


@dataclass(slots=True)
class CallCounts:
    """``failures`` counts tries that another might have spared; ``gave_up`` calls of which every try was one, and
    ``in_a_row`` those of them up to now; ``no_page`` calls that were answered by an error (there is no such page)."""

    searches: int = 0
    visits: int = 0
    failures: int = 0
    gave_up: int = 0
    no_page: int = 0
    in_a_row: int = 0
    model_calls: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    malformed: int = 0


class Errands:
    """Runs them, over one environment and one extractor."""

    def __init__(
        self, environment: Environment, extractor: Extractor, limits: CallLimits, journal: BuildJournal | None
    ) -> None:
        self._environment, self._extractor, self._limits, self._journal = environment, extractor, limits, journal
        self._times: dict[str, int] = {}
        self.counts = CallCounts()

    async def search(self, queries: list[str], scope: Scope) -> Observation:
        """URLs for several queries at once; none for no query."""
        if not queries:
            return Observation("")
        self.counts.searches += 1
        return await self._call("search", {"query": queries}, scope)

    async def read(self, handle: str, scope: Scope) -> tuple[Observation, Extraction]:
        """Visit a name or URL and extract; nothing where either failed."""
        self.counts.visits += 1
        seen = await self._call("visit", {"urls": [handle], "goal": ""}, scope)
        if not seen.ok or not seen.urls:
            return seen, Extraction()
        return seen, await self._extract(seen.text, scope.language)

    async def _call(self, name: str, arguments: Mapping[str, object], scope: Scope) -> Observation:
        what = (name, arguments, scope.corpus, scope.language)
        self._times[repr(what)] = self._times.get(repr(what), 0) + 1
        asked = (*what, self._times[repr(what)])  # the same once more is another call, and may end otherwise
        known = self._journal.find(*asked) if self._journal else None
        if known is None:
            seen, failures = await self._try(ToolCall(name, arguments), scope)
            if self._journal is not None:
                answer = {
                    "text": seen.text,
                    "ok": seen.ok,
                    "error": seen.error,
                    "urls": seen.urls,
                    "failures": failures,
                }
                if told := translations(seen):
                    answer["translations"] = told
                keep = self._journal.keep_failure if _passing(seen) else self._journal.keep
                keep(answer, *asked)
        else:
            told = {f"{TRANSLATION}{code}": url for code, url in known.get("translations", {}).items()}
            seen = Observation(known["text"], known["ok"], known["error"], tuple(known["urls"]), metadata=told)
            failures = known["failures"]
        self.counts.failures += failures
        gave_up = _passing(seen)
        self.counts.gave_up += gave_up
        self.counts.no_page += not seen.ok and not gave_up
        self.counts.in_a_row = self.counts.in_a_row + 1 if gave_up else 0
        return seen

    async def _try(self, call: ToolCall, scope: Scope) -> tuple[Observation, int]:
        """The last try's observation, and how many failed in passing. Without patience, no service is an error."""
        for number in range(self._limits.call_attempts):
            try:
                seen = await self._environment.call(call, scope, deadline_seconds=self._limits.call_deadline_seconds)
            except SindbadError:
                if not self._limits.patience:
                    raise
                seen = render.error_observation(f"the service cannot be reached, {_TRY_AGAIN}")
            if not _passing(seen):
                return seen, number
        return seen, self._limits.call_attempts

    async def _extract(self, text: str, language: str) -> Extraction:
        asked = ("extract", self._extractor.signature, language, text)
        known = self._journal.find(*asked) if self._journal else None
        if known is None:
            found = await self._extractor.extract(text, language=language)
            if self._journal is not None and found.calls and found.failure in _FINISHED:
                self._journal.keep(asdict(found), *asked)
        else:
            found = Extraction.from_record(known)
        counts = self.counts
        counts.model_calls, counts.malformed = counts.model_calls + found.calls, counts.malformed + found.malformed
        counts.dropped.update(found.dropped)
        counts.unread.update([found.failure] if found.failure else [])
        return found


def translations(seen: Observation) -> dict[str, str]:
    """Language code -> URL of the visited page in it."""
    return {key.removeprefix(TRANSLATION): url for key, url in seen.metadata.items() if key.startswith(TRANSLATION)}


def _passing(seen: Observation) -> bool:
    """Whether another try may end better: errors that may pass say so, in every environment."""
    return not seen.ok and seen.error.endswith(_TRY_AGAIN)


async def together(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Results in order; the first failure, or a cancellation, takes the others with it."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_time(work: Iterable[Coroutine[Any, Any, _T]], seconds: float | None) -> list[_T | None]:
    """As :func:`together`, but after ``seconds`` (None: never) what is unfinished is given up and None in its place."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        return [task.result() if task.done() else None for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
