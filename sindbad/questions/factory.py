"""A whole run of ``sindbad questions make``: batches by workers, a journal of batches, one merged result.

Every batch is a file of ``journal/``, written atomically when it is done, and follows from the run's settings and its
number alone; merging reads batches in order of their numbers. So a run that is killed at any moment goes on with the
batches that are missing and ends with the same files as one that was not, and a larger ``count`` extends it.
Workers are processes of their own (spawned, not forked: Arrow and DuckDB hold threads).
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput
from sindbad.graph.knowledge import GraphView, KnowledgeGraph
from sindbad.questions.compact import compact
from sindbad.questions.making import Batch, Made, Maker, MakingConfig
from sindbad.questions.merging import Merger, shared_by, test_region
from sindbad.questions.question import Clue, Question
from sindbad.questions.reach import ToolReach
from sindbad.questions.store import load_questions
from sindbad.questions.synthesis import Rejected
from sindbad.questions.verification import Rejection

BATCH_FORMS: Final = 40
_IDLE_BATCHES: Final = 6
"""A split is given up after so many batches in a row that added (almost) nothing."""
Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made. ``count`` is in logical forms, of both splits together; it may grow from run to run.

    ``series``: another one draws other questions, with the same entities set aside for test. ``known``: files of
    questions that are there already; neither they nor their near-duplicates are kept. ``only``: one split of the two.
    ``index``: only what the tools bring up over this search index is kept; batches of the journal hold it either way.
    """

    graph: Path
    out: Path
    count: int
    config: MakingConfig = field(default_factory=MakingConfig)
    seed: int = 0
    test_share: float = 0.1
    workers: int = 2
    series: int = 0
    known: tuple[Path, ...] = ()
    only: Split | None = None
    index: Path | None = None

    @property
    def draws(self) -> int | str:
        """Decides walks and choices, and stands in the ids; the entities set aside hang on the seed alone."""
        return f"{self.seed}s{self.series}" if self.series else self.seed

    def identity(self, digest: str) -> dict[str, Any]:
        """What all runs into one folder have to share."""
        settings = self.config.model_dump(mode="json")
        known = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.known]
        chosen = {"series": self.series, "only": self.only, "known": known}
        return {
            "graph": digest, "seed": self.seed, "test_share": self.test_share, "settings": settings,
            **{name: value for name, value in chosen.items() if value},
        }  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """A finished run: what was kept of each split, and the mergers with everything else.

    ``looked_up``: only what the tools bring up was kept.
    """

    order: Order
    digest: str
    world_id: str
    mergers: dict[str, Merger] = field(default_factory=dict)
    stopped: bool = False
    looked_up: bool = False

    def questions(self, split: str) -> list[Question]:
        """All languages, in order."""
        return [question for made in self.mergers[split].kept for question in made.questions]


def open_any(path: str | Path) -> GraphView:
    """A stored graph's folder, or the JSONL file of a graph in memory."""
    if Path(path).is_file():
        return KnowledgeGraph.load(path)
    from sindbad.graph.store import open_graph

    return open_graph(path)


def graph_digest(graph: GraphView, path: Path) -> str:
    """Names the graph's content."""
    manifest = getattr(graph, "manifest", None)
    return str(manifest.digest) if manifest is not None else hashlib.sha256(path.read_bytes()).hexdigest()


Looked = tuple[Batch, dict[str, str]]
"""A batch, and of its questions those of which the tools do not bring up everything: id -> what."""


class Workshop:
    """One process's graph, makers and, where there is an index, tools."""

    def __init__(self, order: Order) -> None:
        self.graph = open_any(order.graph)
        self.compact = compact(self.graph, order.config.languages)
        aside = np.zeros(len(self.compact), bool)
        aside[test_region(self.compact, order.test_share, order.seed)] = True
        allowed = {"train": ~aside, "test": aside}
        self.makers = {
            split: Maker(self.graph, self.compact, order.config, order.draws, split=split, allowed=allowed[split])
            for split in _splits(order)
        }
        self._tools = ExitStack()
        index = order.index
        self._reach = self._tools.enter_context(ToolReach(self.graph, index)) if index is not None else None

    def close(self) -> None:
        """Give the tools back."""
        self._tools.close()

    def batch(self, split: Split, number: int) -> Batch:
        """Make one batch."""
        return self.makers[split].batch(number, BATCH_FORMS)

    def looked_up(self, batch: Batch) -> Looked:
        """The batch, and what the tools do not bring up of it."""
        questions = [question for made in batch.made for question in made.questions]
        return batch, self._reach(questions) if self._reach is not None else {}


_shop: list[Workshop] = []


