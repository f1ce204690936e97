"""What the Transformers engine promises beyond the contract that it shares with vLLM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sindbad.engines.protocol import Engine, FinishReason, SamplingParams, complete
from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings
from sindbad.errors import EngineFailure, Overloaded
from tests.tiny_models import plain_logprobs, save_tiny_lfm2, save_tiny_qwen3


@asynccontextmanager
async def serving(model: Path | None, **settings: Any) -> AsyncIterator[TransformersEngine]:
    engine = TransformersEngine(TransformersEngineSettings(**{"max_context": 512, "threads": 1} | settings))
    await engine.start()
    try:
        if model is not None:
            await engine.load(model, 1)
        yield engine
    finally:
        await engine.close()


@pytest.fixture(scope="module")
def lfm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_lfm2(tmp_path_factory.mktemp("lfm2"))


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_qwen3(tmp_path_factory.mktemp("qwen3"))


async def test_it_is_an_engine() -> None:
    async with serving(None) as engine:
        assert isinstance(engine, Engine)
        assert engine.version is None
        assert engine.max_context == 0


async def test_a_model_of_attention_layers_takes_the_general_path_and_is_exact(qwen3: Path) -> None:
    async with serving(qwen3, max_batch=4) as engine:

        async def episode(seed: int) -> None:
            prompt = [3 + (seed * 7 + i) % 300 for i in range(10 + 9 * seed)]
            for _ in range(3):
                done = await complete(engine, prompt, SamplingParams(max_tokens=9, seed=seed))
                assert done.logprobs == pytest.approx(plain_logprobs(qwen3, prompt, done.token_ids), abs=1e-4)
                prompt += [*done.token_ids, 5, 6, 7]

        await asyncio.gather(*(episode(seed) for seed in range(6)))
        assert engine.stats()["reused_tokens"] > 0


async def test_only_the_new_tokens_of_a_turn_are_prefilled(lfm2: Path) -> None:
    async with serving(lfm2) as engine:
        prompt = list(range(3, 103))
        first = await complete(engine, prompt, SamplingParams(max_tokens=10))
        before = engine.stats()["prefilled_tokens"]
        await complete(engine, [*prompt, *first.token_ids, 8, 9], SamplingParams(max_tokens=2))
        assert engine.stats()["prefilled_tokens"] - before == 2  # the last sampled token and all new ones but the last


async def test_the_samples_of_a_group_prefill_their_prompt_once(lfm2: Path) -> None:
    async with serving(lfm2) as engine:
        prompt = list(range(3, 103))
        await asyncio.gather(*(complete(engine, prompt, SamplingParams(max_tokens=5)) for _ in range(8)))
        assert engine.stats()["prefilled_tokens"] == 99
        assert engine.stats()["reused_tokens"] == 7 * 99


async def test_a_full_queue_answers_overloaded_and_recovers(lfm2: Path) -> None:
    async with serving(lfm2, max_batch=1, queue_limit=1) as engine:
        streams = [engine.generate([4, 5], SamplingParams(max_tokens=400)) for _ in range(2)]
        first = asyncio.create_task(anext(aiter(streams[0])))
        await first
        second = asyncio.create_task(anext(aiter(streams[1])))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await complete(engine, [4, 5], SamplingParams(max_tokens=1))
        await streams[0].aclose()  # type: ignore[attr-defined]
        await second
        await streams[1].aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(5):
            while engine.stats()["running"]:  # noqa: ASYNC110 (no event tells)
                await asyncio.sleep(0.005)
        await complete(engine, [4, 5], SamplingParams(max_tokens=1))


async def test_closing_the_engine_ends_what_runs_as_cancelled(lfm2: Path) -> None:
    async with serving(lfm2) as engine:
        tasks = [asyncio.create_task(complete(engine, [4, 5, 6], SamplingParams(max_tokens=500))) for _ in range(3)]
        while engine.stats()["running"] < 3:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.001)
        await engine.close()
        for task in tasks:
            assert (await task).finish_reason is FinishReason.CANCELLED


async def test_a_swap_to_another_shape_recomputes_what_runs(lfm2: Path, tmp_path: Path) -> None:
    wider = save_tiny_lfm2(tmp_path / "wider", seed=5, width=160)
    async with serving(lfm2) as engine:
        task = asyncio.create_task(complete(engine, [9, 8, 7], SamplingParams(max_tokens=300, seed=1)))
        while engine.stats()["running"] < 1:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        await engine.load(wider, 2)
        done = await task
        first = done.weight_versions.index(2)
        assert 0 < first < 300
        reference = plain_logprobs(wider, [9, 8, 7], done.token_ids)
        assert done.logprobs[first:] == pytest.approx(reference[first:], abs=1e-4)


async def test_recomputing_on_a_swap_makes_every_later_token_exact_under_the_new_weights(
    lfm2: Path, tmp_path: Path
) -> None:
    other = save_tiny_lfm2(tmp_path / "other", seed=6)
    async with serving(lfm2, on_swap="recompute") as engine:
        task = asyncio.create_task(complete(engine, [9, 8, 7], SamplingParams(max_tokens=300, seed=1)))
        while engine.stats()["running"] < 1:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        await engine.load(other, 2)
        done = await task
        first = done.weight_versions.index(2)
        assert done.logprobs[first:] == pytest.approx(
            plain_logprobs(other, [9, 8, 7], done.token_ids)[first:], abs=1e-4
        )


async def test_a_request_that_does_not_fit_the_new_model_ends_with_an_error(lfm2: Path, tmp_path: Path) -> None:
    smaller = save_tiny_lfm2(tmp_path / "smaller", vocabulary=16)
    async with serving(lfm2) as engine:
        task = asyncio.create_task(complete(engine, [300, 200], SamplingParams(max_tokens=500)))
        while engine.stats()["running"] < 1:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.001)
        await engine.load(smaller, 2)
        with pytest.raises(EngineFailure):
            await task
        assert len((await complete(engine, [5], SamplingParams(max_tokens=3))).token_ids) == 3


async def test_a_model_that_fails_ends_its_requests_and_not_the_engine(
    lfm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(lfm2) as engine:
        model: Any = engine._core.model
        decode = model.decode
        monkeypatch.setattr(model, "decode", lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory")))
        with pytest.raises(EngineFailure, match="out of memory"):
            await complete(engine, [5, 6], SamplingParams(max_tokens=3))
        monkeypatch.setattr(model, "decode", decode)
        assert len((await complete(engine, [5, 6], SamplingParams(max_tokens=3))).token_ids) == 3


async def test_a_sharded_bfloat16_checkpoint_loads_as_float32(tmp_path: Path) -> None:
    import torch
    from transformers import Lfm2ForCausalLM

    model = Lfm2ForCausalLM.from_pretrained(save_tiny_lfm2(tmp_path / "one"), dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    async with serving(tmp_path / "shards") as engine:
        done = await complete(engine, [5, 6, 7], SamplingParams(max_tokens=8, seed=2))
        assert done.logprobs == pytest.approx(plain_logprobs(tmp_path / "shards", [5, 6, 7], done.token_ids), abs=1e-4)


def test_importing_the_engines_loads_neither_torch_nor_vllm() -> None:
    import subprocess
    import sys

    code = "import sys, sindbad.engines.factory; sys.exit(bool({'torch', 'transformers', 'vllm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_calm_threads_sets_the_environment_of_children(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from sindbad.engines.threads import calm_threads

    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    calm_threads()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize(
    "changes",
    [
        {"tie_word_embeddings": False, "conv_bias": True},
        {"conv_L_cache": 4, "num_key_value_heads": 4},
        {"block_auto_adjust_ff_dim": True, "block_multiple_of": 32, "num_key_value_heads": 1},
        {"layer_types": ["full_attention", "full_attention", "conv", "conv"], "norm_eps": 1e-3},
    ],
)
async def test_every_option_of_the_architecture_is_exact(tmp_path: Path, changes: dict[str, Any]) -> None:
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    torch.manual_seed(3)
    values = {
        "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "block_auto_adjust_ff_dim": False,
        "layer_types": ["conv", "full_attention", "conv", "full_attention"], "initializer_range": 0.3,
        "max_position_embeddings": 256,
    }  # fmt: skip
    model = Lfm2ForCausalLM(Lfm2Config(**(values | changes)))
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", "norm.weight")):
            torch.nn.init.normal_(parameter, 0.7, 0.3)
    model.save_pretrained(tmp_path)
    async with serving(tmp_path) as engine:
        prompt = list(range(5, 40))
        first = await complete(engine, prompt, SamplingParams(max_tokens=15, seed=1))
        assert first.logprobs == pytest.approx(plain_logprobs(tmp_path, prompt, first.token_ids), abs=1e-4)
        longer = [*prompt, *first.token_ids, 9, 8, 7]
        second = await complete(engine, longer, SamplingParams(max_tokens=15, seed=2))
        assert second.logprobs == pytest.approx(plain_logprobs(tmp_path, longer, second.token_ids), abs=1e-4)
