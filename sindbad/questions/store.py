"""Question files (JSONL, atomic) and the split: whole worlds are train or test, never parts of one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput
from sindbad.questions.question import Question
from sindbad.questions.synthesis import Rejected
from sindbad.textfiles import open_text


def save_questions(path: str | Path, questions: Iterable[Question]) -> None:
    """One question a line, in the given order."""
    _save(path, (question.to_record() for question in questions))


def save_rejected(path: str | Path, rejected: Iterable[Rejected]) -> None:
    """Rejected candidates with their reasons, one a line."""
    _save(path, (item.to_record() for item in rejected))


def _save(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    atomic.write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def load_questions(path: str | Path) -> list[Question]:
    """Inverse of :func:`save_questions`. Corrupt if a line is no question; else as :func:`open_text` raises."""
    questions = []
    with open_text(Path(path)) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                questions.append(_question(line, f"{path}:{number}"))
    return questions


def _question(line: str, place: str) -> Question:
    try:
        return Question.from_record(json.loads(line))
    except (ValueError, TypeError, KeyError) as error:
        raise Corrupt(f"{place} is not a question: {error}") from error


def split_worlds(world_ids: Sequence[str], test_share: float, seed: int) -> tuple[list[str], list[str]]:
    """(train, test) worlds: disjoint, together all, deterministic; at least one test world if the share is positive."""
    if not 0.0 <= test_share <= 1.0:
        raise InvalidInput(f"test_share must lie in [0, 1], got {test_share}")
    order = sorted(set(world_ids))
    random.Random(f"split:{seed}").shuffle(order)
    count = min(len(order), max(1, round(test_share * len(order)))) if test_share > 0 else 0
    return sorted(order[count:]), sorted(order[:count])


def check_disjoint(train: Iterable[Question], test: Iterable[Question]) -> None:
    """InvalidInput if train and test share a world (and with it entities), a question id or a wording."""
    left, right = list(train), list(test)
    for field in ("world_id", "question_id", "text"):
        shared = {getattr(question, field) for question in left} & {getattr(question, field) for question in right}
        if shared:
            raise InvalidInput(f"train and test share a {field}: {sorted(shared)[:3]}", reason="SPLIT_OVERLAP")
