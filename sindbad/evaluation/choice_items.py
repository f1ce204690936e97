"""Multiple-choice items as the Arabic sets publish them, in one form.

The set is told by its columns (as lighteval's ``arabic_evals`` and HELM's scenarios read them):

    answerKey, question.stem, question.choices       EXAMS
    query, sol1 … sol5, label (from 0)               AlGhafa
    Question, Context, Option 1 … 5, Answer Key      MadinahQA, ArabicMMLU
    question, A … E, answer                          EXAMS and MMLU of the leaderboards, AraTrust by category
    question, choices, answer (a letter)             AraTrust (Arabic letter), MMLU (machine-translated)
    question, choices, answer (a number from 0)      ArbMMLU-HT
    question, answer (صح or خطأ)                     ACVA

An answer that names no option is an error with its line, never a skipped item. AraTrust's letters before an option
("أ) ...") are taken off: the prompt style puts its own. A passage that a question is about stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.errors import InvalidInput
from sindbad.textfiles import json_lines

_LETTER_BEFORE = re.compile(r"^\s*[أابجدهـ]+\s*[).\-]\s*")
_ARABIC_LETTERS = {"أ": 0, "ا": 0, "ب": 1, "ج": 2, "د": 3, "ه": 4, "هـ": 4}
TRUE_FALSE = ("صح", "خطأ")


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """``answer`` is the index of the right option; ``group`` a subject or category."""

    item_id: str
    question: str
    options: tuple[str, ...]
    answer: int
    group: str = ""


def read_choice_items(path: Path, *, first: int | None = None) -> list[ChoiceItem]:
    """Items of a JSONL file (also .gz).

    Raises:
        NotFound: no such file.
        InvalidInput: a line that is no item of a known set (named), or no item at all.
    """
    items: list[ChoiceItem] = []
    for number, record in json_lines(path):
        try:
            items.append(_item(record, number))
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise InvalidInput(f"{path}:{number} is no multiple-choice item of a known form: {error!r}") from error
        if first is not None and len(items) == first:
            break
    if not items:
        raise InvalidInput(f"{path} holds no item")
    return items


def _item(record: dict[str, Any], number: int) -> ChoiceItem:
    name = next((str(record[key]) for key in ("id", "idx", "ID") if record.get(key) is not None), f"line {number}")
    group = next((str(record[key]) for key in ("category", "subject", "Category", "Subject") if record.get(key)), "")
    if "answerKey" in record:
        choices = record["question"]["choices"]
        where = [choice["label"] for choice in choices].index(record["answerKey"])
        asked, options = record["question"]["stem"], [choice["text"] for choice in choices]
        group = record.get("info", {}).get("subject", "")
    elif "sol1" in record:
        asked, keys = record["query"], _columns(record, "sol{}", range(1, 6))
        options, where = [record[key] for key in keys], keys.index(f"sol{int(record['label']) + 1}")
    elif "Option 1" in record:
        asked, keys = record["Question"], _columns(record, "Option {}", range(1, 6))
        options, where = [record[key] for key in keys], keys.index(f"Option {_place(record['Answer Key']) + 1}")
    elif "A" in record and "B" in record:
        asked, keys = record.get("question") or record["Question"], _columns(record, "{}", "ABCDE")
        answer = record.get("answer") or record["Answer"]
        options, where = _bare([record[key] for key in keys], answer), keys.index("ABCDE"[_place(answer)])
    elif "choices" in record:
        asked, answer = record["question"], record["answer"]
        options, where = _bare(record["choices"], answer), answer if isinstance(answer, int) else _place(answer)
    else:
        asked, options, where = record["question"], list(TRUE_FALSE), TRUE_FALSE.index(record["answer"])
        group = name.rpartition("-")[0]
    if not 0 <= where < len(options):
        raise ValueError(f"answer {where} of {len(options)} options")
    passage = str(record.get("context") or record.get("Context") or "").strip()
    shown = tuple(str(option).strip() for option in options)
    return ChoiceItem(name, f"{passage}\n{asked}" if passage else asked, shown, where, group)


def _columns(record: dict[str, Any], form: str, names: Iterable[object]) -> list[str]:
    """Those of an item's columns that hold an option."""
    return [key for key in (form.format(name) for name in names) if record.get(key) not in (None, "")]


def _bare(options: Sequence[object], answer: object) -> list[str]:
    """Without their letters, where the answer is an Arabic letter: only such sets write letters before options."""
    lettered = str(answer).strip() in _ARABIC_LETTERS
    return [_LETTER_BEFORE.sub("", str(option)) if lettered else str(option) for option in options]


def _place(letter: object) -> int:
    """Of a Latin or an Arabic letter."""
    written = str(letter).strip()
    return _ARABIC_LETTERS[written] if written in _ARABIC_LETTERS else "ABCDE".index(written)
