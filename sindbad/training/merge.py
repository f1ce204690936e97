"""SLERP of a tuned model with its base, by mergekit's own function, with a report per tensor (HALA step 6).

mergekit interpolates each output of a batch separately; a whole tensor is one output here, as in its released recipe
of HALA's time: flattened, un-normalised inputs, float32 arithmetic, LERP where |cosine| > 0.9995. The result is rounded
once, to the base's dtype or the one asked for, and has the base's configuration; tokenizer and chat template are a
choice (:mod:`sindbad.training.merge_tokenizer`). Tied weights are merged once. Both models are held in memory.

Not covered: quantised models, which are refused. Between codes, or scales whose codes are another model's, nothing can
be interpolated: merge the originals, then quantise.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from sindbad.atomic import check_replaceable, new_dir, write_json, write_text
from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.training.card import CARD, card, parts_of_model, together
from sindbad.training.configuration import MergeConfig as MergeConfig
from sindbad.training.merge_tokenizer import Choice, choose, copy_choice, special_ids
from sindbad.training.schedule import Schedule, spread
from sindbad.weights.folder import refuse_quantised

REPORT_FILE = "merge_report.json"
_ORIGINALS = "merge the original models, then quantise the result"


@dataclass(frozen=True, slots=True)
class TensorMerge:
    """One tensor: cosine of base and tuned, the branch mergekit takes for it, and how far they moved from the base.

    ``angle`` is in degrees. ``tuned_change`` and ``merged_change`` are Frobenius norms of the difference to the base
    over the base's norm. ``added_rows`` were taken from the tuned model as they are: the base lacks them, or has
    filling there; the figures are of the other rows.
    """

    name: str
    shape: tuple[int, ...]
    cosine: float
    branch: Literal["slerp", "lerp"]
    tuned_change: float
    merged_change: float
    t: float = 0.5
    angle: float = 0.0
    added_rows: int = 0


@dataclass(frozen=True, slots=True)
class MergeReport:
    """All tensors, in the base's order. ``t`` as configured: a number, anchors, or rules."""

    t: Schedule
    tensors: tuple[TensorMerge, ...]
    tokenizer: str = "base"
    chat_template: str = "base"
    dropped_tokens: tuple[str, ...] = ()

    @property
    def mean_t(self) -> float:
        """Over tensors; t itself where it is one number."""
        return float(self.t) if isinstance(self.t, float | int) else fmean(row.t for row in self.tensors)

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        t = self.t if isinstance(self.t, float | int) else [_plain(part) for part in self.t]
        return {**asdict(replace(self, t=0.0)), "t": t}

    @property
    def slerp_share(self) -> float:
        """Share of tensors that took the SLERP branch."""
        return sum(1 for tensor in self.tensors if tensor.branch == "slerp") / max(1, len(self.tensors))


def _plain(part: Any) -> Any:
    return part if isinstance(part, float | int) else part.model_dump()


def merge_tensor(base: Any, tuned: Any, config: MergeConfig, t: float | None = None) -> Any:
    """One tensor through mergekit, in float32; the result has the base's shape, and its dtype or ``out_dtype``.

    Args:
        t: of this tensor; that of the configuration, which must then be one number, when None.
    """
    import torch
    from mergekit.merge_methods.slerp import slerp

    if base.shape != tuned.shape:
        raise InvalidInput(
            f"shapes differ: {tuple(base.shape)} and {tuple(tuned.shape)}; merge a model with its own base"
        )
    if t is None:
        t = spread(config.t, [""])[""]
    merged = slerp(
        torch.tensor([t]),
        base.detach().float().reshape(1, -1),
        tuned.detach().float().reshape(1, -1),
        dot_threshold=config.dot_threshold,
    )
    return merged.reshape(base.shape).to(_dtype(base, config))


def _dtype(base: Any, config: MergeConfig) -> Any:
    import torch

    return base.dtype if config.out_dtype == "base" else getattr(torch, config.out_dtype)


def cosine(base: Any, tuned: Any) -> float:
    """Cosine of the flattened tensors in float32, as mergekit computes it; 0 for a zero tensor."""
    import torch

    left, right = base.detach().float().flatten(), tuned.detach().float().flatten()
    norms = [torch.linalg.vector_norm(value) for value in (left, right)]
    if min(norms) <= 1e-8:
        return 0.0
    return float(((left / norms[0]) * (right / norms[1])).sum().clamp(-1, 1))


