"""Output tokens a second of a model and of its eight-bit version, under vLLM, in turn on the same prompts.

vLLM's pins are not ours, so each folder runs in a process of its own under the interpreter of ``.venv-vllm``
(``scripts/install.sh vllm``, or ``SINDBAD_VLLM_PYTHON``). Prompts are random token ids, outputs greedy and of one
length whatever they say: the figures are about arithmetic, not about text. On a CPU bfloat16 may be the slow path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.errors import DeadlineExceeded, EngineFailure, NotFound
from sindbad.supervisor.child import __file__ as child_file

WORKER = Path(__file__).with_name("vllm_worker.py")
PYTHON_VARIABLE = "SINDBAD_VLLM_PYTHON"
_LAST_LINES = 5


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


def measure_throughput(
    original: Path,
    quantised: Path,
    python: Path,
    *,
    prompts: int = 16,
    tokens: int = 32,
    threads: int = 2,
    deadline_seconds: float = 900.0,
) -> Throughput:
    """Both, one after the other. Raises EngineFailure with vLLM's last words, or DeadlineExceeded."""
    first, second = (
        run_vllm(
            python, folder, "bfloat16", prompts=prompts, tokens=tokens, threads=threads,
            deadline_seconds=deadline_seconds,
        )
        for folder in (original, quantised)
    )  # fmt: skip
    same = [one[0] == other[0] for one, other in zip(first["outputs"], second["outputs"], strict=True)]
    rates = (float(first["tokens_per_second"]), float(second["tokens_per_second"]))
    return Throughput(*rates, sum(same) / len(same), prompts, tokens, threads)


def run_vllm(
    python: Path,
    folder: Path,
    dtype: str,
    *,
    prompts: int = 16,
    tokens: int = 32,
    threads: int = 2,
    deadline_seconds: float = 900.0,
) -> dict[str, Any]:
    """What the worker prints about one folder: ``tokens_per_second``, and ``outputs``, a list of token ids a prompt."""
    sizes = {"prompts": prompts, "tokens": tokens, "threads": threads, "dtype": dtype}
    options = [part for name, value in sizes.items() for part in (f"--{name}", str(value))]
    # It ends with us, after kill -9 too. -P: our modules beside the script stay off its path.
    command = [sys.executable, "-P", child_file, str(os.getpid()), "--", str(python), "-P", str(WORKER)]
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(
            [*command, str(folder.resolve()), *options], capture_output=True, text=True, errors="replace",
            timeout=deadline_seconds, check=False, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DeadlineExceeded(f"vLLM was not done with {folder} after {deadline_seconds:.0f} s") from error
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:])
        raise EngineFailure(f"vLLM could not run {folder} (exit {done.returncode}):\n{last}", reason="VLLM_FAILED")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
