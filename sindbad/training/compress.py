"""FP8 compression of a model's Linear weights: float8_e4m3, one static scale an output channel, no calibration data.

The scheme of the HALA teacher's artifact ("FP8-Dynamic"): every Linear but the head; activation scales, where used, are
computed at run time per token. Covered: the numerics and the storage (tensor names as compressed-tensors writes them:
``weight`` in float8, ``weight_scale`` float32 [out, 1]). Not covered: FP8 arithmetic, so no throughput is claimed.

:func:`compress_folder` writes the small folder, :func:`expand_folder` a plain one with exactly the compressed values,
which any engine serves.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sindbad.atomic import replace_dir, write_json
from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.training.merge import read_state

E4M3_MAX = 448.0
E4M3_MIN_NORMAL = 2.0**-6
MANIFEST = "compression.json"
SCHEME = "fp8_dynamic"
IGNORED = ("lm_head",)


@dataclass(frozen=True, slots=True)
class LayerError:
    """Reconstruction of one weight.

    ``max_relative``: largest |W - dq(W)| / |W| over elements that are normal numbers in E4M3 (at most 2^-4 by
    construction); ``subnormal_share``: share of the others; ``relative``: Frobenius norm of the error over W's.
    """

    name: str
    shape: tuple[int, ...]
    max_relative: float
    subnormal_share: float
    relative: float


@dataclass(frozen=True, slots=True)
class CompressionReport:
    """Every compressed layer, and the bytes of all weights before and after."""

    scheme: str
    layers: tuple[LayerError, ...]
    bytes_before: int
    bytes_after: int

    @property
    def ratio(self) -> float:
        """Size after / size before."""
        return self.bytes_after / max(1, self.bytes_before)


def quantise(weight_OI: Any) -> tuple[Any, Any]:
    """float8_e4m3 weight [out, in] and its float32 scale [out, 1]: weight ~ quantised * scale."""
    import torch

    values = weight_OI.detach().float()
    scale = values.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / E4M3_MAX
    return (values / scale).clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn), scale


def dequantise(weight_OI: Any, scale_O1: Any) -> Any:
    """float32 weight."""
    return weight_OI.float() * scale_O1


def layer_error(name: str, weight_OI: Any, quantised_OI: Any, scale_O1: Any) -> LayerError:
    """Compare a weight with its reconstruction."""
    original = weight_OI.detach().float()
    error = (original - dequantise(quantised_OI, scale_O1)).abs()
    normal = (original.abs() / scale_O1) >= E4M3_MIN_NORMAL
    relative = (error / original.abs().clamp(min=1e-30))[normal]
    return LayerError(
        name,
        tuple(original.shape),
        float(relative.max()) if relative.numel() else 0.0,
        1.0 - float(normal.float().mean()),
        float(error.norm() / original.norm().clamp(min=1e-30)),
    )


def linear_names(model_dir: Path) -> list[str]:
    """Weights of every Linear of the architecture but the head, from the configuration alone (on the meta device)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(model_dir), local_files_only=True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.rsplit(".", 1)[-1] not in IGNORED
    ]


def compress_folder(model_dir: Path, target: Path) -> CompressionReport:
    """Write ``model_dir`` with FP8 Linear weights to ``target`` (replaced atomically), with a report beside them."""
    state = read_state(model_dir)
    chosen = [name for name in linear_names(model_dir) if name in state]
    if not chosen:
        raise InvalidInput(f"{model_dir} holds no Linear weight that its configuration names")
    packed = {name: tensor for name, tensor in state.items() if name not in chosen}
    layers = []
    for name in chosen:
        packed[name], scale = quantise(state[name])
        packed[f"{name}_scale"] = scale
        layers.append(layer_error(name, state[name], packed[name], scale))
    report = CompressionReport(SCHEME, tuple(layers), _bytes(state), _bytes(packed))
    manifest = {"scheme": SCHEME, "ignore": list(IGNORED), "weights": chosen, "report": asdict(report)}
    with _new_folder(model_dir, target) as temporary:
        _save(packed, temporary)
        write_json(temporary / MANIFEST, manifest)
    return report


def expand_folder(compressed_dir: Path, target: Path) -> Path:
    """A plain float32 model folder with exactly the compressed values."""
    state = read_compressed(compressed_dir)
    with _new_folder(compressed_dir, target) as temporary:
        (temporary / MANIFEST).unlink(missing_ok=True)
        _save(state, temporary)
    return target


def read_compressed(folder: Path) -> dict[str, Any]:
    """State dict of a compressed folder in float32. Raises NotFound (no manifest) or Corrupt (no scale)."""
    if not (folder / MANIFEST).is_file():
        raise NotFound(f"{folder} holds no {MANIFEST}; compress a model folder first")
    weights = set(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["weights"])
    packed = read_state(folder)
    if missing := sorted(name for name in weights if name not in packed or f"{name}_scale" not in packed):
        raise Corrupt(f"{folder} lacks {missing[0]} or its scale; compress the model again")
    scales = {f"{name}_scale" for name in weights}
    return {
        name: dequantise(tensor, packed[f"{name}_scale"]) if name in weights else tensor
        for name, tensor in packed.items()
        if name not in scales
    }


def load_compressed(folder: Path, *, dynamic_activations: bool = False) -> Any:
    """A float32 causal model with the compressed values.

    Args:
        dynamic_activations: also round the inputs of those Linear layers to E4M3 with one scale a token, computed at
            run time, as FP8 hardware would.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    model = AutoModelForCausalLM.from_config(config).to(torch.float32)  # type: ignore[no-untyped-call]
    loaded = model.load_state_dict({k: v.float() for k, v in read_compressed(folder).items()}, strict=False)
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    if loaded.unexpected_keys or set(loaded.missing_keys) - tied:
        raise Corrupt(f"{folder} does not fit its configuration: {loaded}")
    model.tie_weights()
    if dynamic_activations:
        names = {name.removesuffix(".weight") for name in linear_names(folder)}
        for name, module in model.named_modules():
            if name in names:
                module.register_forward_pre_hook(_round_inputs)
    return model.eval()


def _round_inputs(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    hidden = inputs[0]
    quantised, scale = quantise(hidden.reshape(-1, hidden.shape[-1]))
    return (dequantise(quantised, scale).reshape(hidden.shape), *inputs[1:])


def _bytes(state: dict[str, Any]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def _save(state: dict[str, Any], folder: Path) -> None:
    from safetensors.torch import save_file

    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(contiguous, str(folder / "model.safetensors"), metadata={"format": "pt"})


@contextmanager
def _new_folder(source: Path, target: Path) -> Iterator[Path]:
    """A temporary folder with the source's configuration and tokenizer; replaces ``target`` when the body succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for file in source.iterdir():
            if file.is_file() and file.suffix in (".json", ".jinja", ".model", ".txt") and "index" not in file.name:
                shutil.copyfile(file, temporary / file.name)
        yield temporary
        temporary.chmod(0o755)
        replace_dir(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
