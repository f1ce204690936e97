"""The texts that recipes/hala_mini.yaml reads: ``python -m tests.e2e.hala_miniature`` writes them anew.

Sentences and questions of three worlds of the demo's encyclopedia, which its teacher was trained on.
"""

from __future__ import annotations

import json
from pathlib import Path

from sindbad.demo.world import build_world
from sindbad.translation.domain import ParallelPair, parallel_pairs

FOLDER = Path(__file__).parents[2] / "recipes" / "hala_mini"
WORLDS, SEED = range(50_000, 50_003), 7
ROWS, PARALLEL, TEST = 12, 40, 8


def pairs() -> list[ParallelPair]:
    """All pairs, each English text once."""
    worlds = [build_world(seed) for seed in WORLDS]
    found = parallel_pairs(worlds, SEED, 400, kinds=("question", "sentence"), masked_share=0.0)
    return list({pair.en: pair for pair in reversed(found)}.values())[::-1]


def texts() -> dict[str, str]:
    """File name -> content: instruction rows, parallel text, and a test set; no text stands in two of them."""
    asked = [pair for pair in pairs() if pair.kind == "question"]
    told = [pair for pair in pairs() if pair.kind == "sentence"]
    rows = [
        {"messages": [{"role": "user", "content": one.en}, {"role": "assistant", "content": other.en}]}
        for one, other in zip(asked[:ROWS], told[:ROWS], strict=True)
    ]
    rest = [pair for pair in pairs() if pair not in asked[:ROWS] and pair not in told[:ROWS]]
    return {
        "rows.jsonl": "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows),
        "parallel.tsv": _tsv(rest[:PARALLEL]),
        "test.tsv": _tsv(rest[PARALLEL : PARALLEL + TEST]),
    }


def _tsv(found: list[ParallelPair]) -> str:
    return "en\tar\n" + "".join(f"{pair.en}\t{pair.ar}\n" for pair in found)


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
