"""What a model folder holds before it is quantised, and which of its weights are: refused early, with a word why.

Covered: folders that are none, damaged weights, models that are quantised already, architectures nobody checked, and
weights that the configuration names and the files lack. Nothing is loaded: names come from the architecture on torch's
meta device, tensors are read one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.errors import Corrupt, InvalidInput
from sindbad.weights.folder import QUANTISATION, check_model_folder, refuse_quantised

CHECKED = frozenset({"lfm2", "qwen3", "cohere", "cohere2"})
"""``model_type`` of the architectures whose result is tested; others need ``any_architecture``."""
IGNORED = ("lm_head",)
MANIFEST = QUANTISATION
SHARDS = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Source:
    """A folder that can be quantised. ``chosen``: the weights that are, in the architecture's order."""

    folder: Path
    config: dict[str, Any]
    files: tuple[Path, ...]
    chosen: tuple[str, ...]


def read_source(folder: Path, *, any_architecture: bool = False) -> Source:
    """Look at ``folder``.

    Raises:
        NotFound: it is no model folder (config.json, tokenizer.json, safetensors).
        Corrupt: a file of it is damaged, or lacks a weight that the configuration names.
        InvalidInput: it is quantised already, or its architecture is not one of ``CHECKED``.
    """
    check_model_folder(folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    refuse_quantised(folder, "give the original model")
    kind = str(config.get("model_type", ""))
    if kind not in CHECKED and not any_architecture:
        raise InvalidInput(
            f"{folder} is of the architecture '{kind or '(none)'}', which was never checked here (checked: "
            f"{', '.join(sorted(CHECKED))}); try it with --any-architecture and read the report closely",
            reason="UNKNOWN_ARCHITECTURE",
        )
    files = weight_files(folder)
    chosen = _chosen(folder, dict(stored_dtypes(files)))
    return Source(folder, config, files, chosen)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a folder: those that its index names, or the only one."""
    index = folder / SHARDS
    if index.is_file() and not (folder / "model.safetensors").is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return tuple(folder / name for name in names)
    return (folder / "model.safetensors",)


def stored_dtypes(files: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Name and safetensors' dtype ("F32", "BF16", "F8_E4M3" …) of every tensor, from the headers alone."""
    from safetensors import safe_open

    for file in files:
        with safe_open(str(file), framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a mapping)
                yield name, opened.get_slice(name).get_dtype()


def linear_names(folder: Path) -> tuple[str, ...]:
    """Weights of every Linear of the architecture but the head, from the configuration alone (on the meta device).

    Raises InvalidInput where transformers does not know the architecture.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, TypeError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise InvalidInput(
            f"transformers cannot build a language model from {folder}/config.json: {first}",
            reason="UNKNOWN_ARCHITECTURE",
        ) from error
    return tuple(
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.rsplit(".", 1)[-1] not in IGNORED
    )


def _chosen(folder: Path, stored: dict[str, str]) -> tuple[str, ...]:
    names = linear_names(folder)
    if missing := [name for name in names if name not in stored]:
        raise Corrupt(f"{folder} lacks {missing[0]} (and {len(missing) - 1} more), which its config.json asks for")
    if not names:
        raise InvalidInput(f"{folder} has no Linear layer besides its head; there is nothing to quantise")
    if odd := [name for name in names if stored[name] not in ("F32", "F16", "BF16", "F64")]:
        raise InvalidInput(f"{odd[0]} in {folder} is stored as {stored[odd[0]]}; give the model before quantisation")
    return names
