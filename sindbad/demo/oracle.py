"""A noisy oracle: writes the agent's turns from the question's logical form, reading only what an agent could read.

It knows the question's clues (which relation comes next) but no facts: names come out of the observations, by the
language pack's sentence templates. Its noise (a wrong sentence read, a candidate not verified, quitting after a tool
error) makes some attempts fail, so that rejection sampling has something to reject and reinforcement learning
something to improve.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sindbad.agent.parsing import render_call
from sindbad.errors import InvalidInput
from sindbad.languages import Fact, LanguagePack, get_pack
from sindbad.questions.question import Question

HEADS = {"chain": 0, "reverse": 1, "intersection": 2}
MOST_REPEATS = 3


@dataclass(frozen=True, slots=True)
class OracleNoise:
    """Probabilities of reading the wrong sentence, of trusting the first candidate, of quitting after an error."""

    wrong_read: float = 0.02
    skip_verification: float = 0.4
    give_up: float = 0.2


NO_NOISE = OracleNoise(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class OracleTurn:
    """An assistant turn: a thought, and either a tool call (its JSON) or an answer."""

    thought: str
    tool_call: str = ""
    answer: str | None = None

    @property
    def text(self) -> str:
        """The turn as the policy would write it, without the end-of-turn token."""
        if self.answer is not None:
            return f"<think>{self.thought}</think><answer>{self.answer}</answer>"
        return f"<think>{self.thought}</think><tool_call>{self.tool_call}</tool_call>"


class OraclePolicy:
    """One attempt at one question. Not restartable: make a new one for every attempt.

    Args:
        question: any kind that :mod:`sindbad.questions` makes.
        names: entity id -> name in the question's language (only those that the question mentions are looked up).
        noise: how badly it plays.
        seed: of the noise.

    Raises:
        InvalidInput: a question kind it does not know.
    """

    def __init__(
        self, question: Question, names: Mapping[str, str], noise: OracleNoise | None = None, seed: int = 0
    ) -> None:
        if question.kind not in HEADS:
            raise InvalidInput(f"the oracle knows no questions of kind {question.kind!r}")
        self._pack: LanguagePack = get_pack(question.language)
        self._noise = noise or OracleNoise()
        self._rng = random.Random(f"{question.question_id}-{seed}")
        heads = HEADS[question.kind]
        self._heads = [(clue.relation, names[clue.object]) for clue in question.clues[:heads]]
        self._hops = [clue.relation for clue in question.clues[heads:]]
        self._current = "" if heads else names[question.clues[0].subject]
        self._candidates: list[str] = []
        self._verifying = False
        self._last = OracleTurn("")
        self._asked = ""
        self._repeats = 0

    def next_turn(self, observation: str | None, *, summary: str = "") -> OracleTurn:
        """The next turn.

        Args:
            observation: the last tool answer; None at the start.
            summary: set when the context was restarted after that observation: all that may be read then.
        """
        if observation is None:
            self._last = self._opening()
        elif observation.startswith("error:"):
            self._last = self._after_error(summary)
        else:
            self._last = self._read(summary or observation, summary)
        return self._last

    def _opening(self) -> OracleTurn:
        if self._heads:
            return self._search(self._pack.agent.searching)
        return self._visit(f"{self._pack.agent.opening} {self._current}.")

    def _after_error(self, summary: str) -> OracleTurn:
        if self._rng.random() < self._noise.give_up:
            return OracleTurn(self._pack.agent.give_up, answer=self._current or self._heads[0][1])
        return self._again(summary)

    def _again(self, summary: str) -> OracleTurn:
        """The same call once more; a restarted context names where it stands instead of the failure."""
        self._repeats += 1
        if self._repeats > MOST_REPEATS:
            return OracleTurn(self._pack.agent.give_up, answer=self._current or self._heads[0][1])
        known = self._pack.split_sentences(summary)
        return OracleTurn(known[-1] if known else self._pack.agent.retry, tool_call=self._last.tool_call)

    def _read(self, text: str, summary: str) -> OracleTurn:
        lines = [part for line in text.split("\n") for part in self._pack.split_sentences(_without_title(line))]
        facts = [fact for fact in map(self._pack.parse, lines) if fact is not None]
        if self._heads and not self._candidates:
            return self._after_search(facts, summary)
        return self._after_visit(facts, summary)

    def _after_search(self, facts: Sequence[Fact], summary: str) -> OracleTurn:
        relation, name = self._heads[0]
        found = [fact for fact in facts if (fact.relation, fact.object) == (relation, name)]
        self._candidates = list(dict.fromkeys(fact.subject for fact in found))
        if not self._candidates:
            return self._again(summary)
        self._repeats = 0
        verify = len(self._heads) > 1 and self._rng.random() >= self._noise.skip_verification
        shown = list(self._candidates if len(self._heads) > 1 else self._candidates[:1])
        self._verifying = verify
        self._current = self._candidates.pop(0)
        self._candidates.append("")  # never empty again: the search is over
        return self._advance(" ".join(self._pack.sentence(subject, relation, name) for subject in shown))

    def _after_visit(self, facts: Sequence[Fact], summary: str) -> OracleTurn:
        own = [fact for fact in facts if (fact.subject, fact.relation) == (self._current, self._asked)]
        if not own:
            return self._again(summary)
        self._repeats = 0
        wanted = self._heads[1][1] if self._verifying else ""
        fact = next((fact for fact in own if fact.object == wanted), own[0])
        others = [
            other for other in facts if other.subject == self._current and other.relation not in {"is_a", fact.relation}
        ]
        read = fact.object
        if others and self._rng.random() < self._noise.wrong_read:
            read = self._rng.choice(others).object
        thought = self._pack.sentence(self._current, self._asked, read)
        return self._checked(thought, read == wanted) if self._verifying else self._followed(thought, read)

    def _checked(self, thought: str, agrees: bool) -> OracleTurn:
        if agrees:
            self._verifying = False
            return self._advance(thought)
        following = self._candidates.pop(0)
        if not following:
            return OracleTurn(thought, answer=self._current)
        self._current = following
        return self._advance(thought)

    def _followed(self, thought: str, read: str) -> OracleTurn:
        self._hops.pop(0)
        self._current = read
        return self._advance(thought)

    def _advance(self, thought: str) -> OracleTurn:
        if not self._verifying and not self._hops:
            return OracleTurn(thought, answer=self._current)
        return self._visit(thought)

    def _visit(self, thought: str) -> OracleTurn:
        self._asked = self._heads[1][0] if self._verifying else self._hops[0]
        arguments = {"urls": [self._current], "goal": self._pack.phrase(self._asked)}
        return OracleTurn(thought, tool_call=render_call("visit", arguments))

    def _search(self, thought: str) -> OracleTurn:
        relation, name = self._heads[0]
        query = f"{self._pack.phrase(relation)} {name}"
        return OracleTurn(thought, tool_call=render_call("search", {"query": [query]}))


def _without_title(line: str) -> str:
    """A search line without the "title: " before its snippet."""
    title, found, snippet = line.partition(": ")
    return snippet if found and "." not in title else line
