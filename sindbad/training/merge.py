"""SLERP of a tuned model with its base, by mergekit's own function, with a report per tensor (HALA step 6).

mergekit interpolates each output of a batch separately; a whole tensor is one output here, as in its released recipe
of HALA's time: flattened, un-normalised inputs, float32 arithmetic, LERP where |cosine| > 0.9995. The result has the
base's dtype, its configuration and its tokenizer. Tied weights are merged once.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sindbad.atomic import replace_dir, write_json
from sindbad.errors import InvalidInput, NotFound
from sindbad.training.configuration import MergeConfig as MergeConfig

REPORT_FILE = "merge_report.json"


@dataclass(frozen=True, slots=True)
class TensorMerge:
    """One tensor: cosine of base and tuned, the branch mergekit takes for it, and how far they moved from the base.

    ``tuned_change`` and ``merged_change`` are Frobenius norms of the difference to the base over the base's norm.
    """

    name: str
    shape: tuple[int, ...]
    cosine: float
    branch: Literal["slerp", "lerp"]
    tuned_change: float
    merged_change: float


@dataclass(frozen=True, slots=True)
class MergeReport:
    """All tensors, in the base's order."""

    t: float
    tensors: tuple[TensorMerge, ...]

    @property
    def slerp_share(self) -> float:
        """Share of tensors that took the SLERP branch."""
        return sum(1 for tensor in self.tensors if tensor.branch == "slerp") / max(1, len(self.tensors))


def merge_tensor(base: Any, tuned: Any, config: MergeConfig) -> Any:
    """One tensor through mergekit, in float32; the result has the base's dtype and shape."""
    import torch
    from mergekit.merge_methods.slerp import slerp

    if base.shape != tuned.shape:
        raise InvalidInput(
            f"shapes differ: {tuple(base.shape)} and {tuple(tuned.shape)}; merge a model with its own base"
        )
    merged = slerp(
        torch.tensor([config.t]),
        base.detach().float().reshape(1, -1),
        tuned.detach().float().reshape(1, -1),
        dot_threshold=config.dot_threshold,
    )
    return merged.reshape(base.shape).to(base.dtype)


def cosine(base: Any, tuned: Any) -> float:
    """Cosine of the flattened tensors in float32, as mergekit computes it; 0 for a zero tensor."""
    import torch

    left, right = base.detach().float().flatten(), tuned.detach().float().flatten()
    norms = [torch.linalg.vector_norm(value) for value in (left, right)]
    if min(norms) <= 1e-8:
        return 0.0
    return float(((left / norms[0]) * (right / norms[1])).sum().clamp(-1, 1))


def merge_states(
    base: dict[str, Any], tuned: dict[str, Any], config: MergeConfig
) -> tuple[dict[str, Any], MergeReport]:
    """Merge two state dicts with equal names and shapes. Raises InvalidInput naming what differs."""
    if base.keys() != tuned.keys():
        odd = sorted(base.keys() ^ tuned.keys())[:3]
        raise InvalidInput(f"the models have different tensors ({', '.join(odd)} …); merge a model with its own base")
    merged: dict[str, Any] = {}
    rows = []
    for name, tensor in base.items():
        if not tensor.is_floating_point():
            merged[name] = tensor
            continue
        merged[name] = merge_tensor(tensor, tuned[name], config)
        rows.append(_describe(name, tensor, tuned[name], merged[name], config))
    return merged, MergeReport(config.t, tuple(rows))


def _describe(name: str, base: Any, tuned: Any, merged: Any, config: MergeConfig) -> TensorMerge:
    value = cosine(base, tuned)
    return TensorMerge(
        name,
        tuple(base.shape),
        value,
        "lerp" if abs(value) > config.dot_threshold else "slerp",
        relative_change(base, tuned),
        relative_change(base, merged),
    )


def relative_change(base: Any, other: Any) -> float:
    """Frobenius norm of the difference over the base's norm."""
    import torch

    norm = float(torch.linalg.vector_norm(base.float()))
    return float(torch.linalg.vector_norm(other.float() - base.float())) / max(norm, 1e-12)


def merge_folders(base_dir: Path, tuned_dir: Path, target: Path, config: MergeConfig | None = None) -> MergeReport:
    """Merge two model folders into ``target`` (replaced atomically), with the report beside the weights."""
    from safetensors.torch import save_file

    config = config or MergeConfig()
    merged, report = merge_states(read_state(base_dir), read_state(tuned_dir), config)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for file in base_dir.iterdir():
            if file.is_file() and file.suffix in (".json", ".jinja", ".model", ".txt") and "index" not in file.name:
                shutil.copyfile(file, temporary / file.name)
        save_file(merged, str(temporary / "model.safetensors"), metadata={"format": "pt"})
        write_json(temporary / REPORT_FILE, {"t": report.t, "tensors": [asdict(row) for row in report.tensors]})
        temporary.chmod(0o755)
        replace_dir(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return report


def read_state(folder: Path) -> dict[str, Any]:
    """Every tensor of a folder's safetensors files. Raises NotFound when there are none."""
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise NotFound(f"{folder} holds no safetensors; give a Hugging Face model folder")
    state: dict[str, Any] = {}
    for file in files:
        state |= load_file(str(file))
    return state
