from __future__ import annotations

from pathlib import Path

import pytest

from sindbad.demo.names import FIRST_PIECES, NEXT_PIECES, arabic_piece
from sindbad.demo.relations import RELATIONS
from sindbad.demo.world import build_world, read_pages, write_encyclopedia
from sindbad.errors import InvalidInput
from sindbad.languages import LANGUAGES, get_pack


def test_name_pieces_stay_distinct_in_both_scripts() -> None:
    for pieces in (FIRST_PIECES, NEXT_PIECES):
        assert len(set(pieces)) == len(pieces) == 60
        assert len({arabic_piece(piece) for piece in pieces}) == 60


@pytest.mark.parametrize("seed", range(5))
def test_a_world_has_unique_names_and_every_functional_relation(seed: int) -> None:
    world = build_world(seed)
    for language in LANGUAGES:
        assert len(set(world.names(language).values())) == len(world.entities)
    for entity in world.entities:
        for relation in RELATIONS:
            if relation.domain == entity.entity_type:
                objects = world.objects(entity.entity_id, relation.relation_id)
                assert len(objects) == len(set(objects)) >= 1
                assert not relation.functional or len(objects) == 1
                assert all(world.by_id[o].entity_type == relation.range for o in objects)
                assert entity.entity_id not in objects


def test_symmetric_relations_hold_both_ways_and_capitals_lie_in_their_country() -> None:
    world = build_world(3)
    for relation in (r.relation_id for r in RELATIONS if r.symmetric):
        for fact in (f for f in world.facts if f.relation == relation):
            assert fact.subject in world.objects(fact.object, relation)
    for fact in (f for f in world.facts if f.relation == "capital"):
        assert world.objects(fact.object, "located_in") == (fact.subject,)


def test_worlds_are_redrawn_but_a_seed_repeats() -> None:
    assert build_world(1) == build_world(1)
    ours, theirs = (set(build_world(seed).names("en").values()) for seed in (1, 2))
    assert len(ours & theirs) < 20


def test_pages_are_prose_that_reads_back_to_the_facts_of_their_own_subject() -> None:
    world = build_world(4)
    for language in LANGUAGES:
        pack = get_pack(language)
        for page in world.pages(language):
            sentences = pack.split_sentences(page.text)
            assert 4 <= len(sentences) <= 6
            facts = [pack.parse(sentence) for sentence in sentences]
            assert all(fact is not None and fact.subject == page.title for fact in facts)
            entity_id = world.find(page.title, language)
            assert entity_id is not None
            stated = {(f.relation, world.find(f.object, language)) for f in facts[1:] if f is not None}
            assert stated == {(f.relation, f.object) for f in world.facts_of[entity_id]}


def test_the_encyclopedia_is_written_deterministically_and_read_back(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_encyclopedia(tmp_path / name, [7, 8], entities=30)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    pages = read_pages(tmp_path / "a" / "pages-ar.jsonl")
    assert {page.corpus for page in pages} == {"w0007", "w0008"}
    assert get_pack("ar").looks_native(pages[0].text)


def test_too_small_a_world_is_refused() -> None:
    with pytest.raises(InvalidInput):
        build_world(0, entities=5)
