"""English trajectories become Arabic ones: words are translated, calls are carried out again, evidence must survive.

Question, thoughts, queries, goals, summaries and answer go through the translator service (names by glossary); every
call is executed on the target-language index, so observations are real ones; the ids are rendered anew by the chat
tokenizer, because this is new text that nobody sampled (no log-probabilities, weight version -1). Restarts stay where
they were.

A trajectory is dropped, and counted by reason, when a text was not translated, when a call that had worked fails, when
a sentence that the agent quoted from a page is not on the pages it now sees, or when no page supports the answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig
from sindbad.agent.parsing import render_call
from sindbad.agent.react import Task
from sindbad.agent.recorded import RecordedEpisode
from sindbad.agent.summarize import Summary, Writer
from sindbad.agent.trajectory import Segment, Step, Termination, Trajectory
from sindbad.engines.protocol import Completion, FinishReason
from sindbad.languages import get_pack
from sindbad.tools.environment import Environment, Observation, ToolCall, ToolSpec
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import TextTranslator
from sindbad.translation.segments import split
from sindbad.translation.spans import find_spans
from sindbad.translation.translator import all_or_first_error

WORD_ARGUMENTS = frozenset({"query", "goal", "urls"})
"""Arguments whose strings are words (titles included); everything else, and every real URL, is copied."""


class TrajectoryTranslation(BaseModel):
    """How trajectories are translated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = "en"
    """Language of the trajectories."""
    target: str = "ar"
    """Language wanted."""
    verbatim_quotes: bool = True
    """A quoted sentence must stand on a page word for word; False asks for its names only (freer translators)."""
    call_attempts: int = Field(default=3, ge=1)
    """Tries of a call that had worked in the source: a fault of today's tool is no data."""
    call_seconds: float = Field(default=30.0, gt=0)
    """Deadline of one call."""
    concurrency: int = Field(default=16, ge=1)
    """Trajectories in flight."""


@dataclass(slots=True)
class TrajectoryReport:
    """Trajectories in, kept, and dropped by reason; each counts once."""

    trajectories: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


class Dropped(Exception):
    """This trajectory has no faithful translation; the reason's first word is what is counted."""


async def translate_trajectories(
    trajectories: Sequence[Trajectory],
    translator: TextTranslator,
    environment: Environment,
    tokenizer: ChatTokenizer,
    glossaries: Mapping[str, Glossary],
    *,
    agent: AgentConfig | None = None,
    settings: TrajectoryTranslation | None = None,
) -> tuple[list[Trajectory], TrajectoryReport]:
    """Translate what ended in a right answer; the order of what is kept is the order given.

    Args:
        environment: holds the target-language index of every world.
        glossaries: world id -> names in both languages.
        agent: limits under which the new trajectories must fit; its defaults are ample.

    Raises:
        NoModel, Unavailable, …: the platform failed; nothing is lost, run it again.
    """
    chosen, report = settings or TrajectoryTranslation(), TrajectoryReport(len(trajectories))
    slots = asyncio.Semaphore(chosen.concurrency)

    async def one(trajectory: Trajectory) -> Trajectory | str:
        async with slots:
            rewriting = _Rewriting(trajectory, translator, environment, tokenizer, glossaries, agent, chosen)
            try:
                return await rewriting.run()
            except Dropped as reason:
                return str(reason)

    kept = []
    for outcome in await all_or_first_error(one(trajectory) for trajectory in trajectories):
        if isinstance(outcome, str):
            report.dropped[outcome.split(":")[0]] = report.dropped.get(outcome.split(":")[0], 0) + 1
        else:
            kept.append(outcome)
    report.kept = len(kept)
    return kept, report


