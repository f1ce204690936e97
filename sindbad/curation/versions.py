"""Data sets of a run as numbered, immutable versions, each with its parent: which questions were trained on, and why.

    <root>/v000003/manifest.json   number, parent, digests, run, stage, step, weight version, reason, counts
    <root>/v000003/active.txt      D', one id a line
    <root>/v000003/joined.jsonl    questions that joined D with this version; all of D where the manifest says ``base``

Invariants: a version appears whole (a folder is renamed into place; everything in it is on disk before) or not at all;
nothing in it changes afterwards; its digests cover its files and its parent's manifest, so a change anywhere in the
lineage is found; publishing the same (writer, event) again publishes nothing. Several writers may share a root.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.curation.state import Change, CuratorState
from sindbad.errors import Corrupt, NotFound
from sindbad.questions.question import Question
from sindbad.questions.store import load_questions, save_questions

MANIFEST, ACTIVE, JOINED = "manifest.json", "active.txt", "joined.jsonl"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one version is, and where it comes from.

    Attributes:
        parent: number of the version before, None for the first; ``parent_digest`` the SHA-256 of its manifest.
        writer, event: who published it ("rl_sim-1a2b3c"), and which change of its curator it is (from 0).
        reason: "profile", "steps", "plateau", "manual", "synthesis", …; ``details`` what stands behind it (a demand).
        step: finished training steps of the stage; weight_version: newest weights that measured anything.
        base: joined.jsonl holds all of D; else D is the parent's and what joined.
        counts: of D, D', moderate questions in reserve, mastered ones, and what was removed, added and joined.
        pool_digest, active_digest: SHA-256 over the ids of D and D', in order.
        files: name -> SHA-256.
        created: Unix time.
    """

    number: int
    parent: int | None
    parent_digest: str
    writer: str
    event: int
    run: str
    stage: str
    reason: str
    step: int
    weight_version: int
    base: bool
    counts: dict[str, int]
    pool_digest: str
    active_digest: str
    removed: list[str]
    added: list[str]
    files: dict[str, str]
    created: float
    details: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class DataSet:
    """One version, read back and checked: D in order, and the ids of D'."""

    manifest: Manifest
    questions: tuple[Question, ...]
    active: tuple[str, ...]


class DataSetStore:
    """The versions below one folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def numbers(self) -> list[int]:
        """Every published version, ascending."""
        return sorted(int(path.parent.name[1:]) for path in self.root.glob(f"v[0-9]*/{MANIFEST}"))

    def manifest(self, number: int) -> Manifest:
        """One version's manifest. Raises NotFound (naming what there is) or Corrupt."""
        path = self._folder(number) / MANIFEST
        try:
            manifest = Manifest(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            raise NotFound(f"there is no data set version {number} below {self.root}; {self._known()}") from None
        except (ValueError, TypeError) as error:
            raise Corrupt(f"{path} is no manifest of a data set: {error}") from error
        if manifest.format > FORMAT or manifest.number != number:
            raise Corrupt(
                f"{path} is of format {manifest.format}, version {manifest.number}; expected {FORMAT}, {number}"
            )
        return manifest

    def _known(self) -> str:
        numbers = self.numbers()
        return f"there are {numbers[0]} to {numbers[-1]}" if numbers else "there is none at all"

    def log(self) -> list[Manifest]:
        """All manifests, oldest first."""
        return [self.manifest(number) for number in self.numbers()]

    def lineage(self, number: int) -> list[Manifest]:
        """The version and its ancestors, newest first. Raises Corrupt where a parent is not what its child says."""
        chain = [self.manifest(number)]
        while (parent := chain[-1].parent) is not None:
            if parent >= chain[-1].number:
                raise Corrupt(f"version {chain[-1].number} names {parent} as its parent")
            chain.append(self.manifest(parent))
            if self._digest(parent) != chain[-2].parent_digest:
                raise Corrupt(f"version {parent} below {self.root} was changed after {chain[-2].number} was made of it")
        return chain

    def load(self, number: int | None = None) -> DataSet:
        """A version (by default the newest) with every digest checked. Raises NotFound or Corrupt."""
        numbers = self.numbers()
        if number is None and not numbers:
            raise NotFound(f"there is no data set below {self.root}; a curator that ran there writes the first")
        chain = self.lineage(numbers[-1] if number is None else number)
        parts: list[list[Question]] = []
        for manifest in chain:
            parts.append(self._joined(manifest))
            if manifest.base:
                break
        questions = tuple(question for part in reversed(parts) for question in part)
        newest = chain[0]
        active = self._checked(newest, ACTIVE).decode("utf-8").splitlines()
        ids = [question.question_id for question in questions]
        if ids_digest(ids) != newest.pool_digest or ids_digest(active) != newest.active_digest:
            raise Corrupt(f"version {newest.number} below {self.root} does not hold the questions that it names")
        return DataSet(newest, questions, tuple(active))

    def _joined(self, manifest: Manifest) -> list[Question]:
        self._checked(manifest, JOINED)
        return load_questions(self._folder(manifest.number) / JOINED)

    def _checked(self, manifest: Manifest, name: str) -> bytes:
        path = self._folder(manifest.number) / name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise Corrupt(f"{path} is gone; restore version {manifest.number}") from None
        if hashlib.sha256(data).hexdigest() != manifest.files.get(name):
            raise Corrupt(f"{path} was changed after it was published; restore version {manifest.number}")
        return data

    def publish(
        self,
        *,
        writer: str,
        event: int,
        run: str,
        stage: str,
        reason: str,
        step: int,
        weight_version: int,
        pool: Sequence[str],
        active: Sequence[str],
        joined: Iterable[Question],
        counts: Mapping[str, int],
        removed: Sequence[str] = (),
        added: Sequence[str] = (),
        base: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Publish one version on top of this writer's newest (its first: on the newest of all).

        What this writer published for this event already is returned as it is.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=self.root))
        try:
            save_questions(temporary / JOINED, joined)
            atomic.write_text(temporary / ACTIVE, "".join(f"{name}\n" for name in active))
            files = {name: _file_digest(temporary / name) for name in (ACTIVE, JOINED)}
            while True:
                log = self.log()
                own = [item for item in log if item.writer == writer]
                if known := [item for item in own if item.event == event]:
                    return known[0]
                parent = (own or log)[-1].number if log else None
                manifest = Manifest(
                    number=log[-1].number + 1 if log else 1,
                    parent=parent,
                    parent_digest="" if parent is None else self._digest(parent),
                    writer=writer,
                    event=event,
                    run=run,
                    stage=stage,
                    reason=reason,
                    step=step,
                    weight_version=weight_version,
                    base=base or parent is None,
                    counts=dict(counts),
                    pool_digest=ids_digest(pool),
                    active_digest=ids_digest(active),
                    removed=list(removed),
                    added=list(added),
                    files=files,
                    created=time.time(),
                    details=dict(details or {}),
                )
                if self._place(temporary, manifest):
                    return manifest
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _place(self, temporary: Path, manifest: Manifest) -> bool:
        """Rename the folder to its number; False where another writer has taken it (a folder in the way)."""
        atomic.write_json(temporary / MANIFEST, asdict(manifest))
        for file in temporary.iterdir():
            file.chmod(0o444)
        temporary.chmod(0o755)
        atomic.sync_directory(temporary)
        try:
            os.rename(temporary, self._folder(manifest.number))
        except OSError:
            if not self._folder(manifest.number).exists():
                raise
            return False
        atomic.sync_directory(self.root)
        return True

    def _folder(self, number: int) -> Path:
        return self.root / f"v{number:06d}"

    def _digest(self, number: int) -> str:
        return _file_digest(self._folder(number) / MANIFEST)


