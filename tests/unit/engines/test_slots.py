"""The row table against a model of a cache that remembers exactly which tokens every row holds."""

from __future__ import annotations

import random
from array import array
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.engines.protocol import SamplingParams
from sindbad.engines.slots import RowTable, Slot, plan_prefill


class TokenRows:
    """Each row is the list of tokens in it; a state stands for what a convolution remembers: the tokens so far."""

    def __init__(self, rows: int) -> None:
        self.tokens: list[list[int]] = [[] for _ in range(rows)]
        self.states: list[tuple[int, ...]] = [() for _ in range(rows)]

    def swap(self, first: int, second: int, length: int) -> None:
        one, other = self.tokens[first][:length], self.tokens[second][:length]
        self.tokens[first], self.tokens[second] = other, one
        self.states[first], self.states[second] = self.states[second], self.states[first]

    def copy(self, source: int, target: int, length: int) -> None:
        self.tokens[target], self.states[target] = self.tokens[source][:length], self.states[source]

    def clear(self, row: int) -> None:
        self.states[row] = ()

    def snapshot(self, row: int) -> Any:
        return self.states[row]

    def restore(self, row: int, snapshot: Any) -> None:
        self.states[row] = snapshot

    def append(self, row: int, start: int, new: list[int]) -> None:
        self.tokens[row] = self.tokens[row][:start] + new
        self.states[row] = (*self.states[row], *new)


def new_slot(prompt: list[int], max_tokens: int = 4) -> Slot:
    return Slot(array("q", prompt), len(prompt), SamplingParams(max_tokens=max_tokens), 0, frozenset())


def check(table: RowTable, rows: TokenRows) -> None:
    """Every occupied row holds exactly its first ``filled`` tokens, and the partition is what it says."""
    for row, slot in enumerate(table.occupants):
        if slot is None:
            assert row >= table.active
            continue
        assert slot.row == row
        assert rows.tokens[row][: slot.filled] == slot.tokens[: slot.filled].tolist()
        assert list(rows.states[row]) == slot.tokens[: slot.filled].tolist()
        if row < table.decoding:
            assert slot.missing == 1
        elif row < table.active:
            assert slot.missing > 1


def run_step(table: RowTable, rows: TokenRows, rng: random.Random, budget: int) -> None:
    """What the engine does in a step, with random tokens for a model."""
    for group in plan_prefill(table.prefilling_slots(), budget):
        for slot, count in group:
            rows.append(slot.row, slot.filled, slot.tokens[slot.filled : slot.filled + count].tolist())
            slot.filled += count
        for slot, _ in group:
            if slot.missing == 1:
                table.promote(slot)
    check(table, rows)
    decoding = table.decoding_slots()
    for slot in decoding:
        rows.append(slot.row, slot.filled, [slot.tokens[-1]])
        slot.filled += 1
    for slot in decoding:
        slot.tokens.append(rng.randrange(3))
        if slot.generated >= slot.sampling.max_tokens:
            table.release(slot, retain=True)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), active=st.integers(1, 5), spare=st.integers(0, 4), budget=st.integers(1, 40))
def test_rows_always_hold_the_tokens_of_their_request_whatever_joins_and_leaves(
    seed: int, active: int, spare: int, budget: int
) -> None:
    rng = random.Random(seed)
    rows = TokenRows(active + spare)
    table = RowTable(active + spare, active, rows)
    finished: list[list[int]] = []
    waiting: list[Slot] = []
    for step in range(60):
        if rng.random() < 0.6:
            base = rng.choice(finished)[: rng.randrange(1, 60)] if finished and rng.random() < 0.7 else []
            prompt = [*base, *(rng.randrange(3) for _ in range(rng.randrange(1, 20)))]
            waiting.append(new_slot(prompt, rng.randrange(1, 6)))
            finished.append(waiting[-1].tokens.tolist())
        waiting = [slot for slot in waiting if not table.admit(slot, 1)]
        check(table, rows)
        run_step(table, rows, rng, budget)
        check(table, rows)
        if rng.random() < 0.1 and table.active:
            table.release(rng.choice(table.active_slots()), retain=rng.random() < 0.5)
        if step % 20 == 19:
            table.forget_caches()
        check(table, rows)


def finish(table: RowTable, rows: TokenRows) -> None:
    rng = random.Random(0)
    while table.active:
        run_step(table, rows, rng, 1000)


def test_a_prompt_that_extends_a_finished_request_only_computes_what_is_new() -> None:
    rows = TokenRows(4)
    table = RowTable(4, 2, rows)
    first = new_slot(list(range(20)))
    assert table.admit(first, 1)
    finish(table, rows)
    longer = new_slot([*first.tokens.tolist(), 7, 8, 9])
    assert table.admit(longer, 1)
    assert longer.filled == len(first.tokens) - 1  # the last sampled token never went through the model
    assert table.reused_tokens == longer.filled


def test_a_prompt_that_departs_from_the_cached_tokens_starts_anew() -> None:
    rows = TokenRows(4)
    table = RowTable(4, 2, rows)
    assert table.admit(new_slot(list(range(20))), 1)
    finish(table, rows)
    other = new_slot([*range(15), 99, 98, 97])
    assert table.admit(other, 1)
    assert other.filled == 0


def test_samples_of_one_group_wait_for_one_prefill_and_copy_it() -> None:
    rows = TokenRows(8)
    table = RowTable(8, 8, rows)
    group = [new_slot(list(range(30))) for _ in range(4)]
    assert [table.admit(slot, 1) for slot in group] == [True, False, False, False]
    run_step(table, rows, random.Random(0), 1000)
    assert all(table.admit(slot, 1) for slot in group[1:])
    assert [slot.filled for slot in group[1:]] == [29, 29, 29]
    assert table.prefilling_slots() == []


def test_after_a_change_of_weights_nothing_old_is_taken_over() -> None:
    rows = TokenRows(4)
    table = RowTable(4, 2, rows)
    first = new_slot(list(range(20)))
    assert table.admit(first, 1)
    finish(table, rows)
    table.forget_caches()
    again = new_slot([*first.tokens.tolist(), 5])
    assert table.admit(again, 2)
    assert again.filled == 0


def test_the_least_recently_used_cache_goes_first() -> None:
    rows = TokenRows(3)
    table = RowTable(3, 1, rows)
    prompts = [[number] * 12 for number in range(3)]
    for prompt in prompts:
        assert table.admit(new_slot(prompt), 1)
        finish(table, rows)
    assert table.admit(new_slot([9] * 12), 1)
    kept = {slot.tokens[0] for slot in table.occupants if slot is not None}
    assert kept == {1, 2, 9}


def test_prefill_is_cut_to_the_budget_and_grouped_by_length() -> None:
    slots = [new_slot([1] * length) for length in (100, 101, 10, 1000)]
    for number, slot in enumerate(slots):
        slot.used_at = number
    groups = plan_prefill(slots, 300)
    assert sum(count for group in groups for _, count in group) == 300
    assert [sorted(count for _, count in group) for group in groups] == [[9], [92, 99, 100]]
    for group in groups:
        counts = [count for _, count in group]
        assert max(counts) <= 2 * min(counts) + 8
