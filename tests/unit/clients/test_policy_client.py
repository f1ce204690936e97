from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from services.runtime import RunningService, ServiceContext, start_service
from sindbad.clients import PolicyClient
from sindbad.clients.replicas import Backoff
from sindbad.engines.protocol import FinishReason, SamplingParams, complete
from sindbad.errors import InvalidInput, NoModel, Overloaded, Unavailable, WeightsBehind
from sindbad.v1 import policy_pb2, policy_pb2_grpc
from tests.unit.runtime.echo import POLICY, CountingPolicy, EchoSettings, servicer_of

QUICK = Backoff(first_seconds=0.01, longest_seconds=0.05)


class ContinuingPolicy(CountingPolicy):
    """The next token is the last one plus one: so a stream that went on elsewhere shows no seam, or does."""

    async def Generate(
        self, request: policy_pb2.GenerateRequest, context: Any
    ) -> AsyncIterator[policy_pb2.GenerateResponse]:
        first = request.prompt_token_ids[-1]
        async for message in super().Generate(request, context):
            message.token_ids[0] += first
            yield message


async def start(policy: Any, **settings: Any) -> RunningService:
    async def build(_: EchoSettings, context: ServiceContext) -> None:
        context.add_servicer(policy_pb2_grpc.add_PolicyServicer_to_server, policy, service_name=POLICY)
        context.set_serving(POLICY, True)

    return await start_service("policy", EchoSettings(drain_seconds=0, **settings), build)


@asynccontextmanager
async def two_replicas(**kwargs: Any) -> AsyncIterator[tuple[PolicyClient, list[RunningService]]]:
    services = [await start(ContinuingPolicy(version, **kwargs)) for version in (1, 2)]
    client = PolicyClient([s.address for s in services], backoff=QUICK, deadline_seconds=5)
    try:
        yield client, services
    finally:
        await client.close()
        await asyncio.gather(*(service.stop(grace=0) for service in services))


async def test_a_generation_arrives_whole() -> None:
    async with two_replicas() as (client, _):
        done = await complete(client, [5], SamplingParams(max_tokens=3))
        assert done.token_ids == (6, 7, 8)
        assert done.logprobs == (-0.5, -0.5, -0.5)
        assert done.finish_reason is FinishReason.LENGTH


async def test_requests_spread_over_replicas() -> None:
    async with two_replicas(pause=0.01) as (client, services):
        await asyncio.gather(*(complete(client, [1], SamplingParams(max_tokens=3)) for _ in range(8)))
        assert [servicer_of(s.context, POLICY).started for s in services] == [4, 4]


async def test_a_stream_whose_server_dies_goes_on_at_the_other_without_a_seam() -> None:
    async with two_replicas(pause=0.01) as (client, services):
        tokens: list[int] = []
        versions: set[int] = set()
        async for chunk in client.generate([0], SamplingParams(max_tokens=30)):
            tokens += chunk.token_ids
            versions |= set(chunk.weight_versions)
            if len(tokens) == 5:
                await services[chunk.weight_versions[0] - 1].stop(grace=0)
        assert tokens == list(range(1, 31))
        assert versions == {1, 2}


async def test_a_replica_that_drains_hands_its_streams_over() -> None:
    async with two_replicas(pause=0.02) as (client, services):
        running = [asyncio.create_task(complete(client, [0], SamplingParams(max_tokens=40))) for _ in range(4)]
        await asyncio.sleep(0.2)
        await services[0].stop(grace=0.1)
        done = await asyncio.gather(*running)
    assert all(completion.token_ids == tuple(range(1, 41)) for completion in done)
    assert any(set(completion.weight_versions) == {1, 2} for completion in done)


async def test_with_one_replica_dead_nothing_fails() -> None:
    async with two_replicas() as (client, services):
        await services[0].stop(grace=0)
        done = await asyncio.gather(*(complete(client, [1], SamplingParams(max_tokens=2)) for _ in range(10)))
        assert all(completion.weight_versions == (2, 2) for completion in done)


async def test_with_all_replicas_dead_the_deadline_ends_the_retries() -> None:
    async with two_replicas() as (client, services):
        await asyncio.gather(*(service.stop(grace=0) for service in services))
        client.deadline_seconds = 0.3
        async with asyncio.timeout(3):
            with pytest.raises(Unavailable):
                await complete(client, [1], SamplingParams(max_tokens=2))


async def test_a_replica_with_older_weights_is_passed_over() -> None:
    async with two_replicas() as (client, _):
        for _ in range(4):
            done = await complete(client, [1], SamplingParams(max_tokens=1), min_version=2)
            assert done.weight_versions == (2,)
        client.deadline_seconds = 0.3
        with pytest.raises(WeightsBehind):
            await complete(client, [1], SamplingParams(max_tokens=1), min_version=3)


async def test_closing_the_iterator_cancels_the_call_at_the_server() -> None:
    async with two_replicas(pause=0.01) as (client, services):
        async with aclosing(client.generate([1], SamplingParams(max_tokens=10_000))) as stream:
            await anext(stream)
        policies = [servicer_of(s.context, POLICY) for s in services]
        async with asyncio.timeout(3):
            while sum(p.closed for p in policies) == 0:  # noqa: ASYNC110 - a plain counter of the servicer
                await asyncio.sleep(0.005)


async def test_a_full_server_is_waited_for() -> None:
    service = await start(CountingPolicy(pause=0.02), max_concurrency=1, queue_limit=0)
    async with PolicyClient(service.address, backoff=QUICK, deadline_seconds=5) as client:
        done = await asyncio.gather(*(complete(client, [1], SamplingParams(max_tokens=2)) for _ in range(4)))
        assert len(done) == 4
        client.deadline_seconds = 0.05
        slow = asyncio.create_task(complete(client, [1], SamplingParams(max_tokens=50)))
        await asyncio.sleep(0.02)
        with pytest.raises(Overloaded):
            await complete(client, [1], SamplingParams(max_tokens=1))
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
    await service.stop(grace=0)


async def test_a_wrong_request_is_raised_at_once() -> None:
    async with two_replicas() as (client, services):
        for prompt, sampling in (([], SamplingParams(1)), ([-1], SamplingParams(1)), ([1], SamplingParams(0))):
            with pytest.raises(InvalidInput):
                await complete(client, prompt, sampling)
        assert sum(servicer_of(s.context, POLICY).started for s in services) == 0


async def test_no_model_anywhere_is_raised_at_once() -> None:
    class Empty(policy_pb2_grpc.PolicyServicer):
        async def Generate(self, request: Any, context: Any) -> AsyncIterator[Any]:
            raise NoModel("nothing is loaded; call ModelControl.Load")
            yield

    service = await start(Empty())
    async with PolicyClient(service.address, deadline_seconds=5) as client, asyncio.timeout(2):
        with pytest.raises(NoModel):
            await complete(client, [1], SamplingParams(max_tokens=2))
    await service.stop(grace=0)


async def test_info_tells_what_is_served() -> None:
    async with two_replicas() as (client, _):
        info = await client.info()
        assert (info.version, info.max_context, info.engine) == (1, 64, "counting")
