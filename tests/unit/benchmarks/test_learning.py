from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figures import check_flat
from benchmarks.learning import QUICK, choices, parse
from benchmarks.learning_figures import (
    SeedTable,
    gain,
    keeps_arabic_gain,
    keeps_english,
    learning_figures,
    make_table,
    over_questions,
    over_seeds,
)
from benchmarks.learning_page import markdown, write_page
from benchmarks.learning_plan import Choices, Phase, Room, SeedPlan, is_done, keyed, marker
from sindbad import atomic
from sindbad.errors import InvalidInput

PLAN = SeedPlan(0, Choices(limits=(200, 512)))


# ---- arguments
def test_full_size_is_three_seeds_of_five_hundred_questions() -> None:
    arguments = parse([])
    assert list(arguments.seeds) == [0, 1, 2]
    assert choices(arguments).questions == 500
    assert not choices(arguments).quick


def test_quick_is_one_seed_and_a_miniature_whatever_else_is_asked_for() -> None:
    arguments = parse(["--quick", "--seeds", "5"])
    assert list(arguments.seeds) == [0]
    assert choices(arguments) == QUICK


# ---- the plan
def test_every_condition_trains_for_equally_long_from_the_same_policy() -> None:
    phases = [p for room in PLAN.rooms for p in room.phases if p.stage == "rl_sim"]
    assert len(phases) == 2 * len(PLAN.limits)
    assert {p.inputs["policy_path"] for p in phases} == {"common/merged"}
    assert len({json.dumps(p.settings["grpo"], sort_keys=True) for p in phases}) == 1
    assert {p.settings["grpo"]["max_seconds"] for p in phases} == {None}


def test_conditions_differ_in_paradigm_and_limit_alone() -> None:
    phases = [p for room in PLAN.rooms for p in room.phases if p.stage == "rl_sim"]
    agents = [dict(p.settings["crew"]["agent"]) for p in phases]
    assert {(agent.pop("paradigm"), agent.pop("context_limit")) for agent in agents} == {
        (paradigm, limit) for paradigm in ("react", "resum") for limit in PLAN.limits
    }
    assert all(agent == agents[0] for agent in agents)


def test_the_third_line_is_the_longest_react_policy_asked_as_resum_at_every_limit() -> None:
    room = next(room for room in PLAN.rooms if room.name == "react-512")
    switched = [phase for phase in room.phases if phase.name.startswith("evaluate-switched")]
    assert {phase.inputs["policy_path"] for phase in switched} == {"react-512/rl_sim"}
    assert {p.settings["crew"]["agent"]["paradigm"] for p in switched} == {"resum"}
    assert {p.settings["crew"]["agent"]["context_limit"] for p in switched} == set(PLAN.limits)


def test_seeds_have_worlds_and_random_numbers_of_their_own() -> None:
    first, second = SeedPlan(0, Choices()), SeedPlan(1, Choices())
    worlds = [range(p.encyclopedia.first_seed, p.encyclopedia.first_seed + 22) for p in (first, second)]
    assert not set(worlds[0]) & set(worlds[1])
    assert not {p.key for r in first.rooms for p in r.phases} & {p.key for r in second.rooms for p in r.phases}


def test_the_quick_plan_is_one_room_without_a_translator() -> None:
    (room,) = SeedPlan(0, QUICK).rooms
    assert "translator" not in room.services
    limit = SeedPlan(0, QUICK).main_limit
    assert {f"rl_sim-resum-{limit}", f"rl_sim-react-{limit}", f"evaluate-switched-{limit}"} <= {
        p.name for p in room.phases
    }


def test_names_of_evaluations_are_unique_and_their_folders_too() -> None:
    folders = PLAN.outcomes()
    assert len(set(folders.values())) == len(folders)
    assert {"base", "sft", "merged", "rl_live", "resum-200", "react-512", "switched-200"} <= set(folders)


def test_a_room_survives_the_way_to_its_process() -> None:
    room = SeedPlan(0, QUICK).rooms[0]
    assert Room.from_json(room.to_json()) == room


# ---- state
def _chain(steps: int) -> tuple[Room, ...]:
    first = Phase("make", "base", {"steps": steps}, {}, {"model_path": "a/model"})
    second = Phase("use", "merge", {}, {"base_path": "a/model"}, {"model_path": "a/merged"})
    apart = Phase("other", "base", {}, {}, {"model_path": "b/model"})
    return keyed([Room("a", (), (first, second)), Room("b", (), (apart,))], salt="seed")


def test_changed_settings_give_new_keys_to_a_phase_and_to_what_depends_on_it_alone() -> None:
    before, after = _chain(1), _chain(2)
    same = [x.key == y.key for a, b in zip(before, after, strict=True) for x, y in zip(a.phases, b.phases, strict=True)]
    assert same == [False, False, True]


def test_a_phase_that_reads_what_nobody_writes_is_an_error_of_the_plan() -> None:
    orphan = Phase("use", "merge", {}, {"base_path": "nowhere"}, {})
    with pytest.raises(KeyError, match="nowhere"):
        keyed([Room("a", (), (orphan,))], salt="")


