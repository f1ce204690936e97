"""python -m services.judge --config FILE"""

from __future__ import annotations

from services.judge.service import JudgeSettings, build
from services.runtime import run_service

if __name__ == "__main__":
    run_service("judge", JudgeSettings, build)
