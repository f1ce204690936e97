"""The model that is tuned: a folder of yours, or a small one trained here from random weights.

HALA tunes LFM2-350M and larger; a run without a model of that kind makes its own stand-in from the rows as they were
before translation, so that the merge has a model of their language to keep.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from sindbad.configuration import Input
from sindbad.training.configuration import OptimiserConfig, SFTConfig
from sindbad.translation.small_models import SmallModelConfig
from sindbad.weights.folder import check_full_folder

_OPTIMISER = OptimiserConfig(lr=2e-3, betas=(0.9, 0.98), weight_decay=0.1, warmup_steps=50, min_lr_fraction=0.05)


class SmallBaseSettings(BaseModel):
    """Where the base comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_from: Annotated[Path | None, Input(check_full_folder, "name another folder, or null to train one")] = None
    """A Hugging Face folder; null trains a small model on the untranslated rows."""
    model: SmallModelConfig = SmallModelConfig(hidden_size=192, layers=4, inner_size=512)
    """Shape of the small one."""
    sft: SFTConfig = SFTConfig(optimiser=_OPTIMISER, epochs=4.0, batch_size=16, max_length=320)
    """Its training."""


SETTINGS = SmallBaseSettings


def provide(stage_json: str, pairs_path: str, corpus_path: str, model_path: str, page_path: str) -> dict[str, float]:
    """Write the base's folder to ``model_path``."""
    import json

    from transformers import AutoTokenizer

    from pipelines.artifacts import copy_model, metrics_page, training_paths
    from pipelines.stage import running
    from sindbad.evaluation.report import Report, write_report
    from sindbad.training.card import Part, card, parts_by_source
    from sindbad.training.examples import examples_of_conversations, read_conversations
    from sindbad.training.sft import run_sft, save_model_folder
    from sindbad.translation.small_models import new_model

    with running(stage_json, pairs_path, corpus_path) as stage:
        settings, corpus = stage.parse(SmallBaseSettings), Path(corpus_path)
        if settings.start_from is not None:
            write_report(Report("Base", f"taken from {settings.start_from}"), Path(page_path))
            return copy_model(settings.start_from, Path(model_path))
        folder = Path(pairs_path) / "tokenizer"
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        training, held_out = (
            list(
                examples_of_conversations(
                    tokenizer, read_conversations(corpus / name), max_length=settings.sft.max_length
                )
            )
            for name in ("untranslated.jsonl", "held_out_source.jsonl")
        )
        stage.say(f"{len(training):,} untranslated examples, {sum(map(len, training)):,} tokens")

        def progress(step: int, steps: int, loss: float) -> None:
            if step == steps or step % 50 == 0:
                stage.say(f"step {step}/{steps}, loss {loss:.3f}")

        model, paths = new_model(settings.model, tokenizer, seed=settings.sft.seed), training_paths(stage)
        result = run_sft(settings.sft, model, training, paths, validation=held_out, on_progress=progress)
        about, text = (json.loads((root / "about.json").read_text("utf-8")) for root in (corpus, Path(pairs_path)))
        parts = (
            *parts_by_source(about["source_licences"]),
            Part("text of the tokenizer", ", ".join(text["sources"]), tuple(text["licences"])),
        )
        said = card(stage.name, "A small model trained from random weights on the untranslated rows.", parts)
        save_model_folder(model, folder, Path(model_path), card=said)
        metrics_page(
            paths.metrics, Path(page_path), "Base", {"loss": "training loss", "validation_loss": "held-out loss"}
        )
        return {
            "steps": result.steps, "tokens": result.tokens, "loss": result.loss,
            "validation_loss": result.validation_loss, "dropped": result.dropped,
        }  # fmt: skip
