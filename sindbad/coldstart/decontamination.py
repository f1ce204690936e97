"""Training questions and trajectories held against the test questions: what says something about them goes.

Five reasons, each found on its own and counted once under the first that holds: ``id``, ``entity`` (the same entity of
the same graph), ``answer_subgraph`` (the same answer and the same subgraph), ``near_duplicate`` (the wording),
``ngram``; and for trajectories ``quotes_test`` (a page that was read quotes a test question).

Template wording is no contamination: runs of words and words that stand in many questions count little or nothing, so
that "… was born in which city?" in both sets removes nothing while a shared name does. Covered: any language that
separates words by blanks. Not covered: paraphrases without shared words, and translations where no graph is known.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sindbad.agent.trajectory import Trajectory
from sindbad.coldstart.configuration import DecontaminationSettings, OnOverlap
from sindbad.errors import InvalidInput
from sindbad.languages import LANGUAGES, get_pack
from sindbad.questions.question import Question

Run = tuple[str, ...]
QUOTED_SHARE = 0.6
"""Of a test question's runs of five words: a text that holds more of them quotes it."""
QUOTE_RUN = 5


@dataclass(frozen=True, slots=True)
class Overlap:
    """Why one training item goes: ``reason``, which test question, and what they share."""

    train_id: str
    test_id: str
    reason: str
    shared: str


@dataclass(slots=True)
class DecontaminationReport:
    """Counts by reason, and the first few overlaps of each."""

    train: int = 0
    test: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    examples: list[Overlap] = field(default_factory=list)

    def add(self, overlap: Overlap, most: int) -> None:
        """Count one item."""
        self.removed[overlap.reason] = number = self.removed.get(overlap.reason, 0) + 1
        if number <= most:
            self.examples.append(overlap)

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


class Decontaminator:
    """Knows the test questions; :meth:`questions` and :meth:`trajectory` hold training data against them.

    Args:
        tests: every question that will be evaluated on; empty lets everything pass.
        protected: ids of those whose text must not be written in the clear: reports name them and show nothing.
    """

    def __init__(
        self, tests: Sequence[Question], settings: DecontaminationSettings, protected: frozenset[str] = frozenset()
    ) -> None:
        self.settings, self._tests, self._protected = settings, list(tests), protected
        self.report = DecontaminationReport(test=len(self._tests))
        self._ids = {question.question_id: question for question in tests}
        self._entities = {key: question for question in tests for key in entities_of(question)}
        self._answers = {key: question for question in tests for key in _answer_keys(question)}
        self._words = {question.question_id: words(question.text) for question in tests}
        self._runs = self._runs_of_tests(settings.ngram) if settings.ngram else {}
        self._by_word: dict[str, list[str]] = defaultdict(list)
        for name, found in self._words.items():
            for word in set(found):
                self._by_word[word].append(name)
        self._quotes = self._runs_of_tests(QUOTE_RUN) if settings.trajectories else {}
        self._quote_sizes = {name: len(set(runs(found, QUOTE_RUN))) for name, found in self._words.items()}

    def _runs_of_tests(self, length: int) -> dict[Run, list[str]]:
        found: dict[Run, list[str]] = defaultdict(list)
        for name, said in self._words.items():
            for run in set(runs(said, length)):
                found[run].append(name)
        return found

    # ---- questions
    def questions(self, train: Sequence[Question]) -> list[Question]:
        """Those that say nothing about a test question, in order.

        Raises:
            InvalidInput: there is an overlap and the settings refuse any (TRAIN_TEST_OVERLAP).
        """
        self.report.train += len(train)
        if not self._tests:
            return list(train)
        said = {id(question): words(question.text) for question in train}
        rarity = _Rarity([*said.values(), *self._words.values()], self.settings)
        kept = []
        for question in train:
            overlap = self._overlap(question, said[id(question)], rarity)
            if overlap is None:
                kept.append(question)
            else:
                self._add(overlap)
        self._refuse_if_asked()
        return kept

    def _overlap(self, question: Question, said: Sequence[str], rarity: _Rarity) -> Overlap | None:
        settings = self.settings
        if question.question_id in self._ids:
            return Overlap(question.question_id, question.question_id, "id", question.question_id)
        if settings.entities:
            for key in entities_of(question):
                if key in self._entities:
                    return Overlap(question.question_id, self._entities[key].question_id, "entity", "/".join(key))
        if settings.answers:
            for answer in _answer_keys(question):
                if answer in self._answers:
                    test = self._answers[answer]
                    return Overlap(question.question_id, test.question_id, "answer_subgraph", " / ".join(answer))
        return self._alike(question, said, rarity) or self._shared_run(question, said, rarity)

    def _alike(self, question: Question, said: Sequence[str], rarity: _Rarity) -> Overlap | None:
        if self.settings.similarity >= 1:
            return None
        near = {name for word in rarity.telling(said) for name in self._by_word.get(word, ())}
        for name in sorted(near):
            if rarity.similarity(said, self._words[name]) >= self.settings.similarity:
                return Overlap(question.question_id, name, "near_duplicate", self._ids[name].text)
        return None

    def _shared_run(self, question: Question, said: Sequence[str], rarity: _Rarity) -> Overlap | None:
        for run in runs(said, self.settings.ngram) if self.settings.ngram else ():
            if run in self._runs and not rarity.is_wording(run):
                return Overlap(question.question_id, self._runs[run][0], "ngram", " ".join(run))
        return None

    # ---- trajectories
    def trajectory(self, made: Trajectory) -> Overlap | None:
        """The overlap where thoughts or observations quote a test question; counted. None otherwise."""
        if not self._quotes:
            return None
        texts = (words(f"{step.thought}\n{step.observation}") for step in made.steps)
        said = {run for text in texts for run in runs(text, QUOTE_RUN) if run in self._quotes}
        seen = Counter(name for run in said for name in self._quotes[run])
        for name, count in seen.most_common():
            quoted = count >= QUOTED_SHARE * self._quote_sizes[name] and self._quote_sizes[name] > 1
            if quoted and _names_it(made, self._words[name]):
                overlap = Overlap(made.trajectory_id, name, "quotes_test", self._ids[name].text)
                self._add(overlap)
                self._refuse_if_asked()
                return overlap
        return None

    def _add(self, overlap: Overlap) -> None:
        hidden = overlap.test_id in self._protected
        self.report.add(replace(overlap, shared="(protected)") if hidden else overlap, self.settings.examples)

    def _refuse_if_asked(self) -> None:
        if self.settings.on_overlap is OnOverlap.REFUSE and self.report.removed:
            shown = "; ".join(f"{one.reason}: {one.train_id} and {one.test_id}" for one in self.report.examples[:3])
            raise InvalidInput(
                f"training data overlaps the test set ({shown}); make other questions, or remove what overlaps",
                reason="TRAIN_TEST_OVERLAP",
            )


