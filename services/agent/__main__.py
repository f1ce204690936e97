"""python -m services.agent --config FILE"""

from __future__ import annotations

from services.agent.service import AgentSettings, build
from services.runtime import run_service

if __name__ == "__main__":
    run_service("agent", AgentSettings, build)
