"""Why a record is in a data set or not, in words, from its attempts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sindbad.corpus.ledger import UNJUDGED, Attempt

_STAGES = {
    "plan": "dropped before translation",
    "translate": "the translation was not usable",
    "filter": "judged by rules",
    "examine": "judged by a model",
}
LONGEST = 300


def explanation(attempts: Sequence[Attempt]) -> Iterator[str]:
    """Lines about attempts at one record, oldest first; the last word first."""
    last = next((one for one in reversed(attempts) if one.accepted), attempts[-1])
    dropped = "NOT JUDGED YET" if last.reason == UNJUDGED else f"DROPPED: {last.reason}"
    verdict = "KEPT" if last.accepted else dropped + (f" ({last.detail})" if last.detail else "")
    yield f"{last.record_id}  {verdict}"
    if last.source:
        yield f"from {last.source} {last.source_id}; licences: {', '.join(last.licences)}"
    for number, attempt in enumerate(attempts, start=1):
        yield from _attempt(number, attempt)


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
