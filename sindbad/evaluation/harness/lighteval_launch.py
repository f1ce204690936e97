"""``lighteval`` as its command starts it, less its built-in tasks: run under the interpreter of its environment.

    python -P lighteval_launch.py accelerate …

lighteval 0.13 imports every task that it has before any work. One downloads a pickle from GitHub when it is imported
(``tiny_benchmarks``), another asks the Hub for its judge with an argument that huggingface_hub 2 no longer has
(``mt_bench``): with the newest huggingface_hub, or without the network, nothing starts at all. The Arabic tasks come
from :mod:`lighteval_tasks`, which takes them out of lighteval's own module; none of the others is needed.
"""

from __future__ import annotations

import runpy
from typing import Any


def _none(*_: Any, **__: Any) -> dict[str, Any]:
    return {}


def main() -> None:
    """Go on as ``python -m lighteval``."""
    from lighteval.tasks.registry import Registry  # type: ignore[import-not-found]

    Registry._load_from_files = staticmethod(_none)
    Registry._load_from_subdirs = staticmethod(_none)
    runpy.run_module("lighteval", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
