"""Documents and conversations in, the same out in another language, over any language model.

Mask, cut into segments, translate each distinct segment once, verify, put back. A unit that breaks the structure
contract is asked for again, first by its parts, then sampled with fixed seeds; one that stays broken rejects its
document with a reason. Concurrent calls share the engine's batch, and its slots fairly; no call waits for another one's
result. A conversation's turns are translated in order, each with the earlier ones as its context.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, overload

from sindbad.engines.protocol import Generator
from sindbad.errors import DeadlineExceeded, InvalidInput
from sindbad.translation.asking import Frame, Route
from sindbad.translation.attempts import Attempts, Outcome, TranslatorCounters, all_or_first_error, held
from sindbad.translation.content import ContentJudge
from sindbad.translation.conversation import Conversation
from sindbad.translation.forms import Forms, differing, forms
from sindbad.translation.glossary import Glossary
from sindbad.translation.prompts import language_name
from sindbad.translation.protocol import ADDRESSEES, SegmentPair, Translation, TranslationRequest, Turn
from sindbad.translation.scan import every_span, wanted_spans
from sindbad.translation.segments import Segment, split
from sindbad.translation.settings import TranslatorSettings
from sindbad.translation.spans import (
    MASKER_VERSION,
    Masked,
    Span,
    SpanKind,
    mask_part,
    merged,
    restore,
)
from sindbad.translation.speakers import EngineSpeaker, Speaker

__all__ = ["Translator", "TranslatorSettings", "all_or_first_error", "content_key"]

OnSegment = Callable[[SegmentPair], None]
Key = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Document:
    """A text, its spans, its segments, what of each is sent, and the form that its translation must have."""

    text: str
    spans: tuple[Span, ...]
    segments: list[Segment]
    masked: list[Masked]
    keys: list[Key]
    forms: Forms

    @classmethod
    def cut(
        cls, text: str, glossary: Glossary, settings: TranslatorSettings, keep: Sequence[tuple[int, int]] = ()
    ) -> _Document:
        every = every_span(text, glossary)
        spans = wanted_spans(text, every, settings.kinds, keep)
        segments = split(text, spans, sentences=settings.unit)
        masked = [mask_part(text, spans, start=part.start, end=part.end, escape=part.escape) for part in segments]
        keys = [_key(part) for part in masked]
        # A name may hide what would be a form, and in the translation it stands under another name.
        return cls(text, spans, segments, masked, keys, forms(text, every if not glossary else every_span(text)))

    @property
    def kept(self) -> tuple[str, ...]:
        """What stays in the source language, as it stands in the text and in its translation."""
        return tuple(span.text for span in self.spans if span.kind is SpanKind.CONTENT)

    @property
    def wordy(self) -> list[Masked]:
        """The segments that have something to translate."""
        return [masked for masked in self.masked if not masked.only_spans]

    def whole(self) -> Masked | None:
        """All of it as one text; None where its parts need different treatment, or there is one part only."""
        if len(self.wordy) < 2 or any(masked.escape for masked in self.masked):
            return None
        return mask_part(self.text, merged(self.text, self.spans))

    def pairs(self, known: dict[Key, Outcome], start: int = 0) -> Iterator[SegmentPair]:
        """The segment map from segment ``start`` up to the first one that is unknown or has no translation."""
        for part, masked, key in zip(self.segments[start:], self.masked[start:], self.keys[start:], strict=True):
            outcome = known.get(key)
            if outcome is None or outcome.reason:
                return
            if part.end > part.start:
                yield SegmentPair(0, part.start, part.end, restore(masked, outcome.text))

    def join(self, translated: Sequence[str]) -> str:
        parts = zip(self.segments, self.masked, translated, strict=True)
        return "".join(segment.lead + restore(masked, text) + segment.trail for segment, masked, text in parts)


def _key(masked: Masked) -> Key:
    """Equal for segments that may share a translation and have the same numbers: one outcome is that of all."""
    return masked.sharing, tuple(span.text for span in masked.spans if span.kind is SpanKind.NUMBER)


def _alike(documents: Sequence[_Document]) -> list[dict[Key, Masked]]:
    """The distinct segments, in groups that may share a translation."""
    groups: dict[tuple[str, ...], dict[Key, Masked]] = {}
    for document in documents:
        for key, masked in zip(document.keys, document.masked, strict=True):
            groups.setdefault(key[0], {}).setdefault(key, masked)
    return list(groups.values())


class _Settled:
    """Tells of a document's segments in the source's order, each as soon as it and all before it are done."""

    def __init__(self, document: _Document, on_segment: OnSegment) -> None:
        self._document, self._on_segment, self._told = document, on_segment, 0

    def tell(self, known: dict[Key, Outcome]) -> None:
        """Look again; a segment that failed ends the telling."""
        pairs = list(self._document.pairs(known, self._told))
        for pair in pairs:
            self._on_segment(pair)
        self._told += len(pairs)


class Translator:
    """Translates with one model. Safe to call concurrently; holds no task of its own.

    Args:
        generator: engine or policy client; ``tokenizer`` must be the one of its model. Or give a ``speaker`` instead.
        revision: name of the weights for cache keys, when the generator does not report versions.
        judge: says what of an instruction is content, where the rules alone are not enough.
    """

    def __init__(
        self,
        generator: Generator | None = None,
        tokenizer: Any = None,
        settings: TranslatorSettings | None = None,
        *,
        speaker: Speaker | None = None,
        revision: str = "",
        judge: ContentJudge | None = None,
    ) -> None:
        if speaker is None:
            if generator is None:
                raise InvalidInput("a translator needs a generator with its tokenizer, or a speaker.")
            speaker = EngineSpeaker(generator, tokenizer)
        self.settings = settings or TranslatorSettings()
        self.revision, self.judge = revision, judge
        self.attempts = Attempts(speaker, self.settings)
        self._cache: OrderedDict[str, Outcome] = OrderedDict()

    @property
    def counters(self) -> TranslatorCounters:
        """What was done so far."""
        return self.attempts.counters

    @overload
    async def translate(self, texts: TranslationRequest) -> Translation: ...

    @overload
    async def translate(
        self,
        texts: Sequence[str],
        *,
        source: str = "en",
        target: str = "ar",
        glossary: Glossary | None = None,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Translation]: ...

    async def translate(
        self,
        texts: Sequence[str] | TranslationRequest,
        *,
        source: str = "en",
        target: str = "ar",
        glossary: Glossary | None = None,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Translation | list[Translation]:
        """See :class:`~sindbad.translation.protocol.TextTranslator`. Cancelling it cancels its generations.

        ``temperature`` above 0 samples the first attempt too, and then neither reads nor fills the cache. A
        :class:`TranslationRequest` in place of the texts is :meth:`translate_request`.
        """
        if isinstance(texts, TranslationRequest):
            return await self.translate_request(texts)
        _check_direction(source, target)
        documents = [_Document.cut(text, glossary or Glossary(), self.settings) for text in texts]
        route = Route(source, target, temperature, seed, caller=object())
        return await self._documents(documents, route, Frame())

    async def translate_request(self, request: TranslationRequest, on_segment: OnSegment | None = None) -> Translation:
        """One document or conversation. ``on_segment`` hears of every part that is settled, in the source's order.

        Raises as :class:`~sindbad.translation.protocol.RequestTranslator`. Cancelling it cancels its generations.
        """
        _check(request)
        try:
            async with asyncio.timeout(request.deadline_seconds or None):
                return await Conversation(self, request, on_segment).run()
        except TimeoutError:
            raise DeadlineExceeded(
                f"the translation was not done within the {request.deadline_seconds:g} s of its request"
            ) from None

    async def turn(
        self,
        text: str,
        route: Route,
        frame: Frame,
        glossary: Glossary,
        keep: Sequence[tuple[int, int]] = (),
        on_segment: OnSegment | None = None,
    ) -> Translation:
        """One text with what surrounds it. ``keep``: ranges that stay in the source language."""
        (outcome,) = await self._documents(
            [_Document.cut(text, glossary, self.settings, keep)], route, frame, on_segment
        )
        return outcome

    def forget(self) -> None:
        """Empty the cache: the weights changed."""
        self._cache.clear()

    # -- documents -----------------------------------------------------------------------------------------------------

    async def _documents(
        self, documents: Sequence[_Document], route: Route, frame: Frame, on_segment: OnSegment | None = None
    ) -> list[Translation]:
        """Whole where that is wished and works, else by segments; equal segments of all of them are asked once."""
        wholes: list[Outcome | None] = [None] * len(documents)
        if self.settings.asks_whole:
            wholes = await all_or_first_error(self._whole(document, route, frame) for document in documents)
        rest = [document for document, whole in zip(documents, wholes, strict=True) if whole is None or whole.reason]
        known: dict[Key, Outcome] = {}
        settled = _Settled(rest[0], on_segment) if rest and on_segment is not None else None

        async def some(alike: dict[Key, Masked]) -> None:
            first = next(iter(alike))
            for key, masked in alike.items():
                known[key] = await self._like(known.get(first), masked, route, frame)
                if settled is not None:
                    settled.tell(known)

        await all_or_first_error(some(alike) for alike in _alike(rest))
        results = []
        for document, whole in zip(documents, wholes, strict=True):
            results.append(self._finished(document, known, whole))
            if on_segment is not None and whole is not None and not whole.reason:
                on_segment(results[-1].segment_map[0])
        return results

    async def _whole(self, document: _Document, route: Route, frame: Frame) -> Outcome | None:
        masked = document.whole()
        if masked is None:
            return None
        outcome = await self.attempts.once(masked, route, frame, unit="turn")
        if outcome.reason:
            return outcome
        text = restore(masked, outcome.text)
        return replace(outcome, text=text, reason=_difference(document.forms, text))

    def _finished(self, document: _Document, known: dict[Key, Outcome], whole: Outcome | None) -> Translation:
        if whole is not None and not whole.reason:
            pairs = [SegmentPair(0, 0, len(document.text), whole.text)]
            return self._result(document, whole.text, [whole], pairs)
        outcomes = [known[key] for key in document.keys]
        for key in document.keys:  # the first document with a segment pays for it
            known[key] = known[key].free()
        paid = [whole] if whole is not None else []
        if reason := next((outcome.reason for outcome in outcomes if outcome.reason), ""):
            return self._rejected(document, reason, [*paid, *outcomes])
        text = document.join([outcome.text for outcome in outcomes])
        if reason := _difference(document.forms, text):
            return self._rejected(document, reason, [*paid, *outcomes])
        pairs = list(document.pairs(known))
        return self._result(document, text, [*paid, *outcomes], pairs)

    def _rejected(self, document: _Document, reason: str, outcomes: Sequence[Outcome]) -> Translation:
        name = reason.split(":")[0]
        self.counters.rejected[name] = self.counters.rejected.get(name, 0) + 1
        return replace(self._result(document, "", outcomes, []), accepted=False, reason=reason, turns=())

    def _result(
        self, document: _Document, text: str, outcomes: Sequence[Outcome], pairs: Sequence[SegmentPair]
    ) -> Translation:
        offset = len(outcomes) - len(document.masked)  # an outcome for the whole stands before the segments'
        records = tuple(
            replace(record, segment=index - offset if record.unit != "turn" else -1)
            for index, outcome in enumerate(outcomes)
            for record in outcome.records
        )
        output_tokens = sum(record.output_tokens for record in records)
        return Translation(
            text=text,
            accepted=True,
            segments=len(document.wordy),
            attempts=len(records),
            prompt_tokens=sum(record.prompt_tokens for record in records),
            output_tokens=output_tokens,
            mean_logprob=sum(outcome.logprob for outcome in outcomes) / max(1, output_tokens),
            model_version=max((outcome.version for outcome in outcomes), default=-1),
            turns=(Turn("", text, kept=document.kept),),
            records=records,
            segment_map=tuple(pairs),
        )

    # -- segments ------------------------------------------------------------------------------------------------------

    async def _like(self, first: Outcome | None, masked: Masked, route: Route, frame: Frame) -> Outcome:
        """What became of the first segment like this one, where that is no translation of another number's."""
        if first is None or (not first.reason and self.attempts.broken(masked, first.text, route)):
            return held(masked, await self._segment(masked, route, frame))
        return first.free()

    async def _segment(self, masked: Masked, route: Route, frame: Frame) -> Outcome:
        """Translate one masked segment, from the cache where the same prompt was answered before."""
        if masked.only_spans:
            return Outcome(_names_listed(masked, route.target), "")
        prompt = self.attempts.prompter.prompt(masked.text, route, frame)
        named = (route.source, route.target, self.settings.style, masked.sharing, prompt.key)
        key = sha256(repr(named).encode()).hexdigest()
        greedy = route.temperature == 0
        cached = self._cache.get(key) if greedy else None
        if cached and not self.attempts.broken(masked, cached.text, route):
            self.counters.cache_hits += 1
            self._cache.move_to_end(key)
            return cached.free()
        outcome = await self.attempts.segment(masked, route, frame)
        if greedy and not outcome.reason and self.settings.cache_size:
            self._remember(key, outcome)
        return outcome

    def _remember(self, key: str, outcome: Outcome) -> None:
        latest = next(reversed(self._cache.values()), None)
        if latest is not None and latest.version != outcome.version:
            self.forget()
        self._cache[key] = outcome
        while len(self._cache) > self.settings.cache_size:
            self._cache.popitem(last=False)


