"""What has to be crossed between two nodes of an excerpt, with every fact between its nodes, kept or left out.

Who reads the pages of an excerpt's nodes reads all facts between them; a way around that the excerpt had left out of a
dense graph would be there for the reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from itertools import pairwise

import numpy as np

from sindbad.questions.compact import CompactGraph, meet
from sindbad.questions.excerpts import Excerpt

Around = Mapping[int, Set[int]]
"""Node -> its neighbours."""


def joined(excerpt: Excerpt, graph: CompactGraph) -> Around:
    """The induced subgraph's skeleton, read once an excerpt."""
    if excerpt.joined is None:
        inside, skeleton = np.array(excerpt.nodes, np.int32), graph.skeleton
        excerpt.joined = {node: set(meet(skeleton.of_one(node), inside).tolist()) for node in excerpt.nodes}
    return excerpt.joined


def cut_between(around: Around, focus: int, anchor: int) -> tuple[int, ...]:
    """A cut vertex, or a bridge's two ends, between focus and anchor; () where two disjoint ways lead there.

    Only what lies on one shortest way can be one. The bridge that is the whole way says nothing about structure.
    """
    way = _way(around, focus, anchor)
    for node in way[1:-1]:
        if not _reaches(around, focus, anchor, without=node):
            return (node,)
    if len(way) > 2:
        for left, right in pairwise(way):
            if not _reaches(around, focus, anchor, cut=(left, right)):
                return (left, right)
    return ()


def _reaches(
    around: Around, start: int, goal: int, *, without: int | None = None, cut: tuple[int, int] | None = None
) -> bool:
    """Breadth-first search, leaving out a node or an edge."""
    seen, queue = {start}, [start]
    while queue:
        here = queue.pop()
        for there in around[here]:
            if there == without or (cut is not None and {here, there} == set(cut)) or there in seen:
                continue
            if there == goal:
                return True
            seen.add(there)
            queue.append(there)
    return start == goal


def _way(around: Around, start: int, goal: int) -> list[int]:
    """A shortest way, both ends included; [] for none."""
    came = {start: start}
    queue = [start]
    for here in queue:
        for there in sorted(around[here]):
            if there not in came:
                came[there] = here
                queue.append(there)
    if goal not in came:
        return []
    way = [goal]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]
