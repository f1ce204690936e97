"""Protected spans: exactly once, and the identity for an identity translator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sindbad.translation.glossary import Glossary
from sindbad.translation.segments import split
from sindbad.translation.spans import SpanKind, compare, find_spans, mask, mask_part, restore

NAMES = Glossary({"Marota Lin": "ماروتا لين", "Marota": "ماروتا", "Tavel": "تافل"})
FRAGMENTS = st.sampled_from(
    [
        "Marota Lin",
        "was born in Tavel.",
        " ",
        "\n",
        "\n\n",
        "```python\nx = {1: 2}\n```\n",
        "~~~\ncode\n~~~",
        "`a`",
        "``b`c``",
        "https://x.org/a?b=c.",
        "a@b.org",
        "12,5",
        "٣٤",
        "⟦0⟧",
        "⟦ 1 ⟧",
        "⟦",
        "⟧",
        "{x}",
        "{{y}}",
        "%s",
        "[[z]]",
        "$HOME",
        "$a+b$",
        "$$\nx\n$$",
        "<b class='k'>bold</b>",
        '{"name": "search", "arguments": {"query": ["a b"]}}',
        "# Head",
        "- item",
        "1. first",
        "| a | b |",
        "> quote",
        "e.g. this",
        "Why? Because! «so»",
        "<|im_end|>",
        "<tool_call>{}</tool_call>",
        "{",
        "}",
    ]
)
DOCUMENTS = st.lists(FRAGMENTS | st.text(max_size=12), max_size=12).map("".join)
IDENTITY = Glossary({name: name for name in NAMES.terms})


@given(DOCUMENTS)
def test_an_identity_translator_gives_every_document_back(document: str) -> None:
    masked = mask_part(document, find_spans(document, IDENTITY))
    assert restore(masked, masked.text) == document


@given(DOCUMENTS, st.integers(0, 3))
def test_segments_concatenate_to_the_document_and_never_cut_a_span(document: str, sentences: int) -> None:
    spans = find_spans(document, IDENTITY)
    segments = split(document, spans, sentences=sentences)
    assert "".join(s.lead + document[s.start : s.end] + s.trail for s in segments) == document
    rebuilt = [restore(m, m.text) for m in (mask_part(document, spans, start=s.start, end=s.end) for s in segments)]
    assert rebuilt == [document[s.start : s.end] for s in segments]
    outside = [span for span in spans if not any(s.start <= span.start and span.end <= s.end for s in segments)]
    assert all(span.block or not any(c.isalpha() for c in span.text) for span in outside), outside
    cut = [span for span in spans for s in segments if span.start < s.end < span.end or span.start < s.start < span.end]
    assert not cut


@pytest.mark.parametrize(
    ("text", "kind", "span"),
    [
        ("run `pip install x` now", SpanKind.CODE, "`pip install x`"),
        ("````\n```\ninner\n```\n````\nafter", SpanKind.CODE, "````\n```\ninner\n```\n````"),
        ("~~~python\nprint()\n~~~\nok", SpanKind.CODE, "~~~python\nprint()\n~~~"),
        ("see https://a.org/b_(c). Then", SpanKind.URL, "https://a.org/b_(c)"),
        ("mail me@a.org today", SpanKind.EMAIL, "me@a.org"),
        ("in 1,234.5 days", SpanKind.NUMBER, "1,234.5"),
        ("عام ١٩٩٩ م", SpanKind.NUMBER, "١٩٩٩"),
        ("born in Tavel", SpanKind.NAME, "Tavel"),
        ("hello {user_name}!", SpanKind.PLACEHOLDER, "{user_name}"),
        (
            'call {"name": "visit", "arguments": {"urls": ["a"]}} now',
            SpanKind.JSON,
            '{"name": "visit", "arguments": {"urls": ["a"]}}',
        ),
        ("so $x^2$ holds", SpanKind.MATH, "$x^2$"),
        ("a <b>c</b>", SpanKind.MARKUP, "<b>"),
        ("stop <|im_end|> here", SpanKind.SPECIAL, "<|im_end|>"),
    ],
)
def test_each_kind_is_found(text: str, kind: SpanKind, span: str) -> None:
    assert (kind, span) in [(found.kind, found.text) for found in find_spans(text, NAMES)]


def test_a_name_comes_back_in_the_other_language_and_the_longest_name_wins() -> None:
    masked = mask_part("Marota Lin was born in Tavel.", find_spans("Marota Lin was born in Tavel.", NAMES))
    assert masked.text == "⟦0⟧ was born in ⟦1⟧."
    assert restore(masked, "في ⟦ 1 ⟧ ولد ⟦0⟧.") == "في تافل ولد ماروتا لين."


@pytest.mark.parametrize(
    ("translated", "expected"),
    [
        ("ولد ⟦0⟧.", "missing=[1]"),
        ("⟦0⟧ ⟦1⟧ ⟦1⟧", "repeated=[1]"),
        ("⟦0⟧ ⟦1⟧ ⟦2⟧", "unknown=[2]"),
        ("⟦0⟧ ⟦1⟧ ⟦", "stray=1"),
    ],
)
def test_a_broken_contract_is_named_and_never_restored(translated: str, expected: str) -> None:
    masked = mask_part("Marota was born in Tavel.", find_spans("Marota was born in Tavel.", NAMES))
    assert str(compare(masked, translated)) == expected
    with pytest.raises(ValueError, match=r".+"):
        restore(masked, translated)


def test_an_unclosed_brace_is_prose_and_a_name_inside_a_url_stays_in_it() -> None:
    spans = find_spans("a { b of Tavel at https://x.org/Tavel", NAMES)
    assert [(span.kind, span.text) for span in spans] == [
        (SpanKind.NAME, "Tavel"),
        (SpanKind.URL, "https://x.org/Tavel"),
    ]


@pytest.mark.parametrize(
    ("text", "shown", "written"),
    [
        ("Here Marota\nLin sleeps.", "Here ⟦0⟧ sleeps.", "Here ماروتا لين sleeps."),
        ("- Here Marota\n  Lin sleeps.", "⟦0⟧Here ⟦1⟧ sleeps.", "- Here ماروتا لين sleeps."),
        ("Here Marota  Lin sleeps.", "Here ⟦0⟧ sleeps.", "Here ماروتا لين sleeps."),
        ("Here Marota\n\nLin sleeps.", "Here ⟦0⟧\n\nLin sleeps.", "Here ماروتا\n\nLin sleeps."),
    ],
)
def test_a_term_may_be_divided_by_the_end_of_a_line_and_by_no_blank_line(text: str, shown: str, written: str) -> None:
    masked = mask(text, glossary=NAMES)
    assert (masked.text, restore(masked, masked.text)) == (shown, written)


def test_a_term_over_a_quotations_mark_is_left_to_the_model() -> None:
    only = Glossary({"Marota Lin": "ماروتا لين"})
    masked = mask("> Here Marota\n> Lin sleeps.", glossary=only)
    assert restore(masked, masked.text) == "> Here Marota\n> Lin sleeps."
    assert SpanKind.NAME not in {span.kind for span in masked.spans}


def test_a_term_is_found_by_its_words_however_they_are_spaced() -> None:
    assert NAMES.names_in("Marota\nLin and Marota  Lin, Tavel") == ["Marota Lin", "Marota Lin", "Tavel"]
    assert ("Marota \n Lin" in NAMES, NAMES["Marota\nLin"], NAMES.get("Marota Linn", "?")) == (True, "ماروتا لين", "?")
