"""Evidence of a form in one language: the stored sentence of every clue, and that no form of the answer is in the text.

A sentence supports a fact if it names the object, and the subject too unless it stands on the subject's own page, both
as whole words; it supports an amount if the number stands in it. Of several sentences the first that does is taken.
Counts and superlatives need the sentences of every member, and of the attribute that decides. What is hidden may not be
named either (papers.md tests 13, 14).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from sindbad.graph.knowledge import Attribute, Entity, GraphView, Source
from sindbad.languages.grammar import forms_of
from sindbad.languages.pack import LanguagePack
from sindbad.languages.words import CLITICS, has_words
from sindbad.questions.checks import Failure
from sindbad.questions.compact import CompactGraph, number_of
from sindbad.questions.forms import LogicalForm
from sindbad.questions.logic import is_attribute
from sindbad.questions.question import Clue, Evidence
from sindbad.questions.solver import BETWEEN, Interval
from sindbad.questions.verification import Rejection
from sindbad.questions.wording import Worder

_SHORT = 4
_LATIN_SHORT = 3
_NUMBERS = re.compile(r"\d+(?:[.,٬٫]\d+|[ \u202f\u00a0]\d{3}(?!\d))*")
EASTERN_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩٫", "0123456789.")


class Witness:
    """Reads a graph's provenance for the few facts of a form."""

    def __init__(self, graph: GraphView, compact: CompactGraph) -> None:
        self._graph, self._compact = graph, compact

    def evidence(self, form: LogicalForm, worder: Worder) -> tuple[Evidence, ...] | Failure:
        """One item a clue that is a fact or an amount, in order; then what the operation reads. Or what is lacking.

        Of counts and superlatives: of every member an item for each clue that is about it.
        """
        found: list[Evidence] = []
        for place, (member, solution) in enumerate(self._solutions(form)):
            for number, clue in enumerate(form.clues):
                if clue.relation.startswith("@") and not clue.relation.startswith(BETWEEN):
                    continue
                about = member if form.target in (clue.subject, clue.object) else ""
                if place and not about:
                    continue  # what is not about the members is said once
                item = self._of_clue(clue, solution, worder)
                if isinstance(item, Failure):
                    return item
                found.append(replace(item, clue=number, entity=about))
        for entity_id in self._read_by_operation(form):
            item = self._of_attribute(entity_id, form.attribute, worder)
            if isinstance(item, Failure):
                return item
            found.append(replace(item, entity=entity_id))
        return tuple(found)

    def _solutions(self, form: LogicalForm) -> Iterable[tuple[str, dict[str, str]]]:
        """(member, solution with it); the one solution with "" where nothing is counted or compared."""
        base = {variable: self._compact.ids[node] for variable, node in form.solution.items()}
        if not form.members:
            yield "", base
        for member in form.members:
            yield self._compact.ids[member], {**base, form.target: self._compact.ids[member]}

    def _read_by_operation(self, form: LogicalForm) -> list[str]:
        if form.operation in ("", "count"):
            return []
        numbers = form.members or [form.solution[operand] for operand in form.operands]
        return [self._compact.ids[number] for number in numbers]

    def _of_clue(self, clue: Clue, solution: dict[str, str], worder: Worder) -> Evidence | Failure:
        if is_attribute(clue):
            return self._of_attribute(solution.get(clue.subject, clue.subject), Interval.of(clue).attribute, worder)
        subject, object_ = solution.get(clue.subject, clue.subject), solution.get(clue.object, clue.object)
        edge = self._graph.edge(subject, clue.relation, object_)
        if edge is None:
            return Failure(Rejection.NO_EVIDENCE, f"no edge {subject} {clue.relation} {object_}")
        ends = self._graph.entity(subject), self._graph.entity(object_)
        for source in edge.sources:
            if source.language == worder.language and names_both(source, *ends, worder.pack):
                return Evidence(source.url, source.sentence)
        return Failure(Rejection.NO_EVIDENCE, f"no sentence names {subject} and {object_}")

    def _of_attribute(self, entity_id: str, attribute: str, worder: Worder) -> Evidence | Failure:
        for item in self._graph.attributes(entity_id):
            if item.name == attribute and item.unit == self._compact.columns[attribute].unit:
                for source in item.sources:
                    if source.language == worder.language and states_number(source, item, worder.pack):
                        return Evidence(source.url, source.sentence)
        return Failure(Rejection.NO_EVIDENCE, f"no sentence gives {attribute} of {entity_id}")

    def leak(self, form: LogicalForm, text: str, worder: Worder) -> Failure | None:
        """A form of the answer, or the name of something hidden, in the text; None where there is neither."""
        hidden = [self._compact.ids[node] for node in dict.fromkeys((*form.solution.values(), *form.members))]
        given = {end for clue in form.clues for end in (clue.subject, clue.object)} & set(hidden)
        if given:
            return Failure(Rejection.LEAKS, f"{min(given)} is hidden and named")
        for entity_id in hidden:
            entity = self._graph.entity(entity_id)
            for name in (*entity.names.values(), *(alias for some in entity.aliases.values() for alias in some)):
                if name and mentions(text, name, worder.pack):
                    return Failure(Rejection.LEAKS, f"{name!r} stands in the text")
        if form.value is not None and form.answer is None:
            ways = {plain_digits(way) for way in forms_of(form.value, worder.pack.digits)}
            if ways & numbers_in(text):
                return Failure(Rejection.LEAKS, "the number asked for stands in the text")
        return None


