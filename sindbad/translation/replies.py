"""Whether a reply is a translation at all: whole, without chatter, no echo, with the same numbers.

Each check gives "" or "name: what"; the names are stable and stand in ledgers. They lead to another attempt and then to
a rejection: a reply is never trimmed into shape, because what was cut might have been the text's own.
"""

from __future__ import annotations

import re

from sindbad.translation.kinds import SpanKind
from sindbad.translation.numbers import differing
from sindbad.translation.paragraphs import is_prose
from sindbad.translation.paragraphs import paragraphs as parts_of
from sindbad.translation.sentinels import SENTINEL
from sindbad.translation.spans import Masked
from sindbad.translation.speakers import Said
from sindbad.translation.wording import get_wording

_WORD = re.compile(r"[^\W\d_]{2,}")
ECHO_WORDS = 4
"""Fewer words than this may be the same in both languages: a title, a product, two names."""


def truncated(said: Said) -> str:
    """Only "stop" ends a whole reply."""
    return "" if said.finish_reason == "stop" else f"truncated: finish reason {said.finish_reason}"


def empty(said: Said) -> str:
    """Something was said."""
    return "" if said.text.strip() else "empty: the model said nothing"


def echo(source: str, reply: str) -> str:
    """The reply is the source again, or nearly."""
    words, said = _words(source), _words(reply)
    if len(words) < ECHO_WORDS or not said:
        return ""
    if words == said:
        return "echo: the reply is the source"
    known, own = set(words), set(said)
    share = sum(word in known for word in said) / len(said)
    covered = sum(word in own for word in words) / len(words)
    both = share > 0.9 and covered > 0.6 and len(said) > 5
    return f"echo: {share:.0%} of the reply's words are the source's" if both else ""


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(SENTINEL.sub(" ", text))]


def chatter(source: str, reply: str, languages: tuple[str, str]) -> str:
    """The reply speaks about the translation, where the source did not begin like that. A yes that the source says too
    ("Definitely! …") is its own; what follows it is looked at all the same."""
    more_lines = reply.count("\n") > source.count("\n")
    said = reply[_assent(reply, languages) :] if _assent(source, languages) else reply
    for language in languages:
        wording = get_wording(language)
        for pattern in (wording.chatter_pattern, wording.trailing_pattern if more_lines else None):
            found = pattern.search(said) if pattern else None
            if found and not _alike(source, languages):
                return f"chatter: {found[0].strip()[:60]!r}"
    if len(reply) > 8 * len(source) + 200:
        return f"chatter: {len(reply)} characters for {len(source)}"
    return ""


def _assent(text: str, languages: tuple[str, str]) -> int:
    """Where the yes ends that ``text`` begins with, in either language; 0 without one."""
    patterns = [get_wording(language).assent_pattern for language in languages]
    return max((found.end() for pattern in patterns if pattern and (found := pattern.match(text))), default=0)


def _alike(source: str, languages: tuple[str, str]) -> bool:
    """Whether the source itself reads like chatter, in either language: then the reply may."""
    wordings = [get_wording(language) for language in languages]
    patterns = [pattern for wording in wordings for pattern in (wording.chatter_pattern, wording.trailing_pattern)]
    return any(pattern.search(source) for pattern in patterns if pattern)


def lines(source: str, reply: str) -> str:
    """No more lines than the source has: a second version, or an explanation, stands on a line of its own."""
    there, here = source.count("\n"), reply.strip().count("\n")
    return f"lines: {here + 1} for {there + 1}" if here > there else ""


def paragraphs(source: str, reply: str) -> str:
    """Of a text that was asked for whole: as many paragraphs or lines as it has, and none of its own again. Joined or
    lost: asked for by its parts, it has all of them."""
    there, here = parts_of(source), parts_of(reply)
    if len(here) < len(there) and _lines(reply) < _lines(source):
        return f"paragraphs: {len(here)} for {len(there)}"
    known = {tuple(_words(part)) for part in there}
    left = next((part for part in here if is_prose(part) and tuple(_words(part)) in known), "")
    return f"echo: {left.strip()[:60]!r} is the source's" if left else ""


def _lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.split("\n"))


def numbers(masked: Masked, reply: str, source: str, target: str) -> str:
    """The same numbers by value, masked ones in their places: a digit beside a sentinel makes another number of it."""
    found = differing(_numbered(masked, masked.text), _numbered(masked, reply), source, target)
    return f"numbers: {' '.join(found[:6])}" if found else ""


def _numbered(masked: Masked, text: str) -> str:
    """``text`` with its masked numbers put back, and a mark that is no blank in place of every other span."""
    spans = masked.spans

    def shown(match: re.Match[str]) -> str:
        index = int(match[1])
        return spans[index].text if index < len(spans) and spans[index].kind is SpanKind.NUMBER else "\ufffc"

    return SENTINEL.sub(shown, text)
