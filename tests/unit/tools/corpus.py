"""A small corpus that the tests of retrieval and tools share: two generated worlds in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from sindbad.demo.world import World, build_world
from sindbad.retrieval.page import Page


@lru_cache(maxsize=1)
def worlds() -> tuple[World, ...]:
    """Worlds 1 and 2, forty entities each."""
    return build_world(1, 40), build_world(2, 40)


def pages() -> Iterator[Page]:
    """Every page, in the order of the worlds."""
    for world in worlds():
        for language in ("en", "ar"):
            yield from world.pages(language)
