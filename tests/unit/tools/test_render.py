"""What the policy reads, and what it is told when it calls a tool wrongly."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sindbad.retrieval.page import Hit
from sindbad.tools import render, specs
from sindbad.tools.environment import ToolCall
from sindbad.tools.render import Evidence, Style

LIN = Hit("https://w1.encyclopedia.example/en/marota_lin", "Marota Lin", "She was born in Tavel.", 3.0)
SEL = Hit("https://w1.encyclopedia.example/en/korim_sel", "Korim Sel", "Korim Sel was founded by Marota Lin.", 2.0)


def test_compact_search_is_one_line_a_hit() -> None:
    text = render.render_search(["born in Tavel"], [[LIN, SEL]], Style.COMPACT)
    assert text == "Marota Lin: She was born in Tavel.\nKorim Sel: Korim Sel was founded by Marota Lin."


def test_compact_search_prints_a_line_once_when_two_queries_find_it() -> None:
    assert render.render_search(["a", "b"], [[LIN], [LIN]], Style.COMPACT).count("Marota Lin:") == 1


def test_full_search_numbers_hits_and_shows_their_urls() -> None:
    text = render.render_search(["q", "nothing"], [[LIN], []], Style.FULL)
    assert text.splitlines() == [
        'Results for "q":', "1. Marota Lin", f"   {LIN.url}", "   She was born in Tavel.", "",
        'Results for "nothing":', "no results",
    ]  # fmt: skip


def test_no_hits_is_an_ok_observation() -> None:
    seen = render.search_observation(["q"], [[]], Style.COMPACT)
    assert seen.ok
    assert seen.text == "no results"


def test_compact_visit_is_the_evidence_alone() -> None:
    page = Evidence("Marota Lin", LIN.url, "Marota Lin", "Marota Lin is a person. She was born in Tavel.")
    seen = render.visit_observation("was born in", [page], Style.COMPACT)
    assert seen.text == page.text
    assert seen.urls == (LIN.url,)


def test_a_visit_with_one_good_page_of_two_is_ok_and_shows_both() -> None:
    pages = [Evidence("Nowhere", error="there is no page Nowhere"), Evidence("x", LIN.url, "Marota Lin", "Text.")]
    seen = render.visit_observation("g", pages, Style.COMPACT)
    assert seen.ok
    assert seen.text == "error: there is no page Nowhere\nText."


def test_a_visit_without_any_page_fails_with_the_reason() -> None:
    seen = render.visit_observation("g", [Evidence("x", error="timed out")], Style.COMPACT)
    assert (seen.ok, seen.error, seen.text) == (False, "timed out", "error: timed out")


@pytest.mark.parametrize(
    ("name", "arguments", "part"),
    [
        ("serch", {"query": ["x"]}, 'no tool "serch"; the tools are search, visit'),
        ("search", {}, '"query" is missing'),
        ("search", {"query": "x"}, '"query" must be a list; write {"query": ["…"]}'),
        ("search", {"query": []}, "must not be empty"),
        ("search", {"query": [1]}, "each entry of"),
        ("search", {"query": ["  "]}, "must not be empty"),
        ("search", {"query": ["x"] * 11}, "at most 10"),
        ("search", {"query": ["x"], "k": 3}, '"k" is not an argument'),
        ("search", {"query": True}, "must be a list"),
        ("visit", {"urls": ["x"]}, '"goal" is missing'),
        ("visit", {"urls": ["x"], "goal": 3}, '"goal" must be a string'),
        ("visit", [1], "must be an object"),
        ("python", {"code": "x"}, "there is no tool"),
    ],
)
def test_a_malformed_call_is_answered_by_what_to_write(name: str, arguments: Any, part: str) -> None:
    problem = specs.problem_with(ToolCall(name, arguments), specs.WEB_TOOLS)
    assert problem is not None
    assert part in problem


def test_well_formed_calls_have_no_problem() -> None:
    for name, arguments in {
        "search": {"query": ["was born in Tavel"]},
        "visit": {"urls": ["Marota Lin"], "goal": ""},
        "scholar": {"query": ["x"]},
        "python": {"code": "print(1)"},
    }.items():
        assert specs.problem_with(ToolCall(name, arguments), specs.ALL_TOOLS) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["query", "urls", "goal"]), inner),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["search", "visit"]), st.dictionaries(st.sampled_from(["query", "urls", "goal", "z"]), _json))
def test_our_check_never_accepts_what_the_json_schema_refuses(name: str, arguments: dict[str, Any]) -> None:
    (spec,) = specs.by_name([name])
    accepted = specs.problem_with(ToolCall(name, arguments), specs.ALL_TOOLS) is None
    valid = jsonschema.Draft202012Validator(dict(spec.parameters)).is_valid(arguments)
    assert valid or not accepted
