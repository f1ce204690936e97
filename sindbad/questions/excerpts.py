"""Excerpts: connected subgraphs of about 30 nodes and mean degree 2.5, from a compact graph (WebSailor-V2 §3, step 2).

A walk with restart collects the nodes; the edges that it used keep the excerpt connected, and further edges between its
nodes are added in random order up to the wanted mean degree, so that a dense graph gives excerpts with cycles but no
cliques. That is the shape ``free``. In a mix, a ``chain`` is a path that never meets itself, a ``cycle`` one ring with
trees on it, and ``dense`` looks for closed cycles at every step (the shapes of :mod:`sindbad.graph.walk`).

No two excerpts of one source are isomorphic (with types and relations as features). Orbits are exact, and numbered
by their WL colours, so that the numbering is the topology's own, in whatever process it is found.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sindbad.graph.isomorphism import Shape, orbits, stable_colours, wl_hash
from sindbad.graph.walk import Form
from sindbad.questions.compact import CompactGraph, Ints, meet
from sindbad.questions.sameness import Fact, Subgraphs, edge_labels, picture


class ExcerptConfig(BaseModel):
    """How excerpts are drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_nodes: int = Field(default=20, ge=2)
    """Smallest excerpt."""
    max_nodes: int = Field(default=40, ge=2)
    """Largest excerpt; the paper's average is about 30."""
    mean_degree: float = Field(default=2.5, ge=0.0)
    """Edges between the nodes are added up to this mean degree, where there are as many."""
    restart: float = Field(default=0.15, ge=0.0, lt=1.0)
    """Chance of jumping back to a node met before: higher gives denser, lower gives longer excerpts."""
    closing: float = Field(default=0.8, ge=0.0, le=1.0)
    """Chance that a step looks for a neighbour with two links to what was met, while the degree is too low."""
    max_steps: int = Field(default=600, ge=1)
    """A walk that has not met its size by then is given up."""
    shapes: dict[Form, float] = {"free": 1.0}
    """Weights of the shapes: free, chain, cycle, dense. Chains and cycles keep the edges of their shape only."""

    @model_validator(mode="after")
    def _ordered(self) -> ExcerptConfig:
        if self.min_nodes > self.max_nodes:
            raise ValueError("min_nodes must not exceed max_nodes")
        if not any(self.shapes.values()) or min(self.shapes.values()) < 0:
            raise ValueError("shapes need weights of which none is negative and one is above zero")
        return self


_LOOKED_AT, _LARGE, _DENSER = 16, 500, 1.5
"""Neighbours that a step compares; more than this many ties are not counted; how much denser a dense excerpt may be."""
Pair = tuple[int, int]
"""Two joined nodes, the smaller one first."""


@dataclass(slots=True)
class Excerpt:
    """One connected subgraph.

    Attributes:
        nodes: entities, sorted. ``facts``: what is kept of the edges between them, ``around`` its skeleton.
        joined: who is joined to whom of the nodes in the whole graph, kept or not; None until
            :func:`sindbad.questions.cuts.joined` is asked.
        subgraph_hash: WL hash with features, made unique among what is not isomorphic. ``picture``: see
            :mod:`sindbad.questions.sameness`; "" where hashes decide. ``topology``: WL hash of the bare skeleton.
        orbit_of: node -> orbit. form: how it was drawn.
    """

    nodes: tuple[int, ...]
    facts: tuple[Fact, ...]
    around: dict[int, set[int]]
    touching: dict[int, list[Fact]] = field(default_factory=dict)
    subgraph_hash: str = ""
    picture: str = ""
    topology: str = ""
    orbit_of: dict[int, int] = field(default_factory=dict)
    form: Form = "free"
    joined: dict[int, set[int]] | None = None

    @property
    def degree(self) -> float:
        """Mean degree of the skeleton."""
        return sum(len(near) for near in self.around.values()) / len(self.nodes)


