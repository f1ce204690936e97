"""The graph's own promises: provenance, merging, storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from sindbad.errors import Corrupt, InvalidInput
from sindbad.graph.build import BuildResult
from sindbad.graph.knowledge import Edge, Entity, KnowledgeGraph, Source

SOURCE = Source("q", "https://x/en/a", "A borders B.", "en")


def tiny() -> KnowledgeGraph:
    graph = KnowledgeGraph("w")
    for name in "ab":
        graph.add_entity(Entity(name, "country", {"en": name.upper()}))
    graph.add_edge(Edge("a", "borders", "b", (SOURCE,)))
    return graph


def test_an_edge_without_complete_provenance_is_refused() -> None:
    graph = tiny()
    for sources in ((), (Source("", "u", "s", "en"),), (Source("q", "u", "", "en"),)):
        with pytest.raises(InvalidInput):
            graph.add_edge(Edge("b", "borders", "a", sources))
    with pytest.raises(InvalidInput):
        graph.add_edge(Edge("a", "borders", "nobody", (SOURCE,)))


def test_the_same_fact_from_two_pages_keeps_both_sources_once() -> None:
    graph = tiny()
    other = Source("q2", "https://x/ar/a", "ا تجاور ب.", "ar")
    graph.add_edge(Edge("a", "borders", "b", (other, SOURCE)))
    edge = graph.edge("a", "borders", "b")
    assert edge is not None
    assert edge.sources == (SOURCE, other)
    assert len(graph.edges) == 1


def test_an_entity_cannot_have_two_types() -> None:
    with pytest.raises(InvalidInput):
        tiny().add_entity(Entity("a", "city", {"en": "A"}))


def test_a_saved_graph_loads_equal_and_saves_to_the_same_bytes(built: BuildResult, tmp_path: Path) -> None:
    built.graph.save(tmp_path / "one.jsonl")
    loaded = KnowledgeGraph.load(tmp_path / "one.jsonl")
    assert list(loaded.to_records()) == list(built.graph.to_records())
    loaded.save(tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_a_text_with_separators_of_lines_survives_the_file(tmp_path: Path) -> None:
    graph = tiny()
    graph.add_entity(Entity("c", "country", {"en": "C\u2028of\u0085D"}))
    graph.save(tmp_path / "one.jsonl")
    assert list(KnowledgeGraph.load(tmp_path / "one.jsonl").to_records()) == list(graph.to_records())


def test_half_a_file_is_corrupt(built: BuildResult, tmp_path: Path) -> None:
    built.graph.save(tmp_path / "one.jsonl")
    data = (tmp_path / "one.jsonl").read_bytes()
    (tmp_path / "two.jsonl").write_bytes(data[: len(data) // 2 + 7])
    with pytest.raises(Corrupt):
        KnowledgeGraph.load(tmp_path / "two.jsonl")
