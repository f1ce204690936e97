"""LFM2 (short convolutions and grouped-query attention) over the slot cache, as few operations as possible.

The arithmetic is that of transformers' ``Lfm2ForCausalLM`` (5.16, modeling_lfm2.py); a test holds both to 1e-4 in
log-probability. What differs is the bookkeeping: fused projections, no module calls, no cache objects. On a model of
under a million parameters that is most of the time.

Shapes: n rows, S tokens per row, M model width, A query heads, H key-value heads, D head width, F inner width,
E convolution channels (= M), W kernel width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sindbad.engines.checkpoint import TensorReader, read_tensors
from sindbad.engines.lfm2_config import Lfm2Config, read_lfm2_config
from sindbad.engines.slot_cache import CacheShape, DecodingWindow, PrefillWindow, SlotCache, Window


@dataclass(frozen=True, slots=True)
class _Convolution:
    """``project_in``: [3E, M]; ``kernel``: [W, E], oldest input first; ``project_out``: [M, E]."""

    project_in: Tensor
    project_in_bias: Tensor | None
    kernel: Tensor
    kernel_bias: Tensor | None
    project_out: Tensor
    project_out_bias: Tensor | None


@dataclass(frozen=True, slots=True)
class _Attention:
    """``project_in``: queries, keys, values stacked [(A+2H)D, M]; ``norm``: [A+H, D] for queries and keys."""

    project_in: Tensor
    norm: Tensor
    project_out: Tensor


@dataclass(frozen=True, slots=True)
class _Layer:
    """``index`` counts layers of the same kind: it is the layer's place in the cache."""

    operator: _Convolution | _Attention
    index: int
    operator_norm: Tensor
    inner_norm: Tensor
    gate_and_up: Tensor
    down: Tensor


