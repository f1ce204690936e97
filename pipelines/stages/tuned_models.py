"""HALA step 7 on real data: base, tuned and merged model on the same held-out text and benchmarks, and a sweep over t.

The sweep's figures stand in the report; the merged model is the recipe's t, not the sweep's best: chosen on the same
text, the best would look better than it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from sindbad.corpus.parallel import ParallelFile

if TYPE_CHECKING:
    from sindbad.evaluation.choice_items import ChoiceItem
    from sindbad.training.examples import Conversation


class TunedSettings(BaseModel):
    """What the models are measured on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    texts: dict[str, ParallelFile] = {}
    """Name -> file of native text: a heading (source_column) and what follows it (target_column)."""
    text_rows: int = Field(default=200, ge=1)
    """Most rows of each."""
    longest: int = Field(default=1200, ge=1)
    """Characters of a native text that are scored."""
    choice: dict[str, Path] = {}
    """Name -> multiple-choice items (JSONL, also .gz)."""
    choice_items: int = Field(default=200, ge=1)
    """Most items of each."""
    sweep: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Values of t that are merged and measured; empty leaves the sweep out."""
    samples: int = Field(default=4, ge=0)
    """Held-out prompts that every model answers in the report."""


SETTINGS = TunedSettings


def evaluate(
    stage_json: str, data_path: str, corpus_path: str, models: Mapping[str, str], figures_path: str
) -> dict[str, float]:
    """Write losses, multiple choice, contamination, sweep and sample answers to ``figures_path``."""
    from pipelines.stage import running
    from sindbad import atomic
    from sindbad.evaluation.choice_items import read_choice_items
    from sindbad.evaluation.contamination import find_contamination
    from sindbad.evaluation.local_model import LocalModel
    from sindbad.training.examples import read_conversations

    with running(stage_json, data_path, corpus_path, *models.values()) as stage:
        settings, root, corpus = stage.parse(TunedSettings), Path(data_path), Path(corpus_path)
        held_out = held_out_text(settings, root, corpus)
        sets = {
            name: read_choice_items(root / path, first=settings.choice_items) for name, path in settings.choice.items()
        }
        questions = filter(None, map(_question, held_out["held-out rows, translated"]))
        prompts = list(questions)[: settings.samples]
        found: dict[str, Any] = {"losses": {}, "choice": {}, "answers": [{"prompt": text} for text in prompts]}
        for name, folder in models.items():
            model = LocalModel(Path(folder), threads=_cores())
            found["losses"][name] = {kind: model.conversation_loss(turns) for kind, turns in held_out.items()}
            found["choice"][name] = {kind: _choice(model, items) for kind, items in sets.items()}
            for row, answer in zip(found["answers"], model.generate(prompts, max_tokens=64), strict=True):
                row[name] = answer
            said = ", ".join(f"{kind} {loss:.2f}" for kind, (loss, _) in found["losses"][name].items())
            stage.say(f"{name}: nats a token: {said}")
        trained = enumerate(read_conversations(corpus / "instructions.jsonl"))
        texts = [(f"row {n}", " ".join(text for _, text in turns)) for n, turns in trained]
        for kind, items in sets.items():
            asked = [(one.item_id, one.question) for one in items]
            found.setdefault("contamination", {})[kind] = find_contamination(asked, texts).to_record()
        found["sweep"] = _sweep(settings, models, held_out, stage.scratch("sweep"))
        atomic.write_json(figures_path, found)
        return {
            f"{name}, {kind}": loss for name, losses in found["losses"].items() for kind, (loss, _) in losses.items()
        }


def held_out_text(settings: TunedSettings, root: Path, corpus: Path) -> dict[str, list[Conversation]]:
    """Conversations that no model was trained on, by name; a native text answers its heading."""
    import json

    from sindbad.corpus.parallel import read_parallel
    from sindbad.training.examples import of_pair, read_conversations
    from sindbad.translation.prompts import language_name

    languages = json.loads((corpus / "about.json").read_text("utf-8"))["languages"]
    found = {
        f"held-out rows, {language_name(languages[0])}": list(read_conversations(corpus / "held_out_source.jsonl")),
        "held-out rows, translated": list(read_conversations(corpus / "held_out_target.jsonl")),
    }
    for name, file in settings.texts.items():
        rows = read_parallel(root, file, training=False)[: settings.text_rows]
        found[name] = [of_pair(heading, text[: settings.longest]) for heading, text in rows]
    return found


def _question(turns: Conversation) -> str:
    """What the user says first: models are shown answering that alone. "" where nobody asks."""
    return next((text for role, text in turns if role == "user"), "")


def _choice(model: Any, items: list[ChoiceItem]) -> list[dict[str, Any]]:
    from sindbad.evaluation.choice import answer_items, figures_of

    styles = ("letters", "text")
    return [figures_of(one, items, answer_items(model, items, one, chat=True)).to_record() for one in styles]


def _sweep(
    settings: TunedSettings, models: Mapping[str, str], held_out: Mapping[str, list[Conversation]], work: Path
) -> list[dict[str, Any]]:
    from sindbad.training.merge import merged_with
    from sindbad.training.sweep import HeldOutLoss, sweep_merge

    if not settings.sweep:
        return []
    measures = [HeldOutLoss(tuple(turns), name=name) for name, turns in held_out.items()]
    base, tuned = Path(models["base"]), Path(models["tuned"])
    config = merged_with(Path(models["merged"]))  # all but t as the recipe's merge: tokenizer, template, threshold
    rows = sweep_merge(base, tuned, work / "best", settings.sweep, measures, config).rows
    return [{"t": row.t, **{name: row.figures[f"{name}.loss"] for name in held_out}} for row in rows]


def _cores() -> int:
    import os

    return os.cpu_count() or 1
