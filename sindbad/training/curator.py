"""Keeps the training set moderate while the policy improves (data-policy loop; papers.md §2a, test 22).

A pure state machine: no clock, no task, no socket. Every change is one event; :class:`Curator` writes the event to its
journal (fsync) *before* it applies it, so a curator that was killed replays into the state it had told anybody about.

Invariants:
  * Within an epoch every active question is drawn exactly once; a batch belongs to a step, and asking for the same
    step again returns the same batch. So a learner that died between drawing and training repeats that step's batch,
    and nothing else: no question is lost, none is drawn twice.
  * Results are counted once per (step, question), however often they are reported.
  * A refresh is an in-memory computation over what was already observed: it waits for nobody and blocks nobody.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput, Unavailable

JOURNAL_VERSION = 1
Event = dict[str, Any]


class CuratorConfig(BaseModel):
    """When to refresh, and what counts as mastered or moderate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    active_size: int = Field(default=0, ge=0)
    """Size that a refresh fills the active set up to; 0 means the size after the initial profile."""
    refresh_every_steps: int = Field(default=50, ge=1)
    """Refresh after this many steps since the last one."""
    plateau_window: int = Field(default=0, ge=0)
    """Compare the mean reward of the last W steps with the W before; 0 turns the plateau rule off."""
    plateau_min_gain: float = 0.01
    """A gain below this over a window is a plateau, and triggers a refresh."""
    mastered_rate: float = Field(default=1.0, gt=0.0, le=1.0)
    """Solved share in the latest rollouts from which a question is mastered."""
    min_attempts: int = Field(default=2, ge=1)
    """Latest rollouts needed before a question can be called mastered or moderate."""
    seed: int = 0
    """Seed of the drawing order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rollouts of one question: ``solved`` of ``attempts`` were judged correct."""

    question_id: str
    attempts: int
    solved: int

    def __post_init__(self) -> None:
        if not 0 <= self.solved <= self.attempts or self.attempts < 1:
            raise InvalidInput(f"outcome of {self.question_id}: {self.solved} of {self.attempts} is impossible")

    @property
    def rate(self) -> float:
        return self.solved / self.attempts


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions of one step. ``fresh`` is False when the step had been drawn before (a resumed learner)."""

    step: int
    question_ids: tuple[str, ...]
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh did, and which rule asked for it ("steps", "plateau" or "manual")."""

    step: int
    reason: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(slots=True)
