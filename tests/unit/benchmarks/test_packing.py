"""The packing benchmark: its verdict follows what it measured, of our learner and of TRL where that is installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from benchmarks import packing
from benchmarks.packing_trl import segments, streamed
from sindbad.engines.threads import calm_threads

calm_threads(1)
import torch  # noqa: E402


@pytest.mark.parametrize("kind", packing.MODELS)
def test_our_packing_passes(kind: str) -> None:
    samples = packing.samples_of(packing.SMALL, packing.EXACT_WIDTH, seed=1)
    found = packing.own_exactness(packing.model_of(kind, packing.SMALL, scale=6), samples, 256)
    assert packing.verdict(found), found


def test_a_learner_whose_tokens_see_another_beginning_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from sindbad.training import logprobs

    score = logprobs.score
    monkeypatch.setattr(
        logprobs,
        "score",
        lambda model, ids, mask: score(model, torch.cat([torch.full_like(ids[:, :1], 4), ids[:, 1:]], 1), mask),
    )
    samples = packing.samples_of(packing.SMALL, packing.EXACT_WIDTH, seed=1)
    found = packing.own_exactness(packing.model_of("lfm2", packing.SMALL, scale=6), samples, 256)
    assert not packing.verdict(found), found


def test_every_token_of_a_packed_row_is_known_by_its_sequence_and_place() -> None:
    one, two = (5, 6, 7), (8, 9)
    packed = {"input_ids": torch.tensor([[*two, *one]]), "position_ids": torch.tensor([[0, 1, 0, 1, 2]])}
    assert segments(packed, {}) == [[(two, 0), (two, 1), (one, 0), (one, 1), (one, 2)]]


def test_a_row_that_is_cut_where_it_is_full_is_known_as_well() -> None:
    one, two = (5, 6, 7), (8, 9)
    known = streamed([{"input_ids": list(one)}, {"input_ids": list(two)}], [[5, 6], [7, 8], [9]])
    row = {"input_ids": torch.tensor([[7, 8], [9, 0]]), "attention_mask": torch.tensor([[1, 1], [1, 0]])}
    assert segments(row, known) == [[(one, 2), (two, 0)], [(two, 1)]]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="trl comes with the extra [bench]")
def test_trl_packs_attention_exactly_and_leaks_through_the_convolutions_of_lfm2(tmp_path: Path) -> None:
    with packing.trl_process(sys.executable, tmp_path) as trl:
        found = packing.exactness(tmp_path, trl)
    assert found["qwen3_trl_bfd_exact"]
    assert found["lfm2_trl_padded_exact"]
    assert not found["lfm2_trl_bfd_exact"]
    assert not found["qwen3_trl_wrapped_exact"]
