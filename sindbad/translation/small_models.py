"""The two tiny LFM2 translators of the demo, untrained: a teacher, and a light one of less than half its size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sindbad.translation.prompts import PromptStyle


class SmallModelConfig(BaseModel):
    """Shape of a tiny LFM2. Convolution and attention alternate and end in attention: translating is aligning."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden_size: int = Field(default=96, gt=0)
    """Width; a multiple of the head size 32."""
    layers: int = Field(default=4, gt=1)
    """Blocks."""
    inner_size: int = Field(default=256, gt=0)
    """Width of the feed-forward layers."""


STYLE_KEY = "translation_prompt"
LIGHT = SmallModelConfig()
TEACHER = SmallModelConfig(hidden_size=128, layers=6, inner_size=240)


def new_model(
    config: SmallModelConfig,
    tokenizer: Any,
    *,
    seed: int,
    style: PromptStyle = PromptStyle.LIGHT,
    rows: int | None = None,
) -> Any:
    """A randomly initialised ``Lfm2ForCausalLM`` in float32; ``rows`` overrides its embedding rows.

    ``style`` is written into config.json, so that whoever serves the folder uses the prompt of its training."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    torch.manual_seed(seed)
    heads = config.hidden_size // 32
    shape = Lfm2Config(
        vocab_size=rows or -(-len(tokenizer) // 64) * 64,
        hidden_size=config.hidden_size,
        intermediate_size=config.inner_size,
        num_hidden_layers=config.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        layer_types=["full_attention" if layer % 2 else "conv" for layer in range(config.layers)],
        block_auto_adjust_ff_dim=False,
        initializer_range=0.06,  # at this width 0.02 needs three times the steps before names are copied
        max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    setattr(shape, STYLE_KEY, style.value)
    return Lfm2ForCausalLM(shape)  # type: ignore[no-untyped-call]


def prompt_style(model_dir: Path, default: PromptStyle) -> PromptStyle:
    """The prompt that a model folder was trained with; ``default`` where its config.json does not say."""
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    return PromptStyle(config.get(STYLE_KEY, default))


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the tokenizer's files into ``folder``, so that ``run_sft``'s outputs can copy them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(str(folder))
