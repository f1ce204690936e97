"""Supervised training learns, pads without a trace, and survives kill -9 bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from sindbad.errors import InvalidInput
from sindbad.training.checkpoint import latest_checkpoint, list_checkpoints, save_checkpoint
from sindbad.training.configuration import OptimiserConfig, SFTConfig
from sindbad.training.examples import Example, examples_of_trajectories, read_pairs
from sindbad.training.metrics import MetricsLog, read_metrics
from sindbad.training.optimisation import build_optimiser, learning_rate
from sindbad.training.sft import RunPaths, batch_indices, evaluate_examples, run_sft
from tests.unit.training.conftest import random_trajectory, tiny_model


def copy_task(count: int, seed: int = 0) -> list[Example]:
    """A symbol, filler, and the symbol again: loss on the last token only."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        symbol, filler = chance.randrange(4, 12), [chance.randrange(20, 30) for _ in range(chance.randint(1, 3))]
        rows.append(Example((1, symbol, *filler, 2, symbol), (0,) * (len(filler) + 3) + (1,)))
    return rows


def fast(**changes: Any) -> SFTConfig:
    optimiser = OptimiserConfig(lr=5e-3, warmup_steps=5, min_lr_fraction=0.1)
    return SFTConfig.model_validate({"optimiser": optimiser, "steps": 12, "checkpoint_every": 4, **changes})


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def test_sft_learns_to_copy_a_symbol_over_filler(tmp_path: Path) -> None:
    model, held_out = tiny_model(), copy_task(64, seed=9)
    before, _ = evaluate_examples(model, held_out, 2048)
    result = run_sft(fast(steps=150), model, copy_task(512), RunPaths.under(tmp_path, "sft"), validation=held_out)
    assert result.validation_loss < 0.5 * before
    assert result.validation_accuracy > 0.6


def test_a_resumed_run_ends_with_the_same_bits_and_one_metric_row_a_step(tmp_path: Path) -> None:
    examples, straight, resumed = copy_task(64), tiny_model(), tiny_model()
    run_sft(fast(log_every=1), straight, examples, RunPaths.under(tmp_path / "a", "sft"))
    paths = RunPaths.under(tmp_path / "b", "sft")

    class Stop(Exception):
        pass

    def stop_at_7(step: int, total: int, loss: float) -> None:
        if step == 7:
            raise Stop

    with pytest.raises(Stop):
        run_sft(fast(log_every=1), resumed, examples, paths, on_progress=stop_at_7)
    other = tiny_model()  # where it began: what it has learnt is in the checkpoint
    result = run_sft(fast(log_every=1), other, examples, paths)
    assert same(weights(other), weights(straight))
    assert [row["step"] for row in read_metrics(paths.metrics)] == list(range(1, 13))
    assert result.steps == 12


KILLED = """
import sys
from pathlib import Path
from tests.unit.training.test_sft import copy_task, fast
from tests.unit.training.conftest import tiny_model
from sindbad.training.sft import RunPaths, run_sft
paths = RunPaths.under(Path(sys.argv[1]), "sft")
run_sft(fast(steps=60, checkpoint_every=5, log_every=1), tiny_model(), copy_task(64), paths)
"""


@pytest.mark.slow
def test_kill_minus_nine_in_a_step_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    straight = tiny_model()
    run_sft(fast(steps=60, checkpoint_every=5), straight, copy_task(64), RunPaths.under(tmp_path / "a", "sft"))
    paths = RunPaths.under(tmp_path / "b", "sft")
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "b")])
    deadline = time.monotonic() + 60
    while len(read_metrics(paths.metrics)) < 13 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert 13 <= len(read_metrics(paths.metrics)) < 60
    model = tiny_model()
    config = fast(steps=60, checkpoint_every=5, log_every=1)
    run_sft(config, model, copy_task(64), paths)
    assert same(weights(model), weights(straight))
    assert [row["step"] for row in read_metrics(paths.metrics)] == list(range(1, 61))


def test_accumulating_under_a_small_budget_trains_like_one_big_batch(tmp_path: Path) -> None:
    big, small = tiny_model(), tiny_model()
    run_sft(fast(token_budget=10_000), big, copy_task(64), RunPaths.under(tmp_path / "a", "sft"))
    run_sft(fast(token_budget=20), small, copy_task(64), RunPaths.under(tmp_path / "b", "sft"))
    assert all(
        torch.allclose(a, b, atol=2e-4) for a, b in zip(weights(big).values(), weights(small).values(), strict=True)
    )


def test_an_epoch_holds_every_example_once_and_the_next_is_ordered_anew() -> None:
    lengths = [random.Random(1).randrange(3, 90) for _ in range(100)]
    batches = batch_indices(lengths, 8, seed=4)
    first = [next(batches) for _ in range(13)]
    second = [next(batches) for _ in range(13)]
    assert sorted(i for b in first for i in b) == sorted(i for b in second for i in b) == list(range(100))
    assert first != second


def test_the_learning_rate_warms_up_then_falls_to_its_floor() -> None:
    config = OptimiserConfig(lr=1.0, warmup_steps=10, min_lr_fraction=0.05)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert learning_rate(config, 100, 100) == pytest.approx(0.05)


def test_examples_of_trajectories_are_their_segments_with_loss_on_what_was_sampled() -> None:
    trajectory = random_trajectory("a", "g", 1.0, segments=3)
    examples = list(examples_of_trajectories([trajectory]))
    assert [len(example) for example in examples] == [len(segment) for segment in trajectory.segments]
    assert sum(sum(example.loss_mask) for example in examples) == trajectory.sampled_tokens
    longest = max(len(example) for example in examples)
    assert len(list(examples_of_trajectories([trajectory], max_length=longest - 1))) < 3


def test_a_line_that_is_no_pair_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "a", "completion": "b"}) + '\n{"prompt": 1}\n', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"pairs\.jsonl:2"):
        list(read_pairs(path))


def test_training_without_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no example"):
        run_sft(fast(max_length=2), tiny_model(), copy_task(4), RunPaths.under(tmp_path, "sft"))


def test_only_complete_checkpoints_are_seen_and_old_ones_go(tmp_path: Path, model: Any) -> None:
    optimizer = build_optimiser(model, OptimiserConfig())
    for step in range(5):
        save_checkpoint(tmp_path, step, model, optimizer, {"note": "x"}, keep=2)
    (tmp_path / ".tmp-step-00000009").mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000003", "step-00000004"]
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.state["note"]) == (4, "x")


def test_rewinding_drops_later_rows_and_a_torn_line(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl", tensorboard=tmp_path / "tb")
    for step in range(1, 6):
        log.log(step, {"reward": step / 10})
    log.close()
    with (tmp_path / "m.jsonl").open("a") as file:
        file.write('{"step": 6, "rew')
    log.rewind(3)
    log.log(4, {"reward": 0.9})
    log.close()
    assert [(row["step"], row["reward"]) for row in read_metrics(tmp_path / "m.jsonl")] == [
        (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.9)
    ]  # fmt: skip
    assert list((tmp_path / "tb").glob("events.*"))