class Source(Protocol):
    """Anything that draws excerpts."""

    def draw(self, rng: random.Random) -> Excerpt | None: ...


@dataclass(slots=True)
class _Walked:
    """Nodes in the order in which they were met, the edges that were used, and whence each node was met."""

    order: list[int]
    used: set[Pair] = field(default_factory=set)
    parent: dict[int, int] = field(default_factory=dict)

    @property
    def tree(self) -> set[Pair]:
        """The edges by which nodes were met: they connect everything and close nothing."""
        return {(min(child, near), max(child, near)) for child, near in self.parent.items()}

    def apart(self, pair: Pair) -> int:
        """Steps between two nodes along the tree."""
        above = [self._above(node) for node in pair]
        shared = set(above[0]) & set(above[1])
        return sum(next(steps for steps, node in enumerate(way) if node in shared) for way in above)

    def _above(self, node: int) -> list[int]:
        way = [node]
        while way[-1] in self.parent:
            way.append(self.parent[way[-1]])
        return way


class ExcerptSource:
    """Draws excerpts; the same seed gives the same ones. ``allowed``: (N,) who may be in one."""

    def __init__(self, graph: CompactGraph, config: ExcerptConfig, allowed: NDArray[np.bool_] | None = None) -> None:
        self._graph, self._config = graph, config
        degree = graph.degree > 0
        self._allowed = allowed
        self._starts = np.flatnonzero(degree if allowed is None else degree & allowed)
        self._met = Subgraphs()
        self._forms: list[tuple[Form, float]] = [(form, weight) for form, weight in config.shapes.items() if weight > 0]

    def draw(self, rng: random.Random) -> Excerpt | None:
        """A fresh excerpt, or None where the walk got stuck or met one that is known."""
        if not len(self._starts):
            return None
        size = rng.randint(self._config.min_nodes, self._config.max_nodes)
        form = self._form(rng)
        walked = self._walk(int(self._starts[rng.randrange(len(self._starts))]), size, form, rng)
        pairs = None if walked is None else self._pairs(walked, form, rng)
        if walked is None or pairs is None:
            return None
        made = self._excerpt(sorted(walked.order), pairs, form)
        made.subgraph_hash, new = self._met.name(made.subgraph_hash, made.picture)
        return made if new else None

    def _form(self, rng: random.Random) -> Form:
        if len(self._forms) == 1:
            return self._forms[0][0]
        forms, weights = zip(*self._forms, strict=True)
        chosen: Form = rng.choices(forms, weights)[0]
        return chosen

    def _walk(self, start: int, size: int, form: Form, rng: random.Random) -> _Walked | None:
        met, walked = {start}, _Walked([start])
        here, links = start, 0
        skeleton, allowed = self._graph.skeleton, self._allowed
        restart = 0.0 if form in ("chain", "cycle") else self._config.restart
        for _ in range(self._config.max_steps):
            if len(met) == size:
                return walked
            if rng.random() < restart:
                here = walked.order[rng.randrange(len(met))]
            near = skeleton.of_one(here)
            if form == "chain":  # never where it was
                near = near[[int(other) not in met for other in near]]
            if not len(near):
                return None
            sparse = 2 * links < self._config.mean_degree * len(met)
            closes = form == "dense" or (form == "free" and sparse)
            there = self._step(near, met, rng) if closes else int(near[rng.randrange(len(near))])
            if allowed is not None and not allowed[there]:
                continue
            walked.used.add((min(here, there), max(here, there)))
            if there not in met:
                links += len(met.intersection(skeleton.of_one(there)[:_LARGE].tolist()))
                met.add(there)
                walked.order.append(there)
                walked.parent[there] = here
            here = there
        return None

    def _pairs(self, walked: _Walked, form: Form, rng: random.Random) -> set[Pair] | None:
        """The edges of the excerpt; None where the walk has no edge that closes a ring, and one was wanted."""
        if form == "chain":
            return walked.used
        nodes = sorted(walked.order)
        inside, skeleton = np.array(nodes, np.int32), self._graph.skeleton
        kept = walked.tree if form == "cycle" else walked.used
        others = [
            (node, int(other))
            for node in nodes
            for other in meet(skeleton.of_one(node), inside)
            if node < other and (node, int(other)) not in kept
        ]
        if form == "cycle":
            ring = min(others, key=lambda pair: (-walked.apart(pair), pair), default=None)
            return None if ring is None else kept | {ring}
        rng.shuffle(others)
        degree = self._config.mean_degree * (_DENSER if form == "dense" else 1.0)
        return kept | set(others[: max(0, round(len(nodes) * degree / 2) - len(kept))])

    def _step(self, near: Ints, met: set[int], rng: random.Random) -> int:
        """A random neighbour, or the first of some that closes a cycle."""
        if rng.random() < self._config.closing:
            looked_at = near.tolist() if len(near) <= _LOOKED_AT else rng.sample(near.tolist(), _LOOKED_AT)
            rng.shuffle(looked_at)
            for there in map(int, looked_at):
                around = self._graph.skeleton.of_one(there)
                if there not in met and len(around) < _LARGE and len(met.intersection(around.tolist())) > 1:
                    return there
        return int(near[rng.randrange(len(near))])

    def _excerpt(self, nodes: list[int], pairs: set[Pair], form: Form) -> Excerpt:
        around: dict[int, set[int]] = {node: set() for node in nodes}
        for left, right in pairs:
            around[left].add(right)
            around[right].add(left)
        facts = tuple(self._facts(nodes, pairs))
        made = Excerpt(tuple(nodes), facts, around, {node: [] for node in nodes}, form=form)
        for fact in facts:
            made.touching[fact[0]].append(fact)
            made.touching[fact[2]].append(fact)
        self._name(made)
        return made

    def _facts(self, nodes: list[int], pairs: set[Pair]) -> list[Fact]:
        starts, relations, objects = self._graph.out
        found = []
        for node in nodes:
            first, last = int(starts[node]), int(starts[node + 1])
            for at, other in enumerate(objects[first:last].tolist(), first):
                if (node, other) in pairs or (other, node) in pairs:
                    found.append((node, int(relations[at]), other))
        return found

    def _name(self, made: Excerpt) -> None:
        shape = Shape(
            {str(node): frozenset(map(str, near)) for node, near in made.around.items()},
            {str(node): self._graph.type_name(node) for node in made.nodes},
            edge_labels(made.facts),
        )
        made.subgraph_hash = wl_hash(shape, rounds=4)
        made.picture = picture(made.nodes, self._graph.type_of[list(made.nodes)].tolist(), made.facts)
        bare = shape.bare()
        colours = stable_colours(bare)
        edges = sum(len(near) for near in made.around.values())
        text = f"{len(made.nodes)};{edges};" + ",".join(sorted(colours.values()))
        made.topology = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        classes = sorted(orbits(bare), key=lambda orbit: (colours[orbit[0]], orbit[0]))
        made.orbit_of = {int(node): number for number, orbit in enumerate(classes) for node in orbit}


class FocusCounter:
    """How often each orbit of each topology has been asked about; the next focus comes from those with the fewest."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = {}

    def open_nodes(self, excerpt: Excerpt) -> list[int]:
        """Nodes of the orbits that have had the fewest questions."""
        counts = self._counts.get(excerpt.topology, Counter())
        fewest = min(counts[orbit] for orbit in excerpt.orbit_of.values())
        return [node for node in excerpt.nodes if counts[excerpt.orbit_of[node]] == fewest]

    def may_take(self, topology: str, orbit: int, orbits_in_all: int) -> bool:
        """Whether one more keeps the counts within one of each other."""
        counts = self._counts.get(topology, Counter())
        return counts[orbit] == min(counts[number] for number in range(orbits_in_all))

    def take(self, topology: str, orbit: int) -> None:
        """Count a question."""
        self._counts.setdefault(topology, Counter())[orbit] += 1
