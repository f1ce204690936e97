"""What needs a view over all batches: near-duplicates, equal subgraphs, focus balance, the split.

Two forms are near-duplicates if their sets of grounded statements (facts and amounts under the intended solution, the
answer, the operation) have a Jaccard similarity of at least 0.7: found by MinHash (32 permutations in 16 bands of 2,
which meets such a pair with a chance of 0.99998), decided exactly. Two excerpts of a run are the same if they are
isomorphic with features; beside another run's or the other split's, if their WL hashes are equal. A pure state machine:
batches in order of their numbers give the same result always.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sindbad.questions.compact import CompactGraph, Ints
from sindbad.questions.excerpts import FocusCounter
from sindbad.questions.logic import TYPE
from sindbad.questions.making import Batch, Made
from sindbad.questions.question import Question
from sindbad.questions.sameness import Subgraphs
from sindbad.questions.synthesis import Rejected
from sindbad.questions.verification import Rejection

NEAR = 0.7
Mask = NDArray[np.bool_]
_OF_ANOTHER_RUN = -1
"""In place of a batch's number."""
_PERMUTATIONS, _ROWS = 32, 2
_PRIME = (1 << 61) - 1
_RNG = np.random.default_rng(20251122)
_FACTORS = [int(value) for value in _RNG.integers(1, _PRIME, _PERMUTATIONS)]
_OFFSETS = [int(value) for value in _RNG.integers(0, _PRIME, _PERMUTATIONS)]


class NearDuplicates:
    """Sets of statements met so far."""

    def __init__(self) -> None:
        self._bands: dict[tuple[int, ...], list[str]] = {}
        self._sets: dict[str, frozenset[str]] = {}

    def find(self, statements: frozenset[str]) -> str:
        """The name of a known set that is as good as equal; "" for none."""
        for band in _bands(statements):
            for name in self._bands.get(band, ()):
                known = self._sets[name]
                if len(known & statements) >= NEAR * len(known | statements):
                    return name
        return ""

    def add(self, name: str, statements: frozenset[str]) -> None:
        """Remember a set."""
        self._sets[name] = statements
        for band in _bands(statements):
            self._bands.setdefault(band, []).append(name)


def _bands(statements: Iterable[str]) -> list[tuple[int, ...]]:
    keys = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest()) for text in statements]
    rows = [
        min((factor * key + offset) % _PRIME for key in keys) for factor, offset in zip(_FACTORS, _OFFSETS, strict=True)
    ]
    return [(at, *rows[at : at + _ROWS]) for at in range(0, _PERMUTATIONS, _ROWS)]


def statements_of(question: Question) -> frozenset[str]:
    """What a question says and asks under its solution, direction of facts forgotten."""
    solution = dict(question.solution)
    said = set()
    for clue in question.clues:
        if clue.relation == TYPE or clue.relation.startswith("@initial"):
            continue
        ends = (solution.get(clue.subject, clue.subject), solution.get(clue.object, clue.object))
        if clue.relation.startswith("@between:"):
            said.add(f"{ends[0]} {clue.relation.rsplit(':', 1)[0]}")
        else:
            said.add(" ".join((clue.relation, *sorted(ends))))
    return frozenset((*said, f"answer {question.answer_id}", f"asks {question.operation} {question.attribute}"))


