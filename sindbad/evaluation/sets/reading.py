"""From a file to a :class:`QuestionSet`: Sindbad's own questions, BrowseComp (en, zh), GAIA, HLE, and question/answer.

Formats are recognised by their columns. BrowseComp's and BrowseComp-zh's questions and answers are decrypted with the
canary that stands in each row (their .xlsx is read after saving it as CSV). GAIA's and HLE's rows that need an attached
file or an image, and rows of any format whose answer is withheld, are left out and counted. What benchmarks say about
a question becomes its kind, and GAIA's level its difficulty (level / 3); a WebShaper question has as many hops as its
formal graph has variables.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sindbad.errors import Corrupt, InvalidInput
from sindbad.evaluation.sets.cipher import WRONG_CANARY, unseal
from sindbad.evaluation.sets.question_set import QuestionSet, SetFormat
from sindbad.evaluation.sets.rows import Row, number_in, read_rows, texts_in
from sindbad.languages.detect import detect_language
from sindbad.questions.question import Question

_WITHHELD = {"", "?"}
_CHINESE = (0x4E00, 0x9FFF)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is read.

    Attributes:
        format: None recognises it.
        canary: of every row, instead of the one in the row.
        language: of every question; empty detects it by script (ar, zh, en).
        corpus: what the simulated search looks in; empty is the server's default.
    """

    format: SetFormat | None = None
    canary: str = ""
    language: str = ""
    corpus: str = ""


Reader = Callable[[str, Row, ReadOptions], Question | str]
"""(place, row, options) -> the question, or why the row is left out."""


def read_question_set(path: Path, options: ReadOptions | None = None) -> QuestionSet:
    """Read a file.

    Raises:
        NotFound, InvalidInput: no such file, no known format. Corrupt: torn, or (WRONG_CANARY) another canary's.
    """
    chosen = options or ReadOptions()
    rows = read_rows(path)
    if not rows:
        raise InvalidInput(f"{path} is empty")
    kind = chosen.format or recognise(path, rows[0][1])
    reader, style = _READERS[kind]
    questions: list[Question] = []
    left_out: Counter[str] = Counter()
    for place, row in rows:
        found = reader(place, row, chosen)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            questions.append(found)
    if kind is not SetFormat.SINDBAD:
        questions = _distinct(questions)
    canary = _protection(kind, rows, chosen, path)
    return QuestionSet(_name(path), kind, tuple(questions), _style(style, questions), canary, dict(left_out))


def recognise(path: Path, row: Row) -> SetFormat:
    """The format of a file by the columns of its first row. Raises InvalidInput."""
    columns = {str(name).lower() for name in row}
    if {"question_id", "clues"} <= columns:
        return SetFormat.SINDBAD
    if "canary" in columns and (_has(columns, "problem") or _has(columns, "topic")):
        return SetFormat.BROWSECOMP
    if {"question", "final answer"} <= columns:
        return SetFormat.GAIA
    if {"question", "answer_type"} <= columns:
        return SetFormat.HLE
    if {"question", "answer"} <= columns or {"problem", "answer"} <= columns:
        return SetFormat.PLAIN
    known = ", ".join(SetFormat)
    raise InvalidInput(f"{path} has the columns {', '.join(sorted(columns))}: none of the formats {known}")


def _has(columns: set[str], name: str) -> bool:
    return name in columns


def _sindbad(place: str, row: Row, options: ReadOptions) -> Question | str:
    try:
        question = Question.from_record({**row, "aliases": texts_in(row.get("aliases"), place)})
    except (ValueError, TypeError, KeyError) as error:
        raise Corrupt(f"{place} is no question: {error!r}") from error
    number_in(question.difficulty, place)
    number_in(question.hops, place, whole=True)
    return replace(question, world_id=options.corpus) if options.corpus else question


def _browsecomp(place: str, row: Row, options: ReadOptions) -> Question | str:
    canary = options.canary or str(_field(row, "canary", place))
    try:
        text, answer = (unseal(str(_field(row, name, place)), canary) for name in ("problem|question", "answer"))
    except Corrupt as error:
        hint = "; --canary takes another" if error.reason == WRONG_CANARY else ""
        raise Corrupt(f"{place}: {error.message}{hint}", reason=error.reason) from error
    if answer.strip() in _WITHHELD:
        return "with a withheld answer"
    sealed = str(_field(row, "problem|question", place))
    aliases = str(_field(row, "aliases", place, missing="") or "")  # ours: a list in JSON, sealed like the answer
    made = _question(place, f"bc-{_short(sealed)}", text, answer, "browsecomp", options)
    return replace(made, aliases=texts_in(unseal(aliases, canary), place)) if aliases else made


def _gaia(place: str, row: Row, options: ReadOptions) -> Question | str:
    answer = str(_field(row, "final answer", place) or "")
    if answer.strip() in _WITHHELD:
        return "with a withheld answer"
    if str(_field(row, "file_name", place, missing="") or "").strip():
        return "with an attached file"
    level = str(_field(row, "level", place, missing="") or "")
    text = str(_field(row, "question", place))
    name = str(_field(row, "task_id", place, missing="") or _short(text))
    made = _question(place, name, text, answer, f"gaia level {level}" if level else "gaia", options)
    return replace(made, difficulty=int(level) / 3 if level.isdigit() else 0.0)


