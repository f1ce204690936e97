"""Metrics against known values, and the papers' tables through them (papers.md §4 tests 9, 23, 37)."""

from __future__ import annotations

from pathlib import Path

import pytest

from sindbad.errors import Corrupt, InvalidInput
from sindbad.evaluation.metrics import (
    benchmark_average,
    bootstrap_mean,
    mean_gain,
    paired_difference,
    pass_at_1,
    pass_at_k,
    rate_interval,
    size_class,
    unbiased_pass_at_k,
    wilson,
)
from sindbad.evaluation.summary import StageSummary, Summary, TranslationSummary
from sindbad.evaluation.translation import score_translations, signatures

# ReSum Table 1, Pass@1 by agent (3B, 7B, 30B) and benchmark (GAIA, BC-zh, BC-en)
REACT = [25.6, 8.2, 3.3, 31.7, 13.2, 5.7, 45.0, 23.9, 12.8]
RESUM_TOOL = [35.3, 13.7, 6.8, 40.5, 17.2, 9.0, 47.3, 24.1, 16.0]
RESUM_GRPO = [37.9, 20.5, 9.2, 42.4, 27.1, 12.3, 48.5, 33.3, 18.3]


def test_resums_headline_is_the_mean_of_nine_gains() -> None:
    assert round(mean_gain(RESUM_TOOL, REACT), 2) == 4.50
    assert round(mean_gain(RESUM_GRPO, REACT), 2) == pytest.approx(8.90)
    small_and_large = [i for i in range(9) if not 3 <= i < 6]
    gain = mean_gain([RESUM_GRPO[i] for i in small_and_large], [REACT[i] for i in small_and_large])
    assert gain == pytest.approx(8.15)


def test_websailors_gains_from_rl_recompute_from_its_table() -> None:
    sft, rl = [24.4, 28.3, 61.7, 66.0, 23.9], [35.3, 44.1, 73.7, 74.1, 30.6]
    assert [round(b - a, 1) for a, b in zip(sft, rl, strict=True)] == [10.9, 15.8, 12.0, 8.1, 6.7]


def test_halas_average_is_unweighted_and_its_classes_are_by_size() -> None:
    assert benchmark_average([60.0, 50.0, 40.0, 70.0, 30.0, 50.0]) == 50.0
    assert [size_class(n) for n in (0.35e9, 1.2e9, 2e9, 3e9, 7e9, 9e9)] == [
        "nano",
        "nano",
        "nano",
        "",
        "small",
        "small",
    ]


def test_pass_at_1_averages_runs_and_pass_at_3_asks_for_any() -> None:
    runs = [[True, False, False, True], [False, False, False, True], [False, True, False, True]]
    assert pass_at_1(runs) == pytest.approx((0.5 + 0.25 + 0.5) / 3)
    assert pass_at_k(runs) == pytest.approx(0.75)
    with pytest.raises(InvalidInput):
        pass_at_1([[True], [True, False]])


def test_unbiased_pass_at_k_equals_enumeration() -> None:
    from itertools import combinations

    draws = list(combinations([True, True, False, False, False], 3))
    assert unbiased_pass_at_k(2, 5, 3) == pytest.approx(sum(any(draw) for draw in draws) / len(draws))
    assert unbiased_pass_at_k(0, 5, 3) == 0.0
    assert unbiased_pass_at_k(5, 5, 1) == 1.0


def test_wilson_matches_the_textbook_and_never_leaves_the_unit_interval() -> None:
    interval = wilson(8, 10)
    assert (interval.low, interval.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0, 20).low == 0.0
    assert wilson(20, 20).high == 1.0
    with pytest.raises(InvalidInput):
        wilson(1, 0)


def test_pairing_removes_what_questions_share() -> None:
    before = [float(i % 2) for i in range(200)]
    after = [min(1.0, value + (0.5 if i % 10 == 0 else 0.0)) for i, value in enumerate(before)]
    paired = paired_difference(after, before)
    alone = bootstrap_mean(after)
    assert paired.low > 0
    assert paired.high - paired.low < alone.high - alone.low
    assert paired == paired_difference(after, before)


