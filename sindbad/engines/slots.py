"""Which request sits in which row of the cache, and whose cached tokens another request may take over. No torch.

Rows are kept partitioned, so that one decoding step is a slice and never a gather::

    [0, decoding)            one token missing: the next decoding step runs exactly these
    [decoding, active)       more than one token missing: prefilling
    [active, rows)           retained caches of finished requests (least recently used goes first), or empty

Invariants: a sequence is active in exactly one row; ``filled`` tokens of it are in its row; the last token of a prompt
is always run by a decoding step, so prefilling never needs logits. A row's cache is only taken over by an *extension*
of its tokens, because the state of a convolution cannot be rewound; the one exception is the mark taken at the end of
a prompt, which lets the samples of one group share one prefill.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sindbad.engines.protocol import SamplingParams

SHARED_PREFIX_MINIMUM = 8  # tokens; below this a copy and a deferral cost more than they save


class Rows(Protocol):
    """What the table needs from the cache: moving and remembering rows. Row contents beyond ``length`` are garbage."""

    def swap(self, first: int, second: int, length: int) -> None: ...

    def copy(self, source: int, target: int, length: int) -> None: ...

    def clear(self, row: int) -> None: ...

    def snapshot(self, row: int) -> Any: ...

    def restore(self, row: int, snapshot: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Mark:
    """The state of a row when its first ``length`` tokens were in it: what its keys and values do not tell."""

    length: int
    snapshot: Any


@dataclass(slots=True, eq=False)
class Slot:
    """One request, from its admission to the cache until its row is given to another.

    ``tokens``: prompt, then what was sampled; ``filled``: how many of them are in the row; ``generated``: how many
    were sampled; ``cache_version``: the weights its cache was computed with, None once they are mixed.
    """

    tokens: array[int]
    prompt_length: int
    sampling: SamplingParams
    seed: int
    stops: frozenset[int]
    owner: Any = None
    filled: int = 0
    row: int = -1
    cache_version: int | None = None
    mark: Mark | None = None
    cancelled: bool = False
    used_at: int = 0

    @property
    def generated(self) -> int:
        return len(self.tokens) - self.prompt_length

    @property
    def missing(self) -> int:
        """Tokens that are known but not in the cache yet; at least 1 while the request runs."""
        return len(self.tokens) - self.filled

    def starts(self, other: Slot, length: int) -> bool:
        """The first ``length`` tokens of this row are the first tokens of ``other``'s prompt."""
        if not 0 < length < other.prompt_length or self.tokens[length - 1] != other.tokens[length - 1]:
            return False
        return self.tokens[:length] == other.tokens[:length]


