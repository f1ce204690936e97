"""Sampling: counter-based, unbiased, truncated as asked."""

from __future__ import annotations

import pytest
import torch

from sindbad.engines.protocol import SamplingParams
from sindbad.engines.sampler import sample, uniforms


def params(**values: float) -> SamplingParams:
    return SamplingParams(max_tokens=1, **values)  # type: ignore[arg-type]


def test_the_uniform_numbers_fill_the_unit_interval_evenly_and_independently() -> None:
    drawn = uniforms([5] * 20000, range(20000))
    assert 0.0 <= float(drawn.min()) < 0.001
    assert 0.999 < float(drawn.max()) < 1.0
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.01)
    assert abs(float(torch.corrcoef(torch.stack((drawn[:-1], drawn[1:])))[0, 1])) < 0.02
    neighbours = uniforms(range(20000), [3] * 20000)
    assert abs(float(torch.corrcoef(torch.stack((neighbours[:-1], neighbours[1:])))[0, 1])) < 0.02


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    logits = torch.randn(6, 50)
    options = [params(temperature=0.5), params(top_k=3), params(top_p=0.4), params(), params(temperature=0.0), params()]
    together, _ = sample(logits, options, list(range(6)), [9] * 6)
    alone = [sample(logits[i : i + 1], options[i : i + 1], [i], [9])[0][0] for i in range(6)]
    assert together == alone


def test_negative_and_huge_seeds_are_accepted() -> None:
    tokens, _ = sample(torch.randn(2, 5), [params(), params()], [-1, 2**63 - 1], [0, 0])
    assert all(0 <= token < 5 for token in tokens)


def test_top_p_keeps_the_token_that_crosses_the_mass_and_nothing_behind_it() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(2000, 1)
    tokens, _ = sample(logits, [params(top_p=0.6)] * 2000, list(range(2000)), [0] * 2000)
    assert set(tokens) == {0, 1}
    assert tokens.count(0) / 2000 == pytest.approx(0.5 / 0.8, abs=0.04)


def test_top_k_keeps_the_k_likeliest() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, 0.0]]).repeat(500, 1)
    tokens, _ = sample(logits, [params(top_k=2)] * 500, list(range(500)), [0] * 500)
    assert set(tokens) == {1, 2}


def test_temperature_sharpens() -> None:
    logits = torch.tensor([[0.0, 1.0]]).repeat(3000, 1)
    tokens, logprobs = sample(logits, [params(temperature=0.5)] * 3000, list(range(3000)), [1] * 3000)
    assert sum(tokens) / 3000 == pytest.approx(float(torch.sigmoid(torch.tensor(2.0))), abs=0.03)
    assert logprobs[tokens.index(1)] == pytest.approx(float(torch.tensor([0.0, 1.0]).log_softmax(0)[1]))


def test_impossible_tokens_are_never_drawn() -> None:
    logits = torch.full((4000, 6), float("-inf"))
    logits[:, 2] = 0.0
    logits[:, 4] = -3.0
    tokens, _ = sample(logits, [params()] * 4000, list(range(4000)), [0] * 4000)
    assert set(tokens) == {2, 4}


def test_broken_logits_are_an_error_and_not_a_token() -> None:
    with pytest.raises(ValueError, match="not finite"):
        sample(torch.full((1, 4), float("nan")), [params()], [0], [0])
