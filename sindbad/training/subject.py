"""What a training is of: digests of its settings, its base model and its data, which its checkpoints carry.

Invariant: a training goes on only from checkpoints of the same three. Others would publish one data set's weights under
another's licences, so they are refused with what to do. Where and how fast it runs (threads, token budget, how often it
says or saves something) is no part of it. A checkpoint of an earlier version names nothing, and is refused as well.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from sindbad.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from sindbad.training.checkpoint import Checkpoint
    from sindbad.training.configuration import GRPOConfig, SFTConfig
    from sindbad.training.examples import Example

SUBJECT: Final = "training"
"""The field of a checkpoint's state."""
Subject = Mapping[str, str]
"""Part ("settings", "base model", "data") -> digest."""
_SFT_MANNER: Final = {
    "epochs", "steps", "threads", "token_budget", "max_length", "checkpoint_every", "validate_every", "log_every",
}  # fmt: skip
"""Of these only the number of steps decides what comes out, and which examples there are; both are counted for
themselves."""
_GRPO_MANNER: Final[Any] = {
    "steps": True, "threads": True, "token_budget": True, "max_seconds": True,
    "rollout": {"in_flight", "deadline_seconds", "timeouts", "patience_seconds", "redraws"},
}  # fmt: skip


def sft_subject(config: SFTConfig, model: Any, examples: Iterable[Example], steps: int) -> dict[str, str]:
    """Of a supervised run, before its first step."""
    settings = {**config.model_dump(mode="json", exclude=_SFT_MANNER), "steps": steps}
    return {
        "settings": settings_digest(settings), "base model": weights_digest(model), "data": examples_digest(examples)
    }  # fmt: skip


def grpo_subject(config: GRPOConfig, model: Any, data: str) -> dict[str, str]:
    """Of a run of GRPO; ``data`` names its questions. More steps are more of the same, where the rate is constant."""
    settings = config.model_dump(mode="json", exclude=_GRPO_MANNER)
    if config.optimiser.min_lr_fraction < 1:
        settings["steps"] = config.steps
    return {"settings": settings_digest(settings), "base model": weights_digest(model), "data": data}


def check_subject(found: Checkpoint, subject: Subject) -> None:
    """Raise InvalidInput/OTHER_TRAINING where a checkpoint is of another training than ``subject``."""
    known = found.state.get(SUBJECT)
    if known == dict(subject):
        return
    root, parts = found.path.parent, sorted(subject)
    if isinstance(known, dict):
        changed = [part for part in parts if known.get(part) != subject[part]]
        said = f"are of another training (not the same: {', '.join(changed) or 'its parts'})"
        back = "to go on with that one, give what it was given"
    else:
        said = "are of an earlier version, and do not say of which training"
        back = f"if you know that it is this one, add {json.dumps({SUBJECT: dict(subject)})} to {found.path}/state.json"
    raise InvalidInput(
        f"the checkpoints in {root} {said}; to train anew, name another folder for the run or move {root} away; {back}",
        reason="OTHER_TRAINING",
    )


def check_resumable(checkpoints: Path, subject: Subject) -> None:
    """The same of the newest one of a folder, if it has one: before anything is begun that writes beside it."""
    from sindbad.training.checkpoint import latest_checkpoint

    if (found := latest_checkpoint(checkpoints)) is not None:
        check_subject(found, subject)


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Of anything JSON-ready."""
    return _short(sha256(json.dumps(settings, sort_keys=True, ensure_ascii=False).encode()).hexdigest())


def weights_digest(model: Any) -> str:
    """Of every parameter's name, shape and bits."""
    import torch

    found = sha256()
    for name, value in model.named_parameters():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return _short(found.hexdigest())


def examples_digest(examples: Iterable[Example]) -> str:
    """Of the tokens, of what is trained of them, and of their order."""
    found = sha256()
    for example in examples:
        found.update(len(example).to_bytes(8, "little"))
        found.update(array("q", example.input_ids).tobytes())
        found.update(array("b", example.loss_mask).tobytes())
    return _short(found.hexdigest())


def _short(digest: str) -> str:
    return digest[:32]
