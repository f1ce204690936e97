"""Weisfeiler-Leman hash, exact isomorphism and orbits (papers.md tests 11 and 12)."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.graph.isomorphism import Shape, ShapeRegistry, isomorphism, orbits, wl_hash
from tests.unit.graph.shapes import TRIANGLE_WITH_TAIL, TWO_TRIANGLES, cycle, path, renamed, shape, small_shapes, star


def as_networkx(one: Shape) -> nx.DiGraph:
    graph = nx.DiGraph()
    for node in one.adjacency:
        graph.add_node(node, label=one.node_labels.get(node, ""))
    for left, around in one.adjacency.items():
        for right in around:
            graph.add_edge(left, right, label=one.edge_label(left, right))
    return graph


def same_label(left: dict[str, str], right: dict[str, str]) -> bool:
    return left["label"] == right["label"]


@given(small_shapes(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_renaming_the_nodes_changes_neither_hash_nor_class(original: Shape, rng: object) -> None:
    names = sorted(original.adjacency)
    images = [f"n{i}" for i in range(len(names))]
    rng.shuffle(images)  # type: ignore[attr-defined]
    other = renamed(original, dict(zip(names, images, strict=True)))
    assert wl_hash(original) == wl_hash(other)
    mapping = isomorphism(original, other)
    assert mapping is not None
    for left, right in ((a, b) for a in names for b in original.adjacency[a]):
        assert mapping[right] in other.adjacency[mapping[left]]
        assert original.edge_label(left, right) == other.edge_label(mapping[left], mapping[right])


@given(small_shapes(), small_shapes())
@settings(max_examples=80, deadline=None)
def test_the_exact_check_agrees_with_networkx(left: Shape, right: Shape) -> None:
    expected = nx.is_isomorphic(as_networkx(left), as_networkx(right), same_label, same_label)
    assert (isomorphism(left, right) is not None) == expected
    if expected:
        assert wl_hash(left) == wl_hash(right)


@given(small_shapes(labelled=False))
@settings(max_examples=40, deadline=None)
def test_orbits_are_those_of_all_automorphisms(one: Shape) -> None:
    graph = as_networkx(one)
    images: dict[str, set[str]] = {node: set() for node in one.adjacency}
    for mapping in nx.algorithms.isomorphism.DiGraphMatcher(graph, graph).isomorphisms_iter():
        for node, image in mapping.items():
            images[node].add(image)
    assert sorted(map(sorted, orbits(one))) == sorted(map(list, {tuple(sorted(orbit)) for orbit in images.values()}))


def test_path_and_star_of_four_nodes_differ() -> None:
    assert wl_hash(path(4)) != wl_hash(star(4))


def test_two_triangles_and_a_hexagon_share_the_hash_and_only_the_exact_check_tells_them_apart() -> None:
    hexagon = cycle(6)
    assert wl_hash(TWO_TRIANGLES) == wl_hash(hexagon)
    assert isomorphism(TWO_TRIANGLES, hexagon) is None
    by_hash, exact = ShapeRegistry(exact=False), ShapeRegistry()
    assert [by_hash.classify(one).new for one in (TWO_TRIANGLES, hexagon)] == [True, False]
    names = [
        exact.classify(one).name
        for one in (TWO_TRIANGLES, hexagon, shape([(5, 4), (4, 3), (3, 5), (0, 1), (1, 2), (2, 0)]))
    ]
    assert names[0] != names[1]
    assert names[0] == names[2]


@pytest.mark.parametrize(
    ("one", "count"), [(path(3), 2), (star(4), 2), (cycle(5), 1), (cycle(6), 1), (TRIANGLE_WITH_TAIL, 3)]
)
def test_orbit_counts_of_known_shapes(one: Shape, count: int) -> None:
    assert len(orbits(one)) == count
    assert sorted(node for orbit in orbits(one) for node in orbit) == sorted(one.adjacency)


def test_a_relation_s_direction_and_a_node_s_type_are_part_of_the_hash() -> None:
    two = {"a": frozenset("b"), "b": frozenset("a")}
    forward = Shape(two, {"a": "person", "b": "city"}, {("a", "b"): "born_in>"})
    backward = Shape(two, {"a": "person", "b": "city"}, {("a", "b"): "born_in<"})
    mirrored = Shape(two, {"b": "person", "a": "city"}, {("a", "b"): "born_in<"})
    assert wl_hash(forward) != wl_hash(backward)
    assert wl_hash(forward) == wl_hash(mirrored)
