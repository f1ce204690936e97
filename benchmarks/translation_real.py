"""What the demo's translation recipe reaches on real English-Arabic pairs: python benchmarks/translation_real.py

Covered: Tatoeba sentences (CC BY 2.0 FR) for training; held-out Tatoeba, NTREX-128 news and PUD as tests; an LFM2 of
about two million parameters from random weights; the recipe's own code (``train_light``, the translator, sacrebleu)
under a budget of seconds on this machine. A byte-level BPE of 6,000 pieces replaces the demo's tiny tokenizer.
Not covered: a pre-trained start, more data, a GPU; so these are the figures of ten minutes, not of HALA.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sindbad.engines.threads import calm_threads

calm_threads()  # before torch is loaded

from sindbad import atomic  # noqa: E402
from sindbad.corpus.parallel import ParallelFile, read_parallel  # noqa: E402
from sindbad.evaluation.translation import TranslationScores, score_translations  # noqa: E402
from sindbad.training.optimisation import OptimiserConfig  # noqa: E402
from sindbad.training.sft import SFTConfig  # noqa: E402
from sindbad.translation.bilingual_tokenizer import train_tokenizer  # noqa: E402
from sindbad.translation.domain import ParallelPair  # noqa: E402
from sindbad.translation.small_models import SmallModelConfig  # noqa: E402
from sindbad.translation.training import LightConfig, evaluate_translation, train_light  # noqa: E402

VOCABULARY = 6000
CALIBRATION_STEPS = 8
Pair = tuple[str, str]


def shared_data() -> Path:
    """``SINDBAD_SHARED``/data/parallel, or the folder beside the repository. Exits with a word when there is none."""
    root = Path(os.environ.get("SINDBAD_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    folder = root / "data" / "parallel"
    if not folder.is_dir():
        sys.exit(f"{folder} does not exist; set SINDBAD_SHARED to the folder that holds data/parallel")
    return folder


def read_pairs(folder: Path, name: str) -> list[Pair]:
    """English and Arabic column of a gzipped TSV."""
    return read_parallel(folder, ParallelFile(path=Path(f"{name}.tsv.gz"), licence=""), training=False)


def split_by_english(pairs: Sequence[Pair], held_out: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Training and test pairs; no English sentence is in both (Tatoeba has several translations of one sentence)."""
    english = sorted({en for en, _ in pairs})
    test = set(random.Random(seed).sample(english, held_out))
    seen: set[str] = set()
    tests = [(en, ar) for en, ar in pairs if en in test and not (en in seen or seen.add(en))]  # type: ignore[func-returns-value]
    return [pair for pair in pairs if pair[0] not in test], tests


def recipe(steps: int, seed: int, threads: int) -> LightConfig:
    """The light translator's recipe, wider because real text needs more pieces than the demo's."""
    optimiser = OptimiserConfig(lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01, warmup_steps=50, min_lr_fraction=0.05)
    sft = SFTConfig(
        optimiser=optimiser, steps=steps, batch_size=32, seed=seed, threads=threads, max_length=160,
        validate_every=10_000, checkpoint_every=max(1, steps),
    )  # fmt: skip
    return LightConfig(model=SmallModelConfig(hidden_size=192, layers=4, inner_size=512), sft=sft)


def steps_within(seconds: float, pairs: Sequence[Pair], work: Path, tokenizer: Path, arguments: Any) -> int:
    """Optimiser steps that fit into ``seconds`` here and now, from a few timed ones on a model that is thrown away."""
    config = recipe(CALIBRATION_STEPS, arguments.seed, arguments.threads)
    sample = random.Random(0).sample(list(pairs), min(len(pairs), 32 * CALIBRATION_STEPS))
    result = train_light(sample, work / "throwaway", config, work=work / "calibration", tokenizer_dir=tokenizer)
    return max(1, int(seconds / (result.seconds / result.steps)))


