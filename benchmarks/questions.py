"""Verified questions a minute, beside the same pipeline on networkx.

    python -m benchmarks.questions [--quick] [--json FILE] [--graph DIR] [--workers N]

The graph is made for the purpose, 100,000 edges (films, people, cities, genres; names in two languages, every edge with
its sentences), stored and opened like any other; ``--graph`` takes another. ``verified_questions_per_minute`` counts
*logical forms* that passed every check and were worded in every language they can be, over the wall time of a run of
``sindbad questions make`` from the moment that the workers have the graph until the merged result is there.

The peer does the same job with networkx alone: random walks, WL hashes with features and orbits by WL on
``networkx.Graph``, and uniqueness by backtracking over ``networkx.MultiDiGraph``: next comes the clue with the least to
try, by degrees and by sizes of sets, and only its options are listed. A second peer has a dictionary by node and
relation beside the graph. Forms, wording and evidence are the same code in all three. They run in one process, in
turns, and the ratios are of processor time.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from benchmarks.figures import Figure, machine, parser, publish, ratio
from benchmarks.questions_graph import film_graph
from sindbad.graph.knowledge import GraphView
from sindbad.graph.store_write import save_graph
from sindbad.questions.compact import CompactGraph, Ints, compact
from sindbad.questions.excerpts import Excerpt, ExcerptConfig
from sindbad.questions.factory import Order, open_any, run
from sindbad.questions.logic import is_attribute, is_variable
from sindbad.questions.making import Maker, MakingConfig
from sindbad.questions.publishing import summarise
from sindbad.questions.question import Clue
from sindbad.questions.solver import Solver, TooCostly

_STEPS = 5_000
"""The peers give a candidate up after so many, as ours does by its budget. Fastest of 1,000, 5,000 and 20,000."""


class NetworkxVerifier:
    """Uniqueness by backtracking over a ``MultiDiGraph``; amounts and initials as sets of nodes, as ours has them."""

    def __init__(self, graph: nx.MultiDiGraph, numbers: CompactGraph, literals: Solver) -> None:
        self._graph, self._numbers, self._literals = graph, numbers, literals
        self._edges = graph.number_of_edges()
        self._steps = 0

    def allowed(self, clue: Clue) -> Ints:
        return self._literals.allowed(clue)

    def answers(self, clues: Sequence[Clue], target: str, *, limit: int = 0) -> list[int]:
        found = set[int]()
        for binding in self._solutions(clues):
            found.add(binding[target])
            if limit and len(found) > limit:
                break
        return sorted(found)

    def is_unique(self, clues: Sequence[Clue], target: str, answer: int) -> tuple[bool, int]:
        found = self.answers(clues, target, limit=1)
        return found == [answer], len(found)

    def domains(self, clues: Sequence[Clue]) -> dict[str, Ints] | None:
        values: dict[str, set[int]] = {}
        for binding in self._solutions(clues):
            for variable, entity in binding.items():
                values.setdefault(variable, set()).add(entity)
        return {name: np.array(sorted(some), np.int32) for name, some in values.items()} or None

    def _solutions(self, clues: Sequence[Clue]) -> Iterator[dict[str, int]]:
        self._steps = 0
        sets: dict[str, set[int]] = {}
        for clue in clues:
            if is_attribute(clue):
                allowed = set(self.allowed(clue).tolist())
                sets[clue.subject] = sets[clue.subject] & allowed if clue.subject in sets else allowed
        facts = [clue for clue in clues if not is_attribute(clue)]
        yield from self._extend(facts, sets, {})

    def _extend(
        self, left: list[Clue], sets: Mapping[str, set[int]], known: dict[str, int]
    ) -> Iterator[dict[str, int]]:
        self._steps += 1
        if self._steps > _STEPS:
            raise TooCostly
        if not left:
            yield from self._free(sets, known)
            return
        at = min(range(len(left)), key=lambda index: self._size(left[index], sets, known))
        clue, rest = left[at], [*left[:at], *left[at + 1 :]]
        for subject, object_ in self._options(clue, sets, known):
            ends = {clue.subject: subject, clue.object: object_}
            bound = {end: value for end, value in ends.items() if is_variable(end)}
            if all(value in sets.get(end, (value,)) for end, value in bound.items()):
                yield from self._extend(rest, sets, {**known, **bound})

    def _free(self, sets: Mapping[str, set[int]], known: dict[str, int]) -> Iterator[dict[str, int]]:
        """Variables of which only amounts are said."""
        loose = [name for name in sets if is_variable(name) and name not in known]
        if not loose:
            yield known
            return
        for value in sorted(sets[loose[0]]):
            yield from self._free(sets, {**known, loose[0]: value})

    def _size(self, clue: Clue, sets: Mapping[str, set[int]], known: Mapping[str, int]) -> int:
        """How much there is to try at most; nothing is listed for it."""
        subject, object_ = self._value(clue.subject, known), self._value(clue.object, known)
        if subject is not None:
            return 0 if object_ is not None else self.out_degree(subject, clue.relation)
        if object_ is not None:
            return self.in_degree(object_, clue.relation)
        return min(len(sets[end]) if end in sets else self._edges for end in (clue.subject, clue.object))

    def _options(self, clue: Clue, sets: Mapping[str, set[int]], known: Mapping[str, int]) -> Iterable[tuple[int, int]]:
        subject, object_ = self._value(clue.subject, known), self._value(clue.object, known)
        relation = clue.relation
        if subject is not None and object_ is not None:
            return [(subject, object_)] if self._graph.has_edge(subject, object_, relation) else []
        if subject is not None:
            return ((subject, end) for end in self.objects(subject, relation))
        if object_ is not None:
            return ((start, object_) for start in self.subjects(object_, relation))
        starts, ends = sets.get(clue.subject), sets.get(clue.object)
        if ends is not None and (starts is None or len(ends) < len(starts)):
            return ((start, end) for end in ends for start in self.subjects(end, relation))
        some = self._graph if starts is None else starts
        return ((start, end) for start in some for end in self.objects(start, relation))

    def out_degree(self, node: int, relation: str) -> int:
        """An upper bound of how many objects a subject has."""
        return int(self._graph.out_degree(node))

    def in_degree(self, node: int, relation: str) -> int:
        """An upper bound of how many subjects an object has."""
        return int(self._graph.in_degree(node))

    def objects(self, node: int, relation: str) -> Iterable[int]:
        """Where a subject's edges of a relation lead."""
        return [end for _, end, key in self._graph.out_edges(node, keys=True) if key == relation]

    def subjects(self, node: int, relation: str) -> Iterable[int]:
        """Where an object's edges of a relation come from."""
        return [start for start, _, key in self._graph.in_edges(node, keys=True) if key == relation]

    def _value(self, term: str, known: Mapping[str, int]) -> int | None:
        return known.get(term) if is_variable(term) else self._numbers.number[term]


