"""Instruction against content: what a task asks to transform stays in its own language.

"Fix the grammar: she go to school" is no longer a task once "she go to school" is translated. A turn is searched for
the instructions of the language's wording (``wordings/``), then for what they are about: quoted, after a colon, on the
lines that follow, above, or a bare word. The answer to such a task is in the same language and stays too, but for the
sentences around a quotation. Without such an instruction nothing is kept. A language model may be asked as well
(:class:`ContentJudge`); what it says counts where it names a part of the text literally.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from sindbad.errors import SindbadError
from sindbad.translation.wording import Task, Wording, every_wording, get_wording

Range = tuple[int, int]
SEARCHED = 600
"""An instruction stands within so many characters of the turn's beginning or end."""
_QUOTED = re.compile(
    r"\"([^\"\n]{1,600})\"|“([^”\n]{1,600})”|«([^»\n]{1,600})»|(?<!\w)'([^'\n]{1,600}?)'(?!\w)|`([^`\n]+)`|‘([^’\n]{1,600})’(?!\w)"
)
_COLON = re.compile(r":(?!//)\s*")
_BREAK = re.compile(r"\n\s*\n|\n")
_SENTENCE_START = re.compile(r"(?s:.*)(?:[.?!؟](?=\s)|\n)")
"""Up to the last end of a sentence."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a turn stays: ``ranges`` [start, end), disjoint and in order; ``task`` names why ("" for nothing)."""

    ranges: tuple[Range, ...] = ()
    task: str = ""
    answer: str = ""


NOTHING = Kept()


class ContentJudge(Protocol):
    """Decides what of an instruction is content; implemented by a language model."""

    async def kept(self, text: str, language: str) -> Kept | None:
        """What stays, or None where the judge has no opinion that can be used."""
        ...


def kept_by_rule(text: str, language: str) -> Kept:
    """What of an instruction stays in its language, by the language's wording."""
    found = _task(text, language)
    if found is None:
        return NOTHING
    task, start, end = found
    ranges = _object(text, language, start, end)
    return Kept(tuple(ranges), task.name, task.answer) if ranges else Kept((), task.name, task.answer)


def _task(text: str, language: str) -> tuple[Task, int, int] | None:
    """The first instruction at the head of the text or in its last paragraph."""
    tail = max(SEARCHED, len(text) - SEARCHED)
    best: tuple[Task, int, int] | None = None
    wording = get_wording(language)
    for task in wording.tasks:
        for match in itertools.chain(task.pattern.finditer(text, 0, SEARCHED), task.pattern.finditer(text, tail)):
            if best is not None and match.start() >= best[1]:
                break
            if not _within_quotes(text, match.start()) and not _aside(text, match, wording):
                best = (task, match.start(), match.end())
                break
    return best


def _aside(text: str, match: re.Match[str], wording: Wording) -> bool:
    """Whether the sentence around ``match`` only speaks of such a task, and points at no text."""
    aside = wording.aside_pattern
    start = _SENTENCE_START.search(text, max(0, match.start() - SEARCHED), match.start())
    begin = start.end() if start else max(0, match.start() - SEARCHED)
    found = aside.search(text, begin, match.end()) if aside else None
    if found is None or found.start() > match.start():
        return False
    return not (wording.given_pattern and wording.given_pattern.search(text, begin, _sentence_end(text, match.end())))


def _within_quotes(text: str, position: int) -> bool:
    return any(match.start() < position < match.end() for match in _QUOTED.finditer(text))