@dataclass(slots=True)
class RowTable:
    """The partition of ``row_count`` rows; at most ``active_limit`` of them run at once."""

    row_count: int
    active_limit: int
    cache: Rows
    decoding: int = 0
    active: int = 0
    clock: int = 0
    reused_tokens: int = 0
    occupants: list[Slot | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 < self.active_limit <= self.row_count:
            raise ValueError(f"active_limit {self.active_limit} must be in 1..{self.row_count}")
        self.occupants = [None] * self.row_count

    # ---- reading
    @property
    def full(self) -> bool:
        return self.active >= self.active_limit

    def decoding_slots(self) -> list[Slot]:
        """Rows 0..decoding-1, in row order."""
        return self._slots(0, self.decoding)

    def prefilling_slots(self) -> list[Slot]:
        """In row order, which is not the order of admission."""
        return self._slots(self.decoding, self.active)

    def active_slots(self) -> list[Slot]:
        return self._slots(0, self.active)

    def _slots(self, start: int, end: int) -> list[Slot]:
        return [slot for slot in self.occupants[start:end] if slot is not None]

    # ---- changing
    def admit(self, slot: Slot, version: int) -> bool:
        """Give ``slot`` a row with the longest cached prefix; False: wait, for a row or for a shared prefill."""
        if self.full or self._leader(slot):
            return False
        self.clock += 1
        source, length, extends = self._longest_prefix(slot)
        row = source.row if source is not None and extends else self._spare_row()
        if source is not None and not extends:
            self._copy_prefix(source, row, length)
        elif source is None:
            self.cache.clear(row)
        slot.filled, slot.row, slot.cache_version, slot.used_at = length, row, version, self.clock
        self.reused_tokens += length
        self.occupants[row] = slot
        self._exchange(row, self.active)
        self.active += 1
        if slot.missing == 1:
            self.promote(slot)
        return True

    def promote(self, slot: Slot) -> None:
        """Its prompt but the last token is in the cache: decode from now on."""
        whole_prompt = slot.filled == slot.prompt_length - 1 >= SHARED_PREFIX_MINIMUM
        if whole_prompt and slot.cache_version is not None:
            slot.mark = Mark(slot.filled, self.cache.snapshot(slot.row))
        self._exchange(slot.row, self.decoding)
        self.decoding += 1

    def release(self, slot: Slot, retain: bool) -> None:
        """End of a request. A retained row serves later prompts that extend it, until it is the least recently used."""
        if slot.row < self.decoding:
            self._exchange(slot.row, self.decoding - 1)
            self.decoding -= 1
        self._exchange(slot.row, self.active - 1)
        self.active -= 1
        self.clock += 1
        slot.used_at, slot.owner = self.clock, None
        if not retain or slot.filled < SHARED_PREFIX_MINIMUM:
            self.occupants[slot.row] = None

    def forget_caches(self) -> None:
        """After a change of weights: nothing old is taken over; running requests keep their row."""
        for row in range(self.active, self.row_count):
            self.occupants[row] = None
        for slot in self.active_slots():
            slot.mark, slot.cache_version = None, None

    def restart_all(self, version: int) -> None:
        """Every running request is computed anew from its first token (the shape of the cache changed)."""
        self.decoding = 0
        for slot in self.active_slots():
            self.cache.clear(slot.row)
            slot.filled, slot.cache_version = 0, version
        for slot in self.active_slots():
            if slot.missing == 1:
                self.promote(slot)

    # ---- matching
    def _leader(self, slot: Slot) -> bool:
        """Somebody is prefilling what this prompt starts with: wait for it and copy, instead of computing it twice."""
        return any(
            other.filled < other.prompt_length - 1 >= SHARED_PREFIX_MINIMUM
            and other.generated == 0
            and other.cache_version is not None
            and other.starts(slot, other.prompt_length - 1)
            for other in self.prefilling_slots()
        )

    def _longest_prefix(self, slot: Slot) -> tuple[Slot | None, int, bool]:
        """(donor, tokens, whether the donor's whole row is taken over rather than copied up to its mark)."""
        best: tuple[Slot | None, int, bool] = (None, 0, False)
        for row, donor in enumerate(self.occupants):
            if donor is None:
                continue
            if row >= self.active and donor.filled > best[1] and donor.starts(slot, donor.filled):
                best = (donor, donor.filled, True)
            elif donor.mark is not None and donor.mark.length > best[1] and donor.starts(slot, donor.mark.length):
                best = (donor, donor.mark.length, False)
        return best

    def _copy_prefix(self, source: Slot, row: int, length: int) -> None:
        assert source.mark is not None
        source.used_at = self.clock
        if source.row != row:
            self.cache.copy(source.row, row, length)
        self.cache.restore(row, source.mark.snapshot)

    def _spare_row(self) -> int:
        """An empty row, or the least recently used one."""

        def age(row: int) -> int:
            occupant = self.occupants[row]
            return -1 if occupant is None else occupant.used_at

        return min(range(self.active, self.row_count), key=age)

    def _exchange(self, first: int, second: int) -> None:
        if first == second:
            return
        one, other = self.occupants[first], self.occupants[second]
        if one is not None and other is not None:
            self.cache.swap(first, second, max(one.filled, other.filled))
        elif one is not None:
            self.cache.copy(first, second, one.filled)
        elif other is not None:
            self.cache.copy(second, first, other.filled)
        self.occupants[first], self.occupants[second] = other, one
        if one is not None:
            one.row = second
        if other is not None:
            other.row = first


def plan_prefill(slots: Sequence[Slot], budget: int) -> list[list[tuple[Slot, int]]]:
    """Groups of (slot, tokens to run now) of similar length, at most ``budget`` tokens in all (at least one slot).

    The last token of each is left to the decoding step. Oldest admissions first; a group's shortest member has at
    least half the tokens of its longest, so padding wastes less than half.
    """
    chosen: list[tuple[Slot, int]] = []
    for slot in sorted(slots, key=lambda candidate: candidate.used_at):
        if budget <= 0:
            break
        count = min(slot.missing - 1, budget)
        budget -= count
        chosen.append((slot, count))
    return _groups(sorted(chosen, key=lambda item: item[1]))


def _groups(items: Iterable[tuple[Slot, int]]) -> list[list[tuple[Slot, int]]]:
    groups: list[list[tuple[Slot, int]]] = []
    for item in items:
        if groups and item[1] <= 2 * groups[-1][0][1] + 8:
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups
