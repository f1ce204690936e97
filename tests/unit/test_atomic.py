"""A folder appears whole; what killed runs left beside it goes with the next one, what a living run has stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sindbad.atomic import new_dir

_WRITER = """
import sys
from sindbad.atomic import new_dir
with new_dir(sys.argv[1]) as folder:
    (folder / "by").write_text(sys.argv[2])
    print("here", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def writer(target: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that is half way through writing ``target``, until it is told a line."""
    command = [sys.executable, "-c", _WRITER, str(target), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_run_left_is_removed_by_the_next_and_a_living_run_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with writer(target, "living") as living:
        with writer(target, "dead") as dead:
            dead.send_signal(signal.SIGKILL)
            dead.wait(30)
        (tmp_path / ".out.old-1").mkdir()
        (tmp_path / ".outer.new-1").mkdir()  # of another target
        assert len(names(tmp_path)) == 4
        with new_dir(target) as folder:
            (folder / "by").write_text("us")
            assert {(path / "by").read_text() for path in tmp_path.glob(".out.new-*")} == {"living", "us"}
        assert (target / "by").read_text() == "us"
        living.communicate("go on\n", timeout=30)
        assert living.returncode == 0
    assert (target / "by").read_text() == "living"
    assert names(tmp_path) == [".outer.new-1", "out"]


def test_a_body_that_fails_leaves_the_earlier_folder_and_nothing_else(tmp_path: Path) -> None:
    with new_dir(tmp_path / "out") as folder:
        (folder / "a").write_text("first")
        (folder / "a").chmod(0o600)
    assert (tmp_path / "out" / "a").stat().st_mode & 0o777 == 0o644  # whoever serves it is somebody else

    def failing() -> None:
        with new_dir(tmp_path / "out") as folder:
            (folder / "a").write_text("second")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failing()
    assert (tmp_path / "out" / "a").read_text() == "first"
    assert names(tmp_path) == ["out"]
