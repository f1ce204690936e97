"""A local file as the folder that a harness loads in place of a benchmark's data set on the Hub.

Rows in the columns of the Hub's set pass as they are. Three published files have other columns and are converted, which
is told: EXAMS as its authors publish it, AraTrust in one file (its letters and their spelling), ArabicMMLU's own table.
A row whose subset is none of the benchmark's is left out and counted. Nothing of a question or an option is changed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sindbad.atomic import write_text
from sindbad.errors import InvalidInput
from sindbad.evaluation.harness.benchmarks import Benchmark
from sindbad.textfiles import json_lines

DEFAULT_SUBSET = "default"
Row = dict[str, Any]
_LATIN = "ABCDE"
_ALIF = {"ا": "أ"}
_LEVELS = {"Primary": "Primary School", "Middle": "Middle School", "High": "High School", "Univ": "University",
           "Prof": "Professional"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LocalData:
    """``items``: of every subset. ``converted``: rows whose columns were not those that the task reads."""

    folder: Path
    items: dict[str, int]
    converted: int
    left_out: dict[str, int] = field(default_factory=dict)


def _exams(row: Row) -> tuple[str, Row, bool]:
    if "answerKey" not in row:
        return DEFAULT_SUBSET, row, False
    choices = {choice["label"]: choice["text"] for choice in row["question"]["choices"]}
    options = {letter: choices[letter] for letter in _LATIN[:4]}
    asked = {"id": row["id"], "subject": row["info"]["subject"], "question": row["question"]["stem"]}
    return DEFAULT_SUBSET, {**asked, **options, "answer": row["answerKey"]}, True


def _aratrust(row: Row) -> tuple[str, Row, bool]:
    if "choices" not in row:
        return str(row["Category"]).replace(" ", ""), row, False
    options = dict(zip(_LATIN[:3], row["choices"], strict=True))
    answer = str(row["answer"]).strip()
    made = {"Category": row["category"], "Question": row["question"], **options, "Answer": _ALIF.get(answer, answer)}
    return str(row["category"]).replace(" ", ""), made, True


def _arabic_mmlu(row: Row) -> tuple[str, Row, bool]:
    if "Option 1" in row:
        level = _LEVELS.get(row.get("Level") or "")
        return (f"{row['Subject']} ({level})" if level else str(row["Subject"])), row, False
    level = _LEVELS.get(row["level"])
    options = {f"Option {number}": (row["choices"][number - 1 : number] or [None])[0] for number in range(1, 6)}
    names = ("ID", "Source", "Country", "Group", "Subject", "Level", "Question", "Context")
    made = {name: row[name.lower()] or None for name in names}
    made |= options | {"Answer Key": row["answer"], "is_few_shot": int(row["few_shot"])}
    return (f"{row['subject']} ({level})" if level else str(row["subject"])), made, True


def _acva(row: Row) -> tuple[str, Row, bool]:
    return str(row["id"]).rpartition("-")[0].replace(" ", "_"), row, False


def _subject(row: Row) -> tuple[str, Row, bool]:
    # lm-eval takes every other column of AlGhafa for an option: ours must not stay among them.
    kept = {name: value for name, value in row.items() if name != "subset"}
    return str(row.get("subset") or row.get("subject") or row.get("Subject") or ""), kept, False


_READERS: Mapping[str, Callable[[Row], tuple[str, Row, bool]]] = {
    "arabic_exams": _exams, "aratrust": _aratrust, "arabicmmlu": _arabic_mmlu, "acva": _acva,
}  # fmt: skip


def write_local_data(
    benchmark: Benchmark, file: Path, folder: Path, *, subset: str = "", first: int | None = None
) -> LocalData:
    """The items of ``file`` as a data-set folder: one JSONL a subset, named in its README's header.

    Args:
        subset: of every row, where the rows do not say it (AlGhafa's files).
        first: only the first rows of the file.

    Raises:
        NotFound: no such file.
        InvalidInput: a row that is none of this benchmark, or no row left.
    """
    read = _READERS.get(benchmark.name, _subject)
    known = benchmark.subsets or (DEFAULT_SUBSET,)
    lines: dict[str, list[str]] = {}
    converted, left_out = 0, Counter[str]()
    for number, (line, record) in enumerate(json_lines(file), start=1):
        if first is not None and number > first:
            break
        try:
            named, row, changed = (subset, record, False) if subset else read(record)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise InvalidInput(f"{file}:{line} is no row of {benchmark.name}: {error!r}") from error
        if named not in known:
            left_out[named] += 1
            continue
        converted += changed
        lines.setdefault(named, []).append(json.dumps(row, ensure_ascii=False))
    if not lines:
        raise InvalidInput(f"{file} holds no row of {benchmark.name}'s subsets; name the subset (--subset)")
    _write(folder, benchmark.split, lines)
    return LocalData(folder, {name: len(rows) for name, rows in lines.items()}, converted, dict(left_out))


def _write(folder: Path, split: str, lines: Mapping[str, list[str]]) -> None:
    """The subsets are configurations of the data set, as on the Hub."""
    configs = []
    for number, (name, rows) in enumerate(lines.items()):
        write_text(folder / f"{number}.jsonl", "".join(row + "\n" for row in rows))
        configs.append({"config_name": name, "data_files": [{"split": split, "path": f"{number}.jsonl"}]})
    # JSON is YAML: the header of a data-set card.
    write_text(folder / "README.md", f"---\n{json.dumps({'configs': configs}, ensure_ascii=False)}\n---\n")
