"""A job's folder on any storage that fsspec knows: a disk, S3 and what speaks its protocol, memory (for tests).

Invariants: a reader sees a whole object or none; :meth:`JobStore.create` lets exactly one of many writers win, on a
disk by a hard link, elsewhere by the storage's conditional write (S3's ``If-None-Match: *``). Nothing here renames,
because object stores cannot. Listings are never cached: another node may have written a moment ago.
"""

from __future__ import annotations

import contextlib
import glob
import json
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.errors import Corrupt, NotFound


class JobStore:
    """Objects below one URL (``/data/job``, ``s3://bucket/job``, ``memory://job``). Safe to use from threads.

    Args:
        url: folder; made when something is written.
        options: of the file system, as fsspec takes them (``{"endpoint_url": …}`` for S3).
    """

    def __init__(self, url: str | Path, options: dict[str, Any] | None = None) -> None:
        import fsspec

        self.url, self.options = str(url).rstrip("/"), dict(options or {})
        uncached = {"use_listings_cache": False} if self.url.startswith(("s3://", "s3a://")) else {}
        self.fs, root = fsspec.core.url_to_fs(self.url, **{**uncached, **self.options})
        self.root = str(root).rstrip("/")
        self.local = "file" in _protocols(self.fs)

    def path(self, name: str) -> str:
        """Full path of an object, as the file system wants it."""
        return f"{self.root}/{name}"

    def address(self, name: str) -> str:
        """Full path with its protocol, as DuckDB wants it."""
        return self.path(name) if self.local else str(self.fs.unstrip_protocol(self.path(name)))

    def read(self, name: str) -> bytes:
        """An object's bytes. Raises NotFound."""
        try:
            return bytes(self.fs.cat_file(self.path(name)))
        except FileNotFoundError as error:
            raise NotFound(f"{self.url} has no {name}") from error

    def read_json(self, name: str) -> dict[str, Any]:
        """An object that holds a JSON object. Raises NotFound, Corrupt."""
        try:
            value = json.loads(self.read(name))
        except ValueError as error:
            raise Corrupt(f"{self.url}/{name} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise Corrupt(f"{self.url}/{name} is no JSON object")
        return value

    def write(self, name: str, data: bytes) -> None:
        """Write an object whole; an existing one is replaced."""
        if self.local:
            atomic.write_bytes(self.path(name), data)
        else:
            self.fs.pipe_file(self.path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists. Of any number of callers exactly one is told True."""
        if self.local:
            return atomic.create_bytes(self.path(name), data)
        try:
            self.fs.pipe_file(self.path(name), data, mode="create")
        except FileExistsError:
            return False
        except OSError as error:  # s3fs passes on what the server said to a lost race
            if "PreconditionFailed" in repr(error) or "ConditionalRequestConflict" in repr(error):
                return False
            raise
        return True

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""
        return bool(self.fs.exists(self.path(name)))

    def names(self, folder: str) -> list[str]:
        """Names of the objects and folders directly in ``folder``, sorted; [] where there is none."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        last = (str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)
        return sorted(name for name in last if name and not name.startswith("."))

    def remove(self, name: str) -> None:
        """Remove an object; idempotent."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.path(name))

    def glob(self, pattern: str) -> list[str]:
        """Addresses of the objects that match, sorted. Only ``pattern`` is one: the job's folder may hold a "[1]"."""
        self.fs.invalidate_cache()
        found = sorted(str(path) for path in self.fs.glob(f"{glob.escape(self.root)}/{pattern}"))
        return found if self.local else [str(self.fs.unstrip_protocol(path)) for path in found]


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