class _Rewriting:
    """One trajectory on its way into the other language."""

    def __init__(
        self,
        source: Trajectory,
        translator: TextTranslator,
        environment: Environment,
        tokenizer: ChatTokenizer,
        glossaries: Mapping[str, Glossary],
        agent: AgentConfig | None,
        settings: TrajectoryTranslation,
    ) -> None:
        self.source, self.translator, self.environment, self.tokenizer = source, translator, environment, tokenizer
        self.agent, self.settings = agent or AgentConfig(), settings
        self.glossary = glossaries.get(source.world_id, Glossary())
        self.words: dict[str, str] = {}
        self.seen_source: list[str] = [source.question]
        self.seen_target: list[str] = []

    async def run(self) -> Trajectory:
        """The new trajectory. Raises Dropped."""
        self._check_source()
        self.words = await self._translated(dict.fromkeys(self._texts()))
        episode = self._episode()
        self.seen_target.append(episode.task.question)
        for step in episode.follow(self.source):
            await self._step(episode, step)
        return self._finished(episode)

    # -- what has to be translated ---------------------------------------------------------------------------------

    def _check_source(self) -> None:
        if self.source.termination is not Termination.ANSWER or self.source.answer is None:
            raise Dropped("no_answer")
        if self.source.reward is not None and self.source.reward <= 0:
            raise Dropped("wrong_answer")
        if any(step.kind == "malformed" for step in self.source.steps):
            raise Dropped("malformed_turn")

    def _texts(self) -> Iterator[str]:
        yield self.source.question
        for step in self.source.steps:
            if step.kind == "summary":
                yield step.text
            elif step.thought:
                yield step.thought
            yield from _words_of(_arguments(step))
        if self.source.answer:
            yield self.source.answer
        yield self.source.gold_answer or self.source.answer or ""

    async def _translated(self, texts: Mapping[str, None]) -> dict[str, str]:
        wanted = [text for text in texts if text.strip()]
        outcomes = await self.translator.translate(
            wanted, source=self.settings.source, target=self.settings.target, glossary=self.glossary
        )
        for text, outcome in zip(wanted, outcomes, strict=True):
            if not outcome.accepted:
                raise Dropped(f"translation: {outcome.reason} in {text[:80]!r}")
        return {text: outcome.text for text, outcome in zip(wanted, outcomes, strict=True)}

    # -- the new episode -------------------------------------------------------------------------------------------

    def _episode(self) -> RecordedEpisode:
        source, language = self.source, self.settings.target
        task = Task(
            trajectory_id=f"{source.trajectory_id}-{language}",
            question=self.words[source.question],
            language=language,
            corpus=source.world_id,
            question_id=f"{source.question_id}-{language}",
            group_id=f"{source.group_id}-{language}",
            gold_answer=self.words.get(source.gold_answer, ""),
            world_id=source.world_id,
            question_kind=source.question_kind,
        )
        return RecordedEpisode(task, self.tokenizer, self.agent, environment=self.environment.kind, tools=self._tools())

    def _tools(self) -> tuple[ToolSpec, ...]:
        return tuple(self.environment.tools)

    async def _step(self, episode: RecordedEpisode, step: Step) -> None:
        if step.kind == "summary":
            self._restart(episode, step)
            return
        if episode.done:
            raise Dropped(f"too_long: ended by {episode.trajectory.termination.value}")
        self._check_quotes(step)
        if step.kind == "answer":
            self._say(episode, step, answer=self.words[self.source.answer or ""])
            return
        arguments = _mapped(_arguments(step), self._word, self._address)
        self._say(episode, step, tool_call=render_call(step.tool, arguments))
        if episode.pending_call is None:
            raise Dropped(f"bad_call: {step.tool} {step.arguments[:80]}")
        observation = await self._observe(episode, episode.pending_call, step)
        episode.accept_observation(observation)
        self.seen_source.append(step.observation)
        self.seen_target.append(observation.text)

    def _say(self, episode: RecordedEpisode, step: Step, **turn: Any) -> None:
        ids = self.tokenizer.assistant_turn(self.words.get(step.thought, step.thought), **turn)
        blank = (0.0,) * len(ids)
        episode.accept_turn(Completion(tuple(ids), blank, (-1,) * len(ids), FinishReason.STOP))

    def _restart(self, episode: RecordedEpisode, step: Step) -> None:
        text = self.words.get(step.text, step.text)
        if not episode.wants_summary or not episode.accept_summary(Summary(text, Writer(step.tool or Writer.RULES))):
            raise Dropped("restart: the summary does not fit")
        self.seen_source.append(step.text)
        self.seen_target.append(text)

    async def _observe(self, episode: RecordedEpisode, call: ToolCall, step: Step) -> Observation:
        """Today's answer. A fault that the source met stays what it was: the next turn talks about it."""
        if not step.ok:
            return Observation(step.observation, ok=False, error="recorded", source="recorded")
        for _ in range(self.settings.call_attempts):
            found = await self.environment.call(call, episode.task.scope, deadline_seconds=self.settings.call_seconds)
            if found.ok:
                return found
        raise Dropped(f"tool_failed: {found.error or found.text[:80]}")

    def _word(self, text: str) -> str:
        return self.words.get(text, text)

    def _address(self, url: str) -> str:
        """The same page in the other language, by the encyclopedia's address scheme (/en/slug, /ar/slug)."""
        return url.replace(f"/{self.settings.source}/", f"/{self.settings.target}/", 1)

    # -- evidence --------------------------------------------------------------------------------------------------

    def _check_quotes(self, step: Step) -> None:
        """What the source quoted from something it had read must be readable in the target as well."""
        before, now = "\n".join(self.seen_source), "\n".join(self.seen_target)
        thought = self.words.get(step.thought, step.thought)
        sentences = list(zip(_sentences(step.thought), _sentences(thought), strict=False))
        for english, translated in sentences:
            quoted = english.rstrip(".") in before
            if self.settings.verbatim_quotes and quoted and translated.rstrip(".") not in now:
                raise Dropped(f"evidence_lost: {translated[:80]!r} is on no page")
        for name in self.glossary.names_in(step.thought):
            if name in before and self.glossary[name] not in now:
                raise Dropped(f"evidence_lost: {name!r} is on no page")

    def _finished(self, episode: RecordedEpisode) -> Trajectory:
        done = episode.trajectory
        if not episode.done or done.termination is not Termination.ANSWER or not done.format_ok:
            raise Dropped(f"too_long: ended by {done.termination.value}")
        pack, answer = get_pack(self.settings.target), done.answer or ""
        if not pack.same_answer(answer, done.gold_answer):
            raise Dropped(f"answer_changed: {answer[:40]!r} is not {done.gold_answer[:40]!r}")
        observed = pack.normalise_answer("\n".join(step.observation for step in done.steps if step.ok))
        if pack.normalise_answer(answer) not in observed:
            raise Dropped("evidence_lost: no observation supports the answer")
        done.reward, done.verdict, done.verdict_by = 1.0, "correct", "exact"
        for segment in done.segments:
            _forget_sampling(segment)
        return done