async def measure(model: Path, tests: dict[str, list[Pair]], threads: int) -> dict[str, TranslationScores]:
    """Scores of every test set."""
    from transformers import AutoTokenizer

    from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings
    from sindbad.translation.translator import Translator, TranslatorSettings

    engine = TransformersEngine(TransformersEngineSettings(threads=threads))
    try:
        await engine.start()
        await engine.load(model, 1)
        settings = TranslatorSettings(max_tokens=96, retries=0, sentences=0)
        translator = Translator(engine, AutoTokenizer.from_pretrained(model), settings)
        found = {}
        for name, pairs in tests.items():
            heldout = [ParallelPair(en, ar, "real", name) for en, ar in pairs]
            found[name], hypotheses = await evaluate_translation(translator, heldout)
            for (en, ar), hypothesis in list(zip(pairs, hypotheses, strict=True))[:3]:
                print(f"  {name}: {en}\n    reference  {ar}\n    hypothesis {hypothesis or '(rejected)'}")
        return found
    finally:
        await engine.close()


def keep(model: Path, tests: dict[str, list[Pair]], folder: Path) -> None:
    """Leave the model and one TSV a test set in ``folder``, for `sindbad quantize --eval` and whoever else asks."""
    shutil.copytree(model, folder / "model", dirs_exist_ok=True)
    for name, pairs in tests.items():
        lines = [f"{en}\t{ar}".replace("\n", " ") for en, ar in pairs]
        atomic.write_text(folder / f"{name}.tsv", "\n".join(["en\tar", *lines]) + "\n")


def run(arguments: Any, work: Path) -> dict[str, Any]:
    """Train under the budget, score, and return flat figures."""
    folder = shared_data()
    budget, sentences = (12.0, 40) if arguments.quick else (arguments.seconds, arguments.sentences)
    train, held_out = split_by_english(read_pairs(folder, "tatoeba_en_ar.train"), sentences, arguments.seed)
    tests = {
        "tatoeba": held_out,
        "ntrex": read_pairs(folder, "ntrex128_en_ar.half")[:sentences],
        "pud": read_pairs(folder, "pud_en_ar")[:sentences],
    }
    tokenizer = work / "tokenizer"
    train_tokenizer((text for pair in train for text in pair), tokenizer, vocabulary=VOCABULARY)
    steps = steps_within(budget, train, work, tokenizer, arguments)
    print(f"{len(train)} training pairs, {steps} steps within {budget:.0f} s")
    result = train_light(
        train,
        work / "model",
        recipe(steps, arguments.seed, arguments.threads),
        work=work / "run",
        tokenizer_dir=tokenizer,
    )
    if arguments.keep:
        keep(work / "model", tests, arguments.keep)
    scores = asyncio.run(measure(work / "model", tests, arguments.threads))
    figures: dict[str, Any] = {
        "quick": arguments.quick, "train_pairs": len(train), "train_seconds": round(result.seconds, 1),
        "train_steps": result.steps, "train_tokens": result.tokens,
        "train_tokens_per_second": round(result.tokens / result.seconds, 1), "loss": round(result.loss, 4),
        "test_sentences": sentences, "signature": next(iter(scores.values())).chrf_signature,
    }  # fmt: skip
    for name, score in scores.items():
        copied = score_translations([en for en, _ in tests[name]], [ar for _, ar in tests[name]])
        figures |= {f"{name}_chrf": score.chrf, f"{name}_bleu": score.bleu, f"{name}_copy_chrf": copied.chrf}
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a miniature of under 50 s; its figures mean little")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seconds", type=float, default=600.0, help="training budget")
    parser.add_argument("--sentences", type=int, default=300, help="test sentences a set")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the model and its test sets here")
    arguments = parser.parse_args()
    started = time.perf_counter()
    work = Path(tempfile.mkdtemp(prefix="translation-real-"))
    try:
        figures = run(arguments, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    figures["wall_seconds"] = round(time.perf_counter() - started, 1)
    print(("QUICK (a miniature): " if arguments.quick else "") + json.dumps(figures, indent=2))
    if arguments.json:
        atomic.write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
