"""Rows that another job has translated already: taken over, not asked for again (HALA's corpus reuses what the teacher
wrote of OpenOrca).

A row is the same row by its record id (source, its id there, its messages), never by a likeness. What is taken over
keeps its content address, its translator and its licences, is judged by the filters of the job that takes it, and costs
that job nothing; what the other job rejected is no translation, and is asked for as any row. The rows stand in the plan
of the job that takes them, in the source's order, so duplicates are found among all. The other job is read while the
plan is written, and never after. Memory: id and address of every row that it kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from sindbad.corpus.job import TAKEN_OVER, Job
from sindbad.corpus.ledger import Attempt, attempt_of
from sindbad.errors import InvalidInput

HELD: Final = "held"
"""In a job's ``source``: what :meth:`Held.describe` said when it was begun."""
_KEPT = """
SELECT r.record_id AS record_id, min(f.key) AS key FROM rows r JOIN final f USING (key)
WHERE f.accepted AND r.row NOT IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?) GROUP BY 1
"""


class Held:
    """What some jobs kept; of a row that two of them have, the first one's translation is taken.

    Raises InvalidInput for a job of another direction.
    """

    def __init__(self, jobs: Sequence[Job], *, source: str, target: str) -> None:
        self.jobs = tuple(jobs)
        self._keys: list[dict[str, str]] = []
        for job in jobs:
            identity = job.spec.identity
            if (identity.source, identity.target) != (source, target):
                raise InvalidInput(
                    f"{job.store.url} translates {identity.source} to {identity.target}, not {source} to {target}: "
                    "nothing of it can be taken over"
                )
            self._keys.append(_kept_by(job))

    def key(self, record_id: str) -> str | None:
        """Content address of the translation that is there; None where there is none."""
        return next((keys[record_id] for keys in self._keys if record_id in keys), None)

    def describe(self) -> list[dict[str, Any]]:
        """For a job's settings: what is taken over, by its content."""
        return [
            {"translator": job.spec.identity.model, **_owed(job), "rows": len(keys), "digest": _digest(keys)}
            for job, keys in zip(self.jobs, self._keys, strict=True)
        ]  # fmt: skip

    def attempts(self, rows: Mapping[str, int]) -> Iterator[Attempt]:
        """The accepted attempts with the addresses that are ``rows``' keys, as the ledger of the job that takes them
        holds them; the values are its rows."""
        left = dict(rows)
        for job in self.jobs:
            with job.ledger() as ledger:
                for batch in ledger.batches("SELECT * FROM final WHERE accepted ORDER BY key"):
                    for found in batch:
                        if (row := left.pop(found["key"], None)) is not None:
                            yield _taken(attempt_of(found), row, job)


def taken_over(job: Job) -> dict[str, int]:
    """Translator -> rows of a job's data set that another job translated; {} where it takes nothing over."""
    if not job.spec.source.get(HELD):
        return {}
    sql = """SELECT f.model AS model, count(*) AS n FROM rows r JOIN final f USING (key)
             WHERE f.accepted AND f.model <> ?
               AND r.row NOT IN (SELECT row FROM attempts WHERE stage = 'plan' AND judging = ?)
             GROUP BY 1 ORDER BY 1"""
    with job.ledger() as ledger:
        found = ledger.rows(sql, (job.spec.identity.model, job.spec.plan_id))
    return {str(row["model"]): int(row["n"]) for row in found}


def _owed(job: Job) -> dict[str, Any]:
    """As a job of before is described where its translator has one licence."""
    identity = job.spec.identity
    return {"licence": identity.licence, **({"licences": list(identity.licences)} if identity.licences else {})}


def _kept_by(job: Job) -> dict[str, str]:
    with job.ledger() as ledger:
        batches = ledger.batches(_KEPT, (job.spec.plan_id,), 65_536)
        return {str(row["record_id"]): str(row["key"]) for batch in batches for row in batch}


def _digest(keys: Mapping[str, str]) -> str:
    made = sha256()
    for record_id in sorted(keys):
        made.update(f"{record_id} {keys[record_id]}\n".encode())
    return made.hexdigest()[:32]


def _taken(attempt: Attempt, row: int, job: Job) -> Attempt:
    """Whoever takes it over has paid nothing for it. What its job says now of its translator's licences counts too."""
    identity = job.spec.identity
    owed = identity.owed if attempt.model == identity.model else ()
    name = "/".join(job.store.url.rstrip("/").split("/")[-2:])
    return replace(
        attempt, row=row, round=0, epoch=0, shard=0, worker=f"{TAKEN_OVER}: {name}", generations=0, prompt_tokens=0,
        output_tokens=0, licences=tuple(dict.fromkeys((*attempt.licences, *owed))),
    )  # fmt: skip
