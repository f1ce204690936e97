"""A conversation's turns in order: what each sees of the others, what of it stays, which terms and forms go on.

Roles, order, number and metadata of turns come out as they went in. A turn that cannot be translated rejects the
conversation: half a conversation is no training row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from sindbad.errors import DeadlineExceeded, InvalidInput
from sindbad.translation.asking import Frame, Route
from sindbad.translation.attempts import Attempts
from sindbad.translation.content import NOTHING, ContentJudge, Kept, kept_by_rule, kept_of_answer
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import SegmentAttempt, SegmentPair, Translation, TranslationRequest, Turn
from sindbad.translation.settings import TranslatorSettings
from sindbad.translation.terms import TermMemory, read_terms
from sindbad.translation.wording import get_wording

OnSegment = Callable[[SegmentPair], None]


class TurnTranslator(Protocol):
    """What is needed of :class:`~sindbad.translation.translator.Translator`."""

    settings: TranslatorSettings
    attempts: Attempts
    judge: ContentJudge | None

    async def turn(
        self,
        text: str,
        route: Route,
        frame: Frame,
        glossary: Glossary,
        keep: tuple[tuple[int, int], ...] = (),
        on_segment: OnSegment | None = None,
    ) -> Translation: ...


@dataclass(slots=True, eq=False)
class Conversation:
    """One request on its way; itself and no other, since it is the caller in whose name the slots are shared."""

    translator: TurnTranslator
    request: TranslationRequest
    on_segment: OnSegment | None = None
    memory: TermMemory = field(default_factory=TermMemory)
    addressee: str = ""
    _done: list[tuple[Turn, Turn, Translation]] = field(default_factory=list)
    _asked: Kept = NOTHING
    _content: tuple[str, ...] = ()
    _notes: list[str] = field(default_factory=list)
    _questions: list[SegmentAttempt] = field(default_factory=list)

    async def run(self) -> Translation:
        """All turns, or the rejection of the first that fails."""
        request = self.request
        route = Route(request.source, request.target, request.temperature, request.seed, caller=self)
        self.addressee = request.addressee
        for index, turn in enumerate(request.turns):
            outcome = await self._turn(index, turn, route)
            if not outcome.accepted:
                return self._together(outcome, index)
            kept = outcome.turns[0].kept if outcome.turns else ()
            self._done.append((turn, replace(turn, content=outcome.text, kept=kept), outcome))
            if not turn.keep and index < len(request.turns) - 1:
                await self._learn(index, turn.content, outcome.text, route)
        return self._together(None, len(request.turns))

    # -- one turn ------------------------------------------------------------------------------------------------------

    async def _turn(self, index: int, turn: Turn, route: Route) -> Translation:
        if turn.keep or not turn.content.strip():
            return Translation(turn.content, accepted=True)
        kept = await self._kept(index, turn)
        self._listen(turn)
        frame = self._frame(turn)
        first = await self._translated(index, turn, kept, frame, route)
        changed = self.memory.changed(turn.content, first.text) if first.accepted else []
        if changed and self.translator.settings.instructs:
            again = replace(route, seed=route.seed + 1, temperature=max(route.temperature, 0.3))
            second = await self._translated(index, turn, kept, frame, again)
            if second.accepted and not self.memory.changed(turn.content, second.text):
                return _paid(second, first)
            first = _paid(first, second)
        self._notes += [f"term_changed: turn {index}: {term}" for term in changed]
        return first

    async def _translated(self, index: int, turn: Turn, kept: Kept, frame: Frame, route: Route) -> Translation:
        def settled(pair: SegmentPair) -> None:
            if self.on_segment is not None:
                self.on_segment(replace(pair, turn=index))

        return await self.translator.turn(
            turn.content, route, frame, self.request.glossary or Glossary(), kept.ranges, settled
        )

    def _frame(self, turn: Turn) -> Frame:
        context = tuple((source.role, source.content, target.content) for source, target, _ in self._done)
        return Frame(turn.role, context, self.memory.in_text(turn.content), self.addressee)

    def _listen(self, turn: Turn) -> None:
        """Who is spoken to is settled by the first user who says it, and stays."""
        if not self.addressee and turn.role == "user":
            self.addressee = get_wording(self.request.source).addressee(turn.content)

    async def _kept(self, index: int, turn: Turn) -> Kept:
        """What of this turn stays in the source language."""
        if not self.request.keep_content:
            return NOTHING
        if turn.role == "user":
            found = kept_by_rule(turn.content, self.request.source)
            if self.translator.judge is not None:
                judged = await self.translator.judge.kept(turn.content, self.request.source)
                found = found if judged is None else judged
            self._asked, self._content = found, tuple(turn.content[start:end] for start, end in found.ranges)
        elif turn.role == "assistant":
            found = kept_of_answer(turn.content, self._asked, self._content)
        else:
            return NOTHING
        if found.ranges:
            self._notes.append(f"content_kept: turn {index}: {found.task}")
        return found

    async def _learn(self, index: int, original: str, translated: str, route: Route) -> None:
        """Remember how terms came out: those left as they are, and those the model points at when it can be asked."""
        self.memory.learn_kept(original, translated)
        settings, unknown = self.translator.settings, self.memory.unknown(original)
        if not (settings.instructs and settings.remember_terms and unknown):
            return
        attempts = self.translator.attempts
        prompt = attempts.prompter.terms_prompt(unknown, original, translated, route)
        try:
            said, asked = await attempts.ask(prompt, route, unit="terms")
        except (InvalidInput, DeadlineExceeded) as error:  # the translation is there, with or without the answer
            self._notes.append(f"terms_failed: turn {index}: {error.message}")
            return
        if not asked:
            self._notes.append(f"terms_failed: turn {index}: {said.finish_reason}")
        self._questions += [replace(record, turn=index) for record in asked]
        wanted = set(unknown)
        self.memory.learn(((term, word) for term, word in read_terms(said.text) if term in wanted), translated)

    # -- the outcome ---------------------------------------------------------------------------------------------------

    def _together(self, failed: Translation | None, count: int) -> Translation:
        outcomes = [outcome for _, _, outcome in self._done] + ([failed] if failed else [])
        records: list[SegmentAttempt] = []
        pairs: list[SegmentPair] = []
        for index, outcome in enumerate(outcomes):
            records += [replace(record, turn=index) for record in outcome.records]
            records += [record for record in self._questions if record.turn == index]
            pairs += [replace(pair, turn=index) for pair in outcome.segment_map]
        tokens = sum(outcome.output_tokens for outcome in outcomes)
        logprob = sum(outcome.mean_logprob * outcome.output_tokens for outcome in outcomes)
        turns = () if failed else tuple(target for _, target, _ in self._done)
        reason = failed.reason if failed else ""
        if failed and not self.request.is_document:
            name, _, detail = reason.partition(":")
            reason = f"{name}: turn {count}:{detail}"
        return Translation(
            text=turns[0].content if turns and self.request.is_document else "",
            accepted=failed is None,
            reason=reason,
            segments=sum(outcome.segments for outcome in outcomes),
            attempts=sum(outcome.attempts for outcome in outcomes) + len(self._questions),
            prompt_tokens=sum(o.prompt_tokens for o in outcomes) + sum(q.prompt_tokens for q in self._questions),
            output_tokens=tokens + sum(q.output_tokens for q in self._questions),
            mean_logprob=logprob / max(1, tokens),
            model_version=max((outcome.model_version for outcome in outcomes), default=-1),
            turns=turns,
            records=tuple(records),
            segment_map=() if failed else tuple(pairs),
            notes=tuple(self._notes),
            request_id=self.request.request_id,
        )


def _paid(kept: Translation, dropped: Translation) -> Translation:
    """``kept``, with what the other attempt cost added."""
    return replace(
        kept,
        attempts=kept.attempts + dropped.attempts,
        prompt_tokens=kept.prompt_tokens + dropped.prompt_tokens,
        output_tokens=kept.output_tokens + dropped.output_tokens,
        records=(*dropped.records, *kept.records),
    )