def merge_states(
    base: dict[str, Any],
    tuned: dict[str, Any],
    config: MergeConfig,
    *,
    vocabulary: int | None = None,
    added: Collection[int] = (),
) -> tuple[dict[str, Any], MergeReport]:
    """Merge two state dicts with equal names and shapes.

    Args:
        vocabulary: rows of embeddings and head in the result, where the models have different numbers of them; rows
            that one of them lacks come from the other, rows beyond it are cut.
        added: ids of tokens that tuning added. Their rows are the tuned model's as they are: where the base has a row
            of that number, it is filling and stands for nothing.

    Raises:
        InvalidInput: names or shapes differ (named), t fits no tensor, or weights are codes of eight bits.
    """
    if base.keys() != tuned.keys():
        odd = sorted(base.keys() ^ tuned.keys())[:3]
        raise InvalidInput(f"the models have different tensors ({', '.join(odd)} …); merge a model with its own base")
    _check_values(base, tuned)
    t_of = spread(config.t, [name for name, tensor in base.items() if tensor.is_floating_point()])
    merged: dict[str, Any] = {}
    rows = []
    for name, tensor in base.items():
        if not tensor.is_floating_point():
            merged[name] = tensor
            continue
        common = _common(name, tensor, tuned[name], vocabulary, added)
        left, right = (tensor, tuned[name]) if common is None else (tensor[common.rows], tuned[name][common.rows])
        made = merge_tensor(left, right, config, t_of[name])
        rows.append(_describe(name, left, right, made, config, t_of[name], common.added if common is not None else 0))
        merged[name] = made if common is None else _in_place(made, common, tensor, tuned[name])
    return merged, MergeReport(config.t, tuple(rows))


def _check_values(*states: dict[str, Any]) -> None:
    """Raise InvalidInput/ALREADY_QUANTISED for weights of whole numbers or eight bits, whatever their folder says."""
    for state in states:
        for name, tensor in state.items():
            whole = name.endswith("weight") and not tensor.is_floating_point()
            if whole or (tensor.is_floating_point() and tensor.element_size() < 2):
                raise InvalidInput(f"{name} is {tensor.dtype}: {_ORIGINALS}", reason="ALREADY_QUANTISED")


@dataclass(frozen=True, slots=True)
class _Common:
    """The ``rows`` of an embedding that both models know a token (or nothing) by, of ``size`` in the result; ``added``
    of the others are the tuned model's."""

    rows: list[int]
    size: int
    added: int


def _common(name: str, base: Any, tuned: Any, vocabulary: int | None, added: Collection[int]) -> _Common | None:
    """None where that is every row: the tensors are merged as they are."""
    by_token = name.endswith(("embed_tokens.weight", "lm_head.weight"))
    if not by_token or base.shape[1:] != tuned.shape[1:] or (vocabulary is None and base.shape != tuned.shape):
        return None
    size = base.shape[0] if vocabulary is None else vocabulary
    shared = min(base.shape[0], tuned.shape[0], size)
    rows = sorted({*range(shared)} - {*added})
    if len(rows) == shared == size == base.shape[0] == tuned.shape[0]:
        return None
    return _Common(rows, size, max(shared, min(tuned.shape[0], size)) - len(rows))


def _in_place(made: Any, common: _Common, base: Any, tuned: Any) -> Any:
    """The merged rows among those that only one of the models has."""
    longer = tuned if tuned.shape[0] >= common.size else base
    whole = longer[: common.size].to(made.dtype, copy=True)
    whole[: tuned.shape[0]] = tuned[: common.size].to(made.dtype)
    whole[common.rows] = made
    return whole


def _describe(
    name: str, base: Any, tuned: Any, merged: Any, config: MergeConfig, t: float, added: int
) -> TensorMerge:  # fmt: skip
    value = cosine(base, tuned)
    return TensorMerge(
        name,
        tuple(base.shape),
        value,
        "lerp" if abs(value) > config.dot_threshold else "slerp",
        relative_change(base, tuned),
        relative_change(base, merged),
        t,
        angle(base, tuned),
        added,
    )


def angle(base: Any, tuned: Any) -> float:
    """Degrees between the flattened tensors, from float64 chords: exact where arccos of a cosine near 1 is not."""
    import torch

    units = []
    for value in (base, tuned):
        flat = value.detach().double().flatten()
        norm = torch.linalg.vector_norm(flat)
        if float(norm) <= 1e-8:
            return 0.0
        units.append(flat / norm)
    apart = float(torch.linalg.vector_norm(units[0] - units[1]))
    along = float(torch.linalg.vector_norm(units[0] + units[1]))
    return math.degrees(2 * math.atan2(apart, along))


