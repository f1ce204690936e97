"""python -m services.policy --config FILE"""

from __future__ import annotations

from services.policy.service import PolicySettings, build
from services.runtime import run_service

if __name__ == "__main__":
    run_service("policy", PolicySettings, build)
