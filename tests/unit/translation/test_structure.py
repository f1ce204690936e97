"""The structure contract over generated and real documents: what is protected, what is translated, what comes back."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from sindbad.translation.segments import split
from sindbad.translation.sentinels import SENTINEL
from sindbad.translation.spans import FORMAL_KINDS, SpanKind, find_spans, mask, mask_part, restore, verify
from sindbad.translation.translator import structure_difference
from tests.shared import shared
from tests.unit.translation.documents import MARKDOWN, pseudo_arabic


def sent(text: str, sentences: int = 0) -> list[str]:
    """What a model sees of ``text``, sentinels taken out."""
    spans = find_spans(text, kinds=FORMAL_KINDS)
    parts = [mask_part(text, spans, start=part.start, end=part.end) for part in split(text, spans, sentences=sentences)]
    return [" ".join(SENTINEL.sub(" ", part.text).split()) for part in parts if not part.only_spans]


def through(text: str, sentences: int = 0) -> str:
    """``text`` through the pseudo translator, segment by segment."""
    spans = find_spans(text, kinds=FORMAL_KINDS)
    segments = split(text, spans, sentences=sentences)
    out = []
    for part in segments:
        masked = mask_part(text, spans, start=part.start, end=part.end, escape=part.escape)
        out.append(part.lead + restore(masked, pseudo_arabic(masked.text)) + part.trail)
    return "".join(out)


# -- what NeMo-Curator's masker breaks (each row of the table that was measured) ---------------------------------------

FENCED = "Read this:\n\n````md\nouter\n```python\nprint('hello world')\n```\nstill code\n````\n\nDone reading."
NEMO = [
    ("pretty-printed JSON", '{\n  "tool": "search",\n  "query": "cats"\n}', []),
    ("prose in JSON", '{\n  "tool": "search",\n  "note": "Look for tame cats"\n}', ["Look for tame cats"]),
    ("aligned block", "We have\n\\begin{aligned}\n  a &= b \\\\\n\n  c &= d\n\\end{aligned}\nas wanted.",
     ["We have", "as wanted."]),
    ("tilde fence", "Run:\n~~~python\nimport os\n\nprint(os.name)\n~~~\nThat is all.", ["Run:", "That is all."]),
    ("indented code", "Run:\n\n    pip install vllm\n    python -m vllm\n\nThat is all.", ["Run:", "That is all."]),
    ("four-backtick fence around three", FENCED, ["Read this:", "Done reading."]),
    ("first line opens with an inline triple-backtick span", "```x``` is a name.\n\nThe rest is prose.\n\nAll of it.",
     ["is a name.", "The rest is prose.", "All of it."]),
    ("template placeholder", "Hello {{user_name}}, welcome.", ["Hello , welcome."]),
    ("bare URL", "See https://example.org/some/path?query=text now.", ["See now."]),
    ("display math", "Then\n\n$$\nE = mc^2 \\text{ holds}\n$$\n\nfollows, and $$x = y$$ too.",
     ["Then", "follows, and too."]),
    ("command in backticks", "Type `pip install vllm` first.", ["Type first."]),
    ("text inside HTML", '<div class="a">Hello world</div>', ["Hello world"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in NEMO], ids=[row[0] for row in NEMO])
def test_what_the_rival_breaks_is_kept_and_the_prose_around_it_is_sent(text: str, expected: list[str]) -> None:
    assert sent(text) == expected
    assert through(text) != text or not expected
    assert structure_difference(text, through(text)) == ""


@pytest.mark.parametrize(
    ("text", "kind", "span"),
    [
        ("~~~~\n~~~\nx\n~~~~", SpanKind.CODE, "~~~~\n~~~\nx\n~~~~"),
        ("- item\n\n  ```\n  code\n  ```\n", SpanKind.CODE, "  ```\n  code\n  ```"),
        ("never closed\n```\ncode\nmore", SpanKind.CODE, "```\ncode\nmore"),
        ("a\n\n\tcode\n", SpanKind.CODE, "\tcode"),
        ("a ``x ` y`` b", SpanKind.CODE, "``x ` y``"),
        ("<pre>\nx\n\ny\n</pre>", SpanKind.CODE, "<pre>\nx\n\ny\n</pre>"),
        ("so \\[ a\n= b \\] holds", SpanKind.MATH, "\\[ a\n= b \\]"),
        ("costs $3x + 2 = 5$ here", SpanKind.MATH, "$3x + 2 = 5$"),
        ("mail <me@a.org> now", SpanKind.EMAIL, "me@a.org"),
        ("wait %(count)d and %5.1f", SpanKind.PLACEHOLDER, "%(count)d"),
        ("say <your name> here", SpanKind.PLACEHOLDER, "<your name>"),
        ("cost ${PRICE} or $PRICE", SpanKind.PLACEHOLDER, "${PRICE}"),
        ("fill [[slot one]] in", SpanKind.PLACEHOLDER, "[[slot one]]"),
        ("a [link](u.md \"T\") b", SpanKind.LINK, "](u.md \"T\")"),
        ("[INST] hi", SpanKind.SPECIAL, "[INST]"),
        ("# Head {/*head*/}", SpanKind.MARKUP, "{/*head*/}"),
        ("# Head", SpanKind.MARK, "# "),
        ("1. one", SpanKind.MARK, "1. "),
        ("> quoted", SpanKind.MARK, "> "),
        ("| a | b |\n|---|---|\n| c | d |", SpanKind.TABLE, " |\n|---|---|\n| "),
        ('say {"key": "two words", "n": 1} now', SpanKind.JSON, '", "n": 1}'),
        ('[\n  {"id": 1}\n]', SpanKind.JSON, '[\n  {"id": 1}\n]'),
        ("<a href='x y' title=\"b > c\">t</a>", SpanKind.MARKUP, "<a href='x y' title=\"b > c\">"),
        ("text <!-- a\nb --> more", SpanKind.MARKUP, "<!-- a\nb -->"),
    ],
)  # fmt: skip
def test_each_dialect_is_found(text: str, kind: SpanKind, span: str) -> None:
    assert (kind, span) in [(found.kind, found.text) for found in find_spans(text)]


@pytest.mark.parametrize(
    "text",
    ["It costs $5 or $6 today.", "If a < b and c > d then stop.", "{not json} is prose", "50% so far, 100% sure.",
     "He said (a) this [and that] too.", "Use AT&T or R&D, e.g. now."],
)  # fmt: skip
def test_prose_that_looks_like_markup_is_prose(text: str) -> None:
    assert [span for span in find_spans(text, kinds=FORMAL_KINDS) if span.kind is not SpanKind.PLACEHOLDER] == []


# -- round trips -------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(MARKDOWN)
def test_the_round_trip_is_the_identity_whole_and_by_segments(document: str) -> None:
    masked = mask(document)
    assert restore(masked, masked.text) == document
    spans = find_spans(document, kinds=FORMAL_KINDS)
    for sentences in (-1, 0, 1):
        segments = split(document, spans, sentences=sentences)
        parts = [mask_part(document, spans, start=s.start, end=s.end, escape=s.escape) for s in segments]
        restored = "".join(s.lead + restore(part, part.text) + s.trail for s, part in zip(segments, parts, strict=True))
        assert restored == document


@settings(max_examples=100, deadline=None)
@given(MARKDOWN)
def test_a_translator_that_changes_every_word_changes_no_structure(document: str) -> None:
    assert structure_difference(document, through(document)) == ""


def real_documents() -> Iterator[str]:
    """All of the real Markdown, English and Arabic, and a quarter of the instructions' free text."""
    with gzip.open(shared("data", "parallel", "docs_markdown_en_ar.jsonl.gz"), "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield from (row["en"], row["ar"])
    for name in ("gpteacher_roleplay_sample", "self_instruct_seed_tasks", "oasst1_en_100_trees", "gsm8k_train_sample"):
        with gzip.open(shared("data", "instructions", f"{name}.jsonl.gz"), "rt", encoding="utf-8") as file:
            yield from itertools.islice((text for line in file for text in _texts(json.loads(line))), 0, None, 4)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str) and len(value) > 20:
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


