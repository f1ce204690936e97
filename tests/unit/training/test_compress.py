"""FP8 numerics and storage (papers.md §4 test 1)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sindbad.errors import Corrupt, NotFound
from sindbad.training.compress import (
    MANIFEST,
    compress_folder,
    dequantise,
    expand_folder,
    layer_error,
    linear_names,
    load_compressed,
    quantise,
    read_compressed,
)
from sindbad.training.merge import read_state
from tests.unit.training.conftest import tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model(width=64).save_pretrained(str(tmp_path / "model"))
    return tmp_path / "model"


def test_normal_numbers_are_off_by_at_most_one_sixteenth() -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 256) * torch.logspace(-4, 2, 64)[:, None]
    quantised, scale = quantise(weight)
    report = layer_error("w", weight, quantised, scale)
    assert quantised.dtype == torch.float8_e4m3fn
    assert scale.shape == (64, 1)
    assert report.max_relative <= 2**-4
    assert report.relative < 0.04
    assert report.subnormal_share < 0.05


def test_each_channels_largest_value_is_exact() -> None:
    weight = torch.tensor([[0.001, -0.004], [300.0, 7.0]])
    rebuilt = dequantise(*quantise(weight))
    assert rebuilt[0, 1] == pytest.approx(-0.004, rel=1e-6)
    assert rebuilt[1, 0] == pytest.approx(300.0, rel=1e-6)


def test_a_zero_channel_stays_zero_without_nan() -> None:
    assert torch.equal(dequantise(*quantise(torch.zeros(2, 3))), torch.zeros(2, 3))


def test_every_linear_but_the_head_is_compressed_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    report = compress_folder(folder, tmp_path / "fp8")
    before, after = read_state(folder), read_state(tmp_path / "fp8")
    names = {layer.name for layer in report.layers}
    assert names == set(linear_names(folder))
    assert not any("lm_head" in name or "embed" in name or "norm" in name or "conv.conv" in name for name in names)
    assert any("in_proj" in name for name in names)
    for name, tensor in before.items():
        if name in names:
            assert after[name].dtype == torch.float8_e4m3fn
        else:
            assert torch.equal(after[name], tensor)
    assert all(layer.max_relative <= 2**-4 for layer in report.layers)
    assert report.ratio < 0.6


def test_the_expanded_folder_serves_exactly_the_compressed_values(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    compress_folder(folder, tmp_path / "fp8")
    expand_folder(tmp_path / "fp8", tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(str(tmp_path / "plain"), dtype=torch.float32, local_files_only=True)
    original = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32, local_files_only=True)
    ids = torch.tensor([[1, 5, 9, 12]])
    compressed = load_compressed(tmp_path / "fp8")
    with torch.no_grad():
        logits = plain(input_ids=ids).logits
        assert torch.equal(logits, compressed(input_ids=ids).logits)
        assert not torch.equal(logits, original(input_ids=ids).logits)
        assert torch.allclose(logits, original(input_ids=ids).logits, atol=0.05)
    assert not (tmp_path / "plain" / MANIFEST).exists()


def test_dynamic_activations_round_inputs_per_token(folder: Path, tmp_path: Path) -> None:
    compress_folder(folder, tmp_path / "fp8")
    ids = torch.tensor([[1, 5, 9, 12]])
    with torch.no_grad():
        plain = load_compressed(tmp_path / "fp8")(input_ids=ids).logits
        rounded = load_compressed(tmp_path / "fp8", dynamic_activations=True)(input_ids=ids).logits
    assert not torch.equal(plain, rounded)
    assert torch.allclose(plain, rounded, atol=0.05)


def test_a_folder_that_was_not_compressed_or_lost_a_scale_is_named(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(NotFound, match="compress a model"):
        read_compressed(folder)
    compress_folder(folder, tmp_path / "fp8")
    state = read_state(tmp_path / "fp8")
    del state[next(name for name in state if name.endswith("_scale"))]
    save_file(state, str(tmp_path / "fp8" / "model.safetensors"))
    with pytest.raises(Corrupt, match="scale"):
        read_compressed(tmp_path / "fp8")
