"""Prose that looks like a mark is translated: letters between rules, labels, what stands in JSON, boxes and tags."""

from __future__ import annotations

import pytest

from sindbad.corpus.filters import FilterSettings, Pair, protected
from sindbad.translation.protocol import TranslationRequest
from sindbad.translation.spans import FORMAL_KINDS, SpanKind, find_spans
from sindbad.translation.translator import Translator, structure_difference
from tests.unit.translation.speaking import Speaking
from tests.unit.translation.test_losses import INSTRUCT, instructed
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


# -- JSON by its shape -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ('{"greeting": "مرحبا"}', '{"greeting": "Hello"}'),
        ('{"a": "Good morning"}', '{"a": "Bonjour"}'),
        ('{"a": "مرحبا\\n"}', '{"a": "Hello\\n"}'),
        ('Say {"a": "مرحبا"} or {"b": "x"} now.', '{"b": "x"} say {"a": "Hello"} now.'),
        ('{\n "a": ["two words", "x", 1],\n "b": "some more"\n}', '{\n "a": ["كلمتان", "x", 1],\n "b": "More"\n}'),
        ('{"a": "x"} and {"a": "ك"} here', '{"a": "x"} and {"a": "x"} here'),
    ],
)
def test_what_is_prose_in_json_is_decided_by_the_source(source: str, target: str) -> None:
    assert structure_difference(source, target) == ""
    assert protected(Pair(source, target), FilterSettings()) == 0


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ('{"a": "مرحبا"}', '{"b": "Hello"}'),
        ('{"a": "مرحبا", "n": 1}', '{"a": "Hello", "n": 2}'),
        ('{"a": "مرحبا", "id": "x"}', '{"a": "Hello", "id": "y"}'),
        ('{"a": "مرحبا\\n"}', '{"a": "Hello"}'),
        ('{"a": "مرحبا {name}"}', '{"a": "Hello"}'),
        ('{"a": "مرحبا"}', "Hello"),
        ('{"a": "مرحبا"}', '{"a": "Hello"} {"a": "Hello"}'),
        ('{"a": "x"} and {"a": "ك"} here', '{"a": "y"} and {"a": "z"} here'),
        ('Look at {"a": "x"} here', "Look at it here"),
    ],
)
def test_all_else_in_json_is_the_same_or_the_translation_is_refused(source: str, target: str) -> None:
    assert structure_difference(source, target).startswith("structure: lost=")
    assert protected(Pair(source, target), FilterSettings()) > 0


async def test_one_word_in_json_goes_from_arabic_to_english() -> None:
    request = TranslationRequest.document('{"greeting": "مرحبا"}', source="ar", target="en")
    speaker = Speaking(lambda said, prompt: "Hello" if said.endswith("\n\nمرحبا") else said)
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(request)
    assert (outcome.accepted, outcome.text) == (True, '{"greeting": "Hello"}')


# -- braces and tags ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "kept"),
    [
        ("So x = \\boxed{2^{10}} holds.", SpanKind.MATH, "\\boxed{2^{10}}"),
        ("The \\boxed{\\frac{1}{2^{n}}} is it.", SpanKind.MATH, "\\boxed{\\frac{1}{2^{n}}}"),
        ("It is \\boxed{\\{1, 2\\}} here.", SpanKind.MATH, "\\boxed{\\{1, 2\\}}"),
        ("<code>\nint a = 1;\n\nadd all of it;\n</code>\nIt adds.", SpanKind.CODE,
         "<code>\nint a = 1;\n\nadd all of it;\n</code>"),
        ("Run this: <code>\nadd one;\n\n- add two;\n</code>\n\nIt adds.", SpanKind.CODE,
         "<code>\nadd one;\n\n- add two;\n</code>"),
        ("- <samp class='x'>one two\r\n\r\nthree four</samp>\r\n- It adds.", SpanKind.CODE,
         "<samp class='x'>one two\r\n\r\nthree four</samp>"),
    ],
)  # fmt: skip
def test_braces_in_braces_and_code_over_blank_lines_are_one_span(text: str, kind: SpanKind, kept: str) -> None:
    assert (kind, kept) in [(span.kind, span.text) for span in find_spans(text, kinds=FORMAL_KINDS)]
    assert kept in through(text) != text
    assert structure_difference(text, through(text)) == ""


@pytest.mark.parametrize(
    "text",
    ["The <code> tag opens it.\n\nThe </code> tag ends it.", "Use `<code>`\n\nand then write `</code>`",
     "```\n<code>\n```\n\nSome prose here.\n\n</code>", "<code>x</code>\n\nSome prose here.\n\n<code>y</code>"],
)  # fmt: skip
def test_prose_between_tags_that_are_spoken_of_or_closed_is_translated(text: str) -> None:
    assert any(len(part.split()) >= 3 for part in sent(text))
    assert not any(span.kind is SpanKind.CODE and "prose" in span.text for span in find_spans(text))
