"""From a URI to a model directory on this machine: file:// in place, anything else through fsspec into a cache."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from sindbad import atomic
from sindbad.errors import InvalidInput, NotFound, SindbadError, Unavailable
from sindbad.weights.manifest import MANIFEST_NAME, read_manifest


def open_model_dir(uri: str | Path, cache_dir: str | Path | None = None) -> Path:
    """The model directory that ``uri`` names, on this machine and checked against its manifest if it has one.

    Args:
        uri: a path, file:///…, or a URL that fsspec knows (s3://… needs s3fs). Remote folders need a manifest: it
            lists what to fetch.
        cache_dir: where fetched versions are kept, by URI and checksum; required for remote URIs.
    Raises:
        NotFound: nothing there. Corrupt: a file differs from its checksum. Unavailable: the store cannot be reached.
    """
    text = str(uri)
    if urlparse(text).scheme not in ("", "file"):
        return _fetch(text, cache_dir)
    folder = local_path(text)
    if not folder.is_dir():
        raise NotFound(f"no model directory at {folder}")
    if (folder / MANIFEST_NAME).exists():
        read_manifest(folder).check(folder)
    return folder


def local_path(uri: str) -> Path:
    """The path of a file URI, or of a plain path."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else Path(uri)


def local_path_below(uri: str, root: Path) -> Path | None:
    """``uri``'s resolved path if it lies below ``root`` (symbolic links followed), else None."""
    if urlparse(uri).scheme not in ("", "file") or urlparse(uri).netloc not in ("", "localhost"):
        return None
    path, base = local_path(uri).resolve(), root.resolve()
    return path if path.is_relative_to(base) and path != base else None


def _fetch(uri: str, cache_dir: str | Path | None) -> Path:
    if cache_dir is None:
        raise InvalidInput(f"{uri} is remote: a cache directory is needed")
    try:
        return _fetch_checked(uri.rstrip("/"), Path(cache_dir))
    except SindbadError:
        raise
    except FileNotFoundError as error:
        raise NotFound(f"nothing at {uri}: {error}") from error
    except ImportError as error:
        raise InvalidInput(f"no driver for {uri}: {error}") from error
    except Exception as error:
        raise Unavailable(f"cannot fetch {uri}: {type(error).__name__}: {error}") from error


def _fetch_checked(uri: str, cache_dir: Path) -> Path:
    from importlib import import_module

    system: Any
    system, prefix = import_module("fsspec.core").url_to_fs(uri)
    manifest_bytes: bytes = system.cat_file(f"{prefix}/{MANIFEST_NAME}")
    target = cache_dir / hashlib.sha256(uri.encode() + manifest_bytes).hexdigest()[:32]
    if target.is_dir():
        read_manifest(target).check(target)
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache_dir) as temporary:
        folder = Path(temporary) / "version"
        folder.mkdir()
        (folder / MANIFEST_NAME).write_bytes(manifest_bytes)
        manifest = read_manifest(folder)
        for name in manifest.files:
            if not (folder / name).resolve().is_relative_to(folder.resolve()):
                raise InvalidInput(f"{uri}: the manifest names a file outside its folder: {name}")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            system.get_file(f"{prefix}/{name}", str(folder / name))
        manifest.check(folder)
        atomic.replace_dir(folder, target)
    return target