def _object(text: str, language: str, start: int, end: int) -> list[Range]:
    """Where the object of the instruction at [start, end) stands; the first reading that finds something."""
    wording = get_wording(language)
    sentence_end = _sentence_end(text, end)
    above = wording.above_pattern
    if above and above.search(text, start, sentence_end) and text[:start].strip():
        return _trimmed(text, 0, _line_start(text, start))
    quoted = [
        _inner(match) for match in _QUOTED.finditer(text, start) if not _remarked(text, match.start(), sentence_end)
    ]
    if quoted and _instruction_around(text, quoted, end):
        return quoted
    for reading in (_after_colon, _after_break):
        if ranges := reading(text, start, end, sentence_end):
            return ranges
    if quoted:
        return quoted
    bare = wording.object_pattern.search(text) if wording.object_pattern else None
    if bare:
        name = bare.lastgroup
        return [bare.span(name)] if name else []
    before = text[: _line_start(text, start)]
    return _trimmed(text, 0, len(before)) if before.strip() and start > SEARCHED // 8 else []


def _inner(match: re.Match[str]) -> Range:
    """What a quotation encloses, without the blanks of « … »."""
    number = next(number for number in range(1, 7) if match[number] is not None)
    start, inner = match.start(number), match[number]
    lead = len(inner) - len(inner.lstrip())
    return start + lead, start + max(lead, len(inner.rstrip()))


def _instruction_around(text: str, quoted: Sequence[Range], end: int) -> bool:
    """Whether the quotations are the object: nothing longer follows on lines of its own."""
    last = quoted[-1][1]
    return quoted[0][0] - end < 160 and len(text) - last < 200 and "\n" not in text[end : quoted[0][0]].strip()


def _sentence_end(text: str, position: int) -> int:
    match = re.compile(r"[.?!؟:](?=\s|$)|\n").search(text, position)
    return match.start() if match else len(text)


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _after_colon(text: str, start: int, end: int, sentence_end: int) -> list[Range]:
    """What follows the instruction's colon: the rest of the text, without a closing remark about the format."""
    colon = _COLON.search(text, end, min(len(text), end + 400))
    if colon is None or not text[colon.end() :].strip():
        return []
    between = text[end : colon.start()]
    if "\n" in between.strip() or re.search(r"[?!؟]\s", between):
        return []
    return _trimmed(text, colon.end(), _without_remarks(text, colon.end()))


def _after_break(text: str, start: int, end: int, sentence_end: int) -> list[Range]:
    """What stands on the lines after the instruction's paragraph, or after its sentence on the same line."""
    line = _BREAK.search(text, end)
    if line and text[line.end() :].strip():
        return _trimmed(text, line.end(), _without_remarks(text, line.end()))
    return []


@cache
def _remark() -> re.Pattern[str]:
    """A paragraph that speaks about the output, in any language with a wording."""
    said = "|".join(phrase for wording in every_wording() for phrase in wording.remarks)
    return re.compile(rf"\A\s*(?:(?:{said})\b[^\n]*)\Z", re.IGNORECASE)


@cache
def _label() -> re.Pattern[str]:
    """What stands before a text and is none of it, in any language with a wording."""
    said = "|".join(word for wording in every_wording() for word in wording.labels)
    return re.compile(rf"(?:(?:{said})s?\s*\d*\s*:\s*)", re.IGNORECASE)


def _remarked(text: str, quoted: int, sentence_end: int) -> bool:
    """Whether what is quoted at ``quoted`` stands in a later sentence about the output: "Follow the “…” scheme"."""
    found = _SENTENCE_START.search(text, sentence_end, quoted) if quoted > sentence_end else None
    return bool(found and _remark_start().match(text, found.end()))


@cache
def _remark_start() -> re.Pattern[str]:
    """How a sentence about the output begins, in any language with a wording."""
    said = "|".join(phrase for wording in every_wording() for phrase in wording.remarks)
    return re.compile(rf"\s*(?:{said})\b", re.IGNORECASE)


def _without_remarks(text: str, start: int) -> int:
    """End of the content that begins at ``start``: before a last paragraph that speaks about the output."""
    last = text.rfind("\n\n", start)
    return last if last > start and _remark().match(text[last:]) else len(text)


