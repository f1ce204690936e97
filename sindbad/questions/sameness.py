"""Which excerpts are the same: the Weisfeiler-Leman hash finds the bucket, an exact test decides within it.

Every class keeps one member as a short text (its picture: types, facts, no entities), so that hundreds of thousands of
excerpts fit. What the test cannot settle within its budget counts as the same, as in ``sindbad graph sample``; so does
what has no picture, for there is only its hash. Pictures compare within one graph: types and relations are numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sindbad.graph.isomorphism import Shape, isomorphism
from sindbad.graph.refinement import Undecided

Fact = tuple[int, int, int]
"""(subject, relation number, object)."""


class Subgraphs:
    """Classes met so far."""

    def __init__(self) -> None:
        self._met: dict[str, list[str]] = {}

    def know(self, name: str) -> str:
        """A class that is known by its name alone: all of its hash are the same. What they are called then."""
        self._met[_hash(name)] = [""]
        return _hash(name)

    def name(self, name: str, picture: str) -> tuple[str, bool]:
        """The class's name (its hash; -1, -2, … behind it where others came first), and whether it is new.

        Args:
            name: the hash, or a name that another registry gave.
        """
        bucket = self._met.setdefault(_hash(name), [])
        for number, known in enumerate(bucket):
            if not (known and picture) or _same(known, picture):
                return _named(name, number), False
        bucket.append(picture)
        return _named(name, len(bucket) - 1), True


def _hash(name: str) -> str:
    return name.partition("-")[0]


def _named(name: str, number: int) -> str:
    return f"{_hash(name)}-{number}" if number else _hash(name)


def _same(left: str, right: str) -> bool:
    try:
        return left == right or isomorphism(shape(left), shape(right)) is not None
    except Undecided:
        return True


def picture(nodes: Sequence[int], types: Iterable[int], facts: Iterable[Fact]) -> str:
    """``types`` of ``nodes`` in their order, and the facts between them."""
    place = {node: at for at, node in enumerate(nodes)}
    told = " ".join(f"{place[subject]},{relation},{place[object_]}" for subject, relation, object_ in facts)
    return f"{' '.join(map(str, types))};{told}"


def pictured(picture: str) -> list[Fact]:
    """The facts of a picture, between places in its order of nodes; [] where there is none."""
    rows = (fact.split(",") for fact in picture.partition(";")[2].split())
    return [(int(subject), int(relation), int(object_)) for subject, relation, object_ in rows]


def shape(picture: str) -> Shape:
    """Inverse of :func:`picture`, up to the names of the nodes."""
    types = picture.partition(";")[0]
    labels = {str(at): kind for at, kind in enumerate(types.split())}
    facts = pictured(picture)
    around: dict[str, set[str]] = {node: set() for node in labels}
    for subject, _, object_ in facts:
        around[str(subject)].add(str(object_))
        around[str(object_)].add(str(subject))
    return Shape({node: frozenset(near) for node, near in around.items()}, labels, edge_labels(facts))


def edge_labels(facts: Iterable[Fact]) -> dict[tuple[str, str], str]:
    """Of each pair of nodes, smaller name first: its relations, each with its direction as seen from there."""
    labels: dict[tuple[str, str], list[str]] = {}
    for subject, relation, object_ in facts:
        low, high = sorted((str(subject), str(object_)))
        labels.setdefault((low, high), []).append(f"{relation}{'>' if str(subject) == low else '<'}")
    return {pair: "|".join(sorted(some)) for pair, some in labels.items()}