class IndexedVerifier(NetworkxVerifier):
    """The same, with a dictionary by node and relation beside the graph: what networkx itself doesn't offer."""

    def __init__(self, graph: nx.MultiDiGraph, numbers: CompactGraph, literals: Solver) -> None:
        super().__init__(graph, numbers, literals)
        self._objects, self._subjects = defaultdict[Any, list[int]](list), defaultdict[Any, list[int]](list)
        for start, end, relation in graph.edges(keys=True):
            self._objects[start, relation].append(end)
            self._subjects[end, relation].append(start)

    def out_degree(self, node: int, relation: str) -> int:
        return len(self.objects(node, relation))

    def in_degree(self, node: int, relation: str) -> int:
        return len(self.subjects(node, relation))

    def objects(self, node: int, relation: str) -> Sequence[int]:
        return self._objects.get((node, relation), ())

    def subjects(self, node: int, relation: str) -> Sequence[int]:
        return self._subjects.get((node, relation), ())


class NetworkxSource:
    """Excerpts by a walk over a ``networkx.Graph``, hashed and divided into orbits by networkx's own WL."""

    def __init__(self, graph: nx.Graph, facts: nx.MultiDiGraph, numbers: CompactGraph, config: ExcerptConfig) -> None:
        self._graph, self._facts, self._numbers, self._config = graph, facts, numbers, config
        self._starts = [node for node, degree in graph.degree() if degree]
        self._met = set[str]()

    def draw(self, rng: random.Random) -> Excerpt | None:
        size = rng.randint(self._config.min_nodes, self._config.max_nodes)
        here = self._starts[rng.randrange(len(self._starts))]
        order, used = [here], set[tuple[int, int]]()
        for _ in range(self._config.max_steps):
            if len(order) == size:
                return self._excerpt(sorted(order), used, rng)
            if rng.random() < self._config.restart:
                here = order[rng.randrange(len(order))]
            there = rng.choice(list(self._graph.neighbors(here)))
            used.add((min(here, there), max(here, there)))
            if there not in order:
                order.append(there)
            here = there
        return None

    def _excerpt(self, nodes: list[int], used: set[tuple[int, int]], rng: random.Random) -> Excerpt | None:
        inside = self._graph.subgraph(nodes)
        others = [pair for pair in ((min(a, b), max(a, b)) for a, b in inside.edges()) if pair not in used]
        rng.shuffle(others)
        pairs = used | set(others[: max(0, round(len(nodes) * self._config.mean_degree / 2) - len(used))])
        bare = nx.Graph(pairs)
        relations = {name: at for at, name in enumerate(self._numbers.relation_names)}
        facts = tuple(
            (start, relations[key], end)
            for start, end, key in self._facts.subgraph(nodes).edges(keys=True)
            if (min(start, end), max(start, end)) in pairs
        )
        for node in bare:
            bare.nodes[node]["kind"] = self._numbers.type_name(node)
        for start, relation, end in facts:
            bare.edges[start, end]["facts"] = bare.edges[start, end].get("facts", "") + f"{relation}"
        name = nx.weisfeiler_lehman_graph_hash(bare, edge_attr="facts", node_attr="kind", iterations=4)
        if name in self._met:
            return None
        self._met.add(name)
        colours = nx.weisfeiler_lehman_subgraph_hashes(bare, iterations=6)
        ranks = {colour: at for at, colour in enumerate(sorted({some[-1] for some in colours.values()}))}
        made = Excerpt(tuple(nodes), facts, {node: set(bare[node]) for node in nodes}, {node: [] for node in nodes})
        for fact in facts:
            made.touching[fact[0]].append(fact)
            made.touching[fact[2]].append(fact)
        made.subgraph_hash, made.topology = name, nx.weisfeiler_lehman_graph_hash(bare, iterations=4)
        made.orbit_of = {node: ranks[some[-1]] for node, some in colours.items()}
        return made


