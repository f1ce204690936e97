"""What a weight version says about itself: its number, every file with its checksum, a digest of its configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sindbad.errors import Corrupt

MANIFEST_NAME = "manifest.json"
VOLATILE_KEYS = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")  # do not change what is computed


class FileRecord(BaseModel):
    """One file of a version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(BaseModel):
    """manifest.json of a version. Never changes once written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    version: int = Field(ge=1)
    created_at: str = Field(description="ISO 8601, UTC.")
    config_sha256: str = Field(description="Digest of architecture and tokenizer; see config_digest.")
    files: dict[str, FileRecord] = Field(description="By name; every file of the folder but the manifest.")
    metadata: dict[str, str] = Field(default_factory=dict, description="The publisher's words: stage, step, parent.")

    def check(self, folder: Path) -> None:
        """Raise Corrupt if a file of ``folder`` is missing or differs from its checksum."""
        for name, record in self.files.items():
            path = folder / name
            if not path.is_file():
                raise Corrupt(f"{path} is missing; publish the version again", metadata={"file": name})
            if path.stat().st_size != record.bytes or file_sha256(path) != record.sha256:
                raise Corrupt(f"{path} differs from its checksum; publish the version again", metadata={"file": name})


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a version's folder. Raises Corrupt if it is missing or malformed."""
    path = folder / MANIFEST_NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise Corrupt(f"no valid manifest in {folder}: {error}") from error


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Checksums of every file below ``folder``, by relative name; the manifest itself is left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    return {
        path.relative_to(folder).as_posix(): FileRecord(sha256=file_sha256(path), bytes=path.stat().st_size)
        for path in files
    }


def config_digest(folder: Path) -> str:
    """SHA-256 over architecture and tokenizer: equal digests can exchange weights and tokens."""
    digest = hashlib.sha256()
    config: Mapping[str, object] = json.loads((folder / "config.json").read_text("utf-8"))
    kept = {key: value for key, value in config.items() if key not in VOLATILE_KEYS}
    digest.update(json.dumps(kept, sort_keys=True).encode())
    tokenizer = folder / "tokenizer.json"
    if tokenizer.exists():
        digest.update(file_sha256(tokenizer).encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
