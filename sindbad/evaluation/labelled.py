"""Answers with the truth about them, to measure a judge on: by construction, or as a file states it.

    synthetic           invented names in English and Arabic (sindbad.judging.synthetic)
    FILE of labels      JSONL with question, gold, answer and correct (true/false), also language and aliases
    FILE of runs        Reflexion's ReAct runs on HotpotQA: final, gold and status (their own exact match; halted runs
                        have no answer and are left out). What exact match calls wrong may be right in other words
    FILE of pairs       question and answer (any question set, XQuAD's and ARCD's paragraphs): right and wrong answers
                        are made from the gold one, so that the truth is known

From a pair come two right answers (the gold one written otherwise; a sentence around it) and two wrong ones (another
question's answer of like length; both of them, hedged).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.errors import Corrupt, InvalidInput
from sindbad.evaluation.sets.reading import ReadOptions, language_of, read_question_set
from sindbad.evaluation.sets.rows import Row, read_rows, texts_in
from sindbad.judging.exact import normaliser
from sindbad.judging.measure import LabelledCase
from sindbad.judging.synthetic import answer_cases
from sindbad.judging.verdict import JudgeRequest

SYNTHETIC = "synthetic"
_SENTENCES = {
    "en": ("The answer is {}.", "It is {}.", "{}, as two sources confirm.", "After checking, I found that it is {}."),
    "ar": ("الجواب هو {}.", "هو {}.", "{}، كما يؤكد مصدران.", "بعد التحقق وجدت أنه {}."),
    "zh": ("答案是{}。", "是{}。", "经核实，答案为{}。"),
}
_HEDGES = {"en": "Either {} or {}.", "ar": "إما {} أو {}.", "zh": "可能是{}，也可能是{}。"}
_FATHA, _TATWEEL = "\u064e", "\u0640"


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Cases with a name and where the truth comes from. ``left_out``: rows that hold nothing to judge."""

    name: str
    cases: tuple[LabelledCase, ...]
    truth: str
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Pair:
    question: str
    gold: str
    language: str
    aliases: tuple[str, ...] = ()


def labelled_set(source: str, count: int, *, seed: int = 0, style: str = "") -> LabelledSet:
    """The set that ``source`` names, at most ``count`` cases of it.

    Raises:
        NotFound, InvalidInput, Corrupt: as for question sets.
    """
    if source == SYNTHETIC:
        cases = answer_cases(count, seed)
        found = LabelledSet(SYNTHETIC, tuple(cases), "by construction")
    else:
        found = _from_file(Path(source), count, seed)
    styled = tuple(_styled(case, style) for case in found.cases)
    if not styled:
        raise InvalidInput(f"{source} holds no answer to judge")
    return LabelledSet(found.name, styled, found.truth, found.left_out)


def _styled(case: LabelledCase, style: str) -> LabelledCase:
    one = case.request
    request = JudgeRequest(one.question, one.gold, one.answer, one.language, one.aliases, one.mode, style)
    return LabelledCase(request, case.correct)


def _from_file(path: Path, count: int, seed: int) -> LabelledSet:
    rows = read_rows(path)
    columns = set(rows[0][1]) if rows else set()
    name = path.name.split(".", 1)[0]
    if {"answer", "gold", "correct"} <= columns:
        cases = [_labelled(place, row) for place, row in rows]
        return LabelledSet(name, tuple(_some(cases, count, seed)), "as the file states")
    if {"final", "gold", "status"} <= columns:
        answered = [row for _, row in rows if row["status"] in ("correct", "incorrect") and row["final"]]
        cases = [_of_run(row) for row in answered]
        return LabelledSet(name, tuple(_some(cases, count, seed)), "exact match of the runs' authors",
                           len(rows) - len(answered))  # fmt: skip
    pairs = _pairs(path, rows)
    return LabelledSet(name, tuple(_constructed(pairs, count, seed)), "by construction from gold answers")


def _some(cases: list[LabelledCase], count: int, seed: int) -> list[LabelledCase]:
    if len(cases) <= count:
        return cases
    return random.Random(f"labelled:{seed}").sample(cases, count)


def _labelled(place: str, row: Row) -> LabelledCase:
    if not isinstance(row["correct"], bool):
        raise Corrupt(f"{place}: `correct` must be true or false")
    question, gold = str(row.get("question", "")), str(row["gold"])
    language = str(row.get("language") or language_of(f"{question} {gold}"))
    aliases = texts_in(row.get("aliases"), place)
    return LabelledCase(JudgeRequest(question, gold, str(row["answer"] or ""), language, aliases), row["correct"])


