"""Two policy replicas as real processes follow a weight store; one is killed and started again meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sindbad.clients.policy import PolicyClient
from sindbad.engines.protocol import Completion, SamplingParams, complete
from sindbad.errors import SindbadError
from sindbad.weights import WeightStore
from tests.tiny_models import VOCABULARY, plain_logprobs, save_tiny_lfm2

pytestmark = pytest.mark.slow
VERSIONS = 8


class ReplicaProcess:
    """python -m services.policy on a port of its own, which a restart takes again."""

    def __init__(self, name: str, folder: Path, store: WeightStore) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.config, self.log = folder / f"{name}.json", folder / f"{name}.log"
        settings = {
            "port": self.port,
            "model": {"store": str(store.root), "poll_seconds": 0.05},
            "engine": {"kind": "transformers", "max_batch": 16, "max_context": 512, "threads": 1},
        }
        self.config.write_text(json.dumps(settings))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "services.policy", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        os.kill(self.process.pid, number)
        return self.process.wait(30)


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[tuple[WeightStore, list[ReplicaProcess]]]:
    store = WeightStore(tmp_path / "store")
    both = [ReplicaProcess(name, tmp_path, store) for name in ("one", "two")]
    for replica in both:
        replica.start()
    yield store, both
    for replica in both:
        if replica.process is not None and replica.process.poll() is None:
            replica.kill()


async def serves(address: str, version: int, seconds: float = 60.0) -> None:
    async with PolicyClient(address, deadline_seconds=seconds) as client, asyncio.timeout(seconds):
        while True:
            try:
                if (await client.info(deadline_seconds=5)).version == version:
                    return
            except SindbadError:
                pass
            await asyncio.sleep(0.05)


def publish_next(store: WeightStore, base: Path) -> int:
    """The base model, a little changed: as after a step of training."""
    torch.manual_seed(len(store.numbers()))
    state = load_file(base / "model.safetensors")
    changed = {name: tensor + 0.02 * torch.randn_like(tensor) for name, tensor in state.items()}
    return store.publish(changed, like=base).number


async def test_a_replica_is_killed_while_versions_are_published_and_nothing_is_lost(
    replicas: tuple[WeightStore, list[ReplicaProcess]], tmp_path: Path
) -> None:
    store, both = replicas
    base = save_tiny_lfm2(tmp_path / "base")
    publish_next(store, base)
    await asyncio.gather(*(serves(replica.address, 1) for replica in both))
    finished: list[tuple[list[int], int, Completion]] = []
    done = asyncio.Event()

    async def episodes(client: PolicyClient, seed: int) -> None:
        rng = random.Random(seed)
        while not done.is_set():
            current = store.current()
            assert current is not None
            prompt = [rng.randrange(3, VOCABULARY) for _ in range(20)]
            sampling = SamplingParams(max_tokens=30 + rng.randrange(200))
            completion = await complete(client, prompt, sampling, min_version=current.number)
            assert len(completion.token_ids) == sampling.max_tokens
            finished.append((prompt, current.number, completion))

    async with PolicyClient([replica.address for replica in both], deadline_seconds=90) as client:
        workers = [asyncio.create_task(episodes(client, seed)) for seed in range(12)]
        for _ in range(VERSIONS - 1):
            await asyncio.sleep(0.7)
            number = await asyncio.to_thread(publish_next, store, base)
            if number == 3:
                both[1].kill()
            if number == 5:
                both[1].start()
        await asyncio.gather(*(serves(replica.address, VERSIONS) for replica in both))
        done.set()
        await asyncio.gather(*workers)

    assert len(finished) > 20
    assert {version for _, _, one in finished for version in one.weight_versions} >= set(range(2, VERSIONS))
    for _, minimum, completion in finished:
        assert min(completion.weight_versions) >= minimum
    pure = [one for one in finished if len(set(one[2].weight_versions)) == 1]
    for prompt, _, completion in random.Random(0).sample(pure, min(12, len(pure))):
        model = store.get(completion.weight_versions[0]).path
        assert completion.logprobs == pytest.approx(plain_logprobs(model, prompt, completion.token_ids), abs=1e-4)


async def test_sigterm_lets_a_running_generation_finish_and_the_process_exit_cleanly(
    replicas: tuple[WeightStore, list[ReplicaProcess]], tmp_path: Path
) -> None:
    store, both = replicas
    publish_next(store, save_tiny_lfm2(tmp_path / "base"))
    await asyncio.gather(*(serves(replica.address, 1) for replica in both))
    async with PolicyClient([both[0].address], deadline_seconds=60) as client:
        stream = client.generate([5, 6, 7], SamplingParams(max_tokens=400))
        tokens = list((await anext(aiter(stream))).token_ids)
        exit_code = asyncio.create_task(asyncio.to_thread(both[0].kill, signal.SIGTERM))
        async for chunk in stream:
            tokens += chunk.token_ids
        assert len(tokens) == 400
        assert await exit_code == 0
