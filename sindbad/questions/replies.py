"""A model's replies on disk: what was paid for once is not asked for again, by a run that goes on after a kill.

Invariant: a reply is in the journal before anybody reads it. Its key is a hash of the model (name, how it is asked) and
of the prompt, so another model or prompt is asked anew, and whether a reply is any good is decided again at every run.
A call that failed is not kept. Memory: every reply. One process at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sindbad.clients.openai import TextModel
from sindbad.errors import Overloaded
from sindbad.journal import Journal, Place, Record

_INFO_SECONDS = 60.0


class ReplyBook:
    """A :class:`~sindbad.clients.openai.TextModel` that asks another one, once a prompt.

    Args:
        identity: tells models apart; without their address, which may change.

    Attributes:
        asked: replies that this process paid for.

    Raises:
        Overloaded: another process writes the file. Corrupt: it is no such journal.
    """

    def __init__(self, path: Path, identity: str, model: TextModel) -> None:
        self.asked = 0
        self._identity, self._model = identity, model
        self._known: dict[str, str] = {}
        busy = Overloaded(f"{path} is written by another process; wait for it, or write elsewhere")
        self._journal = Journal(path, self._take, busy=busy)

    def _take(self, record: Record, _place: Place) -> None:
        self._known[str(record["key"])] = str(record["reply"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()

    def lacks(self, prompts: Iterable[str]) -> bool:
        """Whether the model will have to be asked for one of them."""
        return any(self._key(prompt) not in self._known for prompt in prompts)

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        """See the protocol; a known reply comes at once. Raises what the model raises, and OSError for a full disk."""
        key = self._key(prompt)
        if key not in self._known:
            said = await self._model.reply(prompt, max_tokens=max_tokens)
            self._journal.append({"key": key, "reply": said})
            self._known[key] = said
            self.asked += 1
        return self._known[key]

    def _key(self, prompt: str) -> str:
        return hashlib.sha256(json.dumps([self._identity, prompt]).encode()).hexdigest()[:32]


async def policy_identity(addresses: Sequence[str]) -> str:
    """What a policy service says it serves: its weights as they are now. Raises as the client does."""
    from sindbad.clients.policy import PolicyClient
    from sindbad.clients.replicas import AWAY_SECONDS

    async with PolicyClient(list(addresses), patience_seconds=AWAY_SECONDS) as client:
        info = await client.info(deadline_seconds=_INFO_SECONDS)
    return f"policy {info.engine} {info.tokenizer_sha256} {info.version}"
