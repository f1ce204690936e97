"""Write questions as a BrowseComp file: a held-out set of one's own that crawlers of training data cannot read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

from sindbad import atomic
from sindbad.errors import InvalidInput
from sindbad.evaluation.sets.cipher import seal
from sindbad.questions.question import Question

COLUMNS = ("problem", "answer", "problem_topic", "canary")
ALIASES = "aliases"
"""A column more, of ours, where a question has any: a list in JSON, sealed like the answer."""


def check_target(path: Path, questions: Path) -> None:
    """Raise InvalidInput for a target that is the question file itself, or another file that we did not seal: what is
    sealed keeps neither clues nor evidence, so the only copy of them would be gone."""
    if path.exists() and path.resolve() == questions.resolve():
        raise InvalidInput(f"{path} is the question file itself; give another name for the sealed one")
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; give a file")
    if path.exists() and not path.read_bytes().startswith(",".join(COLUMNS).encode()):
        raise InvalidInput(f"{path} is there already and no sealed file; give another name, or remove it")


def write_browsecomp(path: Path, questions: Iterable[Question], canary: str) -> Path:
    """Write a CSV with encrypted ``problem``, ``answer``, ``aliases``; the kind is the topic. Raises InvalidInput."""
    text, asked = io.StringIO(newline=""), list(questions)
    rows = csv.writer(text, lineterminator="\n")
    with_aliases = any(question.aliases for question in asked)
    rows.writerow([*COLUMNS, ALIASES] if with_aliases else COLUMNS)
    for question in asked:
        row = [seal(question.text, canary), seal(question.answer, canary), question.kind, canary]
        others = json.dumps(question.aliases, ensure_ascii=False) if question.aliases else ""
        rows.writerow([*row, seal(others, canary) if others else ""] if with_aliases else row)
    atomic.write_text(path, text.getvalue())
    return path