def mentions(text: str, name: str, pack: LanguagePack) -> bool:
    """Whether a name occurs in a text: normalised, and in Arabic with clitics written onto it.

    Names of up to four letters count as whole words only, Latin ones of up to three (codes) in their own case.
    """
    if len(name) <= _LATIN_SHORT and name.isascii():
        return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
    normal, wanted = pack.normalise_answer(text), pack.normalise_answer(name)
    if not wanted:
        return False
    if len(wanted) > _SHORT:
        return wanted in normal
    prefix = CLITICS if pack.code == "ar" else ""
    return re.search(rf"(?<!\w){prefix}{re.escape(wanted)}(?!\w)", normal) is not None


def names_both(source: Source, subject: Entity, object_: Entity, pack: LanguagePack) -> bool:
    """Whether a stored sentence names the object, and the subject unless it stands on the subject's own page."""
    own = any(item.url == source.url for item in subject.sources)
    return _is_named(source, object_, pack) and (own or _is_named(source, subject, pack))


def _is_named(source: Source, entity: Entity, pack: LanguagePack) -> bool:
    """As whole words, as it is written or normalised: "Gold" is not named by "Golden Medal Ribbon"."""
    names = [name for name in (entity.names.get(pack.code, ""), *entity.aliases.get(pack.code, ())) if name]
    if any(has_words(source.sentence, name, pack.code) for name in names):
        return True
    normal = pack.normalise_answer(source.sentence)
    short = [name for name in names if len(name) <= _LATIN_SHORT and name.isascii()]  # codes: in their own case only
    wanted = [pack.normalise_answer(name) for name in names if name not in short]
    return any(name and has_words(normal, name, pack.code) for name in wanted)


def states_number(source: Source, attribute: Attribute, pack: LanguagePack) -> bool:
    """Whether the attribute's number, or the year of its date, stands in the sentence, in whatever digits."""
    value = number_of(attribute)
    if value is None:
        return False
    ways = {plain_digits(way) for way in forms_of(abs(value), pack.digits)}
    return bool(ways & numbers_in(source.sentence))


def numbers_in(text: str) -> set[str]:
    """All numbers of a text, in ASCII digits without separators of thousands."""
    return {plain_digits(match) for match in _NUMBERS.findall(text.translate(EASTERN_DIGITS))}


def plain_digits(text: str) -> str:
    """Digits and the decimal point only: separators of thousands left out."""
    folded = text.translate(EASTERN_DIGITS)
    return "".join(char for char in folded if char.isdigit() or char == ".").rstrip(".")