class VersionRecorder:
    """Writes every change of a curator as a data-set version: its ``on_change``.

    A curator that is reopened tells all its changes again; those that have their version are skipped, so a curator that
    was killed between its journal and the version makes up for it. A change whose version could not be written (a full
    disk) waits, and is published before the next one: a version without its predecessor could never be loaded.

    Args:
        writer: tells this curator from others that write to the store; the same after a resume.
        questions: every question of D that the journal does not hold itself.
    """

    def __init__(
        self, store: DataSetStore, questions: Iterable[Question], *, writer: str, run: str = "", stage: str = ""
    ) -> None:
        self._store, self._writer, self._run, self._stage = store, writer, run, stage
        self._by_id = {question.question_id: question for question in questions}
        self._events: set[int] | None = None
        self._waiting: deque[dict[str, Any]] = deque()

    def __call__(self, change: Change, state: CuratorState) -> None:
        if self._events is None:
            self._events = {item.event for item in self._store.log() if item.writer == self._writer}
        if change.number in self._events:
            return
        self._waiting.append(self._version(change, state))
        self._events.add(change.number)
        while self._waiting:
            self._store.publish(**self._waiting[0])
            self._waiting.popleft()

    def _version(self, change: Change, state: CuratorState) -> dict[str, Any]:
        """What :meth:`DataSetStore.publish` is told, as the state is now."""
        return dict(
            writer=self._writer,
            event=change.number,
            run=self._run,
            stage=self._stage,
            reason=change.reason,
            step=change.step + 1,
            weight_version=change.version,
            pool=state.pool,
            active=tuple(state.active),
            joined=[self._question(name, state) for name in change.joined],
            counts={
                "pool": len(state.pool),
                "active": len(state.active),
                "reserve": len(state.candidates()),
                "removed": len(change.removed),
                "added": len(change.added),
                "joined": len(change.joined),
            },
            removed=change.removed,
            added=change.added,
            base=change.kind == "profile",
            details=change.details,
        )

    def _question(self, name: str, state: CuratorState) -> Question:
        record = state.extended.get(name)
        return self._by_id[name] if record is None else Question.from_record(record)


def ids_digest(names: Iterable[str]) -> str:
    """SHA-256 over ids in order, one a line."""
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
