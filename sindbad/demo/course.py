"""The base model's course: three stages over one model, each with a loss on tokens that can be known.

Recall drills (one fact, then more), pages of worlds (both scripts), and successful oracle attempts in English (whole,
cut by ReSum restarts, and the summaries themselves). Arabic is seen in drills and pages only, never as an attempt.
Invariant: a step's examples are a function of (seed, step), so an interrupted run resumes from its last checkpoint.

Covered: one process, CPU, float32. Not covered: reproducibility to the bit across machines.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from sindbad.demo.drills import Drills
from sindbad.demo.practice import Practice, attempts, demo_tokenizer
from sindbad.demo.tokenizer import build_tokenizer, padded_size
from sindbad.demo.world import build_world
from sindbad.training.checkpoint import latest_checkpoint, restore, save_checkpoint
from sindbad.training.examples import Example
from sindbad.training.logprobs import score
from sindbad.training.metrics import MetricsLog
from sindbad.training.optimisation import OptimiserConfig, apply_gradient, build_optimiser
from sindbad.training.packing import Sample, collate
from sindbad.training.subject import SUBJECT, check_subject, settings_digest, weights_digest

STAGES = ("recall", "pages", "attempts")
BETAS, WEIGHT_DECAY, WARMUP, FLOOR = (0.9, 0.98), 0.01, 50, 0.05
SMOOTHING = 0.95
WINDOW_BATCHES = 16


class BaseModelConfig(BaseModel):
    """Everything that decides what comes out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    """Of weights, drills, worlds and noise."""
    hidden_size: int = 128
    """Width."""
    intermediate_size: int = 384
    """Width of the feed-forward layers."""
    heads: int = 4
    """Attention heads."""
    kv_heads: int = 2
    """Key-value heads."""
    layers: tuple[str, ...] = ("conv", "full_attention", "conv", "full_attention")
    """Kinds of layers, in order (LFM2)."""
    lr: float = Field(default=1.5e-3, gt=0)
    """Peak learning rate (3e-3 passed the second drill level later)."""
    drill_facts: int = Field(default=6, ge=1)
    """Last level of the recall drill."""
    drill_accuracy: float = Field(default=0.93, gt=0, le=1)
    """Smoothed accuracy that opens the next level."""
    drill_steps: int = Field(default=1200, ge=1)
    """Give up drilling after this many steps."""
    drill_batch: int = Field(default=64, ge=2)
    """Drills a step; they are short. Half as many from three facts on."""
    page_steps: int = Field(default=200, ge=0)
    """Steps on pages."""
    page_batch: int = Field(default=16, ge=1)
    """Page readings a step."""
    attempts: int = Field(default=4500, ge=1)
    """Oracle attempts to make; the successful ones are trained on."""
    worlds: int = Field(default=100, ge=1)
    """Worlds they are made in."""
    first_world: int = 100_000
    """Seed of the first of them."""
    attempt_steps: int = Field(default=600, ge=0)
    """Steps on attempts."""
    attempt_batch: int = Field(default=16, ge=1)
    """Segments a step."""
    page_share: float = Field(default=0.1, ge=0, le=1)
    """Share of page readings among the attempts (keeps the Arabic alive)."""
    threads: int = Field(default=2, ge=1)
    """Torch threads."""
    checkpoint_every: int = Field(default=200, ge=1)
    """Steps between checkpoints."""


