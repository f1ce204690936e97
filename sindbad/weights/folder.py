"""Whether a model folder can be loaded, seen without torch: what is missing or cut short is said before a run begins.

Covered: missing files, JSON that is none, weights shorter or longer than their header says, shards that an index names
and are not there, and, where the folder has a manifest, every checksum; folders that are quantised, where asked.
Not covered: whether the architecture is known.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.weights.manifest import MANIFEST_NAME, file_sha256, read_manifest

WEIGHTS, SHARDS = "model.safetensors", "model.safetensors.index.json"
QUANTISATION = "quantization.json"
"""What ``sindbad quantize`` writes beside the weights."""
LONGEST_HEADER = 100_000_000
"""Bytes; the format's own bound."""


def check_model_folder(folder: Path) -> None:
    """Return when ``folder`` holds a Hugging Face model with a fast tokenizer.

    Raises:
        NotFound: no such folder, or a file that it must have is not there.
        Corrupt: a file that is there is damaged.
    """
    if not folder.is_dir():
        raise NotFound(f"{folder} does not exist")
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise NotFound(f"{folder} is not a model folder (no {name})")
        _object_in(folder / name)
    for weights in _weights_of(folder):
        _check_safetensors(weights)
    if (folder / MANIFEST_NAME).is_file():
        read_manifest(folder).check(folder)


def check_full_folder(folder: Path) -> None:
    """The same, for weights that are to be trained. Raises InvalidInput/ALREADY_QUANTISED besides."""
    check_model_folder(folder)
    refuse_quantised(folder, "give the original model")


def refuse_quantised(folder: Path, remedy: str) -> None:
    """Raise InvalidInput/ALREADY_QUANTISED for a folder that some tool has quantised: its tensors are codes and scales,
    not weights. A folder without config.json (a tokenizer's) is none."""
    path = folder / "config.json"
    config = _object_in(path) if path.is_file() else {}
    stated = config.get("quantization_config") or config.get("compression_config") or {}
    if (folder / QUANTISATION).is_file() or "quantization_config" in config or "compression_config" in config:
        raise InvalidInput(
            f"{folder} is quantised already ({stated.get('quant_method') or 'its config.json says so'}); {remedy}",
            reason="ALREADY_QUANTISED",
        )


def model_revision(folder: Path) -> str:
    """Names the weights, configuration, tokenizer and template of a model folder by their content."""
    files = sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".json", ".jinja"))
    named = [[path.name, file_sha256(path)] for path in files]
    text = json.dumps(named, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _weights_of(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / SHARDS).is_file():
        raise NotFound(f"{folder} is not a model folder (no {WEIGHTS})")
    names = sorted(set(_object_in(folder / SHARDS).get("weight_map", {}).values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        raise NotFound(f"{folder} lacks the shards {', '.join(missing) or 'of its index'}")
    return [folder / name for name in names]


def _check_safetensors(path: Path) -> None:
    """Eight bytes of header length, a JSON header with the tensors' offsets, and exactly as much data as they say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(size - 8, LONGEST_HEADER):
            raise Corrupt(f"{path} is damaged or cut short ({size:,} bytes)")
        header = _object_from(file.read(length), path)
    try:
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise Corrupt(f"{path} is damaged: its header has no offsets") from error
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise Corrupt(f"{path} is damaged or cut short ({size:,} of {expected:,} bytes)")


def _object_in(path: Path) -> dict[str, Any]:
    return _object_from(path.read_bytes(), path)


def _object_from(data: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise Corrupt(f"{path} is damaged: it is not JSON") from error
    if not isinstance(found, dict):
        raise Corrupt(f"{path} is damaged: it holds no JSON object")
    return found
