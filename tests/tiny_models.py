"""Tiny models with random weights, made in the test, and their plain forward pass to compare engines with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

VOCABULARY = 320


def save_tiny_lfm2(folder: Path, *, seed: int = 0, vocabulary: int = VOCABULARY, width: int = 128) -> Path:
    """A four-layer LFM2 (convolution, attention, convolution, attention) with sharp random predictions."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    torch.manual_seed(seed)
    config = Lfm2Config(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, block_auto_adjust_ff_dim=False,
        layer_types=["conv", "full_attention", "conv", "full_attention"], max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, initializer_range=0.3,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return _save(Lfm2ForCausalLM(config), folder)


def save_tiny_qwen3(folder: Path, *, seed: int = 0, vocabulary: int = VOCABULARY) -> Path:
    """A two-layer Qwen3: attention only, so it takes the engine's general path."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=512, initializer_range=0.3,
    )  # fmt: skip
    return _save(Qwen3ForCausalLM(config), folder)


def _save(model: Any, folder: Path) -> Path:
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    return folder


def plain_logprobs(model_dir: Path, prompt: Sequence[int], output: Sequence[int]) -> list[float]:
    """Log-probability of each output token by one uncached forward pass in float64."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float64)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *output]]), use_cache=False).logits[0]
    logprobs = logits.double().log_softmax(-1)
    return [float(logprobs[len(prompt) - 1 + index, token]) for index, token in enumerate(output)]


def greedy_tokens(model_dir: Path, prompt: Sequence[int], count: int) -> list[int]:
    """What transformers' own generate answers without sampling."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    out = model.generate(torch.tensor([list(prompt)]), max_new_tokens=count, do_sample=False, eos_token_id=None)
    tokens: list[int] = out[0, len(prompt) :].tolist()
    return tokens
