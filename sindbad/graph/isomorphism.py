"""When are two subgraphs the same? Weisfeiler-Leman hash first, exact test within a bucket (papers.md tests 11, 12).

The hash is permutation invariant. 1-dimensional WL cannot tell some regular graphs apart (two triangles from a
hexagon): under the hash alone these count as duplicates, and ``isomorphic`` settles them exactly. Orbits are exact
too: two nodes share one if some automorphism carries one to the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import networkx as nx
from networkx.algorithms.isomorphism import GraphMatcher


@dataclass(frozen=True, slots=True)
class Shape:
    """A small labelled graph.

    Attributes:
        adjacency: node -> neighbours; symmetric, no self-loops.
        node_labels: node -> label; absent nodes have the label "".
        edge_labels: (a, b) with a < b -> label (for a subgraph: its relations with their directions).
    """

    adjacency: Mapping[str, frozenset[str]]
    node_labels: Mapping[str, str] = field(default_factory=dict)
    edge_labels: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def bare(self) -> Shape:
        """The topology alone."""
        return Shape(self.adjacency)

    def edge_label(self, left: str, right: str) -> str:
        """The label as seen from ``left``: "<" and ">" are swapped when the stored pair is the other way round."""
        if left <= right:
            return self.edge_labels.get((left, right), "")
        return _mirrored(self.edge_labels.get((right, left), ""))


def _mirrored(label: str) -> str:
    swapped = (part[:-1] + {">": "<", "<": ">"}[part[-1]] if part else part for part in label.split("|"))
    return "|".join(sorted(swapped))


def wl_hash(shape: Shape, *, rounds: int | None = None) -> str:
    """Hex digest that is equal for isomorphic shapes, whatever their nodes are called.

    Args:
        rounds: refinement rounds; by default as many as it takes to stabilise (at most the number of nodes).
    """
    colours = {node: _digest(shape.node_labels.get(node, "")) for node in shape.adjacency}
    classes = len(set(colours.values()))
    for _ in range(len(colours) if rounds is None else rounds):
        colours = {node: _refined(shape, colours, node) for node in shape.adjacency}
        if rounds is None and len(set(colours.values())) == classes:
            break
        classes = len(set(colours.values()))
    edges = sum(len(around) for around in shape.adjacency.values()) // 2
    return _digest(f"{len(colours)};{edges};" + ",".join(sorted(colours.values())))


def _refined(shape: Shape, colours: Mapping[str, str], node: str) -> str:
    around = sorted(shape.edge_label(node, other) + ":" + colours[other] for other in shape.adjacency[node])
    return _digest(colours[node] + "(" + ",".join(around) + ")")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=12).hexdigest()


def isomorphic(left: Shape, right: Shape) -> dict[str, str] | None:
    """A mapping of ``left``'s nodes onto ``right``'s that keeps edges and labels; None if there is none."""
    matcher = GraphMatcher(_directed(left), _directed(right), _same_label, _same_label)
    if not matcher.is_isomorphic():
        return None
    # Strings are ours, "mid" nodes (tuples) stand for labelled edges.
    return {a: b for a, b in matcher.mapping.items() if isinstance(a, str)}


def _same_label(left: Mapping[str, Hashable], right: Mapping[str, Hashable]) -> bool:
    return left.get("label") == right.get("label")


def _directed(shape: Shape) -> nx.Graph:
    """An undirected networkx graph in which a labelled edge's direction survives: each end is hung on a half-edge."""
    graph = nx.Graph()
    for node in sorted(shape.adjacency):
        graph.add_node(node, label=shape.node_labels.get(node, ""))
    for left in sorted(shape.adjacency):
        for right in sorted(shape.adjacency[left]):
            if left < right:
                _add_edge(graph, shape, left, right)
    return graph


def _add_edge(graph: nx.Graph, shape: Shape, left: str, right: str) -> None:
    forward, backward = shape.edge_label(left, right), shape.edge_label(right, left)
    if forward == backward:
        graph.add_edge(left, right, label=forward)
        return
    graph.add_node((left, right), label="half-edge")
    graph.add_edge(left, (left, right), label=forward)
    graph.add_edge((left, right), right, label=backward)


def orbits(shape: Shape) -> list[list[str]]:
    """Classes of structurally interchangeable nodes, each sorted; the classes sorted by their first node.

    Exact: WL colours split what they can, then an automorphism is searched for each undecided pair.
    """
    found: list[list[str]] = []
    for node in sorted(shape.adjacency):
        home = next((orbit for orbit in found if _interchangeable(shape, orbit[0], node)), None)
        if home is None:
            found.append([node])
        else:
            home.append(node)
    return found


def _interchangeable(shape: Shape, left: str, right: str) -> bool:
    if len(shape.adjacency[left]) != len(shape.adjacency[right]):
        return False
    marked_left, marked_right = (_marked(shape, node) for node in (left, right))
    if wl_hash(marked_left) != wl_hash(marked_right):
        return False
    return isomorphic(marked_left, marked_right) is not None


def _marked(shape: Shape, node: str) -> Shape:
    labels = {**shape.node_labels, node: shape.node_labels.get(node, "") + "*"}
    return Shape(shape.adjacency, labels, shape.edge_labels)


class ShapeRegistry:
    """Isomorphism classes met so far: the hash finds the bucket, the exact test decides within it.

    ``exact=False`` takes the hash's word: WL-equivalent shapes are one class.
    """

    def __init__(self, *, exact: bool = True) -> None:
        self._exact = exact
        self._buckets: dict[str, list[Shape]] = {}

    def classify(self, shape: Shape) -> tuple[str, Shape, bool]:
        """(class name, its representative, whether it is new)."""
        digest = wl_hash(shape)
        bucket = self._buckets.setdefault(digest, [])
        for index, known in enumerate(bucket):
            if not self._exact or isomorphic(known, shape) is not None:
                return _class_name(digest, index), known, False
        bucket.append(shape)
        return _class_name(digest, len(bucket) - 1), shape, True


def _class_name(digest: str, index: int) -> str:
    return digest if index == 0 else f"{digest}-{index}"