def _of_run(row: Row) -> LabelledCase:
    return LabelledCase(
        JudgeRequest(str(row["question"]), str(row["gold"]), str(row["final"]), "en"), row["status"] == "correct"
    )


def _pairs(path: Path, rows: Sequence[tuple[str, Row]]) -> list[_Pair]:
    if rows and "qas" in rows[0][1]:
        return list(_paragraphs(rows))
    questions = read_question_set(path, ReadOptions()).questions
    return [_Pair(one.text, one.answer, one.language, one.aliases) for one in questions]


def _paragraphs(rows: Iterable[tuple[str, Row]]) -> Iterable[_Pair]:
    """Questions of XQuAD (a gold answer in each language) and ARCD (SQuAD's form)."""
    for place, row in rows:
        for qa in row["qas"]:
            for language in ("en", "ar"):
                if qa.get(f"answer_{language}"):
                    yield _Pair(str(qa[f"question_{language}"]), str(qa[f"answer_{language}"]), language)
            if "answers" in qa:
                golds = _texts(qa["answers"], place)
                if golds:
                    yield _Pair(str(qa["question"]), golds[0], language_of(str(qa["question"])), tuple(golds[1:]))


def _texts(answers: Any, place: str) -> list[str]:
    """SQuAD's {"text": [...]}, a list of {"text": …} or of texts, or one text."""
    found = answers.get("text") if isinstance(answers, dict) else answers
    if isinstance(found, list):
        found = [item.get("text") if isinstance(item, dict) else item for item in found]
    return list(dict.fromkeys(texts_in(found, place)))


def _constructed(pairs: Sequence[_Pair], count: int, seed: int) -> list[LabelledCase]:
    """Four cases a pair, languages in turn as they come; pairs without a like one of their language are passed over."""
    rng = random.Random(f"constructed:{seed}")
    chosen = rng.sample(list(pairs), min(len(pairs), max(1, count // 4)))
    by_language: dict[str, list[_Pair]] = {}
    for pair in pairs:
        by_language.setdefault(pair.language, []).append(pair)
    cases: list[LabelledCase] = []
    for pair in chosen:
        other = _like(pair, by_language[pair.language], rng)
        if other is not None:
            cases += _four(pair, other, rng)
    return cases


def _four(pair: _Pair, other: str, rng: random.Random) -> list[LabelledCase]:
    sentence = rng.choice(_SENTENCES.get(pair.language, _SENTENCES["en"]))
    hedge = _HEDGES.get(pair.language, _HEDGES["en"])
    both = [pair.gold, other]
    rng.shuffle(both)
    answers = [(_otherwise(pair.gold, pair.language, rng), True), (sentence.format(pair.gold), True),
               (other, False), (hedge.format(*both), False)]  # fmt: skip
    return [
        LabelledCase(JudgeRequest(pair.question, pair.gold, answer, pair.language, pair.aliases), right)
        for answer, right in answers
    ]


def _otherwise(gold: str, language: str, rng: random.Random) -> str:
    """The same answer in another spelling: case and stop in Latin script, marks and a stretched letter in Arabic."""
    if language == "ar" and len(gold) > 2:
        place = rng.randrange(1, len(gold) - 1)
        stretched = gold[place].isalpha() and gold[place - 1].isalpha()
        return f"{gold[:place]}{rng.choice((_FATHA, _TATWEEL)) if stretched else ''}{gold[place:]}"
    return rng.choice((gold.lower(), gold.upper(), f"{gold}.", f"“{gold}”"))


def _like(pair: _Pair, pool: Sequence[_Pair], rng: random.Random) -> str | None:
    """Another question's answer of about this length, in which the gold one does not occur, nor it in the gold one."""
    normalise = normaliser(pair.language)
    own = {normalise(text) for text in (pair.gold, *pair.aliases)}

    def differs(text: str) -> bool:
        return all(text and text not in one and one not in text for one in own if one)

    drawn = rng.sample(list(pool), min(len(pool), 60))
    found = [one.gold for one in drawn if differs(normalise(one.gold))]
    return min(found, key=lambda text: abs(len(text) - len(pair.gold)), default=None)
