"""Named shapes and hypothesis strategies over small graphs."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from sindbad.graph.isomorphism import Shape


def shape(edges: Iterable[tuple[int, int]], nodes: int = 0) -> Shape:
    adjacency: dict[str, set[str]] = {str(node): set() for node in range(nodes)}
    for left, right in edges:
        adjacency.setdefault(str(left), set()).add(str(right))
        adjacency.setdefault(str(right), set()).add(str(left))
    return Shape({node: frozenset(around) for node, around in adjacency.items()})


def path(length: int) -> Shape:
    return shape((i, i + 1) for i in range(length - 1))


def star(nodes: int) -> Shape:
    return shape((0, i) for i in range(1, nodes))


def cycle(length: int) -> Shape:
    return shape((i, (i + 1) % length) for i in range(length))


TRIANGLE_WITH_TAIL = shape([(0, 1), (1, 2), (2, 0), (2, 3)])
TWO_TRIANGLES = shape([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)])


@st.composite
def small_shapes(draw: st.DrawFn, labelled: bool = True) -> Shape:
    size = draw(st.integers(2, 7))
    pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
    kept = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=12))
    bare = shape(kept, nodes=size)
    if not labelled:
        return bare
    nodes = {node: draw(st.sampled_from("pc")) for node in bare.adjacency}
    edges = {(str(a), str(b)): draw(st.sampled_from(["x>", "x<", "x<|x>", "y>"])) for a, b in kept}
    return Shape(bare.adjacency, nodes, edges)


def renamed(original: Shape, names: dict[str, str]) -> Shape:
    """The same shape with other node names; a pair that changes its order has its label turned round."""
    edges = {}
    for left, right in original.edge_labels:
        low, high = sorted((names[left], names[right]))
        back = {name: old for old, name in names.items()}
        edges[(low, high)] = original.edge_label(back[low], back[high])
    return Shape(
        {names[node]: frozenset(names[other] for other in around) for node, around in original.adjacency.items()},
        {names[node]: label for node, label in original.node_labels.items()},
        edges,
    )