def _open_shop(order: Order) -> None:
    """A worker's start: Ctrl-C is the parent's business, and a worker does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _shop.append(Workshop(order))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_batch(split: Split, number: int, known: Path) -> Looked:
    return _looked(_shop[-1], split, number, known)


def _looked(shop: Workshop, split: Split, number: int, known: Path) -> Looked:
    return shop.looked_up(read_batch(known) if known.exists() else shop.batch(split, number))


def run(
    order: Order,
    *,
    stop: Callable[[], bool],
    progress: Callable[[str, int, int], None],
) -> Outcome:
    """Make what is missing, merge everything. ``progress(split, kept, wanted)`` after every batch.

    Raises InvalidInput if the folder holds a run with other settings, and what opening the index raises.
    """
    graph = open_any(order.graph)
    if order.index is not None:
        with ToolReach(graph, order.index):  # here, and before anything is written, so that it is said in one sentence
            pass
    digest = graph_digest(graph, order.graph)
    known = [question for path in order.known for question in load_questions(path)]
    _claim(order, digest)
    outcome = Outcome(order, digest, graph.world_id, looked_up=order.index is not None)
    with ExitStack() as stack:
        pool = stack.enter_context(_Pool(order))
        for split in _splits(order):
            # What training has is known to the test side: small subgraphs of other entities may look the same.
            other = [question for done in outcome.mergers.values() for made in done.kept for question in made.questions]
            merger = Merger(_wanted(order, split), [*known, *other])
            outcome.mergers[split] = merger
            if not _fill(order, split, merger, pool, stop, progress):
                outcome.stopped = True
                break
    if {"train", "test"} <= outcome.mergers.keys():
        shared = shared_by(outcome.mergers["train"].kept, outcome.mergers["test"].kept)
        if shared:
            raise InvalidInput(f"train and test share {shared[:3]}", reason="SPLIT_OVERLAP")
    return outcome


def _splits(order: Order) -> tuple[Split, ...]:
    if order.only is not None:
        return (order.only,)
    return ("train", "test") if order.test_share > 0 else ("train",)


def _wanted(order: Order, split: Split) -> int:
    if order.only is not None:
        return order.count
    test = round(order.count * order.test_share)
    return test if split == "test" else order.count - test


def _claim(order: Order, digest: str) -> None:
    """The folder belongs to these settings; the first run writes them down."""
    path, mine = order.out / "run.json", order.identity(digest)
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Corrupt(f"{path} cannot be read ({error}); remove the folder to start again.") from error
        if known != json.loads(json.dumps(mine)):
            raise InvalidInput(
                f"{order.out} holds a run with other settings or of another graph; choose another folder"
            )
        return
    if order.out.exists() and any(order.out.iterdir()):
        raise InvalidInput(f"{order.out} is not empty and holds no run of this command; choose another folder")
    atomic.write_json(path, mine)


def _fill(
    order: Order,
    split: Split,
    merger: Merger,
    pool: _Pool,
    stop: Callable[[], bool],
    progress: Callable[[str, int, int], None],
) -> bool:
    """Merge batches in order until there is enough or nothing new comes; False if asked to stop before."""
    idle, wanted = 0, _wanted(order, split)
    for batch, beyond in pool.batches(split):
        if not merger.full:
            idle = idle + 1 if merger.add(batch, beyond) < BATCH_FORMS // 20 else 0
            progress(split, len(merger.kept), wanted)
        if merger.full or idle >= _IDLE_BATCHES:
            return True
        if stop():
            return False
    return True


class _Pool:
    """Batches in order of their numbers: from the journal where they are there, else made, a few ahead.

    Looking up is the workers' work, too, and is done anew for what the journal holds.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._executor: ProcessPoolExecutor | None = None
        self._shop: Workshop | None = None

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shop is not None:
            self._shop.close()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def batches(self, split: Split) -> Iterator[Looked]:
        """Without end; close the iterator when there is enough."""
        ahead: dict[int, Future[Looked]] = {}
        number = 0
        try:
            while True:
                known = self._path(split, number)
                ready = known.exists() and self._order.index is None
                yield (read_batch(known), {}) if ready else self._made(split, number, ahead)
                number += 1
        finally:
            for future in ahead.values():
                future.cancel()

    def _made(self, split: Split, number: int, ahead: dict[int, Future[Looked]]) -> Looked:
        path = self._path(split, number)
        if self._order.workers <= 1:
            self._shop = self._shop or Workshop(self._order)
            looked = _looked(self._shop, split, number, path)
        else:
            executor = self._start()
            for later in range(number, number + self._order.workers + 1):
                if later not in ahead and (self._order.index is not None or not self._path(split, later).exists()):
                    ahead[later] = executor.submit(_make_batch, split, later, self._path(split, later))
            looked = ahead.pop(number).result()
        if not path.exists():
            write_batch(path, looked[0])
        return looked

    def _start(self) -> ProcessPoolExecutor:
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._order.workers, context, _open_shop, (self._order,))
        return self._executor

    def _path(self, split: Split, number: int) -> Path:
        return self._order.out / "journal" / f"{split}-{number:06d}.json"


def write_batch(path: Path, batch: Batch) -> None:
    """Atomically: there is a whole batch or none."""
    record = {
        "number": batch.number,
        "nodes": batch.nodes,
        "degrees": batch.degrees,
        "rejected": [item.to_record() for item in batch.rejected],
        "made": [_record(made) for made in batch.made],
    }
    atomic.write_text(path, json.dumps(record, ensure_ascii=False))


def _record(made: Made) -> dict[str, Any]:
    """By hand: ``asdict`` would copy every question a second time."""
    record = {field.name: getattr(made, field.name) for field in fields(made)}
    return {**record, "questions": [question.to_record() for question in made.questions]}


def read_batch(path: Path) -> Batch:
    """Inverse of :func:`write_batch`; Corrupt for anything else."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return Batch(
            record["number"],
            [_made(item) for item in record["made"]],
            [rejected_from(item) for item in record["rejected"]],
            record["nodes"],
            record["degrees"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{path} is not a batch of questions ({error}); remove it, and it is made again.") from error


def _made(record: Mapping[str, Any]) -> Made:
    questions = tuple(Question.from_record(item) for item in record["questions"])
    constants, subgraph = tuple(record["constants"]), tuple(record["subgraph"])
    return Made(questions, constants, record["shape"], subgraph, record["orbits"], record.get("picture", ""))


def rejected_from(record: Mapping[str, Any]) -> Rejected:
    """Inverse of ``Rejected.to_record``."""
    clues = tuple(Clue(**clue) for clue in record["clues"])
    return Rejected(**{**record, "reason": Rejection(record["reason"]), "clues": clues})