@pytest.mark.slow
def test_all_of_the_real_markdown_comes_back_and_keeps_its_structure_through_a_translator() -> None:
    count, changed = 0, []
    for text in real_documents():
        count += 1
        masked = mask(text)
        assert restore(masked, masked.text) == text
        if difference := structure_difference(text, through(text, sentences=-1)):
            changed.append((difference, text[:80]))
    assert count > 4000
    assert len(changed) <= count // 1000, changed[:5]


# -- verification and repair -------------------------------------------------------------------------------------------

TWO = mask_part("Use `a` and `b` now.", find_spans("Use `a` and `b` now."))


@pytest.mark.parametrize(
    ("reply", "repairs", "restored"),
    [
        ("استخدم ⟦0⟧ و⟦1⟧ الآن.", (), "استخدم `a` و`b` الآن."),
        ("استخدم ⟦1⟧ و⟦0⟧ الآن.", (), "استخدم `b` و`a` الآن."),
        ("استخدم ⟦ ٠ ⟧ و⟦١⟧ الآن.", ("digits",), "استخدم `a` و`b` الآن."),
        ("استخدم ⟦صفر⟧ و⟦واحد⟧ الآن.", ("words",), "استخدم `a` و`b` الآن."),
        ("استخدم ⟦0، 1⟧ الآن.", ("squeezed",), "استخدم `a``b` الآن."),
        ("استخدم ⟦01⟧ الآن.", ("squeezed",), "استخدم `a``b` الآن."),
        ("استخدم [[0]] و【1】 الآن.", ("brackets",), "استخدم `a` و`b` الآن."),
        ("استخدم ⟦0 و 1⟧ الآن.", ("halves", "halves"), "استخدم `a` و `b` الآن."),
        ("استخدم ⟦0⟧⟦0⟧ و⟦1⟧.", ("doubled",), "استخدم `a` و`b`."),
        ("استخدم `a` و⟦1⟧.", ("clear",), "استخدم `a` و`b`."),
    ],
)
def test_what_has_one_reading_is_mended(reply: str, repairs: tuple[str, ...], restored: str) -> None:
    verdict = verify(TWO, reply)
    assert verdict.ok
    assert verdict.repairs == repairs
    assert restore(TWO, verdict.text) == restored


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("استخدم ⟦0⟧.", "span_lost"),
        ("استخدم ⟦0⟧ و⟦1⟧ و⟦0⟧.", "span_repeated"),
        ("استخدم ⟦0⟧ و⟦1⟧ و⟦2⟧.", "span_unknown"),
        ("استخدم [0] و[0] و⟦1⟧.", "span_lost"),
        ("استخدم ⟦0⟧ و⟦1⟧ ⟦", "span_unknown"),
    ],
)
def test_what_has_two_readings_is_refused_with_its_reason(reply: str, reason: str) -> None:
    verdict = verify(TWO, reply)
    assert not verdict.ok
    assert verdict.text == reply
    assert verdict.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    ("source", "reply", "ok"),
    [
        ("Send %s to %d users.", "أرسل ⟦1⟧ إلى ⟦0⟧.", False),
        ("Send {a} to {b}.", "إلى ⟦1⟧ أرسل ⟦0⟧.", True),
        ("A <b>bold</b> word.", "كلمة ⟦1⟧غامقة⟦0⟧.", False),
        ("<b>One</b> and <i>two</i>.", "⟦2⟧اثنان⟦3⟧ و⟦0⟧واحد⟦1⟧.", True),
        ("<b>One</b> and <i>two</i>.", "⟦0⟧اثنان⟦2⟧ و⟦1⟧واحد⟦3⟧.", False),
        ("See [this](a.md) and [that](b.md).", "⟦2⟧ذلك⟦3⟧ و⟦0⟧هذا⟦1⟧.", True),
        ("See [this](a.md) and [that](b.md).", "⟦0⟧ذلك⟦3⟧ و⟦2⟧هذا⟦1⟧.", False),
    ],
)
def test_order_is_free_only_where_it_means_the_same(source: str, reply: str, ok: bool) -> None:
    verdict = verify(mask_part(source, find_spans(source)), reply)
    assert verdict.ok is ok
    assert ok or verdict.reasons[0].startswith("span_order")