def _check_direction(source: str, target: str) -> None:
    if language_name(source) == language_name(target):
        raise InvalidInput("source and target language are the same.")


def _check(request: TranslationRequest) -> None:
    _check_direction(request.source, request.target)
    if not request.turns:
        raise InvalidInput("a translation request needs at least one turn.", metadata={"field": "turns"})
    if request.addressee not in ADDRESSEES:
        known = ", ".join(repr(name) for name in ADDRESSEES)
        raise InvalidInput(f"addressee is one of {known}, not {request.addressee!r}.", metadata={"field": "addressee"})


def structure_difference(source: str, target: str) -> str:
    """ "" where both texts hold the same protected spans, each as often, else "structure: what"."""
    return _difference(forms(source, every_span(source)), target)


def _difference(there: Forms, target: str) -> str:
    lost, added = differing(there, target, every_span(target))
    if not lost and not added:
        return ""
    lost, added = ([text[:30] for text in side[:4]] for side in (lost, added))
    return f"structure: lost={lost} added={added}"


_PUNCTUATION = {"ar": str.maketrans({",": "،", ";": "؛", "?": "؟"})}


def _names_listed(masked: Masked, target: str) -> str:
    """A list of names needs no model, only the target's commas; what holds no name (code, tables) is copied."""
    names = any(span.kind is SpanKind.NAME for span in masked.spans)
    return masked.text.translate(_PUNCTUATION.get(target, {})) if names else masked.text


def content_key(source: str, *, prompt: str, model_revision: str, decoding: str, masker: str = MASKER_VERSION) -> str:
    """What a translation depends on, and nothing else: the ledger's key. Change a part and that row runs again."""
    fields = (source, masker, prompt, model_revision, decoding)
    return sha256("\x1f".join(fields).encode()).hexdigest()
