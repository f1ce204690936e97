"""Each filter refuses what it says, alone; wrong answers never pass; counts add up."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sindbad.agent.trajectory import Segment, Step, Termination
from sindbad.coldstart.configuration import FilterSettings
from sindbad.coldstart.filters import FILTERS, FilterCounts, reasons, says
from tests.unit.coldstart.attempts import act, final, made_of

PAGE = "Marota Lin was born in Tavel."
VISIT = '{"name": "visit", "arguments": {"urls": ["Marota Lin"], "goal": "was born in"}}'
SAME = '{"arguments": {"goal": "was born in", "urls": ["Marota Lin"]}, "name": "visit"}'
STRICT = FilterSettings(
    max_tokens=100, max_total_tokens=200, more_calls_than=0, max_repeats=0, max_faults=0, good_end=True,
    answer_observed=True, native_thoughts=True,
)  # fmt: skip
GOOD = made_of(act(VISIT, PAGE), final())


def refused(made: object, settings: FilterSettings = STRICT) -> set[str]:
    return set(reasons(made, settings))  # type: ignore[arg-type]


def test_a_good_attempt_passes_every_filter() -> None:
    assert reasons(GOOD, STRICT) == {}


@pytest.mark.parametrize("reward", [0.0, None])
def test_what_the_judge_did_not_accept_never_passes(reward: float | None) -> None:
    assert refused(made_of(act(VISIT, PAGE), final(), reward=reward)) == {"correct"}


def test_no_setting_lets_wrong_answers_into_a_set() -> None:
    """What `correct: false` asked for became supervision with loss on every wrong answer."""
    with pytest.raises(ValidationError, match="wrong answers never pass"):
        FilterSettings(correct=False)
    wrong = made_of(act(VISIT, PAGE), final(), reward=0.0)
    assert refused(wrong, FilterSettings().model_copy(update={"correct": False})) == {"correct"}


def test_an_attempt_without_an_answer_is_refused_for_how_it_ended() -> None:
    why = reasons(made_of(act(VISIT, PAGE), termination=Termination.CALLS_EXHAUSTED, reward=0.0), FilterSettings())
    assert next(iter(why)) == "finished"
    assert "calls_exhausted" in why["finished"]


def test_a_malformed_turn_is_refused_also_where_the_attempt_recovered() -> None:
    assert refused(made_of(Step("malformed", 0, "<think>x"), act(VISIT, PAGE), final())) == {"format"}
    assert refused(made_of(act(VISIT, PAGE), final(), format_ok=False)) == {"format"}


def test_length_is_the_longest_context_and_the_sum_of_all() -> None:
    long = Segment([0] * 90, [0] * 20, [1] * 20)
    short = Segment([0] * 60, [0] * 9, [1] * 9)
    assert refused(made_of(act(VISIT, PAGE), final(), segments=[long])) == {"length"}
    assert refused(made_of(act(VISIT, PAGE), final(), segments=[short, short])) == set()
    assert refused(made_of(act(VISIT, PAGE), final(), segments=[short, short, short])) == {"length"}


def test_more_than_n_tool_calls_means_more() -> None:
    assert refused(GOOD, FilterSettings(more_calls_than=1)) == {"tool_calls"}
    assert refused(GOOD, FilterSettings(more_calls_than=0)) == set()


def test_a_call_repeated_after_an_answer_is_refused_whatever_the_order_of_its_arguments() -> None:
    assert refused(made_of(act(VISIT, PAGE), act(SAME, PAGE), final())) == {"repeated_calls"}


def test_a_retry_after_a_fault_repeats_nothing() -> None:
    again = made_of(act(VISIT, "error: busy", ok=False), act(VISIT, PAGE), final())
    assert refused(again, FilterSettings(max_repeats=0)) == set()
    assert refused(again, FilterSettings(max_faults=0)) == {"tool_errors"}


def test_an_answer_right_after_a_tool_error_is_refused() -> None:
    lucky = made_of(act(VISIT, PAGE), act(VISIT, "error: busy", ok=False), final())
    assert refused(lucky, FilterSettings(good_end=True)) == {"error_at_the_end"}


def test_an_answer_that_nothing_read_names_is_refused() -> None:
    assert refused(made_of(act(VISIT, "Marota Lin is a person."), final())) == {"answer_not_read"}
    assert refused(made_of(act(VISIT, "Tavelia is a country."), final())) == {"answer_not_read"}


def test_thoughts_in_another_script_are_refused() -> None:
    assert refused(made_of(act(VISIT, PAGE, thought="دعني أبحث عنها"), final(thought="ولدت في تافل"))) == {"language"}


def test_counts_name_the_first_reason_once_and_every_reason_alone() -> None:
    counts = FilterCounts()
    bad = made_of(act(VISIT, "error: busy", ok=False), final(), reward=0.0)
    for made in (GOOD, bad, bad):
        counts.add(made.trajectory_id, reasons(made, STRICT))
    assert counts.attempts == counts.kept + sum(counts.refused.values()) == 3
    assert counts.refused == {"correct": 2}
    assert counts.alone == {"correct": 2, "tool_errors": 2, "error_at_the_end": 2, "answer_not_read": 2}
    assert set(counts.alone) <= set(FILTERS)


def test_a_name_is_found_as_answers_are_compared_and_as_a_whole() -> None:
    assert says("She lives in TAVEL, they say.", "Tavel", "en")
    assert not says("She lives in Tavelia.", "Tavel", "en")
    assert not says("Anything.", "", "en")
    assert says("ولدت في تافِل.", "تافل", "ar")
    assert says("Sie wohnt in Tavel.", "tavel", "de")