def _hle(place: str, row: Row, options: ReadOptions) -> Question | str:
    answer, text = str(_field(row, "answer", place) or ""), str(_field(row, "question", place))
    if answer.strip() in _WITHHELD:
        return "with a withheld answer"
    if _field(row, "image", place, missing=None):
        return "with an image"
    kind = {"exactmatch": "hle exact", "multiplechoice": "hle choice"}.get(
        str(row.get("answer_type", "")).lower(), "hle"
    )
    return _question(place, str(_field(row, "id", place, missing="") or _short(text)), text, answer, kind, options)


def _plain(place: str, row: Row, options: ReadOptions) -> Question | str:
    answer = _field(row, "answer", place)
    golds = [str(item) for item in answer] if isinstance(answer, list) else [str(answer)]
    if not golds or golds[0].strip() in _WITHHELD:
        return "with a withheld answer"
    text = str(_field(row, "question|problem", place))
    name = str(_field(row, "id|question_id|task_id", place, missing=_short(text)))
    kind = str(_field(row, "kind|tag|type", place, missing="") or "question")
    made = _question(place, name, text, golds[0], kind, options, language=str(row.get("language") or ""))
    aliases = (*golds[1:], *texts_in(_field(row, "aliases", place, missing=None), place))
    difficulty = number_in(_field(row, "difficulty", place, missing=None), place)
    return replace(made, aliases=aliases, hops=_hops(place, row), difficulty=difficulty)


def _hops(place: str, row: Row) -> int:
    """WebShaper's formal graph: as many hops as there are variables ("V@X") to be found; else what the row says."""
    graph = row.get("formalization")
    triples = [triple for triple in graph if isinstance(triple, list)] if isinstance(graph, list) else []
    variables = {str(end) for triple in triples for end in triple if str(end).startswith("V@")}
    return len(variables) or int(number_in(_field(row, "hops", place, missing=None), place, whole=True)) or 1


def _question(
    place: str, name: str, text: str, answer: str, kind: str, options: ReadOptions, language: str = ""
) -> Question:
    if not text.strip():
        raise Corrupt(f"{place} has an empty question")
    return Question(
        question_id=name, world_id=options.corpus, language=options.language or language or language_of(text),
        text=text.strip(), kind=kind, clues=(), target="", answer_id="", answer=answer.strip(), split="test",
    )  # fmt: skip


def language_of(text: str) -> str:
    """ "zh" where every fifth letter is a Chinese character, else as the language packs' scripts tell."""
    letters = [character for character in text if character.isalpha()]
    chinese = sum(_CHINESE[0] <= ord(character) <= _CHINESE[1] for character in letters)
    return "zh" if letters and chinese >= 0.2 * len(letters) else detect_language(text)


_MISSING = object()


def _field(row: Row, names: str, place: str, *, missing: Any = _MISSING) -> Any:
    """The first of the columns that is there, whatever its case. Raises Corrupt for none where none is allowed."""
    lowered = {str(name).lower(): value for name, value in row.items()}
    for name in names.split("|"):
        if name in lowered:
            return lowered[name]
    if missing is _MISSING:
        raise Corrupt(f"{place} has no column {names.replace('|', ' or ')}")
    return missing


def _distinct(questions: list[Question]) -> list[Question]:
    """An id that comes twice (a question asked twice) is told apart by a number."""
    seen: Counter[str] = Counter()
    made = []
    for question in questions:
        seen[question.question_id] += 1
        again = seen[question.question_id]
        made.append(replace(question, question_id=f"{question.question_id}#{again}") if again > 1 else question)
    return made


def _protection(kind: SetFormat, rows: Sequence[tuple[str, Row]], options: ReadOptions, path: Path) -> str:
    """The key under which records are written; GAIA states no canary, so its file's name and size stand for one."""
    if kind in (SetFormat.SINDBAD, SetFormat.PLAIN):
        return options.canary
    stated = str(_field(rows[0][1], "canary", rows[0][0], missing="") or "")
    return options.canary or stated or f"sindbad:{path.name}:{path.stat().st_size}"


def _style(style: str, questions: Sequence[Question]) -> str:
    """BrowseComp's Chinese questions are judged in Chinese."""
    chinese = sum(question.language == "zh" for question in questions)
    return "browsecomp_zh" if style == "browsecomp_en" and 2 * chinese > len(questions) else style


def _short(text: str) -> str:
    return hashlib.sha256(text.strip().encode("utf-8")).hexdigest()[:12]


def _name(path: Path) -> str:
    return path.name.split(".", 1)[0]


_READERS: dict[SetFormat, tuple[Reader, str]] = {
    SetFormat.SINDBAD: (_sindbad, "general"),
    SetFormat.BROWSECOMP: (_browsecomp, "browsecomp_en"),
    SetFormat.GAIA: (_gaia, "gaia"),
    SetFormat.HLE: (_hle, "hle"),
    SetFormat.PLAIN: (_plain, "general"),
}
