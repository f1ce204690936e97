"""SLERP golden numbers (papers.md §4 test 8) through mergekit, and whole folders."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from sindbad.errors import InvalidInput, NotFound
from sindbad.training.configuration import MergeConfig
from sindbad.training.merge import REPORT_FILE, merge_folders, merge_states, merge_tensor, read_state
from tests.unit.training.conftest import tiny_model

HALF = MergeConfig(t=0.5)


def merged(left: list[float], right: list[float], t: float = 0.5) -> list[float]:
    return list(
        merge_tensor(
            torch.tensor(left, dtype=torch.float32), torch.tensor(right, dtype=torch.float32), MergeConfig(t=t)
        ).tolist()
    )


def test_the_ends_are_the_base_and_the_tuned_model() -> None:
    assert merged([1.0, 2.0], [3.0, -1.0], t=0) == pytest.approx([1.0, 2.0])
    assert merged([1.0, 2.0], [3.0, -1.0], t=1) == pytest.approx([3.0, -1.0])


def test_orthogonal_unit_vectors_meet_at_forty_five_degrees() -> None:
    assert merged([1, 0], [0, 1]) == pytest.approx([0.70711, 0.70711], abs=1e-5)


def test_lengths_are_not_normalised_away() -> None:
    assert merged([2, 0], [0, 4]) == pytest.approx([1.41421, 2.82843], abs=1e-5)


def test_identical_tensors_stay() -> None:
    assert merged([0.3, -1.2, 5.0], [0.3, -1.2, 5.0]) == pytest.approx([0.3, -1.2, 5.0])


def test_nearly_parallel_tensors_are_interpolated_linearly() -> None:
    left, right = [1.0, 0.0], [1.0, 0.02]
    assert merged(left, right, t=0.25) == pytest.approx([1.0, 0.005], abs=1e-7)


def test_at_one_half_both_sides_weigh_the_same() -> None:
    left, right = [1.0, 2.0, -1.0], [0.5, -2.0, 3.0]
    assert merged(left, right) == pytest.approx(merged(right, left))
    cosine = sum(a * b for a, b in zip(left, right, strict=True)) / math.sqrt(6 * 13.25)
    factor = 1 / (2 * math.cos(math.acos(cosine) / 2))
    assert merged(left, right) == pytest.approx([factor * (a + b) for a, b in zip(left, right, strict=True)], abs=1e-5)


def test_the_result_has_the_bases_dtype_and_is_computed_in_float32() -> None:
    base, tuned = torch.randn(64).to(torch.bfloat16), torch.randn(64)
    result = merge_tensor(base, tuned, HALF)
    assert result.dtype == torch.bfloat16
    exact = merge_tensor(base.float(), tuned, HALF)
    assert torch.equal(result, exact.to(torch.bfloat16))


def test_other_shapes_or_names_are_refused() -> None:
    with pytest.raises(InvalidInput, match="shapes"):
        merge_tensor(torch.zeros(2), torch.zeros(3), HALF)
    with pytest.raises(InvalidInput, match="different tensors"):
        merge_states({"a": torch.zeros(2)}, {"b": torch.zeros(2)}, HALF)


def test_a_merged_folder_loads_and_its_report_names_the_branch_of_every_tensor(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base, tuned = tiny_model(0), tiny_model(0)
    with torch.no_grad():
        tuned.model.layers[1].self_attn.q_proj.weight.copy_(
            torch.randn_like(tuned.model.layers[1].self_attn.q_proj.weight)
        )
    base.save_pretrained(str(tmp_path / "base"))
    tuned.save_pretrained(str(tmp_path / "tuned"))
    (tmp_path / "base" / "tokenizer.json").write_text("{}")
    report = merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / "merged")
    branches = {row.name: row.branch for row in report.tensors}
    assert branches["model.layers.1.self_attn.q_proj.weight"] == "slerp"
    assert list(branches.values()).count("slerp") == 1
    changed = {row.name for row in report.tensors if row.merged_change > 1e-6}
    assert changed == {"model.layers.1.self_attn.q_proj.weight"}
    assert len(json.loads((tmp_path / "merged" / REPORT_FILE).read_text())["tensors"]) == len(report.tensors)
    loaded = AutoModelForCausalLM.from_pretrained(str(tmp_path / "merged"), local_files_only=True)
    assert loaded.lm_head.weight.data_ptr() == loaded.model.embed_tokens.weight.data_ptr()
    assert (tmp_path / "merged" / "tokenizer.json").exists()


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="safetensors"):
        read_state(tmp_path)
