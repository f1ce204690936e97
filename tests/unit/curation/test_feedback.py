"""From failures to a demand, and from a demand to questions that join D."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.curation.curator import Curator
from sindbad.curation.feedback import DemandConfig, FailureTally, QuestionCell, cells_of, demand_of
from sindbad.curation.state import CuratorConfig, Outcome
from sindbad.curation.targeted import TargetedConfig, TargetedSynthesis, chosen, named_anew
from sindbad.curation.taxonomy import FailureClass
from sindbad.errors import DeadlineExceeded
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.languages import get_pack
from sindbad.questions.demand import Demand
from sindbad.questions.mixture import SynthesisConfig
from sindbad.questions.question import Question
from sindbad.questions.synthesis import synthesise
from tests.unit.curation.making import ENGLISH, FIRST, SECOND, act, answer, attempt

CHAIN, REVERSE = QuestionCell("chain", 3), QuestionCell("reverse", 2)


def tally(failures: dict[tuple[QuestionCell, FailureClass], int], attempts: dict[QuestionCell, int]) -> FailureTally:
    made = FailureTally(attempts=Counter(attempts), failures=Counter(failures))
    for (_, cause), count in failures.items():
        made.causes[cause] += count
    return made


def weights(demand: Demand) -> dict[tuple[str, int, str], float]:
    return {(want.kind, want.hops, want.uncertainty): want.weight for want in demand.wants}


def test_what_fails_more_is_asked_for_more() -> None:
    counts = {(CHAIN, FailureClass.RETRIEVAL_MISS): 30, (REVERSE, FailureClass.WRONG_REASONING): 10}
    demand = demand_of(tally(counts, {CHAIN: 40, REVERSE: 40}))
    assert weights(demand) == {CHAIN: 0.75, REVERSE: 0.25}
    assert demand.wants[0].why == "retrieval_miss 30 of 40 attempts"


def test_doubtful_verdicts_and_tool_faults_ask_for_nothing_and_formats_for_little() -> None:
    counts = {
        (CHAIN, FailureClass.JUDGE_DOUBT): 20,
        (CHAIN, FailureClass.TOOL_FAULT): 20,
        (REVERSE, FailureClass.FORMAT): 20,
        (QuestionCell("chain", 1), FailureClass.EVIDENCE_UNUSED): 20,
    }
    demand = demand_of(tally(counts, {CHAIN: 40, REVERSE: 40, QuestionCell("chain", 1): 40}))
    assert weights(demand) == {REVERSE: 0.2, ("chain", 1, ""): 0.8}


def test_few_attempts_mean_nothing_and_a_strangers_kind_cannot_be_asked_for() -> None:
    strange = QuestionCell("browsecomp", 1)
    counts = {(CHAIN, FailureClass.RETRIEVAL_MISS): 3, (strange, FailureClass.RETRIEVAL_MISS): 40}
    assert demand_of(tally(counts, {CHAIN: 3, strange: 40})) == Demand((), 0.5)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["chain", "reverse"]), st.integers(2, 4), st.sampled_from(["", "semantic"])),
        st.integers(0, 40),
        min_size=2,
    ),
    st.data(),
)
def test_a_cell_that_fails_more_weighs_more_and_no_other_gains_by_it(
    failed: dict[tuple[str, int, str], int], data: st.DataObject
) -> None:
    cells = {QuestionCell(*cell): count for cell, count in failed.items()}
    worse = data.draw(st.sampled_from(sorted(cells)))
    before = demand_of(tally({(c, FailureClass.BUDGET): n for c, n in cells.items()}, dict.fromkeys(cells, 50)))
    cells[worse] += data.draw(st.integers(1, 10))
    after = demand_of(tally({(c, FailureClass.BUDGET): n for c, n in cells.items()}, dict.fromkeys(cells, 50)))
    old, new = weights(before), weights(after)
    assert new[worse] >= old.get(worse, 0.0)
    assert all(new[cell] <= old[cell] + 1e-12 for cell in old if cell != worse)
    assert abs(sum(new.values()) - 1.0) < 1e-9


def test_a_question_with_two_labels_counts_in_both_cells_and_an_attempt_once() -> None:
    question = replace(ENGLISH, uncertainty=("semantic", "structural"))
    made = FailureTally()
    made.add(attempt(question, [act(FIRST), answer("?")], said="?"), question)
    made.add(attempt(question, [act(FIRST), act(SECOND)], said="Zosali Jam", reward=1.0), question)
    assert [cell.uncertainty for cell in cells_of(question)] == ["semantic", "structural"]
    assert (made.judged, made.solved, made.causes) == (2, 1, Counter({FailureClass.RETRIEVAL_MISS: 1}))
    assert set(made.attempts.values()) == {2}
    record = made.to_record()
    assert record["cells"][0] == {
        "kind": "reverse", "hops": 2, "uncertainty": "semantic", "attempts": 2, "failures": {"retrieval_miss": 1},
    }  # fmt: skip


def test_attempts_of_unknown_questions_and_unjudged_ones_are_left_out_and_counted() -> None:
    made = FailureTally()
    left = made.add_all(
        [attempt(ENGLISH), attempt(ENGLISH, reward=None), attempt(replace(ENGLISH, question_id="x"))],
        {ENGLISH.question_id: ENGLISH},
    )
    assert (left, made.judged) == (2, 1)


def made_of_a_world(graph: KnowledgeGraph, demand: Demand, seed: int) -> list[Question]:
    config = demand.applied(SynthesisConfig(questions=24))
    return synthesise(graph, "w11", [get_pack("en"), get_pack("ar")], config, seed).questions


def test_what_is_made_moves_towards_what_fails(graph: KnowledgeGraph) -> None:
    counts = {(CHAIN, FailureClass.RETRIEVAL_MISS): 36, (QuestionCell("chain", 1), FailureClass.RETRIEVAL_MISS): 1}
    demand = demand_of(tally(counts, {CHAIN: 40, QuestionCell("chain", 1): 40}), DemandConfig(share=1.0))
    asked, plain = made_of_a_world(graph, demand, 1), made_of_a_world(graph, Demand(), 1)

    def share(questions: list[Question]) -> float:
        return sum((item.kind, item.hops) == ("chain", 3) for item in questions) / len(questions)

    assert share(asked) > share(plain) + 0.2


def test_new_questions_are_new_whole_forms_and_no_more_than_asked_for(graph: KnowledgeGraph) -> None:
    made = made_of_a_world(graph, Demand(), 2)
    known = {made[0].text}
    kept = chosen(made, known, 9, seed=3)
    assert len(kept) == 8
    assert made[0].question_id.rsplit("-", 1)[0] not in {item.question_id.rsplit("-", 1)[0] for item in kept}
    assert kept == chosen(made, known, 9, seed=3)
    renamed = named_anew(kept, 5)
    assert renamed[0].question_id == kept[0].question_id.replace(f"{kept[0].world_id}-", f"{kept[0].world_id}-s5-")
    assert {item.question_id for item in renamed}.isdisjoint(item.question_id for item in made)


async def test_a_refresh_asks_for_what_failed_since_and_training_goes_on_meanwhile(
    tmp_path: Path, graph: KnowledgeGraph
) -> None:
    pool = {question.question_id: question for question in made_of_a_world(graph, Demand(), 3)}
    hard = [question for question in pool.values() if question.kind == "chain"][:2]
    asked: list[Demand] = []

    def generate(demand: Demand, seed: int) -> list[Question]:
        asked.append(demand)
        return made_of_a_world(graph, demand, 100 + seed)

    with Curator(pool, CuratorConfig(), tmp_path / "j.jsonl") as curator:
        curator.profile([Outcome(name, 4, 2) for name in pool])
        by_id = dict(pool)

        def question(name: str) -> Question:
            by_id.update({item.question_id: item for item in curator.joined})
            return by_id[name]

        config = TargetedConfig(questions=6, demand=DemandConfig(min_attempts=2))
        async with TargetedSynthesis(curator, question, generate, config) as synthesis:
            synthesis.observe(
                [attempt(item, said="?", name=f"{item.question_id}-{k}") for item in hard for k in (1, 2)]
            )
            await asyncio.sleep(0.02)
            assert asked == []
            curator.refresh("steps")
            synthesis.observe([])
            curator.next_batch(4, step=0)
            async with asyncio.timeout(20):
                while not curator.joined:  # noqa: ASYNC110 - it waits for a thread's work
                    await asyncio.sleep(0.01)
        assert {want.kind for want in asked[0].wants} == {"chain"}
        assert 0 < len(curator.joined) <= 6
        assert curator.state.last_change is not None
        assert curator.state.last_change.details["demand"]["wants"]


async def test_a_demand_that_cannot_be_met_this_time_is_told_and_the_next_refresh_asks_again(tmp_path: Path) -> None:
    said, asked = list[str](), list[int]()

    def generate(demand: Demand, seed: int) -> list[Question]:
        asked.append(seed)
        if len(asked) == 1:
            raise DeadlineExceeded("no questions within 1 s")
        return [replace(ENGLISH, question_id="new", text="Another question?")]

    with Curator([ENGLISH.question_id], CuratorConfig(), tmp_path / "j.jsonl") as curator:
        curator.profile([Outcome(ENGLISH.question_id, 4, 2)])
        config = TargetedConfig(demand=DemandConfig(min_attempts=1))
        async with TargetedSynthesis(curator, lambda _: ENGLISH, generate, config, say=said.append) as synthesis:
            for turn in (1, 2):
                curator.next_batch(1, step=turn)
                synthesis.observe([attempt(ENGLISH, said="?", name=f"t{turn}")])
                curator.refresh("manual")
                synthesis.observe([])
                async with asyncio.timeout(5):
                    while len(said) < turn:  # noqa: ASYNC110 - it waits for a thread's work
                        await asyncio.sleep(0.005)
    assert said[0] == "no new questions this time: no questions within 1 s"
    assert said[1].startswith("1 new questions joined D")
    assert len(set(asked)) == 2


async def test_a_generator_that_fails_ends_synthesis_and_nothing_else(tmp_path: Path) -> None:
    said: list[str] = []

    def generate(demand: Demand, seed: int) -> list[Question]:
        raise FileNotFoundError("no graphs here")

    with Curator([ENGLISH.question_id], CuratorConfig(), tmp_path / "j.jsonl") as curator:
        curator.profile([Outcome(ENGLISH.question_id, 4, 2)])
        config = TargetedConfig(demand=DemandConfig(min_attempts=1))
        async with TargetedSynthesis(curator, lambda _: ENGLISH, generate, config, say=said.append) as synthesis:
            synthesis.observe([attempt(ENGLISH, said="?")])
            curator.refresh("manual")
            synthesis.observe([])
            async with asyncio.timeout(5):
                while not said:  # noqa: ASYNC110 - it waits for a thread's work
                    await asyncio.sleep(0.005)
            assert curator.next_batch(1, step=0).question_ids == (ENGLISH.question_id,)
        assert curator.joined == ()
    assert "training goes on" in said[0]
