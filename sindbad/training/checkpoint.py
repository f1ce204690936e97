"""Checkpoints of a learner: weights, optimiser, torch's generator and a small JSON state, in one atomic folder.

Invariant: a folder ``step-%08d`` exists only when it is complete, so that the newest one is always loadable; a learner
killed at any moment resumes from it bit for bit (one thread, same machine, same library versions).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.atomic import replace_dir
from sindbad.errors import Corrupt

_NAME = re.compile(r"step-(\d{8})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loadable folder and the JSON state in it. ``step`` counts finished optimiser or learner steps."""

    path: Path
    step: int
    state: dict[str, Any]


def save_checkpoint(
    root: Path, step: int, model: Any, optimizer: Any, state: Mapping[str, Any], *, keep: int = 2
) -> Path:
    """Write ``root/step-%08d`` and drop all but the newest ``keep``. Saving the same step again replaces it."""
    import torch
    from safetensors.torch import save_model

    target = root / f"step-{step:08d}"
    temporary = root / f".tmp-{target.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_model(model, str(temporary / "model.safetensors"))
    torch.save({"optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, temporary / "optimizer.pt")
    (temporary / "state.json").write_text(json.dumps({**state, "step": step}), encoding="utf-8")
    replace_dir(temporary, target)
    for old in list_checkpoints(root)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def list_checkpoints(root: Path) -> list[Path]:
    """Complete checkpoint folders, oldest first."""
    if not root.is_dir():
        return []
    return sorted(child for child in root.iterdir() if _NAME.fullmatch(child.name))


def latest_checkpoint(root: Path) -> Checkpoint | None:
    """The newest complete checkpoint, or None. Raises Corrupt when its state cannot be read."""
    found = list_checkpoints(root)
    if not found:
        return None
    try:
        state = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Corrupt(
            f"checkpoint {found[-1]} cannot be read ({error}); remove it to fall back to the one before"
        ) from error
    return Checkpoint(found[-1], int(state["step"]), state)


def restore(checkpoint: Checkpoint, model: Any, optimizer: Any) -> None:
    """Put weights, optimiser state and torch's generator back, in place."""
    import torch
    from safetensors.torch import load_model

    load_model(model, str(checkpoint.path / "model.safetensors"))
    saved = torch.load(checkpoint.path / "optimizer.pt", weights_only=True)
    optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"])
