"""What Sindbad knows about a language of its agents: how answers are compared, how the demo's facts are worded.

Every relation has ONE phrase a language and the object stands last ("{subject} {phrase} {object}."), so a reader can
finish a sentence that it has begun by copying. Questions are worded in reading order from a logical form; an Arabic
question is worded by the Arabic pack, never by translating the string.
"""

from __future__ import annotations

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from sindbad.errors import InvalidInput
from sindbad.languages.language import Language

_SPACES = re.compile(r"\s+")


class TriplePattern(Protocol):
    """One clue: ``subject`` and ``object`` are entity ids or variables ("?0"); ``relation`` is a relation id."""

    @property
    def subject(self) -> str: ...
    @property
    def relation(self) -> str: ...
    @property
    def object(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Fact:
    """What a sentence says, with names instead of entity ids; ``relation`` is "is_a" for a type sentence."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True, slots=True)
class AgentWording:
    """Fixed phrases of the demo agent's thoughts; ``opening`` is followed by a name, the others stand alone."""

    opening: str
    searching: str
    retry: str
    give_up: str


class LanguagePack(Language):
    """One language. Subclasses hold data and the three things that grammar decides: normalisation and wording.

    Attributes:
        scripts: inclusive code-point ranges of the language's letters.
        digits: the ten digits as the language writes them natively (ASCII ones are always understood).
        phrases: relation id -> the one phrase between subject and object.
        kinds: entity type -> the phrase of a type sentence ("is a person").
        agent: what the demo agent says between its quotations.
    """

    scripts: tuple[tuple[int, int], ...]
    digits: str
    question_mark: str
    phrases: ClassVar[Mapping[str, str]]
    kinds: ClassVar[Mapping[str, str]]
    agent: AgentWording

    # --- comparing answers ---------------------------------------------------------------------------------------

    @abstractmethod
    def normalise_answer(self, text: str) -> str:
        """The form under which two answers are the same answer."""

    def same_answer(self, given: str, gold: str, aliases: Sequence[str] = ()) -> bool:
        """Normalised exact match against the gold answer or an alias; an empty answer never matches."""
        wanted = {self.normalise_answer(text) for text in (gold, *aliases)} - {""}
        return self.normalise_answer(given) in wanted

    def ascii_digits(self, text: str) -> str:
        """``text`` with this language's native digits written as 0-9."""
        return text.translate({ord(native): str(value) for value, native in enumerate(self.digits)})

    def letters(self, text: str) -> int:
        """How many letters of its ranges ``text`` has."""
        found = (ord(char) for char in text if unicodedata.category(char).startswith("L"))
        return sum(any(low <= char <= high for low, high in self.scripts) for char in found)

    # --- facts and sentences -------------------------------------------------------------------------------------

    def phrase(self, relation: str) -> str:
        """The relation's phrase. Raises InvalidInput for an unknown relation."""
        try:
            return self.phrases[relation]
        except KeyError:
            raise InvalidInput(f"language {self.code!r} has no phrase for relation {relation!r}") from None

    def relation_of(self, phrase: str) -> str | None:
        """Inverse of :meth:`phrase`; None for anything else."""
        wanted = _SPACES.sub(" ", phrase).strip()
        return next((relation for relation, text in self.phrases.items() if text == wanted), None)

    def sentence(self, subject: str, relation: str, object_: str) -> str:
        """The fact as one sentence."""
        return f"{subject} {self.phrase(relation)} {object_}."

    def type_sentence(self, subject: str, entity_type: str) -> str:
        """ "Marota Lin is a person." """
        return f"{subject} {self.kinds[entity_type]}."

    def parse(self, sentence: str) -> Fact | None:
        """Read a sentence back; None where it follows none of the templates. Exact inverse of the two above."""
        body = _SPACES.sub(" ", sentence).strip().removesuffix(".")
        for entity_type, phrase in self.kinds.items():
            if body.endswith(" " + phrase):
                return Fact(body[: -len(phrase) - 1], "is_a", entity_type)
        for relation, phrase in self.phrases.items():
            subject, found, object_ = body.partition(f" {phrase} ")
            if found and subject and object_:
                return Fact(subject, relation, object_)
        return None

    def split_sentences(self, text: str) -> list[str]:
        """Sentences of a page, each with its full stop."""
        return [part.strip() for part in re.split(r"(?<=[.!?؟])\s+", text.strip()) if part.strip()]

    # --- questions -----------------------------------------------------------------------------------------------

    def ask(self, kind: str, clues: Sequence[TriplePattern], types: Mapping[str, str], names: Mapping[str, str]) -> str:
        """Word a question in reading order.

        Args:
            kind: "chain": every clue leads from its subject to a new variable; "reverse" / "intersection": one / two
                leading clues share the unknown subject, then hops follow from it.
            clues: in reading order.
            types: variable -> entity type.
            names: entity id -> name in this language.
        Raises InvalidInput where the clues do not have the shape of their kind.
        """
        heads = {"chain": 0, "reverse": 1, "intersection": 2}.get(kind)
        if heads is None or len(clues) < max(heads, 1):
            raise InvalidInput(f"cannot word a question of kind {kind!r} with {len(clues)} clues")
        hops = clues[heads:]
        if heads == 0:
            return self._with_hops(names[hops[0].subject], hops, types)
        known = [(clue.relation, names[clue.object]) for clue in clues[:heads]]
        entity_type = types[clues[0].subject]
        if not hops:
            return self._which_subject(entity_type, known) + self.question_mark
        return self._with_hops(self._the_one(entity_type, known), hops, types)

    def _with_hops(self, start: str, hops: Sequence[TriplePattern], types: Mapping[str, str]) -> str:
        parts = [start]
        for number, hop in enumerate(hops):
            last = number == len(hops) - 1
            noun = types[hop.object]
            parts += [self.phrase(hop.relation), self._which(noun) if last else self._some(noun)]
        return " ".join(parts) + self.question_mark

    def _joined(self, entity_type: str, known: Sequence[tuple[str, str]]) -> str:
        return f" {self._and(entity_type)} ".join(f"{self.phrase(relation)} {name}" for relation, name in known)

    def _which_subject(self, entity_type: str, known: Sequence[tuple[str, str]]) -> str:
        return f"{self._which_opening(entity_type)} {self._joined(entity_type, known)}"

    def _the_one(self, entity_type: str, known: Sequence[tuple[str, str]]) -> str:
        return f"{self._the(entity_type)} {self._joined(entity_type, known)}"

    @abstractmethod
    def _some(self, entity_type: str) -> str:
        """Indefinite noun that a relation follows: "a person who"."""

    @abstractmethod
    def _which(self, entity_type: str) -> str:
        """The thing asked for, at the end: "which person"."""

    @abstractmethod
    def _which_opening(self, entity_type: str) -> str:
        """The thing asked for, at the start: "Which person"."""

    @abstractmethod
    def _the(self, entity_type: str) -> str:
        """Definite noun that a relation follows: "The person who"."""

    @abstractmethod
    def _and(self, entity_type: str) -> str:
        """What joins two clues on one subject."""

    def fragments(self) -> tuple[str, ...]:
        """Every fixed phrase this pack can write (a tokenizer makes them whole pieces)."""
        nouns = [
            form(noun)
            for noun in self.kinds
            for form in (self._some, self._which, self._which_opening, self._the, self._and)
        ]
        agent = (self.agent.opening, self.agent.searching, self.agent.retry, self.agent.give_up)
        return tuple(dict.fromkeys((*self.phrases.values(), *self.kinds.values(), *nouns, *agent)))


def squeeze(text: str) -> str:
    """One space between words, none at the ends."""
    return _SPACES.sub(" ", text).strip()
