"""What a task asks to transform stays in the source language, through both ways of translating, and is not rejected for
it; everything around it is translated and judged as ever."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sindbad.clients.translation_messages import outcome_message, outcome_of
from sindbad.corpus.bilingual import make_pairs
from sindbad.corpus.bilingual_settings import PairsSettings
from sindbad.corpus.examiners import EndpointJudge, Examiner, JudgeExaminer, RoundTrip
from sindbad.corpus.export import export, pairs_of
from sindbad.corpus.exported import read_pairs
from sindbad.corpus.filters import DEFAULT_FILTERS, FilterSettings, Pair, judge, judge_all, judged_parts
from sindbad.corpus.job import local_store
from sindbad.corpus.ledger import Attempt
from sindbad.corpus.records import InstructionRecord, Message, Provenance, instruction
from sindbad.corpus.sources import SourceRequest, read_sources
from sindbad.corpus.translate import kept, translate_corpus
from sindbad.corpus.translators import ByConversation, ByMessage, RecordTranslator
from sindbad.demo.world import build_world
from sindbad.translation.content import kept_by_rule
from sindbad.translation.glossary import Glossary
from sindbad.translation.instructions import make_instructions
from sindbad.translation.prompts import PromptStyle, translation_prompt
from sindbad.translation.protocol import Translation, TranslationRequest, Turn
from sindbad.translation.speakers import Prompt
from sindbad.translation.translator import Translator, TranslatorSettings
from tests.shared import shared
from tests.unit.corpus.jobs import FAST, job
from tests.unit.translation.documents import pseudo_arabic
from tests.unit.translation.speaking import Speaking

WRONG, RIGHT = "she go to school yesterday", "She went to school yesterday."
ASKED = "Fix the English grammar of the following sentence: "
ARABIC = "أصلح القواعد الإنجليزية في الجملة التالية: "
TASK = instruction(f"{ASKED}{WRONG}", RIGHT, source="t", source_id="1", licences=["MIT"])
OTHER = instruction("The weather is nice today.", "Yes, it is.", source="t", source_id="2", licences=["MIT"])
DICTIONARY = {
    f"{ASKED}⟦0⟧": f"{ARABIC}⟦0⟧",
    "The weather is nice today.": "الطقس جميل اليوم.",
    "Yes, it is.": "نعم، هو كذلك.",
}


def dictionary(text: str, prompt: Prompt) -> str:
    """Translates what it knows; a text that it was not to see is answered in Arabic all the same."""
    asked = text.removeprefix(translation_prompt("", PromptStyle.LIGHT))
    return DICTIONARY.get(asked, pseudo_arabic(asked))


def through(way: str, speaker: Speaking) -> RecordTranslator:
    """Whole conversations with a general model, or each message for itself with a small one."""
    if way == "conversation":
        instruct = TranslatorSettings(style=PromptStyle.INSTRUCT, remember_terms=False)
        return ByConversation(Translator(settings=instruct, speaker=speaker))
    return ByMessage(Translator(settings=TranslatorSettings(), speaker=speaker))


def last(one: Any, record: InstructionRecord) -> Attempt:
    with one.ledger() as ledger:
        attempts: list[Attempt] = ledger.why(record.record_id)
    return attempts[-1]


@pytest.mark.parametrize("way", ["conversation", "message"])
async def test_a_grammar_task_comes_out_with_its_sentence_in_english_and_its_request_in_arabic(
    tmp_path: Path, way: str
) -> None:
    one, speaker = job(local_store(tmp_path)), Speaking(dictionary)
    done = await translate_corpus(one, [TASK, OTHER], through(way, speaker), settings=FAST)
    assert (done.kept, done.dropped) == (2, {})
    first, second = kept(one)
    assert [message.content for message in first.translation.messages] == [f"{ARABIC}{WRONG}", RIGHT]
    assert [message.content for message in second.translation.messages] == ["الطقس جميل اليوم.", "نعم، هو كذلك."]
    assert not any(WRONG in text or RIGHT in text for text in speaker.texts)
    attempt = last(one, TASK)
    assert attempt.notes == (
        "content_kept: turn 0: grammar", "content_kept: turn 1: grammar",
        f"kept: turn 0: {WRONG}", f"kept: turn 1: {RIGHT}",
    )  # fmt: skip
    assert attempt.scores["script"] == 1.0


COUNTING = instruction('How many letters are in the word "school"?', 'The word "school" has letters.', source="t",
                       source_id="3", licences=["MIT"])  # fmt: skip


async def test_what_stays_in_english_teaches_no_translator(tmp_path: Path) -> None:
    """Neither in the training text nor in the export's pairs; the row itself is in the data set."""
    one, speaker = (
        job(local_store(tmp_path / "job"), filters=FilterSettings(without=("language",))),
        Speaking(dictionary),
    )
    await translate_corpus(one, [TASK, COUNTING, OTHER], through("message", speaker), settings=FAST)
    assert [[bool(parts) for parts in row.stays] for row in kept(one)] == [[True, True], [True, True], []]
    made = await make_pairs(PairsSettings(cut=False), tmp_path / "pairs", jobs=[one])
    teacher = made.origins["teacher"]
    assert (teacher.candidates, teacher.kept, teacher.rejected) == (6, 2, {"kept": 4})
    lines = [json.loads(line) for line in (tmp_path / "pairs" / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert [line["completion"] for line in lines] == ["الطقس جميل اليوم.", "نعم، هو كذلك."]
    assert RIGHT in (tmp_path / "pairs" / "rejected.jsonl").read_text("utf-8")

    contents = export(one, tmp_path / "set")
    assert (contents.rows, contents.tuples) == (3, 1)
    assert list(read_pairs(tmp_path / "set")) == [
        ("The weather is nice today.", "الطقس جميل اليوم."), ("Yes, it is.", "نعم، هو كذلك."),
    ] == list(pairs_of(kept(one)))  # fmt: skip


@pytest.mark.parametrize("way", ["conversation", "message"])
async def test_other_filters_judge_such_a_row_again_without_its_content(tmp_path: Path, way: str) -> None:
    store, speaker = local_store(tmp_path), Speaking(dictionary)
    await translate_corpus(job(store), [TASK], through(way, speaker), settings=FAST)
    asked = len(speaker.prompts)
    other = job(store, filters=FilterSettings(script_share_min=0.9))
    assert (await translate_corpus(other, [TASK], through(way, speaker), settings=FAST)).kept == 1
    assert (len(speaker.prompts), last(other, TASK).round) == (asked, 2)
    third = job(store, filters=FilterSettings(script_share_min=0.91))  # what was judged again says it again
    assert (await translate_corpus(third, [TASK], through(way, speaker), settings=FAST)).kept == 1
    assert len(speaker.prompts) == asked


@pytest.mark.parametrize("way", ["conversation", "message"])
async def test_a_request_that_is_left_in_english_is_no_content_and_drops_the_row(tmp_path: Path, way: str) -> None:
    lazy = Speaking(lambda text, prompt: text.removeprefix(translation_prompt("", PromptStyle.LIGHT)))
    settings = TranslatorSettings(check_replies=False, remember_terms=False, style=PromptStyle.INSTRUCT)
    translator = Translator(settings=settings, speaker=lazy)
    chosen = ByMessage(translator) if way == "message" else ByConversation(translator)
    done = await translate_corpus(job(local_store(tmp_path)), [TASK], chosen, settings=FAST)
    assert done.dropped == {"untranslated": 1}


async def test_an_examiner_sees_what_was_translated_and_nothing_else(tmp_path: Path) -> None:
    prompts: list[str] = []

    class Model:
        async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
            prompts.append(prompt)
            return "accept"

    class Back:
        async def translate(
            self, texts: Sequence[str], *, source: str = "en", target: str = "ar", glossary: Glossary | None = None
        ) -> list[Translation]:
            assert [text.strip() for text in texts] == [ARABIC.strip()]
            return [Translation(ASKED, True)]

    one = job(local_store(tmp_path), examiners=("judge", "round_trip"))
    models: list[Examiner] = [JudgeExaminer(EndpointJudge(Model())), RoundTrip(Back())]
    done = await translate_corpus(
        one, [TASK], through("message", Speaking(dictionary)), settings=FAST, examiners=models
    )
    assert done.kept == 1
    assert len(prompts) == 1
    assert ASKED.strip() in prompts[0]
    assert WRONG not in prompts[0]
    assert last(one, TASK).scores["round_trip"] > 95


async def test_the_service_says_what_it_kept() -> None:
    turns = (Turn("user", TASK.messages[0].content), Turn("assistant", RIGHT), Turn("user", "Thank you very much."))
    outcome = await Translator(settings=TranslatorSettings(), speaker=Speaking(dictionary)).translate_request(
        TranslationRequest(turns)
    )
    assert [turn.kept for turn in outcome.turns] == [(WRONG,), (RIGHT,), ()]
    assert outcome_of(outcome_message(outcome)).turns == outcome.turns


# -- filters -----------------------------------------------------------------------------------------------------------

PAIR = Pair(f"{ASKED}{WRONG}", f"{ARABIC}{WRONG}", kept=(WRONG,))


def test_what_is_kept_is_not_judged_and_the_rest_is() -> None:
    assert judge(PAIR).keep
    assert judge(Pair(PAIR.source, PAIR.target)).reason == "script"
    assert judge(Pair(RIGHT, RIGHT, kept=(RIGHT,))).keep
    assert judge(Pair(RIGHT, RIGHT)).reason == "untranslated"
    assert judge(Pair(PAIR.source, PAIR.source, kept=(WRONG,))).reason == "untranslated"
    assert judge(Pair(PAIR.source, WRONG, kept=(WRONG,))).reason == "empty"
    script = next(one for one in DEFAULT_FILTERS if one.name == "script")
    assert script.check(PAIR) is None
    assert script.check(Pair(PAIR.source, PAIR.target)) is not None


def test_a_name_in_a_kept_sentence_keeps_its_form() -> None:
    glossary = Glossary({"Diramo": "ديرامو"})
    text = "Fix the grammar of the following: Diramo are a city"
    pair = Pair(text, "أصلح القواعد فيما يلي: Diramo are a city", glossary=glossary)
    assert judge(pair).reason == "script"
    assert judge(Pair(pair.source, pair.target, glossary=glossary, kept=("Diramo are a city",))).keep


def test_a_message_of_which_nothing_else_is_left_is_left_out() -> None:
    answer = Pair(f'"{RIGHT}"', f'"{RIGHT}"', kept=(RIGHT,))
    (left,) = judged_parts([PAIR, answer])
    assert (left.source.strip(), left.target.strip(), left.kept) == (ASKED.strip(), ARABIC.strip(), ())
    assert judged_parts([answer]) == []
    assert judge_all([PAIR, answer]).keep
    number = Pair("4", "5")
    assert judged_parts([number]) == [number]  # a number is judged, as it always was
    added = Pair(RIGHT, f"{RIGHT} وهذه جملة طويلة أضافها المترجم من عنده.", kept=(RIGHT,))
    assert judge_all([added]).reason == "length_ratio"  # a word around what is kept is looked at


def test_a_conversation_that_stays_in_english_nearly_whole_is_dropped_however_right_each_part_is() -> None:
    """Nothing but this filter sees what is kept: a wrong rule would leave whole answers in the corpus."""
    long = Pair(f"{RIGHT} " * 20, f"{RIGHT} " * 20, kept=(f"{RIGHT} " * 20,))
    verdict = judge_all([PAIR, long])
    assert (verdict.reason, verdict.scores[-1].name, verdict.scores[-1].high) == ("kept", "kept", 0.9)
    assert verdict.scores[-1].value > 0.9
    assert judge_all([PAIR, long], FilterSettings(kept_max=1.0)).keep
    assert judge_all([PAIR, long], FilterSettings(without=("kept",))).keep
    assert [score.name for score in judge_all([Pair("The sky is blue.", "السماء زرقاء.")]).scores] == [
        one.name for one in DEFAULT_FILTERS
    ]  # where nothing is kept the scores are those that they were


def test_a_short_word_is_taken_out_where_it_stands_alone() -> None:
    pair = Pair("What is the plural of he?", "ما جمع he؟", kept=("he",))
    assert pair.rest().source == "What is the plural of  ?"
    assert pair.rest().target == "ما جمع  ؟"


# -- which rows --------------------------------------------------------------------------------------------------------


def test_no_rule_fires_on_the_demos_instructions() -> None:
    rows = make_instructions([build_world(seed, entities=24) for seed in (1, 77)], 5, 600)
    assert not [message.content for row in rows for message in row.messages
                if kept_by_rule(message.content, "en").ranges]  # fmt: skip


async def test_a_record_without_such_a_task_is_translated_message_by_message_as_before() -> None:
    class Texts:
        asked: list[list[str]]

        async def translate(
            self,
            texts: Sequence[str],
            *,
            source: str = "en",
            target: str = "ar",
            glossary: Glossary | None = None,
            seed: int = 0,
        ) -> list[Translation]:
            self.asked = [list(texts)]
            return [Translation(pseudo_arabic(text), True) for text in texts]

        async def translate_request(self, request: TranslationRequest) -> Translation:
            raise AssertionError("no conversation is asked for")

    texts = Texts()
    outcome = await ByMessage(texts).translate(OTHER, None, 0)
    assert (texts.asked, outcome.kept) == ([["The weather is nice today.", "Yes, it is."]], ())


async def test_of_the_real_instructions_those_with_such_a_task_come_out_alike_through_both(tmp_path: Path) -> None:
    """A faithful translator: whatever is lost is lost to the rules."""
    names = ("self_instruct_seed_tasks", "self_instruct_user_oriented")
    paths = [shared("data", "instructions", f"{name}.jsonl.gz") for name in names]
    rows = [row for path in paths for row in read_sources([SourceRequest("self_instruct", path)])
            if any(kept_by_rule(m.content, "en").ranges for m in row.messages if m.role == "user")]  # fmt: skip
    assert len(rows) >= 10
    found: list[dict[str, list[str]]] = []
    for way in ("conversation", "message"):
        one, speaker = (
            job(local_store(tmp_path / way), filters=FilterSettings(without=("language",))),
            Speaking(lambda text, prompt: pseudo_arabic(text.removeprefix(translation_prompt("", PromptStyle.LIGHT)))),
        )
        done = await translate_corpus(one, rows, through(way, speaker), settings=FAST)
        assert done.kept >= 0.8 * len(rows), done.dropped
        found.append({row.key: [message.content for message in row.translation.messages] for row in kept(one)})
    spelling = [row for row in rows if "spelling" in row.messages[0].content]
    assert spelling
    assert any("hospical" in text for texts in found[0].values() for text in texts)
    assert found[0].keys() == found[1].keys()


async def test_a_system_message_is_not_searched_for_tasks() -> None:
    system = InstructionRecord(
        "r", "en", (Message("system", f"{ASKED}{WRONG}"), *OTHER.messages), Provenance("t", "3", ("MIT",)), {}
    )
    outcome = await through("message", Speaking(dictionary)).translate(system, None, 0)
    assert outcome.kept == ()
