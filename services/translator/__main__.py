"""python -m services.translator --config FILE"""

from __future__ import annotations

from services.runtime import run_service
from services.translator.service import TranslatorServiceSettings, build

if __name__ == "__main__":
    run_service("translator", TranslatorServiceSettings, build)