def test_in_a_whole_document_nothing_moves_from_one_block_to_another() -> None:
    masked = mask("- Use `a`.\n- Use `b`.")
    assert masked.text == "⟦0⟧Use ⟦1⟧.\n⟦2⟧Use ⟦3⟧."
    assert verify(masked, "⟦0⟧استخدم ⟦1⟧.\n⟦2⟧استخدم ⟦3⟧.").ok
    assert verify(masked, "⟦0⟧استخدم ⟦3⟧.\n⟦2⟧استخدم ⟦1⟧.").reasons[0].startswith("span_order")
    assert verify(masked, "⟦2⟧استخدم ⟦3⟧.\n⟦0⟧استخدم ⟦1⟧.").reasons[0].startswith("span_order")


def test_a_word_pushed_against_a_url_is_parted_from_it() -> None:
    source = "See https://a.org/x now."
    masked = mask_part(source, find_spans(source))
    verdict = verify(masked, "انظر⟦0⟧الآن.")
    assert verdict.repairs == ("spacing",)
    assert restore(masked, verdict.text) == "انظر https://a.org/x الآن."


def test_what_is_translated_inside_json_is_escaped_there() -> None:
    text = '{"note": "Say it \\"loud\\" please", "id": 7}'
    spans = find_spans(text, kinds=FORMAL_KINDS)
    (part,) = split(text, spans, sentences=0)
    masked = mask_part(text, spans, start=part.start, end=part.end, escape=part.escape)
    assert masked.text == "Say it ⟦0⟧loud⟦1⟧ please"
    restored = part.lead + restore(masked, 'قل "ذلك" ⟦0⟧عاليا⟦1⟧\n') + part.trail
    assert json.loads(restored) == {"note": 'قل "ذلك" "عاليا"\n', "id": 7}


