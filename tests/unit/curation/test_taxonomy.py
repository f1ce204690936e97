"""Why an attempt failed: hand-made attempts of every class in both languages, and what holds of any attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.agent.trajectory import Step, Termination, Trajectory
from sindbad.curation.taxonomy import RANK, FailureClass, classify
from sindbad.errors import InvalidInput
from sindbad.questions.question import Question
from tests.unit.curation.making import (
    ARABIC,
    ENGLISH,
    FIRST,
    FIRST_AR,
    SECOND,
    SECOND_AR,
    act,
    answer,
    attempt,
    summary,
)

BOTH = pytest.mark.parametrize(
    ("question", "first", "second", "wrong"),
    [(ENGLISH, FIRST, SECOND, "Zifada"), (ARABIC, FIRST_AR, SECOND_AR, "ليكاد زيف")],
    ids=["en", "ar"],
)
FAULT = "error: the site did not answer, try again"


def primary(trajectory: Trajectory, question: Question) -> FailureClass:
    failure = classify(trajectory, question)
    assert failure is not None
    return failure.primary


def test_a_solved_attempt_is_no_failure() -> None:
    assert classify(attempt(ENGLISH, [act(SECOND)], said="Zosali Jam", reward=1.0), ENGLISH) is None


@BOTH
def test_evidence_that_never_stood_in_an_observation_is_a_retrieval_miss(
    question: Question, first: str, second: str, wrong: str
) -> None:
    failure = classify(attempt(question, [act(first), answer(wrong)], said=wrong), question)
    assert failure is not None
    assert failure.primary is FailureClass.RETRIEVAL_MISS
    assert failure.missing == (second,)


@BOTH
def test_evidence_that_the_policy_never_takes_up_is_unused(
    question: Question, first: str, second: str, wrong: str
) -> None:
    steps = [act(first), act(f"x. {second} y."), answer(wrong, "?")]
    assert primary(attempt(question, steps, said=wrong), question) is FailureClass.EVIDENCE_UNUSED


@BOTH
def test_evidence_taken_up_and_a_wrong_answer_all_the_same_is_wrong_reasoning(
    question: Question, first: str, second: str, wrong: str
) -> None:
    steps = [act(first), act(second), answer(wrong, second)]
    assert primary(attempt(question, steps, said=wrong), question) is FailureClass.WRONG_REASONING


@BOTH
def test_a_fact_that_was_summarised_away_and_never_seen_again_was_lost_by_the_summary(
    question: Question, first: str, second: str, wrong: str
) -> None:
    steps = [act(first), act(second), summary(first), answer(wrong, segment=1)]
    failure = classify(attempt(question, steps, said=wrong), question)
    assert failure is not None
    assert failure.primary is FailureClass.SUMMARY_LOST_FACT
    assert failure.lost == (second,)


@BOTH
def test_a_fact_that_was_seen_again_after_the_summary_was_not_lost(
    question: Question, first: str, second: str, wrong: str
) -> None:
    steps = [act(second), summary("-"), act(first, segment=1), act(second, segment=1), answer(wrong, segment=1)]
    assert primary(attempt(question, steps, said=wrong), question) is FailureClass.EVIDENCE_UNUSED


def test_a_lost_first_hop_explains_a_second_that_was_never_found() -> None:
    steps = [act(FIRST), summary("nothing"), act("no results", segment=1), answer("?", segment=1)]
    failure = classify(attempt(ENGLISH, steps, said="?"), ENGLISH)
    assert failure is not None
    assert failure.causes == (FailureClass.SUMMARY_LOST_FACT, FailureClass.RETRIEVAL_MISS)


def test_a_first_hop_dropped_after_the_second_was_kept_decides_nothing() -> None:
    steps = [act(FIRST), act(SECOND), summary(SECOND), answer("?", SECOND, segment=1)]
    failure = classify(attempt(ENGLISH, steps, said="?"), ENGLISH)
    assert failure is not None
    assert failure.primary is FailureClass.WRONG_REASONING
    assert FailureClass.SUMMARY_LOST_FACT in failure.causes


def test_a_second_summary_that_drops_what_the_first_kept_loses_it() -> None:
    steps = [act(FIRST), act(SECOND), summary(f"{FIRST} {SECOND}"), act("no", segment=1), summary(FIRST, 2)]
    trajectory = attempt(ENGLISH, [*steps, answer("?", segment=2)], said="?")
    assert primary(trajectory, ENGLISH) is FailureClass.SUMMARY_LOST_FACT


def test_a_tool_that_failed_on_the_way_to_what_is_missing_is_a_tool_fault() -> None:
    steps = [act(FIRST), act(FAULT, ok=False, call="{a}"), answer("?")]
    assert primary(attempt(ENGLISH, steps, said="?"), ENGLISH) is FailureClass.TOOL_FAULT


def test_a_tool_that_worked_at_the_second_try_is_a_further_cause_only() -> None:
    steps = [act(FAULT, ok=False, call="{a}"), act(FIRST, call="{a}"), answer("?")]
    failure = classify(attempt(ENGLISH, steps, said="?"), ENGLISH)
    assert failure is not None
    assert failure.causes == (FailureClass.RETRIEVAL_MISS, FailureClass.TOOL_FAULT)


@pytest.mark.parametrize("error", ["error: there is no page Zalama Lam", 'error: "urls" is missing'])
def test_a_call_that_deserved_its_error_is_no_tool_fault(error: str) -> None:
    failure = classify(attempt(ENGLISH, [act(FIRST), act(error, ok=False), answer("?")], said="?"), ENGLISH)
    assert failure is not None
    assert failure.causes == (FailureClass.RETRIEVAL_MISS,)


@pytest.mark.parametrize("termination", [Termination.FORMAT, Termination.TURN_TOO_LONG])
def test_a_broken_turn_disqualifies_whatever_was_known(termination: Termination) -> None:
    broken = Step("malformed", 0, "<think>", ok=False)
    failed = attempt(ENGLISH, [act(FIRST), act(SECOND), broken], termination=termination)
    assert primary(failed, ENGLISH) is FailureClass.FORMAT


def test_an_answer_without_a_thought_is_a_format_failure_even_if_right() -> None:
    failed = attempt(ENGLISH, [act(FIRST), act(SECOND), answer("Zosali Jam")], said="Zosali Jam", format_ok=False)
    assert primary(failed, ENGLISH) is FailureClass.FORMAT


@pytest.mark.parametrize(
    "termination", [Termination.CALLS_EXHAUSTED, Termination.TURNS_EXHAUSTED, Termination.CONTEXT_EXHAUSTED]
)
def test_a_limit_that_ended_the_search_is_a_budget_failure(termination: Termination) -> None:
    failure = classify(attempt(ENGLISH, [act(FIRST)], termination=termination), ENGLISH)
    assert failure is not None
    assert failure.causes == (FailureClass.BUDGET, FailureClass.RETRIEVAL_MISS)


@pytest.mark.parametrize("said", ["Zosali Jam", "zosali jam.", "It is Zosali Jam, who leads Zalama"])
def test_an_answer_that_holds_the_right_one_puts_the_verdict_in_doubt(said: str) -> None:
    steps = [act(FIRST), act(SECOND), answer(said, SECOND)]
    assert primary(attempt(ENGLISH, steps, said=said), ENGLISH) is FailureClass.JUDGE_DOUBT


def test_an_arabic_answer_in_another_spelling_puts_the_verdict_in_doubt() -> None:
    question = replace(ARABIC, answer="إدارة الأعمال", evidence=())
    assert primary(attempt(question, [answer("اداره أعمال")], said="اداره أعمال"), question) is FailureClass.JUDGE_DOUBT


def test_half_a_name_is_wrong_and_most_of_it_is_doubtful() -> None:
    question = replace(ENGLISH, answer="Ludwig van Beethoven", evidence=())
    steps = [act("Ludwig van Beethoven was born in Bonn."), answer("x", "Ludwig van Beethoven")]
    assert primary(attempt(question, steps, said="Ludwig"), question) is FailureClass.WRONG_REASONING
    assert primary(attempt(question, steps, said="van Beethoven"), question) is FailureClass.JUDGE_DOUBT


def test_a_verdict_for_which_the_rule_stood_in_is_doubtful_besides() -> None:
    verdict = "differs from 'Zosali Jam' after normalisation; the rule decided: unparsable reply"
    failure = classify(attempt(ENGLISH, [act(FIRST)], said="?", verdict=verdict), ENGLISH)
    assert failure is not None
    assert failure.causes == (FailureClass.RETRIEVAL_MISS, FailureClass.JUDGE_DOUBT)


def test_without_evidence_sentences_the_answer_itself_is_what_must_be_seen() -> None:
    question = replace(ENGLISH, evidence=())
    miss = attempt(question, [act("nothing here")], said="?")
    unused = attempt(question, [act("Some say that Zosali Jam rules.")], said="?")
    assert primary(miss, question) is FailureClass.RETRIEVAL_MISS
    assert primary(unused, question) is FailureClass.EVIDENCE_UNUSED


def test_a_long_sentence_may_be_quoted_with_a_word_left_out_and_a_short_one_may_not() -> None:
    long = "In the year 1902 the old harbour town of Zifada became the seat of the government of Zosali Jam again."
    question = replace(ENGLISH, evidence=(replace(ENGLISH.evidence[0], sentence=long),))
    quoted = attempt(question, [act(long.replace("old ", "")), answer("?")], said="?")
    assert primary(quoted, question) is FailureClass.EVIDENCE_UNUSED
    short = attempt(ENGLISH, [act(FIRST), act(SECOND.replace("led ", "")), answer("?")], said="?")
    assert primary(short, ENGLISH) is FailureClass.RETRIEVAL_MISS


def test_a_language_without_a_pack_is_folded() -> None:
    question = replace(ENGLISH, language="fr", evidence=(replace(ENGLISH.evidence[0], sentence="Été à Zosali Jam"),))
    failed = attempt(question, [act("« ÉTÉ à  ZOSALI-JAM »"), answer("?")], said="?")
    assert primary(failed, question) is FailureClass.EVIDENCE_UNUSED


def test_another_questions_attempt_and_an_unjudged_one_are_refused() -> None:
    with pytest.raises(InvalidInput):
        classify(attempt(ENGLISH), ARABIC)
    with pytest.raises(InvalidInput) as caught:
        classify(attempt(ENGLISH, reward=None), ENGLISH)
    assert caught.value.reason == "NOT_JUDGED"


TEXTS = st.sampled_from(["", "nothing", FIRST, SECOND, f"{FIRST} {SECOND}", FAULT, "error: there is no page x"])
STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["act", "answer", "summary", "malformed"]),
        st.integers(0, 3),
        TEXTS,
        thought=TEXTS,
        arguments=st.sampled_from(["a", "b"]),
        observation=TEXTS,
        ok=st.booleans(),
    ),
    max_size=8,
)
ENDINGS = st.sampled_from(list(Termination))


@settings(deadline=None)
@given(STEPS, ENDINGS, st.sampled_from([None, "?", "Zosali Jam", "Jam"]), st.booleans())
def test_every_failed_attempt_has_one_primary_cause_and_no_cause_twice(
    steps: list[Step], termination: Termination, said: str | None, format_ok: bool
) -> None:
    failure = classify(attempt(ENGLISH, steps, said=said, termination=termination, format_ok=format_ok), ENGLISH)
    assert failure is not None
    assert failure.causes[0] is failure.primary
    assert len(set(failure.causes)) == len(failure.causes)
    assert set(failure.causes) <= set(RANK)
    assert set(failure.missing) | set(failure.lost) <= {FIRST, SECOND}
    assert not set(failure.missing) & set(failure.lost)


@settings(deadline=None)
@given(STEPS, ENDINGS)
def test_showing_the_evidence_at_the_end_leaves_no_miss_and_no_loss(
    steps: list[Step], termination: Termination
) -> None:
    shown = [*steps, act(FIRST), act(SECOND)]
    failure = classify(attempt(ENGLISH, shown, said="?", termination=termination), ENGLISH)
    assert failure is not None
    assert (failure.missing, failure.lost) == ((), ())
    assert failure.primary not in {FailureClass.RETRIEVAL_MISS, FailureClass.SUMMARY_LOST_FACT}


@settings(deadline=None)
@given(STEPS)
def test_without_a_summary_no_summary_lost_anything(steps: list[Step]) -> None:
    kept = [step for step in steps if step.kind != "summary"]
    failure = classify(attempt(ENGLISH, kept, said="?"), ENGLISH)
    assert failure is not None
    assert failure.lost == ()
    assert FailureClass.SUMMARY_LOST_FACT not in failure.causes


@settings(deadline=None)
@given(STEPS, st.sampled_from([str.upper, str.lower, lambda text: text.replace(" ", "  ")]))
def test_case_and_spaces_of_what_was_observed_change_nothing(steps: list[Step], changed: object) -> None:
    other = [replace(step, observation=changed(step.observation)) for step in steps]  # type: ignore[operator]
    assert classify(attempt(ENGLISH, steps, said="?"), ENGLISH) == classify(attempt(ENGLISH, other, said="?"), ENGLISH)


@settings(deadline=None)
@given(STEPS)
def test_arabic_marks_and_letter_forms_of_what_was_observed_change_nothing(steps: list[Step]) -> None:
    arabic = [
        replace(step, observation=step.observation.replace(FIRST, FIRST_AR).replace(SECOND, SECOND_AR))
        for step in steps
    ]
    vowelled = [replace(step, observation=step.observation.replace("ز", "زَ").replace("ا", "أ")) for step in arabic]
    assert classify(attempt(ARABIC, arabic, said="?"), ARABIC) == classify(attempt(ARABIC, vowelled, said="?"), ARABIC)
