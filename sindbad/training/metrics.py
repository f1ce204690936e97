"""Training metrics as JSON lines and TensorBoard events, live and resumable.

Invariant: after :meth:`MetricsLog.rewind` to step s the JSONL file holds exactly the rows of steps <= s, so a killed
and resumed run leaves one row a step, never two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sindbad.atomic import write_text


class MetricsLog:
    """Append-only metrics of one stage: ``path`` (JSONL) and, beside it, a folder of TensorBoard events.

    Args:
        path: the JSONL file; its parent is created.
        tensorboard: folder for event files; None writes none.
    """

    def __init__(self, path: Path, *, tensorboard: Path | None = None) -> None:
        self._path = path
        self._tensorboard = tensorboard
        self._writer: Any = None
        self._file: Any = None

    def rewind(self, step: int) -> None:
        """Forget rows after ``step`` (also a torn last line) and continue from there."""
        self.close()
        kept = [json.dumps(row, ensure_ascii=False) for row in read_metrics(self._path) if row["step"] <= step]
        if self._path.exists():
            write_text(self._path, "".join(line + "\n" for line in kept))
        self._open(purge_step=step + 1)

    def log(self, step: int, values: Mapping[str, float | int | str]) -> None:
        """One row: ``{"step": step, **values}``; numbers also go to TensorBoard."""
        if self._file is None:
            self._open(purge_step=None)
        self._file.write(json.dumps({"step": step, **values}, ensure_ascii=False) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Flush to disk. Idempotent; a later :meth:`log` opens again."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, *, purge_step: int | None) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a", encoding="utf-8")
        if self._tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._tensorboard), purge_step=purge_step)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics file; a torn last line (a killed writer) is left out. A missing file has no rows."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
