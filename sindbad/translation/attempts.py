"""One masked text to one verified reply: the first attempt, sentence by sentence, then sampled attempts.

Whatever comes back is a reply that keeps the contract, or a reason. Every generation is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sindbad.translation import replies
from sindbad.translation.asking import Frame, Prompter, Route
from sindbad.translation.fair import FairSlots
from sindbad.translation.protocol import SegmentAttempt
from sindbad.translation.segments import split
from sindbad.translation.sentinels import SENTINEL
from sindbad.translation.settings import TranslatorSettings
from sindbad.translation.spans import Masked, Verdict, compare, mask_part, restore, verify
from sindbad.translation.speakers import Prompt, Said, Speaker

T = TypeVar("T")


async def all_or_first_error(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results in order. The first failure, or being cancelled, cancels the rest and waits until they have ended."""
    todo = list(coroutines)
    if len(todo) == 1:  # no task for what is alone
        return [await todo[0]]
    tasks = [asyncio.ensure_future(coroutine) for coroutine in todo]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


@dataclass(slots=True)
class TranslatorCounters:
    """What a translator did since it was made; cache hits are requests no engine saw."""

    generations: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One unit's generations. ``text`` still has its sentinels; ``reason`` is "" when it kept them all."""

    text: str
    reason: str
    records: tuple[SegmentAttempt, ...] = ()
    logprob: float = 0.0
    version: int = -1

    @property
    def output_tokens(self) -> int:
        """Over all attempts."""
        return sum(record.output_tokens for record in self.records)

    def free(self) -> Outcome:
        """The same text for somebody who did not pay for it."""
        return Outcome(self.text, self.reason, version=self.version)

    def after(self, earlier: Outcome) -> Outcome:
        """This outcome, with what an earlier attempt cost added."""
        version = self.version if self.version >= 0 else earlier.version
        logprob = earlier.logprob + self.logprob
        return Outcome(self.text, self.reason, (*earlier.records, *self.records), logprob, version)


def held(masked: Masked, outcome: Outcome) -> Outcome:
    """``outcome``, rejected where its text breaks the contract of ``masked`` after all: sentences may keep theirs, each
    its own, and cross each other's pairs. What comes out of this can be restored."""
    reasons = () if outcome.reason else compare(masked, outcome.text).reasons()
    return replace(outcome, reason=reasons[0]) if reasons else outcome


