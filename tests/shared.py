"""Where the shared data and schemas are. Absent: tests skip and say so; with SINDBAD_REQUIRE_SHARED=1 they fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared(*parts: str) -> Path:
    """A path below the shared folder (SINDBAD_SHARED, or `shared` beside the checkout)."""
    folder = Path(os.environ.get("SINDBAD_SHARED", ROOT.parent / "shared"))
    if folder.is_dir():
        return folder.joinpath(*parts)
    message = f"the shared folder is absent ({folder}); set SINDBAD_SHARED to where it is"
    if os.environ.get("SINDBAD_REQUIRE_SHARED") == "1":
        pytest.fail(message)
    pytest.skip(message)
