"""AdamW with warm-up and cosine decay, and gradient clipping: shared by SFT and GRPO."""

from __future__ import annotations

import math
from typing import Any

import torch

from sindbad.training.configuration import OptimiserConfig as OptimiserConfig


def build_optimiser(model: Any, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, without decay on vectors."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)


def learning_rate(config: OptimiserConfig, step: int, total_steps: int) -> float:
    """Rate of optimiser step ``step`` (0-based) of ``total_steps``."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    span = max(1, total_steps - config.warmup_steps)
    progress = min(1.0, (step - config.warmup_steps) / span)
    floor = config.min_lr_fraction
    return config.lr * (floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress)))


def apply_gradient(model: Any, optimizer: torch.optim.Optimizer, *, lr: float, clip_norm: float) -> float:
    """Clip, step, zero. Returns the norm before clipping; a norm that is not finite leaves the weights alone."""
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm))
    for group in optimizer.param_groups:
        group["lr"] = lr
    if math.isfinite(norm):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
