"""Equal segments are asked for once, and each gets the reply only where it is a translation of its own."""

from __future__ import annotations

import re

import pytest

from sindbad.translation.asking import Frame, Route
from sindbad.translation.attempts import Attempts, Outcome
from sindbad.translation.protocol import TranslationRequest
from sindbad.translation.spans import Masked, find_spans, mask_part
from sindbad.translation.translator import Translator, TranslatorSettings
from tests.unit.translation.documents import pseudo_arabic
from tests.unit.translation.scripted import Scripted, tokenizer
from tests.unit.translation.test_losses import instructed
from tests.unit.translation.test_structure import through

FREE = TranslatorSettings(retries=0)


def swapped(text: str, attempt: int = 0) -> str:
    """Every word in Arabic letters, and the second sentinel first."""
    marks, words = re.findall(r"⟦\d+⟧", text), pseudo_arabic(text)
    return f"{marks[1]} {words.replace(marks[1], '', 1)}" if len(marks) > 1 else words


PAIRED, UNPAIRED = "<b>Bold text</b> here", "<b>Bold text</i> here"


@pytest.mark.parametrize("texts", [[PAIRED, UNPAIRED], [UNPAIRED, PAIRED]])
async def test_a_reply_that_crosses_a_pair_is_none_for_a_pair_and_one_for_two_loose_tags(texts: list[str]) -> None:
    expected = {PAIRED: "span_order", UNPAIRED: ""}
    outcomes = await Translator(Scripted(swapped), tokenizer(), FREE).translate(texts)
    assert [outcome.reason.split(":")[0] for outcome in outcomes] == [expected[text] for text in texts]
    (document,) = await Translator(Scripted(swapped), tokenizer(), FREE).translate(["\n\n".join(texts)])
    assert (document.accepted, document.reason.split(":")[0]) == (False, "span_order")


async def test_one_callers_tags_do_not_reach_another_through_the_cache() -> None:
    translator = Translator(Scripted(swapped), tokenizer(), FREE)
    (loose,) = await translator.translate([UNPAIRED])
    assert loose.accepted
    pair, plain = await translator.translate([PAIRED, "Good day."])
    assert (pair.accepted, pair.reason.split(":")[0]) == (False, "span_order")
    assert plain.accepted
    assert translator.counters.cache_hits == 0


async def test_tags_of_one_pair_share_a_reply_with_those_of_another() -> None:
    model = Scripted(lambda text, attempt: pseudo_arabic(text))
    outcomes = await Translator(model, tokenizer(), FREE).translate([PAIRED, PAIRED.replace("b>", "i>")])
    assert len(model.asked) == 1
    assert outcomes[1].text == outcomes[0].text.replace("b>", "i>")


@pytest.mark.parametrize("together", [True, False])
async def test_a_reply_that_has_the_number_of_one_segment_is_refused_for_another(together: bool) -> None:
    model = Scripted(lambda text, attempt: "كانت -⟦0⟧ هناك.")  # of 0 it is 0, of 12 another number
    translator = Translator(model, tokenizer(), FREE)
    texts = ["It was 0 there.", "It was 12 there.", "It was 0 there."]
    if together:
        outcomes = await translator.translate(texts)
    else:
        outcomes = [(await translator.translate([text]))[0] for text in texts]
    assert [outcome.reason.split(":")[0] for outcome in outcomes] == ["", "numbers", ""]
    assert len(model.asked) == 2


async def test_text_that_looks_like_the_key_of_a_json_string_shares_nothing_with_it() -> None:
    for texts in (
        ['{"a": "Good morning all"}', "json||Good morning all"],
        ["json||Good morning all", '{"a": "Good morning all"}'],
    ):
        outcome = await instructed("\n\n".join(texts), lambda said, prompt: pseudo_arabic(said))
        assert outcome.text == "\n\n".join(map(through, texts))


# -- what cannot be put back is a rejection ----------------------------------------------------------------------------

CROSSING = "<b>One <i>two. Three</i> four</b>."


async def test_sentences_that_cross_each_others_pairs_are_refused_and_asked_for_again() -> None:
    def answer(text: str, attempt: int) -> str:
        if text.count(".") > 1 and not attempt:
            return "⟦0⟧"
        return swapped(text) if text.startswith("⟦0⟧One") and text.count(".") == 1 else pseudo_arabic(text)

    for retries, reason in ((0, "span_order"), (1, "")):
        settings = TranslatorSettings(sentences=0, retries=retries)
        (outcome,) = await Translator(Scripted(answer), tokenizer(), settings).translate([CROSSING])
        assert (outcome.accepted, outcome.reason.split(":")[0]) == (not reason, reason)
        assert [record.unit for record in outcome.records] == ["segment", "sentence", "sentence", "segment"][
            : 3 + retries
        ]


async def test_a_text_that_cannot_be_put_back_rejects_its_document_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Attempts.segment

    async def unsound(self: Attempts, masked: Masked, route: Route, frame: Frame) -> Outcome:
        return Outcome("⟦7⟧", "") if "bad" in masked.text else await sound(self, masked, route, frame)

    monkeypatch.setattr(Attempts, "segment", unsound)
    translator = Translator(Scripted(lambda text, attempt: pseudo_arabic(text)), tokenizer(), FREE)
    good, bad = await translator.translate(["A good `a`.", "A bad `a`."])
    assert (good.accepted, bad.accepted, bad.reason.split(":")[0]) == (True, False, "span_lost")
    heard: list[object] = []
    outcome = await translator.translate_request(TranslationRequest.document("A bad `a`."), heard.append)
    assert (outcome.accepted, heard) == (False, [])


def test_what_shares_a_reply_is_decided_by_kinds_roles_and_partners() -> None:
    def sharing(text: str) -> tuple[str, ...]:
        return mask_part(text, find_spans(text)).sharing

    assert sharing("a <b>c</b> d") == sharing("a <i>c</i> d")
    assert sharing("a <b>c</b> d") != sharing("a <b>c</i> d")
    assert sharing("a `b` c") != sharing("a b@c.org c")
    assert sharing("a 1 c") == sharing("a 2 c")
    assert sharing("%s a {x}") != sharing("{x} a %s")
