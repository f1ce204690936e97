"""python -m services.summarizer --config FILE"""

from __future__ import annotations

from services.runtime import run_service
from services.summarizer.service import SummarizerSettings, build

if __name__ == "__main__":
    run_service("summarizer", SummarizerSettings, build)
