"""A graph that grows page by page, held after every page against the one that assembly makes of the pages so far."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sindbad.graph.build_assembly import PageReading, assemble, in_cycles
from sindbad.graph.build_names import GrowingShape, Names
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.graph.statistics import describe


def grown(pages: Sequence[PageReading], names: Names) -> tuple[KnowledgeGraph, GrowingShape, GrowingShape]:
    """The last graph, and the shapes with and without its trees. ``names``: empty ones."""
    known = list[PageReading]()
    whole, cyclic = GrowingShape(names), GrowingShape(names, keep_trees=False)
    for one in pages:
        known.append(one)
        names.add(one.entity_id, one.names, one.main.entity_type)
        graph, _ = assemble("c", known, names, [two.entity_id for two in known])
        for shape, kept in ((whole, None), (cyclic, in_cycles(graph))):
            shape.add(one.entity_id, one.names, one.facts)
            figures = describe(graph, kept)
            assert (shape.nodes, shape.edges, shape.cycle_rank) == (figures.nodes, figures.edges, figures.cycle_rank)
            assert shape.mean_degree == pytest.approx(figures.mean_degree)
            degrees = {one.entity_id: len(graph.neighbours(one.entity_id)) for one in graph.entities}
            assert {key: shape.degree(key) for key in degrees} == degrees
    return graph, whole, cyclic
