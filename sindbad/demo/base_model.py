"""Train the tiny English base agent from a seed: ``python -m sindbad.demo.base_model --out DIR --seed 0``.

The training is :mod:`sindbad.demo.course`; here are the command, the stored form and the model card. Interrupted runs
resume from their last checkpoint. Torch is loaded inside, after its threads have been calmed.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sindbad.atomic import new_dir, write_text
from sindbad.demo.tokenizer import save_tokenizer
from sindbad.engines.threads import calm_threads

if TYPE_CHECKING:
    from sindbad.demo.course import BaseModelConfig, Progress

BASE_AGENT = Path(__file__).parent / "models" / "base-agent"
"""The committed model."""


def save_model(model: Any, directory: Path, card: str = "") -> None:
    """Write a model folder in bfloat16 (half the bytes; float32 in memory), atomically."""
    import torch

    stored = copy.deepcopy(model).to(torch.bfloat16)
    with new_dir(directory) as temporary:
        stored.save_pretrained(temporary)
        save_tokenizer(temporary)
        if card:
            write_text(temporary / "MODEL_CARD.md", card)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m sindbad.demo.base_model", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=BASE_AGENT, help="model folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="checkpoints and metrics (default: runs/base-agent-SEED)")
    parser.add_argument("--attempt-steps", type=int, help="steps of the last stage")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--questions", type=int, default=300, help="exam questions a line of the model card")
    given = parser.parse_args(arguments)
    calm_threads(given.threads)
    from sindbad.demo.course import BaseModelConfig, train

    config = BaseModelConfig(seed=given.seed, threads=given.threads)
    if given.attempt_steps is not None:
        config = config.model_copy(update={"attempt_steps": given.attempt_steps})
    work = given.work or Path("runs") / f"base-agent-{given.seed}"
    course = train(config, work, lambda line: print(line, flush=True))
    save_model(course.model, given.out)
    lines = exam_lines(given.out, given.questions, given.threads) if given.questions else []
    print("\n".join(lines), flush=True)
    save_model(course.model, given.out, model_card(config, course.progress, lines))


def exam_lines(model_dir: Path, questions: int, threads: int) -> list[str]:
    """Rows of the model card's table, measured now."""
    from sindbad.demo.exam import ExamConfig, examine

    rows = []
    for temperature in (0.0, 1.0):
        choices = ExamConfig(questions=questions, temperature=temperature, threads=threads)
        result = examine(model_dir, choices)
        cells = ", ".join(f"{cell} {rate:.2f} ({count})" for cell, (rate, count) in result.by_cell.items())
        rows.append(f"| {'greedy' if temperature == 0 else 'T = 1'} | {result.success:.3f} | {cells} |")
    return rows


def model_card(config: BaseModelConfig, progress: Progress, exam: Sequence[str]) -> str:
    """What stands beside the weights."""
    return CARD.format(
        settings=json.dumps(config.model_dump(), ensure_ascii=False),
        steps=progress.step,
        tokens=f"{progress.tokens / 1e6:.2f}",
        seconds=f"{progress.seconds:.0f}",
        exam="\n".join(exam),
    )


CARD = """# The tiny English base agent

LFM2 architecture, trained from random weights by `python -m sindbad.demo.base_model` (Apache-2.0). It plays a ReAct
agent with search and visit over the synthetic encyclopedia of `sindbad.demo.world`, and summarises when asked. It has
seen Arabic in recall drills and page readings only. It is a demonstration: outside that world it knows nothing.

Trained in {steps} steps on {tokens} million tokens (padding included), {seconds} s of training wall time on a shared
machine with two cores. Stored in bfloat16. Words and fixed phrases are whole pieces of its tokenizer.

| decoding | success | by kind/clues (questions) |
|---|---|---|
{exam}

English questions over ten worlds that no training uses, ReAct, context 512, 5% tool errors, one training seed.

Settings: `{settings}`
"""


if __name__ == "__main__":
    main()
