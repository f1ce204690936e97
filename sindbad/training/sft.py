"""Supervised fine-tuning on what the assistant wrote.

Invariants: the order of the data is a pure function of (seed, epoch), so a checkpoint needs only the step to know its
position; a run killed in any step resumes from the last checkpoint and ends with the same bits (one thread); one
of other settings, another base or other data does not (:mod:`sindbad.training.subject`).
Covered: full fine-tuning in float32 in one process. Not covered: LoRA, several devices, mixed precision.
"""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sindbad.atomic import new_dir, write_text
from sindbad.errors import InvalidInput
from sindbad.training.card import CARD, passed_on
from sindbad.training.checkpoint import latest_checkpoint, restore, save_checkpoint
from sindbad.training.configuration import RunPaths as RunPaths
from sindbad.training.configuration import SFTConfig as SFTConfig
from sindbad.training.examples import Example
from sindbad.training.logprobs import score
from sindbad.training.losses import supervised_loss
from sindbad.training.metrics import MetricsLog
from sindbad.training.optimisation import apply_gradient, build_optimiser, learning_rate
from sindbad.training.packing import MicroBatch, Sample, pack
from sindbad.training.subject import SUBJECT, Subject, check_subject, sft_subject

WINDOW_BATCHES = 16
"""Batches are cut from windows of this many, sorted by length: little padding, still shuffled."""


@dataclass(frozen=True, slots=True)
class SFTResult:
    """What a run did. ``validation_loss`` is NaN without validation examples."""

    steps: int
    tokens: int
    seconds: float
    loss: float
    validation_loss: float
    validation_accuracy: float
    dropped: int


@dataclass(slots=True)
class _Progress:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    recent: list[float] = field(default_factory=list)


