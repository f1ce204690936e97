"""Nothing is kept unverified (papers.md tests 13, 14): every check says ok, or the reason for the rejection."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sindbad.graph.knowledge import GraphView
from sindbad.graph.reading import TemplateReader
from sindbad.languages.pack import LanguagePack
from sindbad.questions.logic import constants, ground, is_attribute, is_variable, solutions, solve
from sindbad.questions.question import Clue, Evidence, Question
from sindbad.tools.environment import Environment, Scope, ToolCall


class Rejection(StrEnum):
    """Why a candidate was not kept."""

    NOT_UNIQUE = "not_unique"
    WRONG_ANSWER = "wrong_answer"
    REDUNDANT_CLUE = "redundant_clue"
    LEAKS = "leaks"
    NO_EVIDENCE = "no_evidence"
    UNREACHABLE = "unreachable"
    OUT_OF_REACH = "out_of_reach"
    DUPLICATE = "duplicate"
    UNSUPPORTED_WORDING = "unsupported_wording"
    DIFFICULTY = "difficulty"
    NOT_STRUCTURAL = "not_structural"
    TOO_COSTLY = "too_costly"
    NEAR_DUPLICATE = "near_duplicate"
    FOCUS_BALANCE = "focus_balance"
    FALSE_CLAIM = "false_claim"
    OTHER_SPLIT = "other_split"


def check_answer(graph: GraphView, clues: Sequence[Clue], target: str, answer_id: str) -> Rejection | None:
    """The answer is the only one in the whole graph."""
    found = solve(graph, clues, target, limit=1)
    if found == {answer_id}:
        return None
    return Rejection.NOT_UNIQUE if len(found) > 1 else Rejection.WRONG_ANSWER


def check_clues_needed(graph: GraphView, kind: str, clues: Sequence[Clue], target: str) -> Rejection | None:
    """Of an intersection's two known facts, neither alone determines the answer."""
    if kind != "intersection":
        return None
    for dropped in range(2):
        weaker = [clue for index, clue in enumerate(clues) if index != dropped]
        if len(solve(graph, weaker, target, limit=1)) <= 1:
            return Rejection.REDUNDANT_CLUE
    return None


def check_leakage(text: str, answers: Sequence[str], pack: LanguagePack) -> Rejection | None:
    """No form of the answer occurs in the wording, neither as written nor after normalisation."""
    plain, normal = text.casefold(), pack.normalise_answer(text)
    for answer in answers:
        if answer.casefold() in plain or pack.normalise_answer(answer) in normal:
            return Rejection.LEAKS
    return None


def check_reachable(clues: Sequence[Clue], target: str) -> Rejection | None:
    """The target hangs together with something the question names or describes: there is a place to start."""
    links: dict[str, set[str]] = {}
    for clue in clues:
        ends = (clue.subject, "@" if is_attribute(clue) else clue.object)
        links.setdefault(ends[0], set()).add(ends[1])
        links.setdefault(ends[1], set()).add(ends[0])
    seen, queue = {target}, deque([target])
    while queue:
        for other in links.get(queue.popleft(), set()) - seen:
            seen.add(other)
            queue.append(other)
    cut_off = [name for name in links if name not in seen]
    started = any(not is_variable(name) for name in seen)
    return None if started and not cut_off else Rejection.UNREACHABLE


def evidence_for(
    graph: GraphView, clues: Sequence[Clue], binding: Mapping[str, str], language: str
) -> tuple[Evidence, ...] | None:
    """The stored sentence of every relational clue, in order; None if one has none in ``language``."""
    found = []
    for subject, relation, object_ in ground(clues, binding):
        edge = graph.edge(subject, relation, object_)
        source = edge.source(language) if edge is not None else None
        if source is None:
            return None
        found.append(Evidence(source.url, source.sentence))
    return tuple(found)


def supports(evidence: Evidence, subject: str, relation: str, object_: str, pack: LanguagePack) -> bool:
    """Whether the stored sentence, read back, states exactly this fact (names, not ids)."""
    read = TemplateReader(pack).read(evidence.sentence)
    return any((fact.subject, fact.relation, fact.object) == (subject, relation, object_) for fact in read)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A clue whose evidence the tools do not bring up; ``call``: the first one tried, "" for none.

    ``why``: why it could not be told, where it could not.
    """

    question_id: str
    clue: Clue
    call: str
    why: str = ""

    @property
    def said(self) -> str:
        """In words; no call where there is nothing yet to call with."""
        if self.why:
            return self.why
        return f"{self.call} does not bring up {self.clue}" if self.call else f"no call can be made for {self.clue}"


async def unreachable_by_tools(
    environment: Environment,
    graph: GraphView,
    question: Question,
    pack: LanguagePack,
    *,
    deadline_seconds: float = 30.0,
) -> list[Unreachable]:
    """Look every clue up as an agent would: visit the subject's page, or, where it is the unknown, search for it."""
    scope = Scope(question.world_id, question.language)
    binding = next(solutions(graph, question.clues), {})
    names = {end: graph.entity(binding.get(end, end)).name(pack.code) for end in _ends(question.clues)}
    known, missing = set(constants(question.clues)), list[Unreachable]()
    facts = [clue for clue in question.clues if not is_attribute(clue)]
    for clue, evidence in zip(facts, question.evidence, strict=True):
        call = _lookup(clue, names, pack, read=clue.subject in known)
        seen = await environment.call(call, scope, deadline_seconds=deadline_seconds)
        if not seen.ok or evidence.url not in seen.urls:
            missing.append(Unreachable(question.question_id, clue, call.name))
        known.update((clue.subject, clue.object))
    return missing


def _ends(clues: Sequence[Clue]) -> set[str]:
    return {end for clue in clues if not is_attribute(clue) for end in (clue.subject, clue.object)}


def _lookup(clue: Clue, names: Mapping[str, str], pack: LanguagePack, *, read: bool) -> ToolCall:
    phrase = pack.phrase(clue.relation)
    if read:
        return ToolCall("visit", {"urls": [names[clue.subject]], "goal": phrase})
    return ToolCall("search", {"query": [f"{phrase} {names[clue.object]}"]})
