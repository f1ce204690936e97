"""Read eight-bit folders back: as plain float32 values, as a plain folder, or as a model that rounds like the hardware.

Any compressed-tensors folder with eight-bit Linear weights by channel is read, whoever wrote it. Not covered: eight-bit
arithmetic itself (``sindbad.quantize.linear`` and the engines have it); values are what it would multiply.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sindbad.atomic import write_json
from sindbad.errors import Corrupt, NotFound
from sindbad.quantize.folder import copy_side_files, new_folder
from sindbad.quantize.numerics import FORMATS, Scheme, in_full, round_activations
from sindbad.quantize.source import linear_names, weight_files


def folder_scheme(folder: Path) -> Scheme:
    """What a folder is quantised as. Raises NotFound for one that is not, or not in these formats."""
    layout = _stated(folder).get("format")
    found = _scheme_of(layout)
    if found is None:
        raise NotFound(f"{folder} holds no eight-bit weights (format {layout}); quantise the model folder first")
    return found


def quantisation_name(folder: Path) -> str:
    """What the weights of a folder are rounded to: "FP8_DYNAMIC", "W8A8", what another tool calls it, or ""."""
    stated = _stated(folder)
    scheme = _scheme_of(stated.get("format"))
    return FORMATS[scheme].preset if scheme else str(stated.get("format") or stated.get("quant_method") or "")


def _stated(folder: Path) -> dict[str, Any]:
    """``quantization_config`` of a folder; empty where there is none."""
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return dict(config.get("quantization_config") or {})


def _scheme_of(layout: object) -> Scheme | None:
    return next((scheme for scheme, numbers in FORMATS.items() if numbers.layout == layout), None)


def read_quantised(folder: Path) -> dict[str, Any]:
    """State dict with the values that the eight bits stand for, those in float32. Raises NotFound or Corrupt."""
    from safetensors.torch import load_file

    folder_scheme(folder)
    stored: dict[str, Any] = {}
    for file in weight_files(folder):
        stored |= load_file(str(file))
    try:
        return in_full(stored)
    except Corrupt as error:
        raise Corrupt(f"{folder}: {error.message}; quantise the model again") from error


def expand_folder(quantised_dir: Path, target: Path) -> Path:
    """A plain float32 model folder with exactly the quantised values, which any engine serves."""
    from safetensors.torch import save_file

    state = read_quantised(quantised_dir)
    config = json.loads((quantised_dir / "config.json").read_text(encoding="utf-8"))
    del config["quantization_config"]
    config.pop("torch_dtype", None)
    with new_folder(target) as temporary:
        copy_side_files(quantised_dir, temporary)
        write_json(temporary / "config.json", {**config, "dtype": "float32"})
        contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
        save_file(contiguous, str(temporary / "model.safetensors"), metadata={"format": "pt"})
    return target


def load_quantised(folder: Path, *, activations: bool = True, dtype: Any = None) -> Any:
    """A causal model with the quantised values, for measuring.

    Args:
        activations: also round every quantised layer's input to eight bits, one scale a token, as the hardware does.
        dtype: of the arithmetic; float32 when None.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    scheme = folder_scheme(folder)
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config).to(dtype or torch.float32)  # type: ignore[no-untyped-call]
    state = {name: tensor.to(dtype or torch.float32) for name, tensor in read_quantised(folder).items()}
    loaded = model.load_state_dict(state, strict=False)
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    if loaded.unexpected_keys or set(loaded.missing_keys) - tied:
        raise Corrupt(f"{folder} does not fit its configuration: {loaded}")
    model.tie_weights()
    if activations:
        names = {name.removesuffix(".weight") for name in linear_names(folder)}
        for name, module in model.named_modules():
            if name in names:
                module.register_forward_pre_hook(_Rounded(scheme))
    return model.eval()


class _Rounded:
    """A forward hook: the layer's input in eight bits."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme

    def __call__(self, _module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (round_activations(inputs[0], self._scheme), *inputs[1:])
