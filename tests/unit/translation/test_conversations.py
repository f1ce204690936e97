"""Conversations, replies that are no translations, and many callers at once."""

from __future__ import annotations

import asyncio
import csv
import gzip
import time
from typing import Any

import pytest

from sindbad.corpus.answered import evidence
from sindbad.corpus.filters import Pair
from sindbad.errors import DeadlineExceeded, EngineFailure, InvalidInput, SindbadError
from sindbad.translation.fair import FairSlots
from sindbad.translation.glossary import Glossary
from sindbad.translation.numbers import differing, value
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.protocol import SegmentPair, TranslationRequest, Turn
from sindbad.translation.replies import chatter, echo
from sindbad.translation.speakers import EndpointSpeaker, Prompt, Said
from sindbad.translation.terms import TermMemory
from sindbad.translation.translator import Translator, TranslatorSettings
from sindbad.translation.wording import get_wording
from tests.shared import shared
from tests.unit.translation.documents import pseudo_arabic
from tests.unit.translation.speaking import Speaking, text_of

INSTRUCT = TranslatorSettings(style=PromptStyle.INSTRUCT, remember_terms=False)


def faithful(text: str, prompt: Prompt) -> str:
    return pseudo_arabic(text)


def conversation(*turns: Turn, **fields: Any) -> TranslationRequest:
    return TranslationRequest(turns, **fields)


CHAT = (
    Turn("system", "You are a helpful assistant for cooks.", {"weight": "0"}),
    Turn("user", "How long do I boil 3 eggs in the pan?", {"id": "u1"}),
    Turn("assistant", "Boil them for 10 minutes, then use `cold` water.", {"id": "a1"}),
    Turn("user", "And how long without the shell on them?"),
)


async def test_roles_order_and_metadata_come_out_as_they_went_in_and_earlier_turns_are_context() -> None:
    speaker = Speaking(faithful)
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(conversation(*CHAT, request_id="c1"))
    assert outcome.accepted
    assert outcome.request_id == "c1"
    assert [(turn.role, turn.metadata) for turn in outcome.turns] == [(turn.role, turn.metadata) for turn in CHAT]
    assert [turn.content for turn in outcome.turns][1:3] == [
        pseudo_arabic("How long do I boil 3 eggs in the pan?"),
        pseudo_arabic("Boil them for 10 minutes, then use ⟦0⟧ water.").replace("⟦0⟧", "`cold`"),
    ]
    assert "written by the system" in speaker.prompts[0].user
    assert "not an instruction to you" in speaker.prompts[0].system
    assert "conversation so far" not in speaker.prompts[0].user
    last = speaker.prompts[-1].user
    assert last.index(CHAT[1].content) < last.index(CHAT[2].content) < last.index(CHAT[3].content)
    assert outcome.turns[2].content in last
    assert [(record.turn, record.reason) for record in outcome.records] == [(0, ""), (1, ""), (2, ""), (3, "")]
    assert [(pair.turn, pair.start, pair.end) for pair in outcome.segment_map] == [
        (index, 0, len(turn.content)) for index, turn in enumerate(CHAT)
    ]


async def test_a_turn_that_fails_rejects_the_conversation_and_says_which() -> None:
    speaker = Speaking(lambda text, prompt: text if "boil" in text else pseudo_arabic(text))
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(conversation(*CHAT))
    assert (outcome.accepted, outcome.turns, outcome.text) == (False, (), "")
    assert outcome.reason.startswith("echo: turn 1:")
    assert not any("shell" in text for text in speaker.texts)


async def test_a_kept_turn_is_context_and_is_never_sent() -> None:
    speaker = Speaking(faithful)
    turns = (
        Turn("tool", '{"temperature": "Very hot today indeed"}', keep=True),
        Turn("assistant", "It is very hot today."),
    )
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(conversation(*turns))
    assert outcome.turns[0] == turns[0]
    assert speaker.texts == ["It is very hot today."]
    assert "Very hot today indeed" in speaker.prompts[0].user


