"""A language model behind an OpenAI-compatible endpoint: text in, text out, for roles that a model plays.

Teachers, judges, page readers and extractors may be somebody else's server (vLLM, llama.cpp, a hosted model); the
policy that is trained never is, because its tokens must come back as they were sampled. Covered: ``/chat/completions``
without streaming, retries with back-off where the server says "later", one deadline over all of them. Not covered:
tools, images, streaming. aiohttp is imported when the first request is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from sindbad.clients.replicas import AWAY_SECONDS, Backoff
from sindbad.errors import (
    DeadlineExceeded,
    EngineFailure,
    InvalidInput,
    NotFound,
    Overloaded,
    PermissionRefused,
    SindbadError,
    Unavailable,
)
from sindbad.textfiles import parsed

if TYPE_CHECKING:
    import aiohttp

LONGEST_REPLY_BYTES = 8 * 1024 * 1024
NO_TEXT = "NO_TEXT"
"""Reason of the failure where a reply is as it should be, but for words."""
PAUSES = Backoff(first_seconds=0.2, longest_seconds=20.0)


class TextModel(Protocol):
    """Anything that answers a prompt with text."""

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        """The model's words, without the end of its turn. Raises SindbadError."""
        ...


class OpenAISettings(BaseModel):
    """Where the model is and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str
    """Up to and including the version, for example http://127.0.0.1:8000/v1."""
    model: str
    """The model's name there."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; unset sends none. The key itself is never stored."""
    temperature: float = Field(default=0.0, ge=0.0)
    """0 is greedy."""
    system: str = ""
    """A system message before every prompt; empty sends none."""
    deadline_seconds: float = Field(default=120.0, gt=0.0)
    """Longest one reply may take, retries included."""
    parallel: int = Field(default=16, ge=1)
    """Requests at once; further ones wait."""
    extra: Mapping[str, Any] = Field(default_factory=dict)
    """Further fields of the request, as the server knows them."""


class ChatCompletions:
    """Asks one endpoint. Belongs to the event loop it is first used in; ``async with`` closes its connections."""

    def __init__(self, settings: OpenAISettings) -> None:
        self.settings = settings
        self._slots = asyncio.Semaphore(settings.parallel)
        self._session: aiohttp.ClientSession | None = None
        self._rng = random.Random()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def check_there(self) -> None:
        """Return as soon as anything answers at the address, whatever it says. Raises Unavailable where nothing does:
        a long work says so at its beginning, not after every request's own deadline."""
        import aiohttp

        url, failures = f"{self.settings.base_url.rstrip('/')}/models", itertools.count(1)
        last: Exception | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AWAY_SECONDS):
                while True:
                    try:
                        async with self._opened().get(url, allow_redirects=False):
                            return
                    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
                        raise InvalidInput(f"{self.settings.base_url!r} is no URL") from error
                    except aiohttp.ClientError as error:
                        last = error
                    await asyncio.sleep(PAUSES.delay(next(failures), self._rng))
        why = f": {type(last).__name__}" if last else f" within {AWAY_SECONDS:g} s"
        raise Unavailable(
            f"nothing answers at {self.settings.base_url}{why}; is the server of {self.settings.model} up?"
        )

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        """The reply to one user turn. See :meth:`chat`."""
        return await self.chat([{"role": "user", "content": prompt}], max_tokens=max_tokens)

    async def chat(self, messages: Sequence[Mapping[str, str]], *, max_tokens: int = 512) -> str:
        """The assistant's text. Raises as :meth:`ask` does; EngineFailure/NO_TEXT where the reply holds none."""
        return _text(await self.ask(messages, max_tokens=max_tokens))

    async def ask(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int = 512, **fields: Any
    ) -> dict[str, Any]:
        """The whole reply as the server sent it; ``fields`` are added to the request (``temperature``, ``tools``, …).

        Raises:
            DeadlineExceeded: no reply in time (or what kept failing until then). PermissionRefused: the key is refused.
            InvalidInput: the server says that the request is wrong. EngineFailure: the reply is no JSON object.
        """
        limit = self.settings.deadline_seconds
        last: SindbadError | None = None
        try:
            async with asyncio.timeout(limit), self._slots:
                for failures in itertools.count(1):
                    try:
                        return await self._ask({**self._request(messages, max_tokens), **fields})
                    except (Unavailable, Overloaded) as error:
                        last = error
                    await asyncio.sleep(PAUSES.delay(failures, self._rng))
        except TimeoutError:
            pass
        raise last or DeadlineExceeded(f"{self.settings.base_url} did not answer within {limit:g} s")

    def _request(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> dict[str, Any]:
        chosen = self.settings
        system = [{"role": "system", "content": chosen.system}] if chosen.system else []
        turns = [*system, *map(dict, messages)]
        asked = {"model": chosen.model, "messages": turns, "max_tokens": max_tokens, "temperature": chosen.temperature}
        return {**asked, **chosen.extra}

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        import aiohttp

        session = self._opened()
        key = os.environ.get(self.settings.key_variable, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = f"{self.settings.base_url.rstrip('/')}/chat/completions"
        try:
            async with session.post(url, json=request, headers=headers, allow_redirects=False) as response:
                body = await _body(response)
                if response.status != 200:
                    raise _failure(url, response.status, body)
        except aiohttp.ClientError as error:
            raise Unavailable(f"{url} cannot be reached: {type(error).__name__}") from error
        try:
            reply = parsed(body.decode("utf-8"))
        except ValueError as error:
            raise EngineFailure(f"{url} answered with something that is not JSON") from error
        if not isinstance(reply, dict):
            raise EngineFailure(f"{url} answered with JSON that is no object")
        return reply

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        return self._session


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, at most :data:`LONGEST_REPLY_BYTES` of it. Raises EngineFailure for more."""
    body = bytearray()
    async for part in response.content.iter_chunked(65_536):
        body += part
        if len(body) > LONGEST_REPLY_BYTES:
            raise EngineFailure(f"{response.url} answers with more than {LONGEST_REPLY_BYTES} bytes")
    return bytes(body)


def _failure(url: str, status: int, body: bytes) -> SindbadError:
    """A status as the error that it means."""
    said = body[:300].decode("utf-8", "replace")
    message = f"{url} answered {status}: {said}"
    if status in (401, 403):
        return PermissionRefused(f"{url} answered {status}: set the key in the variable that `key_variable` names")
    if status == 429:
        return Overloaded(message)
    if status == 404:
        return NotFound(message)
    if status >= 500 or status == 408:
        return Unavailable(message)
    return InvalidInput(message)


def _text(reply: Any) -> str:
    try:
        text = reply["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise EngineFailure("the endpoint's reply holds no choices[0].message.content", reason=NO_TEXT) from error
    if not isinstance(text, str):
        raise EngineFailure("the endpoint's reply holds no text; is it a model that calls tools?", reason=NO_TEXT)
    return text
