"""Our reader of LFM2 configurations against transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sindbad.engines.lfm2_config import read_lfm2_config
from sindbad.errors import EngineFailure

# The third is the published LFM2-1.2B's, with the old key names.
CONFIGURATIONS: list[dict[str, Any]] = [
    {},
    {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3, "full_attn_idxs": [1], "head_dim": 32},
    {
        "hidden_size": 2048, "block_ff_dim": 12288, "num_hidden_layers": 16, "rope_theta": 1000000.0,
        "full_attn_idxs": [2, 5, 8, 10, 12, 14], "tie_embedding": True, "conv_L_cache": 3, "conv_bias": False,
        "block_auto_adjust_ff_dim": True, "block_ffn_dim_multiplier": 1.0, "block_multiple_of": 256,
    },
    {"block_auto_adjust_ff_dim": False, "tie_word_embeddings": False, "conv_bias": True, "norm_eps": 1e-6},
    {"block_ffn_dim_multiplier": 1.3, "block_multiple_of": 128, "intermediate_size": 1000},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 123.0}, "num_hidden_layers": 2},
]  # fmt: skip


@pytest.mark.parametrize("values", CONFIGURATIONS)
def test_it_reads_what_transformers_reads(tmp_path: Path, values: dict[str, Any]) -> None:
    from transformers import Lfm2Config

    (tmp_path / "config.json").write_text(json.dumps({"model_type": "lfm2", **values}))
    own, theirs = read_lfm2_config(tmp_path), Lfm2Config.from_pretrained(tmp_path)
    for name in (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "max_position_embeddings", "norm_eps", "tie_word_embeddings", "conv_bias", "conv_L_cache",
    ):  # fmt: skip
        assert getattr(own, name) == getattr(theirs, name), name
    assert list(own.layer_types) == theirs.layer_types
    assert own.rope_theta == theirs.rope_parameters["rope_theta"]


@pytest.mark.parametrize("values", CONFIGURATIONS[1:2] + CONFIGURATIONS[4:])
def test_the_inner_width_is_that_of_the_built_model(tmp_path: Path, values: dict[str, Any]) -> None:
    import torch
    from transformers import Lfm2Config
    from transformers.models.lfm2.modeling_lfm2 import Lfm2MLP

    (tmp_path / "config.json").write_text(json.dumps({"model_type": "lfm2", **values}))
    with torch.device("meta"):
        mlp = Lfm2MLP(Lfm2Config.from_pretrained(tmp_path))
    assert read_lfm2_config(tmp_path).inner_width == mlp.w1.out_features


@pytest.mark.parametrize(
    "values",
    [
        {"model_type": "qwen3"},
        {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}},
        {"layer_types": ["conv", "window"], "num_hidden_layers": 2},
        {"layer_types": ["conv"], "num_hidden_layers": 2},
    ],
)
def test_what_is_not_covered_is_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "lfm2"} | values))
    with pytest.raises(EngineFailure):
        read_lfm2_config(tmp_path)