async def test_what_a_task_asks_to_transform_stays_and_so_does_the_answer() -> None:
    turns = (
        Turn("user", "Fix the English grammar of this sentence: she go to school every day"),
        Turn("assistant", "She goes to school every day."),
        Turn("user", "Thank you very much, that was helpful to me."),
    )
    speaker = Speaking(faithful)
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(conversation(*turns))
    assert outcome.accepted, outcome.reason
    assert outcome.turns[0].content.endswith(": she go to school every day")
    assert outcome.turns[1].content == turns[1].content
    assert outcome.turns[2].content == pseudo_arabic(turns[2].content)
    assert speaker.texts[0] == "Fix the English grammar of this sentence: ⟦0⟧"
    assert outcome.notes == ("content_kept: turn 0: grammar", "content_kept: turn 1: grammar")
    everything = await Translator(settings=INSTRUCT, speaker=Speaking(faithful)).translate(
        conversation(*turns, keep_content=False)
    )
    assert "school" not in everything.turns[0].content


async def test_the_glossary_is_certain_and_who_is_spoken_to_is_told_to_every_turn_after() -> None:
    speaker = Speaking(faithful)
    turns = (
        Turn("user", "As a mother I cook with Sindbad every day."),
        Turn("assistant", "Then Sindbad is happy for you."),
    )
    request = conversation(*turns, glossary=Glossary({"Sindbad": "سندباد"}))
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(request)
    assert all("سندباد" in turn.content for turn in outcome.turns)
    assert "Sindbad" not in "".join(speaker.texts)
    assert all("feminine forms" in prompt.system for prompt in speaker.prompts)


@pytest.mark.parametrize(
    ("language", "text", "gender"),
    [("en", "Tell me about Sir Isaac Newton", ""),
     ("en", "Sir Edmund Hillary climbed it. When?", ""),
     ("en", "Thank you. Sir Edmund Hillary, who was he?", ""),
     ("en", "Please, Sir Winston Churchill's speeches", ""),
     ("en", "How did Marie Curie succeed as a woman in physics?", ""),
     ("en", "Tell me how Marie Curie succeeded as a woman in physics.", ""),
     ("en", "What was Lincoln like as a man?", ""),
     ("en", "Summarise the poem 'My Wife and I'.", ""),
     ("en", "Make this polite: “Dear Sir,\nmy husband is late.”", ""),
     ("en", "Dear Sir or Madam, what is the fee?", ""),
     ("en", "Dear Sir, what is the fee?", "masculine"),
     ("en", "Sir, what is the fee?", "masculine"),
     ("en", "I would like to know the fee, sir.", "masculine"),
     ("en", "Good morning madam what is the fee", "feminine"),
     ("en", "As a mother of two boys, what should I cook?", "feminine"),
     ("en", "What can I wear as a man", "masculine"),
     ("en", "My life as a father is hard.", "masculine"),
     ("en", "Why is my wife late?", "masculine"),
     ("en", "I'm pregnant. What may I eat?", "feminine"),
     ("fr", "Parlez-moi de Madame Bovary et de monsieur Homais", ""),
     ("fr", "Comment Marie Curie a-t-elle réussi en tant que femme ?", ""),
     ("fr", "Bonjour madame, quel est le prix ?", "feminine"),
     ("fr", "En tant que père, que puis-je faire, et que dois-je dire ?", ""),
     ("fr", "En tant que père, je cuisine.", "masculine")],
)  # fmt: skip
def test_who_is_spoken_to_is_heard_from_an_address_and_not_from_a_name_or_a_quotation(
    language: str, text: str, gender: str
) -> None:
    assert get_wording(language).addressee(text) == gender


