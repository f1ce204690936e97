"""A random tiny LFM2 and synthetic trajectories: the real learner on something that fits in a second."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sindbad.agent.trajectory import EnvironmentKind, Segment, Termination, Trajectory
from sindbad.engines.threads import calm_threads

calm_threads(1)

VOCABULARY = 48


def tiny_model(seed: int = 0, *, vocabulary: int = VOCABULARY, width: int = 32) -> Any:
    """A 2-layer LFM2 (one convolution, one attention), float32."""
    from transformers import Lfm2Config, Lfm2ForCausalLM

    torch.manual_seed(seed)
    config = Lfm2Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention"],
        block_auto_adjust_ff_dim=False,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=3,
        tie_word_embeddings=True,
    )
    return Lfm2ForCausalLM(config).to(torch.float32)


@pytest.fixture
def model() -> Any:
    return tiny_model()


def random_segment(chance: random.Random, prompt: int, turns: int, version: int = 1) -> Segment:
    """A prompt, then turns of sampled and observed tokens; log-probabilities are made up."""
    segment = Segment(prompt_ids=[chance.randrange(4, VOCABULARY) for _ in range(prompt)])
    for turn in range(turns):
        sampled = [chance.randrange(4, VOCABULARY) for _ in range(chance.randint(2, 5))]
        segment.append_sampled(sampled, [-3.0 - chance.random() for _ in sampled], [version] * len(sampled))
        if turn + 1 < turns:
            segment.append_observed([chance.randrange(4, VOCABULARY) for _ in range(chance.randint(1, 4))])
    return segment


def random_trajectory(
    name: str, group: str, reward: float, *, segments: int = 1, seed: int = 0, version: int = 1
) -> Trajectory:
    chance = random.Random(f"{seed}:{name}")
    return Trajectory(
        trajectory_id=name,
        question_id=group,
        group_id=group,
        environment=EnvironmentKind.SIMULATED,
        language="en",
        question="which?",
        gold_answer="that",
        segments=[random_segment(chance, chance.randint(3, 6), chance.randint(1, 3), version) for _ in range(segments)],
        answer="that" if reward else "this",
        reward=reward,
        termination=Termination.ANSWER,
    )


@pytest.fixture
def make_group() -> Callable[..., list[Trajectory]]:
    """``make_group("g", [1, 0], segments=[2, 1])``: one trajectory a reward."""

    def build(
        group: str, rewards: list[float], segments: list[int] | None = None, seed: int = 0, version: int = 1
    ) -> list[Trajectory]:
        counts = segments or [1] * len(rewards)
        return [
            random_trajectory(f"{group}-{i:02d}", group, reward, segments=count, seed=seed, version=version)
            for i, (reward, count) in enumerate(zip(rewards, counts, strict=True))
        ]

    return build


def score_behaviour(model: Any, trajectories: list[Trajectory]) -> None:
    """Replace the made-up log-probabilities by the model's own: strictly on-policy data."""
    from sindbad.training.logprobs import score

    for trajectory in trajectories:
        for segment in trajectory.segments:
            ids = torch.tensor([segment.prompt_ids + segment.token_ids])
            mask = torch.tensor([[0] * len(segment.prompt_ids) + segment.loss_mask], dtype=torch.bool)
            with torch.no_grad():
                values = iter(score(model, ids, mask).logprobs_N.tolist())
            segment.logprobs = [next(values) if bit else None for bit in segment.loss_mask]
