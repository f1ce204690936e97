"""Output tokens a second of a model and of its eight-bit version, under vLLM, in turn on the same prompts.

vLLM's pins are not ours, so each folder runs in a process of its own under the interpreter of ``.venv-vllm``
(``scripts/install.sh vllm``, or ``SINDBAD_VLLM_PYTHON``). Prompts are random token ids, outputs greedy and of one
length whatever they say: the figures are about arithmetic, not about text. On a CPU bfloat16 may be the slow path.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sindbad.errors import NotFound

WORKER = Path(__file__).with_name("vllm_worker.py")
PYTHON_VARIABLE = "SINDBAD_VLLM_PYTHON"


@dataclass(frozen=True, slots=True)
class Throughput:
    """``original`` ran in bfloat16, ``quantised`` in eight bits with bfloat16 for the rest; tokens a second.

    ``same_first``: share of prompts whose first output token is the same.
    """

    original: float
    quantised: float
    same_first: float
    prompts: int
    tokens: int
    threads: int

    @property
    def ratio(self) -> float:
        """Above 1 the quantised one is faster."""
        return self.quantised / self.original


def vllm_python(named: Path | None = None) -> Path:
    """The interpreter that has vLLM. Raises NotFound saying how to get one."""
    variable, root = os.environ.get(PYTHON_VARIABLE), Path(__file__).resolve().parents[2]
    python = named or (Path(variable) if variable else root / ".venv-vllm" / "bin" / "python")
    if python.is_file() and any((python.parent.parent / "lib").glob("python3*/site-packages/vllm")):
        return python.absolute()
    raise NotFound(
        f"vLLM is not installed at {python}: run scripts/install.sh vllm, or name an interpreter that has it "
        f"({PYTHON_VARIABLE})",
        reason="NO_VLLM",
    )


@dataclass(frozen=True, slots=True)
class Load:
    """What one folder is asked. ``prompts`` at once, each for ``tokens``; ``dtype`` of what is not in eight bits."""

    prompts: int = 16
    tokens: int = 32
    threads: int = 2
    dtype: str = "bfloat16"


def measure_throughput(
    original: Path, quantised: Path, python: Path, load: Load | None = None, *, deadline_seconds: float = 900.0
) -> Throughput:
    """Both, one after the other. Raises EngineFailure with vLLM's last words, or DeadlineExceeded."""
    load = load or Load()
    first, second = (
        run_vllm(python, folder, load, deadline_seconds=deadline_seconds) for folder in (original, quantised)
    )
    same = [one[0] == other[0] for one, other in zip(first["outputs"], second["outputs"], strict=True)]
    rates = (float(first["tokens_per_second"]), float(second["tokens_per_second"]))
    return Throughput(*rates, sum(same) / len(same), load.prompts, load.tokens, load.threads)


def run_vllm(python: Path, folder: Path, load: Load, *, deadline_seconds: float = 900.0) -> dict[str, Any]:
    """What the worker found out about one folder: ``tokens_per_second``, and ``outputs``, token ids a prompt."""
    from sindbad.supervisor.command import foreign_environment, run_command

    options = [part for name, value in asdict(load).items() for part in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory(prefix="sindbad-throughput-") as work:
        found = Path(work) / "found.json"
        run_command(
            [str(python), "-P", str(WORKER), str(folder.resolve()), "--out", str(found), *options],
            what=f"vLLM with {folder}", log=Path(work) / "log.txt", deadline_seconds=deadline_seconds,
            reason="VLLM_FAILED", environment=foreign_environment(),
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(found.read_text("utf-8"))
    return answer
