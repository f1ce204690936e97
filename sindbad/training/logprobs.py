"""Log-probabilities of given tokens under a causal model, float32, computed at the trained positions only.

Shapes: B sequences, T tokens, D hidden size, V vocabulary, N trained tokens (row-major order of the mask).
The head runs on N rows, not B*T: with a real vocabulary the logits are most of the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from sindbad.errors import InvalidInput

_RESCALED_HEADS = ("logit_scale", "logits_scaling", "final_logit_softcapping")


@dataclass(frozen=True, slots=True)
class TokenScores:
    """``logprobs_N`` carries gradient; ``entropy_N`` (nats) does not. ``correct_N``: the token was the argmax."""

    logprobs_N: torch.Tensor
    entropy_N: torch.Tensor
    correct_N: torch.Tensor


def score(model: Any, input_ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> TokenScores:
    """Score the tokens of ``input_ids_BT`` where ``mask_BT`` is set (never in column 0).

    No attention mask is passed: rows are padded on the right, and a causal model cannot look there (see packing).

    Raises:
        InvalidInput: the model rescales its logits after the head (Cohere, Granite, Gemma 2), which this does not do.
    """
    refuse_rescaled_head(model)
    hidden_BTD = model.base_model(input_ids=input_ids_BT, use_cache=False).last_hidden_state
    rows_ND = hidden_BTD[:, :-1][mask_BT[:, 1:]]
    logits_NV = model.get_output_embeddings()(rows_ND).float()
    target_N = input_ids_BT[:, 1:][mask_BT[:, 1:]]
    all_NV = torch.log_softmax(logits_NV, dim=-1)
    with torch.no_grad():
        entropy_N = -(all_NV.exp() * all_NV).sum(-1)
        correct_N = logits_NV.argmax(-1) == target_N
    return TokenScores(all_NV.gather(-1, target_N[:, None])[:, 0], entropy_N, correct_N)


def refuse_rescaled_head(model: Any) -> None:
    """Raise InvalidInput for architectures whose logits are not head(hidden)."""
    for name in _RESCALED_HEADS:
        if getattr(model.config, name, None) not in (None, 1, 1.0):
            raise InvalidInput(f"{type(model).__name__} rescales its logits ({name}); score() would be wrong for it")
