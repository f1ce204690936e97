"""config.json of an LFM2 model, read without transformers, whose import alone takes several seconds of a core.

Defaults and old key names are those of transformers' ``Lfm2Config`` (5.16); a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.engines.checkpoint import read_config
from sindbad.errors import EngineFailure

_OLD_NAMES = {"tie_embedding": "tie_word_embeddings", "block_ff_dim": "intermediate_size"}
_KINDS = {"full_attention", "conv"}


@dataclass(frozen=True, slots=True)
class Lfm2Config:
    """What the forward pass needs; names as in config.json."""

    vocab_size: int = 65536
    hidden_size: int = 2560
    intermediate_size: int = 12288
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    max_position_embeddings: int = 128_000
    norm_eps: float = 1e-5
    tie_word_embeddings: bool = True
    conv_bias: bool = False
    conv_L_cache: int = 3
    block_multiple_of: int = 256
    block_ffn_dim_multiplier: float | None = 1.0
    block_auto_adjust_ff_dim: bool = True
    head_dim: int | None = None
    layer_types: tuple[str, ...] = ()
    rope_theta: float = 1_000_000.0

    @property
    def head_width(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def inner_width(self) -> int:
        """Lfm2MLP's adjustment of intermediate_size (modeling_lfm2.py)."""
        size = self.intermediate_size
        if self.block_auto_adjust_ff_dim:
            size = int(2 * size / 3)
            if self.block_ffn_dim_multiplier is not None:
                size = int(self.block_ffn_dim_multiplier * size)
                size = self.block_multiple_of * ((size + self.block_multiple_of - 1) // self.block_multiple_of)
        return size


def read_lfm2_config(model_dir: Path) -> Lfm2Config:
    """The configuration in ``model_dir``. Raises EngineFailure for what the forward pass does not cover."""
    values = {_OLD_NAMES.get(key, key): value for key, value in read_config(model_dir).items()}
    if values["model_type"] != "lfm2":
        raise EngineFailure(f"{model_dir} holds {values['model_type']}, not lfm2", reason="BAD_MODEL_DIR")
    values["rope_theta"] = _rope_theta(values, model_dir)
    known = {name: values[name] for name in Lfm2Config.__dataclass_fields__ if name in values}
    known["layer_types"] = _layer_types(values)
    try:
        config = Lfm2Config(**known)
    except TypeError as error:
        raise EngineFailure(f"{model_dir}/config.json: {error}", reason="BAD_MODEL_DIR") from error
    if set(config.layer_types) - _KINDS or len(config.layer_types) != config.num_hidden_layers:
        raise EngineFailure(f"{model_dir}/config.json: unusable layer_types", reason="BAD_MODEL_DIR")
    return config


def _rope_theta(values: dict[str, Any], model_dir: Path) -> float:
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if rope.get("rope_type", "default") != "default":
        raise EngineFailure(f"{model_dir}: only the default rotary embedding is supported for LFM2")
    theta = rope.get("rope_theta", values.get("rope_theta", Lfm2Config.__dataclass_fields__["rope_theta"].default))
    return float(theta)


def _layer_types(values: dict[str, Any]) -> tuple[str, ...]:
    if values.get("layer_types") is not None:
        return tuple(values["layer_types"])
    count = values.get("num_hidden_layers", Lfm2Config.__dataclass_fields__["num_hidden_layers"].default)
    attention = values.get("full_attn_idxs")
    chosen = set(range(count)) if attention is None else set(attention)
    return tuple("full_attention" if index in chosen else "conv" for index in range(count))
