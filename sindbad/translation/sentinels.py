"""Sentinels: how they look, and how a damaged one is mended where only one reading is possible.

A model spaces them, writes their number in its own digits or in words, swaps the brackets, squeezes two into one,
drops half of one, says one twice in a row, or writes out what stood behind it. Each repair has a name, touches only
sentinels that are missing otherwise, and leaves alone what could be read in two ways; the verifier looks afterwards.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

OPEN, CLOSE = "⟦", "⟧"
SENTINEL = re.compile(rf"{OPEN}[ \t]*([0-9]{{1,9}})[ \t]*{CLOSE}")
_ANY_DIGITS = re.compile(rf"{OPEN}[ \t\u00a0\u200e\u200f\u202f]*(\d{{1,9}})[ \t\u00a0\u200e\u200f\u202f]*{CLOSE}")
_WORD = re.compile(rf"{OPEN}\s*([^\W\d_]{{2,12}})\s*{CLOSE}")
_LIST = re.compile(rf"{OPEN}\s*(\d{{1,9}}(?:\s*[,،;؛/&+ -]\s*\d{{1,9}})+)\s*{CLOSE}")
_RUN = re.compile(rf"{OPEN}\s*([0-9]{{2,9}})\s*{CLOSE}")
_LOOKALIKE = re.compile(r"(?:\[{1,2}|【|〖|〚|\(\(|«|‹|⦗|⟨|⟪)\s?(\d{1,9})\s?(?:\]{1,2}|】|〗|〛|\)\)|»|›|⦘|⟩|⟫)")
_LEFT_HALF = re.compile(rf"{OPEN}[ \t]*(\d{{1,9}})(?![ \t]*[\d{CLOSE}])")
_RIGHT_HALF = re.compile(rf"(?<![\d{OPEN}])(\d{{1,9}})[ \t]*{CLOSE}")
_DOUBLED = re.compile(rf"({OPEN}[0-9]{{1,9}}{CLOSE})(?:[ \t]*\1)+")
_WORD_BEFORE = re.compile(r"(?:\w|\d[.,٬٫:/'’-])\Z")
_WORD_AFTER = re.compile(r"\w|[.,٬٫:/'’-]\d|[%٪]")
MOST_MENDED = 32
"""More missing sentinels than this are no slip of the pen."""

NUMBER_WORDS: dict[str, int] = {
    word: value
    for value, words in enumerate(
        (
            "zero صفر",
            "one واحد واحدة",
            "two اثنان اثنين",
            "three ثلاثة ثلاث",
            "four أربعة أربع",
            "five خمسة خمس",
            "six ستة ست",
            "seven سبعة سبع",
            "eight ثمانية ثمان ثماني",
            "nine تسعة تسع",
            "ten عشرة عشر",
        )
    )
    for word in words.split()
}


def sentinel(index: int) -> str:
    """The visible form of sentinel ``index``."""
    return f"{OPEN}{index}{CLOSE}"


def number(digits: str) -> int:
    """Value of decimal digits in any script."""
    return int("".join(str(unicodedata.digit(digit)) for digit in digits))


def missing_of(text: str, count: int) -> list[int]:
    """Indices below ``count`` that have no well-formed sentinel in ``text``."""
    seen = {int(found) for found in SENTINEL.findall(text)}
    return [index for index in range(count) if index not in seen]


def mend(text: str, source: str, replacements: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """``text`` with what can be mended mended, and the names of the repairs.

    Args:
        source: the masked source; what looks like a damaged sentinel there is left alone.
        replacements: what stands behind each sentinel.
    """
    done: list[str] = []
    for name, step in _STEPS:
        mended = step(text, source, replacements)
        if mended != text:
            done.append(name)
            text = mended
    return text, tuple(done)


def _digits(text: str, source: str, replacements: Sequence[str]) -> str:
    def plain(match: re.Match[str]) -> str:
        return f"{OPEN}{''.join(str(unicodedata.digit(digit)) for digit in match[1])}{CLOSE}"

    return _ANY_DIGITS.sub(plain, text)


def _words(text: str, source: str, replacements: Sequence[str]) -> str:
    missing = set(missing_of(text, len(replacements)))

    def written(match: re.Match[str]) -> str:
        value = NUMBER_WORDS.get(match[1].lower(), -1)
        return sentinel(value) if value in missing else match[0]

    return _WORD.sub(written, text)


def _squeezed(text: str, source: str, replacements: Sequence[str]) -> str:
    """``⟦0, 1⟧`` and ``⟦01⟧`` where neither stands anywhere else."""
    missing = set(missing_of(text, len(replacements)))

    def spread(match: re.Match[str]) -> str:
        values = [number(digits) for digits in re.findall(r"\d+", match[1])]
        return (
            "".join(map(sentinel, values)) if set(values) <= missing and len(set(values)) == len(values) else match[0]
        )

    text = _LIST.sub(spread, text)
    seen = Counter(int(found) for found in SENTINEL.findall(text))

    def cut(match: re.Match[str]) -> str:
        if int(match[1]) < len(replacements) and match[1][0] != "0":
            return match[0]
        found = _consecutive(match[1])
        own = {int(match[1])} if seen[int(match[1])] == 1 else set[int]()
        return "".join(map(sentinel, found)) if found and set(found) <= missing | own else match[0]

    return _RUN.sub(cut, text)


def _consecutive(digits: str) -> list[int]:
    """The one way to read ``digits`` as n, n+1, …; [] where there is none."""
    for size in range(1, len(digits) // 2 + 1):
        values, rest = [int(digits[:size])], digits[size:]
        while rest.startswith(str(values[-1] + 1)):
            values.append(values[-1] + 1)
            rest = rest.removeprefix(str(values[-1]))
        if not rest and len(values) > 1:
            return values
    return []


def _each_once(pattern: re.Pattern[str]) -> Callable[[str, str, Sequence[str]], str]:
    """A repair that turns a match of ``pattern`` into its sentinel where it is missing and matched exactly once."""

    def repaired(text: str, source: str, replacements: Sequence[str]) -> str:
        missing = set(missing_of(text, len(replacements)))
        if not missing:
            return text
        counts = Counter(number(match[1]) for match in pattern.finditer(text))
        in_source = {match[0] for match in pattern.finditer(source)}

        def one(match: re.Match[str]) -> str:
            value = number(match[1])
            sound = value in missing and counts[value] == 1 and match[0] not in in_source
            return sentinel(value) if sound else match[0]

        return pattern.sub(one, text)

    return repaired


def _doubled(text: str, source: str, replacements: Sequence[str]) -> str:
    doubled_before = {match[1] for match in _DOUBLED.finditer(source)}
    return _DOUBLED.sub(lambda match: match[0] if match[1] in doubled_before else match[1], text)


def _clear(text: str, source: str, replacements: Sequence[str]) -> str:
    """What stood behind a missing sentinel was written out, once, and the source does not say it elsewhere.

    It must stand for itself: "12" is neither in "1234" nor in "1.12" or "12%".
    """
    missing = missing_of(text, len(replacements))
    if len(missing) > MOST_MENDED:
        return text
    for index in missing:
        written = replacements[index]
        twins = sum(other == written for other in replacements)
        known = len(written) > 1 and twins == 1 and written not in source and not SENTINEL.search(written)
        if known and text.count(written) == 1 and _alone(text, text.index(written), len(written)):
            text = text.replace(written, sentinel(index))
    return text


def _alone(text: str, start: int, length: int) -> bool:
    """Whether no letter and no digit around [start, start + length) belongs to what stands there."""
    end = start + length
    first = _WORD_BEFORE if _is_word(text[start]) else None
    last = _WORD_AFTER if _is_word(text[end - 1]) else None
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return not (first and first.search(before)) and not (last and last.match(after))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


_STEPS: tuple[tuple[str, Callable[[str, str, Sequence[str]], str]], ...] = (
    ("digits", _digits),
    ("words", _words),
    ("squeezed", _squeezed),
    ("brackets", _each_once(_LOOKALIKE)),
    ("halves", _each_once(_LEFT_HALF)),
    ("halves", _each_once(_RIGHT_HALF)),
    ("doubled", _doubled),
    ("clear", _clear),
)
