"""A search service that is gone is the platform's failure, never an observation that costs the policy its reward."""

from __future__ import annotations

import pytest

from sindbad.clients import ToolClient
from sindbad.errors import Unavailable
from sindbad.supervisor.ports import free_ports
from sindbad.tools.environment import Scope, ToolCall


async def test_an_unreachable_search_service_raises_instead_of_blaming_the_policy() -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    async with ToolClient(address) as tools:
        with pytest.raises(Unavailable):
            await tools.call(ToolCall("search", {"query": ["x"]}), Scope("w1", "en"), deadline_seconds=0.5)


async def test_a_malformed_call_is_an_observation_even_then() -> None:
    async with ToolClient(f"127.0.0.1:{free_ports(1)[0]}") as tools:
        seen = await tools.call(ToolCall("search", {"q": 1}), Scope("w1", "en"), deadline_seconds=0.5)
    assert not seen.ok
