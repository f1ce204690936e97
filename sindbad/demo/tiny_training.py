"""What the trainings of the tiny helpers share: settings, the supervised run, and a model folder with its card.

The helpers are the page reader, the extractor and the summariser; each has its own lessons, start and exam.
Invariant: the same settings give the same weights, bit for bit, on one thread; an interrupted run resumes from its last
checkpoint.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sindbad.atomic import check_replaceable
from sindbad.demo.base_model import save_model
from sindbad.engines.threads import calm_threads
from sindbad.training.configuration import OptimiserConfig, RunPaths, SFTConfig
from sindbad.training.examples import Example

MODEL = "config.json"
Show = Callable[[str], None]


class TinyTraining(BaseModel):
    """Settings of every helper's run; a helper adds its own and changes defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    helper: ClassVar[str]
    """Names the run's folder ("page-reader")."""
    warmup_steps: ClassVar[int] = 50
    log_every: ClassVar[int] = 25

    seed: int = 0
    """Of weights, worlds and texts, and of their order."""
    batch: int = Field(default=16, ge=1)
    """Examples a step."""
    epochs: float = Field(default=1.0, gt=0)
    """How often each example is read."""
    learning_rate: float = Field(default=1.5e-3, gt=0)
    """AdamW's peak."""
    threads: int = Field(default=1, ge=1)
    """Torch threads. One is bit-reproducible."""

    def sft(self) -> SFTConfig:
        """The supervised run."""
        rates = OptimiserConfig(
            lr=self.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=0.01,
            warmup_steps=self.warmup_steps,
            min_lr_fraction=0.05,
        )
        return SFTConfig(
            optimiser=rates,
            epochs=self.epochs,
            batch_size=self.batch,
            seed=self.seed,
            threads=self.threads,
            log_every=self.log_every,
        )


Settings = TypeVar("Settings", bound=TinyTraining)


def fit(config: TinyTraining, model: Any, lessons: Sequence[Example], work: Path, show: Show, *, began: float) -> Any:
    """``model``, trained in place; goes on from ``work``'s last checkpoint. ``began``: CPU-seconds at the start."""
    from sindbad.training.sft import run_sft

    def progress(done: int, total: int, loss: float) -> None:
        if done % 100 == 0 or done == total:
            show(f"step {done}/{total}: loss {loss:.4f}, {time.process_time() - began:.0f} CPU-s")

    run_sft(config.sft(), model, lessons, RunPaths.under(work, config.helper), on_progress=progress)
    return model


def options(kind: type[TinyTraining], prog: str, doc: str | None, out: Path) -> argparse.ArgumentParser:
    """The options of every helper's command; it adds its own."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=doc)
    parser.add_argument("--out", type=Path, default=out, help="model folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help=f"checkpoints and metrics (default: runs/{kind.helper}-SEED)")
    return parser


def make(
    config: Settings,
    train: Callable[[Settings, Path, Show], Any],
    out: Path,
    work: Path | None,
    *,
    examine: Callable[[], str],
    card: str,
) -> None:
    """Train, save, examine what was saved, and save it again with its card.

    Args:
        examine: the card's table, measured on the model in ``out``; "" for none.
        card: with fields ``parameters``, ``seconds``, ``table`` and ``settings``.

    Raises:
        InvalidInput: ``out`` is no model folder.
    """
    check_replaceable(out, MODEL)
    calm_threads(config.threads)
    began = time.process_time()
    model = train(config, work or Path("runs") / f"{config.helper}-{config.seed}", _printed)
    seconds = time.process_time() - began
    save_model(model, out)
    table = examine()
    if table:
        _printed(table)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    settings = json.dumps(config.model_dump(), ensure_ascii=False)
    save_model(model, out, card.format(parameters=parameters, seconds=seconds, table=table, settings=settings))


def _printed(line: str) -> None:
    print(line, flush=True)
