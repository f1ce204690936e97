"""The clipped token-level policy loss and the supervised loss.

Shapes: N trained tokens. Both losses are sums of per-token terms times given weights, so that sums over
micro-batches, shards and workers add up to exactly the loss of the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sindbad.training.configuration import ClipConfig as ClipConfig


@dataclass(slots=True)
class PolicyStats:
    """Sums over tokens, additive over micro-batches; :meth:`means` turns them into metrics."""

    tokens: int = 0
    clipped: float = 0.0
    kl: float = 0.0
    entropy: float = 0.0
    ratio_max: float = 0.0
    ratio_error: float = 0.0
    loss: float = 0.0

    def add(self, other: PolicyStats) -> None:
        """Accumulate another micro-batch."""
        self.tokens += other.tokens
        self.clipped += other.clipped
        self.kl += other.kl
        self.entropy += other.entropy
        self.ratio_max = max(self.ratio_max, other.ratio_max)
        self.ratio_error += other.ratio_error
        self.loss += other.loss

    def means(self) -> dict[str, float]:
        """Per-token means (and the largest ratio)."""
        count = max(1, self.tokens)
        return {
            "loss": self.loss,
            "clip_fraction": self.clipped / count,
            "approx_kl": self.kl / count,
            "entropy": self.entropy / count,
            "ratio_max": self.ratio_max,
            "ratio_error": self.ratio_error / count,
        }


def policy_loss(
    logprobs_N: torch.Tensor,
    behaviour_N: torch.Tensor,
    advantage_N: torch.Tensor,
    weight_N: torch.Tensor,
    clip: ClipConfig,
    *,
    entropy_N: torch.Tensor | None = None,
) -> tuple[torch.Tensor, PolicyStats]:
    """-sum weight * min(r A, clip(r) A), r = exp(logprob - recorded behaviour log-probability).

    Returns:
        The scalar loss with gradient, and sums for metrics (approximate KL is Schulman's k3, behaviour to policy).
    """
    log_ratio_N = logprobs_N - behaviour_N
    ratio_N = log_ratio_N.exp()
    clipped_N = ratio_N.clamp(1.0 - clip.eps_low, 1.0 + clip.eps_high)
    objective_N = torch.minimum(ratio_N * advantage_N, clipped_N * advantage_N)
    loss = -(weight_N * objective_N).sum()
    with torch.no_grad():
        stats = PolicyStats(
            tokens=int(ratio_N.numel()),
            clipped=float((clipped_N * advantage_N < ratio_N * advantage_N).sum()),
            kl=float((ratio_N - 1.0 - log_ratio_N).sum()),
            entropy=float(entropy_N.sum()) if entropy_N is not None else 0.0,
            ratio_max=float(ratio_N.max()) if ratio_N.numel() else 0.0,
            ratio_error=float((ratio_N - 1.0).abs().sum()),
            loss=float(loss.detach()),
        )
    return loss, stats


def supervised_loss(logprobs_N: torch.Tensor, weight_N: torch.Tensor) -> torch.Tensor:
    """-sum weight * logprob: cross-entropy over trained tokens."""
    return -(weight_N * logprobs_N).sum()
