"""Keys, values and convolution states of many requests in preallocated rows, and the two ways to append to them.

Shapes: L attention layers, C convolution layers, R rows, n rows in a step, H key-value heads, T positions, S new
tokens, D head width, W kernel width - 1, E channels. Rows are left-aligned: position p of a request is index p of its
row. What lies beyond a row's length is garbage that the mask hides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

INITIAL_POSITIONS = 256


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Two models with equal shapes can take over each other's cache."""

    attention_layers: int
    heads: int
    head_width: int
    convolution_layers: int = 0
    convolution_width: int = 0
    channels: int = 0


class SlotCache:
    """``keys``/``values``: [L, R, H, T, D]; ``states``: [C, R, W, E], the last W inputs of each convolution."""

    def __init__(self, shape: CacheShape, rows: int, max_positions: int, dtype: torch.dtype, device: str) -> None:
        self.shape, self.rows, self.max_positions = shape, rows, max_positions
        self.device, self.dtype = torch.device(device), dtype
        self.positions = min(INITIAL_POSITIONS, max_positions)
        self.keys_and_values = self._empty(self.positions)
        conv = (shape.convolution_layers, rows, shape.convolution_width, shape.channels)
        self.states = torch.zeros(conv, dtype=dtype, device=self.device)

    def _empty(self, positions: int) -> Tensor:
        shape = (2, self.shape.attention_layers, self.rows, self.shape.heads, positions, self.shape.head_width)
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def reserve(self, positions: int) -> None:
        """Make room for rows of ``positions`` tokens, doubling so that growth is rare."""
        if positions <= self.positions:
            return
        size = self.positions
        while size < positions:
            size *= 2
        size = min(size, self.max_positions)
        grown = self._empty(size)
        grown[..., : self.positions, :] = self.keys_and_values
        self.keys_and_values, self.positions = grown, size

    def keys(self, layer: int) -> Tensor:
        return self.keys_and_values[0, layer]

    def values(self, layer: int) -> Tensor:
        return self.keys_and_values[1, layer]

    # ---- sindbad.engines.slots.Rows
    def swap(self, first: int, second: int, length: int) -> None:
        kept = self.keys_and_values[:, :, first, :, :length].clone()
        self.keys_and_values[:, :, first, :, :length] = self.keys_and_values[:, :, second, :, :length]
        self.keys_and_values[:, :, second, :, :length] = kept
        state = self.states[:, first].clone()
        self.states[:, first] = self.states[:, second]
        self.states[:, second] = state

    def copy(self, source: int, target: int, length: int) -> None:
        self.keys_and_values[:, :, target, :, :length] = self.keys_and_values[:, :, source, :, :length]
        self.states[:, target] = self.states[:, source]

    def clear(self, row: int) -> None:
        self.states[:, row] = 0

    def snapshot(self, row: int) -> Any:
        """Keys and values only ever grow, so the convolution states are all there is to remember."""
        return self.states[:, row].clone()

    def restore(self, row: int, snapshot: Any) -> None:
        self.states[:, row] = snapshot


class Window(Protocol):
    """A forward pass's access to the cache. ``positions``: [n, S]; ``mask``: additive [n, 1, S, T], None: causal."""

    positions: Tensor
    mask: Tensor | None

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store [n, H, S, D] and return everything to attend to, [n, H, T, D]."""
        ...

    def convolve(self, layer: int, inputs: Tensor) -> Tensor:
        """[n, S, E] -> [n, W + S, E]: the inputs behind their predecessors, which are replaced in the cache."""
        ...


class DecodingWindow:
    """One new token for each of the rows 0..n-1: views of the cache, no gathering."""

    def __init__(self, cache: SlotCache, positions: list[int]) -> None:
        self.cache, self.count = cache, len(positions)
        self.limit = max(positions) + 1
        cache.reserve(self.limit)
        flat = torch.tensor(positions, device=cache.device)
        self.rows, self.flat, self.positions = torch.arange(self.count, device=cache.device), flat, flat[:, None]
        hidden = torch.arange(self.limit, device=cache.device) > self.positions
        zeros = torch.zeros(hidden.shape, dtype=cache.dtype, device=cache.device)
        self.mask: Tensor | None = zeros.masked_fill_(hidden, float("-inf"))[:, None, None, :]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        all_keys, all_values = self.cache.keys(layer), self.cache.values(layer)
        all_keys[self.rows, :, self.flat] = keys[:, :, 0]
        all_values[self.rows, :, self.flat] = values[:, :, 0]
        return all_keys[: self.count, :, : self.limit], all_values[: self.count, :, : self.limit]

    def convolve(self, layer: int, inputs: Tensor) -> Tensor:
        state = self.cache.states[layer, : self.count]
        joined = torch.cat((state, inputs), dim=1)
        state.copy_(joined[:, 1:])
        return joined


class PrefillWindow:
    """``counts[i]`` new tokens for ``rows[i]`` behind the ``starts[i]`` it holds; shorter ones are right-padded."""

    def __init__(self, cache: SlotCache, rows: list[int], starts: list[int], counts: list[int]) -> None:
        self.cache, width = cache, max(counts)
        self.limit = max(start + count for start, count in zip(starts, counts, strict=True))
        cache.reserve(self.limit)
        device = cache.device
        self.rows, self.counts = torch.tensor(rows, device=device), torch.tensor(counts, device=device)
        self.positions = torch.tensor(starts, device=device)[:, None] + torch.arange(width, device=device)
        self.valid = torch.arange(width, device=device) < self.counts[:, None]
        self.fresh = not any(starts)
        self.positions.clamp_(max=self.limit - 1)
        self.mask = None if self.fresh else self.causal_mask()
        self.valid_rows = self.rows[:, None].expand_as(self.valid)[self.valid]
        self.valid_positions = self.positions[self.valid]

    def causal_mask(self) -> Tensor:
        """Additive [n, 1, S, T]: a position sees itself and what is before it."""
        hidden = torch.arange(self.limit, device=self.cache.device) > self.positions[:, :, None]
        zeros = torch.zeros(hidden.shape, dtype=self.cache.dtype, device=self.cache.device)
        return zeros.masked_fill_(hidden, float("-inf"))[:, None]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        all_keys, all_values = self.cache.keys(layer), self.cache.values(layer)
        all_keys[self.valid_rows, :, self.valid_positions] = keys.transpose(1, 2)[self.valid]
        all_values[self.valid_rows, :, self.valid_positions] = values.transpose(1, 2)[self.valid]
        if self.fresh:
            return keys, values
        return all_keys[self.rows, :, : self.limit], all_values[self.rows, :, : self.limit]

    def convolve(self, layer: int, inputs: Tensor) -> Tensor:
        states = self.cache.states[layer]
        joined = torch.cat((states[self.rows], inputs), dim=1)
        last = self.counts[:, None] + torch.arange(states.shape[1], device=self.cache.device)
        states[self.rows] = joined.gather(1, last[:, :, None].expand(-1, -1, joined.shape[2]))
        return joined