def test_only_a_marker_with_the_phase_s_own_key_counts_as_done(tmp_path: Path) -> None:
    phase = _chain(1)[0].phases[0]
    assert not is_done(tmp_path, phase)
    atomic.write_json(marker(tmp_path, phase), {"key": phase.key})
    assert is_done(tmp_path, phase)
    assert not is_done(tmp_path, replace(phase, key="other"))


# ---- the arithmetic
def _table(seed: int, **columns: list[float]) -> SeedTable:
    count = len(next(iter(columns.values())))
    languages = np.array(["en" if index % 2 == 0 else "ar" for index in range(count)])
    return SeedTable(seed, languages, {name: np.array(column) for name, column in columns.items()})


def test_a_gain_is_paired_so_a_constant_difference_has_no_width() -> None:
    before = [0.0, 1.0, 0.0, 1.0, 0.5, 0.0]
    table = _table(0, before=before, after=[value + 0.25 for value in before])
    found = over_questions([table], gain("after", "before"), resamples=200)
    assert (found.value, found.low, found.high) == pytest.approx((25.0, 25.0, 25.0))


def test_the_interval_over_questions_covers_the_gain_and_shrinks_with_more_of_them() -> None:
    few, many = ([1.0, 0.0, 0.0, 1.0] * n for n in (5, 50))
    widths = []
    for after in (few, many):
        found = over_questions([_table(0, before=[0.0] * len(after), after=after)], gain("after", "before"))
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_the_interval_over_seeds_is_student_s_t() -> None:
    found = over_seeds([9.0, 10.0, 11.0])
    assert found.value == 10.0
    assert found.high - 10.0 == pytest.approx(4.302653 * 1.0 / math.sqrt(3), rel=1e-5)


def test_one_seed_has_no_interval_over_seeds() -> None:
    assert math.isnan(over_seeds([3.0]).low)


def test_seeds_weigh_the_same_however_many_questions_they_have() -> None:
    small, large = _table(0, a=[0.0] * 2, b=[1.0] * 2), _table(1, a=[0.0] * 8, b=[0.0] * 8)
    assert gain("b", "a")([small, large]) == 50.0


def test_what_the_merge_keeps_is_measured_by_language() -> None:
    table = _table(0, base=[0.8, 0.0] * 2, sft=[0.2, 0.5] * 2, merged=[0.72, 0.4] * 2)
    assert keeps_english([table]) == pytest.approx(0.9)
    assert keeps_arabic_gain([table]) == pytest.approx(0.8)


def test_a_share_of_no_gain_is_not_a_number() -> None:
    assert math.isnan(keeps_arabic_gain([_table(0, base=[0.8, 0.5], sft=[0.2, 0.5], merged=[0.7, 0.4])]))


def test_evaluations_of_other_questions_are_never_paired() -> None:
    with pytest.raises(InvalidInput, match="other questions"):
        make_table(0, {"base": [("q1", "en", 1.0)], "sft": [("q2", "en", 1.0)]})


def test_outcomes_are_aligned_by_question_not_by_position() -> None:
    table = make_table(
        0, {"base": [("q1", "en", 1.0), ("q2", "ar", 0.0)], "sft": [("q2", "ar", 0.0), ("q1", "en", 1.0)]}
    )
    assert list(table.columns["sft"]) == [1.0, 0.0]
    assert list(table.languages) == ["en", "ar"]


# ---- what comes out
def _figures(seeds: int) -> dict[str, object]:
    names = ["base", "sft", "merged", "resum-256", "react-256", "switched-256"]
    columns = {name: [float((index + shift) % 3 == 0) for index in range(24)] for shift, name in enumerate(names)}
    tables = [_table(seed, **columns) for seed in range(seeds)]
    return dict(learning_figures(tables, main="resum-256", limits=[256], resamples=40))


def test_figures_are_flat_and_named_as_the_readme_expects() -> None:
    figures = _figures(3)
    check_flat(figures)  # type: ignore[arg-type]
    assert {
        "rl_sim_gain_points", "rl_sim_gain_points_low", "rl_sim_gain_points_seeds_high", "rl_sim_gain_points_seed2",
        "merged_keeps_english_ratio", "merged_keeps_arabic_gain_ratio", "merged_keeps_english_low_ratio",
        "react_256_success", "resum_256_success_high", "switched_256_success", "resum_over_react_256_points",
    } <= set(figures)  # fmt: skip


def test_a_condition_that_no_seed_has_finished_is_left_out() -> None:
    table = _table(0, base=[1.0, 0.0], sft=[0.0, 1.0], merged=[1.0, 1.0])
    figures = learning_figures([table], main="resum-256", limits=[256], resamples=40)
    assert "merged_keeps_english_ratio" in figures
    assert not any(name.startswith(("rl_sim", "resum")) for name in figures)


def test_the_tables_and_the_page_show_what_was_measured(tmp_path: Path) -> None:
    figures = _figures(2)
    text = markdown(figures, [256], "2 seeds")  # type: ignore[arg-type]
    assert "| 256 |" in text
    assert "RL (simulated) over merged, points" in text
    write_page(tmp_path, figures, [256], quick=True)  # type: ignore[arg-type]
    assert "MINIATURE" in (tmp_path / "learning.html").read_text()
    assert (tmp_path / "learning.svg").read_text().startswith("<svg")
