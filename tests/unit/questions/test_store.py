"""Storing questions, and the split by world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.questions import SynthesisReport, check_disjoint, load_questions, save_questions, split_worlds
from sindbad.questions.mixture import quotas
from sindbad.questions.store import save_rejected


def test_questions_survive_the_file(uncertain: SynthesisReport, tmp_path: Path) -> None:
    save_questions(tmp_path / "q.jsonl", uncertain.questions)
    assert load_questions(tmp_path / "q.jsonl") == uncertain.questions
    odd = [replace(uncertain.questions[0], text="One\u2028line\u0085of text?")]  # ends a line for str.splitlines
    save_questions(tmp_path / "odd.jsonl", odd)
    assert load_questions(tmp_path / "odd.jsonl") == odd
    save_rejected(tmp_path / "r.jsonl", uncertain.rejected)
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == len(uncertain.rejected)


def test_one_alias_may_stand_without_a_list(report: SynthesisReport, tmp_path: Path) -> None:
    record = {**report.questions[0].to_record(), "aliases": "Lutetia"}
    (tmp_path / "q.jsonl").write_text(json.dumps(record) + "\n", "utf-8")
    assert load_questions(tmp_path / "q.jsonl")[0].aliases == ("Lutetia",)


def test_a_damaged_line_is_named(report: SynthesisReport, tmp_path: Path) -> None:
    save_questions(tmp_path / "q.jsonl", report.questions[:2])
    with (tmp_path / "q.jsonl").open("a") as file:
        file.write('{"half": ')
    with pytest.raises(Corrupt, match=":3"):
        load_questions(tmp_path / "q.jsonl")


def test_a_file_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InvalidInput, match=r"q\.jsonl is no UTF-8 text"):
        load_questions(tmp_path / "q.jsonl")
    with pytest.raises(NotFound, match=r"q2\.jsonl"):
        load_questions(tmp_path / "q2.jsonl")


@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 5))
def test_worlds_are_divided_whole_and_completely(count: int, share: float, seed: int) -> None:
    worlds = [f"w{number:04d}" for number in range(count)]
    train, test = split_worlds(worlds, share, seed)
    assert sorted(train + test) == worlds
    assert (train, test) == split_worlds(list(reversed(worlds)), share, seed)


def test_a_shared_world_is_an_overlap(report: SynthesisReport) -> None:
    with pytest.raises(InvalidInput, match="world_id"):
        check_disjoint(report.questions[:2], report.questions[2:4])
    check_disjoint(report.questions, [])


@given(st.dictionaries(st.integers(1, 5), st.floats(0.01, 9), min_size=1), st.integers(1, 300))
def test_quotas_add_up_and_are_never_off_by_one_or_more(weights: dict[int, float], total: int) -> None:
    parts = quotas({"chain": weights}, total)
    assert sum(parts.values()) == total
    for (_, hops), count in parts.items():
        assert abs(count - total * weights[hops] / sum(weights.values())) < 1 + 1e-9