def test_questions_that_all_agree_give_no_certainty() -> None:
    """Resampling equal values gives a point: "+100 [+100, +100]" after eight questions."""
    eight = paired_difference([1.0] * 8, [0.0] * 8)
    assert (eight.value, eight.low, eight.high) == (1.0, pytest.approx(0.3511, abs=1e-4), 1.0)
    same = paired_difference([1.0, 0.0] * 10, [1.0, 0.0] * 10)
    assert (same.value, same.low, same.high) == (0.0, pytest.approx(-0.1611, abs=1e-4), pytest.approx(0.1611, abs=1e-4))
    assert paired_difference([1 / 3, 1.0], [0.0, 2 / 3]).low < 1 / 3 - 0.1  # equal but for rounding
    widths = [one.high - one.low for one in (paired_difference([1.0] * n, [0.0] * n) for n in (2, 8, 32, 500))]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.02
    scores = paired_difference([51.0, 52.0], [50.0, 51.0], bound=None)
    assert (scores.value, scores.low, scores.high) == (1.0, 1.0, 1.0)
    for right in (0, 12):
        ours, known = rate_interval([right / 12] * 12), wilson(right, 12)
        assert (ours.value, ours.low, ours.high) == pytest.approx((known.value, known.low, known.high))
    half = rate_interval([0.5] * 8)
    assert (half.low, half.high) == (pytest.approx(0.3378, abs=1e-4), pytest.approx(0.6622, abs=1e-4))


def test_the_bootstrap_interval_is_close_to_the_normal_one() -> None:
    values = [1.0] * 120 + [0.0] * 180
    interval = bootstrap_mean(values)
    half = 1.96 * (0.4 * 0.6 / 300) ** 0.5
    assert interval.low == pytest.approx(0.4 - half, abs=0.01)
    assert interval.high == pytest.approx(0.4 + half, abs=0.01)


def test_translation_scores_carry_their_signatures() -> None:
    perfect = score_translations(["تقع المدينة في كوريل", "ولد في تافل"], ["تقع المدينة في كوريل", "ولد في تافل"])
    assert (round(perfect.chrf), round(perfect.exact)) == (100, 100)
    worse = score_translations(["تقع المدينة", "ولد في كوريل"], ["تقع المدينة في كوريل", "ولد في تافل"])
    assert worse.chrf < perfect.chrf
    assert "nw:2" in perfect.chrf_signature
    assert "tok:intl" in perfect.bleu_signature
    assert signatures() == (perfect.chrf_signature, perfect.bleu_signature)
    apart = score_translations(["ولد، ثم عاش هنا"], ["ولد ، ثم عاش هنا"])
    assert apart.bleu == pytest.approx(100)  # the default tokeniser would leave the comma on its word
    with pytest.raises(InvalidInput):
        score_translations(["a"], [])


def test_a_summary_survives_its_file_and_refuses_what_the_schema_does_not_know(tmp_path: Path) -> None:
    stage = StageSummary(success=0.5, ci95=(0.4, 0.6), questions=100, by_language={"en": 0.6, "ar": 0.4})
    summary = Summary(
        stages={"base": stage, "rl_live": stage}, paradigms={"react": {"64": 0.1}, "resum": {"64": 0.4}},
        translation=TranslationSummary(chrf=81.0, bleu=60.0), wall_seconds={"sft": 12.5},
    )  # fmt: skip
    path = tmp_path / "summary.json"
    summary.write(path)
    assert Summary.read(path) == summary
    path.write_text('{"stages": {"nonsense": {}}}')
    with pytest.raises(Corrupt):
        Summary.read(path)
    with pytest.raises(ValueError, match="outside"):
        StageSummary(success=0.9, ci95=(0.4, 0.6), questions=100, by_language={})
