"""A file of questions, verified again against a graph: what does not hold, by reason, and what to do about it.

Questions that name what the graph does not have were made from another one; they are told as that, and nothing further
is asked of them. The others are answered by DuckDB and worded again. Questions without a solution (of files that the
demo's synthesis wrote) can't be worded again; they are counted as such, never as worded rightly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sindbad.graph.knowledge import GraphView
from sindbad.questions.logic import INITIAL, TYPE, is_variable
from sindbad.questions.question import Question
from sindbad.questions.reference import Reference
from sindbad.questions.rewording import misstated
from sindbad.questions.solver import BETWEEN, Interval

EXAMPLES = 3


class Fault(StrEnum):
    """Why a question does not hold."""

    OTHER_GRAPH = "other_graph"
    NOT_UNIQUE = "not_unique"
    WRONG_ANSWER = "wrong_answer"
    FALSE_CLAIM = "false_claim"
    WORDING = "wording"


_REMEDY: Mapping[Fault, str] = {
    Fault.OTHER_GRAPH: "made from another graph, or it has changed since; give theirs with --graph",
    Fault.NOT_UNIQUE: "the graph has changed since, or the file; make the questions again",
    Fault.WRONG_ANSWER: "the graph has changed since, or the file; make the questions again",
    Fault.FALSE_CLAIM: "a false statement is true in this graph; make the questions again",
    Fault.WORDING: "the text does not state exactly the clues; make or reword the questions again",
}


@dataclass(slots=True)
class Verification:
    """``faults``: by reason, question id -> what exactly is wrong. ``unworded``: ids without a solution."""

    questions: Sequence[Question]
    world_id: str
    faults: dict[Fault, dict[str, str]] = field(default_factory=dict)
    unworded: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def known(self) -> list[Question]:
        """The questions that are about this graph."""
        return self._without(Fault.OTHER_GRAPH)

    @property
    def answered(self) -> int:
        """Questions whose answer holds."""
        return len(self._without(*(fault for fault in Fault if fault is not Fault.WORDING)))

    @property
    def worded(self) -> tuple[int, int]:
        """(questions whose text states their clues, questions that could be worded again)."""
        able = len(self.known) - len(self.unworded)
        return able - len(self.faults.get(Fault.WORDING, {})), able

    def lines(self) -> list[str]:
        """For people: a line a reason with its count and the first few questions, and what to do."""
        return [line for fault, found in self.faults.items() for line in self._told(fault, found)]

    def _told(self, fault: Fault, found: Mapping[str, str]) -> Iterable[str]:
        yield f"{fault}: {len(found):,} of {len(self.questions):,}, {_REMEDY[fault]}"
        if fault is Fault.OTHER_GRAPH:
            worlds = sorted({question.world_id for question in self.questions if question.question_id in found})
            yield f"  this graph is of {self.world_id!r}, they are of {', '.join(map(repr, worlds[:EXAMPLES]))}"
        for question_id, detail in list(found.items())[:EXAMPLES]:
            yield f"  {question_id}: {detail}"
        if len(found) > EXAMPLES:
            yield f"  … and {len(found) - EXAMPLES:,} more"

    def _without(self, *faults: Fault) -> list[Question]:
        out = {question_id for fault in faults for question_id in self.faults.get(fault, {})}
        return [question for question in self.questions if question.question_id not in out]


def verify(questions: Sequence[Question], graph: GraphView, reference: Reference) -> Verification:
    """Answer all of them again by ``reference`` (the same graph's), and word them again."""
    made = Verification(questions, graph.world_id)
    strange = _strangers(questions, reference)
    _note(made, Fault.OTHER_GRAPH, strange)
    for checked in [reference.check(question) for question in made.known]:
        if not checked.ok:
            _note(made, Fault(checked.reason), {checked.question_id: checked.detail})
    solved = [question for question in made.known if question.solution]
    made.unworded = [question.question_id for question in made.known if not question.solution]
    _note(made, Fault.WORDING, misstated(solved, graph) if solved else {})
    return made


def _note(made: Verification, fault: Fault, found: Mapping[str, str]) -> None:
    if found:
        made.faults.setdefault(fault, {}).update(found)


def _strangers(questions: Sequence[Question], reference: Reference) -> dict[str, str]:
    """Question id -> the first thing it names that the graph does not have."""
    named = {question.question_id: _named(question) for question in questions}
    missing = reference.missing({item for items in named.values() for item in items})
    first = {key: next((item for item in items if item in missing), None) for key, items in named.items()}
    return {key: f"names the {item[0]} {item[1]!r}, which is not in it" for key, item in first.items() if item}


def _named(question: Question) -> list[tuple[str, str]]:
    """(``entity`` | ``relation`` | ``attribute``, its id) of everything that the question is about."""
    made = [("entity", entity_id) for _, entity_id in question.solution]
    made += [] if question.answer_id.startswith("=") else [("entity", question.answer_id)]
    made += [("attribute", question.attribute)] if question.attribute else []
    for clue in (*question.clues, *question.distractors):
        ends = [clue.subject, clue.object]
        if clue.relation.startswith(BETWEEN):
            made.append(("attribute", Interval.of(clue).attribute))
            ends = [clue.subject]
        elif clue.relation == TYPE or clue.relation.startswith(INITIAL):
            ends = [clue.subject]
        else:
            made.append(("relation", clue.relation))
        made += [("entity", end) for end in ends if not is_variable(end)]
    return list(dict.fromkeys(made))
