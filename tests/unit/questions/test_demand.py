"""What a run asks for reaches the quotas (targeted synthesis)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sindbad.demo.world import World
from sindbad.errors import InvalidInput
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.languages import LanguagePack
from sindbad.questions import Clue, Demand, Question, SynthesisConfig, Want, synthesise
from sindbad.questions.mixture import quotas

DEMAND = Demand((Want("chain", 4, "semantic", 3.0, "retrieval_miss: 9 of 20"), Want("reverse", 1, "", 1.0)), 0.5)


def test_a_demand_survives_json() -> None:
    assert Demand.from_record(json.loads(json.dumps(DEMAND.to_record()))) == DEMAND


@pytest.mark.parametrize("other", [{}, {"id": "q1", "answer": "Tavel"}, {**DEMAND.to_record(), "shares": 1}])
def test_another_mapping_is_no_demand(other: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="a demand"):
        Demand.from_record(other)


def test_half_of_the_quotas_follow_a_demand_of_one_half() -> None:
    plain, asked = SynthesisConfig(questions=100), DEMAND.applied(SynthesisConfig(questions=100))
    before, after = quotas(plain.weights, 100), quotas(asked.weights, 100)
    assert sum(after.values()) == 100
    assert after["chain", 4] == pytest.approx(before["chain", 4] / 2 + 37.5, abs=1.5)
    assert after["reverse", 1] == pytest.approx(before["reverse", 1] / 2 + 12.5, abs=1.5)
    assert plain.weights == plain.mix


def test_the_uncertainty_asked_for_is_the_cell_s_own() -> None:
    asked = DEMAND.applied(SynthesisConfig())
    whole = asked.weights["chain"][4]
    assert asked.share_of(("chain", 4), "semantic", 0.0) == pytest.approx(0.375 / whole)
    assert asked.share_of(("chain", 1), "semantic", 0.25) == 0.25
    assert asked.share_of(("reverse", 1), "semantic", 0.0) == 0.0


def test_a_configuration_with_a_demand_survives_json_and_yaml_keys() -> None:
    asked = DEMAND.applied(SynthesisConfig())
    assert SynthesisConfig.model_validate_json(asked.model_dump_json()) == asked
    assert SynthesisConfig.model_validate({"wanted": {"count:2:semantic": 1}}).wanted == {("count", 2, "semantic"): 1.0}


@pytest.mark.parametrize("want", [Want("chain", 0), Want("chain", 1, "", 0.0)])
def test_an_impossible_want_is_refused(want: Want) -> None:
    with pytest.raises(InvalidInput):
        Demand((want,))


def test_a_demand_for_vague_questions_gives_them(
    graph: KnowledgeGraph, world: World, packs: list[LanguagePack]
) -> None:
    config = SynthesisConfig(questions=30, fill=False, mix={"chain": {1: 1.0}})
    made = synthesise(graph, world.world_id, packs, Demand((Want("chain", 2, "semantic"),), 1.0).applied(config), 0)
    assert made.questions
    assert {question.hops for question in made.questions} == {2}
    assert any("semantic" in question.uncertainty for question in made.questions)


def test_a_record_written_before_the_later_fields_reads_and_writes_the_same() -> None:
    record = {
        "question_id": "q", "world_id": "w", "language": "en", "text": "t", "kind": "chain",
        "clues": [{"subject": "a", "relation": "r", "object": "?0"}], "target": "?0", "answer_id": "b", "answer": "B",
        "aliases": (), "hops": 1, "uncertainty": (), "difficulty": 1.0, "evidence": (), "split": "train", "orbit": 0,
        "subgraph_hash": "", "topology": "", "distractors": (),
    }  # fmt: skip
    question = Question.from_record(record)
    assert question.clues == (Clue("a", "r", "?0"),)
    assert json.dumps(question.to_record()) == json.dumps(record)
