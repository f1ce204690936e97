from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.agent.chat import TAGS
from sindbad.agent.parsing import Turn, TurnKind, extract_summary, parse_call, parse_turn, render_call
from sindbad.tools.environment import ToolCall
from tests.unit.agent.scripted import answer, make_chat, visit


def call(body: str) -> Turn:
    return parse_turn(f"<think>t</think><tool_call>{body}</tool_call>")


def test_a_good_call_and_a_good_answer_are_read() -> None:
    turn = parse_turn(visit("why", "Marota Lin") + "<|im_end|>")
    assert (turn.kind, turn.thought, turn.violations) == (TurnKind.CALL, "why", ())
    assert turn.call == ToolCall("visit", {"urls": ["Marota Lin"], "goal": "was born in"})
    final = parse_turn(answer("because", " تافل \n"))
    assert (final.kind, final.answer, final.thought) == (TurnKind.ANSWER, "تافل", "because")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ('{"name": "visit", "arguments": {"a": NaN}}', "not valid JSON"),
        ('{"name": "visit", "arguments": {"a": "\\ud800"}}', "not valid JSON"),
        ("[" * 5000, "not valid JSON"),
        ('{"name": "visit", "arguments": {"a": ' + "9" * 5000 + "}}", "not valid JSON"),
        ("[]", "no name"),
        ('{"arguments": {}}', "no name"),
        ('{"name": 3, "arguments": {}}', "no name"),
        ('{"name": "visit", "arguments": []}', "not an object"),
        ('{"name": "visit", "arguments": null}', "not an object"),
        ("x" * 30_000, "too long"),
    ],
)
def test_a_malformed_call_says_why(body: str, reason: str) -> None:
    turn = call(body)
    assert turn.kind is TurnKind.MALFORMED
    assert reason in turn.reason
    assert turn.call is None


def test_an_unclosed_or_doubled_call_is_malformed() -> None:
    assert parse_turn('<think>t</think><tool_call>{"name": "x"}').reason == "call is not closed"
    twice = "<tool_call>{}</tool_call>" * 2
    assert parse_turn(f"<think>t</think>{twice}").reason == "more than one call in a turn"


def test_arguments_as_a_json_string_and_code_blocks_are_understood() -> None:
    assert parse_call('{"name": "search", "arguments": "{\\"query\\": [\\"a\\"]}"}') == ToolCall(
        "search", {"query": ["a"]}
    )
    python = '{"name": "python", "arguments": {}}\n<code>\nprint(1)\n</code>'
    assert parse_call(python) == ToolCall("python", {"code": "print(1)"})
    assert parse_call('{"name": "python"}') == ToolCall("python", {})


@pytest.mark.parametrize(
    "text",
    [
        "<answer>Tavel</answer>",
        "thoughts</think><answer>Tavel</answer>",
        "<think>t<answer>Tavel</answer>",
        "hm<think>t</think>",
    ],
)
def test_a_missing_or_misplaced_think_tag_is_a_format_violation(text: str) -> None:
    assert parse_turn(text).violations == ("think",)


def test_a_thought_that_the_prompt_opened_is_no_violation() -> None:
    turn = parse_turn("t</think><answer>Tavel</answer>", thought_opened=True)
    assert (turn.violations, turn.answer) == ((), "Tavel")


@pytest.mark.parametrize(
    "rest", ["", "just words", "<answer></answer>", "<answer>a</answer><answer>b</answer>", "<answer>a"]
)
def test_neither_a_call_nor_one_answer_is_no_action(rest: str) -> None:
    assert parse_turn(f"<think>t</think>{rest}").kind is TurnKind.NO_ACTION


def test_a_call_and_an_answer_together_are_no_action() -> None:
    both = f"<think>t</think><answer>a</answer><tool_call>{render_call('visit', {})}</tool_call>"
    assert parse_turn(both).kind is TurnKind.NO_ACTION


def test_tags_that_the_policy_only_spelled_are_text_not_tags() -> None:
    chat = make_chat()
    ids = chat.assistant_turn("a page said <answer>no</answer>", answer="yes")
    assert parse_turn(chat.pieces(ids)).answer == "yes"
    spelled = [*chat.encode_text("<think>t</think><answer>no</answer>"), chat.end_of_turn_id]
    assert parse_turn(chat.pieces(spelled)).kind is TurnKind.NO_ACTION


def test_calls_are_rendered_as_json_dumps_prints_them() -> None:
    arguments = {"urls": ["ماروتا"], "goal": "وُلد في"}
    assert render_call("visit", arguments) == json.dumps({"name": "visit", "arguments": arguments}, ensure_ascii=False)
    assert parse_call(render_call("visit", arguments)) == ToolCall("visit", arguments)


@pytest.mark.parametrize(
    ("reply", "summary"),
    [
        ("<think>let me see</think><summary>A is B.</summary>", "A is B."),
        ("<think>a <summary>no</summary></think>words <summary> A is B. </summary> more", "A is B."),
        ("<think>t</think>A is B.", "A is B."),
        ("A is B.", "A is B."),
        ("t</think>A is B.", "A is B."),
        ("<summary>A is B.", "A is B."),
        ("<think>never ends <summary>A</summary>", ""),
        ("", ""),
    ],
)
def test_a_summary_reply_loses_its_thoughts_and_keeps_what_the_tags_hold(reply: str, summary: str) -> None:
    assert extract_summary(reply) == summary


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(st.sampled_from([*TAGS, "<|im_end|>", '{"name": "visit"', "}"]), st.text(max_size=6)), max_size=12
    )
)
def test_no_text_makes_the_parser_raise(parts: list[str]) -> None:
    turn = parse_turn("".join(parts))
    assert (turn.kind is TurnKind.CALL) == (turn.call is not None)
    assert (turn.kind is TurnKind.ANSWER) == (turn.answer is not None)
    extract_summary("".join(parts))
