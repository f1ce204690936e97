"""English instructions of the demo's domain: what the teacher translates, and later the light translator at scale.

Single-hop page reading, checking a statement, and telling what a page says. Everything follows from the seed, and the
first N rows are a prefix of the first M > N (papers §4.3: a deterministic prefix, not a sample).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice

from sindbad.corpus.records import InstructionRecord, instruction
from sindbad.demo.world import Triple, World
from sindbad.languages import get_pack
from sindbad.questions.question import Clue

SOURCE = "sindbad-demo-encyclopedia"
LICENCE = "Apache-2.0"


def make_instructions(worlds: Sequence[World], seed: int, count: int) -> list[InstructionRecord]:
    """The first ``count`` English records over ``worlds``. ``metadata`` names the world and the kind."""
    return list(islice(_endless(worlds, seed), count))


def _endless(worlds: Sequence[World], seed: int) -> Iterator[InstructionRecord]:
    rng = random.Random(f"instructions-{seed}")
    number = 0
    while True:
        world = rng.choice(worlds)
        kind = rng.choice(("read", "read", "check", "tell"))
        fact = rng.choice(world.facts)
        prompt, answer = {"read": _read, "check": _check, "tell": _tell}[kind](world, fact, rng)
        yield instruction(
            prompt,
            answer,
            source=SOURCE,
            source_id=f"{seed}-{number}",
            licences=(LICENCE,),
            world_id=world.world_id,
            kind=kind,
        )
        number += 1


def _read(world: World, fact: Triple, rng: random.Random) -> tuple[str, str]:
    """A page and a question about it; the answer quotes the page."""
    pack = get_pack("en")
    variable_type = world.by_id[fact.object].entity_type
    clue = Clue(fact.subject, fact.relation, "?0")
    question = pack.ask("chain", [clue], {"?0": variable_type}, world.names("en"))
    answers = [f for f in world.facts_of[fact.subject] if f.relation == fact.relation]
    return f"{world.page(fact.subject, 'en').text}\n{question}", " ".join(world.sentence(f, "en") for f in answers)


def _check(world: World, fact: Triple, rng: random.Random) -> tuple[str, str]:
    """A statement that is true or false by the page above it."""
    claim, page = fact, world.page(fact.subject, "en").text
    if rng.random() < 0.5:
        others = [e.entity_id for e in world.entities if e.entity_type == world.by_id[fact.object].entity_type]
        known = {f.object for f in world.facts_of[fact.subject] if f.relation == fact.relation}
        claim = Triple(fact.subject, fact.relation, rng.choice([e for e in others if e not in known | {fact.subject}]))
    stated, true = (world.sentence(one, "en").removesuffix(".") for one in (claim, fact))
    return f"{page}\nIs it true that {stated}?", f"{'Yes' if claim == fact else 'No'}, {true}."


def _tell(world: World, fact: Triple, rng: random.Random) -> tuple[str, str]:
    """Everything but the type sentence."""
    page = world.page(fact.subject, "en")
    sentences = get_pack("en").split_sentences(page.text)
    return f"{page.text}\nWhat does the page say about {page.title}?", " ".join(sentences[1:])
