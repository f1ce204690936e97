"""Train the tiny extractor from a seed: ``python -m sindbad.demo.extractor --out DIR --seed 0``.

A small LFM2, untrained at first, learns to answer the prompt set ``demo`` on :mod:`sindbad.demo.extractions`: one model
for English and Arabic. Interrupted runs resume from their last checkpoint. Its card says how far it agrees with the
parser and with the truth (:mod:`sindbad.demo.extraction_exam`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from sindbad.demo.extraction_exam import EXTRACTOR, PROMPTS, examine_extractor
from sindbad.demo.extractions import PROSE, draw_cases, pairs
from sindbad.demo.tiny_training import Show, TinyTraining, fit, make, options
from sindbad.graph.extraction_prompts import load_extraction_prompts
from sindbad.training.examples import Example, examples_of_pairs


class ExtractorTraining(TinyTraining):
    """The run that made the committed extractor; the defaults take less than ten CPU-minutes."""

    helper: ClassVar[str] = "extractor"
    warmup_steps: ClassVar[int] = 100

    epochs: float = Field(default=2.0, gt=0)
    """How often each page is read."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """AdamW's peak."""
    worlds: int = Field(default=200, ge=1)
    """Worlds that pages are drawn from."""
    first_world: int = 500_000
    """Seed of the first of them; no other training or exam uses these."""
    examples: int = Field(default=32_000, ge=1)
    """Pages."""
    prose: float = Field(default=PROSE, ge=0, le=1)
    """Share of pages that the parser misreads."""
    hidden_size: int = Field(default=96, gt=0)
    """Width; a multiple of 32."""
    layers: int = Field(default=4, gt=1)
    """Convolution and attention blocks in turn."""
    inner_size: int = Field(default=104, gt=0)
    """Width of the feed-forward layers."""


def new_extractor(config: ExtractorTraining) -> Any:
    """An untrained ``Lfm2ForCausalLM``, float32."""
    from sindbad.demo.tokenizer import build_tokenizer
    from sindbad.translation.small_models import SmallModelConfig, new_model

    shape = SmallModelConfig(hidden_size=config.hidden_size, layers=config.layers, inner_size=config.inner_size)
    return new_model(shape, build_tokenizer(), seed=config.seed)


def lessons(config: ExtractorTraining) -> list[Example]:
    """All that it is trained on, with loss on the replies."""
    from sindbad.demo.tokenizer import build_tokenizer

    seeds = range(config.first_world, config.first_world + config.worlds)
    cases = draw_cases(seeds, config.examples, seed=config.seed, prose=config.prose)
    return list(examples_of_pairs(build_tokenizer(), pairs(cases, load_extraction_prompts(PROMPTS))))


def train(config: ExtractorTraining, work: Path, show: Show = print) -> Any:
    """The trained model; goes on from ``work``'s last checkpoint."""
    model, began = new_extractor(config), time.process_time()
    return fit(config, model, lessons(config), work, show, began=began)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = options(ExtractorTraining, "sindbad.demo.extractor", main.__doc__, EXTRACTOR)
    parser.add_argument("--examples", type=int, default=ExtractorTraining().examples, help="pages to train on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pages", type=int, default=500, help="held-out pages a language for the model card")
    given = parser.parse_args(arguments)
    config = ExtractorTraining(seed=given.seed, examples=given.examples, threads=given.threads)
    make(
        config, train, given.out, given.work, card=CARD,
        examine=lambda: examine_extractor(given.out, pages=given.pages).table(),
    )  # fmt: skip


CARD = """# The tiny extractor

An LFM2 with {parameters:,} parameters that reads a page of the synthetic encyclopedia for a knowledge graph: one line a
fact, with the number of the sentence that states it. English and Arabic. It follows the extraction prompts `demo`
(`sindbad graph build --extractor local`). Outside that encyclopedia it knows nothing.

Made by `python -m sindbad.demo.extractor` (Apache-2.0) from random weights and a seed, in {seconds:.0f} CPU-seconds,
data included. Measured by `python -m sindbad.demo.extraction_exam --model DIR`:

{table}

Worlds that no training uses, read greedily through the engine that serves it, after the check that sentence and names
stand on the page. "plain" pages are worded as the encyclopedia words them: the parser reads them without a fault, so
agreement with it is agreement with the truth. "prose" pages open with one sentence of one to three facts, which the
parser misreads. A fifth of the pages are about two entities; a tenth of the paragraphs hold a sentence without a fact.

What it misses are names that it copies wrongly: such a name is not in the sentence, so the check refuses the fact. That
is why nearly all that is left is true.

One training seed.

Settings: `{settings}`
"""


if __name__ == "__main__":
    main()
