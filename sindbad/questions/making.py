"""Questions of every kind from any graph: excerpts, forms, checks, uncertainty, wording, evidence (WebSailor-V2 §3).

A :class:`Maker` makes *batches*. A batch follows from graph, configuration, seed and its number alone, in whatever
process and order; what needs a view over all batches (near-duplicates, equal subgraphs, focus balance) is decided by
:class:`sindbad.questions.merging.Merger`. Nothing leaves a batch that failed a check; what failed is kept as rejected.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from sindbad.errors import InvalidInput
from sindbad.graph.knowledge import GraphView
from sindbad.questions.answers import number_answer
from sindbad.questions.builders import Builder, Wish
from sindbad.questions.candidates import Kind
from sindbad.questions.checks import Checks, Failure, is_false, structural_cut
from sindbad.questions.compact import CompactGraph
from sindbad.questions.evidence import Witness
from sindbad.questions.excerpts import Excerpt, ExcerptConfig, ExcerptSource, FocusCounter, Source
from sindbad.questions.forms import LogicalForm
from sindbad.questions.logic import is_attribute, is_variable
from sindbad.questions.mixture import Cell, SynthesisConfig, UncertaintyConfig
from sindbad.questions.question import Clue, Question
from sindbad.questions.solver import BETWEEN, Interval, Solver, Verifier
from sindbad.questions.synthesis import Rejected
from sindbad.questions.uncertainty import DISTRACTOR, SEMANTIC, STRUCTURAL
from sindbad.questions.vague import VAGUE_FORMS
from sindbad.questions.verification import Rejection
from sindbad.questions.wording import Worder

DEFAULT_MIX: dict[Kind, dict[int, float]] = {
    "chain": {2: 0.5, 3: 0.5},
    "intersection": {2: 0.5, 3: 0.5},
    "constraint": {3: 2.0, 4: 2.0, 5: 1.5, 6: 1.0, 8: 0.5},
    "numeric": {2: 1.0, 3: 1.0, 4: 0.5},
    "comparison": {4: 1.0, 6: 0.5},
    "count": {2: 1.0, 3: 0.5},
    "superlative": {1: 0.5, 2: 0.5},
}


class MakingConfig(BaseModel):
    """What ``sindbad questions make`` makes of a graph."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    languages: tuple[str, ...] = ("en", "ar")
    """A form is worded in every one of these in which all its names and sentences exist; in one at least."""
    synthesis: SynthesisConfig = SynthesisConfig(
        mix=DEFAULT_MIX,
        uncertainty=UncertaintyConfig(semantic=0.4, distractor=0.2),
        per_subgraph=6,
    )
    """Kinds and hops, uncertainty, difficulty range, questions from one excerpt."""
    excerpt: ExcerptConfig = ExcerptConfig()
    """How subgraphs are drawn."""
    solver_budget: int = Field(default=400_000, ge=1_000)
    """Array elements that the verification of one candidate may gather; beyond it the candidate is rejected."""
    attempts_per_question: int = Field(default=16, ge=1)
    """Candidates to try for one place before the place is given to another focus."""
    draws_per_batch: int = Field(default=400, ge=1)
    """Excerpts that one batch may draw at most."""


@dataclass(frozen=True, slots=True)
class Made:
    """One kept form: its questions, one a language, and what the merger compares.

    ``subgraph``: entity ids of the excerpt's nodes; ``orbits``: number of orbits of its topology; ``picture``: what
    tells excerpts of one hash apart (:mod:`sindbad.questions.sameness`).
    """

    questions: tuple[Question, ...]
    constants: tuple[str, ...]
    shape: str
    subgraph: tuple[str, ...]
    orbits: int
    picture: str = ""


@dataclass(slots=True)
class Batch:
    """What one batch came to."""

    number: int
    made: list[Made] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    degrees: list[float] = field(default_factory=list)