# -- hostile input -----------------------------------------------------------------------------------------------------

HOSTILE_SIZE = SIZE = 30_000
HOSTILE = {
    "backticks": "".join("`" * (n % 60 + 1) + " " for n in range(SIZE // 30)),
    "brackets": "[" * SIZE,
    "links": "[a](" * (SIZE // 4),
    "images": "![" * (SIZE // 2),
    "braces": "{" * SIZE,
    "json": '{"a":' * (SIZE // 5),
    "json lists": "[1," * (SIZE // 3),
    "json strings": '{"a":"' * (SIZE // 6),
    "dollars": "$a " * (SIZE // 3),
    "double dollars": "a $$ b\n\n" * (SIZE // 8),
    "tags": "<a " * (SIZE // 3),
    "tag quotes": "<a \"b'" * (SIZE // 6),
    "comments": "<!-- " * (SIZE // 5),
    "math": "\\[ x\n\n" * (SIZE // 6),
    "environments": "".join(f"\\begin{{e{n}}} x\n\n" for n in range(SIZE // 16)),
    "quotes": "> " * (SIZE // 2),
    "nested lists": "\n".join("  " * (n % 200) + "- a" for n in range(SIZE // 200)),
    "emails": "a." * (SIZE // 2) + "@",
    "at signs": "a@" * (SIZE // 2),
    "numbers": "1." * (SIZE // 2) + "a",
    "urls": "http://" * (SIZE // 7),
    "url brackets": "http://x" + ")" * SIZE,
    "sentinels": "⟦" * SIZE,
    "numbered sentinels": "⟦1" * (SIZE // 2),
    "tables": "|" * SIZE + "\n|-|-|\n" + "| a " * (SIZE // 4),
    "entities": "&a" * (SIZE // 2),
    "tool calls": "<tool_call>\n\n" * (SIZE // 13),
    "escapes": "\\" * SIZE,
    "references": "[a]: " * (SIZE // 5),
    "spaces": " " * SIZE + "x",
    "fences": "```\n~~~\n" * (SIZE // 8),
    "one word": "a" * SIZE,
    "placeholders": "{{a" * (SIZE // 3),
    "quotes and keys": '"a' * (SIZE // 2),
}


@pytest.mark.slow
@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_masked_split_and_restored_before_the_time_a_square_would_take(text: str) -> None:
    masked = mask(text)
    assert restore(masked, masked.text) == text
    split(text, find_spans(text, kinds=FORMAL_KINDS), sentences=1)
