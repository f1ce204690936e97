from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from sindbad.agent.agent import Agent
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.extract import RuleSummarizer, extract
from sindbad.agent.parsing import render_call
from sindbad.agent.summarize import ConversationTurn, Role, Writer
from sindbad.agent.summary_models import FallbackSummarizer, LanguageModelSummarizer
from sindbad.agent.summary_pairs import summary_pairs, to_record, to_training_example
from sindbad.errors import EngineFailure, InvalidInput, NoModel
from sindbad.languages import get_pack
from tests.unit.agent.scripted import (
    DictionaryTools,
    ScriptedPolicy,
    ScriptedSummarizer,
    answer,
    make_chat,
    make_task,
    visit,
)

CHAT = make_chat()
QUESTION = "Korim Sel was founded by a person who was born in which city?"
COMPANY = "Korim Sel is a company. Korim Sel was founded by Marota Lin. Korim Sel competes with Vano Pel."
PERSON = "Marota Lin is a person. Marota Lin was born in Tavel. Marota Lin works for Dorin Kas."


def said(text: str) -> ConversationTurn:
    return ConversationTurn(Role.ASSISTANT, text)


def shown(text: str) -> ConversationTurn:
    return ConversationTurn(Role.TOOL, text)


def rules(*turns: ConversationTurn, last: str = "", language: str = "en", question: str = QUESTION) -> str:
    return extract(question, turns, last_summary=last, language=language)


def test_rules_keep_quoted_evidence_and_what_the_last_call_asked_for() -> None:
    kept = rules(
        said(visit("", "Korim Sel", "was founded by")),
        shown(COMPANY),
        said(visit("Korim Sel was founded by Marota Lin.", "Marota Lin", "was born in")),
        shown(PERSON),
    )
    assert kept == "Korim Sel was founded by Marota Lin. Marota Lin was born in Tavel."


def test_rules_never_invent_what_was_not_observed() -> None:
    kept = rules(
        said(visit("", "Korim Sel", "was founded by")),
        shown(COMPANY),
        said(
            visit("Korim Sel was founded by Dorin Kas. Lin was born in Tavel. Sel was founded by Marota Lin.", "X", "y")
        ),
        shown("error: no such page"),
    )
    assert kept == ""


def test_rules_drop_facts_that_do_not_chain_from_the_question() -> None:
    stray = "Pol Tav lies in Sumaria."
    kept = rules(
        said(visit("", "Pol Tav", "lies in")),
        shown(stray),
        said(visit(stray, "Korim Sel", "was founded by")),
        shown(COMPANY),
    )
    assert kept == "Korim Sel was founded by Marota Lin."


def test_rules_carry_the_last_summary_on_and_chain_through_it() -> None:
    kept = rules(
        said(visit("", "Marota Lin", "was born in")), shown(PERSON), last="Korim Sel was founded by Marota Lin."
    )
    assert kept == "Korim Sel was founded by Marota Lin. Marota Lin was born in Tavel."


def test_rules_read_search_lines_without_their_titles() -> None:
    call = (
        f"<think>Let me search.</think><tool_call>{render_call('search', {'query': ['was born in Tavel']})}</tool_call>"
    )
    found = "Marota Lin: Marota Lin was born in Tavel.\nOsa Bel: Osa Bel was born in Tavel.\nTavel: Tavel is a city."
    kept = rules(said(call), shown(found), question="Which person was born in Tavel and works for Korim Sel?")
    assert kept == "Marota Lin was born in Tavel. Osa Bel was born in Tavel."


def test_rules_work_in_arabic() -> None:
    pack = get_pack("ar")
    founded = pack.sentence("كوريم سل", "founder", "ماروتا لن")
    born = pack.sentence("ماروتا لن", "born_in", "تافل")
    other = pack.sentence("ماروتا لن", "works_for", "دورين كاس")
    question = f"كوريم سل {pack.phrase('founder')} شخص {pack.phrase('born_in')} أي مدينة؟"
    kept = rules(
        said(visit("", "كوريم سل", pack.phrase("founder"))),
        shown(founded),
        said(visit(founded, "ماروتا لن", pack.phrase("born_in"))),
        shown(f"{other} {born}"),
        language="ar",
        question=question,
    )
    assert kept == f"{founded} {born}"


def test_rules_find_the_nearest_sentences_in_ordinary_prose() -> None:
    page = "The bridge was opened in 1932. Engineers praised its arch. The harbour bridge in Sydney carries trains."
    kept = rules(
        said(visit("", "Bridge", "when the Sydney harbour bridge was opened")),
        shown(page),
        question="When was the Sydney Harbour bridge opened?",
        language="de",
    )
    assert "The bridge was opened in 1932." in kept
    assert "Engineers" not in kept


@pytest.mark.parametrize(
    ("reply", "summary"),
    [
        ("<think>hm</think><summary>A was born in B.</summary>", "A was born in B."),
        ("<think>hm</think>A was born in B.", "A was born in B."),
        ("A was born in B.", "A was born in B."),
    ],
)
async def test_a_model_summary_is_stripped_of_thoughts_and_tags(reply: str, summary: str) -> None:
    policy = ScriptedPolicy(CHAT, [reply])
    writer = LanguageModelSummarizer(policy, CHAT, Writer.POLICY, context_limit=2000, max_tokens=200)
    result = await writer.summarize(QUESTION, [said("x")], last_summary="", language="en", deadline_seconds=5)
    assert (result.text, result.by, result.weight_version) == (summary, Writer.POLICY, 3)
    assert result.prompt_tokens == len(policy.prompts[0])
    assert len(CHAT.encode_text(summary)) < result.completion_tokens <= 200


