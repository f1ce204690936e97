"""From a logical form to a text in one language, with the pieces that any other wording of it has to keep.

Where the asked thing is the only unknown and the subject of every clue, the question is one sentence. Elsewhere unknown
things carry letters, the clues are stated subject by subject, and the question comes last. Nothing is worded for which
the graph or the language pack has no words: InvalidInput, and the candidate is rejected with that reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from sindbad.errors import InvalidInput
from sindbad.graph.knowledge import GraphView, RelationInfo
from sindbad.languages import get_grammar, get_pack
from sindbad.languages.grammar import Measure, Noun
from sindbad.questions.compact import CompactGraph
from sindbad.questions.forms import LogicalForm, variables_of
from sindbad.questions.logic import INITIAL, TYPE, is_attribute, is_variable
from sindbad.questions.question import Clue
from sindbad.questions.solver import BETWEEN, Interval


@dataclass(frozen=True, slots=True)
class Wording:
    """A text and what it must say.

    Attributes:
        names: names of the entities that it mentions, hearsay included.
        phrases: for every clue the words that state it, object left out.
        amounts: vague and exact amounts as worded, with what they are of ("was released in 1990"), and initials.
        facts: the text without the hearsay and without the question, for checks.
        asked: label of the attribute that is asked for or compared; "" where there is none.
    """

    text: str
    names: tuple[str, ...]
    phrases: tuple[str, ...]
    amounts: tuple[str, ...] = ()
    facts: str = ""
    asked: str = ""


class Worder:
    """Words forms in one language. Names and phrases are read from the graph once and remembered."""

    def __init__(self, graph: GraphView, compact: CompactGraph, language: str) -> None:
        self._graph, self._compact = graph, compact
        self.language = language
        self.pack, self.grammar = get_pack(language), get_grammar(language)
        self._infos: dict[str, RelationInfo] = {}
        self._nouns: dict[str, Noun] = {}

    def word(self, form: LogicalForm) -> Wording:
        """The question. Raises InvalidInput where words are lacking."""
        return _Text(self, form).made()

    def name(self, entity_id: str) -> str:
        """An entity's name in this language; InvalidInput where it has none."""
        return self._graph.entity(entity_id).name(self.language)

    def noun(self, entity_type: str) -> Noun:
        """An entity type's noun."""
        if entity_type not in self._nouns:
            info = self._info(f"@type/{entity_type}")
            label, phrase = info.labels.get(self.language, ""), info.phrases.get(self.language, "")
            self._nouns[entity_type] = self.grammar.noun(entity_type, label, phrase)
        return self._nouns[entity_type]

    def noun_of(self, entity: int) -> Noun:
        """The noun of an entity's type."""
        return self.noun(self._compact.type_name(entity))

    def noun_of_id(self, entity_id: str) -> Noun:
        """The noun of a named entity's type."""
        return self.noun_of(self._compact.number[entity_id])

    def phrase(self, relation: str) -> str:
        """What stands between subject and object. Raises InvalidInput where nobody said."""
        found = self._info(relation).phrases.get(self.language)
        return found if found else self.pack.phrase(relation)

    def measure(self, attribute: str) -> Measure:
        """How an attribute is worded. Raises InvalidInput where nobody said."""
        info, column = self._info(f"@{attribute}"), self._compact.columns[attribute]
        label = info.labels.get(self.language, "")
        if not label and self.language != "en":
            raise InvalidInput(f"the attribute {attribute!r} has no label in {self.language!r}")
        phrase = info.phrases.get(self.language, "")
        return Measure(label or attribute.replace("_", " "), phrase, column.unit, column.kind == "date")

    def _info(self, relation: str) -> RelationInfo:
        if relation not in self._infos:
            self._infos[relation] = self._graph.relation_info(relation)
        return self._infos[relation]


