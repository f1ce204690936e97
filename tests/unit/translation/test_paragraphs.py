"""Paragraphs that a translation lost, joined, or left in the source language."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from sindbad.corpus.filters import length_range
from sindbad.translation import replies
from sindbad.translation.paragraphs import MOST, is_prose, lost, paragraphs
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.speakers import Prompt
from sindbad.translation.translator import Translator, TranslatorSettings
from tests.unit.translation.speaking import Speaking

RATIO = math.sqrt(math.prod(length_range("en", "ar")))
THERE = [200, 260, 150, 310]
"""Characters of four paragraphs."""


def sized(sizes: Sequence[float]) -> list[str]:
    return ["x" * round(size) for size in sizes]


@pytest.mark.parametrize("ratio", [0.7, 0.9, 1.1])
@pytest.mark.parametrize(
    ("here", "gone"),
    [
        ([200, 260, 150, 310], False),
        ([460, 150, 310], False),  # joined
        ([200, 260, 460], False),
        ([920], False),
        ([200, 260, 150], True),
        ([260, 150, 310], True),
        ([200, 260], True),
        ([460], True),
        ([460, 150], True),  # one joined, one lost
        ([200, 260, 150, 100, 210], False),
        ([], False),  # nothing at all is another filter's
    ],
)
def test_the_lengths_tell_what_was_joined_from_what_was_lost(here: list[float], gone: bool, ratio: float) -> None:
    assert bool(lost(sized(THERE), sized([size * ratio for size in here]), RATIO)) is gone


def test_of_many_paragraphs_the_length_of_all_decides() -> None:
    there = sized([100.0] * (MOST + 20))
    assert lost(there, sized([90.0] * 30), RATIO) == MOST - 10
    assert lost(there, sized([180.0] * ((MOST + 20) // 2)), RATIO) == 0


def test_rules_and_blanks_are_no_paragraphs() -> None:
    assert paragraphs("One.\r\n\r\nTwo\nlines.\n \t\n---\n\n\n 3") == ["One.", "Two\nlines.", "3"]


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("We don't know what it was, but it came back.", True),
        ("The Lord of the Rings, The Two Towers", False),
        ("The Beatles, Pink Floyd, Led Zeppelin, Deep Purple", False),
        ("def quicksort(items): return sorted(items)", False),
        ("import numpy as np\nfor row in rows:\n    print(row, end='')", False),
        ("هذه جملة عربية من كلمات كثيرة", True),
        ("委员会星期一开会讨论了明年的预算和人员。", True),
        ("东京 大阪", False),
    ],
)
def test_prose_is_told_from_code_and_titles(text: str, prose: bool) -> None:
    assert is_prose(text) is prose


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", ["a", "aa ", "AA ", "aa, ", "a'", "\n \n", "\n ", "aa'a "])
def test_looking_for_paragraphs_and_prose_takes_no_square_of_the_length(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    is_prose(text)
    paragraphs(text)


# -- a text that is asked for whole ------------------------------------------------------------------------------------

ENGLISH = ["The weather is fine today and we go out.", "Nobody knows when the rain will come back.", "Ask me later."]
ARABIC = ["الطقس جميل اليوم وسوف نخرج.", "لا أحد يعرف متى يعود المطر.", "اسألني لاحقا."]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("\n\n".join(ARABIC), ""),
        ("\n".join(ARABIC), ""),
        ("\n\n".join(ARABIC[:2]), "paragraphs: 2 for 3"),
        (" ".join(ARABIC), "paragraphs: 1 for 3"),
        ("\n\n".join([ARABIC[0], ENGLISH[1], ARABIC[2]]), f"echo: '{ENGLISH[1]}' is the source's"),
        ("\n\n".join([*ARABIC[:2], ENGLISH[2]]), ""),  # too short to say
    ],
)
def test_a_whole_reply_has_all_paragraphs_and_none_of_the_source(reply: str, reason: str) -> None:
    assert replies.paragraphs("\n\n".join(ENGLISH), reply) == reason


@pytest.mark.parametrize("broken", [ARABIC[:2], [*ARABIC[:1], *ENGLISH[1:2], *ARABIC[2:]]])
async def test_a_document_that_comes_back_with_a_paragraph_less_is_asked_for_by_its_parts(broken: list[str]) -> None:
    known = dict(zip(ENGLISH, ARABIC, strict=True)) | {"\n\n".join(ENGLISH): "\n\n".join(broken)}

    def answer(text: str, prompt: Prompt) -> str:
        return known[text]

    speaker = Speaking(answer)
    translator = Translator(settings=TranslatorSettings(style=PromptStyle.INSTRUCT, retries=0), speaker=speaker)
    (outcome,) = await translator.translate(["\n\n".join(ENGLISH)])
    assert (outcome.accepted, outcome.text) == (True, "\n\n".join(ARABIC))
    assert speaker.texts == ["\n\n".join(ENGLISH), *ENGLISH]
