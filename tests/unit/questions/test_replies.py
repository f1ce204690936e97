"""`questions reword` pays for a reply once, whatever becomes of the process."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.questions_graph import film_graph
from sindbad.cli.main import app
from sindbad.errors import Overloaded, Unavailable
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.questions.compact import compact
from sindbad.questions.excerpts import ExcerptConfig
from sindbad.questions.making import Maker, MakingConfig
from sindbad.questions.question import Question
from sindbad.questions.replies import ReplyBook
from sindbad.questions.rewording import reword_all
from sindbad.questions.store import load_questions, save_questions
from tests.unit.corpus.chat_server import ChatServer, serving


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return film_graph(120)


@pytest.fixture(scope="module")
def questions(graph: KnowledgeGraph) -> list[Question]:
    config = MakingConfig(excerpt=ExcerptConfig(min_nodes=10, max_nodes=16))
    made = Maker(graph, compact(graph), config, 3).batch(0, 20).made
    return [question for item in made for question in item.questions if question.language == "en"][:8]


def polite(prompt: str) -> str:
    return "Please tell me: " + prompt.rsplit("\n\n", 1)[1]


class Killed(BaseException):
    """The process is gone: nothing above runs on."""


class Paid:
    """A model that counts what it is asked; the process dies at one call, and one more call fails."""

    def __init__(self, dies_at: int = -1, fails_at: int = -1) -> None:
        self.prompts: list[str] = []
        self._dies_at, self._fails_at = dies_at, fails_at

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        if len(self.prompts) == self._dies_at:
            raise Killed
        self.prompts.append(prompt)
        if len(self.prompts) - 1 == self._fails_at:
            raise Unavailable("gone")
        return polite(prompt)


async def test_replies_from_before_a_kill_are_not_asked_for_again(
    tmp_path: Path, graph: KnowledgeGraph, questions: list[Question]
) -> None:
    first, second, third = Paid(dies_at=5, fails_at=2), Paid(), Paid()
    with ReplyBook(tmp_path / "r.jsonl", "m", first) as book, pytest.raises(Killed):
        await reword_all(questions, graph, book)
    with (tmp_path / "r.jsonl").open("a") as file:
        file.write('{"key": "half a li')
    with ReplyBook(tmp_path / "r.jsonl", "m", second) as book:
        done = await reword_all(questions, graph, book)
    paid = [prompt for number, prompt in enumerate(first.prompts) if number != 2]
    assert len(paid) == 4
    assert sorted(paid + second.prompts) == sorted({*first.prompts, *second.prompts})
    assert done.reworded == len(questions) == book.asked + len(paid)
    with ReplyBook(tmp_path / "r.jsonl", "another model", third) as book:
        await reword_all(questions, graph, book)
    assert len(third.prompts) == len(questions)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with ReplyBook(tmp_path / "r.jsonl", "m", Paid()), pytest.raises(Overloaded, match="another process"):
        ReplyBook(tmp_path / "r.jsonl", "m", Paid())


def test_the_command_asks_an_endpoint_once_and_its_second_run_not_at_all(
    tmp_path: Path, graph: KnowledgeGraph, questions: list[Question]
) -> None:
    graph.save(tmp_path / "graph.jsonl")
    save_questions(tmp_path / "q.jsonl", questions)
    with serving(ChatServer(polite)) as server:
        words = ["questions", "reword", str(tmp_path / "q.jsonl"), "--graph", str(tmp_path / "graph.jsonl"), "--out",
                 str(tmp_path / "out.jsonl"), "--model", "m"]  # fmt: skip
        for _ in range(2):
            done = CliRunner().invoke(app, [*words, "--base-url", server.url])
            assert done.exit_code == 0, (done.output, done.exception)
            assert f"{len(questions)} of {len(questions)} reworded" in done.output
            assert len(server.answered) == len(questions)
    assert [question.wording for question in load_questions(tmp_path / "out.jsonl")] == ["model"] * len(questions)
    assert CliRunner().invoke(app, [*words, "--base-url", server.url]).exit_code == 0  # nobody is needed any more


@pytest.mark.parametrize(
    "where", [("--base-url", "http://127.0.0.1:9/v1"), ("--policy", "127.0.0.1:9", "--tokenizer", "nowhere")]
)
def test_the_command_says_that_nobody_is_there_before_it_asks(
    tmp_path: Path, graph: KnowledgeGraph, questions: list[Question], where: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("sindbad.clients.replicas.AWAY_SECONDS", 0.3)
    monkeypatch.setattr("sindbad.clients.openai.AWAY_SECONDS", 0.3)
    graph.save(tmp_path / "graph.jsonl")
    save_questions(tmp_path / "q.jsonl", questions)
    done = CliRunner().invoke(app, ["questions", "reword", str(tmp_path / "q.jsonl"), "--graph",
                                    str(tmp_path / "graph.jsonl"), "--out", str(tmp_path / "out.jsonl"), "--model", "m",
                                    *where])  # fmt: skip
    assert isinstance(done.exception, Unavailable)
    assert "127.0.0.1:9" in done.exception.message
    assert not (tmp_path / "out.jsonl").exists()
