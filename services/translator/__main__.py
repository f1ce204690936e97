"""python -m services.translator --config FILE"""

from __future__ import annotations

import sys

from services.runtime import run_service
from services.translator.service import TranslatorServiceSettings, build

if __name__ == "__main__":
    # Masking and checking texts share the interpreter with the engine's thread, which asks for it after every kernel:
    # with Python's 5 ms it waits that long each time, and a small model is a tenth slower (benchmarks/corpus.py).
    sys.setswitchinterval(0.0005)
    run_service("translator", TranslatorServiceSettings, build)
