"""HALA step 3: a light translator trained on the pairs, and what it reaches on held-out worlds."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sindbad.translation.configuration import LightConfig


class TranslatorSettings(BaseModel):
    """The light translator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: LightConfig = LightConfig()
    """Shape and schedule."""
    held_out: int = Field(default=300, ge=1)
    """Sentences of held-out worlds that are scored, names in the open."""
    seed: int = 0
    """Of masking and of the held-out sample."""


SETTINGS = TranslatorSettings


async def train_and_score(
    stage_json: str, encyclopedia_path: str, pairs_path: str, model_path: str, scores_path: str, page_path: str
) -> dict[str, float]:
    """Train (or resume), serve and score."""
    from dataclasses import asdict
    from pathlib import Path

    from pipelines.artifacts import metrics_page
    from pipelines.crew import serve, translator
    from pipelines.encyclopedia import read_encyclopedia
    from pipelines.stage import running
    from sindbad import atomic
    from sindbad.textfiles import json_lines
    from sindbad.translation.domain import parallel_pairs
    from sindbad.translation.glossary import Glossary
    from sindbad.translation.supervision import Candidate, training_pairs
    from sindbad.translation.training import evaluate_translation, train_light

    with running(stage_json, encyclopedia_path, pairs_path) as stage:
        settings, worlds = stage.parse(TranslatorSettings), read_encyclopedia(Path(encyclopedia_path))
        pairs = [Candidate(**row) for _, row in json_lines(Path(pairs_path))]
        glossaries = {world.world_id: Glossary(world.glossary()) for world in worlds.worlds("train")}
        texts = training_pairs(pairs, glossaries, settings.seed)

        def progress(step: int, steps: int, loss: float) -> None:
            if step == steps or step % 100 == 0:
                stage.say(f"step {step}/{steps}, loss {loss:.3f}")

        work = stage.scratch("checkpoints")
        result = train_light(texts, Path(model_path), settings.training, work=work, on_progress=progress)
        await serve(stage, "translator", model_path)
        held_out = parallel_pairs(worlds.worlds("test"), settings.seed, settings.held_out, masked_share=0.0)
        async with translator(stage) as client:
            scores, hypotheses = await evaluate_translation(client, held_out)
        stage.say(f"chrF++ {scores.chrf:.1f}, BLEU {scores.bleu:.1f} on {len(held_out)} held-out sentences")
        stage.say(f"{scores.chrf_signature} · {scores.bleu_signature}")
        examples = [{"en": p.en, "reference": p.ar, "hypothesis": h} for p, h in zip(held_out, hypotheses, strict=True)]
        record = {**asdict(scores), "examples": examples[:40]}
        atomic.write_json(scores_path, record)
        metrics_page(
            work / "metrics" / "translator.jsonl", Path(page_path), "Light translator", {"loss": "training loss"}
        )
        return {
            "chrf": scores.chrf,
            "bleu": scores.bleu,
            "tokens": result.tokens,
            "validation_loss": result.validation_loss,
        }
