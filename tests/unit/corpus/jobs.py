"""What the corpus tests share: records, a translator without a model, jobs in memory and on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sindbad.corpus.address import Identity
from sindbad.corpus.job import Job, JobSpec
from sindbad.corpus.records import InstructionRecord, instruction
from sindbad.corpus.store import JobStore
from sindbad.corpus.translators import Outcome
from sindbad.corpus.worker import WorkerSettings
from sindbad.translation.glossary import Glossary
from tests.unit.translation.scripted import into_arabic

IDENTITY = Identity(revision="light-1", decoding="greedy", licence="Apache-2.0", unit="message")
FAST = WorkerSettings(in_flight=8, part_rows=3, part_seconds=0.1, lease_seconds=30.0, poll_seconds=0.02)


def records(count: int, start: int = 0) -> list[InstructionRecord]:
    """One sentence to translate, one answer shared by all."""
    return [
        instruction(
            f"Bok{'adi' * (n + 1)} was born in Diramo.",
            "Let me search.",
            source="t",
            source_id=str(n),
            licences=["MIT"],
        )
        for n in range(start, start + count)
    ]


class Perfect:
    """Translates the demo's domain without a model, and counts what it is asked; ``spoil`` may change an answer."""

    def __init__(self, spoil: Callable[[str], str] | None = None, delay: float = 0.0) -> None:
        self.asked: list[str] = []
        self.spoil, self.delay = spoil, delay

    async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        """See RecordTranslator."""
        self.asked.append(record.record_id)
        await asyncio.sleep(self.delay)
        texts = [into_arabic(message.content) for message in record.messages]
        if self.spoil:
            texts = [self.spoil(text) for text in texts]
        return Outcome(tuple(texts), generations=2, prompt_tokens=20, output_tokens=10)


class Held:
    """Answers a record when it is let go; ``flying`` are those that it is asked for now."""

    def __init__(self) -> None:
        self.flying: dict[str, asyncio.Event] = {}
        self.begun: list[str] = []

    async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        """See RecordTranslator."""
        gate = self.flying.setdefault(record.record_id, asyncio.Event())
        self.begun.append(record.record_id)
        await gate.wait()
        del self.flying[record.record_id]
        return Outcome(tuple(into_arabic(message.content) for message in record.messages))

    async def until(self, flying: int) -> None:
        """Wait until so many are asked for. Raises TimeoutError."""
        async with asyncio.timeout(20):
            while len(self.flying) != flying or any(gate.is_set() for gate in self.flying.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.002)


def job(store: JobStore, **changes: Any) -> Job:
    """A job with small shards that keeps near duplicates (the test's sentences all are)."""
    fields: dict[str, Any] = {"identity": IDENTITY, "duplicates": None, "shard_rows": 4, **changes}
    return Job(store, JobSpec(**fields))
