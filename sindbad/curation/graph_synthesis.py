"""Targeted synthesis from a stored graph: ``sindbad questions make`` in a process of its own, for a learner's demand.

The questions that a learner is trained on came from a run of that command. Its settings are taken again, so that the
same entities stay aside for test; the demand is laid over its mix; every demand is a new series, so that other
questions are drawn; and what D knows already, or nearly, is not made again. What was made, and what was rejected and
why, stays in a folder a demand.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from sindbad import atomic
from sindbad.curation.targeted import AskingConfig
from sindbad.errors import InvalidInput, NotFound
from sindbad.questions.demand import Demand
from sindbad.questions.question import Question
from sindbad.questions.store import load_questions, save_questions

if TYPE_CHECKING:
    from sindbad.questions.earlier import Earlier

_NICE = 10
"""Training goes first."""


class GraphSynthesisConfig(AskingConfig):
    """Made of one stored graph, however large."""

    graph: Path
    """The graph's folder."""
    made: Path
    """Folder of the `sindbad questions make` run that the stage's questions came from."""
    index: Path | None = None
    """Keep only what the tools in this search index bring up."""
    max_seconds: float = Field(default=900.0, gt=0.0)
    """Longest that one demand may take; one that takes longer is given up, and the next refresh asks again."""


class GraphGenerator:
    """Answers demands; call it in a thread, and :meth:`close` it to end what still runs.

    Args:
        known: the questions of D, now.
        scratch: folder of what is made.

    Raises InvalidInput or NotFound where graph and run are not there or do not belong together.
    """

    def __init__(self, config: GraphSynthesisConfig, known: Callable[[], Sequence[Question]], scratch: Path) -> None:
        self._config, self._known, self._scratch = config, known, scratch
        self._series = _checked(config, known()).series + 1
        self._closed = False

    def __call__(self, demand: Demand, seed: int) -> Sequence[Question]:
        """New questions of the training split, in every language that they can be worded in.

        Raises SindbadError with the command's last lines where it failed, DeadlineExceeded where it took too long.
        """
        from sindbad.supervisor.command import run_command

        folder = self._scratch / f"{seed:06d}"
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
        log = folder / "make.log"
        run_command(
            self._command(folder, demand, seed), what=f"`sindbad questions make` (its log: {log})", log=log,
            deadline_seconds=self._config.max_seconds, advice="(ask for fewer, or raise synthesis.max_seconds)",
            reason="NO_QUESTIONS", stopped=lambda: self._closed, nice=_NICE,
        )  # fmt: skip
        return load_questions(folder / "made" / "train.jsonl")

    def close(self) -> None:
        """End what runs, within seconds; later calls end at once."""
        self._closed = True

    def _command(self, folder: Path, demand: Demand, seed: int) -> list[str]:
        config = self._config
        atomic.write_json(folder / "demand.json", demand.to_record())
        save_questions(folder / "known.jsonl", self._known())
        given = {
            "graph": config.graph, "like": config.made, "out": folder / "made", "demand": folder / "demand.json",
            "known": folder / "known.jsonl", "series": self._series + seed, "only": "train",
            "count": config.questions, "workers": 1,
        }  # fmt: skip
        if config.index is not None:
            given["index"] = config.index
        options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        return [sys.executable, "-m", "sindbad.cli.main", "questions", "make", *options]


def _checked(config: GraphSynthesisConfig, known: Sequence[Question]) -> Earlier:
    """Whatever can be wrong is said when the stage begins, not at the first refresh."""
    from sindbad.questions.earlier import Earlier

    earlier = Earlier.read(config.made, config.graph)
    earlier.require(config.index)
    if config.index is not None and not config.index.exists():
        raise NotFound(f"synthesis.index: {config.index} is not there")
    others = sorted({question.world_id for question in known} - {earlier.world_id})
    if others:
        raise InvalidInput(f"the stage asks about {others[0]}, but {config.made} holds questions of {earlier.world_id}")
    return earlier
