"""Train a translator from pairs and measure it: thin shells around ``sindbad.training.sft`` and sacrebleu."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sindbad.evaluation.translation import TranslationScores, score_translations
from sindbad.training.sft import RunPaths, SFTResult, load_causal_lm, run_sft, save_model_folder
from sindbad.translation.configuration import LightConfig as LightConfig
from sindbad.translation.domain import ParallelPair
from sindbad.translation.glossary import Glossary
from sindbad.translation.prompts import translation_prompt
from sindbad.translation.protocol import TextTranslator
from sindbad.translation.small_models import new_model, save_tokenizer


def train_light(
    pairs: Sequence[tuple[str, str]],
    out: Path,
    config: LightConfig | None = None,
    *,
    work: Path,
    tokenizer_dir: Path | None = None,
    languages: tuple[str, str] = ("en", "ar"),
    on_progress: Callable[[int, int, float], None] | None = None,
) -> SFTResult:
    """Train on (source, target) as the model sees them (``training_pairs``) and write the model folder ``out``.

    Args:
        work: checkpoints and metrics; a killed run resumes from there.
        tokenizer_dir: the model folder whose tokenizer is used; the demo's tiny one when None.
        languages: from which into which; the prompt says it.

    Raises:
        InvalidInput: no pairs.
    """
    from transformers import AutoTokenizer

    from sindbad.training.examples import examples_of_pairs

    chosen = config or LightConfig()
    folder = tokenizer_dir or chosen.start_from or _demo_tokenizer(work / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = _model(chosen, tokenizer)
    known, wanted = languages
    texts = [(translation_prompt(text, chosen.style, source=known, target=wanted), said) for text, said in pairs]
    examples = list(examples_of_pairs(tokenizer, texts))
    held = min(chosen.held_back, len(examples) // 10)
    result = run_sft(
        chosen.sft, model, examples[held:], RunPaths.under(work, "translator"), validation=examples[:held],
        on_progress=on_progress,
    )  # fmt: skip
    save_model_folder(model, folder, out)
    return result


def _model(config: LightConfig, tokenizer: Any) -> Any:
    if config.start_from is None:
        return new_model(config.model, tokenizer, seed=config.sft.seed, style=config.style)
    return load_causal_lm(config.start_from)


def _demo_tokenizer(folder: Path) -> Path:
    from sindbad.demo.tokenizer import build_tokenizer

    save_tokenizer(build_tokenizer(), folder)
    return folder


async def evaluate_translation(
    translator: TextTranslator,
    heldout: Sequence[ParallelPair],
    *,
    glossaries: Mapping[str, Glossary] | None = None,
    languages: tuple[str, str] = ("en", "ar"),
    batch: int = 64,
) -> tuple[TranslationScores, list[str]]:
    """chrF++ and BLEU over ``heldout`` (names in the open), and the hypotheses.

    Without ``glossaries`` the model spells every name itself: the honest figure. With them (world id -> glossary) names
    come from the glossary, as in the corpus step. A rejected sentence counts as an empty one.
    """
    hypotheses, (source, target) = [""] * len(heldout), languages
    for world_id in dict.fromkeys(pair.world_id for pair in heldout):
        numbers = [number for number, pair in enumerate(heldout) if pair.world_id == world_id]
        glossary = glossaries.get(world_id) if glossaries else None
        for start in range(0, len(numbers), batch):
            part = numbers[start : start + batch]
            texts = [heldout[number].en for number in part]
            outcomes = await translator.translate(texts, source=source, target=target, glossary=glossary)
            for number, outcome in zip(part, outcomes, strict=True):
                hypotheses[number] = outcome.text
    return score_translations(hypotheses, [pair.ar for pair in heldout]), hypotheses


def scratch(parent: Path | None = None) -> Path:
    """A fresh folder for a run that nobody resumes; the caller removes it with :func:`discard`."""
    return Path(tempfile.mkdtemp(prefix="translator-", dir=parent))


def discard(folder: Path) -> None:
    """Remove a scratch folder."""
    shutil.rmtree(folder, ignore_errors=True)