class _Text:
    """One form's wording in the making."""

    def __init__(self, worder: Worder, form: LogicalForm) -> None:
        self._worder, self._form, self._grammar = worder, form, worder.grammar
        self._clues = [clue for clue in form.clues if clue.relation != TYPE]
        order = list(dict.fromkeys((*form.operands, *variables_of(form.clues))))
        if len(order) > len(self._grammar.letters):
            raise InvalidInput(f"{len(order)} unknowns are more than there are letters")
        self._letter = dict(zip(order, self._grammar.letters, strict=False))
        self._names: list[str] = []
        self._phrases: list[str] = []
        self._amounts: list[str] = []

    def made(self) -> Wording:
        """Facts, hearsay, question; or one sentence where that is enough."""
        if self._is_simple():
            hearsay = self._hearsay()
            facts = ""
            text = " ".join((*hearsay, self._capital(self._simple())))
        else:
            skip = self._asked_of if self._form.operation in ("count", "most", "least") else None
            sentences = self._facts(skip)
            facts = " ".join(sentences)
            text = " ".join((*sentences, *self._hearsay(), self._capital(self._question())))
        names, phrases = tuple(dict.fromkeys(self._names)), tuple(dict.fromkeys(self._phrases))
        asked = self._worder.measure(self._form.attribute).label if self._form.attribute else ""
        return Wording(text, names, phrases, tuple(dict.fromkeys(self._amounts)), facts, asked)

    @property
    def _asked_of(self) -> str:
        return self._form.target

    def _capital(self, text: str) -> str:
        return text[:1].upper() + text[1:]

    def _is_simple(self) -> bool:
        target = self._form.target
        about = [clue for clue in self._clues if clue.subject == target and not clue.relation.startswith(INITIAL)]
        alone = variables_of(self._form.clues) == [target] and self._form.operation not in ("more", "less")
        return alone and len(about) == len(self._clues) and len(self._form.operands) == 1

    def _simple(self) -> str:
        form, grammar = self._form, self._grammar
        noun = self._noun(form.target)
        said = [self._predicate(clue) for clue in self._clues]
        if form.operation == "value":
            return grammar.value_of(self._worder.measure(form.attribute), grammar.the_one(noun, said))
        if form.operation == "count":
            return grammar.how_many(noun, said)
        if form.operation in ("most", "least"):
            measure = self._worder.measure(form.attribute)
            return grammar.which_extreme(noun, said, measure, largest=form.operation == "most")
        return grammar.which_fits(noun, said)

    def _question(self) -> str:
        form, grammar = self._form, self._grammar
        things = [self._thing(operand) for operand in form.operands]
        if form.operation in ("count", "most", "least"):
            return self._of_many()
        if not form.operation:
            return grammar.which_is(self._noun(form.target), self._letter[form.target])
        measure = self._worder.measure(form.attribute)
        if form.operation == "value":
            return grammar.value_of(measure, things[0])
        if form.operation == "sum":
            return grammar.sum_of(measure, things[0], things[1])
        if form.operation == "difference":
            return grammar.difference_of(measure, things[0], things[1])
        return grammar.which_of_two(measure, things[0], things[1], largest=form.operation == "more")

    def _of_many(self) -> str:
        form, noun = self._form, self._noun(self._form.target)
        said = [self._predicate(clue) for clue in self._clues if clue.subject == form.target]
        if not said:
            raise InvalidInput("nothing is said of what is counted")
        if form.operation == "count":
            return self._grammar.how_many(noun, said)
        measure = self._worder.measure(form.attribute)
        return self._grammar.which_extreme(noun, said, measure, largest=form.operation == "most")

    def _facts(self, skip: str | None) -> list[str]:
        """One sentence a subject, and one an initial; subjects in the order of their first clue."""
        groups: dict[str, list[Clue]] = {}
        for clue in self._clues:
            if clue.subject != skip:
                groups.setdefault(clue.subject, []).append(clue)
        sentences = []
        for subject, clues in groups.items():
            said = [self._predicate(clue) for clue in clues if not clue.relation.startswith(INITIAL)]
            if said:
                sentences.append(self._grammar.sentence(self._thing(subject), said))
            for clue in clues:
                if clue.relation.startswith(INITIAL):
                    thing = self._thing(subject)
                    said_so = self._grammar.begins_with(thing, clue.object)
                    self._amounts.append(said_so.rpartition(thing)[2].strip(" ."))
                    sentences.append(said_so)
        return sentences

    def _hearsay(self) -> list[str]:
        claim = self._form.claim
        if claim is None:
            return []
        if self._is_simple() and is_variable(claim.subject):
            raise InvalidInput("hearsay about a thing that carries no letter")
        said = self._grammar.sentence(self._thing(claim.subject), [self._predicate(claim)])
        if claim.subject not in self._letter and self._grammar.code == "en":
            return [self._grammar.hearsay(said.removesuffix("."))]
        return [self._grammar.hearsay(said[:1].lower() + said[1:].removesuffix("."))]

    def _thing(self, term: str) -> str:
        if not is_variable(term):
            name = self._worder.name(term)
            self._names.append(name)
            return name
        return self._grammar.mention(self._noun(term), self._letter[term])

    def _noun(self, variable: str) -> Noun:
        return self._worder.noun_of(self._form.solution[variable])

    def _predicate(self, clue: Clue) -> str:
        if clue.relation.startswith(BETWEEN):
            return self._amount(clue)
        if is_attribute(clue):
            raise InvalidInput(f"no words for {clue}")
        phrase = self._grammar.agreeing(self._worder.phrase(clue.relation), self._noun_or_type(clue.subject))
        self._phrases.append(phrase)
        if is_variable(clue.object):
            return f"{phrase} {self._grammar.mention_after(phrase, self._noun(clue.object), self._letter[clue.object])}"
        return f"{phrase} {self._thing(clue.object)}"

    def _amount(self, clue: Clue) -> str:
        bounds = Interval.of(clue)
        measure, noun = self._worder.measure(bounds.attribute), self._noun_or_type(clue.subject)
        said = self._grammar.bounded(measure, bounds.form, bounds.low, bounds.high, noun)  # type: ignore[arg-type]
        self._amounts.append(said)
        return said

    def _noun_or_type(self, term: str) -> Noun:
        if is_variable(term):
            return self._noun(term)
        return self._worder.noun_of_id(term)