def batch_indices(lengths: Sequence[int], batch_size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches: each epoch a fresh permutation, cut in length-sorted windows. A pure function of its input."""
    epoch = 0
    while True:
        chance = random.Random(f"{seed}:{epoch}")
        order = list(range(len(lengths)))
        chance.shuffle(order)
        window = batch_size * WINDOW_BATCHES
        for start in range(0, len(order), window):
            chunk = sorted(order[start : start + window], key=lambda index: lengths[index])
            batches = [chunk[at : at + batch_size] for at in range(0, len(chunk), batch_size)]
            chance.shuffle(batches)
            yield from batches
        epoch += 1


def run_sft(
    config: SFTConfig,
    model: Any,
    examples: Sequence[Example],
    paths: RunPaths,
    *,
    validation: Sequence[Example] = (),
    on_progress: Callable[[int, int, float], None] | None = None,
) -> SFTResult:
    """Train ``model`` in place, resuming from ``paths.checkpoints`` when they hold one.

    Args:
        on_progress: called with (steps done, steps in all, latest loss) after every logged step.

    Raises:
        InvalidInput: no example is left to train on, or the checkpoints are of another training.
    """
    torch.set_num_threads(config.threads)
    kept = [e for e in examples if config.max_length is None or len(e) <= config.max_length]
    if not kept:
        raise InvalidInput("no example is left to train on; check the data and max_length")
    torch.manual_seed(config.seed)
    optimizer = build_optimiser(model, config.optimiser)
    subject = sft_subject(config, model, kept, config.total_steps(len(kept)))
    found, progress = latest_checkpoint(paths.checkpoints), _Progress()
    if found is not None:
        check_subject(found, subject)
        restore(found, model, optimizer)
        progress = _Progress(found.step, found.state["tokens"], found.state["seconds"], found.state["loss"])
    log = MetricsLog(paths.metrics, tensorboard=paths.tensorboard)
    log.rewind(progress.step)
    model.train()
    try:
        _loop(config, model, optimizer, kept, validation, paths, progress, log, on_progress, subject)
    finally:
        log.close()
    final = evaluate_examples(model, validation, config.token_budget) if validation else (math.nan, math.nan)
    return SFTResult(progress.step, progress.tokens, progress.seconds, progress.loss, *final, len(examples) - len(kept))


def _loop(
    config: SFTConfig,
    model: Any,
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Example],
    validation: Sequence[Example],
    paths: RunPaths,
    progress: _Progress,
    log: MetricsLog,
    on_progress: Callable[[int, int, float], None] | None,
    subject: Subject,
) -> None:
    total = config.total_steps(len(examples))
    batches = batch_indices([len(example) for example in examples], config.batch_size, config.seed)
    for _ in range(progress.step):
        next(batches)
    while progress.step < total:
        started = time.perf_counter()
        samples = supervised_samples([examples[index] for index in next(batches)])
        lr = learning_rate(config.optimiser, progress.step, total)
        loss = accumulate(model, pack(samples, config.token_budget))
        norm = apply_gradient(model, optimizer, lr=lr, clip_norm=config.optimiser.clip_norm)
        tokens = sum(len(sample) for sample in samples)
        seconds = time.perf_counter() - started
        progress.step, progress.loss = progress.step + 1, loss
        progress.tokens, progress.seconds = progress.tokens + tokens, progress.seconds + seconds
        progress.recent.append(loss)
        if progress.step % config.log_every == 0 or progress.step == total:
            row = {
                "loss": sum(progress.recent) / len(progress.recent), "lr": lr, "grad_norm": norm,
                "tokens": progress.tokens, "tokens_per_second": tokens / seconds, "seconds": progress.seconds,
            }  # fmt: skip
            progress.recent.clear()
            if validation and (progress.step % config.validate_every == 0 or progress.step == total):
                row["validation_loss"], row["validation_accuracy"] = evaluate_examples(
                    model, validation, config.token_budget
                )
            log.log(progress.step, row)
            if on_progress is not None:
                on_progress(progress.step, total, row["loss"])
        if progress.step % config.checkpoint_every == 0 or progress.step == total:
            state = {
                "tokens": progress.tokens,
                "seconds": progress.seconds,
                "loss": progress.loss,
                SUBJECT: dict(subject),
            }
            save_checkpoint(paths.checkpoints, progress.step, model, optimizer, state)


def supervised_samples(examples: Sequence[Example]) -> list[Sample]:
    """Samples whose weights make the loss the mean over the batch's trained tokens."""
    count = sum(sum(example.loss_mask) for example in examples)
    return [Sample(example.input_ids, example.loss_mask, weight=1.0 / max(1, count)) for example in examples]


def accumulate(model: Any, batches: Sequence[MicroBatch]) -> float:
    """Add the supervised gradient of every micro-batch; returns the loss of the whole."""
    total = 0.0
    for batch in batches:
        scores = score(model, batch.input_ids_BT, batch.mask_BT)
        loss = supervised_loss(scores.logprobs_N, batch.weight_N)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def evaluate_examples(model: Any, examples: Sequence[Example], token_budget: int) -> tuple[float, float]:
    """Mean negative log-likelihood (nats) and teacher-forced accuracy over the trained tokens of ``examples``."""
    nll, correct, count = 0.0, 0, 0
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for batch in pack([Sample(e.input_ids, e.loss_mask) for e in examples], token_budget):
            scores = score(model, batch.input_ids_BT, batch.mask_BT)
            nll -= float(scores.logprobs_N.sum())
            correct += int(scores.correct_N.sum())
            count += batch.tokens
    model.train(was_training)
    return nll / max(1, count), correct / max(1, count)


def load_causal_lm(model_dir: str | Path) -> Any:
    """A Hugging Face folder as a float32 causal model, for training. Never touches the network."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(model_dir), dtype=torch.float32, local_files_only=True)


def save_model_folder(
    model: Any, tokenizer_from: Path, target: Path, *, dtype: torch.dtype | None = None, card: str | None = None
) -> Path:
    """Write a model folder atomically: weights and configuration, and the tokenizer's files of ``tokenizer_from``.

    Args:
        card: README.md; "" writes none, None passes on what ``tokenizer_from``, the base, says that it was made of.
    """
    with new_dir(target) as temporary:
        state = None if dtype is None else {name: value.to(dtype) for name, value in model.state_dict().items()}
        model.save_pretrained(str(temporary), state_dict=state)
        copy_tokenizer(tokenizer_from, temporary)
        if said := card if card is not None else passed_on(tokenizer_from):
            write_text(temporary / CARD, said)
    return target


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy what a tokenizer needs from one model folder to another."""
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
