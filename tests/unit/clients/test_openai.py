"""The OpenAI-compatible client against a real HTTP server on the loopback interface that can be told to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from sindbad.clients.openai import ChatCompletions, OpenAISettings
from sindbad.errors import DeadlineExceeded, EngineFailure, InvalidInput, PermissionRefused, Unavailable

Answer = tuple[int, Any]


@asynccontextmanager
async def endpoint(*answers: Answer) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Gives the answers in turn, the last one for ever; keeps what it was asked and with which key."""
    asked: list[dict[str, Any]] = []

    async def chat(request: web.Request) -> web.Response:
        asked.append({**await request.json(), "key": request.headers.get("Authorization", "")})
        status, body = answers[min(len(asked), len(answers)) - 1]
        return web.json_response(body, status=status) if not isinstance(body, str) else web.Response(text=body)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield f"http://127.0.0.1:{port}/v1", asked
    finally:
        await runner.cleanup()


def said(text: str) -> Answer:
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


def settings(url: str, **more: Any) -> OpenAISettings:
    return OpenAISettings(base_url=url, model="m", **{"deadline_seconds": 5.0, **more})


async def test_a_prompt_goes_out_as_one_user_turn_and_the_text_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    async with (
        endpoint(said("yes")) as (url, asked),
        ChatCompletions(settings(url, key_variable="A_KEY", system="Be brief.")) as model,
    ):
        assert await model.reply("Is it?", max_tokens=7) == "yes"
    assert asked[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Is it?"},
    ]
    assert (asked[0]["max_tokens"], asked[0]["temperature"], asked[0]["key"]) == (7, 0.0, "Bearer secret")


async def test_half_a_surrogate_pair_in_a_reply_becomes_a_sign_that_can_be_stored() -> None:
    async with endpoint(said("cut \ud83d off 😀")) as (url, _), ChatCompletions(settings(url)) as model:
        assert await model.reply("?") == "cut \ufffd off 😀"


async def test_a_server_that_is_busy_or_down_is_asked_again() -> None:
    answers = (503, {}), (429, {}), said("at last")
    async with endpoint(*answers) as (url, asked), ChatCompletions(settings(url)) as model:
        assert await model.reply("?") == "at last"
    assert len(asked) == 3


async def test_pauses_grow_up_to_a_bound_however_long_a_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def at_once(seconds: float) -> None:
        pauses.append(seconds)

    class Away(ChatCompletions):
        async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
            if len(pauses) < 1200:
                raise Unavailable("later")
            return {"choices": [{"message": {"content": "at last"}}]}

    monkeypatch.setattr("sindbad.clients.openai.asyncio.sleep", at_once)
    assert await Away(settings("http://127.0.0.1:9/v1", deadline_seconds=1e6)).reply("?") == "at last"
    assert max(pauses[:3]) <= 0.8
    assert 15.0 < max(pauses) <= 20.0
    assert len(set(pauses[-100:])) > 90


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, {"error": "no such field"}), InvalidInput),
        ((401, {}), PermissionRefused),
        ((200, "<html>"), EngineFailure),
        ((200, {"choices": []}), EngineFailure),
        ((200, {"choices": [{"message": {"content": None}}]}), EngineFailure),
    ],
)
async def test_what_asking_again_cannot_mend_is_raised_at_once(answer: Answer, error: type[Exception]) -> None:
    async with endpoint(answer) as (url, asked), ChatCompletions(settings(url)) as model:
        with pytest.raises(error):
            await model.reply("?")
    assert len(asked) == 1


async def test_the_deadline_covers_the_retries_and_tells_what_kept_failing() -> None:
    async with endpoint((500, {})) as (url, _), ChatCompletions(settings(url, deadline_seconds=0.5)) as model:
        with pytest.raises(Unavailable, match="500"):
            await model.reply("?")


async def test_a_port_nobody_listens_on_is_unavailable_or_late() -> None:
    async with ChatCompletions(settings("http://127.0.0.1:9/v1", deadline_seconds=0.4)) as model:
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await model.reply("?")


async def test_who_asks_first_whether_anybody_is_there_is_told_long_before_a_request_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sindbad.clients.openai.AWAY_SECONDS", 0.5)
    async with endpoint(said("yes")) as (url, asked), ChatCompletions(settings(url)) as model:
        await model.check_there()  # 404 is an answer
        assert not asked
    async with ChatCompletions(settings("http://127.0.0.1:9/v1", deadline_seconds=1e6)) as model:
        with pytest.raises(Unavailable, match=r"nothing answers at http://127\.0\.0\.1:9/v1"):
            await model.check_there()
    async with ChatCompletions(settings("127.0.0.1:9/v1")) as model:
        with pytest.raises(InvalidInput, match="is no URL"):
            await model.check_there()
