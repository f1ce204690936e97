"""``python -m services.search``."""

from __future__ import annotations

from services.runtime import run_service
from services.search.service import build
from services.search.settings import SearchSettings

if __name__ == "__main__":
    run_service("search", SearchSettings, build)
