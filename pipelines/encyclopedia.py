"""The encyclopedia that a run works on: worlds, pages, and the search index over them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipelines.digest import code_digest
from sindbad import atomic
from sindbad.demo.world import World, build_world, read_pages, write_encyclopedia
from sindbad.languages import LANGUAGES

WORLDS = "worlds.json"


class EncyclopediaSettings(BaseModel):
    """How large the encyclopedia is. Worlds are re-drawn from their seeds, so nothing can be memorised."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train_worlds: int = Field(default=20, ge=1)
    """Worlds that questions for training come from."""
    test_worlds: int = Field(default=6, ge=1)
    """Held-out worlds."""
    entities: int = Field(default=100, ge=24)
    """Entities a world."""
    first_seed: int = Field(default=1000, ge=0)
    """Seed of the first world; the others follow."""


@dataclass(frozen=True, slots=True)
class Encyclopedia:
    """Seeds of the worlds by split. The worlds follow from them."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    entities: int

    def worlds(self, split: str) -> list[World]:
        """The worlds of "train" or "test"."""
        return [build_world(seed, self.entities) for seed in getattr(self, split)]


def write_all(folder: Path, index: Path, settings: EncyclopediaSettings, say: Callable[[str], None]) -> Encyclopedia:
    """Write pages and facts below ``folder`` and the search index at ``index``; nothing to do if they are current."""
    from sindbad.retrieval.index import build as build_index

    seeds = range(settings.first_seed, settings.first_seed + settings.train_worlds + settings.test_worlds)
    found = Encyclopedia(
        tuple(seeds[: settings.train_worlds]), tuple(seeds[settings.train_worlds :]), settings.entities
    )
    code = code_digest("pipelines.encyclopedia")  # changed code draws other worlds, or words them otherwise
    wanted = {"train": found.train, "test": found.test, "entities": found.entities, "code": code}
    marker = folder / WORLDS
    if marker.exists() and json.loads(marker.read_text()) == json.loads(json.dumps(wanted)) and index.exists():
        say(f"{len(seeds)} worlds are there already")
        return found
    marker.unlink(missing_ok=True)
    worlds = write_encyclopedia(folder, seeds, settings.entities)
    pages = [page for language in LANGUAGES for page in read_pages(folder / f"pages-{language}.jsonl")]
    build_index(pages, index)
    atomic.write_json(marker, wanted)
    entities, facts = sum(len(world.entities) for world in worlds), sum(len(world.facts) for world in worlds)
    say(f"{len(worlds)} worlds, {entities:,} entities, {facts:,} facts, {len(pages):,} pages (English and Arabic)")
    return found


def read_encyclopedia(folder: Path) -> Encyclopedia:
    """What :func:`write_all` wrote."""
    record = json.loads((folder / WORLDS).read_text("utf-8"))
    return Encyclopedia(tuple(record["train"]), tuple(record["test"]), record["entities"])