def multigraph(numbers: CompactGraph) -> nx.MultiDiGraph:
    """The facts, with the relation as each edge's key."""
    facts = nx.MultiDiGraph()
    facts.add_nodes_from(range(len(numbers)))
    for relation, side in numbers.forward.items():
        starts = np.repeat(side.keys, np.diff(side.starts)).tolist()
        facts.add_edges_from((a, b, relation) for a, b in zip(starts, side.values.tolist(), strict=True))
    return facts


def networkx_makers(graph: GraphView, numbers: CompactGraph, config: MakingConfig) -> dict[str, Maker]:
    """The peers: our forms, wording and evidence over networkx's graph algorithms."""
    facts = multigraph(numbers)
    bare = nx.Graph((a, b) for a, b in facts.edges() if a != b)
    verifiers = {"networkx": NetworkxVerifier, "networkx_indexed": IndexedVerifier}
    return {
        name: Maker(
            graph, numbers, config, 1, solver=verifier(facts, numbers, Solver(numbers)),
            source=lambda _: NetworkxSource(bare, facts, numbers, config.excerpt),
        )
        for name, verifier in verifiers.items()
    }  # fmt: skip


def in_turns(makers: Mapping[str, Maker], forms: Mapping[str, int], turns: int) -> dict[str, tuple[int, float]]:
    """Maker -> (forms made, processor seconds), a batch each in turn, after one that isn't counted (tables, caches)."""
    done = dict.fromkeys(makers, (0, 0.0))
    for maker in makers.values():
        maker.batch(turns, 10)
    for turn in range(turns):
        for name, maker in makers.items():
            started = time.process_time()
            made = len(maker.batch(turn, forms[name]).made)
            spent = time.process_time() - started
            done[name] = (done[name][0] + made, done[name][1] + spent)
    return done


