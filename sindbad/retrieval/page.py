"""A page of a corpus, as the index stores it and the loopback web serves it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """``corpus`` names the world ("w0007"); ``text`` is plain text, one sentence after the other."""

    url: str
    title: str
    text: str
    language: str
    corpus: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result. ``score`` is the retriever's own; higher is better. ``snippet`` is the best sentence."""

    url: str
    title: str
    snippet: str
    score: float
