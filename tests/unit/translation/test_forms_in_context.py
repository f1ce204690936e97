"""Every protected form in every place of a document: tables, quotations, lists, headings, the edge of a line or cell.

The output is looked at itself: a form that source and output misread alike makes no difference between the two.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from sindbad.translation.spans import FORMAL_KINDS, SpanKind, find_spans, mask, restore
from sindbad.translation.translator import structure_difference
from tests.unit.translation.documents import FORMS, KEPT, MARKDOWN
from tests.unit.translation.test_structure import sent, through

CONTEXTS = {
    "line": "{}",
    "sentence": "Please see {} in the text.",
    "end of a sentence": "Please see {}.",
    "glued to Arabic": "انظر {}، من فضلك",
    "brackets": "(see: {}).",
    "list": "- item one {} here\n- {}",
    "nested list": "1. one\n   - two {}",
    "quotation": "> quoted {}\n> {} here",
    "heading": "## About {}",
    "emphasis": "see **{}** here",
    "paragraphs": "First of all.\n\n{}\n\nLast of all.",
    "cell": "| a | b |\n|---|---|\n| x {} | y |\n| z | {} |",
    "cell to its edges": "|a|b|\n|---|---|\n|{}|{}|",
    "row without edges": "a | b\n--- | ---\n{} | y {}\nx | {}",
    "table in a quotation": "> | a | b |\n> |---|---|\n> | {} | see {} |",
    "table in a list": "- It is:\n\n  | a | b |\n  |---|---|\n  | {} | see {} |",
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS.keys())
def test_every_form_is_kept_by_a_translator_that_changes_every_word(context: str) -> None:
    failed = []
    for form, kept in FORMS.items():
        text = context.replace("{}", form)
        out = through(text)
        masked = mask(text)
        assert restore(masked, masked.text) == text
        if any(out.count(mark) < context.count("{}") * form.count(mark) for mark in kept):
            failed.append((form, out))
        assert structure_difference(text, out) == ""
    assert not failed


@settings(max_examples=150, deadline=None)
@given(MARKDOWN)
def test_no_mark_is_lost_from_a_document(document: str) -> None:
    out = through(document)
    assert {mark for mark in KEPT if out.count(mark) != document.count(mark)} == set()


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ("| <kbd>Ctrl</kbd> | Press <b>now</b> |", ["Press now"]),
        ("| Hello<br> | <img src='photo.png'/> |", ["Hello"]),
        ("| Dear <EMAIL> | <!-- a note --> |", ["Dear"]),
        ("| <|im_start|> | start of turn |", ["start of turn"]),
        ("| {{ name | upper }} | a <|tool> call |", ["a call"]),
        ("| $|x|$ | its size |", ["its size"]),
        ("| a > b | c |>", ["a > b", "c", ">"]),
    ],
)  # fmt: skip
def test_a_cell_ends_where_its_last_mark_ends(row: str, seen: list[str]) -> None:
    table = f"| one | two |\n|---|---|\n{row}"
    assert sent(table)[2:] == [part for part in seen if any(map(str.isalpha, part))]


# -- environments ------------------------------------------------------------------------------------------------------

ARRAY = (
    "\\begin{array}{cc}\n\\begin{array}{c} a \\end{array} & b \\\\\nx & \\text{otherwise} \\\\\ny & beta\n\\end{array}"
)
ITEMS = (
    "\\begin{itemize}\n\\item one\n\\begin{itemize}\n\n\\item two\n\\end{itemize}\n\n\\item three four\n\\end{itemize}"
)
CASES = "\\begin{cases} \\begin{cases} a \\end{cases} & if so \\\\ b & \\begin{cases} c \\end{cases} \\end{cases}"


@pytest.mark.parametrize("environment", [ARRAY, ITEMS, CASES])
@pytest.mark.parametrize("frame", ["{}", "It is:\n\n{}\n\nThat is all.", "> {}\n\nThat is all.", "- It is\n- {}\n"])
def test_an_environment_ends_with_its_own_end_not_with_that_of_one_inside(environment: str, frame: str) -> None:
    lines = environment.replace("\n", "\n> " if frame.startswith(">") else "\n  " if frame.startswith("-") else "\n")
    text = frame.replace("{}", lines)
    assert lines in through(text)
    assert not any(word in " ".join(sent(text)) for word in ("beta", "item", "three", "if so"))
    assert (through(text) == text) == (frame == "{}")


def test_inside_a_sentence_environments_of_one_name_are_matched_too() -> None:
    assert sent(f"So {CASES} and \\begin{{cases}} d \\end{{cases}} hold.") == ["So and hold."]


def test_an_environment_that_nothing_ends_leaves_the_prose_behind_it() -> None:
    text = "Write \\begin{itemize} first, and then your items."
    assert sent(text) == ["Write first, and then your items."]
    assert "\\begin{itemize}" in through(text)
    left_open = "\\begin{array}\n\\begin{array} a \\end{array}\n\nSome more prose."
    assert sent(left_open) == ["Some more prose."]


# -- tokens and fill-ins -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Dear [Name], welcome to [Company Name].", ["Dear [Name], welcome to [Company Name]."]),
        ("See [NASA](https://nasa.gov/a) or [API][1] now.", ["See NASA or API now."]),
        ("Pick [A] or [OK] and [this one].", ["Pick [A] or [OK] and [this one]."]),
        ("It rose 5 %d and 50%s and 20 % so far.", ["It rose 5 and 50%s and 20 % so far."]),
        ("In 100 %discount and %dépôt.", ["In 100 %discount and %dépôt."]),
        ("If a < b, x |> y or <|> z.", ["If a < b, x |> y or <|> z."]),
    ],
)  # fmt: skip
def test_what_only_resembles_a_token_is_prose(text: str, seen: list[str]) -> None:
    assert sent(text) == seen


@pytest.mark.parametrize(
    ("text", "kind", "span"),
    [
        ("[AVAILABLE_TOOLS][{\"type\": \"x\"}][/AVAILABLE_TOOLS][INST] Hi", SpanKind.SPECIAL, "[AVAILABLE_TOOLS]"),
        ("[TOOL_CALLS][{\"name\": \"x\"}]", SpanKind.SPECIAL, "[TOOL_CALLS]"),
        ("<|turn>user\nHello there<turn|>", SpanKind.SPECIAL, "<|turn>user"),
        ("<|channel>thought\nHello there", SpanKind.SPECIAL, "<|channel>thought"),
        ("<｜tool▁call▁begin｜>function<｜tool▁sep｜>x", SpanKind.SPECIAL, "<｜tool▁call▁begin｜>function"),
        ("Dear [NAME], hello.", SpanKind.PLACEHOLDER, "[NAME]"),
        ("the [UPDATE] came", SpanKind.PLACEHOLDER, "[UPDATE]"),
        ("take %1$@ and %2$ld", SpanKind.PLACEHOLDER, "%2$ld"),
        ("خذ %sب", SpanKind.PLACEHOLDER, "%s"),
    ],
)  # fmt: skip
def test_tokens_of_templates_and_formats_are_found(text: str, kind: SpanKind, span: str) -> None:
    assert (kind, span) in [(found.kind, found.text) for found in find_spans(text, kinds=FORMAL_KINDS)]