class CuratorState:
    """Everything the curator knows; changed by :meth:`apply` only.

    Attributes:
        pool: D, every question id, in the given order.
        active: D', the questions being trained on (insertion order).
        backup: question -> latest background outcome with its weight version, for questions outside D'.
        latest: question -> outcome of its latest rollouts in training.
        queue: what is left of this epoch, in drawing order; ``seen``: what this epoch has drawn.
        batches: step -> questions drawn for it. ``observed``: (step, question) pairs already counted.
    """

    config: CuratorConfig
    pool: tuple[str, ...]
    active: dict[str, None] = field(default_factory=dict)
    backup: dict[str, tuple[Outcome, int]] = field(default_factory=dict)
    latest: dict[str, Outcome] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    epoch: int = -1
    batches: dict[int, tuple[str, ...]] = field(default_factory=dict)
    observed: set[tuple[int, str]] = field(default_factory=set)
    rewards: list[float] = field(default_factory=list)
    last_step: int = -1
    last_refresh_step: int = -1
    profiled: bool = False
    target_size: int = 0

    # -- questions to the state -----------------------------------------------------------------------------------

    def is_moderate(self, outcome: Outcome) -> bool:
        """Neither always solved nor always failed, over enough attempts."""
        return outcome.attempts >= self.config.min_attempts and 0 < outcome.solved < outcome.attempts

    def is_mastered(self, question_id: str) -> bool:
        """By its latest rollouts in training."""
        outcome = self.latest.get(question_id)
        enough = outcome is not None and outcome.attempts >= self.config.min_attempts
        return enough and outcome is not None and outcome.rate >= self.config.mastered_rate

    def plateaued(self) -> bool:
        """The mean reward of the last window hardly exceeds that of the window before (both since the last refresh)."""
        window = self.config.plateau_window
        if window == 0 or len(self.rewards) < 2 * window:
            return False
        recent, before = self.rewards[-window:], self.rewards[-2 * window : -window]
        return (sum(recent) - sum(before)) / window < self.config.plateau_min_gain

    def due(self) -> str | None:
        """Which rule asks for a refresh now: "steps", "plateau", or None."""
        if self.last_step - self.last_refresh_step >= self.config.refresh_every_steps:
            return "steps"
        return "plateau" if self.plateaued() else None

    def plan_batch(self, count: int) -> tuple[list[str], int, list[str], set[str]]:
        """(questions, epoch, queue, drawn in this epoch) after the next draw; begins a new epoch where one ends."""
        if not self.active:
            raise InvalidInput("the active set is empty: nothing in the pool is moderate", reason="NO_ACTIVE_QUESTIONS")
        drawn: list[str] = []
        epoch, queue, seen = self.epoch, list(self.queue), set(self.seen)
        while len(drawn) < min(count, len(self.active)):
            if not queue:
                epoch, seen = epoch + 1, set()
                queue = self._shuffled(epoch, drawn)
            drawn.append(queue.pop(0))
            seen.add(drawn[-1])
        return drawn, epoch, queue, seen

    def _shuffled(self, epoch: int, drawn: Sequence[str]) -> list[str]:
        order = list(self.active)
        random.Random(f"{self.config.seed}:{epoch}").shuffle(order)
        # What the running batch already holds goes last, so that no batch holds a question twice.
        return [item for item in order if item not in drawn] + [item for item in order if item in drawn]

    def plan_refresh(self) -> tuple[list[str], list[str]]:
        """(mastered questions to remove, moderate ones from the backup pool to add)."""
        removed = [question for question in self.active if self.is_mastered(question)]
        room = self.target_size - (len(self.active) - len(removed))
        fresh = [item for item in self.backup if item not in self.active and self.is_moderate(self.backup[item][0])]
        fresh.sort(key=lambda item: (-self.backup[item][1], abs(self.backup[item][0].rate - 0.5), item))
        added = fresh[: max(0, room)]
        if len(removed) == len(self.active) and not added:
            removed = []  # an empty set would stop training; better an easy batch than none
        return removed, added

    # -- events ---------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Apply one event; the same events in the same order always give the same state."""
        kinds = {
            "profile": self._apply_profile,
            "draw": self._apply_draw,
            "observe": self._apply_observe,
            "background": self._apply_background,
            "refresh": self._apply_refresh,
        }
        kinds[event["event"]](event)

    def _apply_profile(self, event: Event) -> None:
        outcomes = [Outcome(*item) for item in event["outcomes"]]
        self.active = {item.question_id: None for item in outcomes if self.is_moderate(item)}
        self.backup = {item.question_id: (item, event["version"]) for item in outcomes}
        self.target_size = self.config.active_size or len(self.active)
        if self.config.active_size:
            self.active = dict.fromkeys(list(self.active)[: self.config.active_size])
        self.queue, self.profiled = [], True

    def _apply_draw(self, event: Event) -> None:
        drawn, self.epoch, self.queue, self.seen = self.plan_batch(event["count"])
        if drawn != event["questions"]:
            raise Corrupt(f"step {event['step']} drew other questions than its journal says; restore the journal")
        self.batches[event["step"]] = tuple(drawn)

    def _apply_observe(self, event: Event) -> None:
        for item in event["outcomes"]:
            outcome = Outcome(*item)
            self.latest[outcome.question_id] = outcome
            self.observed.add((event["step"], outcome.question_id))
        self.last_step = max(self.last_step, event["step"])
        self.rewards.append(event["reward"])

    def _apply_background(self, event: Event) -> None:
        for item in event["outcomes"]:
            outcome = Outcome(*item)
            known = self.backup.get(outcome.question_id)
            if known is None or known[1] <= event["version"]:
                self.backup[outcome.question_id] = (outcome, event["version"])

    def _apply_refresh(self, event: Event) -> None:
        gone = set(event["removed"])
        kept = [question for question in self.active if question not in gone]
        self.active = dict.fromkeys([*kept, *event["added"]])
        new = [question for question in event["added"] if question not in self.seen]
        self.queue = [question for question in self.queue if question not in gone] + new
        for question in event["added"]:
            self.latest.pop(question, None)
        self.last_refresh_step, self.rewards = self.last_step, []