class Maker:
    """Makes batches over one graph.

    Args:
        allowed: (N,) entities that may occur in a question.
        solver, source: what verifies and what draws excerpts, where it is not ours (the benchmark's peer).
    """

    def __init__(
        self,
        graph: GraphView,
        compact: CompactGraph,
        config: MakingConfig,
        seed: int | str,
        *,
        split: Literal["train", "test"] = "train",
        allowed: NDArray[np.bool_] | None = None,
        solver: Verifier | None = None,
        source: Callable[[NDArray[np.bool_]], Source] | None = None,
    ) -> None:
        if not config.languages:
            raise InvalidInput("questions need at least one language")
        self._graph, self._compact, self._config, self._seed, self._split = graph, compact, config, seed, split
        solver = solver or Solver(compact, budget=config.solver_budget)
        self._checks = Checks(compact, solver)
        self._source = source or (lambda mask: ExcerptSource(compact, config.excerpt, mask))
        self._worders = [Worder(graph, compact, language) for language in config.languages]
        self._witness = Witness(graph, compact)
        named = np.zeros(len(compact), bool)
        for language in config.languages:
            named |= compact.named(language)
        self._allowed = named if allowed is None else named & allowed
        self._builder = Builder(compact, solver, self._allowed)

    def batch(self, number: int, count: int) -> Batch:
        """About ``count`` forms; fewer where the draws of the batch run out."""
        rng = random.Random(f"questions:{self._graph.world_id}:{self._split}:{self._seed}:{number}")
        source, focus = self._source(self._allowed), FocusCounter()
        work = Batch(number)
        needs = _Needs(self._config.synthesis, rng)
        for _ in range(self._config.draws_per_batch):
            if len(work.made) >= count:
                break
            excerpt = source.draw(rng)
            if excerpt is None:
                continue
            work.nodes.append(len(excerpt.nodes))
            work.degrees.append(excerpt.degree)
            for _ in range(min(self._config.synthesis.per_subgraph, count - len(work.made))):
                if not self._one(excerpt, focus, needs, work, rng):
                    break
        return work

    def _one(self, excerpt: Excerpt, focus: FocusCounter, needs: _Needs, work: Batch, rng: random.Random) -> bool:
        """One more question from the excerpt about an orbit that has had the fewest; False where none was found."""
        nodes = focus.open_nodes(excerpt)
        cells = needs.order()
        for attempt in range(self._config.attempts_per_question):
            node = nodes[rng.randrange(len(nodes))]
            cell = cells[min(len(cells) - 1, attempt // 2)]
            made = self._try(excerpt, node, cell, work, rng)
            if made is not None:
                work.made.append(made)
                needs.met(cell)
                focus.take(excerpt.topology, excerpt.orbit_of[node])
                return True
            needs.missed(cell)
        return False

    def _try(self, excerpt: Excerpt, node: int, cell: Cell, work: Batch, rng: random.Random) -> Made | None:
        config = self._config.synthesis
        semantic = rng.random() < config.share_of(cell, SEMANTIC, config.uncertainty.semantic)
        distracted = rng.random() < config.share_of(cell, DISTRACTOR, config.uncertainty.distractor)
        required = 1.0 if config.uncertainty.structural == "require" else 0.0
        structural = rng.random() < config.share_of(cell, STRUCTURAL, required)
        form = self._builder.build(Wish(cell[0], cell[1], semantic), excerpt, node, rng)
        if form is None:
            return None
        # Where it is required, the cut is asked for first: it costs less than the solver, and few have one.
        cut = structural_cut(excerpt, form, self._compact) if structural else ()
        failed = self._outside(form) or (Failure(Rejection.NOT_STRUCTURAL) if structural and not cut else None)
        failed = failed or self._checks.failure(form)
        if failed is None and not structural:
            cut = structural_cut(excerpt, form, self._compact)
        if failed is not None:
            self._reject(form, failed, work)
            return None
        if distracted:
            form = replace(form, claim=self._builder.claim(form, rng))
        hard = self._checks.difficulty(form)
        if not config.min_difficulty <= hard <= (config.max_difficulty or hard):
            self._reject(form, Failure(Rejection.DIFFICULTY, f"{hard}"), work)
            return None
        return self._in_languages(form, excerpt, bool(cut), semantic, hard, work, rng)

    def _outside(self, form: LogicalForm) -> Failure | None:
        """Whether something that the form needs belongs to the other split."""
        needed = {*form.solution.values(), *form.members}
        outside = [number for number in sorted(needed) if not self._allowed[number]]
        return Failure(Rejection.OTHER_SPLIT, self._compact.ids[outside[0]]) if outside else None

    def _in_languages(
        self,
        form: LogicalForm,
        excerpt: Excerpt,
        cut: bool,
        semantic: bool,
        hard: float,
        work: Batch,
        rng: random.Random,
    ) -> Made | None:
        """The form's questions; a language in which something is lacking is left out, with its reason."""
        anchor = self._anchor(form, rng) if semantic and not _vague_clues(form.clues) else None
        questions, failures = [], list[Failure]()
        stem = f"{self._graph.world_id}-{self._split}-{self._seed}-{work.number:06d}-{len(work.made):03d}"
        for worder in self._worders:
            made = self._question(form, worder, excerpt, cut, hard, anchor)
            if isinstance(made, Failure):
                failures.append(Failure(made.reason, f"{worder.language}: {made.detail}"))
            else:
                questions.append(replace(made, question_id=f"{stem}-{worder.language}"))
        if not questions:
            self._reject(form, failures[0], work)
            return None
        numbers = {*form.solution.values(), *form.members}
        claimed = _named((form.claim,)) if form.claim is not None else []
        constants = tuple(sorted({*_named(form.clues), *claimed, *(self._compact.ids[n] for n in numbers)}))
        subgraph = tuple(self._compact.ids[node] for node in excerpt.nodes)
        count = max(excerpt.orbit_of.values()) + 1
        return Made(tuple(questions), constants, shape_key(form), subgraph, count, excerpt.picture)

    def _anchor(self, form: LogicalForm, rng: random.Random) -> str | None:
        """A named end to make vague: of a fact, and not of a claim."""
        named = _named(form.clues)
        return rng.choice(named) if named else None

    def _question(
        self, form: LogicalForm, worder: Worder, excerpt: Excerpt, cut: bool, hard: float, anchor: str | None
    ) -> Question | Failure:
        try:
            if anchor is not None:
                form, hard = self._vaguer(form, worder, anchor, hard, excerpt if cut else None)
            wording = worder.word(form)
            evidence = self._witness.evidence(form, worder)
        except InvalidInput as error:
            return Failure(Rejection.UNSUPPORTED_WORDING, error.message)
        if isinstance(evidence, Failure):
            return evidence
        if not is_false(self._compact, form):
            return Failure(Rejection.FALSE_CLAIM, "the distractor is true")
        leak = self._witness.leak(form, wording.text, worder)
        if leak is not None:
            return leak
        answer, aliases = self._answer(form, worder)
        return Question(
            question_id="",
            world_id=self._graph.world_id,
            language=worder.language,
            text=wording.text,
            kind=form.kind,
            clues=form.clues,
            target=form.target,
            answer_id=answer_id(form, self._compact),
            answer=answer,
            aliases=aliases,
            hops=form.hops,
            uncertainty=_labels(form, cut),
            difficulty=hard,
            evidence=evidence,
            split=self._split,
            orbit=excerpt.orbit_of[form.focus],
            subgraph_hash=excerpt.subgraph_hash,
            topology=excerpt.topology,
            distractors=(form.claim,) if form.claim is not None else (),
            operation=form.operation,
            attribute=form.attribute,
            operands=form.operands if form.operation else (),
            value=form.value,
            unit=self._compact.columns[form.attribute].unit if form.attribute else "",
            solution=tuple((variable, self._compact.ids[node]) for variable, node in form.solution.items()),
        )

    def _vaguer(
        self, form: LogicalForm, worder: Worder, anchor: str, hard: float, across: Excerpt | None
    ) -> tuple[LogicalForm, float]:
        """The form with its anchor made vague, where that passes every check and stays in the difficulty range.

        Args:
            across: the excerpt, where a cut has to lie between the focus and something that is still named.
        """
        vaguer = self._builder.obscured(form, worder.language, worder.name(anchor), anchor)
        config, harder = self._config.synthesis, self._checks.difficulty(vaguer)
        fits = config.min_difficulty <= harder <= (config.max_difficulty or harder)
        fits = fits and (across is None or bool(structural_cut(across, vaguer, self._compact)))
        return (vaguer, harder) if fits and self._checks.failure(vaguer) is None else (form, hard)

    def _answer(self, form: LogicalForm, worder: Worder) -> tuple[str, tuple[str, ...]]:
        """The answer and its other accepted forms in one language."""
        if form.answer is None:
            return number_answer(form, worder, self._compact.columns.get(form.attribute))
        entity = self._graph.entity(self._compact.ids[form.answer])
        return entity.name(worder.language), tuple(entity.aliases.get(worder.language, ()))

    def _reject(self, form: LogicalForm, failure: Failure, work: Batch) -> None:
        reason, detail = failure.reason, failure.detail
        answer = answer_id(form, self._compact)
        world = self._graph.world_id
        work.rejected.append(Rejected(reason, form.kind, form.clues, form.target, answer, world, "", detail))


_MISS = 0.1


class _Needs:
    """Which cell lacks most, relative to its weight; ties in random order."""

    def __init__(self, config: SynthesisConfig, rng: random.Random) -> None:
        weights = config.weights
        self._weights: dict[Cell, float] = {
            (kind, hops): weight for kind, row in weights.items() for hops, weight in row.items() if weight > 0
        }
        self._had: Counter[Cell] = Counter()
        self._missed: Counter[Cell] = Counter()
        self._rng = rng

    def order(self) -> list[Cell]:
        """Cells, neediest first."""
        rank = {
            cell: (self._had[cell] + _MISS * self._missed[cell] + self._rng.random()) / weight
            for cell, weight in self._weights.items()
        }
        return sorted(rank, key=rank.__getitem__)

    def met(self, cell: Cell) -> None:
        """Count one."""
        self._had[cell] += 1
        self._missed[cell] = 0

    def missed(self, cell: Cell) -> None:
        """A try that came to nothing: what a graph hardly gives must not hold up the rest."""
        self._missed[cell] += 1


def answer_id(form: LogicalForm, compact: CompactGraph) -> str:
    """The entity's id, or "=" and the number."""
    from sindbad.questions.reference import number_id

    return compact.ids[form.answer] if form.answer is not None else f"={number_id(form.value or 0.0)}"


def shape_key(form: LogicalForm) -> str:
    """The form with names and amounts left out: relations between variables, in a canonical order."""
    parts = sorted(
        f"{'?' if is_variable(c.subject) else '#'}{c.relation}{'?' if is_variable(c.object) else '#'}"
        for c in form.clues
    )
    return f"{form.kind}|{form.operation}|{form.attribute}|" + ";".join(parts)


def _named(clues: Sequence[Clue]) -> list[str]:
    ends = (end for clue in clues if not is_attribute(clue) for end in (clue.subject, clue.object))
    return [end for end in dict.fromkeys(ends) if not is_variable(end)]


def _vague_clues(clues: Sequence[Clue]) -> bool:
    return any(clue.relation.startswith(BETWEEN) and Interval.of(clue).form in VAGUE_FORMS for clue in clues)


def _labels(form: LogicalForm, cut: bool) -> tuple[str, ...]:
    vague = _vague_clues(form.clues) or any(clue.relation.startswith("@initial") for clue in form.clues)
    given = ((SEMANTIC, vague), (DISTRACTOR, form.claim is not None), (STRUCTURAL, cut))
    return tuple(label for label, holds in given if holds)
