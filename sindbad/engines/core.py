"""The Transformers engine without threads or clocks: one ``step`` admits, prefills, decodes and reports.

Everything here runs on one thread. Requests join and leave at every step; weights change only between steps, so every
token was computed by exactly one version. A step that fails ends the requests that were running, never the engine.
"""

from __future__ import annotations

import secrets
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from sindbad.engines.checkpoint import read_config
from sindbad.engines.protocol import FinishReason, SamplingParams, TokenChunk
from sindbad.engines.sampler import sample
from sindbad.engines.slot_cache import CacheShape, SlotCache
from sindbad.engines.slots import RowTable, Slot, plan_prefill
from sindbad.errors import EngineFailure, SindbadError


class SlotModel(Protocol):
    """What the core needs of an architecture (lfm2.py, causal.py)."""

    vocabulary_size: int
    max_positions: int
    cache_shape: CacheShape

    def decode(self, cache: SlotCache, token_ids: list[int], positions: list[int]) -> Tensor: ...

    def prefill(self, cache: SlotCache, rows: list[int], starts: list[int], chunks: list[list[int]]) -> None: ...


def load_model(model_dir: Path, dtype: torch.dtype, device: str) -> SlotModel:
    """The model in a Hugging Face folder. Raises EngineFailure for anything that cannot be served as it is."""
    from sindbad.engines.causal import CausalModel
    from sindbad.engines.lfm2 import Lfm2Model

    kind = read_config(model_dir)["model_type"]
    return Lfm2Model(model_dir, dtype, device) if kind == "lfm2" else CausalModel(model_dir, dtype, device)


@dataclass(slots=True, eq=False)
class Stream:
    """One request's way back to its caller: tokens not yet delivered, and how it ended."""

    owner: Any
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    finish: FinishReason | None = None
    failure: SindbadError | None = None

    @property
    def ended(self) -> bool:
        return self.finish is not None or self.failure is not None

    def take(self) -> TokenChunk:
        """What has gathered since the last call."""
        chunk = TokenChunk(tuple(self.token_ids), tuple(self.logprobs), tuple(self.versions), self.finish)
        self.token_ids, self.logprobs, self.versions = [], [], []
        return chunk


@dataclass(slots=True)
class Counters:
    """Since the engine began. ``busy_seconds`` is filled in by whoever owns a clock."""

    sampled_tokens: int = 0
    prefilled_tokens: int = 0
    reused_tokens: int = 0
    decode_steps: int = 0
    finished_requests: int = 0
    busy_seconds: float = 0.0


