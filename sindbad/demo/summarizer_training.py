"""Train the tiny summariser from a seed: ``python -m sindbad.demo.summarizer_training --out DIR --seed 0``.

ReSumTool's recipe (ReSum §3.2) at the size of a toy: rollouts under small context limits give conversations, a teacher
(:class:`sindbad.demo.summaries.FormSummarizer`, which knows the question's logical form) their summaries, a format
check the pairs; then supervised fine-tuning on <full prompt, summary>, loss on the summary alone. The student starts
from the tiny base agent, made narrower. Nearly half of the English conversations are the base agent's own, with its
mistakes.

Interrupted runs resume from their last checkpoint. The card compares it with the rules, the untrained base agent and
the teacher (:mod:`sindbad.demo.summary_exam`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from sindbad.agent.summary_pairs import SummaryPair, to_training_example
from sindbad.coldstart.pairs import PairCounts, PairSettings, asker, checked
from sindbad.demo.base_model import BASE_AGENT
from sindbad.demo.tiny_training import Show, TinyTraining, fit, make, options
from sindbad.training.examples import Example, examples_of_trajectories

SUMMARIZER: Final = Path(__file__).parent / "models" / "summarizer"
"""The committed model."""


class SummarizerTraining(TinyTraining):
    """The run that made the committed summariser; the defaults take less than ten CPU-minutes."""

    helper: ClassVar[str] = "summarizer"
    warmup_steps: ClassVar[int] = 40
    log_every: ClassVar[int] = 20

    epochs: float = Field(default=2.5, gt=0)
    """Passes over the pairs."""
    first_world: int = 500_000
    """Seed of the first world; no other training or exam uses these."""
    worlds: int = Field(default=60, ge=1)
    """Worlds that questions are drawn from."""
    attempts: int = Field(default=7_000, ge=0)
    """Oracle attempts, English and Arabic."""
    explored: int = Field(default=3_000, ge=0)
    """English attempts by the base agent."""
    intermediate_size: int = Field(default=64, ge=1)
    """Feed-forward neurons kept a layer, of the base agent's 384."""
    layers: tuple[int, ...] = (0, 1, 3)
    """Layers of the base agent that are kept (the second convolution is not)."""


def shallower(model: Any, layers: Sequence[int]) -> Any:
    """A copy of an LFM2 with some of its layers."""
    import copy

    from transformers import Lfm2ForCausalLM

    config = copy.deepcopy(model.config)
    config.layer_types = [config.layer_types[number] for number in layers]
    config.num_hidden_layers = len(layers)
    old = model.state_dict()
    state = {name: value for name, value in old.items() if not name.startswith("model.layers.")}
    for new, number in enumerate(layers):
        prefix = f"model.layers.{number}."
        state |= {f"model.layers.{new}.{name.removeprefix(prefix)}": value
                  for name, value in old.items() if name.startswith(prefix)}  # fmt: skip
    smaller = Lfm2ForCausalLM(config)  # type: ignore[no-untyped-call]
    smaller.load_state_dict(state)
    return smaller


def student(config: SummarizerTraining) -> Any:
    """The base agent without the layers and neurons that are not kept."""
    from sindbad.demo.page_reader import narrowed
    from sindbad.training.sft import load_causal_lm

    model = load_causal_lm(BASE_AGENT)
    if tuple(config.layers) != tuple(range(model.config.num_hidden_layers)):
        model = shallower(model, config.layers)
    return narrowed(model, config.intermediate_size) if config.intermediate_size < 384 else model


def lessons(config: SummarizerTraining) -> tuple[list[Example], PairCounts]:
    """All that it is trained on, with loss on the summaries, and where the other restarts went."""
    counts = PairCounts()
    pairs = list(checked(asyncio.run(_pairs(config, counts)), PairSettings(), counts))
    from sindbad.demo.summaries import tokenizer
    from sindbad.demo.summary_exam import SUMMARY_CONTEXT, SUMMARY_TOKENS

    frame = asker(tokenizer(), SUMMARY_CONTEXT, SUMMARY_TOKENS)
    return list(examples_of_trajectories(to_training_example(pair, frame) for pair in pairs)), counts


async def _pairs(config: SummarizerTraining, counts: PairCounts) -> list[SummaryPair]:
    from sindbad.demo.summaries import Conversations, roll_out, taught
    from sindbad.demo.summary_exam import serving

    wanted = Conversations(config.first_world, config.worlds, config.attempts, config.explored, config.seed)
    if config.explored:
        async with serving(BASE_AGENT, config.threads) as engine:
            restarts = await roll_out(wanted, engine)
    else:
        restarts = await roll_out(wanted)
    counts.restarts = len(restarts)
    pairs = list(taught(restarts))
    if len(pairs) < len(restarts):
        counts.refused["nothing_to_say"] = len(restarts) - len(pairs)
    return pairs


def train(config: SummarizerTraining, work: Path, show: Show = print) -> Any:
    """The trained model; goes on from ``work``'s last checkpoint."""
    began = time.process_time()
    examples, counts = lessons(config)
    kinds = ", ".join(f"{name} {number}" for name, number in counts.refused.items()) or "none"
    tokens = sum(map(len, examples))
    show(f"{len(examples)} pairs of {counts.restarts} restarts (left out: {kinds}), {tokens:,} tokens, "
         f"{time.process_time() - began:.0f} CPU-s")  # fmt: skip
    return fit(config, student(config), examples, work, show, began=began)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = options(SummarizerTraining, "sindbad.demo.summarizer_training", main.__doc__, SUMMARIZER)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting")
    parser.add_argument("--questions", type=int, default=240, help="exam questions for the model card; 0 for none")
    given = parser.parse_args(arguments)
    from sindbad.configuration import override, resolve

    config = resolve(SummarizerTraining, override({"seed": given.seed}, given.set), source="--set")
    make(config, train, given.out, given.work, card=CARD, examine=lambda: _exam_table(given.out, given.questions))


def _exam_table(model_dir: Path, questions: int) -> str:
    from sindbad.demo.summary_exam import ExamSettings, compare

    return asyncio.run(compare(model_dir, ExamSettings(questions=questions))).table() if questions else ""


CARD = """# The tiny summariser

An LFM2 with {parameters:,} parameters that compresses a segment of the demo's agent: the sentences that it has read and
that the question needs, in the order of the question's clues. English and Arabic. It follows the prompt set `demo` and
is served by `recipes/summarizer.yaml`. Outside the synthetic encyclopedia it knows nothing.

Made by `python -m sindbad.demo.summarizer_training` (Apache-2.0) from the tiny base agent and a seed, in {seconds:.0f}
CPU-seconds, data included. Measured by `python benchmarks/summarizer.py`:

{table}

`rules` extracts by the agent's goals and quotations; `policy` is the base agent asked to summarise, which is what the
training started from; `form` is the teacher, which knows the question's logical form. Greedy, English questions over
worlds that no training uses, 5% tool faults, the committed base agent as policy; conversations are those of the agent
with the rules. What the model invents: where the agent went
astray and the next fact was not read, it sometimes states it with a name that it has seen; now and then it copies a
name wrong. The rules never invent. In Arabic it keeps slightly less than the rules do.

One training seed, the longer of two runs (the other: one pass over four fifths of the pairs, level with the rules).
Settings: `{settings}`
"""


if __name__ == "__main__":
    main()