def test_a_hostile_text_is_looked_through_for_an_address_in_linear_time() -> None:
    def seconds(text: str) -> float:
        begun = time.process_time()
        get_wording("en").addressee(text)
        return time.process_time() - begun

    for piece in ('"', "“", "'a ", " '", "I as a ", "i " * 3, ". ", ".\n\n", "dear sir ", ", sir ", "as a woman of "):
        assert seconds(piece * (60_000 // len(piece))) < 2.0, piece


async def test_a_term_is_asked_for_once_and_used_again_and_a_change_is_noticed() -> None:
    def answer(text: str, prompt: Prompt) -> str:
        if "JSON object" in prompt.user:
            return '{"Data Lake": "بحيرة البيانات", "Invented": "لا شيء من هذا"}'
        return "كتبنا هذا في بحيرة البيانات قبل أمس" if "wrote" in text else "سوف نقرؤه من خزان المعلومات غدا"

    speaker = Speaking(answer)
    settings = TranslatorSettings(style=PromptStyle.INSTRUCT)
    turns = (
        Turn("user", "we wrote it in the Data Lake yesterday"),
        Turn("assistant", "we will read the Data Lake tomorrow"),
    )
    outcome = await Translator(settings=settings, speaker=speaker).translate(conversation(*turns))
    assert outcome.accepted
    assert "Data Lake = بحيرة البيانات" in speaker.prompts[2].user
    assert "term_changed: turn 1: Data Lake" in outcome.notes
    assert len(speaker.prompts) == 4  # turn, terms, turn, and once more because the term had changed


class Counted(Speaking):
    """Adds up what the model was asked."""

    prompt_tokens = output_tokens = 0

    async def say(self, prompt: Prompt, **how: Any) -> Said:
        said = await super().say(prompt, **how)
        self.prompt_tokens += said.prompt_tokens
        self.output_tokens += said.output_tokens
        return said


TERMED = tuple(Turn(role, f"{word} we read it in the Data Lake again") for role, word in
               (("user", "Today"), ("assistant", "Tomorrow"), ("user", "Later")))  # fmt: skip


@pytest.mark.parametrize("rejected", [False, True])
async def test_every_question_of_a_conversation_is_in_its_account(rejected: bool) -> None:
    def answer(text: str, prompt: Prompt) -> str:
        if "JSON object" in prompt.user:
            return '{"Data Lake": "بحيرة البيانات"}'
        return "" if rejected and "Later" in text else "قرأنا هذا في بحيرة البيانات مرة أخرى"

    speaker = Counted(answer)
    settings = TranslatorSettings(style=PromptStyle.INSTRUCT, retries=0)
    outcome = await Translator(settings=settings, speaker=speaker).translate(conversation(*TERMED))
    assert outcome.accepted is not rejected
    assert (outcome.prompt_tokens, outcome.output_tokens) == (speaker.prompt_tokens, speaker.output_tokens)
    assert outcome.attempts == len(outcome.records) == len(speaker.prompts) > 3
    assert [record.turn for record in outcome.records if record.unit == "terms"] == [0]
    if outcome.accepted:
        sampled = [record.output_tokens for record in outcome.records if record.unit != "terms"]
        assert outcome.mean_logprob == pytest.approx(-len(sampled) / sum(sampled))


@pytest.mark.parametrize("error", [InvalidInput, DeadlineExceeded])
async def test_a_question_about_terms_that_fails_is_a_note_and_no_rejection(error: type[SindbadError]) -> None:
    def answer(text: str, prompt: Prompt) -> str:
        if "JSON object" in prompt.user:
            raise error("this model's maximum context length is 4096 tokens")
        return "قرأنا هذا في بحيرة البيانات مرة أخرى"

    speaker = Counted(answer)
    settings = TranslatorSettings(style=PromptStyle.INSTRUCT, retries=0)
    outcome = await Translator(settings=settings, speaker=speaker).translate(conversation(*TERMED))
    assert outcome.accepted
    noted = "this model's maximum context length is 4096 tokens"
    assert outcome.notes == tuple(f"terms_failed: turn {turn}: {noted}" for turn in (0, 1))
    assert outcome.output_tokens == speaker.output_tokens


def test_a_rendering_that_does_not_stand_in_the_translation_is_not_remembered() -> None:
    memory = TermMemory()
    memory.learn([("Data Lake", "مخزن"), ("API", "API")], "افتح API الآن")
    assert memory.chosen == {"API": "API"}
    assert memory.changed("the API is down", "والواجهة متعطلة") == ["API"]
    memory.learn([("Bank", "المصرف")], "فتح المصرف")
    assert memory.changed("the Bank", "ذهب إلى مصرف") == []


# -- replies that are no translations ----------------------------------------------------------------------------------

SOURCE = "The old bridge was closed for 12 days because of heavy rain."
GOOD = "أغلق الجسر القديم 12 يوما بسبب المطر الغزير."


@pytest.mark.parametrize(
    ("reply", "finish", "reason"),
    [
        (GOOD, "length", "truncated"),
        ("", "stop", "empty"),
        (SOURCE, "stop", "echo"),
        (f"Here are a few options:\n1. {GOOD}\n2. {GOOD}", "stop", "chatter"),
        (f"Sure! {GOOD}", "stop", "chatter"),
        (f"إليك الترجمة: {GOOD}", "stop", "chatter"),
        ("I'm sorry, but I cannot help with this request for translation.", "stop", "chatter"),
        (f"{GOOD}\n\nملاحظة: غيرت الترتيب.", "stop", "chatter"),
        (f"{GOOD}\n{GOOD}", "stop", "lines"),
        (GOOD.replace("12", "21"), "stop", "numbers"),
    ],
)  # fmt: skip
async def test_what_is_no_translation_is_asked_again_and_then_rejected(reply: str, finish: str, reason: str) -> None:
    speaker = Speaking(lambda text, prompt: reply, finish=finish)
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(TranslationRequest.document(SOURCE))
    assert (outcome.accepted, outcome.text) == (False, "")
    assert outcome.reason.split(":")[0] == reason
    assert len(speaker.prompts) == 3
    assert [record.reason.split(":")[0] for record in outcome.records] == [reason] * 3
    assert reason in speaker.prompts[1].user  # a general model is told what was wrong


@pytest.mark.slow
@pytest.mark.parametrize(("name", "numbers"), [("tico19_en_ar", 0.01), ("tatoeba_en_ar.train", 0.005)])
def test_professional_translations_are_rarely_taken_for_something_else(name: str, numbers: float) -> None:
    with gzip.open(shared("data", "parallel", f"{name}.tsv.gz"), "rt", encoding="utf-8") as file:
        pairs = [(row["en"], row["ar"]) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    both = [(en, ar, ("en", "ar")) for en, ar in pairs] + [(ar, en, ("ar", "en")) for en, ar in pairs]
    odd = [source for source, target, route in both if echo(source, target) or chatter(source, target, route)]
    assert len(odd) <= len(both) / 2000, odd[:5]
    assert sum(bool(differing(source, target, *route)) for source, target, route in both) <= numbers * len(both)


@pytest.mark.parametrize(("reply", "source"), [
    (GOOD, SOURCE), (GOOD.replace("12", "١٢"), SOURCE), (GOOD.replace("12", "اثني عشر"), SOURCE),
    ("بالتأكيد! سأفعل ذلك من أجلك غدا.", "Sure! I will do that for you tomorrow."),
    ("iPhone Pro Max", "iPhone Pro Max"),
])  # fmt: skip
async def test_a_good_reply_is_kept_at_once(reply: str, source: str) -> None:
    speaker = Speaking(lambda text, prompt: reply)
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(TranslationRequest.document(source))
    assert outcome.accepted, outcome.reason
    assert (outcome.text, len(speaker.prompts)) == (reply, 1)


async def test_a_document_is_asked_for_whole_and_by_its_parts_where_that_fails() -> None:
    text = "# The title of it\n\nUse `a` first please.\n\n- Then use `b` also.\n\n```\ncode\n```\n"

    def answer(text: str, prompt: Prompt) -> str:
        return pseudo_arabic(text).replace("⟦1⟧", "") if "⟦2⟧" in text else pseudo_arabic(text)

    whole = Speaking(faithful)
    outcome = await Translator(settings=INSTRUCT, speaker=whole).translate(TranslationRequest.document(text))
    assert outcome.accepted
    assert [record.unit for record in outcome.records] == ["turn"]
    parts = await Translator(settings=INSTRUCT, speaker=Speaking(answer)).translate(TranslationRequest.document(text))
    assert parts.accepted
    assert parts.text == outcome.text
    assert [record.unit for record in parts.records] == ["turn", "segment", "segment", "segment"]
    assert parts.records[0].reason.startswith("span_lost")
    assert [text[pair.start : pair.end] for pair in parts.segment_map] == [
        "The title of it", "Use `a` first please.", "Then use `b` also."
    ]  # fmt: skip


async def test_new_structure_in_a_reply_rejects_it() -> None:
    speaker = Speaking(lambda text, prompt: pseudo_arabic(text) + " `new`")
    outcome = await Translator(settings=INSTRUCT, speaker=speaker).translate(TranslationRequest.document(SOURCE))
    assert outcome.reason.startswith("structure: lost=[] added=['`new`']")


async def test_segments_are_told_in_order_as_they_are_settled() -> None:
    told: list[SegmentPair] = []
    settings = INSTRUCT.model_copy(update={"whole": False, "style": PromptStyle.LIGHT})
    speaker = Speaking(lambda text, prompt: pseudo_arabic(text.rpartition("\n")[2]))
    text = "One is here now.\n\nTwo is here now.\n\nThree is here now."
    outcome = await Translator(settings=settings, speaker=speaker).translate_request(
        TranslationRequest.document(text), told.append
    )
    assert tuple(told) == outcome.segment_map
    assert [text[pair.start : pair.end] for pair in told] == text.split("\n\n")


# -- callers, deadlines, mistakes --------------------------------------------------------------------------------------


async def test_segments_of_many_callers_are_in_flight_together_and_a_small_one_does_not_wait_for_a_large_one() -> None:
    speaker = Speaking(faithful, delay=0.01)
    translator = Translator(settings=INSTRUCT.model_copy(update={"concurrency": 4}), speaker=speaker)
    done: list[str] = []

    async def caller(name: str, count: int) -> None:
        await translator.translate([f"{name} sentence number {index} is here." for index in range(count)])
        done.append(name)

    await asyncio.gather(caller("large", 60), caller("small", 2))
    assert speaker.most == 4
    assert done == ["small", "large"]
    mixed = [{text.split()[0] for text in speaker.texts[start : start + 8]} for start in (0, 4)]
    assert {"large", "small"} in mixed


async def test_more_conversations_than_slots_wait_for_each_other() -> None:
    speaker = Speaking(faithful, delay=0.01)
    translator = Translator(settings=INSTRUCT.model_copy(update={"concurrency": 2}), speaker=speaker)
    requests = [
        TranslationRequest((Turn("user", f"Where is number {n} here?"), Turn("assistant", "It is over there.")))
        for n in range(8)
    ]
    outcomes = await asyncio.gather(*map(translator.translate_request, requests))
    assert all(outcome.accepted for outcome in outcomes)
    assert speaker.most == 2


async def test_a_cancelled_wait_gives_its_slot_to_the_next() -> None:
    slots = FairSlots(1)
    order: list[str] = []

    async def hold(name: str) -> None:
        async with slots.slot(name):
            order.append(name)
            await asyncio.sleep(0.01)

    first, second, third = (asyncio.create_task(hold(name)) for name in "abc")
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, third)
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (order, slots.waiting) == (["a", "c"], 0)


async def test_a_deadline_ends_the_generations() -> None:
    speaker = Speaking(faithful, delay=30)
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        await Translator(settings=INSTRUCT, speaker=speaker).translate(
            TranslationRequest.document(SOURCE, deadline_seconds=0.05)
        )
    assert speaker.running == 0


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (TranslationRequest(()), "turn"),
        (TranslationRequest.document("a", target="en"), "same"),
        (TranslationRequest.document("a", target="xx"), "xx"),
        (TranslationRequest.document("a", addressee="robot"), "addressee"),
    ],
)
async def test_the_callers_mistakes_are_named(request_: TranslationRequest, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        await Translator(settings=INSTRUCT, speaker=Speaking(faithful)).translate(request_)


async def test_an_endpoint_is_asked_with_a_system_message_and_its_reason_to_stop_counts() -> None:
    class Endpoint:
        asked: list[Any]

        def __init__(self, *replies: dict[str, Any]) -> None:
            self.replies, self.asked = list(replies), []

        async def ask(self, messages: Any, *, max_tokens: int = 512, **fields: Any) -> dict[str, Any]:
            self.asked.append((messages, max_tokens, fields))
            return self.replies.pop(0)

    def said(text: str | None, reason: str) -> dict[str, Any]:
        usage = {"prompt_tokens": 11, "completion_tokens": 5}
        return {"choices": [{"message": {"content": text}, "finish_reason": reason}], "usage": usage}

    endpoint = Endpoint(said(GOOD[:9], "length"), said(f"<think>hm</think>\n{GOOD}", "stop"))
    outcome = await Translator(settings=INSTRUCT, speaker=EndpointSpeaker(endpoint)).translate(
        TranslationRequest.document(SOURCE)
    )
    assert (outcome.accepted, outcome.text) == (True, GOOD)
    assert [record.finish_reason for record in outcome.records] == ["length", "stop"]
    assert (outcome.prompt_tokens, outcome.output_tokens, outcome.model_version) == (22, 10, -1)
    messages, max_tokens, fields = endpoint.asked[0]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert text_of(Prompt(messages[1]["content"])) == SOURCE
    assert (max_tokens, fields["temperature"], endpoint.asked[1][2]["temperature"]) == (4096, 0.0, 0.5)
    with pytest.raises(EngineFailure):
        await EndpointSpeaker(Endpoint({"error": 1})).say(Prompt("x"), max_tokens=1, longest=1, temperature=0, seed=0)


@pytest.mark.parametrize(
    ("left", "right"),
    [("3", "٣"), ("1,234.5", "١٬٢٣٤٫٥"), ("2,000", "2000"), ("3.0", "3"), ("10\u00a0000", "10000"), ("0.50", "٠٫٥"),
     ("1,5", "1.5")],
)  # fmt: skip
def test_numbers_are_compared_by_value(left: str, right: str) -> None:
    assert value(left) == value(right)


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("3 cats and 2 dogs", "ثلاث قطط وكلبان", []),
        ("born in 1999", "ولد عام ١٩٩٩", []),
        ("born in 1999", "ولد عام 1998", ["+1998", "-1999"]),
        ("five of 40", "5 من أصل 40", []),
        ("version 1.2.3 of H2O", "الإصدار 1.2.3 من الماء", []),
        ("costs 5 dollars", "يكلف كثيرا", ["-5"]),
        ("it was 1 of them", "كان 2 منهم", ["+2", "-1"]),
        ("HCoV-NL63 is mild", "فيروس NL66 خفيف", ["+66", "-63"]),
        ("the DPP4 receptor", "مستقبل دي بي بي 4", []),
        ("the Rover P6 of 1963", "روفر بي سيكس لعام 1963", []),
        ("it cost $103.7 million", "كلف 103,7 مليون دولار", []),
        ("6 of them are used", "تستخدم كلها", ["-6"]),
        ("it is often used", "يستخدم 10 مرات", ["+10"]),
        ("the 4th of 10", "الرابع من عشرة", []),
        ("bought 30 apples", "اشترى ثلاثين تفاحة", ["-30"]),
        ("bought 3 apples", "اشترى ثلاثين تفاحة", ["-3"]),
    ],
)
def test_a_small_number_may_be_spelled_out_and_no_other(source: str, target: str, found: list[str]) -> None:
    assert differing(source, target, "en", "ar") == found


