"""Our solver, the backtracking one and DuckDB agree on random graphs and random queries."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.graph.knowledge import Attribute, Edge, Entity, KnowledgeGraph, Source
from sindbad.questions.compact import compact
from sindbad.questions.logic import is_variable, solve
from sindbad.questions.question import Clue
from sindbad.questions.reference import Reference
from sindbad.questions.solver import Interval, Solver, TooCostly

SAID = (Source("q", "https://example.org/p", "A sentence.", "en"),)
LETTERS = "ABC"


def random_graph(rng: random.Random, nodes: int = 9, edges: int = 22) -> KnowledgeGraph:
    graph = KnowledgeGraph("w")
    for number in range(nodes):
        name = f"{rng.choice(LETTERS)}{number}"
        graph.add_entity(Entity(f"e{number}", rng.choice(("city", "person")), {"en": name}))
        if rng.random() < 0.7:
            graph.add_attribute(f"e{number}", Attribute("size", rng.randint(0, 9), "km²", "number", SAID))
        if rng.random() < 0.5:
            graph.add_attribute(f"e{number}", Attribute("born", f"{1900 + rng.randint(0, 30)}-05", "", "date", SAID))
    for _ in range(edges):
        ends = [f"e{rng.randrange(nodes)}" for _ in range(2)]
        graph.add_edge(Edge(ends[0], rng.choice("rst"), ends[1], SAID))
    return graph


def random_clues(rng: random.Random, nodes: int = 9) -> list[Clue]:
    terms = ["?0", "?1", "?2", "?3", f"e{rng.randrange(nodes)}", f"e{rng.randrange(nodes)}"]
    clues = [Clue("?0", rng.choice("rst"), rng.choice(terms[1:]))]
    for _ in range(rng.randint(0, 4)):
        kind = rng.random()
        if kind < 0.75:
            clues.append(Clue(rng.choice(terms), rng.choice("rst"), rng.choice(terms)))
        elif kind < 0.85:
            clues.append(Clue(rng.choice(terms[:4]), "@type", rng.choice(("city", "person", "moon"))))
        elif kind < 0.9:
            clues.append(Clue(rng.choice(terms[:4]), "@initial:en", rng.choice(LETTERS)))
        else:
            low = rng.randint(0, 5)
            clues.append(Interval("size", "about", low, low + rng.randint(0, 4)).clue(rng.choice(terms[:4])))
    return clues


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_the_solver_and_duckdb_agree_on_random_graphs_and_queries(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng)
    solver, reference = Solver(compact(graph)), Reference.of_graph(graph)
    try:
        for _ in range(12):
            clues = random_clues(rng)
            for target in sorted({end for clue in clues for end in (clue.subject, clue.object) if is_variable(end)}):
                ours = {solver.compact.ids[value] for value in solver.answers(clues, target)}
                assert ours == reference.answers(clues, target), (clues, target)
                for entity in ("e0", "e1", *sorted(ours)[:2]):
                    unique, _ = solver.is_unique(clues, target, solver.compact.number[entity])
                    assert unique == (ours == {entity}), (clues, target, entity)
    finally:
        reference.close()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_solver_agrees_with_backtracking_where_both_know_the_clues(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng)
    solver = Solver(compact(graph))
    for _ in range(6):
        clues = [clue for clue in random_clues(rng) if not clue.relation.startswith("@between")]
        ours = {solver.compact.ids[value] for value in solver.answers(clues, "?0")}
        assert ours == solve(graph, clues, "?0"), clues


@pytest.fixture
def full() -> Solver:
    """Everybody knows everybody: the worst case."""
    graph = KnowledgeGraph("w")
    for number in range(60):
        graph.add_entity(Entity(f"e{number:02}", "person", {"en": f"N{number}"}))
    for left in range(60):
        for right in range(60):
            if (left + right) % 7:
                graph.add_edge(Edge(f"e{left:02}", "knows", f"e{right:02}", SAID))
    return Solver(compact(graph), budget=30_000)


def test_what_costs_too_much_is_given_up_instead_of_waited_for(full: Solver) -> None:
    names = [f"?{number}" for number in range(7)]
    ring = [Clue(a, "knows", b) for a, b in zip(names, [*names[1:], names[0]], strict=True)]
    with pytest.raises(TooCostly):
        full.answers([*ring, Clue("?0", "knows", "?3"), Clue("?1", "knows", "?5")], "?0")


def test_an_interval_survives_the_clue_and_open_ends_are_open() -> None:
    for bounds in (Interval("area", "about", 4.5, 5.5), Interval("a:b", "large", 100.0, float("inf"))):
        assert Interval.of(bounds.clue("?0")) == bounds


def test_both_ends_of_an_interval_belong_to_it() -> None:
    graph = KnowledgeGraph("w")
    for number, year in enumerate((1949, 1950, 1953, 1954)):
        graph.add_entity(Entity(f"e{number}", "person", {"en": f"N{number}"}))
        graph.add_attribute(f"e{number}", Attribute("birth_date", f"{year}-12-31", "", "date", SAID))
    solver = Solver(compact(graph))
    assert solver.answers([Interval("birth_date", "early", 1950, 1953).clue("?0")], "?0") == [1, 2]


def test_solver_and_reference_read_the_same_dates_and_numbers() -> None:
    graph = KnowledgeGraph("w")
    dates = ("1912-05-22", "1912/05/22", "1912-5", "c. 1912", "12345", "-0044-03-15", "1912")
    for number, date in enumerate(dates):
        graph.add_entity(Entity(f"e{number}", "person", {"en": f"N{number}"}))
        graph.add_attribute(f"e{number}", Attribute("born", date, "", "date", SAID))
        graph.add_attribute(f"e{number}", Attribute("size", math.inf if number else 5.0, "", "number", SAID))
    solver, reference = Solver(compact(graph)), Reference.of_graph(graph)
    for clue, known in (
        (Interval("born", "about", -math.inf, math.inf).clue("?0"), {"e0", "e5", "e6"}),
        (Interval("size", "about", 0, math.inf).clue("?0"), {"e0"}),
    ):
        assert {solver.compact.ids[value] for value in solver.answers([clue], "?0")} == known
        assert reference.answers([clue], "?0") == known
    assert reference.number("e5", "born") == -44.0
    reference.close()


def test_numbers_in_another_unit_are_no_numbers_to_solver_and_reference() -> None:
    graph = KnowledgeGraph("w")
    for number, (value, unit) in enumerate(((800, "g"), (5, "kg"), (7, "kg"), (900, "g"), (6, "kg"))):
        graph.add_entity(Entity(f"e{number}", "beast", {"en": f"N{number}"}))
        graph.add_attribute(f"e{number}", Attribute("weight", value, unit, "number", SAID))
    made, reference = compact(graph), Reference.of_graph(graph)
    assert made.columns["weight"].unit == "kg"
    assert [made.columns["weight"].single(entity) for entity in range(5)] == [None, 5, 7, None, 6]
    assert [reference.number(f"e{entity}", "weight") for entity in range(5)] == [None, 5, 7, None, 6]
    reference.close()