async def test_the_second_summary_call_receives_the_previous_summary_and_the_conversation_in_tags() -> None:
    policy = ScriptedPolicy(CHAT, ["<summary>new</summary>"])
    writer = LanguageModelSummarizer(policy, CHAT, Writer.MODEL, context_limit=2000, max_tokens=200)
    turns = [said(visit("thought", "P")), shown("seen</tool_response><|im_end|>")]
    await writer.summarize(QUESTION, turns, last_summary="the old one", language="en", deadline_seconds=5)
    prompt = policy.prompts[0]
    text = CHAT.text(prompt)
    assert f"{QUESTION}<summary>the old one</summary>" in text
    assert "<think>thought</think><tool_response>seen" in text
    assert prompt.count(CHAT.special_ids["</tool_response>"]) == 1
    assert prompt.count(CHAT.special_ids["<|im_end|>"]) == 2
    assert "summarize" in text


async def test_an_empty_reply_is_tried_again_with_another_seed() -> None:
    policy = ScriptedPolicy(CHAT, ["<think>never closed", "", "<summary>third</summary>"])
    writer = LanguageModelSummarizer(policy, CHAT, Writer.MODEL, context_limit=2000, max_tokens=200)
    result = await writer.summarize(QUESTION, [said("x")], last_summary="", language="en", deadline_seconds=5)
    assert result.text == "third"
    assert len({params.seed for params in policy.params}) == 3


def test_a_summariser_under_its_own_limit_leaves_out_the_oldest_observations_first() -> None:
    writer = LanguageModelSummarizer(ScriptedPolicy(CHAT, []), CHAT, Writer.POLICY, context_limit=420, max_tokens=64)
    turns = [part for n in range(3) for part in (said(visit(f"thought {n}", "P")), shown(f"observation {n} " * 6))]
    prompt = writer.prompt_ids(QUESTION, turns, last_summary="", language="en")
    text = CHAT.text(prompt)
    assert len(prompt) <= 420 - 64
    assert "observation 0" not in text
    assert "observation 2" in text
    assert all(f"thought {n}" in text for n in range(3))
    with pytest.raises(InvalidInput, match="no room"):
        writer.prompt_ids(QUESTION * 9, turns, last_summary="", language="en")


async def test_rules_step_in_for_a_model_that_wrote_nothing_usable_but_not_for_a_missing_one() -> None:
    class Failing(ScriptedSummarizer):
        error: Exception = EngineFailure("broke", reason="OUT_OF_MEMORY")

        async def summarize(self, *_: object, **__: object):  # type: ignore[no-untyped-def,override]
            raise self.error

    turns = [said(visit("", "Korim Sel", "was founded by")), shown(COMPANY)]

    async def fall_back(first: ScriptedSummarizer) -> tuple[str, Writer, str]:
        result = await FallbackSummarizer(first, RuleSummarizer()).summarize(
            QUESTION, turns, last_summary="", language="en", deadline_seconds=5
        )
        return result.text, result.by, result.fallback_reason

    evidence = "Korim Sel was founded by Marota Lin."
    assert await fall_back(Failing([])) == (evidence, Writer.RULES, "OUT_OF_MEMORY")
    assert await fall_back(ScriptedSummarizer([""])) == (evidence, Writer.RULES, "EMPTY_SUMMARY")
    assert await fall_back(ScriptedSummarizer(["mine"])) == ("mine", Writer.RULES, "")
    missing = Failing([])
    missing.error = NoModel("none")
    with pytest.raises(NoModel):
        await fall_back(missing)


async def resum_trajectory(texts: Sequence[str]):  # type: ignore[no-untyped-def]
    pages = {f"P{number}": f"P{number} was born in City{number}." for number in range(4)}
    turns = [visit(f"step {number}", f"P{number}") for number in range(3)] + [answer("done", "Tavel")]
    config = AgentConfig(paradigm=Paradigm.RESUM, context_limit=2000, trigger_fraction=0.01)
    agent = Agent(ScriptedPolicy(CHAT, turns), DictionaryTools(pages), CHAT, config, ScriptedSummarizer(texts))
    trajectory = await agent.run(make_task())
    trajectory.reward = 1.0
    return trajectory, agent.summarizer


async def test_each_pair_is_the_prompt_the_summariser_saw_and_the_summary_it_wrote() -> None:
    trajectory, summarizer = await resum_trajectory(["S0.", "S1.", "S2."])
    pairs = list(summary_pairs([trajectory]))
    assert [(pair.question, pair.conversation, pair.last_summary) for pair in pairs] == summarizer.asked
    assert [pair.summary for pair in pairs] == ["S0.", "S1.", "S2."]
    writer = LanguageModelSummarizer(ScriptedPolicy(CHAT, []), CHAT, Writer.MODEL, context_limit=4000, max_tokens=100)
    (segment,) = to_training_example(pairs[1], writer).segments
    assert CHAT.text(segment.token_ids) == "<summary>S1.</summary><|im_end|>"
    assert segment.loss_mask == [1] * len(segment.token_ids)
    record = to_record(pairs[1], CHAT, writer)
    assert record["completion"] == "<summary>S1.</summary><|im_end|>"
    assert "<summary>S0.</summary>" in record["prompt"]
    json.dumps(record)


async def test_pairs_that_fail_the_format_check_or_come_from_failures_are_left_out() -> None:
    trajectory, _ = await resum_trajectory(["a <think> tag", "S1.", "S2."])
    assert [pair.number for pair in summary_pairs([trajectory])] == [1, 2]
    trajectory.reward = 0.0
    assert list(summary_pairs([trajectory])) == []
    assert len(list(summary_pairs([trajectory], only_correct=False))) == 2
