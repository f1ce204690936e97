"""Random-walk subgraphs (papers.md test 11)."""

from __future__ import annotations

import pytest

from sindbad.graph.build import BuildResult
from sindbad.graph.isomorphism import wl_hash
from sindbad.graph.statistics import reachable
from sindbad.graph.walk import Subgraph, WalkConfig, extract_subgraphs


def extract(built: BuildResult, seed: int, **config: object) -> list[Subgraph]:
    return list(extract_subgraphs(built.graph, WalkConfig(**config), seed, attempts=120))  # type: ignore[arg-type]


def test_every_subgraph_is_connected_and_of_the_asked_size(built: BuildResult) -> None:
    found = extract(built, 1, min_nodes=4, max_nodes=9)
    assert len(found) > 50
    for one in found:
        adjacency = {node: set(around) for node, around in one.shape.adjacency.items()}
        assert reachable(adjacency, min(one.nodes)) == set(one.nodes)
        assert 4 <= len(one.nodes) <= 9


def test_no_two_kept_subgraphs_are_wl_equivalent(built: BuildResult) -> None:
    hashes = [wl_hash(one.shape) for one in extract(built, 1)]
    assert len(hashes) == len(set(hashes))
    assert hashes == [one.subgraph_hash for one in extract(built, 1)]


def test_the_same_seed_gives_the_same_sequence_and_another_seed_another(built: BuildResult) -> None:
    first, again, other = (extract(built, seed) for seed in (3, 3, 4))
    assert [one.nodes for one in first] == [one.nodes for one in again]
    assert [one.nodes for one in first] != [one.nodes for one in other]


def test_walked_edges_are_fewer_than_induced_ones(built: BuildResult) -> None:
    def mean_degree(edges: str) -> float:
        found = extract(built, 5, min_nodes=15, max_nodes=15, edges=edges)
        return sum(len(a) for one in found for a in one.shape.adjacency.values()) / (15 * len(found))

    assert mean_degree("walked") < mean_degree("induced")


def test_subgraphs_of_the_paper_s_size_have_about_its_degree(built: BuildResult) -> None:
    """About 30 nodes and mean degree 2.5 (papers.md §2a.4); this world's walks come near with walked edges."""
    found = extract(built, 2, min_nodes=26, max_nodes=34, edges="walked")
    nodes = sum(len(one.nodes) for one in found) / len(found)
    degree = sum(len(a) for one in found for a in one.shape.adjacency.values()) / sum(len(one.nodes) for one in found)
    assert nodes == pytest.approx(30, abs=2)
    assert 2.0 <= degree <= 3.5


def test_a_config_with_the_sizes_swapped_is_refused() -> None:
    with pytest.raises(ValueError, match="min_nodes"):
        WalkConfig(min_nodes=5, max_nodes=4)
