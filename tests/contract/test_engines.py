"""One suite for every engine. vLLM takes part where it is installed (scripts/install.sh vllm)."""

from __future__ import annotations

import asyncio
import importlib.util
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from sindbad.engines.factory import create_engine
from sindbad.engines.protocol import Completion, Engine, FinishReason, SamplingParams, complete
from sindbad.engines.transformers_engine import TransformersEngineSettings
from sindbad.engines.vllm_engine import VllmEngineSettings
from sindbad.errors import EngineFailure, InvalidInput, NoModel, Unavailable, WeightsBehind
from tests.tiny_models import VOCABULARY, greedy_tokens, plain_logprobs, save_tiny_lfm2

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOLERANCE = 1e-4  # natural logarithm; float32 against a float64 reference

VLLM = pytest.param(
    "vllm",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here"),
    ],
)


def new_engine(kind: str) -> Engine:
    if kind == "vllm":
        return create_engine(VllmEngineSettings(dtype="float32", max_context=512, max_batch=32))
    return create_engine(TransformersEngineSettings(max_batch=16, retained_rows=16, max_context=512))


def prompt_of(length: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(3, VOCABULARY) for _ in range(length)]


def assert_matches_plain(model_dir: Path, prompt: Sequence[int], completion: Completion) -> None:
    reference = plain_logprobs(model_dir, prompt, completion.token_ids)
    assert completion.logprobs == pytest.approx(reference, abs=TOLERANCE)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five versions of one architecture, 0 to 4."""
    root = tmp_path_factory.mktemp("models")
    return [save_tiny_lfm2(root / f"m{seed}", seed=seed) for seed in range(5)]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["transformers", VLLM])
async def shared(request: pytest.FixtureRequest, models: list[Path]) -> AsyncIterator[Engine]:
    engine = new_engine(request.param)
    await engine.start()
    with pytest.raises(NoModel):
        await complete(engine, [3], SamplingParams(max_tokens=1))
    await engine.load(models[0], 1)
    yield engine
    await engine.close()
    await engine.close()  # idempotent
    with pytest.raises(Unavailable):
        await complete(engine, [3], SamplingParams(max_tokens=1))


@pytest_asyncio.fixture(loop_scope="module")
async def engine(shared: Engine, models: list[Path]) -> Engine:
    """The shared engine, back at version 1."""
    if shared.version != 1:
        await shared.load(models[0], 1)
    return shared


async def test_logprobs_of_a_mixed_batch_equal_a_plain_forward_pass(engine: Engine, models: list[Path]) -> None:
    prompts = [prompt_of(length, length) for length in (1, 2, 3, 9, 40, 41, 120)]
    done = await asyncio.gather(
        *(complete(engine, prompt, SamplingParams(max_tokens=5 + 4 * i)) for i, prompt in enumerate(prompts))
    )
    for prompt, completion in zip(prompts, done, strict=True):
        assert completion.finish_reason is FinishReason.LENGTH
        assert set(completion.weight_versions) == {1}
        assert_matches_plain(models[0], prompt, completion)


async def test_greedy_equals_the_generate_of_transformers(engine: Engine, models: list[Path]) -> None:
    prompt = prompt_of(30, 1)
    done = await complete(engine, prompt, SamplingParams(max_tokens=24, temperature=0.0))
    assert list(done.token_ids) == greedy_tokens(models[0], prompt, 24)


async def test_a_seed_gives_the_same_tokens_alone_and_in_a_batch(engine: Engine) -> None:
    prompt, sampling = prompt_of(20, 2), SamplingParams(max_tokens=20, seed=7)
    alone = await complete(engine, prompt, sampling)
    crowd = [complete(engine, prompt_of(5 + i, 50 + i), SamplingParams(max_tokens=12)) for i in range(8)]
    together, other, *_ = await asyncio.gather(
        complete(engine, prompt, sampling), complete(engine, prompt, SamplingParams(max_tokens=20, seed=8)), *crowd
    )
    assert together.token_ids == alone.token_ids
    assert other.token_ids != alone.token_ids


async def test_logprobs_are_of_the_unmodified_distribution_whatever_the_sampling(
    engine: Engine, models: list[Path]
) -> None:
    prompt = prompt_of(12, 3)
    for sampling in (
        SamplingParams(max_tokens=10, temperature=0.5, seed=1),
        SamplingParams(max_tokens=10, temperature=2.0, top_p=0.7, seed=2),
        SamplingParams(max_tokens=10, top_k=3, seed=3),
        SamplingParams(max_tokens=10, temperature=0.0),
    ):
        assert_matches_plain(models[0], prompt, await complete(engine, prompt, sampling))


async def test_keeping_one_candidate_is_greedy(engine: Engine) -> None:
    prompt = prompt_of(12, 4)
    greedy = await complete(engine, prompt, SamplingParams(max_tokens=12, temperature=0.0))
    for narrow in (SamplingParams(max_tokens=12, top_k=1), SamplingParams(max_tokens=12, top_p=1e-6)):
        assert (await complete(engine, prompt, narrow)).token_ids == greedy.token_ids


async def test_the_stop_token_ends_the_output_and_is_part_of_it(engine: Engine) -> None:
    prompt = prompt_of(12, 5)
    full = await complete(engine, prompt, SamplingParams(max_tokens=12, temperature=0.0))
    stop = full.token_ids[4]
    expected = full.token_ids[: full.token_ids.index(stop) + 1]
    done = await complete(engine, prompt, SamplingParams(max_tokens=12, temperature=0.0, stop_token_ids=(stop, 9999)))
    assert done.token_ids == expected
    assert done.finish_reason is FinishReason.STOP


async def test_tokens_arrive_in_several_chunks_and_only_the_last_is_final(engine: Engine) -> None:
    chunks = [chunk async for chunk in engine.generate(prompt_of(8, 6), SamplingParams(max_tokens=40))]
    assert len(chunks) > 1
    assert sum(len(chunk.token_ids) for chunk in chunks) == 40
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert all(len(chunk.token_ids) == len(chunk.logprobs) == len(chunk.weight_versions) for chunk in chunks)


async def test_closing_the_stream_frees_its_place(engine: Engine) -> None:
    streams = [engine.generate(prompt_of(8, 60 + i), SamplingParams(max_tokens=490)) for i in range(4)]
    for stream in streams:
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        while engine.stats()["running"]:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.01)
    await complete(engine, prompt_of(8, 7), SamplingParams(max_tokens=3))


@pytest.mark.parametrize(
    ("prompt", "sampling"),
    [
        ([], SamplingParams(max_tokens=1)),
        ([VOCABULARY], SamplingParams(max_tokens=1)),
        ([-1], SamplingParams(max_tokens=1)),
        ([5], SamplingParams(max_tokens=0)),
        ([5], SamplingParams(max_tokens=512)),
        ([5] * 512, SamplingParams(max_tokens=1)),
        ([5], SamplingParams(max_tokens=1, temperature=-1.0)),
        ([5], SamplingParams(max_tokens=1, temperature=float("nan"))),
        ([5], SamplingParams(max_tokens=1, top_p=0.0)),
        ([5], SamplingParams(max_tokens=1, top_k=-1)),
    ],
)
async def test_a_request_that_can_never_be_served_is_invalid_input(
    engine: Engine, prompt: list[int], sampling: SamplingParams
) -> None:
    with pytest.raises(InvalidInput):
        await complete(engine, prompt, sampling)


async def test_the_whole_context_can_be_used(engine: Engine, models: list[Path]) -> None:
    prompt = prompt_of(480, 8)
    done = await complete(engine, prompt, SamplingParams(max_tokens=32))
    assert len(done.token_ids) == 32
    assert_matches_plain(models[0], prompt, done)


async def test_an_older_replica_says_that_it_is_behind(engine: Engine) -> None:
    with pytest.raises(WeightsBehind) as caught:
        await complete(engine, [5], SamplingParams(max_tokens=1), min_version=2)
    assert caught.value.metadata == {"version": "1", "min_version": "2"}
    await complete(engine, [5], SamplingParams(max_tokens=1), min_version=1)


async def test_the_turns_of_an_episode_equal_a_plain_forward_pass(engine: Engine, models: list[Path]) -> None:
    async def episode(seed: int) -> None:
        prompt = prompt_of(20 + seed, seed)
        for turn in range(4):
            done = await complete(engine, prompt, SamplingParams(max_tokens=12, seed=seed))
            assert_matches_plain(models[0], prompt, done)
            prompt += [*done.token_ids, *prompt_of(5 + turn, 1000 + seed)]

    await asyncio.gather(*(episode(seed) for seed in range(6)))


async def test_samples_of_one_group_share_a_prompt_and_stay_exact(engine: Engine, models: list[Path]) -> None:
    prompt = prompt_of(33, 9)
    group = await asyncio.gather(
        *(complete(engine, prompt, SamplingParams(max_tokens=10, seed=seed)) for seed in range(8))
    )
    assert len({done.token_ids for done in group}) > 1
    for done in group:
        assert_matches_plain(models[0], prompt, done)


async def test_after_a_swap_new_requests_are_computed_by_the_new_weights_only(
    engine: Engine, models: list[Path]
) -> None:
    prompt, sampling = prompt_of(40, 10), SamplingParams(max_tokens=12, seed=3)
    before = await complete(engine, prompt, sampling)
    for version, model in enumerate(models[1:4], start=2):
        await engine.load(model, version)
        assert engine.version == version
        after = await complete(engine, prompt, sampling, min_version=version)  # the prompt was cached by old weights
        assert set(after.weight_versions) == {version}
        assert_matches_plain(model, prompt, after)
        assert after.token_ids != before.token_ids


async def test_running_requests_go_on_through_a_swap_and_every_token_names_its_weights(
    engine: Engine, models: list[Path]
) -> None:
    async def long_one(seed: int) -> Completion:
        return await complete(engine, prompt_of(10, seed), SamplingParams(max_tokens=400, seed=seed))

    tasks = [asyncio.create_task(long_one(seed)) for seed in range(6)]
    while engine.stats()["running"] < 6:  # noqa: ASYNC110 (no event tells)
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    await engine.load(models[1], 2)
    for seed, task in enumerate(tasks):
        done = await task
        assert len(done.token_ids) == 400
        versions = list(done.weight_versions)
        assert versions == sorted(versions)
        assert set(versions) == {1, 2}
        first = versions.index(2)
        assert done.logprobs[:first] == pytest.approx(
            plain_logprobs(models[0], prompt_of(10, seed), done.token_ids[:first]), abs=TOLERANCE
        )


async def test_a_bad_folder_is_refused_and_the_old_weights_go_on(
    engine: Engine, models: list[Path], tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    def copy(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file in models[1].iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    torn, missing, nan = copy("torn"), copy("missing"), copy("nan")
    weights = (torn / "model.safetensors").read_bytes()
    (torn / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    tensors = load_file(missing / "model.safetensors")
    tensors.pop("model.layers.1.self_attn.q_proj.weight")
    save_file(tensors, missing / "model.safetensors", metadata={"format": "pt"})
    tensors = load_file(nan / "model.safetensors")
    tensors["model.embedding_norm.weight"] = tensors["model.embedding_norm.weight"] * torch.nan
    save_file(tensors, nan / "model.safetensors", metadata={"format": "pt"})
    for folder in (tmp_path / "nowhere", torn, missing, nan):
        with pytest.raises(EngineFailure):
            await engine.load(folder, 9)
    assert engine.version == 1
    prompt = prompt_of(10, 11)
    assert_matches_plain(models[0], prompt, await complete(engine, prompt, SamplingParams(max_tokens=6)))


async def test_sampled_frequencies_follow_the_probabilities(engine: Engine, models: list[Path]) -> None:
    """The first token of many samples against the plain distribution: chi-square over the likeliest tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    prompt, count = prompt_of(9, 12), 1500
    model = AutoModelForCausalLM.from_pretrained(models[0], dtype=torch.float32)
    probabilities = model(torch.tensor([prompt])).logits[0, -1].softmax(-1)
    done = await asyncio.gather(
        *(complete(engine, prompt, SamplingParams(max_tokens=1, seed=seed)) for seed in range(200)),
    )
    for offset in range(200, count, 100):
        done += await asyncio.gather(
            *(complete(engine, prompt, SamplingParams(max_tokens=1, seed=offset + seed)) for seed in range(100))
        )
    top = probabilities.topk(8)
    drawn = [one.token_ids[0] for one in done]
    chi = 0.0
    for probability, token in zip(top.values.tolist(), top.indices.tolist(), strict=True):
        expected = probability * len(drawn)
        chi += (drawn.count(token) - expected) ** 2 / expected
    assert chi < 30.0  # 8 degrees of freedom: p < 0.0003
