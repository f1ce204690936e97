"""What the base model practises before it sees a trajectory: recalling facts it has just read.

Finding the right sentence and copying its object is the whole skill, and it does not form by itself from trajectories:
a drill that starts with ONE fact in a short context and adds facts as accuracy rises forms it within half a million
tokens. (With many facts from the start, or many one-fact groups in one long context, it took more than three times as
many tokens, or did not form.) Facts are drawn in both scripts, from names that exist in no world.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import lru_cache

from sindbad.agent.chat import ChatTokenizer
from sindbad.demo.names import FIRST_PIECES, NEXT_PIECES, arabic_name
from sindbad.demo.world import World
from sindbad.languages import LANGUAGES, get_pack
from sindbad.training.examples import Example

Fact = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Ids of subject, phrase and object."""


class Drills:
    """Endless seeded examples over one tokenizer."""

    def __init__(self, tokenizer: ChatTokenizer, seed: int = 0) -> None:
        self._seed = seed
        self._rng = random.Random(f"drills-{seed}")
        self._encode: Callable[[str], tuple[int, ...]] = lru_cache(maxsize=100_000)(
            lambda text: tuple(tokenizer.encode_text(text))
        )
        self._stop = self._encode("a.")[-1:]

    def begin(self, step: int) -> random.Random:
        """Make what follows a function of (seed, step) alone, so that a run can resume; returns the generator."""
        self._rng.seed(f"drills-{self._seed}-{step}")
        return self._rng

    def recall(self, facts: int) -> Example:
        """``facts`` sentences, then the same in another order; loss on their objects (on everything for one fact)."""
        language = self._rng.choice(LANGUAGES)
        stated = self._invented(facts, language)
        asked = self._rng.sample(stated, len(stated))
        return self._finished([id_ for fact in stated for id_ in self._sentence(fact)], asked, whole=facts == 1)

    def pages(self, world: World, pages: int) -> Example:
        """``pages`` pages of one world, then some of their sentences in random order; loss on the objects."""
        language = self._rng.choice(LANGUAGES)
        pack = get_pack(language)
        read = self._rng.sample(world.entities, pages)
        context = [id_ for entity in read for id_ in self._encode(world.page(entity.entity_id, language).text)]
        facts = [fact for entity in read for fact in world.facts_of[entity.entity_id] if fact.relation != "borders"]
        asked = self._rng.sample(facts, min(len(facts), 4))
        triples = [
            (
                self._encode(world.name(fact.subject, language)),
                self._encode(pack.phrase(fact.relation)),
                self._encode(world.name(fact.object, language)),
            )
            for fact in asked
        ]
        return self._finished(context, triples, whole=False)

    def _invented(self, count: int, language: str) -> list[Fact]:
        pack = get_pack(language)
        relations = self._rng.sample(sorted(pack.phrases), min(count, len(pack.phrases)))
        one = self._rng.random() < 0.5
        subject = self._name(language)
        return [
            (
                self._encode(subject if one else self._name(language)),
                self._encode(pack.phrase(relation)),
                self._encode(self._name(language)),
            )
            for relation in relations
        ]

    def _name(self, language: str) -> str:
        first, more = self._rng.choice(FIRST_PIECES), self._rng.random()
        name = first + self._rng.choice(NEXT_PIECES) if more > 0.15 else first
        name = f"{name} {self._rng.choice(FIRST_PIECES)}" if more > 0.5 or more <= 0.15 else name
        return name if language == "en" else arabic_name(name)

    def _sentence(self, fact: Fact) -> tuple[int, ...]:
        return (*fact[0], *fact[1], *fact[2], *self._stop)

    def _finished(self, context: Sequence[int], asked: Sequence[Fact], *, whole: bool) -> Example:
        ids, mask = list(context), [0] * len(context)
        for fact in asked:
            given, answer = len(fact[0]) + len(fact[1]), len(fact[2]) + 1
            ids += self._sentence(fact)
            mask += [int(whole)] * given + [1] * answer
        return Example(tuple(ids), tuple(mask))