def _names_it(made: Trajectory, test: Sequence[str]) -> bool:
    """Whether the quotation is more than shared wording: a run of the test question that is not the own question's."""
    own = set(runs(words(made.question), QUOTE_RUN))
    return len(set(runs(test, QUOTE_RUN)) - own) > 0


class _Rarity:
    """How telling words and runs are, over the questions of both sets."""

    def __init__(self, texts: Sequence[Sequence[str]], settings: DecontaminationSettings) -> None:
        self._count = len(texts)
        self._words = Counter(word for text in texts for word in set(text))
        self._settings = settings
        length = settings.ngram
        self._runs = Counter(run for text in texts for run in set(runs(text, length))) if length else Counter[Run]()

    def is_wording(self, run: Run) -> bool:
        """Whether it tells nothing: so many questions hold the run, or every single word of it (a template's, which
        names nobody)."""
        common = self._settings.common
        return self._runs[run] > common or all(self._words[word] > common for word in run)

    def weight(self, word: str) -> float:
        """Inverse document frequency; a word of every question weighs almost nothing."""
        return math.log((1 + self._count) / (1 + self._words[word])) + 0.01

    def telling(self, said: Sequence[str]) -> list[str]:
        """The rarest words: a question that shares none of them can't be similar enough (prefix filter, exact)."""
        order = sorted(set(said), key=lambda word: (-self.weight(word), word))
        spare = (1 - self._settings.similarity) * sum(map(self.weight, order))
        found, passed = [], 0.0
        for word in order:
            if passed > spare:
                break
            found.append(word)
            passed += self.weight(word)
        return found

    def similarity(self, left: Sequence[str], right: Sequence[str]) -> float:
        """Weighted Jaccard overlap of the sets of words, in [0, 1]."""
        ours, theirs = set(left), set(right)
        both = sum(map(self.weight, ours & theirs))
        return both / max(1e-9, sum(map(self.weight, ours | theirs)))


def words(text: str) -> list[str]:
    """Words in one form: compatibility form, case folded, without marks and punctuation."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(char if char.isalnum() else "" if unicodedata.category(char)[0] == "M" else " " for char in folded)
    return kept.split()


def runs(said: Sequence[str], length: int) -> Iterator[Run]:
    """Every run of ``length`` words."""
    return (tuple(said[at : at + length]) for at in range(len(said) - length + 1))


def entities_of(question: Question) -> set[tuple[str, str]]:
    """(world or graph, entity id) of every entity that the wording names (hearsay too), of those that have to be found
    on the way, those that a count or a superlative runs over included, and of the answer where it is no number.
    """
    told = (*question.clues, *question.distractors)
    named = {name for clue in told for name in (clue.subject, clue.object) if _is_entity(clue.relation, name)}
    named |= {entity_id for _, entity_id in question.solution}
    named |= {item.entity for item in question.evidence} - {""}
    named |= set() if question.answer_id.startswith("=") else {question.answer_id} - {""}
    return {(question.world_id, name) for name in named} if question.world_id else set()


def _is_entity(relation: str, name: str) -> bool:
    """No variable, and no value of an attribute ("@…" relations end in a type, an initial or a number)."""
    return bool(name) and not name.startswith("?") and not relation.startswith("@")


def _answer_keys(question: Question) -> Iterable[tuple[str, str]]:
    """(answer, what it was asked over): the subgraph's hash where there is one."""
    normal = get_pack(question.language).normalise_answer if question.language in LANGUAGES else str.casefold
    answer = normal(question.answer)
    if answer and question.subgraph_hash:
        yield answer, question.subgraph_hash
    if answer:
        yield answer, " ".join(sorted(set(words(question.text))))
