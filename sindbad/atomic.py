"""Atomic writes: a reader sees the old file or the new one, never half of either, also after a crash.

Temp file in the same directory, fsync, rename, fsync of the directory.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sindbad.errors import InvalidInput


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` atomically; creates parent folders. Raises OSError with nothing torn."""
    target = Path(path)
    with _written(target, data) as temporary:
        os.replace(temporary, target)
    sync_directory(target.parent)


def create_bytes(path: str | Path, data: bytes) -> bool:
    """Write ``path`` whole unless it exists; of any number of callers exactly one is told True. Raises OSError."""
    target = Path(path)
    if target.exists():
        return False
    with _written(target, data) as temporary:
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
    sync_directory(target.parent)
    return True


@contextmanager
def _written(target: Path, data: bytes) -> Iterator[Path]:
    """A synced file beside ``target`` with ``data`` in it, which is gone afterwards unless the body has renamed it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """UTF-8 variant of :func:`write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """JSON variant of :func:`write_bytes`; keys stay in the caller's order."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def replace_dir(temporary: str | Path, target: str | Path) -> None:
    """Move the finished folder ``temporary`` (same file system) to ``target``, which must not be in use.

    Every file in it is synced first. An existing target is moved aside and removed after the swap.
    """
    source, goal = Path(temporary), Path(target)
    for file in source.rglob("*"):
        if file.is_file():
            sync_file(file)
    goal.parent.mkdir(parents=True, exist_ok=True)
    aside = goal.with_name(f".{goal.name}.old-{os.getpid()}")
    if goal.exists():
        os.replace(goal, aside)
    os.replace(source, goal)
    sync_directory(goal.parent)
    shutil.rmtree(aside, ignore_errors=True)


def check_replaceable(target: Path, marker: str) -> None:
    """Raise InvalidInput for a target that is a file, or a folder that holds something but no earlier ``marker``."""
    if target.exists() and not target.is_dir():
        raise InvalidInput(f"{target} is a file; give a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / marker).is_file():
        raise InvalidInput(f"{target} is not empty and holds no earlier result ({marker}); give another folder")


def sync_file(path: Path) -> None:
    """fsync one file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_directory(path: Path) -> None:
    """fsync a folder, so that a rename in it survives a power cut."""
    sync_file(path)
