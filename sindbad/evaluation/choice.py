"""Multiple choice by log-likelihood, as the Arabic leaderboards ask: two prompt styles, raw beside normalised accuracy.

``letters`` shows the options with Arabic letters and scores the letter; ``text`` scores each option's words after the
question. Raw accuracy takes the highest sum of log-probabilities; normalised accuracy divides it by the continuation's
characters (lm-eval's acc_norm and lighteval's), which favours long options, and among letters "هـ", which has two
characters. Neither is the other's correction: both are told. Ties go to the first option; an option without text (EXAMS
has some) is never chosen. Zero-shot.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Protocol

from sindbad.errors import InvalidInput
from sindbad.evaluation.choice_items import ChoiceItem
from sindbad.evaluation.local_model import Likelihood
from sindbad.evaluation.metrics import Interval, wilson
from sindbad.evaluation.report import Table

LETTERS = ("أ", "ب", "ج", "د", "هـ")
_ITEMS_AT_ONCE = 64


class Scorer(Protocol):
    """:class:`sindbad.evaluation.local_model.LocalModel`, or anything that gives likelihoods."""

    def likelihoods(self, asked: Sequence[tuple[str, str]], *, chat: bool) -> list[Likelihood]:
        """Of each continuation after its context."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """One item: the option chosen by the raw and by the normalised score, and the right one."""

    item_id: str
    group: str
    raw: int
    normalised: int
    answer: int


@dataclass(frozen=True, slots=True)
class ChoiceFigures:
    """Of one set in one style. ``chance``: expected accuracy of guessing. ``by_group``: raw accuracy. ``answers``: how
    often an option was chosen, in the options' order, by its letter (behind the last letter its number)."""

    style: str
    items: int
    raw: Interval
    normalised: Interval
    macro_raw: float
    chance: float
    answers: dict[str, int]
    by_group: dict[str, float]

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def letters_prompt(item: ChoiceItem) -> tuple[str, list[str]]:
    """An Arabic instruction, the options under their letters; the continuations are the letters.

    Raises:
        InvalidInput: more options than letters.
    """
    if len(item.options) > len(LETTERS):
        raise InvalidInput(f"{item.item_id} has {len(item.options)} options and there are {len(LETTERS)} letters")
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, item.options, strict=False)]
    head = "السؤال التالي سؤال متعدد الخيارات. اختر حرف الإجابة الصحيحة."
    return "\n".join([head, "", f"السؤال: {item.question}", *lines, "الإجابة:"]), list(LETTERS[: len(item.options)])


def text_prompt(item: ChoiceItem) -> tuple[str, list[str]]:
    """The question alone; the continuations are the options' own words."""
    return f"السؤال: {item.question}\nالإجابة:", list(item.options)


STYLES: Mapping[str, Callable[[ChoiceItem], tuple[str, list[str]]]] = {"letters": letters_prompt, "text": text_prompt}


def answer_items(
    scorer: Scorer,
    items: Sequence[ChoiceItem],
    style: str,
    *,
    chat: bool,
    on_progress: Callable[[int], None] | None = None,
) -> list[Answered]:
    """Score every option of every item.

    Args:
        chat: ask as a user turn; otherwise as plain text with a blank before the continuation.
    """
    prompt = STYLES[style]
    found: list[Answered] = []
    for start in range(0, len(items), _ITEMS_AT_ONCE):
        part = items[start : start + _ITEMS_AT_ONCE]
        asked = [prompt(item) for item in part]
        blank = "" if chat else " "
        pairs = [(context, blank + option) for context, options in asked for option in options if option]
        scores = iter(scorer.likelihoods(pairs, chat=chat))
        for item, (_, options) in zip(part, asked, strict=True):
            sums = [next(scores).logprob if option else -math.inf for option in options]
            found.append(_chosen(item, options, sums))
        if on_progress is not None:
            on_progress(len(found))
    return found


def _chosen(item: ChoiceItem, options: Sequence[str], sums: Sequence[float]) -> Answered:
    scaled = [value / max(1, len(option)) for value, option in zip(sums, options, strict=True)]
    raw, normalised = (max(range(len(values)), key=values.__getitem__) for values in (sums, scaled))
    return Answered(item.item_id, item.group, raw, normalised, item.answer)


def figures_of(style: str, items: Sequence[ChoiceItem], answered: Sequence[Answered]) -> ChoiceFigures:
    """Accuracy with Wilson intervals, over items and (macro) over groups, beside chance."""
    right = [row.raw == row.answer for row in answered]
    groups: dict[str, list[bool]] = defaultdict(list)
    for row, good in zip(answered, right, strict=True):
        groups[row.group].append(good)
    by_group = {name: fmean(rows) for name, rows in sorted(groups.items())}
    chosen = {_named(option): count for option, count in sorted(Counter(row.raw for row in answered).items())}
    return ChoiceFigures(
        style, len(items), wilson(sum(right), len(right)),
        wilson(sum(row.normalised == row.answer for row in answered), len(answered)),
        fmean(by_group.values()), fmean(1 / len(item.options) for item in items), chosen, by_group,
    )  # fmt: skip


def _named(option: int) -> str:
    """An option's letter; its number, from 1, behind the last letter."""
    return LETTERS[option] if option < len(LETTERS) else str(option + 1)


def choice_table(found: Mapping[str, Sequence[ChoiceFigures]]) -> Table:
    """One row a set and style."""
    rows = []
    for name, styles in found.items():
        for one in styles:
            chosen = " ".join(f"{option} {count}" for option, count in one.answers.items())
            rows.append([
                f"{name}, {one.style}", str(one.items), _percent(one.raw), _percent(one.normalised),
                f"{100 * one.macro_raw:.1f}", f"{100 * one.chance:.1f}", chosen,
            ])  # fmt: skip
    header = ["set, style", "items", "raw", "normalised", "macro", "chance", "chosen"]
    note = "accuracy in per cent by log-likelihood, zero-shot; 95 % Wilson; macro: mean over groups of the raw one"
    return Table("Multiple choice", note, header, rows)


def _percent(value: Interval) -> str:
    return f"{100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"
