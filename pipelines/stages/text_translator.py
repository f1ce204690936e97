"""HALA step 3 on real data: a light translator trained on the pairs, measured on text that it never saw."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sindbad.training.configuration import OptimiserConfig, SFTConfig
from sindbad.translation.configuration import LightConfig
from sindbad.translation.settings import TranslatorSettings
from sindbad.translation.small_models import SmallModelConfig

_OPTIMISER = OptimiserConfig(lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01, warmup_steps=50, min_lr_fraction=0.05)


class TextTranslatorSettings(BaseModel):
    """The translator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: LightConfig = LightConfig(
        model=SmallModelConfig(hidden_size=192, layers=4, inner_size=512),
        sft=SFTConfig(optimiser=_OPTIMISER, steps=3000, batch_size=32, max_length=160, validate_every=1000),
    )
    """Shape and schedule, or ``start_from`` with a folder of your own (HALA: LFM2-1.2B)."""
    translator: TranslatorSettings = TranslatorSettings(max_tokens=128)
    """How it is asked, here and for the corpus."""
    sentences: int = Field(default=300, ge=1)
    """Sentences of each test set that are translated."""


SETTINGS = TextTranslatorSettings


async def train_and_score(
    stage_json: str, pairs_path: str, model_path: str, scores_path: str, page_path: str
) -> dict[str, float]:
    """Train (or resume), and score every test set under the three Arabic profiles."""
    import json
    from pathlib import Path

    from pipelines.artifacts import metrics_page
    from pipelines.stage import running
    from sindbad import atomic
    from sindbad.corpus.connect import Connection, texts
    from sindbad.corpus.licences import obligations
    from sindbad.corpus.parallel import load_pairs
    from sindbad.evaluation.translation_report import measure_translations
    from sindbad.training.card import CARD, Part, card, licences_of, parts_of_model, together
    from sindbad.translation.domain import ParallelPair
    from sindbad.translation.training import evaluate_translation, train_light

    with running(stage_json, pairs_path) as stage:
        settings, text, model = stage.parse(TextTranslatorSettings), Path(pairs_path), Path(model_path)
        about = json.loads((text / "about.json").read_text("utf-8"))
        languages = (about["languages"][0], about["languages"][1])

        def progress(step: int, steps: int, loss: float) -> None:
            if step == steps or step % 100 == 0:
                stage.say(f"step {step}/{steps}, loss {loss:.3f}")

        work = stage.scratch("checkpoints")
        tokenizer = settings.training.start_from or text / "tokenizer"
        result = train_light(
            load_pairs(text / "train.jsonl"), model, settings.training, work=work, tokenizer_dir=tokenizer,
            languages=languages, on_progress=progress,
        )  # fmt: skip
        found, shown = {}, {}
        async with texts(Connection(model=model, settings=settings.translator)) as translator:
            for file in sorted((text / "tests").glob("*.jsonl")):
                pairs = load_pairs(file)[: settings.sentences]
                heldout = [ParallelPair(en, ar, "real", file.stem) for en, ar in pairs]
                _, lines = await evaluate_translation(translator, heldout, languages=languages)
                copied = [en for en, _ in pairs]
                scores = measure_translations({"translator": lines, "copied source": copied}, [ar for _, ar in pairs])
                samples = [[en, line, ar] for (en, ar), line in zip(pairs, lines, strict=True)][:8]
                rejected = sum(not line for line in lines)
                found[file.stem] = {**scores.to_record(), "samples": samples, "rejected": rejected}
                chrf = scores.scores["translator"][0].chrf.value
                shown[f"chrf_{file.stem}"] = chrf.value
                stage.say(
                    f"{file.stem}: chrF++ {chrf.value:.1f} [{chrf.low:.1f}, {chrf.high:.1f}], {rejected} rejected"
                )
        seconds = {"seconds": result.seconds, "tokens": result.tokens, "steps": result.steps}
        parts: tuple[Part, ...] = (Part("parallel text", ", ".join(about["sources"]), tuple(about["licences"])),)
        if (start := settings.training.start_from) is not None:
            parts = together(("parallel text", "", parts), ("base model", start.name, parts_of_model(start)))
        licence = obligations(licences_of(parts)).card_licence
        atomic.write_json(scores_path, {"sets": found, "languages": languages, "training": seconds, "licence": licence})
        atomic.write_json(
            model / "licence.json", {"licence": licence, "from": licences_of(parts), "languages": languages}
        )
        atomic.write_text(model / CARD, card(stage.name, "A light translator, trained on parallel text.", parts))
        metrics_page(work / "metrics" / "translator.jsonl", Path(page_path), "Translator", {"loss": "training loss"})
        return {**shown, **seconds, "validation_loss": result.validation_loss}
