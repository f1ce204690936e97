"""Excerpts are connected, of the wanted size, no two alike, and their cuts are cuts (papers.md tests 11 to 13)."""

from __future__ import annotations

import random
from collections import Counter

import networkx as nx
import pytest
from pydantic import ValidationError

from benchmarks.questions_graph import film_graph
from sindbad.graph.knowledge import Edge, Entity, KnowledgeGraph, Source
from sindbad.graph.walk import Form
from sindbad.questions.compact import CompactGraph, compact
from sindbad.questions.cuts import cut_between, joined
from sindbad.questions.excerpts import Excerpt, ExcerptConfig, ExcerptSource, FocusCounter
from tests.unit.graph.shapes import cycle, path, star


@pytest.fixture(scope="module")
def numbers() -> CompactGraph:
    return compact(film_graph(300))


def drawn(numbers: CompactGraph, seed: int, count: int = 25) -> list[Excerpt]:
    source, rng = ExcerptSource(numbers, ExcerptConfig()), random.Random(seed)
    found = (source.draw(rng) for _ in range(3 * count))
    return [excerpt for excerpt in found if excerpt is not None][:count]


def test_excerpts_are_connected_and_about_thirty_nodes(numbers: CompactGraph) -> None:
    found = drawn(numbers, 1)
    assert sum(len(excerpt.nodes) for excerpt in found) / len(found) == pytest.approx(30, abs=4)
    for excerpt in found:
        assert nx.is_connected(nx.Graph([(a, b) for a, near in excerpt.around.items() for b in near]))
        assert 20 <= len(excerpt.nodes) <= 40
        assert 1.9 <= excerpt.degree <= 2.6
    assert len({excerpt.subgraph_hash for excerpt in found}) == len(found)


RINGS = [(at, at + 1) for at in range(9)]
DECALIN = [*RINGS, (0, 5), (0, 9)]
BICYCLOPENTYL = [*RINGS, (0, 4), (5, 9)]
"""Ten nodes and eleven edges each: hexagons that share an edge, pentagons joined by one. To WL they are one."""


def test_excerpts_that_wl_cannot_tell_apart_are_two_and_isomorphic_ones_are_one() -> None:
    graph = KnowledgeGraph("w")
    said = (Source("q", "https://example.org/p", "A sentence.", "en"),)
    for name, edges in (
        ("a", DECALIN),
        ("b", BICYCLOPENTYL),
        ("c", [(9 - left, 9 - right) for left, right in DECALIN]),
    ):
        for at in range(10):
            graph.add_entity(Entity(f"{name}{at}", "place", {"en": f"{name}{at}"}))
        for left, right in edges:
            for ends in ((left, right), (right, left)):
                graph.add_edge(Edge(f"{name}{ends[0]}", "near", f"{name}{ends[1]}", said))
    config = ExcerptConfig(min_nodes=10, max_nodes=10, mean_degree=2.2)
    numbers, rng = compact(graph), random.Random(1)
    source = ExcerptSource(numbers, config)
    found = [one for one in (source.draw(rng) for _ in range(60)) if one is not None]
    assert len(found) == 2
    (first, second), (digest, *_) = (one.subgraph_hash for one in found), found[0].subgraph_hash.split("-")
    assert (first, second) == (digest, f"{digest}-1")


def skeleton(excerpt: Excerpt) -> nx.Graph:
    return nx.Graph([(a, b) for a, near in excerpt.around.items() for b in near])


@pytest.mark.parametrize("form", ["chain", "cycle", "dense"])
def test_a_shape_is_what_its_name_says(numbers: CompactGraph, form: Form) -> None:
    source, rng = ExcerptSource(numbers, ExcerptConfig(shapes={form: 1.0})), random.Random(7)
    found = [excerpt for excerpt in (source.draw(rng) for _ in range(25)) if excerpt is not None]
    assert len(found) > 15
    for excerpt in found:
        graph = skeleton(excerpt)
        assert excerpt.form == form
        assert set(graph) == set(excerpt.nodes)
        assert nx.is_connected(graph)
        ranks = sorted(degree for _, degree in graph.degree())
        if form == "chain":
            assert ranks == [1, 1, *[2] * (len(graph) - 2)]
        elif form == "cycle":
            assert graph.number_of_edges() == len(graph)
        else:
            assert excerpt.degree > 2.6


