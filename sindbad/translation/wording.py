"""What a language says around translations: number words, a chatty model's phrases, instructions about its own texts.

One YAML file a language in ``wordings/``; a language without a file has none of these and loses only the checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

_OF_FILTERS = ("openers", "questions")
"""Read by filters alone (:mod:`sindbad.corpus.answered`)."""
FOLDER = Path(__file__).with_name("wordings")


@dataclass(frozen=True)
class Task:
    """An instruction whose object must stay in its own language.

    Attributes:
        name: stable name ("grammar", "translation", …). pattern: how the instruction is worded.
        answer: what becomes of the answer: "keep" (it is in the source language too), or "translate" (it speaks about
            the object; only what it names of that, or quotes, stays).
    """

    name: str
    pattern: re.Pattern[str]
    answer: str


@dataclass(frozen=True)
class Wording:
    """One language's wording. Patterns are matched without regard to case."""

    language: str
    number_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    number_frame: str = "{}"
    """What may be joined to a number's word, around ``{}``."""
    minus: tuple[str, ...] = ()
    chatter: tuple[str, ...] = ()
    trailing: tuple[str, ...] = ()
    assents: tuple[str, ...] = ()
    """How a text begins that says yes: a chatty reply, and the translation of a text that begins so."""
    tasks: tuple[Task, ...] = ()
    asides: tuple[str, ...] = ()
    """A sentence that asks about such tasks, or for a new text, and sets none: "how can I improve my grammar"."""
    given: tuple[str, ...] = ()
    """A sentence that points at a text is a task all the same: "how would you correct the grammar of this sentence"."""
    objects: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """How a last paragraph begins that says what the output should look like."""
    labels: tuple[str, ...] = ()
    """What stands before the text of a task, with a colon: "sentence 2:"."""
    feminine: tuple[str, ...] = ()
    masculine: tuple[str, ...] = ()
    openers: tuple[str, ...] = ()
    """How answers begin, and questions or tasks do not."""
    questions: tuple[str, ...] = ()
    """How a question begins."""

    @cached_property
    def chatter_pattern(self) -> re.Pattern[str] | None:
        """A reply that begins with words about the translation."""
        return _any(self.chatter, r"\A[\s\"'*_#>-]*(?:{})")

    @cached_property
    def assent_pattern(self) -> re.Pattern[str] | None:
        """See ``assents``, with the mark behind."""
        return _any(self.assents, r"\A[\s\"'*_#>-]*(?:(?:{})(?!\w)[ \u00a0\u202f]?[!,.:،]*\s*){1,3}")

    @cached_property
    def trailing_pattern(self) -> re.Pattern[str] | None:
        """A line of its own in a reply that speaks about the translation.

        Blanks before its words end with the line: else each of a run of blank lines would be read to the run's end.
        """
        return _any(self.trailing, r"(?m:^(?:[^\S\n]|[\"'*_(\[-])*+(?:{}))")

    @cached_property
    def aside_pattern(self) -> re.Pattern[str] | None:
        """See ``asides``."""
        return _any(self.asides, "(?:{})")

    @cached_property
    def given_pattern(self) -> re.Pattern[str] | None:
        """See ``given``."""
        return _any(self.given, "(?:{})")

    @cached_property
    def object_pattern(self) -> re.Pattern[str] | None:
        """A bare word that a task is about; group "object"."""
        return _any(self.objects, "(?:{})")

    @cached_property
    def above_pattern(self) -> re.Pattern[str] | None:
        """Says that the task's object stands before it."""
        return _any(self.above, "(?:{})")

    def number_pattern(self, number: str) -> re.Pattern[str] | None:
        """A word for a small whole number."""
        return _any(self.number_words.get(number, ()), rf"(?<!\w){self.number_frame.replace('{}', '(?:{})')}(?!\w)")

    @cached_property
    def opener_pattern(self) -> re.Pattern[str] | None:
        """At the start of a text: it answers."""
        return _any(self.openers, r"\A\W*(?:{})")

    @cached_property
    def question_pattern(self) -> re.Pattern[str] | None:
        """At the start of a clause: it asks."""
        return _any(self.questions, r"\A(?:{})(?!\w)")

    @cached_property
    def minus_pattern(self) -> re.Pattern[str] | None:
        """Says in words that a number is negative."""
        return _any(self.minus, r"(?<!\w)(?:{})(?!\w)")

    def words(self) -> dict[str, Any]:
        """Everything that decides a translation, JSON-ready: equal for wordings that decide alike."""
        said = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in _OF_FILTERS}
        return {**said, "tasks": [[task.name, task.pattern.pattern, task.answer] for task in self.tasks]}

    def addressee(self, text: str) -> str:
        """ "feminine" or "masculine" where the speaker's own words, not what they quote, say it of themselves or of who
        is spoken to, else ""."""
        text = _QUOTED.sub('""', text)
        said = [
            name
            for name, phrases in (("feminine", self.feminine), ("masculine", self.masculine))
            if (pattern := _any(phrases, r"(?<!\w)(?:{})(?!\w)")) and pattern.search(text)
        ]
        return said[0] if len(said) == 1 else ""


_QUOTED = re.compile(r"\"[^\"]*\"|“[^“”]*”|«[^«»]*»|(?<!\w)'[^'\n]*'(?!\w)|(?<!\w)‘[^‘’\n]*’(?!\w)")


def _any(patterns: tuple[str, ...], frame: str) -> re.Pattern[str] | None:
    return _compiled(frame.replace("{}", "|".join(f"(?:{pattern})" for pattern in patterns))) if patterns else None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def every_wording() -> tuple[Wording, ...]:
    """Those of all languages that have a file, by code."""
    return tuple(get_wording(path.stem) for path in sorted(FOLDER.glob("*.yaml")))


@lru_cache(maxsize=32)
def get_wording(language: str) -> Wording:
    """The wording of a language code; an empty one for a language without a file."""
    base = language.partition("-")[0]  # "pt-BR" says what "pt" does
    path = FOLDER / f"{base}.yaml"
    if not base.isalpha() or not path.is_file():
        return Wording(language)
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    tasks = tuple(
        Task(name, _compiled(pattern), entry.get("answer", "keep"))
        for name, entry in data.pop("tasks", {}).items()
        for pattern in entry["patterns"]
    )
    words = {str(number): tuple(said) for number, said in data.pop("number_words", {}).items()}
    frame = data.pop("number_frame", "{}")
    lists = {name: tuple(entries) for name, entries in data.items()}
    return Wording(language, words, frame, tasks=tasks, **lists)
