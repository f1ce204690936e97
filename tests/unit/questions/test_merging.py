"""Near-duplicates, and regions that share nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.questions_graph import film_graph
from sindbad.questions.compact import compact
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.making import Batch, Made, Maker, MakingConfig
from sindbad.questions.merging import NEAR, Merger, NearDuplicates, shared_by, test_region
from sindbad.questions.verification import Rejection

test_region.__test__ = False  # type: ignore[attr-defined]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_set_that_is_nearly_the_same_is_found_and_an_unlike_one_is_not(seed: int) -> None:
    rng = random.Random(seed)
    known = frozenset(f"fact {rng.random()}" for _ in range(rng.randint(4, 10)))
    near = NearDuplicates()
    near.add("first", known)
    assert near.find(known) == "first"
    changed = frozenset([*sorted(known)[1:], "another"])
    if near.find(changed):
        assert len(known & changed) >= NEAR * len(known | changed)
    assert near.find(frozenset(f"else {rng.random()}" for _ in range(6))) == ""


def test_the_same_batch_twice_adds_nothing() -> None:
    graph = film_graph(150)
    maker = Maker(graph, compact(graph), MakingConfig(excerpt=ExcerptConfig(min_nodes=10, max_nodes=14)), 0)
    batch = maker.batch(0, 12)
    merger = Merger(100)
    first = merger.add(batch)
    assert first > 0
    assert merger.add(batch) == 0
    assert merger.add(Batch(1, batch.made)) == 0
    assert Rejection.DUPLICATE in {item.reason for item in merger.rejected[len(batch.rejected) :]}
    assert shared_by(merger.kept, []) == []
    assert shared_by(merger.kept[:1], merger.kept[:1])
    half = [question for made in merger.kept[: first // 2] for question in made.questions]
    rest = Merger(100, known=half)
    rest.add(batch)
    left = {question.question_id for made in rest.kept for question in made.questions}
    assert left
    assert not left & {question.question_id for question in half}


def test_excerpts_of_one_hash_are_told_apart_over_batches_by_an_exact_test() -> None:
    graph = film_graph(150)
    maker = Maker(graph, compact(graph), MakingConfig(excerpt=ExcerptConfig(min_nodes=10, max_nodes=14)), 0)
    whole = Merger(100)
    whole.add(maker.batch(0, 24))
    by_excerpt = {made.questions[0].subgraph_hash: made for made in whole.kept}
    assert len(by_excerpt) > 2

    def alike(made: Made, picture: str) -> Made:
        return replace(made, questions=tuple(replace(q, subgraph_hash="abc") for q in made.questions), picture=picture)

    path, star, turned = "0 0 0 0;0,1,1 1,1,2 2,1,3", "0 0 0 0;0,1,1 0,1,2 0,1,3", "0 0 0 0;2,1,0 0,1,3 3,1,1"
    one, two, three = (alike(*pair) for pair in zip(by_excerpt.values(), (path, star, turned), strict=False))
    merger = Merger(100)
    assert [merger.add(Batch(number, [made])) for number, made in enumerate((one, two, three))] == [1, 1, 0]
    assert [made.questions[0].subgraph_hash for made in merger.kept] == ["abc", "abc-1"]
    assert [item.reason for item in merger.rejected] == [Rejection.DUPLICATE] * len(merger.rejected) != []
    beside = Merger(100, known=merger.kept[1].questions)
    assert beside.add(Batch(0, [one])) == 0, "of another run only the hash is known"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_the_region_of_test_questions_has_its_share(share: float) -> None:
    numbers = compact(film_graph(300))
    region = test_region(numbers, share, 5)
    assert len(np.unique(region)) == len(region)
    assert len(region) == pytest.approx(share * len(numbers), rel=0.1, abs=1)
    assert (region == test_region(numbers, share, 5)).all()


def test_nearly_equal_sets_are_seldom_missed() -> None:
    """Sets of ten that share nine (similarity 9/11): 16 bands of 2 rows miss less than one in a thousand."""
    rng, near, missed = random.Random(1), NearDuplicates(), 0
    for at in range(200):
        known = [f"fact {at} {number}" for number in range(10)]
        near.add(str(at), frozenset(known))
        known[rng.randrange(10)] = "another"
        missed += near.find(frozenset(known)) != str(at)
    assert missed <= 2
