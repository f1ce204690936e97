"""What the translator's client puts on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from sindbad.clients.translator import TranslatorClient
from sindbad.v1 import translator_pb2


async def test_texts_are_asked_for_with_the_seed_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[translator_pb2.TranslateRequest] = []

    async def call(self: TranslatorClient, method: str, request: Any, **_: Any) -> Any:
        sent.append(request)
        return translator_pb2.TranslateResponse(translations=[translator_pb2.Translation(structure_kept=True)])

    monkeypatch.setattr(TranslatorClient, "call", call)
    async with TranslatorClient("127.0.0.1:1") as client:
        await client.translate(["One."])
        await client.translate(["One."], seed=7)
    assert [request.seed for request in sent] == [0, 7]
