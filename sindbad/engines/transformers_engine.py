"""The Transformers engine: :class:`EngineCore` on a thread of its own, behind the asynchronous engine protocol.

Importing this module loads neither torch nor transformers. The thread owns the model; callers talk to it through a
mailbox, and it answers through their event loop. Tokens are handed over several at a time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sindbad.engines.protocol import SamplingParams, TokenChunk
from sindbad.engines.requests import check_model, check_request, check_version
from sindbad.engines.threads import calm_threads
from sindbad.errors import EngineFailure, Overloaded, SindbadError, Unavailable

if TYPE_CHECKING:
    from sindbad.engines.core import EngineCore, SlotModel, Stream

FLUSH_SECONDS = 0.2  # a slow model hands over what it has after this long, however few tokens
CLOSE_SECONDS = 30.0


class TransformersEngineSettings(BaseModel):
    """Sizes of the Transformers engine. Cache memory grows with (max_batch + retained_rows) × longest context used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["transformers"] = "transformers"
    max_batch: int = Field(default=64, ge=1, description="Requests that run at once.")
    retained_rows: int = Field(default=64, ge=0, description="Finished requests whose cache is kept for a next turn.")
    max_context: int = Field(
        default=4096, ge=2, description="Longest prompt + output; the model's own limit also holds."
    )
    queue_limit: int = Field(default=1024, ge=0, description="Requests that may wait for a place in the batch.")
    prefill_tokens: int = Field(default=4096, ge=16, description="Prompt tokens run between two decoding steps.")
    chunk_tokens: int = Field(default=16, ge=1, description="Sampled tokens handed over at a time.")
    threads: int | None = Field(default=None, ge=1, description="Torch threads; unset leaves torch's own choice.")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="Arithmetic of the model.")
    device: str = Field(default="cpu", description="torch device.")
    on_swap: Literal["keep", "recompute"] = Field(
        default="keep",
        description="After a change of weights, running requests keep their old cache or are recomputed.",
    )


_Item = tuple["asyncio.Queue[TokenChunk | SindbadError]", "TokenChunk | SindbadError"]


