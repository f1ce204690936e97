"""Journals that killed work goes on from: one writer at a time, and the lock ends with its process."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from sindbad.errors import InvalidInput
from sindbad.journal import Journal
from sindbad.training.journal import RolloutJournal
from sindbad.training.mixed import MixJournal

HOLD = """
import sys, time
from pathlib import Path
from sindbad.training.{module} import {name}
journal = {name}(Path(sys.argv[1]))
{write}
print("open", flush=True)
time.sleep(60)
"""


class Held(Protocol):
    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("journal", "module", "write", "known"),
    [
        (RolloutJournal, "journal", "journal.train_at(7)", lambda journal: journal.version == 7),
        (MixJournal, "mixed", "journal.write(state={'a': 1})", lambda journal: journal.state == {"a": 1}),
    ],
)
def test_a_second_process_is_refused_by_name_until_the_first_is_dead(
    tmp_path: Path, journal: Callable[[Path], Held], module: str, write: str, known: Callable[[Any], bool]
) -> None:
    path = tmp_path / "step.jsonl"
    script = HOLD.format(module=module, name=journal.__name__, write=write)  # type: ignore[attr-defined]
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            before = path.read_bytes()
            with pytest.raises(InvalidInput, match=r"step\.jsonl is being written by another process") as refused:
                journal(path)
            assert refused.value.reason == "JOURNAL_BUSY"
            assert path.read_bytes() == before
        finally:
            other.kill()
    mine = journal(path)
    assert known(mine)
    mine.close()
    journal(path).close()  # closing gives the lock back


def test_a_file_system_without_locks_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with Journal(tmp_path / "j.jsonl", lambda *_: None, busy=InvalidInput("busy")) as journal:
        journal.append({"a": 1})
    read = []
    with Journal(tmp_path / "j.jsonl", lambda row, _: read.append(row), busy=InvalidInput("busy")):
        assert read == [{"a": 1}]
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(OSError, match="broken"):
        Journal(tmp_path / "j.jsonl", lambda *_: None, busy=InvalidInput("busy"))