@pytest.mark.parametrize(
    ("source", "reply", "languages"),
    [
        ("Definitely! You should visit the old town.", "بالتأكيد! عليك زيارة المدينة القديمة.", ("en", "ar")),
        ("Naturally, the price went up.", "بالطبع، ارتفع السعر.", ("en", "ar")),
        ("Indeed, it is so.", "بالتأكيد، الأمر كذلك.", ("en", "ar")),
        ("Undoubtedly, it is true.", "طبعا، هذا صحيح.", ("en", "ar")),
        ("حتما، سيأتي غدا.", "Certainly, he will come tomorrow.", ("ar", "en")),
        ("Yes, of course, he will come.", "بالطبع، طبعا، سيأتي.", ("en", "ar")),
        ("Indeed, it is so.", "Bien sûr, c'est ainsi.", ("en", "fr")),
        ("Évidemment, il viendra.", "بالطبع، سيأتي.", ("fr", "ar")),
    ],
)
def test_a_yes_of_the_source_may_be_any_yes(source: str, reply: str, languages: tuple[str, str]) -> None:
    assert chatter(source, reply, languages) == ""
    assert chatter(" ".join(source.split()[3:]), reply, languages).startswith("chatter")  # none of its own
    assert evidence(Pair(source, reply, *languages)) == 0


def test_behind_a_yes_of_the_source_chatter_is_still_chatter() -> None:
    for reply in ("بالتأكيد! إليك الترجمة: اذهب هناك.", "Sure! Here is the translation: اذهب هناك."):
        assert chatter("Definitely! Go there.", reply, ("en", "ar")).startswith("chatter")
