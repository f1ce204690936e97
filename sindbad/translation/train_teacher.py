"""Train the demo's teacher from a seed: ``python -m sindbad.translation.train_teacher --out DIR``.

The teacher stands where HALA has a 111B model: bigger than the light translator, trained longer, on more worlds, and
also on the rarer forms and on Arabic to English. What is committed under ``sindbad/demo/models/teacher`` was written
by this script with its defaults; ``make demo FROM_SCRATCH=1`` runs it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sindbad.engines.threads import calm_threads

calm_threads()  # before torch is loaded

from sindbad import atomic  # noqa: E402
from sindbad.demo.world import build_world  # noqa: E402
from sindbad.training.optimisation import OptimiserConfig  # noqa: E402
from sindbad.training.sft import RunPaths, SFTConfig, SFTResult, run_sft, save_model_folder  # noqa: E402
from sindbad.translation.domain import COMMON, RARE, ParallelPair, parallel_pairs  # noqa: E402
from sindbad.translation.prompts import PromptStyle, translation_prompt  # noqa: E402
from sindbad.translation.small_models import TEACHER, new_model, save_tokenizer  # noqa: E402
from sindbad.translation.training import discard, evaluate_translation, scratch  # noqa: E402

TRAIN_WORLDS = range(50_000, 50_060)
HELDOUT_WORLDS = range(59_000, 59_005)
STEPS, SEED = 1600, 1
CHECKPOINT_STEPS = 100
FOLDER = Path(__file__).parents[1] / "demo" / "models" / "teacher"

CARD = """---
license: apache-2.0
language: [en, ar]
---
# Sindbad demo teacher

A tiny LFM2 ({parameters:,} parameters, stored in float16) that translates the prose of Sindbad's synthetic encyclopedia
between English and Arabic. It knows nothing else: outside that domain its output is nonsense.

Written by `python -m sindbad.translation.train_teacher` ({arguments}) from random weights and generated text alone.

| | |
|---|---|
| training | {steps} steps of {batch_size}, {tokens:,} tokens, {minutes:.1f} minutes on one CPU core |
| held-out worlds, names in the open | chrF++ {chrf:.1f}, BLEU {bleu:.1f}, {exact:.1f}% of {sentences} identical |
| prompt | `Translate from English to Arabic: {{text}}` in one ChatML user turn |
| chrF++ signature | `{chrf_signature}` |
| BLEU signature | `{bleu_signature}` |
"""


def teacher_texts(seed: int, count: int) -> list[tuple[str, str]]:
    """(prompt, completion) of ``count`` pairs; one in five is Arabic to English."""
    worlds = [build_world(number) for number in TRAIN_WORLDS]
    pairs = parallel_pairs(worlds, seed, count, kinds=COMMON + RARE)
    return [_text(pair, reverse=number % 5 == 4) for number, pair in enumerate(pairs)]


def _text(pair: ParallelPair, *, reverse: bool) -> tuple[str, str]:
    if reverse:
        return translation_prompt(pair.ar, PromptStyle.TEACHER, source="ar", target="en"), pair.en
    return translation_prompt(pair.en, PromptStyle.TEACHER), pair.ar


def heldout_pairs(seed: int = 7, count: int = 300) -> list[ParallelPair]:
    """Sentences of worlds that no translator of the demo has seen, names in the open."""
    worlds = [build_world(number) for number in HELDOUT_WORLDS]
    return parallel_pairs(worlds, seed, count, kinds=COMMON + RARE, masked_share=0.0)


def train_teacher(
    out: Path,
    *,
    steps: int = STEPS,
    seed: int = SEED,
    batch_size: int = 16,
    threads: int = 1,
    work: Path | None = None,
    say: Callable[[str], None] = print,
) -> SFTResult:
    """Train and write the model folder ``out`` (float16), without its card.

    A training that was killed goes on from the last checkpoint in ``work``, which belongs to these settings alone, and
    ends with the same bits (one thread); without ``work`` there is none to go on from.
    """
    import torch

    from sindbad.demo.tokenizer import build_tokenizer
    from sindbad.training.examples import examples_of_pairs

    tokenizer = build_tokenizer()
    with _workplace(work) as place:
        save_tokenizer(tokenizer, place / "tokenizer")
        examples = list(examples_of_pairs(tokenizer, teacher_texts(seed, steps * batch_size)))
        config = SFTConfig(
            optimiser=OptimiserConfig(
                lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01, warmup_steps=50, min_lr_fraction=0.02
            ),
            steps=steps, batch_size=batch_size, seed=seed, threads=threads, checkpoint_every=CHECKPOINT_STEPS,
        )  # fmt: skip
        model = new_model(TEACHER, tokenizer, seed=seed, style=PromptStyle.TEACHER)
        result = run_sft(config, model, examples, RunPaths.under(place, "teacher"), on_progress=_teller(say))
        save_model_folder(model, place / "tokenizer", out, dtype=torch.float16)
        return result


@contextmanager
def _workplace(given: Path | None) -> Iterator[Path]:
    """``given``, or a folder that goes afterwards."""
    place = given or scratch()
    try:
        yield place
    finally:
        if given is None:
            discard(place)


def _teller(say: Callable[[str], None]) -> Callable[[int, int, float], None]:
    def tell(step: int, steps: int, loss: float) -> None:
        if step % 100 == 0 or step == steps:
            say(f"step {step}/{steps}  loss {loss:.3f}")

    return tell


async def evaluate(model_dir: Path, *, threads: int = 1) -> dict[str, Any]:
    """Held-out scores of a teacher folder."""
    from transformers import AutoTokenizer

    from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings
    from sindbad.translation.translator import Translator, TranslatorSettings

    engine = TransformersEngine(TransformersEngineSettings(threads=threads))
    try:
        await engine.start()
        await engine.load(model_dir, 1)
        settings = TranslatorSettings(style=PromptStyle.TEACHER)
        translator = Translator(engine, AutoTokenizer.from_pretrained(model_dir), settings)
        scores, _ = await evaluate_translation(translator, heldout_pairs())
        return asdict(scores)
    finally:
        await engine.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder of checkpoints: a killed training goes on from there")
    arguments = parser.parse_args()
    started = time.perf_counter()
    result = train_teacher(
        arguments.out, steps=arguments.steps, seed=arguments.seed, threads=arguments.threads, work=arguments.work
    )
    minutes = (time.perf_counter() - started) / 60
    scores = asyncio.run(evaluate(arguments.out, threads=arguments.threads))
    parameters = _parameters(arguments.out)
    card = CARD.format(
        parameters=parameters, arguments=f"--steps {arguments.steps} --seed {arguments.seed}", steps=result.steps,
        batch_size=16, tokens=result.tokens, minutes=minutes, **scores,
    )  # fmt: skip
    atomic.write_text(arguments.out / "MODEL_CARD.md", card)
    print(json.dumps(scores, indent=2))


def _parameters(model_dir: Path) -> int:
    from safetensors import safe_open

    with safe_open(str(model_dir / "model.safetensors"), framework="pt") as tensors:
        sizes = (tensors.get_slice(name).get_shape() for name in tensors.keys())  # noqa: SIM118
        return sum(_product(shape) for shape in sizes)


def _product(shape: list[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


if __name__ == "__main__":
    main()