def throughput(folder: Path, out: Path, count: int, workers: int) -> dict[str, Any]:
    """A whole run. ``steady``: forms a minute from the first merged batch on; ``whole``: seconds with start-up."""
    clock = [time.monotonic()]
    shown: list[tuple[int, float]] = []

    def progress(split: str, kept: int, wanted: int) -> None:
        shown.append((kept, time.monotonic()))

    order = Order(folder, out, count, MakingConfig(), seed=1, test_share=0.0, workers=workers)
    outcome = run(order, stop=lambda: False, progress=progress)
    whole = time.monotonic() - clock[0]
    (first, begun), (last, ended) = shown[0], shown[-1]
    steady = (last - first) / (ended - begun) * 60 if ended > begun else 0.0
    return {"outcome": outcome, "whole": whole, "steady": steady, "forms": last}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--graph", type=Path, help="a graph folder instead of the generated one")
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    quick: bool = given.quick
    figures: dict[str, Figure] = dict(machine())
    with tempfile.TemporaryDirectory(prefix="sindbad-questions-") as room:
        folder = given.graph or Path(room) / "graph"
        if given.graph is None:
            save_graph(film_graph(2_000 if quick else 15_000), folder)
        graph = open_any(folder)
        started = time.process_time()
        numbers = compact(graph)
        figures |= {"entities": len(numbers), "edges": numbers.edges, "open_cpu_seconds": time.process_time() - started}
        config = MakingConfig()
        makers = {"ours": Maker(graph, numbers, config, 1), **networkx_makers(graph, numbers, config)}
        turns = in_turns(makers, dict.fromkeys(makers, 40), 2 if quick else 6)
        rates = {name: ratio(60 * forms, spent) for name, (forms, spent) in turns.items()}
        whole = throughput(folder, Path(room) / "made", 300 if quick else 4_000, given.workers)
        figures |= _figures(whole, rates, given.workers)
    publish(figures, quick=quick, file=given.json)


def _figures(whole: Mapping[str, Any], rates: Mapping[str, float], workers: int) -> dict[str, Figure]:
    summary = summarise(whole["outcome"])
    return {
        "workers": workers,
        "verified_questions_per_minute": whole["steady"],
        "with_start_up_per_minute": 60 * whole["forms"] / whole["whole"],
        "questions_in_all_languages": summary["questions"],
        "forms": summary["forms"],
        "rejected_candidates": sum(summary["rejected"].values()),
        "mean_subgraph_nodes": summary["mean_subgraph_nodes"],
        "mean_subgraph_degree": summary["mean_subgraph_degree"],
        "mean_difficulty": summary["mean_difficulty"],
        "ours_per_cpu_minute": rates["ours"],
        "networkx_per_cpu_minute": rates["networkx"],
        "networkx_indexed_per_cpu_minute": rates["networkx_indexed"],
        "ours_over_networkx_ratio": ratio(rates["ours"], rates["networkx"]),
        "ours_over_networkx_indexed_ratio": ratio(rates["ours"], rates["networkx_indexed"]),
    }


if __name__ == "__main__":
    main()
