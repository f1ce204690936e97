"""Weight versions: immutable folders, checksummed manifests, and a pointer that moves last."""

from __future__ import annotations

from sindbad.weights.manifest import FileRecord, Manifest, config_digest, file_sha256
from sindbad.weights.source import local_path_below, open_model_dir
from sindbad.weights.store import WeightStore, WeightVersion

__all__ = [
    "FileRecord",
    "Manifest",
    "WeightStore",
    "WeightVersion",
    "config_digest",
    "file_sha256",
    "local_path_below",
    "open_model_dir",
]