def test_a_ring_is_the_longest_that_the_tree_allows(numbers: CompactGraph) -> None:
    source, rng = ExcerptSource(numbers, ExcerptConfig(shapes={"cycle": 1.0})), random.Random(3)
    rings = [len(nx.cycle_basis(skeleton(excerpt))[0]) for excerpt in (source.draw(rng) for _ in range(20)) if excerpt]
    assert sum(rings) / len(rings) > 4


def test_a_mix_draws_its_shapes_by_weight(numbers: CompactGraph) -> None:
    shapes: dict[Form, float] = {"chain": 1.0, "cycle": 1.0, "dense": 2.0}
    source, rng = ExcerptSource(numbers, ExcerptConfig(shapes=shapes)), random.Random(1)
    forms = Counter(excerpt.form for excerpt in (source.draw(rng) for _ in range(160)) if excerpt)
    assert set(forms) == set(shapes)
    assert forms["dense"] > 1.3 * forms["chain"]


def test_shapes_without_weight_are_refused() -> None:
    for shapes in ({}, {"chain": 0.0}, {"chain": 1.0, "free": -1.0}):
        with pytest.raises(ValidationError, match="shapes"):
            ExcerptConfig.model_validate({"shapes": shapes})
    with pytest.raises(ValidationError, match="shapes"):
        ExcerptConfig.model_validate({"shapes": {"star": 1.0}})


def test_facts_are_the_graph_s_own(numbers: CompactGraph) -> None:
    for excerpt in drawn(numbers, 2, 5):
        for subject, relation, object_ in excerpt.facts:
            assert numbers.has(subject, numbers.relation_names[relation], object_)
            assert object_ in excerpt.around[subject]


def test_the_same_seed_draws_the_same(numbers: CompactGraph) -> None:
    assert [e.subgraph_hash for e in drawn(numbers, 3, 6)] == [e.subgraph_hash for e in drawn(numbers, 3, 6)]


def test_cuts_agree_with_networkx_over_all_facts_between_the_nodes(numbers: CompactGraph) -> None:
    rng, left_out = random.Random(0), 0
    for excerpt in drawn(numbers, 4, 8):
        around = joined(excerpt, numbers)
        graph = nx.Graph([(a, b) for a, near in around.items() for b in near])
        everything = nx.Graph([(a, int(b)) for a in excerpt.nodes for b in numbers.skeleton.of_one(a)])
        assert set(map(frozenset, graph.edges)) == set(map(frozenset, everything.subgraph(excerpt.nodes).edges))
        left_out += graph.number_of_edges() - sum(map(len, excerpt.around.values())) // 2
        for _ in range(12):
            focus, anchor = rng.sample(list(excerpt.nodes), 2)
            way = nx.shortest_path_length(graph, focus, anchor)
            disjoint = way > 1 and nx.node_connectivity(graph, focus, anchor) > 1
            assert bool(cut_between(around, focus, anchor)) == (way > 1 and not disjoint)
    assert left_out > 0


def test_the_focus_goes_to_orbits_that_have_had_the_fewest() -> None:
    counter = FocusCounter()
    star_of_three = Excerpt((0, 1, 2, 3), (), {0: {1, 2, 3}, 1: {0}, 2: {0}, 3: {0}})
    star_of_three.topology, star_of_three.orbit_of = "star", {0: 0, 1: 1, 2: 1, 3: 1}
    assert counter.open_nodes(star_of_three) == [0, 1, 2, 3]
    counter.take("star", 1)
    assert counter.open_nodes(star_of_three) == [0]
    assert not counter.may_take("star", 1, 2)
    assert counter.may_take("star", 0, 2)


def test_shapes_of_the_acceptance_tests_have_their_orbits() -> None:
    from sindbad.graph.isomorphism import orbits

    assert [len(orbits(one)) for one in (path(3), star(4), cycle(6))] == [2, 2, 1]
