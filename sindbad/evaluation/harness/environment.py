"""The harnesses' own environments: where their interpreters and sources are.

Their pins (datasets, inspect-ai, pydantic) are not ours, so neither shares our process: ``scripts/install.sh lm-eval``
or ``lighteval`` makes an environment from the pins in ``scripts/harness``.
"""

from __future__ import annotations

import os
from pathlib import Path

from sindbad.errors import NotFound
from sindbad.evaluation.harness.benchmarks import Harness

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