class Lfm2Model:
    """Weights and forward passes. Holds no request's state: that is the cache's."""

    def __init__(self, model_dir: Path, dtype: torch.dtype, device: str) -> None:
        config = read_lfm2_config(model_dir)
        self.vocabulary_size: int = config.vocab_size
        self.max_positions: int = config.max_position_embeddings
        self._epsilon: float = config.norm_eps
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._head_width: int = config.head_width
        reader = TensorReader(read_tensors(model_dir, dtype, device), model_dir)
        self._read(reader, config)
        reader.finish()
        self._set_rope(config, dtype, device)
        kinds = [isinstance(layer.operator, _Attention) for layer in self._layers]
        self.cache_shape = CacheShape(
            attention_layers=sum(kinds), heads=self._kv_heads, head_width=self._head_width,
            convolution_layers=len(kinds) - sum(kinds), convolution_width=config.conv_L_cache - 1,
            channels=config.hidden_size,
        )  # fmt: skip

    # ---- weights
    def _read(self, reader: TensorReader, config: Lfm2Config) -> None:
        width = config.hidden_size
        self._embedding = reader.take("model.embed_tokens.weight", config.vocab_size, width)
        self._final_norm = reader.take("model.embedding_norm.weight", width)
        if config.tie_word_embeddings:
            self._head = self._embedding
            reader.discard("lm_head.weight")
        else:
            self._head = reader.take("lm_head.weight", config.vocab_size, width)
        counts = {"full_attention": 0, "conv": 0}
        self._layers: list[_Layer] = []
        for number, kind in enumerate(config.layer_types):
            self._layers.append(self._layer(reader, config, f"model.layers.{number}.", kind, counts[kind]))
            counts[kind] += 1

    def _layer(self, reader: TensorReader, config: Lfm2Config, prefix: str, kind: str, index: int) -> _Layer:
        width, inner = config.hidden_size, config.inner_width
        operator = (self._attention if kind == "full_attention" else self._convolution)(reader, config, prefix)
        gate = reader.take(prefix + "feed_forward.w1.weight", inner, width)
        up = reader.take(prefix + "feed_forward.w3.weight", inner, width)
        return _Layer(
            operator=operator,
            index=index,
            operator_norm=reader.take(prefix + "operator_norm.weight", width),
            inner_norm=reader.take(prefix + "ffn_norm.weight", width),
            gate_and_up=torch.cat((gate, up)),
            down=reader.take(prefix + "feed_forward.w2.weight", width, inner),
        )

    def _attention(self, reader: TensorReader, config: Lfm2Config, prefix: str) -> _Attention:
        width, head = config.hidden_size, self._head_width
        rows = (self._heads * head, self._kv_heads * head, self._kv_heads * head)
        parts = [
            reader.take(f"{prefix}self_attn.{name}_proj.weight", count, width)
            for name, count in zip("qkv", rows, strict=True)
        ]
        query_norm = reader.take(prefix + "self_attn.q_layernorm.weight", head)
        key_norm = reader.take(prefix + "self_attn.k_layernorm.weight", head)
        return _Attention(
            project_in=torch.cat(parts),
            norm=torch.cat((query_norm.expand(self._heads, head), key_norm.expand(self._kv_heads, head))),
            project_out=reader.take(prefix + "self_attn.out_proj.weight", width, self._heads * head),
        )

    @staticmethod
    def _convolution(reader: TensorReader, config: Lfm2Config, prefix: str) -> _Convolution:
        width, kernel = config.hidden_size, config.conv_L_cache

        def bias(name: str, size: int) -> Tensor | None:
            return reader.take(f"{prefix}conv.{name}.bias", size) if config.conv_bias else None

        return _Convolution(
            project_in=reader.take(prefix + "conv.in_proj.weight", 3 * width, width),
            project_in_bias=bias("in_proj", 3 * width),
            kernel=reader.take(prefix + "conv.conv.weight", width, 1, kernel)[:, 0].t().contiguous(),
            kernel_bias=bias("conv", width),
            project_out=reader.take(prefix + "conv.out_proj.weight", width, width),
            project_out_bias=bias("out_proj", width),
        )

    def _set_rope(self, config: Lfm2Config, dtype: torch.dtype, device: str) -> None:
        exponents = torch.arange(0, self._head_width, 2, dtype=torch.float32) / self._head_width
        self._frequencies = (1.0 / (config.rope_theta**exponents)).to(device)
        self._rope_dtype = dtype

    # ---- forward
    def decode(self, cache: SlotCache, token_ids: list[int], positions: list[int]) -> Tensor:
        """Run one token for each of the rows 0..n-1 and return the next token's logits, [n, V]."""
        window = DecodingWindow(cache, positions)
        tokens_nS = torch.tensor(token_ids, device=cache.device)[:, None]
        hidden_nSM = self._run(tokens_nS, window)
        return F.linear(self._normalise(hidden_nSM[:, 0], self._final_norm), self._head)

    def prefill(self, cache: SlotCache, rows: list[int], starts: list[int], chunks: list[list[int]]) -> None:
        """Put ``chunks[i]`` behind the ``starts[i]`` tokens that row ``rows[i]`` holds."""
        counts = [len(chunk) for chunk in chunks]
        width = max(counts)
        tokens_nS = torch.tensor([chunk + [0] * (width - len(chunk)) for chunk in chunks], device=cache.device)
        self._run(tokens_nS, PrefillWindow(cache, rows, starts, counts))

    def _run(self, tokens_nS: Tensor, window: Window) -> Tensor:
        hidden_nSM = F.embedding(tokens_nS, self._embedding)
        rope = self._rope(window.positions)
        for layer in self._layers:
            normal_nSM = self._normalise(hidden_nSM, layer.operator_norm)
            if isinstance(layer.operator, _Attention):
                hidden_nSM = hidden_nSM + self._attend(normal_nSM, layer.operator, layer.index, window, rope)
            else:
                hidden_nSM = hidden_nSM + _convolve(normal_nSM, layer.operator, layer.index, window)
            inner = F.linear(self._normalise(hidden_nSM, layer.inner_norm), layer.gate_and_up)
            gate, up = inner.chunk(2, dim=-1)
            hidden_nSM = hidden_nSM + F.linear(F.silu(gate) * up, layer.down)
        return hidden_nSM

    def _normalise(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, (hidden.shape[-1],), weight, self._epsilon)

    def _rope(self, positions_nS: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines, [n, S, 1, D]: rotate_half(x) * sin = roll(x, D/2) * (-sin, sin)."""
        angles = positions_nS[:, :, None, None].float() * self._frequencies
        cosine, sine = angles.cos(), angles.sin()
        both = torch.cat((cosine, cosine), dim=-1), torch.cat((-sine, sine), dim=-1)
        return both[0].to(self._rope_dtype), both[1].to(self._rope_dtype)

    def _attend(
        self, hidden_nSM: Tensor, weights: _Attention, index: int, window: Window, rope: tuple[Tensor, Tensor]
    ) -> Tensor:
        rows, length = hidden_nSM.shape[:2]
        heads, kv_heads, width = self._heads, self._kv_heads, self._head_width
        mixed = F.linear(hidden_nSM, weights.project_in).view(rows, length, heads + 2 * kv_heads, width)
        rotated = F.rms_norm(mixed[:, :, : heads + kv_heads], (width,), None, self._epsilon) * weights.norm
        rotated = rotated * rope[0] + rotated.roll(width // 2, dims=-1) * rope[1]
        queries = rotated[:, :, :heads].transpose(1, 2)
        keys, values = window.extend(
            index, rotated[:, :, heads:].transpose(1, 2), mixed[:, :, heads + kv_heads :].transpose(1, 2)
        )
        if length == 1:  # the query heads of one key head become its query positions: nothing is repeated
            grouped = queries.reshape(rows, kv_heads, heads // kv_heads, width)
            out = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=window.mask)
        else:
            out = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=window.mask, is_causal=window.mask is None, enable_gqa=heads > kv_heads
            ).transpose(1, 2)
        return F.linear(out.reshape(rows, length, heads * width), weights.project_out)


def _convolve(hidden_nSM: Tensor, weights: _Convolution, index: int, window: Window) -> Tensor:
    gate_in, gate_out, inputs = F.linear(hidden_nSM, weights.project_in, weights.project_in_bias).chunk(3, dim=-1)
    joined = window.convolve(index, gate_in * inputs)
    length = hidden_nSM.shape[1]
    out = joined[:, :length] * weights.kernel[0]
    for step in range(1, weights.kernel.shape[0]):
        out = torch.addcmul(out, joined[:, step : step + length], weights.kernel[step])
    if weights.kernel_bias is not None:
        out = out + weights.kernel_bias
    return F.linear(gate_out * out, weights.project_out, weights.project_out_bias)
