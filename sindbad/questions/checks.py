"""What a logical form has to pass before it is worded: each check says ok, or the reason and what exactly was wrong.

The answer is the only one in the whole graph (of counts and superlatives: exactly the members fit, and what they hang
on is determined); every unknown hangs together with something named or measured; no clue repeats another, and no
single clue gives the answer away where several are stated. Difficulty is :func:`Checks.difficulty`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sindbad.questions.compact import CompactGraph
from sindbad.questions.cuts import cut_between, joined
from sindbad.questions.excerpts import Excerpt
from sindbad.questions.forms import LogicalForm, variables_of
from sindbad.questions.logic import is_attribute, is_variable
from sindbad.questions.question import Clue
from sindbad.questions.solver import TooCostly, Verifier
from sindbad.questions.verification import Rejection

DISTRACTOR_BITS = 1.0
"""A false statement has to be checked like a clue."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a candidate was not kept."""

    reason: Rejection
    detail: str = ""


class Checks:
    """Checks forms against one graph."""

    def __init__(self, graph: CompactGraph, solver: Verifier) -> None:
        self._graph, self._solver = graph, solver

    def failure(self, form: LogicalForm) -> Failure | None:
        """The first thing that is wrong, cheap checks first; None where nothing is."""
        try:
            return self._repeated(form) or self._connected(form) or self._given_away(form) or self._unique(form)
        except TooCostly:
            return Failure(Rejection.TOO_COSTLY, "the solver's budget ran out")

    def _repeated(self, form: LogicalForm) -> Failure | None:
        seen = set[tuple[str, ...]]()
        for clue in form.clues:
            key = (clue.relation, *sorted((clue.subject, clue.object)))
            if key in seen:
                return Failure(Rejection.REDUNDANT_CLUE, f"{clue.relation} is stated twice")
            seen.add(key)
        return None

    def _connected(self, form: LogicalForm) -> Failure | None:
        """Every variable's part of the clues holds an operand and something to start from."""
        parts: dict[str, set[str]] = {}
        for clue in form.clues:
            ends = {clue.subject, f"@{clue.relation}{clue.object}" if is_attribute(clue) else clue.object}
            merged = set().union(ends, *(part for part in parts.values() if part & ends))
            parts.update(dict.fromkeys(merged, merged))
        for variable in variables_of(form.clues):
            part = parts[variable]
            started = any(not is_variable(end) and not end.startswith("@@type") for end in part)
            if not started or not part & set(form.operands):
                return Failure(Rejection.UNREACHABLE, f"{variable} hangs in the air")
        return None if all(operand in parts for operand in form.operands) else Failure(Rejection.UNREACHABLE)

    def _given_away(self, form: LogicalForm) -> Failure | None:
        """Where several clues are stated of a thing that is asked for, none alone may determine it."""
        if form.kind in ("chain", "reverse", "count", "superlative"):
            return None
        for operand in form.operands:
            about = [clue for clue in form.clues if operand in (clue.subject, clue.object)]
            if len(about) < 2 or form.hops < 2:
                continue
            for clue in about:
                if not self._is_weak(clue, form.solution[operand]):
                    return Failure(Rejection.REDUNDANT_CLUE, f"{clue.relation} {clue.object} alone gives the answer")
        return None

    def _is_weak(self, clue: Clue, entity: int) -> bool:
        if is_attribute(clue):
            return len(self._solver.allowed(clue)) > 1
        if is_variable(clue.subject) and is_variable(clue.object):
            return True
        forward, named = is_variable(clue.object), clue.subject if is_variable(clue.object) else clue.object
        side = self._graph.forward if forward else self._graph.backward
        return len(side[clue.relation].of_one(self._graph.number[named])) > 1

    def _unique(self, form: LogicalForm) -> Failure | None:
        if form.operation in ("count", "most", "least"):
            return self._exact_members(form)
        for operand in form.operands:
            unique, left = self._solver.is_unique(form.clues, operand, form.solution[operand])
            if not unique:
                reason = Rejection.NOT_UNIQUE if left > 1 else Rejection.WRONG_ANSWER
                return Failure(reason, f"{left} answers for {operand}")
        return None

    def _exact_members(self, form: LogicalForm) -> Failure | None:
        found = self._solver.answers(form.clues, form.target)
        if tuple(found) != form.members:
            return Failure(Rejection.WRONG_ANSWER, f"{len(found)} fit instead of {len(form.members)}")
        left = self._solver.domains(form.clues) or {}
        for variable, domain in left.items():
            if variable != form.target and len(domain) != 1:
                return Failure(Rejection.NOT_UNIQUE, f"{len(domain)} answers for {variable}")
        others = {number for variable, number in form.solution.items() if variable != form.target}
        named = {self._graph.number[end] for clue in form.clues if not is_attribute(clue)
                 for end in (clue.subject, clue.object) if not is_variable(end)}  # fmt: skip
        if set(found) & (others | named):
            return Failure(Rejection.LEAKS, "what is counted is also named or described")
        return None

    def difficulty(self, form: LogicalForm) -> float:
        """Effort of an able reader who always takes the clue that leaves the least choice.

        For every clue 1, plus the bits of choice that it offers given what is known by then (log2 of the number of
        possibilities), plus 1 where it has to be searched backwards (its subject is unknown); plus log2 of how many
        things have to be found for a count or superlative; plus 1 for every false statement.
        """
        known: dict[str, int] = {}
        left, total = list(form.clues), 0.0
        while left:
            costs = [self._choice(clue, known, form) for clue in left]
            at = min(range(len(left)), key=costs.__getitem__)
            clue = left.pop(at)
            total += costs[at]
            for end in (clue.subject, clue.object):
                if is_variable(end):
                    known[end] = form.solution[end]
        total += math.log2(max(1, len(form.members))) + DISTRACTOR_BITS * (form.claim is not None)
        return round(total, 3)

    def _choice(self, clue: Clue, known: dict[str, int], form: LogicalForm) -> float:
        if is_attribute(clue):
            if clue.subject in known or not is_variable(clue.subject):
                return 1.0 if clue.relation != "@type" else 0.0
            return 1.0 + math.log2(max(1, len(self._solver.allowed(clue))))
        subject, object_ = self._entity(clue.subject, known), self._entity(clue.object, known)
        if subject is not None and object_ is not None:
            return 1.0
        if subject is not None:
            return 1.0 + math.log2(max(1, len(self._graph.forward[clue.relation].of_one(subject))))
        if object_ is not None:
            return 2.0 + math.log2(max(1, len(self._graph.backward[clue.relation].of_one(object_))))
        return 2.0 + math.log2(max(1, len(self._graph.forward[clue.relation].values)))

    def _entity(self, term: str, known: dict[str, int]) -> int | None:
        return known.get(term) if is_variable(term) else self._graph.number.get(term)


def structural_cut(excerpt: Excerpt, form: LogicalForm, graph: CompactGraph) -> tuple[str, ...]:
    """A cut vertex or bridge that separates the focus from something that is named; () for none.

    Of the subgraph that the excerpt's nodes induce, whatever facts between them it left out.
    """
    for anchor in _anchors(form.clues, graph):
        if anchor != form.focus and anchor in excerpt.around:
            cut = cut_between(joined(excerpt, graph), form.focus, anchor)
            if cut:
                return tuple(graph.ids[node] for node in cut)
    return ()


def _anchors(clues: Sequence[Clue], graph: CompactGraph) -> list[int]:
    ends = (end for clue in clues if not is_attribute(clue) for end in (clue.subject, clue.object))
    return [graph.number[end] for end in dict.fromkeys(ends) if not is_variable(end)]


def is_false(graph: CompactGraph, form: LogicalForm) -> bool:
    """Whether the form's claim, if it has one, is false of what it is said about."""
    claim = form.claim
    if claim is None:
        return True
    about = form.solution[claim.subject] if is_variable(claim.subject) else graph.number[claim.subject]
    return not graph.has(about, claim.relation, graph.number[claim.object])
