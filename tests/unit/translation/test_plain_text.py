"""The short ways through text without marks give what the long ways give, on every text."""

from __future__ import annotations

import gzip
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.translation import inline
from sindbad.translation.blocks import parse, parse_markdown
from sindbad.translation.glossary import Glossary
from sindbad.translation.inline import Inline
from sindbad.translation.scan import find_spans
from sindbad.translation.translator import structure_difference
from tests.shared import shared

_BITS = [
    "Hello world", "the", "مرحبا", "12 apples", "12. x", "1) y", "3", "  ", "\t", "\n", "\n\n", " \n", "-", "---",
    "| a", "a|b", "|-|-|", "# h", ">q", "```", "$$", "\\[", "{", '"a": 1}', "[", "]", "[x]: y", "<b>", "</div>", "*",
    "(a)", "_", "===", "\r", "\r\n", "\0", "«ق»", "؟", "a  ", "\\", "www.x.com", "&amp;", "²", "٣", "٣. x", '"k" :',
    "a@b.cc", "%d", "{x}", "$X", "⟦0⟧", "⟧", "://", "http://a.b/c", "1/2", "10%", "5.", "x.5",
    "a.io/b", "'k':", "s3://b", "[x] ", "[^1]:", "[^1]", "{a b}", "- ", "$1$", ":", "/",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(_BITS), max_size=12).map("".join)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_text_without_marks_has_the_blocks_that_the_markdown_parser_finds(text: str) -> None:
    assert parse(text) == parse_markdown(text)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_a_stretch_without_triggers_holds_nothing_but_numbers(text: str) -> None:
    absent = Glossary({"no such term": "لا"})  # a glossary takes the long way
    assert Inline(text, Glossary()).scan() == Inline(text, absent).scan()


def test_every_alternative_of_the_scanner_needs_a_trigger() -> None:
    examples = {
        "sentinel": "⟦0⟧", "escape": "\\*", "ticks": "`", "display": "$$", "dollar": "$x", "command": "\\cmd{a}",
        "autolink": "<http://a>", "url": "www.a.b", "email": "a@b.c", "comment": "<!--", "special": "[INST]",
        "tool": "<tool_call>", "tag": "<b>", "entity": "&amp;", "anchor": "{#a}", "jinja": "{%a%}",
            "task": "[x] a", "footnote": "[^1]",
        "placeholder": "{x}", "positional": "%s", "json": '{"', "key": '"a":', "bracket": "[", "link": "]",
    }  # fmt: skip
    assert set(examples) == {name for name, _ in inline._PATTERNS}
    others = ["s3://a", "a.org/b", "'a': 1"]
    assert all(inline._TRIGGER.search(text) for text in (*examples.values(), *others))


def test_real_instructions_have_the_blocks_that_the_markdown_parser_finds() -> None:
    seen = 0
    for name in ("gpteacher_roleplay_sample", "gsm8k_train_sample", "self_instruct_seed_tasks"):
        with gzip.open(shared("data", "instructions", f"{name}.jsonl.gz"), "rt", encoding="utf-8") as file:
            for row in map(json.loads, (line for line, _ in zip(file, range(60), strict=False))):
                for text in (value for value in row.values() if isinstance(value, str) and value):
                    seen += parse(text) == parse_markdown(text)
                    assert parse(text) == parse_markdown(text)
    assert seen > 100


def test_structure_is_compared_without_the_glossary_that_hid_it() -> None:
    assert find_spans("Ask {name} now", Glossary({"Ask {name}": "اسأل"})) != find_spans("Ask {name} now")
    assert structure_difference("Ask {name} now", "اسأل {name} الآن") == ""
    assert structure_difference("Ask {name} now", "اسأل الآن").startswith("structure: lost=['{name}']")