def _forget_sampling(segment: Segment) -> None:
    """Nobody sampled this text."""
    segment.logprobs = [None] * len(segment.token_ids)
    segment.weight_versions = [-1] * len(segment.token_ids)


def _arguments(step: Step) -> dict[str, Any]:
    """The call's arguments; {} for a turn without a call."""
    if not step.arguments:
        return {}
    value = json.loads(step.arguments)
    inner = value.get("arguments", value) if isinstance(value, dict) else {}
    return dict(inner) if isinstance(inner, dict) else {}


def _is_words(text: str) -> bool:
    return "://" not in text


def _words_of(arguments: Mapping[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        if name in WORD_ARGUMENTS:
            yield from (item for item in (value if isinstance(value, list) else [value]) if _is_words(str(item)))


def _mapped(arguments: Mapping[str, Any], word: Callable[[str], str], address: Callable[[str], str]) -> dict[str, Any]:
    """The same arguments with their words and addresses replaced."""

    def other(text: str) -> str:
        return word(text) if _is_words(text) else address(text)

    mapped: dict[str, Any] = {}
    for name, value in arguments.items():
        if name not in WORD_ARGUMENTS:
            mapped[name] = value
        elif isinstance(value, list):
            mapped[name] = [other(str(item)) for item in value]
        else:
            mapped[name] = other(str(value))
    return mapped


def _sentences(text: str) -> list[str]:
    parts = split(text, find_spans(text))
    return [text[part.start : part.end] for part in parts if part.end > part.start]
