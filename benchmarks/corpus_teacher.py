"""The demo's teacher at the price of a larger model: the same tokens, more arithmetic for each.

Beside a model of a million parameters a pipeline is measured against next to nothing. So every feed-forward block gets
inner units whose way back into the residual stream is zero: they are computed and add exactly nothing. Only rounding
could differ (a longer sum may be blocked otherwise), so the benchmark counts the completions that do. What is real is
the arithmetic of a token; attention and the cache stay as narrow as the teacher's own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def parameters(folder: Path) -> int:
    """How many numbers a checkpoint holds."""
    from safetensors import safe_open

    with safe_open(str(folder / "model.safetensors"), "pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    return sum(_product(shape) for shape in shapes)


def _product(shape: list[int]) -> int:
    found = 1
    for size in shape:
        found *= size
    return found


def grown(teacher: Path, folder: Path, wanted: int) -> Path:
    """A copy of ``teacher`` in ``folder`` with about ``wanted`` parameters that computes the same function."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(teacher, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    layers, width, inner = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    more = max(0, wanted - parameters(teacher)) // (3 * width * layers)
    noise = torch.Generator().manual_seed(1)
    tensors = load_file(str(teacher / "model.safetensors"))
    for name, tensor in tensors.items():
        if name.endswith(("feed_forward.w1.weight", "feed_forward.w3.weight")):
            unit = torch.randn(more, width, generator=noise).to(tensor.dtype) * 0.02
            tensors[name] = torch.cat((tensor, unit)).contiguous()
        elif name.endswith("feed_forward.w2.weight"):
            tensors[name] = torch.cat((tensor, tensor.new_zeros(width, more)), dim=1).contiguous()
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    path.write_text(json.dumps({**config, "intermediate_size": inner + more}, indent=2), "utf-8")
    return folder
