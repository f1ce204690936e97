"""A sweep over t: merge, measure, keep the best. HALA states t = 0.5 and no ablation; this makes one.

The measures are pluggable (:class:`Measure`): held-out loss, chrF++ of greedy answers, or anything with a name, a
direction and ``__call__(folder) -> figures``. The best t is chosen by the first figure of the first measure, so
its file must not be the test set: the chosen figure is optimistic on the data that chose it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from sindbad.atomic import check_replaceable, new_dir, replace_dir, write_json
from sindbad.errors import InvalidInput
from sindbad.training.configuration import MergeConfig
from sindbad.training.examples import Conversation, read_conversations, read_pairs

SWEEP_FILE = "merge_sweep.json"


class Measure(Protocol):
    """Measures a model folder. The first figure it returns decides; ``higher_is_better`` says how."""

    @property
    def name(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def signatures(self) -> Mapping[str, str]:
        """Figure -> what names it so that others can compare; figures that need no such name are not there."""
        ...

    def __call__(self, folder: Path) -> dict[str, float]: ...


@dataclass(frozen=True, slots=True)
class HeldOutLoss:
    """``loss:FILE``: nats a token of what the assistant says in a JSONL file of {prompt, completion} or {messages}."""

    conversations: tuple[Conversation, ...]
    name: str = "loss"
    higher_is_better: bool = False

    @property
    def signatures(self) -> Mapping[str, str]:
        """None: a loss is of this tokenizer."""
        return {}

    def __call__(self, folder: Path) -> dict[str, float]:
        """Loss and teacher-forced accuracy."""
        from sindbad.evaluation.local_model import LocalModel

        loss, accuracy = LocalModel(folder).conversation_loss(self.conversations)
        return {"loss": loss, "token_accuracy": accuracy}


@dataclass(frozen=True, slots=True)
class GreedyChrf:
    """``chrf:FILE``: chrF++ and BLEU of greedy answers to the prompts, against the completions."""

    pairs: tuple[tuple[str, str], ...]
    max_tokens: int = 256
    name: str = "chrf"
    higher_is_better: bool = True

    @property
    def signatures(self) -> Mapping[str, str]:
        """Sacrebleu's."""
        from sindbad.evaluation.translation import signatures

        return dict(zip(("chrf", "bleu"), signatures(), strict=True))

    def __call__(self, folder: Path) -> dict[str, float]:
        """chrF++ and BLEU of the raw text."""
        from sindbad.evaluation.local_model import LocalModel
        from sindbad.evaluation.translation import score_translations

        answers = LocalModel(folder).generate([prompt for prompt, _ in self.pairs], max_tokens=self.max_tokens)
        scores = score_translations(answers, [completion for _, completion in self.pairs])
        return {"chrf": scores.chrf, "bleu": scores.bleu}


_KINDS: Mapping[str, tuple[Callable[[Path], Iterable[Any]], Callable[[tuple[Any, ...]], Measure]]] = {
    "loss": (read_conversations, HeldOutLoss),
    "chrf": (read_pairs, GreedyChrf),
}
"""Name -> what reads its file, and what measures by that."""


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One t with its figures (``measure.figure`` -> value) and how many tensors went by SLERP."""

    t: float
    slerp_share: float
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Sweep:
    """All rows in the order asked; ``decided_by`` names the figure and ``best`` its t. ``signatures``: of figures that
    have one."""

    rows: tuple[SweepRow, ...]
    decided_by: str
    best: float
    signatures: dict[str, str]

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def parse_measure(text: str, *, first: int | None = None) -> Measure:
    """``loss:FILE`` or ``chrf:FILE``. Raises InvalidInput for anything else and for an empty file."""
    kind, _, file = text.partition(":")
    if kind not in _KINDS or not file:
        raise InvalidInput(f"{text!r} is no evaluation; give loss:FILE or chrf:FILE (JSONL of prompt and completion)")
    if not Path(file).is_file():
        raise InvalidInput(f"there is no file {file}")
    read, measure = _KINDS[kind]
    items = tuple(read(Path(file)))[:first]
    if not items:
        raise InvalidInput(f"{file} holds no pair")
    return measure(items)


def sweep_merge(
    base: Path, tuned: Path, target: Path, values: Sequence[float], measures: Sequence[Measure], config: MergeConfig,
    *, on_row: Callable[[SweepRow], None] | None = None,
) -> Sweep:  # fmt: skip
    """Merge at every t, measure, and write the best merge to ``target`` with ``merge_sweep.json``.

    Raises:
        InvalidInput: no t, one outside [0, 1], or no measure; or what a merge refuses.
    """
    from sindbad.training.merge import check_mergeable, merge_folders

    if not values or not measures or any(not 0 <= t <= 1 for t in values):
        raise InvalidInput("a sweep needs values of t between 0 and 1 and at least one evaluation")
    check_replaceable(target, "config.json", inputs=[base, tuned])
    check_mergeable(base, tuned)
    rows: list[SweepRow] = []
    with new_dir(target) as work:
        for t in dict.fromkeys(float(value) for value in values):
            made = merge_folders(base, tuned, work / "candidate", config.model_copy(update={"t": t}))
            figures = {f"{m.name}.{key}": value for m in measures for key, value in m(work / "candidate").items()}
            rows.append(SweepRow(t, made.slerp_share, figures))
            if _best(rows, measures[0]) is rows[-1]:
                replace_dir(work / "candidate", work / "best")
            if on_row is not None:
                on_row(rows[-1])
        shutil.rmtree(work / "candidate", ignore_errors=True)
        for item in (work / "best").iterdir():
            item.rename(work / item.name)
        (work / "best").rmdir()
        named = {f"{m.name}.{key}": text for m in measures for key, text in m.signatures.items()}
        found = Sweep(tuple(rows), next(iter(rows[0].figures)), _best(rows, measures[0]).t, named)
        write_json(work / SWEEP_FILE, found.to_record())
    return found


def _best(rows: Sequence[SweepRow], measure: Measure) -> SweepRow:
    """The first of the best."""
    sign = 1 if measure.higher_is_better else -1
    return max(rows, key=lambda row: sign * next(iter(row.figures.values())))
