"""A corpus through a translator from beginning to end in this process, and what came out of a job, wherever it ran.

Every row is accepted, or rejected with a reason. Rows that were accepted before, in any run of the folder with the
same masker, prompt, model and decoding, are read; failed ones are tried again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sindbad.corpus.examiners import Examiner
from sindbad.corpus.job import GlossaryOf, Job, no_glossary
from sindbad.corpus.ledger import Ledger
from sindbad.corpus.records import InstructionRecord, translated
from sindbad.corpus.translators import RecordTranslator, kept_in
from sindbad.corpus.worker import Progress, Tally, Worker, WorkerSettings, prepare

_KEPT = """
SELECT r.row AS row, r.record AS record, f.key AS key, [m.content for m in f.messages] AS contents,
       f.model AS model, f.licences AS licences, f.notes AS notes
FROM rows r JOIN final f USING (key)
WHERE f.accepted AND r.row NOT IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?)
ORDER BY r.row
"""
_PLANNED = """
SELECT r.record AS record FROM rows r
WHERE r.row NOT IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?) ORDER BY r.row
"""
_DROPPED = """
SELECT reason, count(*) AS n FROM attempts WHERE stage = 'plan' AND judging = ? GROUP BY 1
UNION ALL
SELECT coalesce(f.reason, CASE WHEN key IN (SELECT key FROM attempts WHERE reason = 'unjudged') THEN 'unjudged'
                               ELSE 'not_attempted' END) AS reason, count(*) AS n
FROM rows r LEFT JOIN final f USING (key)
WHERE (f.key IS NULL OR NOT f.accepted)
  AND r.row NOT IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?) GROUP BY 1
ORDER BY n DESC, reason
"""


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """Records in, records out, and why the others are missing: each counts once, by its first reason."""

    records: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


async def translate_corpus(
    job: Job,
    records: Iterable[InstructionRecord],
    translator: RecordTranslator,
    *,
    glossary_of: GlossaryOf = no_glossary,
    examiners: Sequence[Examiner] = (),
    settings: WorkerSettings | None = None,
    retry_failed: bool = True,
    progress: Progress | None = None,
) -> CorpusReport:
    """One round of ``job`` in this process, and the report over all of it."""
    current = await prepare(job, lambda: records, glossary_of=glossary_of, retry_failed=retry_failed, settings=settings)
    tally = Tally()
    if current is not None:
        worker = Worker(
            job, translator, settings=settings, glossary_of=glossary_of, examiners=examiners, progress=progress
        )
        tally = await worker.run(current)
    return report(job, tally)


def report(job: Job, tally: Tally | None = None) -> CorpusReport:
    """Where a job stands."""
    plan = job.spec.plan_id
    with job.ledger() as ledger:
        records = int(ledger.rows("SELECT count(*) AS n FROM rows")[0]["n"])
        dropped = {str(row["reason"]): int(row["n"]) for row in ledger.rows(_DROPPED, (plan, plan))}
    return CorpusReport(records, records - sum(dropped.values()), dropped, tally or Tally())


def planned(job: Job) -> Iterator[InstructionRecord]:
    """What was asked to be translated, whatever became of it, in the source's order: duplicates are out."""
    with job.ledger() as ledger:
        for batch in ledger.batches(_PLANNED, (job.spec.plan_id,)):
            yield from (InstructionRecord.from_record(json.loads(row["record"])) for row in batch)


@dataclass(frozen=True, slots=True)
class Kept:
    """One accepted row: the original, its translation, and the content address that leads to the attempt. ``stays``: of
    each message what is in the source language in both, because a task asks to transform it; () where nothing is."""

    row: int
    key: str
    original: InstructionRecord
    translation: InstructionRecord
    stays: tuple[tuple[str, ...], ...] = ()


def kept(job: Job, ledger: Ledger | None = None) -> Iterator[Kept]:
    """Accepted rows in the source's order, streamed. Rows with one content address share its translation."""
    identity = job.spec.identity
    opened = ledger or job.ledger()
    try:
        for batch in opened.batches(_KEPT, (job.spec.plan_id,)):
            for row in batch:
                original = InstructionRecord.from_record(json.loads(row["record"]))
                ours = row["model"] == identity.model
                out = translated(
                    original, row["contents"], language=identity.target, translator=str(row["model"]),
                    licences=identity.owed if ours else row["licences"],
                )  # fmt: skip
                stays = kept_in(row["notes"], len(row["contents"]))
                yield Kept(int(row["row"]), str(row["key"]), original, out, stays)
    finally:
        if ledger is None:
            opened.close()
