"""Background attempts on disk, in shards of a few dozen: what `sindbad curate report` reads beside training's own.

They are for people and for counting failures; what the curator knows of them stands in its journal. A kill loses at
most the attempts of the shard being filled. What a full disk refuses waits for the next shard, so many at most; then
:meth:`AttemptLog.add` refuses more. Leaving tries once more and says what is lost: training never fails for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from sindbad.agent import store
from sindbad.agent.trajectory import Trajectory

log = logging.getLogger(__name__)
SHARD = 64
"""Attempts a shard, at least."""
SHARDS_WAITING = 8
"""Shards that may wait for a disk that cannot be written."""


class AttemptLog:
    """Appends attempts below one folder; several threads may add at once.

    ``say`` gets a line when the disk begins to refuse, and when attempts are lost in the end.
    """

    def __init__(self, folder: Path, *, shard: int = SHARD, say: Callable[[str], None] = log.warning) -> None:
        self._folder, self._shard, self._say = folder, shard, say
        self._waiting: list[Trajectory] = []
        self._lock = threading.Lock()
        self._refused = False

    def __enter__(self) -> AttemptLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.flush()
        except Exception as why:  # whatever it is, the block's own end counts
            self._say(f"{len(self._waiting)} background attempts are lost, {self._folder} cannot be written: {why}")

    def add(self, attempts: Sequence[Trajectory]) -> None:
        """Keep these; a full shard is written.

        Raises OSError, keeping none of these, where as many as may wait already do; and what is no matter of the disk.
        """
        with self._lock:
            if len(self._waiting) + len(attempts) > max(SHARDS_WAITING * self._shard, len(attempts)):
                self._write()
            self._waiting += attempts
            if len(self._waiting) >= self._shard:
                self._try()

    def flush(self) -> None:
        """Write what is waiting. Raises OSError; it then waits on."""
        with self._lock:
            self._write()

    def _try(self) -> None:
        try:
            self._write()
        except OSError as error:
            if not self._refused:
                self._say(f"{self._folder} cannot be written, {len(self._waiting)} background attempts wait: {error}")
            self._refused = True

    def _write(self) -> None:
        if self._waiting:
            store.append(self._folder, self._waiting)
            self._waiting, self._refused = [], False
