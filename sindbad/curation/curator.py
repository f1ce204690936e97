"""The state machine with its journal: every change is written (fsync) before it is applied.

So a curator that was killed replays into the state it had told anybody about. Invariants:
  * Within an epoch every active question is drawn exactly once; a batch belongs to a step, and asking for the same
    step again returns the same batch. So a learner that died between drawing and training repeats that step's batch,
    and nothing else: no question is lost, none is drawn twice.
  * Results are counted once per (step, question), however often they are reported.
  * A refresh is an in-memory computation over what was already observed: it waits for nobody and blocks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from sindbad.curation.journal import JOURNAL_VERSION, Event, EventJournal, read_events
from sindbad.curation.state import Batch, Change, CuratorConfig, CuratorState, Outcome, Refresh
from sindbad.errors import Corrupt, InvalidInput
from sindbad.questions.question import Question

OnChange = Callable[[Change, CuratorState], None]
"""Told of every change of D or D' after it is on disk, and again of all of them, in order, when a journal is reopened:
whatever it writes must be written once however often it is told."""


class Curator:
    """The state machine with its journal. Opening an existing journal resumes; use as a context manager.

    Args:
        pool: question ids of D; when a journal is resumed, those it began with (with or without what joined since).
        on_change: see :data:`OnChange`.
    Raises:
        InvalidInput: another pool or configuration than the journal's. Unavailable: another writer holds the journal.
    """

    def __init__(
        self, pool: Iterable[str], config: CuratorConfig, journal: str | Path, *, on_change: OnChange | None = None
    ) -> None:
        events: list[Event] = []
        self._journal = EventJournal(Path(journal), events.append)
        self._on_change = on_change
        try:
            self._state = self._opened(events, tuple(dict.fromkeys(pool)), config)
        except BaseException:
            self._journal.close()
            raise

    def _opened(self, events: list[Event], pool: tuple[str, ...], config: CuratorConfig) -> CuratorState:
        if not events:
            begin = {"event": "begin", "version": JOURNAL_VERSION, "pool": list(pool)}
            self._journal.append(begin | {"config": config.model_dump(mode="json")})
            return CuratorState(config, pool)
        began = _begun(events[0], self._journal.path)
        extensions = [event["questions"] for event in events if event["event"] == "extend"]
        joined = [record["question_id"] for records in extensions for record in records]
        if config != began.config or pool not in (began.pool, (*began.pool, *joined)):
            raise InvalidInput(f"{self._journal.path} belongs to another pool or configuration; use a new journal")
        return replayed(events, self._journal.path, self._on_change)

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
        before = self._state.last_change
        self._journal.append(event)
        self._state.apply(event)
        _tell(self._on_change, before, self._state)

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

    def observe(
        self, step: int, outcomes: Iterable[Outcome], *, reward: float | None = None, version: int | None = None
    ) -> int:
        """Count a step's rollouts; those already counted are skipped. Returns how many questions were new.

        Args:
            reward: the step's mean reward, for the plateau rule; by default the mean solved rate.
            version: oldest weights that sampled them, where they are known.
        """
        known = self._state.observed
        new = [item for item in outcomes if (step, item.question_id) not in known]
        if not new:
            return 0
        mean = sum(item.rate for item in new) / len(new) if reward is None else reward
        event: Event = {"event": "observe", "step": step, "reward": mean, "outcomes": self._checked(new)}
        self._record(event if version is None else event | {"version": version})
        return len(new)

    def observe_background(self, outcomes: Iterable[Outcome], *, version: int) -> None:
        """Results of the background sampler, which runs all of D through intermediate checkpoints."""
        self._record({"event": "background", "version": version, "outcomes": self._checked(outcomes)})

    def background_candidates(
        self, count: int, *, version: int, skip: Mapping[str, int] | None = None
    ) -> tuple[str, ...]:
        """Which questions of D to sample next with weights ``version``: never measured first, then the longest ago.

        Training measures what it draws, so nothing is sampled twice with the same weights.
        """
        return tuple(self._state.unmeasured_since(version, skip)[:count])

    def extend(self, questions: Iterable[Question], *, reason: str, details: Mapping[str, Any] | None = None) -> int:
        """New questions join D; a refresh may add them to D' once they were sampled. Returns how many were new.

        Questions of D already (a killed caller asks again) are left out. The journal keeps the questions themselves.
        """
        known = set(self._state.pool)
        new = list({item.question_id: item for item in questions if item.question_id not in known}.values())
        if new:
            records = [item.to_record() for item in new]
            event = {"event": "extend", "reason": reason, "questions": records, "details": dict(details or {})}
            self._record(json.loads(json.dumps(event)))  # as a replay reads it: lists, never tuples
        return len(new)

    @property
    def joined(self) -> tuple[Question, ...]:
        """Questions that joined D since the journal began."""
        return tuple(Question.from_record(record) for record in self._state.extended.values())

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
            "backup_moderate": len(state.candidates()),
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


def replayed(events: list[Event], path: Path, on_change: OnChange | None = None) -> CuratorState:
    """The state after all events. Raises Corrupt naming the line that is no event."""
    state = _begun(events[0], path)
    for number, event in enumerate(events[1:], 2):
        before = state.last_change
        try:
            state.apply(event)
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"{path}:{number} is not an event ({error}); restore the journal") from error
        _tell(on_change, before, state)
    return state


def read_state(path: Path) -> CuratorState:
    """What a journal says now, beside its writer and without disturbing it. Raises NotFound or Corrupt."""
    events = read_events(path)
    if not events:
        raise Corrupt(f"{path} holds no event yet")
    return replayed(events, path)


def _begun(begin: Event, path: Path) -> CuratorState:
    try:
        if begin["event"] != "begin" or not 1 <= begin["version"] <= JOURNAL_VERSION:
            raise ValueError(f"it begins with {begin['event']!r}, version {begin.get('version')}")
        return CuratorState(CuratorConfig.model_validate(begin["config"]), tuple(begin["pool"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{path}:1 begins no curator's journal ({error}); restore the journal") from error


def _tell(on_change: OnChange | None, before: Change | None, state: CuratorState) -> None:
    if on_change is not None and state.last_change is not None and state.last_change is not before:
        on_change(state.last_change, state)