def new_model(config: BaseModelConfig) -> Any:
    """An untrained model; equal for equal configurations."""
    from transformers import Lfm2Config, Lfm2ForCausalLM

    tokenizer = build_tokenizer()
    torch.manual_seed(config.seed)
    return Lfm2ForCausalLM(  # type: ignore[no-untyped-call]
        Lfm2Config(
            vocab_size=padded_size(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=len(config.layers),
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            layer_types=list(config.layers),
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            block_auto_adjust_ff_dim=False,
            max_position_embeddings=1024,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
        )
    )


@dataclass(slots=True)
class Progress:
    """Where a run stands: stage, steps done in it, drill level, smoothed accuracy, tokens and seconds so far."""

    stage: int = 0
    stage_step: int = 0
    level: int = 1
    accuracy: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    step: int = 0


class Course:
    """The three stages over one model. Each step's examples are a function of (seed, stage, step): a run can resume.

    Args:
        config: see :class:`BaseModelConfig`.
        folder: checkpoints and ``metrics.jsonl`` go there.
        show: called with a progress line now and then.

    Raises:
        InvalidInput: the checkpoints in ``folder`` are of another configuration.
    """

    def __init__(self, config: BaseModelConfig, folder: Path, show: Callable[[str], None] = print) -> None:
        self.config, self.folder, self._show = config, folder, show
        self.model = new_model(config)
        self.progress = Progress()
        settings = settings_digest(config.model_dump(mode="json", exclude={"threads", "checkpoint_every"}))
        self._subject = {"settings": settings, "base model": weights_digest(self.model)}
        self._optimizer = build_optimiser(self.model, self._rates())
        self._drills = Drills(demo_tokenizer(), config.seed)
        self._worlds = [build_world(config.first_world + number) for number in range(config.worlds)]
        self._metrics = MetricsLog(folder / "metrics.jsonl")
        self._resume()

    def _rates(self) -> OptimiserConfig:
        return OptimiserConfig(lr=self.config.lr, betas=BETAS, weight_decay=WEIGHT_DECAY)

    def _resume(self) -> None:
        found = latest_checkpoint(self.folder / "checkpoints")
        if found is not None:
            check_subject(found, self._subject)
            restore(found, self.model, self._optimizer)
            self.progress = Progress(**found.state["progress"])
        self._metrics.rewind(self.progress.step)

    def run(self, practice: Callable[[], Practice]) -> Progress:
        """Train to the end. ``practice`` is asked for the attempts when their stage begins."""
        while self.progress.stage < len(STAGES):
            stage = STAGES[self.progress.stage]
            source = self._attempts(practice().examples) if stage == "attempts" else None
            while not self._stage_done(stage):
                self._step(stage, source)
            self._enter(self.progress.stage + 1)
        self._metrics.close()
        return self.progress

    def _enter(self, stage: int) -> None:
        self.progress.stage, self.progress.stage_step, self.progress.accuracy = stage, 0, 0.0
        self._save()

    def _stage_done(self, stage: str) -> bool:
        config, progress = self.config, self.progress
        if stage == "recall":
            return progress.level > config.drill_facts or progress.stage_step >= config.drill_steps
        return progress.stage_step >= (config.page_steps if stage == "pages" else config.attempt_steps)

    def _step(self, stage: str, source: Callable[[int], list[Example]] | None) -> None:
        began = time.monotonic()
        progress = self.progress
        rng = self._drills.begin(progress.step)
        batch = self._batch(stage, source, rng)
        loss, accuracy, tokens = self._learn(batch, self._rate(stage))
        progress.accuracy = SMOOTHING * progress.accuracy + (1 - SMOOTHING) * accuracy
        progress.step, progress.stage_step = progress.step + 1, progress.stage_step + 1
        progress.tokens, progress.seconds = progress.tokens + tokens, progress.seconds + time.monotonic() - began
        self._tell(stage, loss)
        if stage == "recall" and progress.accuracy > self.config.drill_accuracy:
            progress.level, progress.accuracy = progress.level + 1, 0.5
        if progress.step % self.config.checkpoint_every == 0:
            self._save()

    def _batch(self, stage: str, source: Callable[[int], list[Example]] | None, rng: random.Random) -> list[Example]:
        config, level = self.config, self.progress.level
        if stage == "recall":
            count = config.drill_batch if level < 3 else config.drill_batch // 2
            return [self._drills.recall(level if rng.random() < 0.7 else rng.randint(1, level)) for _ in range(count)]
        if source is None or rng.random() < config.page_share:
            return [self._drills.pages(rng.choice(self._worlds), rng.randint(1, 3)) for _ in range(config.page_batch)]
        return source(self.progress.stage_step)

    def _attempts(self, examples: Sequence[Example]) -> Callable[[int], list[Example]]:
        """Batch number -> examples of similar length: a fixed, shuffled order that begins again when it is through."""
        rng = random.Random(f"attempts-{self.config.seed}")
        order = rng.sample(range(len(examples)), len(examples))
        size, batches = self.config.attempt_batch, list[list[int]]()
        for start in range(0, len(order), size * WINDOW_BATCHES):
            window = sorted(order[start : start + size * WINDOW_BATCHES], key=lambda index: len(examples[index]))
            batches += [window[first : first + size] for first in range(0, len(window), size)]
        rng.shuffle(batches)
        return lambda number: [examples[index] for index in batches[number % len(batches)]]

    def _rate(self, stage: str) -> float:
        """Warm-up at the very start, constant through the drills, cosine over the attempts."""
        config, progress = self.config, self.progress
        warm = min(1.0, (progress.step + 1) / WARMUP)
        if stage != "attempts":
            return config.lr * warm
        done = progress.stage_step / config.attempt_steps
        return config.lr * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * done)))

    def _learn(self, batch: Sequence[Example], rate: float) -> tuple[float, float, int]:
        """One optimiser step: (loss, accuracy, tokens)."""
        rows = collate([Sample(example.input_ids, example.loss_mask) for example in batch])
        scores = score(self.model, rows.input_ids_BT, rows.mask_BT)
        loss = -scores.logprobs_N.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        apply_gradient(self.model, self._optimizer, lr=rate, clip_norm=1.0)
        return float(loss.detach()), float(scores.correct_N.float().mean()), rows.input_ids_BT.numel()

    def _tell(self, stage: str, loss: float) -> None:
        progress = self.progress
        values = {"loss": loss, "accuracy": progress.accuracy, "tokens": progress.tokens, "level": progress.level}
        self._metrics.log(progress.step, {"stage": stage, **values, "seconds": round(progress.seconds, 2)})
        if progress.step % 25 == 0:
            level = f" level {progress.level}" if stage == "recall" else ""
            speed = progress.tokens / max(progress.seconds, 1e-9)
            self._show(
                f"{stage}{level} step {progress.stage_step} loss {loss:.3f} accuracy {progress.accuracy:.3f} "
                f"{progress.tokens / 1e6:.2f}M tokens {progress.seconds:.0f} s {speed:.0f} tokens/s"
            )

    def _save(self) -> None:
        state = {"progress": asdict(self.progress), SUBJECT: self._subject}
        save_checkpoint(self.folder / "checkpoints", self.progress.step, self.model, self._optimizer, state)


def train(config: BaseModelConfig, folder: Path, show: Callable[[str], None] = print) -> Course:
    """Run the whole course; the oracle plays in a second process while the drills run."""
    torch.set_num_threads(config.threads)
    seeds = range(config.first_world, config.first_world + config.worlds)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        playing = pool.submit(attempts, seeds, config.attempts, seed=config.seed)
        course = Course(config, folder, show)
        course.run(playing.result)
    return course
