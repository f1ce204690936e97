"""Targeted synthesis from a stored graph: ``sindbad questions make`` in a process of its own, for a learner's demand.

The questions that a learner is trained on came from a run of that command. Its settings are taken again, so that the
same entities stay aside for test; the demand is laid over its mix; every demand is a new series, so that other
questions are drawn; and what D knows already, or nearly, is not made again. What was made, and what was rejected and
why, stays in a folder a demand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from sindbad import atomic
from sindbad.curation.targeted import AskingConfig
from sindbad.errors import DeadlineExceeded, InvalidInput, NotFound, SindbadError
from sindbad.questions.demand import Demand
from sindbad.questions.question import Question
from sindbad.questions.store import load_questions, save_questions

_LOOK_SECONDS = 0.2
_LAST_LINES = 3


class GraphSynthesisConfig(AskingConfig):
    """Made of one stored graph, however large."""

    graph: Path
    """The graph's folder."""
    made: Path
    """Folder of the `sindbad questions make` run that the stage's questions came from."""
    index: Path | None = None
    """Keep only what the tools in this search index bring up."""
    max_seconds: float = Field(default=900.0, gt=0.0)
    """Longest that one demand may take."""


class GraphGenerator:
    """Answers demands; call it in a thread, and :meth:`close` it to end what still runs.

    Args:
        known: the questions of D, now.
        scratch: folder of what is made.

    Raises InvalidInput or NotFound where graph and run are not there or do not belong together.
    """

    def __init__(self, config: GraphSynthesisConfig, known: Callable[[], Sequence[Question]], scratch: Path) -> None:
        self._config, self._known, self._scratch = config, known, scratch
        self._run = _run_of(config)
        self._closed = False

    def __call__(self, demand: Demand, seed: int) -> Sequence[Question]:
        """New questions of the training split, in every language that they can be worded in.

        Raises SindbadError with the command's last lines where it failed, DeadlineExceeded where it took too long.
        """
        folder = self._scratch / f"{seed:06d}"
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
        log = folder / "make.log"
        command = self._command(folder, demand, seed)
        with log.open("wb") as out:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            try:
                code = self._wait(child)
            finally:
                child.kill()
                child.wait()
        if code != 0:
            last = " | ".join(log.read_text("utf-8", errors="replace").split("\n")[-_LAST_LINES - 1 :]).strip(" |")
            raise SindbadError(f"`sindbad questions make` ended with {code}: {last} (whole log: {log})")
        return load_questions(folder / "made" / "train.jsonl")

    def close(self) -> None:
        """End what runs, within a moment; later calls end at once."""
        self._closed = True

    def _command(self, folder: Path, demand: Demand, series: int) -> list[str]:
        config, run = self._config, self._run
        atomic.write_json(folder / "settings.json", run["settings"])
        atomic.write_json(folder / "demand.json", demand.to_record())
        save_questions(folder / "known.jsonl", self._known())
        given = {
            "graph": config.graph, "out": folder / "made", "config": folder / "settings.json",
            "demand": folder / "demand.json", "known": folder / "known.jsonl", "seed": run["seed"],
            "series": series, "test-share": run["test_share"], "only": "train", "count": config.questions, "workers": 1,
        }  # fmt: skip
        if config.index is not None:
            given["index"] = config.index
        options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        child = [sys.executable, "-m", "sindbad.supervisor.child", str(os.getpid()), "sindbad.cli.main"]
        return [*child, "questions", "make", *options]

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        until = time.monotonic() + self._config.max_seconds
        while child.poll() is None:
            if self._closed:
                raise SindbadError("the stage ended while questions were made")
            if time.monotonic() > until:
                raise DeadlineExceeded(
                    f"no questions within {self._config.max_seconds:g} s; ask for fewer or raise synthesis.max_seconds"
                )
            time.sleep(_LOOK_SECONDS)
        return child.returncode


def _run_of(config: GraphSynthesisConfig) -> dict[str, Any]:
    """Settings of the run that the stage's questions came from."""
    from sindbad.questions.factory import graph_digest, open_any

    path = config.made / "run.json"
    try:
        run = json.loads(path.read_text("utf-8"))
        digest, _ = run["graph"], (run["seed"], run["test_share"], run["settings"])
    except FileNotFoundError:
        raise NotFound(f"{path} is not there: synthesis.made is the --out folder of `sindbad questions make`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} is no run of `sindbad questions make` ({error!r})") from None
    if graph_digest(open_any(config.graph), config.graph) != digest:
        raise InvalidInput(f"the questions of {config.made} were made from another graph than {config.graph}")
    return dict(run)
