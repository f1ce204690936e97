"""Builders of logical forms: from an excerpt and a focus to clues of every kind, not yet verified.

Every clue is a fact of the excerpt or an attribute of one of its nodes. Hidden nodes become variables, the others are
named. A builder returns None where the excerpt has nothing for it; whether the clues determine the answer is decided
by :mod:`sindbad.questions.checks`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sindbad.questions.candidates import Kind
from sindbad.questions.compact import CompactGraph, Ints, contains
from sindbad.questions.excerpts import Excerpt
from sindbad.questions.forms import LogicalForm, variables_of
from sindbad.questions.logic import INITIAL, TYPE, is_variable
from sindbad.questions.question import Clue
from sindbad.questions.sameness import Fact
from sindbad.questions.solver import TooCostly, Verifier
from sindbad.questions.vague import Vagueness

_HUB_QUANTILE = 0.995
MOST_COUNTED = 30
"""A count or superlative is about at most as many things: each of them has to be found."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What kind of form is wanted: how many clues, and whether something vague is to be among them."""

    kind: Kind
    hops: int
    semantic: bool = False


@dataclass(slots=True)
class Description:
    """Clues about one focus: ``solution`` maps their variables to entities; ``variable`` is the focus's own."""

    variable: str
    clues: list[Clue]
    solution: dict[str, int]


