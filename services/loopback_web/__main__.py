"""python -m services.loopback_web --config FILE"""

from __future__ import annotations

from services.loopback_web.service import LoopbackWebSettings, build
from services.runtime import run_service

if __name__ == "__main__":
    run_service("loopback_web", LoopbackWebSettings, build)
