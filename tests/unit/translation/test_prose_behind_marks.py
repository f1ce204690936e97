"""Prose that looks like a mark is translated: letters between rules, labels, what stands in JSON, boxes and tags."""

from __future__ import annotations

import pytest

from sindbad.translation.spans import FORMAL_KINDS, SpanKind, find_spans
from sindbad.translation.translator import structure_difference
from tests.unit.translation.test_losses import instructed
from tests.unit.translation.test_structure import sent, through

MAIL = "---\n**Subject: Annual leave**\n\nDear Mr. Smith,\n\nI would like two weeks of leave.\n\n---"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (MAIL, ["**Subject: Annual leave**", "Dear Mr. Smith,", "I would like two weeks of leave."]),
        ("---\nSubject: Leave\nDear Sir,\n---", ["Subject: Leave", "Dear Sir,"]),
        ("---\nTitle: The sea\nAuthor: Anna\n---\nIt is deep.", ["Title: The sea", "Author: Anna", "It is deep."]),
        ("Hello.\n\n---\ntitle: The sea\n---", ["Hello.", "title: The sea"]),
        ("[Label]: Negative\n[Reason]: Sarcasm\n\nIt is sarcastic.",
         ["Label Negative", "[Reason]: Sarcasm", "It is sarcastic."]),
        ("Classify it.\n\n[Answer]: Positive", ["Classify it.", "Answer Positive"]),
        ("[Mood]: Glad/sad", ["Mood Glad/sad"]),
        ("[Answer]: Positive.", ["Answer Positive."]),
    ],
)  # fmt: skip
async def test_a_letter_between_rules_and_a_label_are_translated(text: str, seen: list[str]) -> None:
    assert sent(text) == seen
    assert structure_difference(text, through(text)) == ""
    outcome = await instructed(text, lambda said, prompt: through(said))
    assert outcome.accepted, outcome.reason
    assert outcome.attempts > 0
    assert not any(word in outcome.text for word in ("Dear", "Negative", "Positive", "Author", "Glad"))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("---\ntitle: The sea\ntags:\n- deep\n  - blue\n# a comment\n\n\"k\": [\n]\n---\nIt is deep.", slice(0, -12)),
        ("---\nlayout: post\nTitle: The sea\n...\nIt is deep.", slice(0, -12)),
        ("[a]: u.md\n\nIt is deep.", slice(0, 9)),
        ("[a]: <u v> 'T'\n\nIt is deep.", slice(0, 14)),
        ("[a]:\n/path\n\nIt is deep.", slice(0, 10)),
        ("[a]: example.org/x\n\nIt is deep.", slice(0, 18)),
        ("[a]: mailto:x\n\nIt is deep.", slice(0, 13)),
        ("[Sea]: picture\n\n[It][sea] is deep.", slice(0, 14)),
    ],
)  # fmt: skip
def test_front_matter_and_definitions_that_lead_somewhere_are_copied(text: str, kept: slice) -> None:
    assert (SpanKind.MARK, text[kept]) in [(span.kind, span.text) for span in find_spans(text, kinds=FORMAL_KINDS)]
    assert structure_difference(text, through(text)) == ""
