"""Train the tiny page reader from a seed: ``python -m sindbad.demo.page_reader --out DIR --seed 0``.

It starts from the tiny base agent, which copies sentences already, made narrower by the feed-forward neurons that weigh
least, and learns to answer the prompt set ``demo`` on :mod:`sindbad.demo.readings`. Interrupted runs resume from their
last checkpoint. Its card says how far it agrees with the rule and with the truth (:mod:`sindbad.demo.reading_exam`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from sindbad.demo.base_model import BASE_AGENT
from sindbad.demo.reading_exam import examine_reader
from sindbad.demo.readings import draw_cases, pairs
from sindbad.demo.tiny_training import Show, TinyTraining, fit, make, options
from sindbad.tools.reader_prompts import load_reader_prompts
from sindbad.training.examples import Example, examples_of_pairs

PAGE_READER: Final = Path(__file__).parent / "models" / "page-reader"
"""The committed model."""
PROMPTS: Final = "demo"
"""The prompt set that it follows."""


class PageReaderTraining(TinyTraining):
    """The run that made the committed reader; the defaults take less than ten CPU-minutes."""

    helper: ClassVar[str] = "page-reader"

    worlds: int = Field(default=200, ge=1)
    """Worlds that pages are drawn from; small ones, since a page knows only its neighbours."""
    first_world: int = 300_000
    """Seed of the first of them; no other training or exam uses these."""
    examples: int = Field(default=52_000, ge=1)
    """Pages with a goal."""
    two_entities: float = Field(default=0.5, ge=0, le=1)
    """Share of pages about two entities: more than the exam has, since they are what is hard."""
    intermediate_size: int = Field(default=256, ge=1)
    """Feed-forward neurons kept a layer, of the base agent's 384."""


def narrowed(model: Any, intermediate_size: int) -> Any:
    """A copy of an LFM2 with fewer feed-forward neurons: of each layer those whose weights have the largest norms."""
    import torch
    from transformers import Lfm2ForCausalLM

    config = copy.deepcopy(model.config)
    config.intermediate_size, config.block_auto_adjust_ff_dim = intermediate_size, False
    state = model.state_dict()
    for number in range(config.num_hidden_layers):
        w1, w3, w2 = (f"model.layers.{number}.feed_forward.{name}.weight" for name in ("w1", "w3", "w2"))
        weight = state[w1].norm(dim=1) * state[w3].norm(dim=1) * state[w2].norm(dim=0)
        kept = torch.topk(weight, intermediate_size).indices.sort().values
        state[w1], state[w3], state[w2] = state[w1][kept], state[w3][kept], state[w2][:, kept]
    smaller = Lfm2ForCausalLM(config)  # type: ignore[no-untyped-call]
    smaller.load_state_dict(state)
    return smaller


def lessons(config: PageReaderTraining) -> list[Example]:
    """All that it is trained on, with loss on the replies."""
    from sindbad.demo.tokenizer import build_tokenizer

    seeds = range(config.first_world, config.first_world + config.worlds)
    cases = draw_cases(seeds, config.examples, seed=config.seed, two=config.two_entities)
    return list(examples_of_pairs(build_tokenizer(), pairs(cases, load_reader_prompts(PROMPTS))))


def train(config: PageReaderTraining, work: Path, show: Show = print) -> Any:
    """The trained model; goes on from ``work``'s last checkpoint."""
    from sindbad.training.sft import load_causal_lm

    model, began = narrowed(load_causal_lm(BASE_AGENT), config.intermediate_size), time.process_time()
    return fit(config, model, lessons(config), work, show, began=began)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = options(PageReaderTraining, "sindbad.demo.page_reader", main.__doc__, PAGE_READER)
    parser.add_argument("--examples", type=int, default=PageReaderTraining().examples, help="pages to train on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pages", type=int, default=1000, help="held-out pages a language for the model card")
    given = parser.parse_args(arguments)
    config = PageReaderTraining(seed=given.seed, examples=given.examples, threads=given.threads)
    make(
        config, train, given.out, given.work, card=CARD,
        examine=lambda: examine_reader(given.out, pages=given.pages).table(),
    )  # fmt: skip


CARD = """# The tiny page reader

An LFM2 with {parameters:,} parameters that reads a page of the synthetic encyclopedia for a goal: evidence, the page's
sentences that state it, and a summary of one sentence, or that the page does not say it. English and Arabic. It follows
the reader prompts `demo` (see `recipes/reader.yaml`). Outside that encyclopedia it knows nothing.

Made by `python -m sindbad.demo.page_reader` (Apache-2.0) from the tiny base agent and a seed, in {seconds:.0f}
CPU-seconds, data included. Measured by `python -m sindbad.demo.reading_exam --model DIR`:

{table}

Worlds that no training uses, asked as `recipes/reader.yaml` asks, the rule's help included. Goals: half of them are
relation phrases, else questions; 30% of the pages are about two entities, about 30% do not state what is asked. The
rule is retrieval within the page with room for as many characters as the true sentences take; it cannot say that a page
does not state something, and with its usual room (8,000 characters) it shows these pages whole. Weakest: questions by
object ("Which person was born in Tavel?") on pages that name another one; the model then repeats the question as a
fact.

One training seed. Steps, rate and mix were chosen among three runs, by figures on other worlds than those above.

Settings: `{settings}`
"""


if __name__ == "__main__":
    main()
