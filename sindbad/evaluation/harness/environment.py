"""The harnesses' own environments, and a child process in one of them that never outlives its deadline or us.

Their pins (datasets, inspect-ai, pydantic) are not ours, so neither shares our process: ``scripts/install.sh lm-eval``
or ``lighteval`` makes an environment from the pins in ``scripts/harness``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sindbad.errors import DeadlineExceeded, EngineFailure, NotFound
from sindbad.evaluation.harness.benchmarks import Harness
from sindbad.supervisor.child import __file__ as child_file

_GRACE_SECONDS = 5.0
_LAST_LINES = 12
_PACKAGES = {Harness.LM_EVAL: "lm_eval", Harness.LIGHTEVAL: "lighteval"}


def python_variable(harness: Harness) -> str:
    """The environment variable that names its interpreter."""
    return f"SINDBAD_{harness.value.upper().replace('-', '_')}_PYTHON"


def find_python(harness: Harness, named: Path | None = None) -> Path:
    """Its interpreter: the one named, the variable's, or that of the environment which the installer makes.

    Raises:
        NotFound: there is none, or it has no such package; says how to install it.
    """
    root = Path(__file__).resolve().parents[3]
    variable = os.environ.get(python_variable(harness))
    python = named or (Path(variable) if variable else root / f".venv-{harness}" / "bin" / "python")
    if python.is_file() and package_folder(harness, python) is not None:
        return python.absolute()
    raise NotFound(
        f"{harness} is not installed at {python}: run scripts/install.sh {harness}, or name an interpreter that has it "
        f"(--python, {python_variable(harness)})",
        reason="NO_HARNESS",
    )


def package_folder(harness: Harness, python: Path) -> Path | None:
    """Where its sources are, without starting the interpreter."""
    found = (python.parent.parent / "lib").glob(f"python3*/site-packages/{_PACKAGES[harness]}")
    return next(iter(found), None)


def version_of(harness: Harness, python: Path) -> str:
    """As its installed metadata say."""
    package = package_folder(harness, python)
    assert package is not None
    found = sorted(package.parent.glob(f"{_PACKAGES[harness]}-*.dist-info"))
    return found[-1].name.removesuffix(".dist-info").partition("-")[2] if found else "unknown"


def run_child(
    command: Sequence[str], *, cwd: Path, log: Path, deadline_seconds: float, environment: Mapping[str, str]
) -> None:
    """Run to the end, its words in ``log``. It ends with us, after kill -9 too; else its whole group does.

    Raises:
        DeadlineExceeded: it was not done in time, and is gone.
        EngineFailure: it failed; with its last lines.
    """
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    armed = [sys.executable, "-P", child_file, str(os.getpid()), "--", *command]
    with log.open("wb") as output:
        child = subprocess.Popen(
            armed, cwd=cwd, env={**inherited, **environment}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = child.wait(timeout=deadline_seconds)
        except subprocess.TimeoutExpired as error:
            raise DeadlineExceeded(
                f"the harness was not done after {deadline_seconds:.0f} s (--deadline); its last words:\n{_last(log)}"
            ) from error
        finally:
            _end(child)
    if code != 0:
        raise EngineFailure(f"the harness failed (exit {code}):\n{_last(log)}", reason="HARNESS_FAILED")


def _last(log: Path) -> str:
    """Its last lines; a progress bar's line is what it last showed."""
    lines = [line.rpartition("\r")[2] for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return "\n".join([line for line in lines if line.strip()][-_LAST_LINES:])


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing is left of its group: SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_GRACE_SECONDS)
            if number is signal.SIGKILL:
                return