class Journal:
    """Append-only JSONL, one event a line, synced before :meth:`append` returns. One writer at a time (flock)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        created = not path.exists()
        self._file = open(path, "a+b")  # noqa: SIM115 (held open for the journal's life)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise Unavailable(f"another curator writes {path}; stop it first", reason="JOURNAL_LOCKED") from error
        if created:
            atomic.sync_directory(path.parent)

    def replay(self) -> Iterator[Event]:
        """All complete events. A torn last line (the writer was killed in it) was never acted upon: it is cut off."""
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            self._file.truncate(whole)
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise Corrupt(f"{self.path}:{number} is not an event; restore the journal") from error

    def append(self, event: Event) -> None:
        self._file.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class Curator:
    """The state machine with its journal. Opening an existing journal resumes; use as a context manager.

    Args:
        pool: question ids of D; ignored on resuming if the journal already holds them (they must then be equal).
    Raises:
        InvalidInput: another pool or configuration than the journal's. Unavailable: another writer holds the journal.
    """

    def __init__(self, pool: Iterable[str], config: CuratorConfig, journal: str | Path) -> None:
        self._journal = Journal(Path(journal))
        self._state = CuratorState(config, tuple(dict.fromkeys(pool)))
        try:
            self._open()
        except BaseException:
            self._journal.close()
            raise

    def _open(self) -> None:
        begin = {"event": "begin", "version": JOURNAL_VERSION, "pool": list(self._state.pool)}
        begin["config"] = self._state.config.model_dump(mode="json")
        events = list(self._journal.replay())
        if not events:
            self._journal.append(begin)
            return
        if events[0] != begin:
            raise InvalidInput(f"{self._journal.path} belongs to another pool or configuration; use a new journal")
        for number, event in enumerate(events[1:], 2):
            try:
                self._state.apply(event)
            except (KeyError, TypeError, ValueError) as error:
                raise Corrupt(
                    f"{self._journal.path}:{number} is not an event ({error}); restore the journal"
                ) from error

    def __enter__(self) -> Curator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the journal back. Idempotent."""
        self._journal.close()

    @property
    def state(self) -> CuratorState:
        """For reading only."""
        return self._state

    @property
    def active(self) -> tuple[str, ...]:
        """D', the questions being trained on."""
        return tuple(self._state.active)

    def _record(self, event: Event) -> None:
        self._journal.append(event)
        self._state.apply(event)

    def profile(self, outcomes: Iterable[Outcome], *, version: int = 0) -> tuple[str, ...]:
        """The initial profile: rollouts of the SFT model over D. Always-solved and always-failed stay out of D'.

        A second call (a resumed run) changes nothing. Returns D'.
        """
        if not self._state.profiled:
            listed = self._checked(outcomes)
            self._record({"event": "profile", "version": version, "outcomes": listed})
        return self.active

    def next_batch(self, count: int, *, step: int | None = None) -> Batch:
        """Questions for a step (default: the one after the last drawn), drawn without repetition within an epoch.

        A step that was drawn before returns its batch again, so a learner that resumes at a step repeats exactly it.
        A batch never holds a question twice; it is shorter than ``count`` only if D' is smaller.
        """
        if count < 1:
            raise InvalidInput(f"a batch needs at least one question, got {count}")
        number = max(self._state.batches, default=-1) + 1 if step is None else step
        known = self._state.batches.get(number)
        if known is not None:
            return Batch(number, known, fresh=False)
        drawn = self._state.plan_batch(count)[0]
        self._record({"event": "draw", "step": number, "count": count, "questions": drawn})
        return Batch(number, tuple(drawn))

    def observe(self, step: int, outcomes: Iterable[Outcome], *, reward: float | None = None) -> int:
        """Count a step's rollouts; those already counted are skipped. Returns how many questions were new.

        Args:
            reward: the step's mean reward, for the plateau rule; by default the mean solved rate.
        """
        known = self._state.observed
        new = [item for item in outcomes if (step, item.question_id) not in known]
        if not new:
            return 0
        mean = sum(item.rate for item in new) / len(new) if reward is None else reward
        self._record({"event": "observe", "step": step, "reward": mean, "outcomes": self._checked(new)})
        return len(new)

    def observe_background(self, outcomes: Iterable[Outcome], *, version: int) -> None:
        """Results of the background sampler, which runs D through an intermediate checkpoint."""
        self._record({"event": "background", "version": version, "outcomes": self._checked(outcomes)})

    def background_candidates(self, count: int) -> tuple[str, ...]:
        """Which questions of D outside D' to profile next: never profiled first, then the longest ago."""
        backup = self._state.backup
        outside = [item for item in self._state.pool if item not in self._state.active]
        return tuple(sorted(outside, key=lambda item: backup[item][1] if item in backup else -1)[:count])

    def refresh_if_due(self) -> Refresh | None:
        """Refresh if the step count or a plateau asks for it."""
        reason = self._state.due()
        return self.refresh(reason) if reason is not None else None

    def refresh(self, reason: str = "manual") -> Refresh:
        """Remove what is mastered, add moderate questions from the backup pool. Never waits."""
        removed, added = self._state.plan_refresh()
        step = self._state.last_step
        self._record({"event": "refresh", "step": step, "reason": reason, "removed": removed, "added": added})
        return Refresh(step, reason, tuple(removed), tuple(added))

    def summary(self) -> Mapping[str, int | float]:
        """Figures for metrics and reports."""
        state = self._state
        return {
            "pool": len(state.pool),
            "active": len(state.active),
            "backup_moderate": sum(
                1
                for item, (outcome, _) in state.backup.items()
                if item not in state.active and state.is_moderate(outcome)
            ),
            "mastered": sum(1 for item in state.active if state.is_mastered(item)),
            "epoch": state.epoch,
            "steps": state.last_step + 1,
        }

    def _checked(self, outcomes: Iterable[Outcome]) -> list[list[str | int]]:
        pool = set(self._state.pool)
        listed = list(outcomes)
        unknown = [item.question_id for item in listed if item.question_id not in pool]
        if unknown:
            raise InvalidInput(f"outcomes of questions outside the pool: {unknown[:3]}", reason="UNKNOWN_QUESTION")
        return [[item.question_id, item.attempts, item.solved] for item in listed]
