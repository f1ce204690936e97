"""HALA step 2 on real data: sentence pairs for the light translator, cleaned, and a tokenizer of both languages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.parallel import ParallelFile
from sindbad.translation.bilingual_tokenizer import VOCABULARY


class ParallelSettings(BaseModel):
    """Which pairs, and what is kept of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: dict[str, ParallelFile] = {}
    """Name -> file below the data."""
    tests: dict[str, ParallelFile] = {}
    """Name -> file; nothing of them is trained on."""
    public: tuple[str, ...] = ("opus100",)
    """Parallel sources of the Hub that are trained on where no data is given."""
    public_limit: int = Field(default=1_000_000, ge=1)
    """Pairs of each of those (HALA judged about a million of OPUS-100)."""
    public_held_out: int = Field(default=1000, ge=1)
    """Sentences of each of those that become a test set."""
    from_hub: bool = False
    """Read ``public`` instead of ``train``."""
    filters: FilterSettings = FilterSettings()
    """Thresholds; the defaults are those of translations."""
    vocabulary: int = Field(default=VOCABULARY, ge=512)
    """Pieces of the tokenizer."""
    seed: int = 0
    """Of what is held out."""


SETTINGS = ParallelSettings


def write(stage_json: str, data_path: str, text_path: str) -> dict[str, float]:
    """Write train.jsonl, tests/NAME.jsonl, tokenizer/ and about.json below ``text_path``."""
    from pathlib import Path

    from pipelines.stage import running
    from sindbad import atomic
    from sindbad.corpus.licences import obligations
    from sindbad.corpus.parallel import licences_of, prepare, read_parallel, write_pairs
    from sindbad.corpus.schemas import SCHEMAS
    from sindbad.corpus.sources import SourceRequest, read_pairs
    from sindbad.translation.bilingual_tokenizer import train_tokenizer

    with running(stage_json, data_path) as stage:
        settings, root, out = stage.parse(ParallelSettings), Path(data_path), Path(text_path)
        tests = {name: read_parallel(root, file, training=False) for name, file in settings.tests.items()}
        if settings.from_hub:
            requests = [SourceRequest(name, limit=settings.public_limit) for name in settings.public]
            train = {one.name: [(en, ar) for _, en, ar in read_pairs(one)] for one in requests}
            held_out = {name: settings.public_held_out for name in train}
            licences = [SCHEMAS[name].licence for name in settings.public]
        else:
            train = {name: read_parallel(root, file, training=True) for name, file in settings.train.items()}
            held_out = {name: file.held_out for name, file in settings.train.items()}
            licences = list(dict.fromkeys(one for file in settings.train.values() for one in licences_of(root, file)))
        text = prepare(train, tests, held_out=held_out, filters=settings.filters, seed=settings.seed)
        stage.say(f"{len(text.train):,} sentence pairs, left out: {dict(text.dropped.most_common())}")
        out.mkdir(parents=True, exist_ok=True)
        train_tokenizer(
            (side for pair in text.train for side in pair), out / "tokenizer", vocabulary=settings.vocabulary
        )
        for name, pairs in text.tests.items():
            write_pairs(out / "tests" / f"{name}.jsonl", pairs)
        write_pairs(out / "train.jsonl", text.train)
        about = {
            "pairs": len(text.train), "dropped": dict(text.dropped.most_common()), "sources": dict(text.sources),
            "tests": {name: len(pairs) for name, pairs in text.tests.items()},
            "licence": obligations(licences).card_licence, "licences": licences,
        }  # fmt: skip
        atomic.write_json(out / "about.json", about)
        return {"pairs": len(text.train), "dropped": sum(text.dropped.values())}
