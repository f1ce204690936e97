"""Why a record is in a data set or not, in words, from its attempts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from sindbad.corpus.ledger import UNJUDGED, Attempt, Planned
from sindbad.corpus.records import InstructionRecord

_STAGES = {
    "plan": "dropped before translation",
    "translate": "the translation was not usable",
    "filter": "judged by rules",
    "examine": "judged by a model",
}
LONGEST = 300


def explanation(attempts: Sequence[Attempt], rows: Sequence[Planned] = ()) -> Iterator[str]:
    """Lines about attempts at one record, oldest first; the last word first.

    Args:
        rows: of the record in the current plan; where there are none, there must be attempts.
    """
    name = rows[0].record_id if rows else attempts[-1].record_id
    if not attempts:
        yield f"{name}  NOT ATTEMPTED YET (row {rows[0].row} of the plan)"
        yield from _origin(rows[0])
        return
    last = next((one for one in reversed(attempts) if one.accepted), attempts[-1])
    yield f"{name}  {_verdict(last)}"
    if last.record_id != name:
        yield from _origin(rows[0])
        yield f"the same text, asked in the same way, as {last.record_id}: translated once, for both"
    if last.source:
        yield f"from {last.source} {last.source_id}; licences: {', '.join(last.licences)}"
    for number, attempt in enumerate(attempts, start=1):
        yield from _attempt(number, attempt)


def _verdict(last: Attempt) -> str:
    dropped = "NOT JUDGED YET" if last.reason == UNJUDGED else f"DROPPED: {last.reason}"
    return "KEPT" if last.accepted else dropped + (f" ({last.detail})" if last.detail else "")


def _origin(row: Planned) -> Iterator[str]:
    origin = InstructionRecord.from_record(json.loads(row.record)).provenance
    yield f"from {origin.source} {origin.source_id}; licences of the source: {', '.join(origin.licences)}"


def _attempt(number: int, attempt: Attempt) -> Iterator[str]:
    said = "accepted" if attempt.accepted else f"{attempt.reason} {attempt.detail}".strip()
    yield f"attempt {number}: {said} [{_STAGES.get(attempt.stage, attempt.stage)}]"
    if attempt.stage != "plan":
        yield (
            f"  round {attempt.round}, shard {attempt.shard}, worker {attempt.worker}; model {attempt.model}; "
            f"{attempt.generations} generations, {attempt.output_tokens} output tokens, "
            f"finish {attempt.finish_reason or '-'}, {attempt.seconds:.1f} s"
        )
    for difference in attempt.differences:
        yield f"  spans: {difference}"
    if attempt.repairs or attempt.notes:
        yield f"  repaired: {', '.join(attempt.repairs) or '-'}; notes: {'; '.join(attempt.notes) or '-'}"
    for segment in attempt.segments:
        if segment.reason:
            yield f"  turn {segment.turn} segment {segment.segment} {segment.unit} {segment.number}: {segment.reason}"
    for score in attempt.filters:
        if not math.isnan(score.value):
            mark = "x" if score.reason else " "
            yield f"  {mark} {score.name:<14} {score.value:>9.3g}   kept from {score.low:.3g} to {score.high:.3g}"
    for before, after in zip(attempt.before, attempt.messages, strict=False):
        yield f"  {before.role}: {_short(before.content)}"
        yield f"    -> {_short(after.content)}"


def _short(text: str) -> str:
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= LONGEST else plain[:LONGEST] + " …"
