"""A folder of weight versions on a file system that its readers share (a disk, a ReadWriteMany volume).

::

    <root>/v000001/   config.json, model.safetensors, tokenizer…, manifest.json      immutable
    <root>/current    "v000001"                                                      moves atomically, last

A reader that follows ``current`` therefore only ever sees whole versions, also while several publishers work or one
of them dies. Object stores: a reader fetches a version with :func:`sindbad.weights.open_model_dir`; publishing to one
needs a store class with these methods whose ``current`` is a small object written last.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.weights.manifest import MANIFEST_NAME, Manifest, config_digest, file_sha256, read_manifest, record_files

if TYPE_CHECKING:
    from torch import Tensor

POINTER_NAME = "current"
_VERSION_NAME = re.compile(r"^v(\d{6,})$")
_WEIGHTS = re.compile(r"\.(safetensors|bin|pt)$|\.safetensors\.index\.json$")


@dataclass(frozen=True, slots=True)
class WeightVersion:
    """A published version: a model directory that never changes."""

    number: int
    path: Path
    manifest: Manifest

    @property
    def uri(self) -> str:
        return self.path.resolve().as_uri()

    @property
    def manifest_sha256(self) -> str:
        return file_sha256(self.path / MANIFEST_NAME)

    def verify(self) -> None:
        """Raise Corrupt unless every file matches its checksum."""
        self.manifest.check(self.path)


class WeightStore:
    """Publishes and finds versions below ``root``. Safe for several processes at once."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    # ---- writing
    def publish(
        self,
        source: str | Path | Mapping[str, Tensor],
        *,
        like: str | Path | None = None,
        metadata: Mapping[str, object] | None = None,
        dtype: str | None = None,
    ) -> WeightVersion:
        """Store a new version and make it current.

        Args:
            source: a model directory, or a state dict (then ``like`` is the directory whose configuration and
                tokenizer go with it; a head tied to the embedding is left out).
            metadata: words for people and programs; values become strings.
            dtype: "float32", "bfloat16", …: store a state dict in it; None keeps each tensor's own.
        Raises:
            InvalidInput: the source is not a model directory, or a state dict comes without ``like``.
        """
        folder = Path(tempfile.mkdtemp(prefix=".publishing-", dir=self.root))
        try:
            _fill(folder, source, Path(like) if like is not None else None, dtype)
            records, digest = record_files(folder), config_digest(folder)
            with self._lock():
                number = self._highest() + 1
                manifest = Manifest(
                    version=number, created_at=datetime.now(UTC).isoformat(), config_sha256=digest, files=records,
                    metadata={key: str(value) for key, value in (metadata or {}).items()},
                )  # fmt: skip
                (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")
                folder.chmod(0o755)
                atomic.replace_dir(folder, self._path(number))
                self._point_to(number)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return WeightVersion(number, self._path(number), manifest)

    def set_current(self, number: int) -> None:
        """Move the pointer, for example back. Raises NotFound if there is no such version."""
        self.get(number)
        with self._lock():
            self._point_to(number)

    def collect_garbage(self, keep: int = 3, protect: Iterable[int] = ()) -> list[int]:
        """Remove all but the newest ``keep`` versions, the current one and ``protect``; returns what was removed."""
        with self._lock():
            numbers, current = self.numbers(), self._pointed()
            kept = {*numbers[max(0, len(numbers) - keep) :], *protect, current}
            removed = [number for number in numbers if number not in kept]
            for number in removed:
                aside = self.root / f".removed-{number}-{os.getpid()}"
                os.replace(self._path(number), aside)
                shutil.rmtree(aside, ignore_errors=True)
        return removed

    # ---- reading
    def numbers(self) -> list[int]:
        """Every version, oldest first."""
        matches = (_VERSION_NAME.match(path.name) for path in self.root.iterdir())
        return sorted(int(match.group(1)) for match in matches if match)

    def get(self, number: int) -> WeightVersion:
        """One version, its files not yet verified. Raises NotFound, or Corrupt if its manifest is damaged."""
        path = self._path(number)
        if not path.is_dir():
            raise NotFound(f"no version {number} in {self.root}")
        return WeightVersion(number, path, read_manifest(path))

    def current(self) -> WeightVersion | None:
        """What the pointer names; None before the first publication."""
        number = self._pointed()
        return None if number is None else self.get(number)

    async def watch(self, after: int | None = None, poll_seconds: float = 0.25) -> AsyncIterator[WeightVersion]:
        """Yield the current version, and again whenever the pointer has moved; versions in between are skipped.

        Args:
            after: the number that the caller serves already.
        """
        seen = after
        while True:
            number = self._pointed()
            if number is not None and number != seen:
                try:
                    version = self.get(number)
                except NotFound:  # collected between the two reads: the pointer has moved on
                    continue
                seen = number
                yield version
            await asyncio.sleep(poll_seconds)

    # ---- inside
    def _path(self, number: int) -> Path:
        return self.root / f"v{number:06d}"

    def _highest(self) -> int:
        return max(self.numbers(), default=0)

    def _pointed(self) -> int | None:
        try:
            text = (self.root / POINTER_NAME).read_text("utf-8").strip()
        except FileNotFoundError:
            return None
        match = _VERSION_NAME.match(text)
        if match is None:
            raise Corrupt(f"{self.root / POINTER_NAME} names no version: {text[:40]!r}")
        return int(match.group(1))

    def _point_to(self, number: int) -> None:
        atomic.write_text(self.root / POINTER_NAME, f"v{number:06d}\n")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Held for the rename only; the operating system frees it when a publisher dies."""
        with (self.root / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _fill(folder: Path, source: str | Path | Mapping[str, Any], like: Path | None, dtype: str | None) -> None:
    if isinstance(source, str | Path):
        _copy_files(Path(source), folder, weights=True)
    elif like is None:
        raise InvalidInput("publishing a state dict needs `like`: the model directory it belongs to")
    else:
        _copy_files(like, folder, weights=False)
        _save_state(source, folder / "model.safetensors", dtype)


def _copy_files(source: Path, folder: Path, *, weights: bool) -> None:
    if not (source / "config.json").is_file():
        raise InvalidInput(f"{source} is not a model directory: it has no config.json")
    if weights and not any(source.glob("*.safetensors")):
        raise InvalidInput(f"{source} holds no safetensors")
    for path in sorted(source.iterdir()):
        hidden = path.name.startswith(".") or path.name == MANIFEST_NAME
        if path.is_file() and not hidden and (weights or not _WEIGHTS.search(path.name)):
            shutil.copyfile(path, folder / path.name)


def _save_state(state: Mapping[str, Any], path: Path, dtype: str | None) -> None:
    import torch
    from safetensors.torch import save_file

    target = getattr(torch, dtype) if dtype else None
    tensors: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name in sorted(state, key=lambda key: key.startswith("lm_head")):  # of two tied tensors, the embedding stays
        tensor = state[name].detach()
        if tensor.data_ptr() in storages and tensor.numel():
            continue
        storages.add(tensor.data_ptr())
        tensors[name] = tensor.to("cpu", target or tensor.dtype).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