def _trimmed(text: str, start: int, end: int) -> list[Range]:
    """[start, end) without blanks and surrounding quotation marks; a leading label stays outside."""
    while start < end and text[start].isspace():
        start += 1
    if found := _label().match(text, start, end):
        start = found.end()
    while end > start and text[end - 1].isspace():
        end -= 1
    for left, right in ('""', "“”", "«»", "''"):
        if end - start > 2 and text[start] == left and text[end - 1] == right:
            start, end = start + 1, end - 1
    return [(start, end)] if end > start and any(char.isalnum() for char in text[start:end]) else []


def kept_of_answer(reply: str, asked: Kept, content: Sequence[str]) -> Kept:
    """What of the answer to a task stays: all of it, or what it quotes, where it speaks about that."""
    if not asked.task or not reply.strip() or not asked.ranges:
        return NOTHING
    quoted = [_inner(match) for match in _QUOTED.finditer(reply)]
    words = _words(" ".join(content))
    own = _words(reply)
    if asked.answer == "translate":
        return Kept(_named(reply, content, quoted), asked.task)
    if quoted and sum(end - start for start, end in quoted) < 0.8 * len(reply):
        return Kept(tuple(quoted), asked.task)
    colon = re.match(r"[^:\n]{3,80}:\s*(?=\S)", reply)
    if colon and len(_words(colon[0]) - words) > 1:
        return Kept(tuple(_trimmed(reply, colon.end(), len(reply))), asked.task)
    alike = len(own & words) >= 0.34 * max(1, len(own))
    if alike or asked.task != "grammar" or len(reply) < 3 * sum(map(len, content)):
        return Kept(tuple(_trimmed(reply, 0, len(reply))), asked.task)
    return NOTHING


def _named(reply: str, content: Sequence[str], quoted: Sequence[Range]) -> tuple[Range, ...]:
    """Where ``reply`` names the content or quotes something; disjoint, in order."""
    parts = "|".join(re.escape(part) for part in sorted(content, key=len, reverse=True))
    named = [match.span() for match in re.finditer(rf"(?<!\w)(?:{parts})(?!\w)", reply)]
    free = [(start, end) for start, end in named if not any(left < end and start < right for left, right in quoted)]
    return tuple(sorted([*quoted, *free]))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


# -- by a language model -----------------------------------------------------------------------------------------------

_PROMPT = Path(__file__).with_name("pairs") / "content_judge.txt"
_JSON = re.compile(r"\{.*\}", re.S)


@cache
def judge_prompt() -> str:
    """What a judge is asked, around the field ``{text}``."""
    return _PROMPT.read_text(encoding="utf-8")


class Asked(Protocol):
    """Answers a prompt (``sindbad.clients.openai.TextModel``)."""

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str: ...


class LanguageModelJudge:
    """Asks a model for the parts to keep, word for word. What it does not quote literally does not count."""

    def __init__(self, model: Asked, *, longest: int = 6000) -> None:
        self._model, self._longest = model, longest
        self._prompt = judge_prompt()

    async def kept(self, text: str, language: str) -> Kept | None:
        """See :class:`ContentJudge`. A model that fails or cannot be read has no opinion."""
        if len(text) > self._longest:
            return None
        try:
            reply = await self._model.reply(self._prompt.replace("{text}", text), max_tokens=1024)
        except SindbadError:
            return None
        return read_judgement(reply, text)


def read_judgement(reply: str, text: str) -> Kept | None:
    """A judge's reply as what to keep in ``text``; None where it is no judgement about this text."""
    found = _JSON.search(reply)
    try:
        judgement = json.loads(found[0]) if found else None
    except ValueError:
        return None
    if not isinstance(judgement, dict) or not isinstance(judgement.get("keep"), list):
        return None
    ranges: list[Range] = []
    for part in judgement["keep"]:
        if not isinstance(part, str) or not part.strip() or (at := text.find(part, ranges[-1][1] if ranges else 0)) < 0:
            return None
        ranges.append((at, at + len(part)))
    return Kept(tuple(ranges), str(judgement.get("task", "judged")) if ranges else "", "keep")
