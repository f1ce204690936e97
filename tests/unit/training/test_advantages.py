"""Golden numbers of papers.md §4 (tests 19, 20, 21, 26, 27) and what must not move a baseline."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sindbad.agent.trajectory import EnvironmentKind, Segment, Termination, Trajectory
from sindbad.errors import InvalidInput
from sindbad.training.advantages import (
    PRESETS,
    AdvantageConfig,
    Attempt,
    Estimator,
    Normaliser,
    assign,
    attempt_of,
    group_advantages,
)

EIGHT = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def attempts(rewards: list[float], segments: list[tuple[int, ...]] | None = None, group: str = "g") -> list[Attempt]:
    shapes = segments or [(10,)] * len(rewards)
    return [Attempt(f"{group}{i}", group, r, s) for i, (r, s) in enumerate(zip(rewards, shapes, strict=True))]


def test_websailor_equation_3_subtracts_the_mean_without_dividing() -> None:
    values = group_advantages(EIGHT, AdvantageConfig(estimator=Estimator.DR_GRPO))
    assert values == pytest.approx([0.75, *[-0.25] * 6, 0.75])


def test_leave_one_out_is_eight_sevenths_of_equation_3() -> None:
    values = group_advantages(EIGHT, AdvantageConfig(estimator=Estimator.RLOO))
    assert values == pytest.approx([0.857143, *[-0.285714] * 6, 0.857143], abs=1e-6)


def test_resum_divides_by_the_population_or_the_sample_deviation() -> None:
    population = group_advantages([1, 0, 0, 0], AdvantageConfig(estimator=Estimator.GRPO, std="population"))
    sample = group_advantages([1, 0, 0, 0], AdvantageConfig(estimator=Estimator.GRPO, std="sample"))
    assert population is not None
    assert sample is not None
    assert population[0] == pytest.approx(1.7321, abs=1e-4)
    assert sample[0] == pytest.approx(1.5)


@pytest.mark.parametrize("estimator", list(Estimator))
@pytest.mark.parametrize("rewards", [[0.0] * 8, [1.0] * 8, [0.1] * 3, [1.0]])
def test_a_group_without_variance_teaches_nothing_and_is_never_nan(estimator: Estimator, rewards: list[float]) -> None:
    credits_ = assign(attempts(rewards), AdvantageConfig(estimator=estimator))
    assert all(c.advantage == 0.0 and set(c.weights) == {0.0} and not c.trained for c in credits_)


def test_a_group_without_variance_is_left_out_of_the_denominators() -> None:
    mixed, flat = attempts([1, 0], group="a"), attempts([1, 1], group="b")
    alone = assign(mixed, PRESETS["sindbad"])
    together = assign([*mixed, *flat], PRESETS["sindbad"])
    assert [c.weights for c in together[:2]] == [c.weights for c in alone]


def test_resum_golden_group_has_segment_weight_one_seventh_and_advantages_blind_to_segments() -> None:
    shapes = [(5, 5, 5), (5,), (5,), (5, 5)]
    credits_ = assign(attempts([1, 0, 0, 0], shapes), PRESETS["resum"])
    assert credits_[0].advantage == pytest.approx(1.7321, abs=1e-4)
    segment_weights = [weight * 5 for credit in credits_ for weight in credit.weights]
    assert segment_weights == pytest.approx([1 / 7] * 7)
    other = assign(attempts([1, 0, 0, 0], [(5,), (5,) * 4, (5,), (5,)]), PRESETS["resum"])
    assert [c.advantage for c in other] == [c.advantage for c in credits_]


def test_websailor_weights_every_token_by_the_groups_token_count() -> None:
    credits_ = assign(attempts([1, 0], [(30,), (10,)]), PRESETS["websailor_v2"])
    assert [c.weights[0] for c in credits_] == [pytest.approx(1 / 40)] * 2
    longer = assign(attempts([1, 0], [(30, 30), (10,)]), PRESETS["websailor_v2"])
    assert longer[1].weights[0] == pytest.approx(1 / 70)


@given(st.lists(st.floats(-1, 1, width=16), min_size=2, max_size=16), st.sampled_from(list(Estimator)))
def test_advantages_of_a_group_sum_to_zero(rewards: list[float], estimator: Estimator) -> None:
    values = group_advantages(rewards, AdvantageConfig(estimator=estimator)) or [0.0]
    assert abs(math.fsum(values)) < 1e-6
    assert all(math.isfinite(value) for value in values)


@pytest.mark.parametrize("estimator", list(Estimator))
@pytest.mark.parametrize("normaliser", list(Normaliser))
def test_the_order_and_interleaving_of_attempts_changes_nothing(estimator: Estimator, normaliser: Normaliser) -> None:
    config = AdvantageConfig(estimator=estimator, normaliser=normaliser, scope="group")
    batch = [*attempts([1, 0, 0], [(3, 4), (5,), (1,)], "a"), *attempts([0, 1], [(7,), (2, 2)], "b")]
    straight = {c.trajectory_id: c for c in assign(batch, config)}
    shuffled = {c.trajectory_id: c for c in assign([batch[i] for i in (3, 0, 4, 2, 1)], config)}
    assert straight == shuffled


@pytest.mark.parametrize("normaliser", [Normaliser.TOKEN, Normaliser.TRAJECTORY, Normaliser.SEGMENT])
@pytest.mark.parametrize("scope", ["group", "batch"])
def test_averages_have_total_weight_one(normaliser: Normaliser, scope: str) -> None:
    config = AdvantageConfig(normaliser=normaliser, scope=scope)
    batch = [*attempts([1, 0, 0], [(3, 4), (5,), (1,)], "a"), *attempts([0, 1], [(7,), (2, 2)], "b")]
    total = sum(
        weight * count
        for attempt, credit in zip(batch, assign(batch, config), strict=True)
        for weight, count in zip(credit.weights, attempt.segment_tokens, strict=True)
    )
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("normaliser", [Normaliser.TOKEN, Normaliser.TRAJECTORY, Normaliser.CONSTANT])
def test_cutting_a_trajectory_leaves_every_token_its_weight(normaliser: Normaliser) -> None:
    config = AdvantageConfig(normaliser=normaliser)
    whole = assign(attempts([1, 0], [(8,), (6,)]), config)
    cut = assign(attempts([1, 0], [(3, 5), (6,)]), config)
    assert cut[0].weights == (whole[0].weights[0],) * 2
    assert cut[1] == whole[1]


def test_cutting_a_trajectory_moves_weights_under_the_segment_normaliser_by_definition() -> None:
    config = AdvantageConfig(normaliser=Normaliser.SEGMENT)
    whole = assign(attempts([1, 0], [(8,), (6,)]), config)
    cut = assign(attempts([1, 0], [(4, 4), (6,)]), config)
    assert whole[0].weights == (pytest.approx(1 / 16),)
    assert cut[0].weights == (pytest.approx(1 / 12), pytest.approx(1 / 12))
    assert cut[1].weights == (pytest.approx(1 / 18),)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_repeating_a_segment_leaves_every_baseline(preset: str) -> None:
    once = assign(attempts([1, 0, 0], [(4,), (4,), (4,)]), PRESETS[preset])
    thrice = assign(attempts([1, 0, 0], [(4, 4, 4), (4,), (4,)]), PRESETS[preset])
    assert [c.advantage for c in once] == [c.advantage for c in thrice]


def test_an_overlong_attempt_has_no_loss_under_websailor_but_counts_in_the_mean() -> None:
    batch = [Attempt("a", "g", 1.0, (4,)), Attempt("b", "g", 0.0, (4,)), Attempt("c", "g", 0.0, (9,), overlong=True)]
    credits_ = assign(batch, PRESETS["websailor_v2"])
    assert (credits_[2].weights, credits_[2].reason) == ((0.0,), "overlong")
    assert credits_[0].advantage == pytest.approx(2 / 3)
    assert credits_[0].weights == (pytest.approx(1 / 8),)
    without = assign(batch, PRESETS["websailor_v2"].model_copy(update={"overlong_in_baseline": False}))
    assert without[0].advantage == pytest.approx(1 / 2)


def test_an_overlong_attempt_scores_zero_and_is_trained_on_under_resum() -> None:
    batch = [Attempt("a", "g", 1.0, (4,)), Attempt("c", "g", 1.0, (9,), overlong=True)]
    credits_ = assign(batch, PRESETS["resum"])
    assert credits_[1].advantage < 0
    assert credits_[1].weights[0] > 0


def test_a_format_error_is_punished_and_keeps_its_loss_under_websailor() -> None:
    batch = [Attempt("a", "g", 0.0, (4,)), Attempt("b", "g", 0.0, (4,), format_error=True)]
    credits_ = assign(batch, PRESETS["websailor_v2"])
    assert credits_[1].advantage == pytest.approx(-0.25)
    assert credits_[1].weights[0] > 0
    assert not assign(batch, PRESETS["resum"])[0].trained


def test_a_right_answer_with_a_format_error_scores_zero_under_resum() -> None:
    batch = [Attempt("a", "g", 1.0, (4,)), Attempt("b", "g", 1.0, (4,), format_error=True)]
    assert [c.advantage for c in assign(batch, PRESETS["resum"])] == pytest.approx([1.0, -1.0])


def test_facts_of_a_trajectory_count_trained_tokens_a_segment() -> None:
    trajectory = Trajectory(
        "t", "q", "g", EnvironmentKind.LIVE, "en", "?", "x",
        segments=[Segment([1, 2], [3, 4, 5], [1, 0, 1]), Segment([1], [3], [1])],
        reward=0.0, termination=Termination.CONTEXT_EXHAUSTED,
    )  # fmt: skip
    assert attempt_of(trajectory) == Attempt("t", "g", 0.0, (2, 1), overlong=True)
    trajectory.reward = None
    with pytest.raises(InvalidInput, match="not judged"):
        attempt_of(trajectory)