class EngineCore:
    """Waiting requests, running requests, the model and its cache."""

    def __init__(
        self,
        *,
        max_batch: int,
        retained_rows: int,
        max_context: int,
        prefill_tokens: int,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        on_swap: Literal["keep", "recompute"] = "keep",
    ) -> None:
        self._rows, self._max_batch = max_batch + retained_rows, max_batch
        self._context_limit, self._prefill_tokens = max_context, prefill_tokens
        self._dtype, self._device, self._on_swap = dtype, device, on_swap
        self._model: SlotModel | None = None
        self._cache: SlotCache | None = None
        self._table: RowTable | None = None
        self._waiting: deque[Slot] = deque()
        self.version: int | None = None
        self.counters = Counters()

    # ---- what is there
    @property
    def model(self) -> SlotModel | None:
        return self._model

    @property
    def max_context(self) -> int:
        """0 while there is no model."""
        return min(self._context_limit, self._model.max_positions) if self._model else 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return self._table.active if self._table else 0

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self.running)

    # ---- requests
    def submit(self, prompt: Sequence[int], sampling: SamplingParams, owner: Any) -> Slot:
        """Queue a request whose arguments were checked. ``owner`` comes back with its tokens."""
        seed = sampling.seed if sampling.seed is not None else secrets.randbits(64)
        slot = Slot(array("q", prompt), len(prompt), sampling, seed, frozenset(sampling.stop_token_ids), Stream(owner))
        self._waiting.append(slot)
        return slot

    def step(self) -> list[Stream]:
        """One round; returns the streams that have something new."""
        if self._table is None or self._model is None or self._cache is None:
            return []
        touched = self._drop_cancelled()
        try:
            with torch.inference_mode():
                self._admit(self._table)
                self._prefill(self._model, self._cache, self._table)
                touched += self._decode(self._model, self._cache, self._table)
        except Exception as error:
            touched += self._fail_running(error)
        return touched

    def cancel_all(self) -> list[Stream]:
        """End everything with CANCELLED."""
        slots = [*self._waiting, *(self._table.active_slots() if self._table else [])]
        for slot in slots:
            slot.cancelled = True
        return self._drop_cancelled()

    def _drop_cancelled(self) -> list[Stream]:
        ended: list[Stream] = []
        for slot in self._table.active_slots() if self._table else []:
            if slot.cancelled:
                ended.append(self._finish(slot, FinishReason.CANCELLED))
        for slot in [one for one in self._waiting if one.cancelled]:
            self._waiting.remove(slot)
            slot.owner.finish = FinishReason.CANCELLED
            ended.append(slot.owner)
        return ended

    def _fail_running(self, error: Exception) -> list[Stream]:
        assert self._table is not None
        failure = EngineFailure(f"the model could not be run: {type(error).__name__}: {error}")
        ended: list[Stream] = []
        for slot in self._table.active_slots():
            slot.owner.failure = failure
            ended.append(slot.owner)
        self._table = RowTable(self._rows, self._max_batch, self._table.cache)
        return ended

    # ---- one step
    def _admit(self, table: RowTable) -> None:
        assert self.version is not None
        later: list[Slot] = []
        while self._waiting and not table.full:
            slot = self._waiting.popleft()
            if not table.admit(slot, self.version):
                later.append(slot)
        self._waiting.extendleft(reversed(later))
        self.counters.reused_tokens = table.reused_tokens

    def _prefill(self, model: SlotModel, cache: SlotCache, table: RowTable) -> None:
        for group in plan_prefill(table.prefilling_slots(), self._prefill_tokens):
            rows, starts = [slot.row for slot, _ in group], [slot.filled for slot, _ in group]
            chunks = [slot.tokens[slot.filled : slot.filled + count].tolist() for slot, count in group]
            model.prefill(cache, rows, starts, chunks)
            for slot, count in group:
                slot.filled += count
                self.counters.prefilled_tokens += count
            for slot, _ in group:
                if slot.missing == 1:
                    table.promote(slot)

    def _decode(self, model: SlotModel, cache: SlotCache, table: RowTable) -> list[Stream]:
        slots = table.decoding_slots()
        if not slots:
            return []
        logits_nV = model.decode(cache, [slot.tokens[-1] for slot in slots], [slot.filled for slot in slots])
        tokens, logprobs = sample(
            logits_nV,
            [slot.sampling for slot in slots],
            [slot.seed for slot in slots],
            [slot.generated for slot in slots],
        )
        for slot in slots:  # all of them before any row moves: a move copies what is filled
            slot.filled += 1
        self.counters.decode_steps += 1
        self.counters.sampled_tokens += len(slots)
        return [self._extend(*item) for item in zip(slots, tokens, logprobs, strict=True)]

    def _extend(self, slot: Slot, token: int, logprob: float) -> Stream:
        assert self.version is not None
        stream: Stream = slot.owner
        slot.tokens.append(token)
        stream.token_ids.append(token)
        stream.logprobs.append(logprob)
        stream.versions.append(self.version)
        if token in slot.stops:
            return self._finish(slot, FinishReason.STOP)
        if slot.generated >= slot.sampling.max_tokens:
            return self._finish(slot, FinishReason.LENGTH)
        return stream

    def _finish(self, slot: Slot, reason: FinishReason) -> Stream:
        assert self._table is not None
        stream: Stream = slot.owner
        stream.finish = reason
        self.counters.finished_requests += 1
        self._table.release(slot, retain=slot.cache_version == self.version)
        return stream

    # ---- weights
    def install(self, model: SlotModel, version: int) -> list[Stream]:
        """Serve ``model`` from the next step on; returns the streams it ended.

        Running requests keep the cache of the old weights (or are recomputed, if configured so or if the shapes
        differ); no later request takes over anything that old weights computed. A request that no longer fits the
        new model (vocabulary, context) ends with an EngineFailure.
        """
        table, old = self._table, self._model
        self._model, self.version = model, version
        if table is None or self._cache is None:
            self._new_cache(model)
            return []
        table.forget_caches()
        if old is not None and old.cache_shape != model.cache_shape:
            ended = self._move_to_new_cache(model, table)
        else:
            ended = []
            self._cache.max_positions = self.max_context
        ended += self._end_misfits(model, self._table or table)
        if self._on_swap == "recompute" and self._table is table:
            table.restart_all(version)
        return ended

    def _new_cache(self, model: SlotModel) -> RowTable:
        self._cache = SlotCache(model.cache_shape, self._rows, self.max_context, self._dtype, self._device)
        self._table = RowTable(self._rows, self._max_batch, self._cache)
        return self._table

    def _move_to_new_cache(self, model: SlotModel, table: RowTable) -> list[Stream]:
        """Running requests go back to the head of the queue; their sampled tokens stay."""
        slots = sorted(table.active_slots(), key=lambda slot: slot.used_at)
        self._new_cache(model)
        for slot in slots:
            slot.filled, slot.mark = 0, None
        self._waiting.extendleft(reversed(slots))
        return []

    def _end_misfits(self, model: SlotModel, table: RowTable) -> list[Stream]:
        misfits = [slot for slot in [*table.active_slots(), *self._waiting] if not self._fits(model, slot)]
        streams: list[Stream] = [slot.owner for slot in misfits]
        for slot in misfits:
            slot.owner.failure = EngineFailure("the new weights have a smaller vocabulary or context than this request")
            if slot in self._waiting:
                self._waiting.remove(slot)
            else:
                table.release(slot, retain=False)
        return streams

    def _fits(self, model: SlotModel, slot: Slot) -> bool:
        longest = slot.prompt_length + slot.sampling.max_tokens
        return longest <= self.max_context and max(slot.tokens) < model.vocabulary_size