class Attempts:
    """Asks one speaker. Holds no task of its own."""

    def __init__(self, speaker: Speaker, settings: TranslatorSettings) -> None:
        self._speaker, self._settings = speaker, settings
        self.prompter = Prompter(settings.style, settings.context_characters)
        self.counters = TranslatorCounters()
        self._slots = FairSlots(settings.concurrency)

    async def segment(self, masked: Masked, route: Route, frame: Frame) -> Outcome:
        """A segment, with every attempt that the settings allow."""
        outcome = await self.once(masked, route, frame)
        if outcome.reason and (parts := self._sentences(masked)):
            outcome = held(masked, await self._by_sentence(parts, route, frame)).after(outcome)
        for number in range(1, self._settings.retries + 1):
            if not outcome.reason or outcome.reason.startswith("too_long"):
                break
            again = await self.once(masked, route, frame, number=number, wrong=outcome.reason)
            outcome = again.after(outcome)
        return outcome

    async def once(
        self, masked: Masked, route: Route, frame: Frame, *, unit: str = "segment", number: int = 0, wrong: str = ""
    ) -> Outcome:
        """One generation, checked."""
        prompt = self.prompter.prompt(masked.text, route, frame, wrong)
        said = await self._say(prompt, route, number)
        if said.finish_reason == "too_long":
            longest = self._settings.longest_source
            return Outcome("", f"too_long: {said.prompt_tokens} tokens, at most {longest}")
        verdict = verify(masked, said.text)
        reason = self._reason(masked, said, verdict, route, unit)
        if not reason:
            for name in verdict.repairs:
                self.counters.repaired[name] = self.counters.repaired.get(name, 0) + 1
        return Outcome(
            verdict.text, reason, (_record(unit, number, said, verdict, reason),), said.logprob, said.version
        )

    def broken(self, masked: Masked, text: str, route: Route) -> str:
        """Why a translation that was checked for another text is none of ``masked``; "" when it is one.

        Texts that share one may differ in their numbers alone, which are compared by value.
        """
        if reasons := compare(masked, text).reasons():
            return reasons[0]
        return replies.numbers(masked, text, *route.languages) if self._settings.check_replies else ""

    async def ask(self, prompt: Prompt, route: Route, *, unit: str) -> tuple[Said, tuple[SegmentAttempt, ...]]:
        """A question that is no translation, and what it cost: nothing where it was too long to be asked."""
        said = await self._say(prompt, route, 0)
        if said.finish_reason == "too_long":
            return said, ()
        return said, (_paid(unit, 0, said),)

    async def _say(self, prompt: Prompt, route: Route, number: int) -> Said:
        settings = self._settings
        temperature = max(route.temperature, settings.retry_temperature if number else 0.0)
        seed = (route.seed * 1000 + number) % 2**31
        async with self._slots.slot(route.caller):
            said = await self._speaker.say(
                prompt,
                max_tokens=settings.most_tokens,
                longest=settings.longest_source,
                temperature=temperature,
                seed=seed,
            )
        if said.finish_reason != "too_long":
            self.counters.generations += 1
            self.counters.prompt_tokens += said.prompt_tokens
            self.counters.output_tokens += said.output_tokens
        return said

    def _reason(self, masked: Masked, said: Said, verdict: Verdict, route: Route, unit: str) -> str:
        """Why the reply cannot be used: the first check that fails."""
        if reason := replies.truncated(said) or replies.empty(said) or (verdict.reasons or ("",))[0]:
            return reason
        if not self._settings.check_replies:
            return ""
        return (
            replies.chatter(masked.text, verdict.text, route.languages)
            or (replies.paragraphs if unit == "turn" else replies.lines)(masked.text, verdict.text)
            or replies.echo(masked.text, verdict.text)
            or replies.numbers(masked, verdict.text, *route.languages)
        )

    # -- sentence by sentence ------------------------------------------------------------------------------------------

    def _sentences(self, masked: Masked) -> list[tuple[str, Masked, str]]:
        """A longer segment's sentences as (lead, masked with its own numbering, trail); [] when there is only one."""
        if masked.escape:
            return []
        marks = [
            replace(masked.spans[int(mark[1])], start=mark.start(), end=mark.end(), replacement=mark[0])
            for mark in SENTINEL.finditer(masked.text)
        ]
        parts = split(masked.text, marks, sentences=1)
        if len(parts) < 2:
            return []
        return [
            (part.lead, mask_part(masked.text, marks, start=part.start, end=part.end), part.trail) for part in parts
        ]

    async def _by_sentence(self, parts: list[tuple[str, Masked, str]], route: Route, frame: Frame) -> Outcome:
        outcomes = await all_or_first_error(self._sentence(part, route, frame) for _, part, _ in parts)
        whole = Outcome("", "")
        for (lead, part, trail), outcome in zip(parts, outcomes, strict=True):
            text = restore(part, outcome.text) if not outcome.reason else ""
            reason = whole.reason or outcome.reason
            records = (*whole.records, *outcome.records)
            version = max(whole.version, outcome.version)
            whole = Outcome(whole.text + lead + text + trail, reason, records, whole.logprob + outcome.logprob, version)
        return whole

    async def _sentence(self, part: Masked, route: Route, frame: Frame) -> Outcome:
        if part.only_spans:
            return Outcome(part.text, "")
        return await self.once(part, route, frame, unit="sentence")


def _paid(unit: str, number: int, said: Said) -> SegmentAttempt:
    """A generation, whatever was made of it; its turn and segment are the caller's to say."""
    return SegmentAttempt(
        turn=0,
        segment=-1,
        unit=unit,
        number=number,
        finish_reason=said.finish_reason,
        prompt_tokens=said.prompt_tokens,
        output_tokens=said.output_tokens,
        model_version=said.version,
    )


def _record(unit: str, number: int, said: Said, verdict: Verdict, reason: str) -> SegmentAttempt:
    paid = _paid(unit, number, said)
    return replace(paid, repairs=verdict.repairs, difference=str(verdict.difference), reason=reason)
