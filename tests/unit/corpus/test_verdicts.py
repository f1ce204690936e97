"""A judge's verdicts on disk: each pair is asked about once, and what cannot be parsed is a rejection that stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from sindbad.clients.openai import OpenAISettings
from sindbad.corpus.bilingual_settings import JudgeConnection
from sindbad.corpus.silence import NO_VERDICTS
from sindbad.corpus.verdicts import VerdictBook, judging, reason_of
from sindbad.errors import EngineFailure, InvalidInput, NotFound, Overloaded, Unavailable
from sindbad.translation.judges import Verdict, parse_verdict
from sindbad.translation.train_teacher import FOLDER
from tests.unit.corpus.chat_server import ChatServer, serving

PAIRS = [(f"Sentence {n}.", f"جملة {n}.") for n in range(6)]


class Judge:
    """Says what a table says, and remembers whom it was asked about."""

    def __init__(self, replies: dict[str, str | Exception]) -> None:
        self.replies = replies
        self.asked: list[str] = []

    async def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        ((text, _),) = pairs
        self.asked.append(text)
        reply = self.replies.get(text, "accept")
        if isinstance(reply, Exception):
            raise reply
        return [parse_verdict(reply)]


def endpoint(url: str = "http://x/v1", **more: object) -> JudgeConnection:
    return JudgeConnection(endpoint=OpenAISettings.model_validate({"base_url": url, "model": "qwen", **more}))


async def test_a_pair_is_asked_about_once_in_one_run_and_over_two(tmp_path: Path) -> None:
    judge, again = Judge({PAIRS[1][0]: "reject", PAIRS[2][0]: "Well."}), Judge({})
    with VerdictBook(tmp_path / "v.jsonl", "a") as book:
        first = await book.judge(judge, [*PAIRS, *PAIRS], in_flight=3)
        assert book.asked == 6
    with VerdictBook(tmp_path / "v.jsonl", "a") as book:
        assert await book.judge(again, [*PAIRS, *PAIRS]) == [Verdict(one.accept, one.reason) for one in first]
    assert sorted(judge.asked) == sorted(text for text, _ in PAIRS)
    assert again.asked == []
    assert [reason_of(one) for one in first[:4]] == ["", "judge_reject", "judge_unparsable", ""]


async def test_what_was_answered_before_a_failure_is_kept(tmp_path: Path) -> None:
    with VerdictBook(tmp_path / "v.jsonl", "a") as book, pytest.raises(Unavailable):
        await book.judge(Judge({PAIRS[4][0]: Unavailable("gone")}), PAIRS, in_flight=1)
    judge = Judge({})
    with VerdictBook(tmp_path / "v.jsonl", "a") as book:
        assert all(one.accept for one in await book.judge(judge, PAIRS))
    assert judge.asked == [PAIRS[4][0], PAIRS[5][0]]


async def test_a_pair_that_cannot_be_asked_is_rejected_and_may_be_asked_again(tmp_path: Path) -> None:
    for number, reply in enumerate((InvalidInput("too long"), "accept")):
        with VerdictBook(tmp_path / "v.jsonl", "a") as book:
            verdicts = await book.judge(Judge({PAIRS[0][0]: reply}), PAIRS)
        assert reason_of(verdicts[0]) == ("judge_refused", "")[number]
        assert all(one.accept for one in verdicts[1:])


async def test_a_server_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    """A parameter that it does not know would else reject a million pairs."""
    pairs = [(f"Sentence {n}.", f"جملة {n}.") for n in range(40)]
    with VerdictBook(tmp_path / "v.jsonl", "a") as book:
        with pytest.raises(InvalidInput, match="no such field"):
            await book.judge(Judge({text: InvalidInput("no such field") for text, _ in pairs}), pairs)
        assert all(one.accept for one in await book.judge(Judge({}), pairs))


MANY = [(f"Sentence {n}.", f"جملة {n}.") for n in range(30)]


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_judge_without_a_verdict_ends_the_run_and_is_asked_again(tmp_path: Path, in_flight: int) -> None:
    """Over calls and a kill: what it said is no rejection, what another judge said before it is kept."""
    said: dict[str, str | Exception] = {text: "accept" if n < 5 else "" for n, (text, _) in enumerate(MANY)}
    with VerdictBook(tmp_path / "v.jsonl", "a", judge="qwen", silent=9) as book:
        await book.judge(Judge(said), MANY[:10], in_flight=1)
    with VerdictBook(tmp_path / "v.jsonl", "a", judge="qwen", silent=9) as book:
        await book.judge(Judge(said), MANY[:14], in_flight=1)
        expected = "qwen had no verdict on 9 pairs in succession, lastly: unparsable: ''.* judge.silent_pairs"
        with pytest.raises(EngineFailure, match=expected) as failure:
            await book.judge(Judge(said), MANY, in_flight=in_flight)
        assert failure.value.reason == NO_VERDICTS
    good = Judge({})
    with VerdictBook(tmp_path / "v.jsonl", "a", silent=9) as book:
        assert all(one.accept for one in await book.judge(good, MANY))
    assert good.asked == [text for text, _ in MANY[5:]]


async def test_rejections_and_a_verdict_now_and_then_end_no_run(tmp_path: Path) -> None:
    for name, silent, every in (("a", 5, "reject"), ("b", 5, "?"), ("c", None, "")):
        said: dict[str, str | Exception] = {
            text: every if n % 5 or silent is None else "accept" for n, (text, _) in enumerate(MANY)
        }
        with VerdictBook(tmp_path / name, "a", silent=silent) as book:
            rejected = [one for one in await book.judge(Judge(said), MANY, in_flight=1) if not one.accept]
        assert len(rejected) == (24 if silent else 30)
        with VerdictBook(tmp_path / name, "a", silent=silent) as book:
            await book.judge(again := Judge({}), MANY)
        assert again.asked == []  # an unparsable reply among others stays the rejection that it is


async def test_texts_that_are_refused_in_succession_are_counted_too(tmp_path: Path) -> None:
    said: dict[str, str | Exception] = {
        text: InvalidInput("too long") if n else "accept" for n, (text, _) in enumerate(MANY)
    }
    with (
        VerdictBook(tmp_path / "v.jsonl", "a", silent=20) as book,
        pytest.raises(EngineFailure, match="lastly: refused: too long"),
    ):
        await book.judge(Judge(said), MANY, in_flight=1)


async def test_another_judge_is_asked_anew_and_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    one, other = endpoint().identity("en", "ar"), endpoint(system="Be strict.").identity("en", "ar")
    assert len({one, other, endpoint().identity("ar", "en")}) == 3
    assert endpoint("http://elsewhere/v1").identity("en", "ar") == one  # a server may move
    for identity in (one, other):
        judge = Judge({})
        with VerdictBook(tmp_path / "v.jsonl", identity) as book:
            await book.judge(judge, PAIRS)
            with pytest.raises(Overloaded):
                VerdictBook(tmp_path / "v.jsonl", identity)
        assert len(judge.asked) == len(PAIRS)


async def test_a_reply_without_text_is_no_verdict_and_so_a_rejection(tmp_path: Path) -> None:
    with serving(ChatServer(lambda prompt: None if "Sentence 0" in prompt else "Accept.")) as server:
        connection = endpoint(server.url)
        async with judging(connection) as judge:
            with VerdictBook(tmp_path / "v.jsonl", connection.identity("en", "ar")) as book:
                verdicts = await book.judge(judge, PAIRS)
    assert [reason_of(one) for one in verdicts] == ["judge_unparsable", "", "", "", "", ""]


@pytest.mark.slow
async def test_weights_of_ours_judge_by_the_same_prompt(tmp_path: Path) -> None:
    """The demo's teacher only translates: it never says one of the two words, and nothing is kept."""
    connection = JudgeConnection(model=FOLDER)
    async with judging(connection) as judge:
        with VerdictBook(tmp_path / "v.jsonl", connection.identity("en", "ar")) as book:
            assert {reason_of(one) for one in await book.judge(judge, PAIRS[:2])} == {"judge_unparsable"}
    with pytest.raises(NotFound):
        async with judging(JudgeConnection(model=tmp_path)):
            pass


def test_a_judge_is_exactly_one_model() -> None:
    both = {"endpoint": {"base_url": "http://x/v1", "model": "m"}, "model": "folder"}
    for wrong in ({}, both, {"policy": ["a:1"]}):
        with pytest.raises(ValidationError):
            JudgeConnection.model_validate(wrong)
    assert JudgeConnection.model_validate({"policy": ["a:1"], "model": "m/folder"}).name == "folder"