class Builder:
    """Builds forms from excerpts of one graph. ``allowed``: (N,) who may be mentioned in hearsay."""

    def __init__(self, graph: CompactGraph, solver: Verifier, allowed: NDArray[np.bool_]) -> None:
        self._graph, self._solver, self._allowed = graph, solver, allowed
        self._vague = Vagueness(graph)
        degrees = graph.degree[graph.degree > 0]
        self._hub = int(np.quantile(degrees, _HUB_QUANTILE)) if len(degrees) else 0

    def build(self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random) -> LogicalForm | None:
        """One form of the wish about the focus, or None."""
        makers = {
            "chain": self._path, "reverse": self._path, "intersection": self._path, "constraint": self._constraint,
            "numeric": self._numeric, "comparison": self._comparison, "count": self._count,
            "superlative": self._superlative,
        }  # fmt: skip
        return makers[wish.kind](wish, excerpt, focus, rng)

    # --- one thing described ---------------------------------------------------------------------------------------

    def describe(
        self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random, *, first: int = 0, avoid: Iterable[int] = ()
    ) -> Description | None:
        """``wish.hops`` clues about the focus: hidden nodes around it, and what is known of them.

        Args:
            first: number of the first variable. avoid: entities that may neither be named nor hidden.
        """
        banned = set(avoid)
        hidden = self._hide(excerpt, focus, self._hidden_count(wish.hops, rng), rng, banned)
        names = {node: f"?{first + at}" for at, node in enumerate(hidden)}
        links = self._links(excerpt, hidden, wish.hops - 1, rng)
        clues = [self._fact_clue(fact, names) for fact in links]
        known = self._known(excerpt, hidden, names, banned, rng, vague=wish.semantic)
        if wish.hops > 1:
            known[focus] = [clue for clue in known[focus] if self._choice(clue) > 1]
        leaves = [node for node in hidden[1:] if sum(node in (fact[0], fact[2]) for fact in links) == 1]
        for node in leaves or hidden[:1]:
            if known[node]:
                clues.append(known[node].pop())
        rest = [clue for node in hidden for clue in known[node]]
        rng.shuffle(rest)
        if rng.random() < 0.5:  # in a dense graph a few clues at random seldom leave one answer
            rest.sort(key=lambda clue: -self._choice(clue))
        if wish.semantic:
            rest.sort(key=lambda clue: clue.relation.startswith("@"))
        while rest and len(clues) < wish.hops:
            clues.append(rest.pop())
        if len(clues) != wish.hops or any(not self._is_grounded(names[node], clues) for node in leaves):
            return None
        return Description(names[focus], clues, {variable: node for node, variable in names.items()})

    def _choice(self, clue: Clue) -> int:
        """How many entities a clue with one named end leaves; amounts leave as many as hold them."""
        if clue.relation.startswith("@"):
            return len(self._solver.allowed(clue))
        forward = is_variable(clue.object)
        side = self._graph.forward if forward else self._graph.backward
        return len(side[clue.relation].of_one(self._graph.number[clue.subject if forward else clue.object]))

    def _hidden_count(self, hops: int, rng: random.Random) -> int:
        return max(1, min(hops // 2 + (hops > 3), rng.choice((1, 2, 2, 3, 3, 4))))

    def _hide(self, excerpt: Excerpt, focus: int, count: int, rng: random.Random, banned: set[int]) -> list[int]:
        """The focus and connected nodes around it; hubs are better named than hidden."""
        hidden = [focus]
        for _ in range(4 * count):
            if len(hidden) == count:
                break
            here = hidden[-1] if rng.random() < 0.7 else rng.choice(hidden)
            near = sorted(excerpt.around[here])
            there = rng.choice(near)
            if there not in hidden and there not in banned and self._graph.degree[there] <= self._hub:
                hidden.append(there)
        return hidden

    def _links(self, excerpt: Excerpt, hidden: list[int], most: int, rng: random.Random) -> list[Fact]:
        """Facts between hidden nodes: what connects them first, then others (cycles), up to ``most``."""
        inside = set(hidden)
        facts = [fact for fact in excerpt.facts if fact[0] in inside and fact[2] in inside and fact[0] != fact[2]]
        rng.shuffle(facts)
        joined, chosen = {hidden[0]}, list[Fact]()
        while len(joined) < len(inside):
            bridge = next((fact for fact in facts if (fact[0] in joined) != (fact[2] in joined)), None)
            if bridge is None:
                return chosen
            chosen.append(bridge)
            joined |= {bridge[0], bridge[2]}
        others = [fact for fact in facts if fact not in chosen]
        return (chosen + others)[: max(most, len(chosen))]

    def _known(
        self,
        excerpt: Excerpt,
        hidden: list[int],
        names: dict[int, str],
        banned: set[int],
        rng: random.Random,
        *,
        vague: bool,
    ) -> dict[int, list[Clue]]:
        """For every hidden node what can be said of it with names and amounts, in random order."""
        found: dict[int, list[Clue]] = {}
        for node in hidden:
            clues = []
            for fact in excerpt.touching[node]:
                other = fact[2] if fact[0] == node else fact[0]
                if other not in names and other not in banned and other != node:
                    clues.append(self._fact_clue(fact, names))
            clues += self._amounts(node, names[node], rng, vague=vague)
            rng.shuffle(clues)
            found[node] = list(dict.fromkeys(clues))
        return found

    def _amounts(self, node: int, variable: str, rng: random.Random, *, vague: bool) -> list[Clue]:
        """At most two clues on attributes, so that they do not crowd out the facts."""
        held = [name for name, column in self._graph.columns.items() if contains(column.entities, node)]
        clues = []
        for attribute in rng.sample(held, min(2, len(held))):
            bounds = self._vague.of(attribute, node, rng) if vague else self._vague.exact(attribute, node)
            if bounds is not None:
                clues.append(bounds.clue(variable))
        return clues

    def _fact_clue(self, fact: Fact, names: dict[int, str]) -> Clue:
        ids = self._graph.ids
        subject, relation, object_ = fact
        return Clue(
            names.get(subject, ids[subject]), self._graph.relation_names[relation], names.get(object_, ids[object_])
        )

    def _is_grounded(self, variable: str, clues: list[Clue]) -> bool:
        """Whether something named or measured is said of the variable."""
        return any(
            variable in (clue.subject, clue.object)
            and (clue.relation.startswith("@") or not (is_variable(clue.subject) and is_variable(clue.object)))
            for clue in clues
        )

    # --- kinds -----------------------------------------------------------------------------------------------------

    def _constraint(self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random) -> LogicalForm | None:
        made = self.describe(wish, excerpt, focus, rng)
        if made is None:
            return None
        return LogicalForm("constraint", tuple(made.clues), (made.variable,), made.solution, focus, answer=focus)

    def _path(self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random) -> LogicalForm | None:
        """A simple path of facts from something named to the focus; an intersection names two things at its start."""
        heads = 2 if wish.kind == "intersection" else 1
        path = self._walk_back(excerpt, focus, wish.hops - heads, rng)
        if path is None:
            return None
        start = path[-1][1] if path else focus
        met = {focus, start, *(node for _, node in path)}
        around = [fact for fact in excerpt.touching[start] if not {fact[0], fact[2]} <= met]
        around = [fact for fact in around if (fact[2] == start) == (wish.kind == "chain")]
        if len(around) < heads:
            return None
        known = rng.sample(around, heads)
        if heads == 2 and {known[0][0], known[0][2]} == {known[1][0], known[1][2]}:
            return None
        order = [start, *(node for _, node in reversed(path[:-1])), focus] if path else [focus]
        names = {node: f"?{at}" for at, node in enumerate(order)}
        clues = [self._fact_clue(fact, names) for fact in (*known, *(fact for fact, _ in reversed(path)))]
        solution = {variable: node for node, variable in names.items()}
        return LogicalForm(wish.kind, tuple(clues), (names[focus],), solution, focus, answer=focus)

    def _walk_back(
        self, excerpt: Excerpt, focus: int, length: int, rng: random.Random
    ) -> list[tuple[Fact, int]] | None:
        """(fact, node it leads back to), from the focus outwards; hubs are not hidden."""
        here, met, path = focus, {focus}, list[tuple[Fact, int]]()
        for _ in range(length):
            steps = [(fact, fact[0] if fact[2] == here else fact[2]) for fact in excerpt.touching[here]]
            steps = [(fact, to) for fact, to in steps if to not in met and self._graph.degree[to] <= self._hub]
            if not steps:
                return None
            fact, here = rng.choice(steps)
            met.add(here)
            path.append((fact, here))
        return path

    def _measured(self, node: int) -> list[str]:
        """Attributes of which the node has exactly one value."""
        return [name for name, column in self._graph.columns.items() if column.single(node) is not None]

    def _numeric(self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random) -> LogicalForm | None:
        """An attribute of the focus; with enough clues also of a second thing, their sum or difference."""
        if wish.hops >= 2 and rng.random() < 0.5:
            pair = self._pair(wish, excerpt, focus, rng)
            if pair is not None:
                return self._of_pair(pair, focus, rng)
        made = self.describe(wish, excerpt, focus, rng)
        if made is None:
            return None
        used = {clue.relation.split(":")[1] for clue in made.clues if clue.relation.startswith("@between:")}
        open_ones = [name for name in self._measured(focus) if name not in used]
        if not open_ones:
            return None
        attribute = rng.choice(open_ones)
        value = self._graph.columns[attribute].single(focus)
        clues, named = tuple(made.clues), (made.variable,)
        return LogicalForm("numeric", clues, named, made.solution, focus, "value", attribute, value=value)

    def _of_pair(
        self, pair: tuple[Description, Description, str, float, float], focus: int, rng: random.Random
    ) -> LogicalForm:
        first, second, attribute, left, right = pair
        dates = self._graph.columns[attribute].kind == "date"
        operation = "difference" if dates or rng.random() < 0.5 else "sum"
        value = abs(left - right) if operation == "difference" else left + right
        return LogicalForm(
            "numeric", (*first.clues, *second.clues), (first.variable, second.variable),
            {**first.solution, **second.solution}, focus, operation, attribute, value=round(value, 6),
        )  # fmt: skip

    def _comparison(self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random) -> LogicalForm | None:
        pair = self._pair(wish, excerpt, focus, rng)
        if pair is None or pair[3] == pair[4]:
            return None
        first, second, attribute, left, right = pair
        operation = "more" if rng.random() < 0.5 else "less"
        wins = (left > right) == (operation == "more")
        order = (first, second) if rng.random() < 0.5 else (second, first)
        other = second.solution[second.variable]
        return LogicalForm(
            "comparison", (*order[0].clues, *order[1].clues), (order[0].variable, order[1].variable),
            {**first.solution, **second.solution}, focus, operation, attribute, answer=focus if wins else other,
        )  # fmt: skip

    def _pair(
        self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random
    ) -> tuple[Description, Description, str, float, float] | None:
        """The focus and another node of its type with a common attribute, each described without the other."""
        attributes = self._measured(focus)
        kind = self._graph.type_of[focus]
        others = [node for node in excerpt.nodes if node != focus and self._graph.type_of[node] == kind]
        rng.shuffle(others)
        for other in others[:4]:
            shared = [name for name in attributes if self._graph.columns[name].single(other) is not None]
            if not shared:
                continue
            half = wish.hops // 2
            first = self.describe(replace(wish, hops=wish.hops - half), excerpt, focus, rng, avoid=(other,))
            if first is None:
                return None
            second = self.describe(
                replace(wish, hops=half), excerpt, other, rng, first=len(first.solution), avoid=(focus,)
            )
            if second is None:
                continue
            used = {c.relation.split(":")[1] for c in (*first.clues, *second.clues) if c.relation.startswith("@b")}
            open_ones = [name for name in shared if name not in used]
            if open_ones:
                attribute = rng.choice(open_ones)
                column = self._graph.columns[attribute]
                return first, second, attribute, float(column.of_one(focus)[0]), float(column.of_one(other)[0])
        return None

    def _many(self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random) -> tuple[Description, Ints] | None:
        """Clues of which the focus is the subject and which several things of its type share, and those things."""
        kind = Clue("?0", TYPE, self._graph.type_name(focus))
        facts = [fact for fact in excerpt.touching[focus] if fact[0] == focus and fact[2] != focus]
        clues = [self._fact_clue(fact, {focus: "?0"}) for fact in facts]
        clues += self._amounts(focus, "?0", rng, vague=wish.semantic)
        rng.shuffle(clues)
        if wish.semantic:
            clues.sort(key=lambda clue: not clue.relation.startswith("@"))
        solution = {"?0": focus}
        chosen, hidden = list[Clue](), list[Clue]()
        if wish.hops >= 3 and rng.random() < 0.6:
            hidden = self._via(wish, excerpt, focus, facts, solution, rng)
        chosen = [kind, *hidden, *[clue for clue in clues if not self._touches(clue, solution)]]
        chosen = chosen[: wish.hops + 1]
        if len(chosen) != wish.hops + 1:
            return None
        try:
            left = self._solver.domains(chosen)
        except TooCostly:
            return None
        if left is None or not 2 <= len(left["?0"]) <= MOST_COUNTED:
            return None
        return Description("?0", chosen, solution), left["?0"]

    def _touches(self, clue: Clue, solution: dict[str, int]) -> bool:
        """Whether a named end of the clue is hidden elsewhere."""
        hidden = {self._graph.ids[node] for node in solution.values()}
        return clue.object in hidden

    def _via(
        self, wish: Wish, excerpt: Excerpt, focus: int, facts: list[Fact], solution: dict[str, int], rng: random.Random
    ) -> list[Clue]:
        """A hidden thing that the counted ones are linked to, described by clues of its own; [] for none."""
        steps = [fact for fact in facts if self._graph.degree[fact[2]] <= self._hub]
        rng.shuffle(steps)
        for fact in steps[:3]:
            inner = self.describe(replace(wish, hops=wish.hops - 2), excerpt, fact[2], rng, first=1, avoid=(focus,))
            if inner is not None and len(inner.solution) == 1:
                solution.update(inner.solution)
                return [self._fact_clue(fact, {focus: "?0", fact[2]: inner.variable}), *inner.clues]
        return []

    def _count(self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random) -> LogicalForm | None:
        made = self._many(wish, excerpt, focus, rng)
        if made is None:
            return None
        clues, members = made[0].clues, tuple(int(item) for item in made[1])
        return LogicalForm(
            "count", tuple(clues), ("?0",), made[0].solution, focus, "count", members=members, value=float(len(members))
        )

    def _superlative(self, wish: Wish, excerpt: Excerpt, focus: int, rng: random.Random) -> LogicalForm | None:
        made = self._many(wish, excerpt, focus, rng)
        if made is None:
            return None
        used = {clue.relation.split(":")[1] for clue in made[0].clues if clue.relation.startswith("@between:")}
        members = [int(item) for item in made[1]]
        choices = []
        for attribute, column in self._graph.columns.items():
            values = [column.single(item) for item in members] if attribute not in used else [None]
            known = [value for value in values if value is not None]
            if len(known) == len(members):
                choices += [(attribute, name, pick) for name, pick in (("most", max), ("least", min))
                            if known.count(pick(known)) == 1]  # fmt: skip
        if not choices:
            return None
        attribute, operation, pick = rng.choice(choices)
        column = self._graph.columns[attribute]
        best = pick(members, key=lambda item: column.of_one(item)[0])
        return LogicalForm(
            "superlative", tuple(made[0].clues), ("?0",), {**made[0].solution, "?0": best}, focus, operation, attribute,
            members=tuple(members), answer=best,
        )  # fmt: skip

    # --- uncertainty -----------------------------------------------------------------------------------------------

    def obscured(self, form: LogicalForm, language: str, name: str, anchor: str) -> LogicalForm:
        """The form with a named anchor replaced by a new unknown of its type and initial."""
        number = self._graph.number[anchor]
        variable = f"?{len(variables_of(form.clues))}"
        swapped = [
            Clue(
                variable if clue.subject == anchor else clue.subject,
                clue.relation,
                variable if clue.object == anchor and not clue.relation.startswith("@") else clue.object,
            )
            for clue in form.clues
        ]
        extra = (Clue(variable, TYPE, self._graph.type_name(number)), Clue(variable, INITIAL + language, name[:1]))
        return replace(form, clues=(*swapped, *extra), solution={**form.solution, variable: number})

    def claim(self, form: LogicalForm, rng: random.Random) -> Clue | None:
        """A plausible false statement: the right relation, the wrong entity; None where none is found.

        It is about an unknown thing that carries a letter; where none does, it says of another thing what a clue says
        of the one asked for.
        """
        facts = [clue for clue in form.clues if not clue.relation.startswith("@") and is_variable(clue.subject)]
        many = form.operation in ("count", "most", "least")
        lettered = [clue for clue in facts if not (many and clue.subject == form.target)]
        alone = len(variables_of(form.clues)) == 1
        if alone:
            return self._said_of_another(form, [clue for clue in facts if not is_variable(clue.object)], rng)
        if not lettered:
            return None
        clue = rng.choice(lettered)
        values = self._graph.forward[clue.relation].values
        known = self._graph.forward[clue.relation].of_one(form.solution[clue.subject])
        for _ in range(8):
            wrong = int(values[rng.randrange(len(values))])
            if not contains(known, wrong) and self._is_new(wrong, form):
                return Clue(clue.subject, clue.relation, self._graph.ids[wrong])
        return None

    def _said_of_another(self, form: LogicalForm, facts: list[Clue], rng: random.Random) -> Clue | None:
        if not facts:
            return None
        clue = rng.choice(facts)
        alike = self._graph.of_type[self._graph.type_of[form.solution[form.target]]]
        holders = self._graph.backward[clue.relation].of_one(self._graph.number[clue.object])
        for _ in range(8):
            wrong = int(alike[rng.randrange(len(alike))])
            if not contains(holders, wrong) and self._is_new(wrong, form):
                return Clue(self._graph.ids[wrong], clue.relation, clue.object)
        return None

    def _is_new(self, entity: int, form: LogicalForm) -> bool:
        """Allowed, and neither named, nor hidden, nor counted in the form."""
        if not self._allowed[entity]:
            return False
        named = {end for clue in form.clues for end in (clue.subject, clue.object)}
        return entity not in {*form.solution.values(), *form.members} and self._graph.ids[entity] not in named
