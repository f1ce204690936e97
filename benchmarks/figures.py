"""What every benchmark prints and writes: flat figures, the machine they were measured on, and whether it was quick."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from sindbad import atomic
from sindbad.errors import InvalidInput

Figure = float | int | str | bool | None
"""None: could not be measured (JSON has no NaN)."""


def parser(about: str | None) -> argparse.ArgumentParser:
    """The command line that all benchmarks share."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="a miniature of under 50 s; its figures mean little")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, flat")
    return made


def machine() -> dict[str, Figure]:
    """Cores, and how busy others keep them: a load above zero before the start is somebody else's."""
    return {"cores": os.cpu_count() or 1, "load_1min_before": round(os.getloadavg()[0], 2)}


def check_flat(figures: Mapping[str, Figure]) -> None:
    """Raise InvalidInput for a nested or unnamed value, and for a ratio that is no number."""
    for name, value in figures.items():
        if not name.isidentifier() or not isinstance(value, float | int | str | bool | None):
            raise InvalidInput(f"figure {name!r} is not flat: {type(value).__name__}")
        if name.endswith("_ratio") and not isinstance(value, float | int | None):
            raise InvalidInput(f"{name} is named as a ratio and is {value!r}")


def publish(figures: Mapping[str, Figure], *, quick: bool, file: Path | None) -> None:
    """Print the figures, and write them to ``file`` if one is given."""
    plain = {"quick": quick, **{name: _finite(value) for name, value in figures.items()}}
    check_flat(plain)
    print(("QUICK (a miniature, not for quoting): " if quick else "") + json.dumps(plain, indent=2, ensure_ascii=False))
    if file is not None:
        atomic.write_json(file, plain)


def ratio(numerator: float, denominator: float) -> float:
    """Their quotient; NaN where there is nothing to divide by."""
    return numerator / denominator if denominator else math.nan


def _finite(value: Figure) -> Figure:
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
