"""Where snapshots of an index lie, and which one readers see. Folders and pointers only; nothing here reads a page.

    root/CURRENT            one line: the name of the snapshot that readers open; moved last, in one rename
    root/UNFINISHED         the same for the last checkpoint of a build that has not been published yet
    root/snapshot-000007/   complete, never written again: manifest, segments, page store; shared files are links
    root/.work/             the one writer's folder; worthless after a crash
    root/.lock              held by the one writer (flock: gone with its process, also after kill -9)

Invariant: a folder that a pointer names is complete and synced, so a crash at any point leaves the old pointer or the
new one. Snapshots share files by hard links (by copies where a file system has none), so adding a page costs a page.
The folder of an older layout, a snapshot directly in ``root``, is read as well.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import Final

from sindbad import atomic
from sindbad.errors import NotFound, Unavailable

MANIFEST: Final = "sindbad-index.json"
CURRENT: Final = "CURRENT"
UNFINISHED: Final = "UNFINISHED"
WORK: Final = ".work"
_LOCK: Final = ".lock"
_NAME: Final = re.compile(r"snapshot-(\d{6,})")


def current(root: str | Path) -> Path | None:
    """The folder of the snapshot that readers should open now; None while there is none."""
    folder = Path(root)
    named = pointed(folder, CURRENT)
    if named is not None:
        return named
    return folder if (folder / MANIFEST).is_file() else None


def no_index(root: str | Path) -> NotFound:
    """What to raise where there is no index."""
    message = f"There is no index at {root}; build one first (`sindbad index build`, or `make demo`)."
    return NotFound(message, reason="NO_INDEX")


def stamp(root: str | Path) -> tuple[int, int] | None:
    """What changes when another snapshot becomes current; None while there is none."""
    folder = current(root)
    try:
        status = (folder / MANIFEST).stat() if folder else None
    except OSError:
        return None  # it was replaced between the two lines: the next look sees the new one
    return (status.st_ino, status.st_mtime_ns) if status else None


def pointed(root: Path, pointer: str) -> Path | None:
    """The snapshot that a pointer file names; None when there is no such file, or it names nothing sensible."""
    try:
        name = (root / pointer).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return root / name if _NAME.fullmatch(name) else None


def point(root: Path, pointer: str, snapshot: Path) -> None:
    """Make ``pointer`` name ``snapshot``, atomically."""
    atomic.write_text(root / pointer, snapshot.name + "\n")


def unpoint(root: Path, pointer: str) -> None:
    """Remove a pointer."""
    (root / pointer).unlink(missing_ok=True)
    atomic.sync_directory(root)


def new_snapshot(root: Path) -> Path:
    """An empty folder with the next free number."""
    numbers = [int(found.group(1)) for path in root.iterdir() if (found := _NAME.fullmatch(path.name))]
    folder = root / f"snapshot-{max(numbers, default=0) + 1:06d}"
    folder.mkdir()
    return folder


def remove_unused(root: Path, keep: set[Path | None]) -> None:
    """Remove snapshots that no pointer names and that are not in ``keep``, and the files of the older layout.

    Who has one open goes on reading it: its files are mapped.
    """
    named = {pointed(root, CURRENT), pointed(root, UNFINISHED)} | keep
    for path in root.iterdir():
        if _NAME.fullmatch(path.name) and path not in named:
            shutil.rmtree(path, ignore_errors=True)
    if pointed(root, CURRENT) is not None:
        _remove_older_layout(root)


def _remove_older_layout(root: Path) -> None:
    if not (root / MANIFEST).is_file():
        return
    for path in root.iterdir():
        if path.is_file() and path.name not in {CURRENT, UNFINISHED, _LOCK}:
            path.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """A hard link; a copy where the file system has none. An existing ``target`` is replaced."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)


class WriterLock:
    """One writer a root. Released by :meth:`release`, and by the kernel when the process ends."""

    def __init__(self, root: Path) -> None:
        """Raises Unavailable when another process (or another writer of this one) has it."""
        root.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._handle)
            raise Unavailable(f"Another process writes the index at {root}.", reason="INDEX_LOCKED") from error

    def release(self) -> None:
        """Idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
