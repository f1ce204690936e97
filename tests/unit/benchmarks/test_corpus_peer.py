"""Beside datatrove and NeMo-Curator: the workload carries what it says, and our filters judge what a peer delivers."""

from __future__ import annotations

from benchmarks.corpus_peer import PROTECTED, judged, template, workload
from sindbad.translation.prompts import PromptStyle, translation_prompt
from sindbad.translation.scan import every_span


def test_every_second_row_carries_something_protected_and_all_kinds_occur() -> None:
    rows = workload(2 * len(PROTECTED), 0)
    texts = [row.messages[0].content for row in rows]
    assert [any(extra in text for extra in PROTECTED) for text in texts] == [False, True] * len(PROTECTED)
    assert all(any(extra in text for text in texts) for extra in PROTECTED)
    assert all(every_span(f"Zifima is a city.\n{extra}\n") for extra in PROTECTED)


def test_a_delivered_row_without_its_url_counts_as_broken_and_is_not_accepted() -> None:
    rows = workload(2 * len(PROTECTED), 0)
    number = next(at for at, row in enumerate(rows) if PROTECTED[6] in row.messages[0].content)
    english = [message.content for message in rows[number].messages]
    arabic = ["زيفيما مدينة في جاموما.", "نعم."]
    found = judged(rows, {number: [f"{arabic[0]}\n{PROTECTED[6]}", arabic[1]], number - 1: arabic})
    assert found["rows_breaking_spans"] == 0
    found = judged(rows, {number: arabic, number - 1: arabic})
    assert found["rows_breaking_spans"] == 1
    assert judged(rows, {number: english})["accepted_rows"] == 0  # not translated at all


def test_a_peer_asks_with_the_prompt_that_the_teacher_learned() -> None:
    asked = template().format(source_lang="English", target_lang="Arabic", src="Zifima is a city.")
    assert asked == translation_prompt("Zifima is a city.", PromptStyle.TEACHER)
