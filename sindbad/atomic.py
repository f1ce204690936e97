"""Atomic writes: a reader sees the old file or the new one, never half of either, also after a crash.

Temp file in the same directory, fsync, rename, fsync of the directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
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


@contextmanager
def new_dir(target: str | Path) -> Iterator[Path]:
    """An empty folder beside ``target``, which it replaces when the body succeeds.

    What killed runs left behind for the same target is removed first. A run that lives holds a lock on its folder and
    is left alone; so is everything where the file system has no locks.
    """
    goal = Path(target)
    goal.parent.mkdir(parents=True, exist_ok=True)
    for left in _beside(goal, "new-"):
        with _locked(left) as ours:
            if ours:
                shutil.rmtree(left, ignore_errors=True)
    with _claimed(goal) as temporary:
        try:
            yield temporary
            temporary.chmod(0o755)
            for file in temporary.rglob("*"):  # some libraries write for the owner alone; images run as somebody else
                if file.is_file():
                    file.chmod(0o644)
            replace_dir(temporary, goal)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    for left in _beside(goal, "old-"):  # the goal is whole now, so these are no use to anybody
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _claimed(goal: Path) -> Iterator[Path]:
    """A new locked folder beside ``goal``."""
    while True:
        temporary = Path(tempfile.mkdtemp(prefix=f".{goal.name}.new-", dir=goal.parent))
        with _locked(temporary) as ours:
            if ours is False or not temporary.is_dir():  # another run took it for a dead one's before it was locked
                continue
            yield temporary
            return


def _beside(goal: Path, kind: str) -> list[Path]:
    prefix = f".{goal.name}.{kind}"
    return [path for path in goal.parent.iterdir() if path.name.startswith(prefix) and path.is_dir()]


@contextmanager
def _locked(folder: Path) -> Iterator[bool | None]:
    """Whether the lock of ``folder`` is ours while the body runs; None where there are no locks. Dies with us."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours: bool | None = True
        except BlockingIOError:
            ours = False
        except OSError:
            ours = None
        yield ours
    finally:
        os.close(handle)


def check_replaceable(target: Path, marker: str, *, inputs: Iterable[Path] = ()) -> None:
    """Raise InvalidInput for a target that must not be replaced.

    That is a file, a folder that holds something but no earlier ``marker``, and one that is or holds one of ``inputs``.
    """
    for path in map(Path.resolve, inputs):
        if target.resolve() in (path, *path.parents):
            raise InvalidInput(f"{target} holds what is read from ({path}); give another folder")
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
