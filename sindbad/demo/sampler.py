"""Quick questions over a world, straight from its facts, for training the base model.

The mission's own questions come from :mod:`sindbad.questions` (through the tools, verified); these have the same
logical forms and the same mix, without the search for subgraphs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from sindbad.demo.relations import BY_ID
from sindbad.demo.world import Triple, World
from sindbad.languages import get_pack
from sindbad.questions.question import Clue, Question

Cell = tuple[str, int]
MIX: Mapping[Cell, float] = {
    ("chain", 1): 2.0,
    ("chain", 2): 3.0,
    ("chain", 3): 2.0,
    ("chain", 4): 1.0,
    ("reverse", 1): 1.5,
    ("reverse", 2): 1.5,
    ("reverse", 3): 0.5,
    ("intersection", 2): 1.0,
    ("intersection", 3): 0.5,
}
"""Weight of (kind, number of clues)."""
_TRIES = 200


def sample_question(world: World, language: str, rng: random.Random, mix: Mapping[Cell, float] = MIX) -> Question:
    """One question, drawn by ``mix``; a form that this world cannot fill is drawn again."""
    cells = list(mix)
    for _ in range(_TRIES):
        kind, hops = rng.choices(cells, [mix[cell] for cell in cells])[0]
        path = _draw(world, rng, kind, hops)
        if path is not None:
            return _worded(world, language, kind, *path, number=rng.getrandbits(48))
    raise AssertionError("no world is so poor that nothing can be asked about it")


def _draw(world: World, rng: random.Random, kind: str, hops: int) -> tuple[list[Triple], list[Triple]] | None:
    start = rng.choice(world.entities).entity_id
    heads: list[Triple] = []
    if kind == "reverse":
        heads = _pick(rng, [f for f in world.facts_of[start] if _fans(world, f) == 1], 1)
    elif kind == "intersection":
        heads = _pick(rng, [f for f in world.facts_of[start] if _fans(world, f) > 1], 2)
        if len(heads) == 2 and len(set(world.subjects_of[_key(heads[0])]) & set(world.subjects_of[_key(heads[1])])) > 1:
            return None
    wanted = {"chain": 0, "reverse": 1, "intersection": 2}[kind]
    path = _walk(world, rng, start, hops - wanted, {start, *(fact.object for fact in heads)})
    return (heads, path) if len(heads) == wanted and path is not None else None


def _walk(world: World, rng: random.Random, start: str, hops: int, met: set[str]) -> list[Triple] | None:
    path: list[Triple] = []
    node = start
    for _ in range(hops):
        ways = [fact for fact in world.facts_of[node] if BY_ID[fact.relation].functional and fact.object not in met]
        if not ways:
            return None
        path.append(rng.choice(ways))
        node = path[-1].object
        met.add(node)
    return path


def _pick(rng: random.Random, facts: Sequence[Triple], count: int) -> list[Triple]:
    return rng.sample(facts, count) if len(facts) >= count else []


def _key(fact: Triple) -> tuple[str, str]:
    return fact.relation, fact.object


def _fans(world: World, fact: Triple) -> int:
    return len(world.subjects_of[_key(fact)])


def _worded(
    world: World, language: str, kind: str, heads: Sequence[Triple], path: Sequence[Triple], number: int
) -> Question:
    start = "?0" if heads else path[0].subject
    clues = [Clue("?0", fact.relation, fact.object) for fact in heads]
    types = {"?0": world.by_id[heads[0].subject].entity_type} if heads else {}
    for fact in path:
        following = f"?{len(types)}"
        clues.append(Clue(start, fact.relation, following))
        types[following] = BY_ID[fact.relation].range
        start = following
    answer = path[-1].object if path else heads[0].subject
    return Question(
        question_id=f"{world.world_id}-{number:012x}",
        world_id=world.world_id,
        language=language,
        text=get_pack(language).ask(kind, clues, types, world.names(language)),
        kind=kind,
        clues=tuple(clues),
        target=start,
        answer_id=answer,
        answer=world.name(answer, language),
        hops=len(clues),
    )
