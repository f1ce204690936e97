"""The peers of the questions' benchmark are right, and do no work that nobody needs."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import questions as bench
from benchmarks.questions_graph import film_graph
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.questions.compact import CompactGraph, compact
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.making import Maker, MakingConfig
from sindbad.questions.question import Question
from sindbad.questions.solver import Solver

CONFIG = MakingConfig(excerpt=ExcerptConfig(min_nodes=10, max_nodes=16))
PEERS = (bench.NetworkxVerifier, bench.IndexedVerifier)


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return film_graph(120)


@pytest.fixture(scope="module")
def numbers(graph: KnowledgeGraph) -> CompactGraph:
    return compact(graph)


@pytest.fixture(scope="module")
def questions(graph: KnowledgeGraph, numbers: CompactGraph) -> list[Question]:
    made = Maker(graph, numbers, CONFIG, 3).batch(0, 30).made
    return [item.questions[0] for item in made]


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_gives_the_answers_that_ours_gives(
    peer: type[bench.NetworkxVerifier], numbers: CompactGraph, questions: list[Question]
) -> None:
    ours, verifier = Solver(numbers), peer(bench.multigraph(numbers), numbers, Solver(numbers))
    sizes = set()
    for question in questions:
        answers = ours.answers(question.clues, question.target)
        assert verifier.answers(question.clues, question.target) == answers
        sizes.add(min(len(answers), 2))
        for at in range(len(question.clues)):  # less said, more answers
            fewer = [*question.clues[:at], *question.clues[at + 1 :]]
            if any(question.target in (clue.subject, clue.object) for clue in fewer):
                wider = ours.answers(fewer, question.target)
                assert verifier.answers(fewer, question.target) == wider
                sizes.add(min(len(wider), 2))
    assert sizes == {1, 2}


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_lists_the_options_of_the_clue_that_it_takes_and_of_no_other(
    peer: type[bench.NetworkxVerifier],
    numbers: CompactGraph,
    questions: list[Question],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verifier, listed = peer(bench.multigraph(numbers), numbers, Solver(numbers)), [0]
    whole: Any = peer._options

    def counted(self: bench.NetworkxVerifier, *given: Any) -> Any:
        listed[0] += 1
        return whole(self, *given)

    monkeypatch.setattr(peer, "_options", counted)
    in_all = 0
    for question in questions:
        listed[0] = 0
        verifier.answers(question.clues, question.target)
        assert listed[0] <= verifier._steps
        in_all += listed[0]
    assert in_all > len(questions)


def test_both_peers_make_questions_and_the_same_ones(graph: KnowledgeGraph, numbers: CompactGraph) -> None:
    made = [maker.batch(0, 10).made for maker in bench.networkx_makers(graph, numbers, CONFIG).values()]
    texts = [[question.text for item in some for question in item.questions] for some in made]
    assert texts[0] == texts[1]
    assert len(texts[0]) >= 10
