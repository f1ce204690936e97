"""Write a model folder in eight bits: the compressed-tensors format that vLLM and transformers load.

Invariants: every Linear weight but the head's is quantised (``weight`` in eight bits, ``weight_scale`` [O, 1]), every
other tensor and file keeps its bytes; the source's sharding is kept, and no more than one shard is in memory; the
target appears whole or not at all, and what a killed run left beside it the next one removes; ``quantization.json``
says from what, by whom and with which error it was made.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import fmean
from typing import Any

from sindbad.atomic import check_replaceable, new_dir, write_json, write_text
from sindbad.errors import SindbadError
from sindbad.quantize.backends import Backend, open_backend
from sindbad.quantize.configuration import QuantizeConfig
from sindbad.quantize.lineage import card, lineage
from sindbad.quantize.numerics import LayerError, Scheme, layer_error
from sindbad.quantize.source import MANIFEST, SHARDS, Source, read_source
from sindbad.weights.card import CARDS

SIDE_FILES = (".json", ".jinja", ".model", ".txt", ".tiktoken")
SPARE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """Every quantised layer, the bytes of all tensors before and after, and who did it."""

    scheme: Scheme
    backend: str
    arithmetic: str
    layers: tuple[LayerError, ...]
    bytes_before: int
    bytes_after: int
    bytes_left: int
    """Of tensors that were not quantised: embeddings, head, norms, convolution kernels."""

    @property
    def ratio(self) -> float:
        """Size after / size before."""
        return self.bytes_after / max(1, self.bytes_before)

    @property
    def worst(self) -> LayerError:
        """The layer with the largest element error."""
        return max(self.layers, key=lambda layer: layer.max_relative)

    @property
    def mean_error(self) -> float:
        """Mean over layers of the relative Frobenius error."""
        return fmean(layer.relative for layer in self.layers)


def quantise_folder(
    model_dir: Path, target: Path, config: QuantizeConfig | None = None, *, licence: str | None = None
) -> QuantizationReport:
    """Quantise ``model_dir`` into ``target`` (replaced atomically).

    Args:
        licence: of the source, where its card does not say.

    Raises:
        NotFound, Corrupt, InvalidInput: see :func:`~sindbad.quantize.source.read_source`; or a target that holds
            something else.
        SindbadError: DISK_FULL.
    """
    config = config or QuantizeConfig()
    source = read_source(model_dir, any_architecture=config.any_architecture)
    check_replaceable(target, MANIFEST, inputs=[source.folder])
    with new_folder(target) as temporary, open_backend(source, config, temporary) as backend:
        _check_space(source, target.parent)
        report = _write_weights(source, temporary, backend, config)
        copy_side_files(source.folder, temporary)
        write_json(temporary / "config.json", {**source.config, "quantization_config": backend.config})
        made = lineage(source, config, backend, licence)
        layers = [{name: getattr(layer, name) for name in layer.__slots__} for layer in report.layers]
        sizes = {"bytes_before": report.bytes_before, "bytes_after": report.bytes_after}
        write_json(temporary / MANIFEST, {**made, **sizes, "layers": layers})
        write_text(temporary / "README.md", card(source, made, report))
    return report


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """As :func:`sindbad.atomic.new_dir`; a full disk is told as that."""
    from safetensors import SafetensorError

    try:
        with new_dir(target) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:
        raise SindbadError(
            f"{target} could not be written: {error}; nothing was left behind", reason="CANNOT_WRITE"
        ) from error


def copy_side_files(source: Path, target: Path) -> None:
    """Configuration, tokenizer, templates and licence texts; neither weights and their index, nor cards."""
    for file in sorted(source.iterdir()):
        wanted = file.suffix in SIDE_FILES or file.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE"))
        if file.is_file() and wanted and file.name not in (SHARDS, MANIFEST, *CARDS):
            shutil.copyfile(file, target / file.name)


def _write_weights(source: Source, target: Path, backend: Backend, config: QuantizeConfig) -> QuantizationReport:
    from safetensors import safe_open
    from safetensors.torch import save_file

    chosen = set(source.chosen)
    layers: dict[str, LayerError] = {}
    places: dict[str, str] = {}
    before = after = left = 0
    for file in source.files:
        packed: dict[str, Any] = {}
        with safe_open(str(file), framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a mapping)
                tensor = opened.get_tensor(name)
                before += tensor.nbytes
                if name not in chosen:
                    packed[name] = tensor
                    left += tensor.nbytes
                    continue
                packed[name], scale = backend.weight(name, tensor)
                packed[f"{name}_scale"] = scale
                layers[name] = layer_error(name, tensor, packed[name], scale, config.scheme)
        after += sum(tensor.nbytes for tensor in packed.values())
        places |= dict.fromkeys(packed, file.name)
        save_file({n: t.contiguous() for n, t in packed.items()}, str(target / file.name), metadata={"format": "pt"})
    if len(source.files) > 1:
        write_json(target / SHARDS, {"metadata": {"total_size": after}, "weight_map": places})
    ordered = tuple(layers[name] for name in source.chosen)
    return QuantizationReport(config.scheme, backend.name, config.arithmetic, ordered, before, after, left)


def expected_bytes(source: Source) -> int:
    """Of the result's tensors, from the headers alone; scales as float32."""
    from safetensors import safe_open

    chosen, total = set(source.chosen), 0
    for file in source.files:
        with safe_open(str(file), framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a mapping)
                part = opened.get_slice(name)
                shape = part.get_shape()
                total += prod(shape) + 4 * shape[0] if name in chosen else prod(shape) * _width(part.get_dtype())
    return total


def _width(dtype: str) -> int:
    """Bytes of an element, from safetensors' name of its type."""
    digits = "".join(letter for letter in dtype.split("_")[0] if letter.isdigit())
    return max(1, int(digits or 8) // 8)


def _check_space(source: Source, folder: Path) -> None:
    needed, free = expected_bytes(source) + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise SindbadError(
            f"{folder} has {free / 1e9:.1f} GB free and the result needs {needed / 1e9:.1f} GB; free some or choose "
            "another disk",
            reason="DISK_FULL",
        )
