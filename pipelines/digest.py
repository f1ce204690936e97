"""The digest of the code that a step runs: part of KFP's cache key, so that changed code runs again and nothing else.

Static: follows every ``import`` of our own packages, also inside functions, from the component's file. Data files
beside those modules (templates, prompts, committed weights) count too, and so do the pinned versions.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("sindbad", "pipelines")
GENERATED = {"__pycache__"}


@cache
def code_digest(module: str) -> str:
    """SHA-256 over everything that ``module`` ("pipelines.components.sft") can reach."""
    digest = hashlib.sha256((ROOT / "constraints.txt").read_bytes())
    for path in sorted(_with_data(closure(module))):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def closure(module: str) -> set[Path]:
    """The files of our packages that ``module`` imports, directly or not, itself included."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = _file(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += _imports(path)
    return found


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _imports(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    ours = [name for name in names if name.split(".")[0] in PACKAGES]
    # Importing a.b.c runs a/__init__.py and a/b/__init__.py too.
    return tuple(prefix for name in ours for prefix in _prefixes(name))


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])


def _with_data(files: set[Path]) -> set[Path]:
    folders = {file.parent for file in files} - {ROOT / package for package in PACKAGES}
    data = {
        item
        for folder in folders
        for item in _files_below(folder)
        if item.suffix not in {".py", ".pyi", ".md"} and item.name != "Dockerfile"
    }
    return files | data


def _files_below(folder: Path) -> Iterator[Path]:
    for item in folder.iterdir():
        if item.is_file():
            yield item
        elif item.name not in GENERATED and not (item / "__init__.py").exists():
            yield from _files_below(item)
