"""The card of a model folder: the YAML at its head. A card is no part of what a model computes, and may be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CARDS = ("README.md", "MODEL_CARD.md")


def front_matter(folder: Path) -> dict[str, Any]:
    """The YAML at the head of a model's card; empty where there is none or it is not readable."""
    for name in CARDS:
        if not (folder / name).is_file():
            continue
        parts = (folder / name).read_text(encoding="utf-8", errors="replace").split("---", 2)
        if len(parts) == 3 and not parts[0].strip():
            try:
                head = yaml.safe_load(parts[1])
            except yaml.YAMLError:
                continue
            if isinstance(head, dict):
                return head
    return {}