class _Channel:
    """One request as its caller sees it: a queue on the caller's event loop, at most max_tokens long."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.queue: asyncio.Queue[TokenChunk | SindbadError] = asyncio.Queue()
        self.flushed_at = time.monotonic()


class TransformersEngine:
    """Implements :class:`sindbad.engines.protocol.Engine`."""

    def __init__(self, settings: TransformersEngineSettings | None = None) -> None:
        self.settings = settings or TransformersEngineSettings()
        calm_threads(self.settings.threads)
        self._core = self._make_core()
        self._condition = threading.Condition()
        self._mailbox: deque[Callable[[], None]] = deque()
        self._outstanding = 0  # submitted and not ended; guarded by _condition
        self._thread: threading.Thread | None = None
        self._closed = False
        self._loading = asyncio.Lock()

    def _make_core(self) -> EngineCore:
        import torch

        from sindbad.engines.core import EngineCore

        one = self.settings
        return EngineCore(
            max_batch=one.max_batch, retained_rows=one.retained_rows, max_context=one.max_context,
            prefill_tokens=one.prefill_tokens, dtype=getattr(torch, one.dtype), device=one.device, on_swap=one.on_swap,
        )  # fmt: skip

    # ---- protocol
    @property
    def name(self) -> str:
        return "transformers"

    @property
    def version(self) -> int | None:
        return self._core.version

    @property
    def max_context(self) -> int:
        """Longest prompt + output in tokens; 0 while no model is loaded."""
        return self._core.max_context

    @property
    def vocabulary_size(self) -> int:
        """Ids are below it; 0 while no model is loaded."""
        return self._core.model.vocabulary_size if self._core.model else 0

    async def start(self) -> None:
        if self._closed:
            raise Unavailable("the engine is closed; make a new one")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sindbad-engine", daemon=True)
            self._thread.start()

    async def load(self, model_dir: Path, version: int) -> None:
        """See Engine.load. Reading happens beside the running requests; the swap between two steps."""
        async with self._loading:
            model = await asyncio.to_thread(self._read, Path(model_dir))
            if self._thread is None:
                self._core.install(model, version)
                return
            done: Future[None] = Future()
            self._post(lambda: self._install(model, version, done))
            await asyncio.wrap_future(done)

    async def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    async def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        """See Generator.generate."""
        channel, cancel = self._submit(prompt_ids, sampling, min_version)
        try:
            while True:
                item = await channel.queue.get()
                if isinstance(item, SindbadError):
                    raise item
                yield item
                if item.finish_reason is not None:
                    return
        finally:
            cancel()

    def stats(self) -> dict[str, float]:
        """Counters and gauges for metrics: tokens, steps, running, waiting, busy seconds (the engine is else idle)."""
        return asdict(self._core.counters) | {"running": self._core.running, "waiting": self._core.waiting}

    # ---- caller's side
    def _submit(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, min_version: int
    ) -> tuple[_Channel, Callable[[], None]]:
        self._check_open()
        version = check_model(self.version)
        check_request(prompt_ids, sampling, self.vocabulary_size, self.max_context)
        check_version(version, min_version)
        channel = _Channel()
        with self._condition:
            if self._outstanding >= self.settings.max_batch + self.settings.queue_limit:
                raise Overloaded(f"{self._outstanding} generations are running or waiting; retry later")
            self._outstanding += 1
        cell: list[Any] = []
        prompt = list(prompt_ids)
        self._post(lambda: cell.append(self._core.submit(prompt, sampling, channel)))

        def cancel() -> None:
            def mark() -> None:
                cell[0].cancelled = True

            self._post(mark)

        return channel, cancel

    def _check_open(self) -> None:
        if self._closed or self._thread is None:
            raise Unavailable("the engine is closed" if self._closed else "the engine was not started")

    def _post(self, action: Callable[[], None]) -> None:
        with self._condition:
            self._mailbox.append(action)
            self._condition.notify()

    def _read(self, model_dir: Path) -> SlotModel:
        import torch

        from sindbad.engines.core import load_model

        try:
            return load_model(model_dir, getattr(torch, self.settings.dtype), self.settings.device)
        except SindbadError:
            raise
        except Exception as error:
            raise EngineFailure(f"cannot load {model_dir}: {type(error).__name__}: {error}") from error

    # ---- the engine's thread
    def _run(self) -> None:
        calm_threads(self.settings.threads)
        while self._next_actions():
            began = time.perf_counter()
            self._deliver(self._core.step())
            self._core.counters.busy_seconds += time.perf_counter() - began
        self._deliver(self._core.cancel_all())

    def _next_actions(self) -> bool:
        """Wait until there is something to do, and do what the mailbox asks; False when the engine is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._mailbox or self._core.has_work)
            actions, self._mailbox = self._mailbox, deque()
        for action in actions:
            action()
        return not self._closed

    def _install(self, model: SlotModel, version: int, done: Future[None]) -> None:
        try:
            self._deliver(self._core.install(model, version))
        except Exception as error:
            done.set_exception(EngineFailure(f"swapping to version {version} failed: {error}"))
        else:
            done.set_result(None)

    def _deliver(self, streams: Iterable[Stream]) -> None:
        """Hand over what ended, what has gathered enough tokens, and what has waited long enough."""
        now = time.monotonic()
        by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
        for stream in streams:
            channel: _Channel = stream.owner
            late = now - channel.flushed_at > FLUSH_SECONDS
            if not (stream.ended or late or len(stream.token_ids) >= self.settings.chunk_tokens):
                continue
            channel.flushed_at = now
            item: TokenChunk | SindbadError = stream.failure or stream.take()
            by_loop.setdefault(channel.loop, []).append((channel.queue, item))
            if stream.ended:
                with self._condition:
                    self._outstanding -= 1
        for loop, items in by_loop.items():
            with suppress(RuntimeError):  # the caller's loop is closed: nobody is left to tell
                loop.call_soon_threadsafe(_hand_over, items)


def _hand_over(items: list[_Item]) -> None:
    for queue, item in items:
        queue.put_nowait(item)
