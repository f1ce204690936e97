"""``python -m services.sandbox``."""

from __future__ import annotations

from services.runtime import run_service
from services.sandbox.service import SandboxSettings, build

if __name__ == "__main__":
    run_service("sandbox", SandboxSettings, build)
