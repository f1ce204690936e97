"""Who turns a weight into eight bits: our own arithmetic, or llm-compressor in an environment of its own.

llm-compressor's pins (torch, transformers, compressed-tensors) differ from vLLM's and may differ from ours, so it never
shares our process: a worker script runs under the interpreter of ``.venv-quantize`` (``scripts/install.sh quantize``,
or ``SINDBAD_QUANTIZE_PYTHON``) and leaves a folder, from which only the eight-bit weights, their scales and the
``quantization_config`` are taken. Everything else of the result comes from the source's own files, bit for bit.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.errors import Corrupt, NotFound
from sindbad.quantize.configuration import QuantizeConfig, compressed_tensors_config
from sindbad.quantize.numerics import FORMATS, Scheme, quantise
from sindbad.quantize.source import Source, weight_files

WORKER = Path(__file__).with_name("llm_compressor_worker.py")
PYTHON_VARIABLE = "SINDBAD_QUANTIZE_PYTHON"


@dataclass(frozen=True, slots=True)
class Backend:
    """``weight(name, tensor)`` gives the quantised tensor and its scale [O, 1]."""

    name: str
    versions: dict[str, str]
    config: dict[str, Any]
    weight: Callable[[str, Any], tuple[Any, Any]]


def quantize_python() -> Path | None:
    """The interpreter of llm-compressor's environment, or None where it is not installed."""
    named = os.environ.get(PYTHON_VARIABLE)
    root = Path(__file__).resolve().parents[2]
    for candidate in [Path(named)] if named else [root / ".venv-quantize" / "bin" / "python"]:
        if candidate.is_file() and any((candidate.parent.parent / "lib").glob("python3*/site-packages/llmcompressor")):
            return candidate
    return None


@contextmanager
def open_backend(source: Source, config: QuantizeConfig, scratch: Path) -> Iterator[Backend]:
    """The backend that ``config`` asks for; ``scratch`` is the result's unfinished folder: what llm-compressor
    writes is on its file system, and gone from it afterwards.

    Raises NotFound where llm-compressor is asked for and is not installed.
    """
    python = quantize_python() if config.backend != "own" else None
    if config.backend == "llm-compressor" and python is None:
        raise NotFound(
            f"llm-compressor is not installed: run scripts/install.sh quantize, name its interpreter in "
            f"{PYTHON_VARIABLE}, or use --backend own",
            reason="NO_LLM_COMPRESSOR",
        )
    if python is None:
        yield _own(config)
        return
    with tempfile.TemporaryDirectory(prefix="llm-compressor.", dir=scratch) as folder:
        _run_worker(python, source, config, Path(folder))
        yield _llm_compressor(Path(folder))


def _own(config: QuantizeConfig) -> Backend:
    numbers = FORMATS[config.scheme]
    kind = "float" if config.scheme is Scheme.FP8_DYNAMIC else "int"

    def weight(_: str, tensor: Any) -> tuple[Any, Any]:
        return quantise(tensor, config.scheme, arithmetic=tensor.dtype if config.arithmetic == "stored" else None)

    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "safetensors")}
    return Backend("own", versions, compressed_tensors_config(numbers.layout, kind), weight)


def _llm_compressor(folder: Path) -> Backend:
    """Read what the worker wrote."""
    from safetensors import safe_open

    versions: dict[str, str] = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    places: dict[str, Path] = {}
    for file in weight_files(folder):
        with safe_open(str(file), framework="pt") as opened:
            places |= dict.fromkeys(opened.keys(), file)

    def read(name: str) -> Any:
        if name not in places:
            raise Corrupt(f"llm-compressor wrote no {name}; use --backend own and tell us")
        with safe_open(str(places[name]), framework="pt") as opened:
            return opened.get_tensor(name)

    def weight(name: str, _: Any) -> tuple[Any, Any]:
        return read(name), read(f"{name}_scale")

    return Backend("llm-compressor", versions, written, weight)


def _run_worker(python: Path, source: Source, config: QuantizeConfig, folder: Path) -> None:
    """llm-compressor's ``oneshot`` in its own process. Raises EngineFailure with its last words."""
    from sindbad.supervisor.command import foreign_environment, run_command

    preset = FORMATS[config.scheme].preset
    # -P: the folder of the script, whose modules are ours, stays off the path; -I would lose the caller's HF_HOME.
    paths = (str(source.folder.resolve()), str(folder.resolve()))  # the worker stands in another folder
    command = [str(python.absolute()), "-P", str(WORKER), *paths, preset, config.arithmetic]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TQDM_DISABLE": "1"}
    run_command(
        command, what="llm-compressor", log=folder / "log.txt", deadline_seconds=config.deadline_seconds,
        reason="LLM_COMPRESSOR_FAILED", cwd=folder, environment=foreign_environment(offline),
    )  # fmt: skip