def relative_change(base: Any, other: Any) -> float:
    """Frobenius norm of the difference over the base's norm."""
    import torch

    norm = float(torch.linalg.vector_norm(base.float()))
    return float(torch.linalg.vector_norm(other.float() - base.float())) / max(norm, 1e-12)


def merge_folders(base_dir: Path, tuned_dir: Path, target: Path, config: MergeConfig | None = None) -> MergeReport:
    """Merge two model folders into ``target`` (replaced atomically), with the report beside the weights.

    Where the card of either model names a licence, the result has a card with what both ask for.

    Raises:
        NotFound: a folder without weights.
        InvalidInput: one is quantised, they do not fit together, or tokenizer or chat template need a choice.
    """
    from safetensors.torch import save_file

    config = config or MergeConfig()
    check_replaceable(target, "config.json", inputs=[base_dir, tuned_dir])
    check_mergeable(base_dir, tuned_dir)
    choice = choose(base_dir, tuned_dir, config)
    vocabulary = _rows(base_dir, tuned_dir, choice)
    merged, report = merge_states(
        read_state(base_dir), read_state(tuned_dir), config, vocabulary=vocabulary, added=choice.kept
    )
    report = replace(
        report, tokenizer=_side(choice.tokenizer, base_dir), chat_template=_side(choice.template, base_dir),
        dropped_tokens=choice.dropped,
    )  # fmt: skip
    with new_dir(target) as temporary:
        for file in base_dir.iterdir():
            if file.is_file() and file.suffix in (".json", ".jinja", ".model", ".txt") and "index" not in file.name:
                shutil.copyfile(file, temporary / file.name)
        copy_choice(choice, base_dir, temporary)
        _adapt_configuration(temporary / "config.json", config, special_ids(choice, base_dir), vocabulary)
        save_file(merged, str(temporary / "model.safetensors"), metadata={"format": "pt"})
        write_json(temporary / REPORT_FILE, {**report.to_record(), "config": config.model_dump(mode="json")})
        if said := _card(base_dir, tuned_dir, config):
            write_text(temporary / CARD, said)
    return report


def check_mergeable(base_dir: Path, tuned_dir: Path) -> None:
    """Raise InvalidInput/ALREADY_QUANTISED where either folder is quantised."""
    for folder in (base_dir, tuned_dir):
        refuse_quantised(folder, _ORIGINALS)


def _card(base_dir: Path, tuned_dir: Path, config: MergeConfig) -> str:
    """ "" where neither model's card says anything."""
    sides = ((base_dir, "base model"), (tuned_dir, "tuned model"))
    parts = together(*((kind, folder.resolve().name, parts_of_model(folder, kind)) for folder, kind in sides))
    return card("Merged model", f"SLERP of a tuned model with its base, t = {config.t}, by `sindbad merge`.", parts)


def merged_with(folder: Path) -> MergeConfig:
    """How :func:`merge_folders` made ``folder``. Raises NotFound where no report says so, Corrupt for a broken one."""
    path = folder / REPORT_FILE
    if not path.is_file():
        raise NotFound(f"{path} is not there: {folder} was not merged by Sindbad")
    try:
        return MergeConfig(**json.loads(path.read_text("utf-8"))["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{path} does not say how {folder} was merged ({error}); merge it again") from error


def _side(folder: Path, base_dir: Path) -> str:
    return "base" if folder == base_dir else "tuned"


def _rows(base_dir: Path, tuned_dir: Path, choice: Choice) -> int | None:
    """Rows of the result's embeddings, those of the tokenizer's model; None where both models have as many."""
    sizes = {folder: _configured(folder).get("vocab_size") for folder in (base_dir, tuned_dir)}
    return None if len(set(sizes.values())) == 1 else sizes[choice.tokenizer]


def _configured(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return record


def _adapt_configuration(path: Path, config: MergeConfig, ids: dict[str, Any], vocabulary: int | None) -> None:
    """What a choice changes in the base's configuration; untouched, to the byte, where it changes nothing."""
    changes: dict[str, Any] = dict(ids)
    if vocabulary is not None:
        changes["vocab_size"] = vocabulary
    if config.out_dtype != "base":
        changes["dtype"] = config.out_dtype
    if changes and path.is_file():
        record = _configured(path.parent)
        if "dtype" in changes:
            record.pop("torch_dtype", None)
        write_json(path, {**record, **changes})


def read_state(folder: Path) -> dict[str, Any]:
    """Every tensor of a folder's safetensors files. Raises NotFound when there are none."""
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise NotFound(f"{folder} holds no safetensors; give a Hugging Face model folder")
    state: dict[str, Any] = {}
    for file in files:
        state |= load_file(str(file))
    return state
