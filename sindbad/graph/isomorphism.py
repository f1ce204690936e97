"""When are two subgraphs the same? Weisfeiler-Leman hash first, exact test within a bucket (papers.md tests 11, 12).

The hash is permutation invariant. 1-dimensional WL cannot tell some regular graphs apart (two triangles from a
hexagon): under the hash alone these count as duplicates, and :func:`isomorphism` settles them exactly. Orbits are exact
too: two nodes share one if some automorphism carries one to the other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Shape:
    """A small labelled graph.

    Attributes:
        adjacency: node -> neighbours; symmetric, no self-loops.
        node_labels: node -> label; absent nodes have the label "".
        edge_labels: (a, b) with a < b -> label as seen from a (for a subgraph: its relations, ">" away from a).
    """

    adjacency: Mapping[str, frozenset[str]]
    node_labels: Mapping[str, str] = field(default_factory=dict)
    edge_labels: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def bare(self) -> Shape:
        """The topology alone."""
        return Shape(self.adjacency)

    def edge_label(self, left: str, right: str) -> str:
        """The label as seen from ``left``."""
        if not self.edge_labels:
            return ""
        if left <= right:
            return self.edge_labels.get((left, right), "")
        return _mirrored(self.edge_labels.get((right, left), ""))


def _mirrored(label: str) -> str:
    turned = {">": "<", "<": ">"}
    parts = [part[:-1] + turned.get(part[-1], part[-1]) for part in label.split("|") if part]
    return "|".join(sorted(parts))


def stable_colours(shape: Shape, *, rounds: int | None = None) -> dict[str, str]:
    """WL colour of every node: equal for nodes that an isomorphism could exchange, also across shapes.

    Args:
        rounds: refinement rounds; by default until the classes no longer split (at most the number of nodes).
    """
    colours = {node: _digest(shape.node_labels.get(node, "")) for node in shape.adjacency}
    classes = len(set(colours.values()))
    for _ in range(len(colours) if rounds is None else rounds):
        colours = {node: _refined(shape, colours, node) for node in shape.adjacency}
        if rounds is None and len(set(colours.values())) == classes:
            break
        classes = len(set(colours.values()))
    return colours


def _refined(shape: Shape, colours: Mapping[str, str], node: str) -> str:
    around = sorted(shape.edge_label(node, other) + ":" + colours[other] for other in shape.adjacency[node])
    return _digest(colours[node] + "(" + ",".join(around) + ")")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=12).hexdigest()


def wl_hash(shape: Shape, *, rounds: int | None = None) -> str:
    """Hex digest that is equal for isomorphic shapes, whatever their nodes are called."""
    return _hash_of(shape, stable_colours(shape, rounds=rounds))


def _hash_of(shape: Shape, colours: Mapping[str, str]) -> str:
    edges = sum(len(around) for around in shape.adjacency.values()) // 2
    return _digest(f"{len(colours)};{edges};" + ",".join(sorted(colours.values())))


def isomorphism(left: Shape, right: Shape) -> dict[str, str] | None:
    """A mapping of ``left``'s nodes onto ``right``'s that keeps edges and labels; None if there is none. Exact."""
    colours, others = stable_colours(left), stable_colours(right)
    if Counter(colours.values()) != Counter(others.values()):
        return None
    return _matched(left, right, colours, others, {})


def _matched(
    left: Shape, right: Shape, colours: Mapping[str, str], others: Mapping[str, str], fixed: Mapping[str, str]
) -> dict[str, str] | None:
    """Backtracking over nodes in an order in which each one touches earlier ones, pruned by colour."""
    order = _connected_order(left, colours, list(fixed))
    by_colour: dict[str, list[str]] = {}
    for node in sorted(others):
        by_colour.setdefault(others[node], []).append(node)
    mapping: dict[str, str] = {}

    def extend(position: int) -> bool:
        if position == len(order):
            return True
        node = order[position]
        candidates = [fixed[node]] if node in fixed else by_colour.get(colours[node], [])
        for image in candidates:
            if (
                others[image] == colours[node]
                and image not in mapping.values()
                and _fits(left, right, mapping, node, image)
            ):
                mapping[node] = image
                if extend(position + 1):
                    return True
                del mapping[node]
        return False

    return mapping if extend(0) else None


def _fits(left: Shape, right: Shape, mapping: Mapping[str, str], node: str, image: str) -> bool:
    """Edges and labels between ``node`` and everything mapped so far are the same on both sides."""
    for other, other_image in mapping.items():
        joined = other in left.adjacency[node]
        if joined != (other_image in right.adjacency[image]):
            return False
        if joined and left.edge_label(node, other) != right.edge_label(image, other_image):
            return False
    return True


def _connected_order(shape: Shape, colours: Mapping[str, str], first: Sequence[str]) -> list[str]:
    sizes = Counter(colours.values())
    order, left = list(first), sorted(set(shape.adjacency) - set(first))
    placed = set(order)
    while left:
        # Most constrained next: many placed neighbours, then a rare colour.
        best = min(left, key=lambda node: (-len(shape.adjacency[node] & placed), sizes[colours[node]], node))
        left.remove(best)
        placed.add(best)
        order.append(best)
    return order


def orbits(shape: Shape) -> list[list[str]]:
    """Classes of structurally interchangeable nodes, each sorted; the classes sorted by their first node.

    Exact: WL colours split what they can, then an automorphism is searched for every undecided pair.
    """
    colours = stable_colours(shape)
    found: list[list[str]] = []
    for node in sorted(shape.adjacency):
        home = next((orbit for orbit in found if _interchangeable(shape, colours, orbit[0], node)), None)
        if home is None:
            found.append([node])
        else:
            home.append(node)
    return found


def _interchangeable(shape: Shape, colours: Mapping[str, str], left: str, right: str) -> bool:
    if colours[left] != colours[right]:
        return False
    return _matched(shape, shape, colours, colours, {left: right}) is not None


@dataclass(frozen=True, slots=True)
class Classified:
    """An isomorphism class: its name, its first member, whether this call founded it, and the way to the first member.

    ``mapping``: this shape's nodes -> the first member's; None where the hash alone decided.
    """

    name: str
    representative: Shape
    new: bool
    mapping: Mapping[str, str] | None


class ShapeRegistry:
    """Isomorphism classes met so far: the hash finds the bucket, the exact test decides within it.

    ``exact=False`` takes the hash's word: WL-equivalent shapes are one class.
    """

    def __init__(self, *, exact: bool = True) -> None:
        self._exact = exact
        self._buckets: dict[str, list[tuple[Shape, dict[str, str]]]] = {}

    def classify(self, shape: Shape) -> Classified:
        """Find the shape's class, or found it."""
        colours = stable_colours(shape)
        digest = _hash_of(shape, colours)
        bucket = self._buckets.setdefault(digest, [])
        for index, (known, known_colours) in enumerate(bucket):
            if not self._exact:
                return Classified(digest, known, False, None)
            mapping = _matched(shape, known, colours, known_colours, {})
            if mapping is not None:
                return Classified(_class_name(digest, index), known, False, mapping)
        bucket.append((shape, colours))
        return Classified(_class_name(digest, len(bucket) - 1), shape, True, {node: node for node in shape.adjacency})


def _class_name(digest: str, index: int) -> str:
    return digest if index == 0 else f"{digest}-{index}"