class Merger:
    """Takes batches in order; keeps what is new and, where they were looked up, what the tools bring up.

    Args:
        known: questions that are there already, of another run: what is like them is not new.
    """

    def __init__(self, wanted: int, known: Iterable[Question] = ()) -> None:
        self._wanted = wanted
        self._near, self._focus = NearDuplicates(), FocusCounter()
        self._subgraphs: dict[str, int] = {}
        self._met, self._names = Subgraphs(), dict[str, str]()
        self._texts = set[str]()
        self.kept: list[Made] = []
        self.rejected: list[Rejected] = []
        self.nodes: list[int] = []
        self.degrees: list[float] = []
        for question in known:
            self._remember([question], _OF_ANOTHER_RUN)
            self._subgraphs[self._met.know(question.subgraph_hash)] = _OF_ANOTHER_RUN

    @property
    def full(self) -> bool:
        """Whether there is as much as was wanted."""
        return len(self.kept) >= self._wanted

    def add(self, batch: Batch, beyond: Mapping[str, str] = MappingProxyType({})) -> int:
        """Merge one batch; the number of forms kept of it.

        Args:
            beyond: question id -> what the tools do not bring up; those within reach are left out.
        """
        before = len(self.kept)
        self._names.clear()  # a batch's own
        self.rejected += batch.rejected
        self.nodes += batch.nodes
        self.degrees += batch.degrees
        for made in map(self._renamed, batch.made):
            if self.full:
                break
            failed = self._failed(made, batch.number)
            if failed is not None:
                self.rejected.append(_rejected(made.questions[0], *failed))
            elif left := self._reached(made.questions, beyond):
                self._keep(replace(made, questions=left), batch.number)
        return len(self.kept) - before

    def _renamed(self, made: Made) -> Made:
        """With the name of its excerpt's class over all batches."""
        own = made.questions[0].subgraph_hash
        if own not in self._names:
            self._names[own], _ = self._met.name(own, made.picture)
        if self._names[own] == own:
            return made
        return replace(made, questions=tuple(replace(one, subgraph_hash=self._names[own]) for one in made.questions))

    def _reached(self, questions: tuple[Question, ...], beyond: Mapping[str, str]) -> tuple[Question, ...]:
        """A form stays in the languages in which all its clues are within reach."""
        for question in questions:
            if question.question_id in beyond:
                self.rejected.append(_rejected(question, Rejection.OUT_OF_REACH, beyond[question.question_id]))
        return tuple(question for question in questions if question.question_id not in beyond)

    def _failed(self, made: Made, number: int) -> tuple[Rejection, str] | None:
        first = made.questions[0]
        if self._subgraphs.get(first.subgraph_hash, number) != number:
            return Rejection.DUPLICATE, f"subgraph {first.subgraph_hash} is known from another batch"
        if any(question.text in self._texts for question in made.questions):
            return Rejection.DUPLICATE, "the same wording"
        twin = self._near.find(statements_of(first))
        if twin:
            return Rejection.NEAR_DUPLICATE, f"of {twin}"
        if not self._focus.may_take(first.topology, first.orbit, made.orbits):
            return Rejection.FOCUS_BALANCE, f"orbit {first.orbit} of {first.topology} had its share"
        return None

    def _keep(self, made: Made, number: int) -> None:
        self._remember(made.questions, number)
        self._focus.take(made.questions[0].topology, made.questions[0].orbit)
        self.kept.append(made)

    def _remember(self, questions: Sequence[Question], batch: int) -> None:
        """One form, in one language or several."""
        first = questions[0]
        self._subgraphs[first.subgraph_hash] = batch
        self._texts.update(question.text for question in questions)
        self._near.add(first.question_id, statements_of(first))


def _rejected(question: Question, reason: Rejection, detail: str) -> Rejected:
    return Rejected(
        reason, question.kind, question.clues, question.target, question.answer_id, question.world_id, question.text,
        detail,
    )  # fmt: skip


def test_region(graph: CompactGraph, share: float, seed: int) -> Ints:
    """Entities set aside for test questions, sorted: connected regions around random starts, hubs left to training.

    A question uses entities of one side only, so train and test share neither an entity nor a subgraph.
    """
    if share <= 0:
        return np.empty(0, np.int32)
    rng = np.random.default_rng(seed)
    degree = graph.degree
    hub = np.quantile(degree[degree > 0], 0.995) if (degree > 0).any() else 0
    free = (degree > 0) & (degree <= max(hub, 2))
    wanted = int(share * free.sum())
    chosen, count = np.zeros(len(graph), bool), 0
    for start in rng.permutation(np.flatnonzero(free)):
        if count >= wanted:
            break
        count += _grow(graph, int(start), free, chosen, min(wanted - count, max(200, wanted // 4)))
    return np.flatnonzero(chosen).astype(np.int32)


def _grow(graph: CompactGraph, start: int, free: Mask, chosen: Mask, most: int) -> int:
    """Breadth-first from ``start`` through free nodes; how many were added."""
    if chosen[start]:
        return 0
    chosen[start] = True
    queue, count = [start], 1
    for here in queue:
        for there in graph.skeleton.of_one(here).tolist():
            if count >= most:
                return count
            if free[there] and not chosen[there]:
                chosen[there] = True
                queue.append(there)
                count += 1
    return count


def shared_by(train: Iterable[Made], test: Iterable[Made]) -> list[str]:
    """Entities, subgraph nodes and subgraph hashes that both sides use, sorted; [] where the split holds."""
    sides = []
    for side in (train, test):
        used = set[str]()
        for made in side:
            used |= {*made.constants, *made.subgraph, f"hash {made.questions[0].subgraph_hash}"}
        sides.append(used)
    return sorted(sides[0] & sides[1])
