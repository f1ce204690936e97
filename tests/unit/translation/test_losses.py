"""Forms that a translator could lose while its output was accepted: each is protected, or the output is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from sindbad.translation import replies
from sindbad.translation.numbers import differing, value
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.protocol import Translation, TranslationRequest
from sindbad.translation.scan import find_spans
from sindbad.translation.segments import split
from sindbad.translation.sentinels import SENTINEL
from sindbad.translation.spans import FORMAL_KINDS, SpanKind, mask, mask_part, restore, verify
from sindbad.translation.speakers import Prompt
from sindbad.translation.translator import Translator, TranslatorSettings
from tests.unit.translation.documents import pseudo_arabic
from tests.unit.translation.scripted import Scripted, tokenizer
from tests.unit.translation.speaking import Speaking
from tests.unit.translation.test_structure import HOSTILE_SIZE, sent

INSTRUCT = TranslatorSettings(style=PromptStyle.INSTRUCT, remember_terms=False)


def careless(text: str, attempt: object = None) -> str:
    """Every word in Arabic letters, and no mark but a full stop kept: only sentinels and figures come through."""
    return "".join(
        piece if SENTINEL.fullmatch(piece) else re.sub(r"[^\w\s.,]|_", "", pseudo_arabic(piece))
        for piece in re.split(f"({SENTINEL.pattern.replace('(', '(?:')})", text)
    )


async def instructed(text: str, answer: Callable[[str, Prompt], str] = careless) -> Translation:
    return await Translator(settings=INSTRUCT, speaker=Speaking(answer)).translate(TranslationRequest.document(text))


TABLE = "| op | what |\n|---|---|\n| `x|y` | either one |\n| `x\\|y` | one more |\n| ``a`|b`` | the last |"
CASES = [
    # (text, what must come back, what a model sees of the rest)
    ("Both $3$ and $1 + 2$ are it.", ["$3$", "$1 + 2$"], ["Both and are it."]),
    ("Read $3/4$ and $10.5$ here.", ["$3/4$", "$10.5$"], ["Read and here."]),
    ("As $5 < 6$ and $(1+2)=3$ and $.5$ hold.", ["$5 < 6$", "$(1+2)=3$", "$.5$"], ["As and and hold."]),
    ("From $n-1$ to $1$ steps.", ["$n-1$", "$1$"], ["From to steps."]),
    ("Take $1$,$n$ now.", ["$1$", "$n$"], ["Take , now."]),
    ("The $n$th and $2^k$th and $f(x)$is.", ["$n$", "$2^k$", "$f(x)$"], ["The th and th and is."]),
    ("From $FIRST-$LAST on.", ["$FIRST", "$LAST"], ["From - on."]),
    ("In $HOME/$USER now.", ["$HOME", "$USER"], ["In / now."]),
    ("Set $PATH:$HOME now.", ["$PATH", "$HOME"], ["Set : now."]),
    ("Give $X,$Y now.", ["$X", "$Y"], ["Give , now."]),
    ("Your $balance$currency left.", ["$balance", "$currency"], ["Your left."]),
    ("Both ${A}/${B} here.", ["${A}", "${B}"], ["Both / here."]),
    ("So $a +\nb = c$ holds.", ["$a +\nb = c$"], ["So holds."]),
    ("<|im_start|>user\nHello there", ["<|im_start|>user"], ["Hello there"]),
    ("<start_of_turn>model\nHello there", ["<start_of_turn>model"], ["Hello there"]),
    ("<|start_header_id|>system<|end_header_id|>\n\nHello there",
     ["<|start_header_id|>system", "<|end_header_id|>"], ["Hello there"]),
    ("<|start|>assistant<|channel|>final<|message|>Hello there",
     ["<|start|>assistant", "<|channel|>final", "<|message|>"], ["Hello there"]),
    ("- [x] all done\n- [ ] still open\n1. [X] first", ["- [x] ", "- [ ] ", "1. [X] "],
     ["all done", "still open", "first"]),
    ("Copy s3://bucket/key over ws://a now.", ["s3://bucket/key", "ws://a"], ["Copy over now."]),
    ("Use ssh://me@host or file:///etc/hosts here.", ["ssh://me@host", "file:///etc/hosts"], ["Use or here."]),
    ("See github.com/a/b, or (en.wikipedia.org/wiki/X_(y)).", ["github.com/a/b", "en.wikipedia.org/wiki/X_(y)"],
     ["See , or ( )."]),
    ("He said.http://x.org/a is it", ["http://x.org/a"], ["He said. is it"]),
    ("Website-https://x.org/a or chrome-extension://b", ["https://x.org/a", "chrome-extension://b"], ["Website- or"]),
    ("Dear {user name} of { city }, hello.", ["{user name}", "{ city }"], ["Dear of , hello."]),
    ("It is so[^1] here.\n\n[^1]: note\n[^two]: Two words.", ["[^1]", "[^1]:", "[^two]:"],
     ["It is so here.", "note", "Two words."]),
    ("Call {'tool': 'search', 'note': 'Look for cats', 'ok': True} now.", ["'tool': 'search'", "'note':", "'ok': True"],
     ["Call { , 'Look for cats', } now."]),
    ("Call {'tags': ['one', 'two'], 'of': ['two words']} now.", ["'tags': ['one', 'two']", "'of':"],
     ["Call { , ['two words']} now."]),
    ('{\n "tool": "search",\n "note": "Look for cats",\n}', ['"tool": "search"', '"note":'],
     ['"Look for cats",']),
    (TABLE, ["`x|y`", "`x\\|y`", "``a`|b``"], ["op", "what", "either one", "one more", "the last"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kept", "seen"), CASES, ids=[case[0][:30] for case in CASES])
async def test_a_careless_translator_gets_each_form_back_or_is_refused(
    text: str, kept: list[str], seen: list[str]
) -> None:
    masked = mask(text)
    assert restore(masked, masked.text) == text
    assert sent(text) == seen
    faithful = await instructed(text, lambda said, prompt: pseudo_arabic(said))
    assert faithful.accepted, faithful.reason
    assert faithful.text != text
    for outcome in (faithful, await instructed(text)):
        assert [form for form in kept if form not in outcome.text] == [] or not outcome.accepted


@pytest.mark.parametrize(
    "text",
    ["It costs $5 and $6.", "It is $1.50 - $.90 off.", "Between $5-$6 or $1,000/$2,000.", "She gets $1-$.44=$.56 back.",
     "Pay US$5/6$ or 5$,6$.", "I pay $5\nor 6$ now.", "He rates it $-$$$ there.", "Read and/or write, a.com or x.io/.",
     "a {set of four words here} is", "see 5://6 and C://x", "It says 'no': so be it", "[x](a) link"],
)  # fmt: skip
def test_prices_and_prose_are_no_math_no_address_and_no_placeholder(text: str) -> None:
    kinds = {SpanKind.MATH, SpanKind.URL, SpanKind.PLACEHOLDER, SpanKind.MARK}
    assert [span.text for span in find_spans(text, kinds=FORMAL_KINDS) if span.kind in kinds] == []


def test_a_stray_tick_in_two_cells_of_a_sound_row_is_no_code() -> None:
    assert sent("| a | b |\n|---|---|\n| one ` two | three ` four |") == ["a", "b", "one ` two", "three ` four"]


def test_a_box_or_a_note_inside_a_json_string_stays_in_its_segment() -> None:
    text = '{"a": "[x] \\"déjà\\" vu", "b": "[^1]: déjà vu", "c": "so[^1] it is"}'
    spans = find_spans(text, kinds=FORMAL_KINDS)
    assert [span.text for span in spans if not span.block] == ["[x]", '\\"', '\\"', "[^1]:", "[^1]"]
    assert [part.escape for part in split(text, spans) if part.end > part.start] == ["json"] * 3


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "reply", "reason"),
    [
        ("Pay 12 now.", "ادفع 1234 الآن.", "span_lost"),
        ("Pay 12 now.", "ادفع 1.12 الآن.", "span_lost"),
        ("Pay 12 now.", "ادفع 12,5 الآن.", "span_lost"),
        ("Pay 12 now.", "ادفع 12% الآن.", "span_lost"),
        ("Pay 12 now.", "ادفع x12 الآن.", "span_lost"),
        ("Pay 12 now.", "ادفع ⟦0⟧34 الآن.", "numbers"),
        ("Pay 12 now.", "ادفع 3⟦0⟧ الآن.", "numbers"),
        ("Pay 12 now.", "ادفع -⟦0⟧ الآن.", "numbers"),
        ("Pay 12 now.", "ادفع ⟦0⟧ من 77 الآن.", "numbers"),
        ("It was -12 there.", "كانت ⟦0⟧ هناك.", "numbers"),
    ],
)
async def test_a_masked_number_that_became_another_one_is_refused(source: str, reply: str, reason: str) -> None:
    translator = Translator(Scripted(lambda text, attempt: reply, style=PromptStyle.LIGHT), tokenizer())
    (outcome,) = await translator.translate([source])
    assert (outcome.accepted, outcome.reason.split(":")[0]) == (False, reason)


async def test_a_sentence_asked_for_alone_is_held_to_the_numbers_behind_its_sentinels() -> None:
    def answer(text: str, attempt: int) -> str:
        return "⟦0⟧2" if text.count(".") == 1 else ""

    translator = Translator(Scripted(answer), tokenizer(), TranslatorSettings(sentences=0, retries=0))
    (outcome,) = await translator.translate(["Pay 15 now. Go home then."])
    assert outcome.reason.startswith("numbers")


async def test_a_dash_behind_another_span_is_no_sign() -> None:
    translator = Translator(Scripted(lambda text, attempt: "استخدم ⟦0⟧ - ⟦1⟧ هنا."), tokenizer())
    (outcome,) = await translator.translate(["Use `a`-5 here."])
    assert (outcome.accepted, outcome.text) == (True, "استخدم `a` - 5 هنا.")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("ادفع 12 الآن.", "ادفع 12 الآن."),
        ("ادفع 12، الآن.", "ادفع 12، الآن."),
        ("الآن ادفع 12", "الآن ادفع 12"),
        ("ادفع (12).", "ادفع (12)."),
    ],
)
async def test_a_number_that_was_written_out_alone_is_still_mended(reply: str, text: str) -> None:
    (outcome,) = await Translator(Scripted(lambda _, attempt: reply), tokenizer()).translate(["Pay 12 now."])
    assert (outcome.accepted, outcome.text) == (True, text)
    assert outcome.records[0].repairs == ("clear",)


def test_code_beside_a_letter_is_still_mended_and_a_name_inside_a_word_is_not() -> None:
    code = mask_part("Use `a` and `b` now.", find_spans("Use `a` and `b` now."))
    assert verify(code, "استخدم `a` و`b` الآن.").repairs == ("clear",)
    variable = mask_part("Print $HOME now.", find_spans("Print $HOME now."))
    assert verify(variable, "اطبع $HOME الآن.").ok
    assert verify(variable, "اطبع $HOMEPAGE الآن.").reasons[0].startswith("span_lost")


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("it was -5 degrees", "كانت 5 درجات", ["+5", "--5"]),
        ("it was \u22125 degrees", "كانت -٥ درجات", []),
        ("it was -5 degrees", "كانت 5 درجات تحت الصفر", []),
        ("it was 5 degrees below zero", "كانت -5 درجات", []),
        ("x=-5 or (-6)", "س=-5 أو (-6)", []),
        ("pages 5-6", "الصفحات 5 إلى 6", []),
        ("from 5 -6", "من 5 إلى 6", []),
        ("10%-20% of it", "10% إلى 20% منها", []),
        ("on 2020-01-02", "في 2020/01/02", []),
        ("- 5 apples", "5 تفاحات", []),
        ("COVID-19 came", "جاء كوفيد 19", []),
        ("COVID-19 came", "جاء كوفيد -19", []),
        ("COVID-19 at -19 degrees", "كوفيد -19 عند 19 درجة", []),
        ("COVID-19 at -20 degrees", "كوفيد -19 عند 20 درجة", ["+20", "--20"]),
        ("costs 1.234,5 euros", "يكلف 1234.5 يورو", []),
        ("costs 1.234.567 euros", "يكلف 1,234,567 يورو", []),
        ("costs 1.234 euros", "يكلف 1234 يورو", ["+1234", "-1.234"]),
    ],
)
def test_a_sign_counts_and_grouping_is_read_where_it_has_one_reading(
    source: str, target: str, found: list[str]
) -> None:
    assert differing(source, target, "en", "ar") == found


@pytest.mark.parametrize(
    ("left", "right"),
    [("1.234,5", "1,234.5"), ("1.234٫5", "1234.5"), ("1\u00a0234,50", "1234.5"), ("-0", "0"), ("\u22123", "-٣"),
     ("12.345.678,9", "12345678.9")],
)  # fmt: skip
def test_european_grouping_and_signs_are_values(left: str, right: str) -> None:
    assert value(left) == value(right)


# -- hostile input -----------------------------------------------------------------------------------------------------

HOSTILE_REPLY = 200_000
HOSTILE = {
    "formulas of figures": "$1+",
    "blanks in figures": "$1 " + " " * 50,
    "variables": "$A/",
    "wrapped formulas": "$a+\n",
    "boxes": "[x] ",
    "boxes on lines": "[x]\n",
    "footnotes": "[^a",
    "notes": "[^a]:\n",
    "words in braces": "{a b ",
    "blanks in braces": "{  ",
    "labels": "a.",
    "addresses": "a.com/ ",
    "schemes": "ab+://",
    "single quotes": "'a",
    "single keys": "{'a':'",
    "keys without an end": ",'a': 'b' ",
    "lists without an end": "{'a':['b','c', ",
    "one list": "'b', ",
    "roles": "<|im_start|>use",
    "table ticks": "|`|``",
    "open braces": "\\ab{",
    "braces in braces": "\\ab{{}",
    "pairs of braces": "\\ab{" + "{}" * 20,
    "code over lines": "<code>\n\n",
    "code tags": "<code>\n\n</samp>\n</code>\n",
    "values": '{"a":"b c"} ',
    "labels with words": "[a]: b\n",
    "used labels": "][a",
    "keys of front matter": "---\na: b\n",
    "minus": " -",
    "grouped": "1.234",
    "environments in environments": "\\begin{a} ",
    "environments on lines": "\\begin{a}\n",
    "environments of two names": "\\begin{a}\n\\begin{b}\n\\end{a}\n",
    "ends": "\\end{a}\n",
    "capitals": "[ABC",
    "joined capitals": "[A_",
    "halves of tokens": "<|a ",
    "lengths": "%-0ll",
    "tags left open": "<b><i></i>",
}


@pytest.mark.slow
@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_repetitions_of_these_forms_take_no_square_of_their_length(unit: str) -> None:
    for text in (
        unit * (HOSTILE_SIZE // len(unit)),
        "| a |\n|---|\n|" + unit.replace("\n", "") * (20_000 // len(unit)),
    ):
        masked = mask(text)
        assert restore(masked, masked.text) == text
        assert masked.sharing
        value(text)
        assert differing(text, text, "en", "ar") == []
        verify(masked, masked.text.replace("⟦0⟧", masked.spans[0].text) if masked.spans else text)


BLANKS = {
    "line ends": "\n",
    "lines of blanks": " \n",
    "quotes": '"\n',
    "dashes": "-",
    "blanks": " ",
    "line separators": "\u2028",
}


@pytest.mark.slow
@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", BLANKS.values(), ids=BLANKS.keys())
def test_a_reply_of_hardly_anything_but_blanks_is_checked_before_the_minutes_that_a_square_would_take(
    unit: str,
) -> None:
    blank = unit * (HOSTILE_REPLY // len(unit))
    for reply in (f"مرحبا\n{blank}صديقي", f"مرحبا، {blank}", f"{blank}\nصديقي"):
        assert replies.chatter("Hello there", reply, ("en", "ar")).startswith("chatter: 2000")
        assert replies.chatter(reply, reply + "\n", ("en", "ar")) == ""
        assert replies.echo(reply, reply) == ""
