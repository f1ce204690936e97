"""<conversation, summary> pairs out of ReSum rollouts: what a summariser is trained on (ReSum §3.2, E.2).

A record is the full prompt that the summariser is given and a teacher's summary (papers.md test 35). The teacher is
whoever summarised during the rollouts, or a second one that is asked about the recorded conversations now. What is
left out is counted by reason: a wrong attempt, a summary that fails the format check, one that is no shorter than what
it summarises, a conversation too long for the summariser's context.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sindbad import __version__, atomic
from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.store import append
from sindbad.agent.summarize import Summarizer, Writer
from sindbad.agent.summary_models import LanguageModelSummarizer
from sindbad.agent.summary_pairs import SummaryPair, pairs_of, to_training_example
from sindbad.agent.trajectory import Trajectory
from sindbad.engines.protocol import SamplingParams, TokenChunk
from sindbad.errors import InvalidInput, PolicyFailure

SHARD = 512
COUNTS = "counts.json"


class PairSettings(BaseModel):
    """Which pairs are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    only_correct: bool = True
    """Only restarts of attempts that ended right: their summaries had kept what was needed (our choice)."""
    only_models: bool = False
    """Leave out what the rules wrote (where a teacher's output had been unusable)."""
    shorter: bool = True
    """A summary must have fewer characters than what it summarises."""
    deadline_seconds: float = Field(default=360.0, gt=0)
    """Longest one summary of a second teacher may take."""
    in_flight: int = Field(default=16, ge=1)
    """Summaries asked for at once."""


@dataclass(slots=True)
class PairCounts:
    """``restarts`` seen, ``kept``, and ``refused`` by reason; ``writers`` of what was kept."""

    trajectories: int = 0
    restarts: int = 0
    kept: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    writers: dict[str, int] = field(default_factory=dict)

    def refuse(self, why: str) -> None:
        """Count one that is left out."""
        self.refused[why] = self.refused.get(why, 0) + 1

    def keep(self, pair: SummaryPair) -> None:
        """Count one that is kept, with who wrote it."""
        self.kept += 1
        self.writers[str(pair.by)] = self.writers.get(str(pair.by), 0) + 1

    def drop(self, pair: SummaryPair, why: str) -> None:
        """One that had been kept is left out after all: ``writers`` add up to ``kept`` always."""
        self.kept -= 1
        self.writers = dict(Counter(self.writers) - Counter([str(pair.by)]))
        self.refuse(why)


def fault(pair: SummaryPair, settings: PairSettings) -> str | None:
    """Why a pair is no example, or None."""
    if not pair.passes_format():
        return "format"
    if settings.only_models and pair.by == "rules":
        return "written_by_rules"
    told = sum(len(turn.text) for turn in pair.conversation) + len(pair.last_summary)
    return "not_shorter" if settings.shorter and len(pair.summary) >= told else None


def recorded(trajectories: Iterable[Trajectory], settings: PairSettings, counts: PairCounts) -> Iterator[SummaryPair]:
    """Every restart of the attempts that count, in order, before any check."""
    for made in trajectories:
        counts.trajectories += 1
        for pair in pairs_of(made):
            counts.restarts += 1
            if settings.only_correct and not (made.reward or 0.0) > 0:
                counts.refuse("wrong_attempt")
            else:
                yield pair


async def taught(
    pairs: Iterable[SummaryPair], teacher: Summarizer, settings: PairSettings, counts: PairCounts
) -> AsyncIterator[SummaryPair]:
    """The same conversations with another teacher's summaries, in order, ``in_flight`` at a time.

    Raises what the teacher's platform raises; unusable output is counted.
    """

    async def ask(pair: SummaryPair) -> SummaryPair | None:
        try:
            summary = await teacher.summarize(
                pair.question,
                pair.conversation,
                last_summary=pair.last_summary,
                language=pair.language,
                deadline_seconds=settings.deadline_seconds,
            )
        except (PolicyFailure, InvalidInput):
            return None
        return replace(pair, summary=summary.text, by=summary.by)

    waiting: list[asyncio.Task[SummaryPair | None]] = []
    try:
        for pair in pairs:
            waiting.append(asyncio.create_task(ask(pair)))
            if len(waiting) >= settings.in_flight:
                if (found := await waiting.pop(0)) is not None:
                    yield found
                else:
                    counts.refuse("no_summary")
        while waiting:
            if (found := await waiting.pop(0)) is not None:
                yield found
            else:
                counts.refuse("no_summary")
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def checked(pairs: Iterable[SummaryPair], settings: PairSettings, counts: PairCounts) -> Iterator[SummaryPair]:
    """Those that pass every check; the others are counted."""
    for pair in pairs:
        why = fault(pair, settings)
        if why is not None:
            counts.refuse(why)
            continue
        counts.keep(pair)
        yield pair


def asker(chat: ChatTokenizer, context_limit: int, max_tokens: int) -> LanguageModelSummarizer:
    """What renders the prompts of a summariser to be trained; it generates nothing itself."""
    return LanguageModelSummarizer(_Nobody(), chat, Writer.MODEL, context_limit=context_limit, max_tokens=max_tokens)


class _Nobody:
    def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        raise AssertionError("nothing is generated while pairs are written")


def write_pairs(
    folder: Path,
    pairs: Sequence[SummaryPair],
    student: LanguageModelSummarizer,
    counts: PairCounts,
    lineage: Mapping[str, Any],
) -> Path:
    """Write (or replace) a folder: ``pairs.jsonl`` (prompt, completion), ``examples/`` (ids, masks), ``counts.json``.

    Args:
        student: renders the prompts: the tokenizer, prompt set and context limit of the summariser to be trained. It
            shortens a conversation exactly as it will when it is served.

    Raises:
        InvalidInput: no pair was kept, or ``folder`` holds something else.
    """
    atomic.check_replaceable(folder, COUNTS)
    with atomic.new_dir(folder) as temporary:
        with (temporary / "pairs.jsonl").open("w", encoding="utf-8") as file:
            for start in range(0, len(pairs), SHARD):
                _write_part(temporary, pairs[start : start + SHARD], student, file, counts)
        if not counts.kept:
            raise InvalidInput("no pair was kept; roll out with the resum paradigm and a small context_limit")
        lines = hashlib.sha256((temporary / "pairs.jsonl").read_bytes()).hexdigest()
        record = {"sindbad": __version__, **lineage, "pairs_sha256": lines}
        atomic.write_json(temporary / COUNTS, {**asdict(counts), "lineage": record})
    return folder


def _write_part(
    folder: Path, pairs: Sequence[SummaryPair], student: LanguageModelSummarizer, file: Any, counts: PairCounts
) -> None:
    examples = []
    for pair in pairs:
        try:
            examples.append(to_training_example(pair, student))
        except InvalidInput:  # question and last summary alone leave the summariser no room
            counts.drop(pair, "too_long")
            continue
        segment, chat = examples[-1].segments[0], student.tokenizer
        record = {"prompt": chat.text(segment.prompt_ids), "completion": chat.text(segment.token_ids)}
        about = {"trajectory_id": pair.trajectory_id, "number": pair.number, "language": pair.language, "by": pair.by}
        file.write(json.dumps({**record, **about}, ensure_ascii=False) + "\n")
    if examples:
        append(folder / "examples", examples)
