"""The block structure of a text: which stretches are prose, and which are code, math, JSON or marks.

markdown-it-py parses the blocks (CommonMark with tables, plus rules of ours: display math, tool calls and JSON in the
open; a footnote is no link definition); positions are kept by line, and a line's own text is found inside its line.
Everything that is no prose is copied, so an error of judgement here can leave something untranslated but never damage
it. Of inline marks only those are looked at that may hold a pipe of a table's row. Linear in the length of the text:
rules that search for an end look it up in an index made once.
"""

from __future__ import annotations

import itertools
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, reference
from markdown_it.token import Token

from sindbad.translation.kinds import SpanKind

_LINE_END = re.compile(r"\r\n|\r|\n")
_ENDS = re.compile(r"\$\$|\\\]|</tool_call>")
_BEGIN = re.compile(r"\$\$|\\\[|\\begin\{([^{}\n]{1,80})\}|<tool_call>")
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([^{}\n]{1,80})\}")
_PIPE = re.compile(r"(?<!\\)\|")
_WITH_PIPES = re.compile(
    r"<\|[^|<>\n]{1,60}\|>|<\|[\w/\"-]{1,40}>|<[\w/\"-]{1,40}\|>|\{\{[^{}\n]{1,200}\}\}"
    r"|(?<!\\)\$(?=[^\s$])[^$\n]{1,200}(?<![\s\\])\$(?!\d)"
)
"""What a pipe may belong to: a special token, a placeholder with a filter, a formula with bars."""
_DELIMITER_ROW = re.compile(r"[\s>|:+-]*$")
_TICKS = re.compile(r"`+")
_PLAIN_LINE = r"""(?:(?:[^\W\d_]|["'(“”«»‘’،؟]|\d++(?![.)]))[^\n]*+|[ \t]*+)"""
_PLAIN = re.compile(rf"{_PLAIN_LINE}(?:\n{_PLAIN_LINE})*+")
_KEY = re.compile(r"[\"']?([A-Za-z_][\w.-]{0,60})[\"']?[ \t]*:(?:[ \t]|$)")
_ROW_EDGE = " \t>"
"""What may stand before a row's first cell: it stands in a quotation."""
_YAML = re.compile(rf"{_KEY.pattern}|- |-$|[ \t#\]}}]|$")
"""A line of front matter: a key, an item, what is indented, a comment, the end of a list, nothing."""
_DEFINITION = re.compile(r"\[((?:[^\[\]\\]|\\.){1,200})\]:[ \t]*\n?[ \t]*(\S+)")
_DESTINATION = re.compile(
    r"[/<#]|\.{1,2}/|[A-Za-z][A-Za-z0-9+.-]{1,15}://|(?:mailto|data|file|tel):|www\."
    r"|(?=[\w-]{0,60}[A-Za-z])[\w-]{1,120}(?:\.[\w-]{1,60}){1,8}(?:[/?#]\S*)?$"
)
"""An address, a path, an anchor, a file."""
_USED = re.compile(r"\]\[([^\[\]\n]{1,200})\]")
_ODD = re.compile(r"[^\S \t\n]|\0")
"""Blanks that Markdown, and Python, treat each in its own way."""
JSON_BUDGET = 64
"""Characters that the JSON decoder may read for one of the text, all attempts together."""


@dataclass(frozen=True, slots=True)
class Area:
    """Characters [start, end) that are copied, and why."""

    start: int
    end: int
    kind: SpanKind


@dataclass(frozen=True, slots=True)
class Stretch:
    """Prose of one paragraph, heading, table cell or HTML block: its pieces, one a line, as [start, end)."""

    pieces: tuple[tuple[int, int], ...]
    table: bool = False


@dataclass(frozen=True, slots=True)
class Blocks:
    """Areas and stretches are disjoint; between them stand marks and blanks."""

    areas: tuple[Area, ...]
    stretches: tuple[Stretch, ...]


@dataclass(slots=True)
class JsonReader:
    """Finds where a JSON value ends, within a budget of characters, so that hostile braces cost linear time."""

    text: str
    left: int = 0
    _decoder: json.JSONDecoder = field(default_factory=json.JSONDecoder)

    def __post_init__(self) -> None:
        self.left = JSON_BUDGET * len(self.text) + 4096

    def end(self, start: int) -> int | None:
        """End of the JSON object or array at ``start``; None for anything else: prose in braces is no JSON."""
        if self.left <= 0:
            return None
        try:
            value, end = self._decoder.raw_decode(self.text, start)
        except json.JSONDecodeError as error:
            # making the error counts the lines of the whole text, about 64 characters in the time of reading one
            self.left -= error.pos - start + 1 + error.pos // 64
            return None
        except (RecursionError, ValueError):
            self.left -= 8192
            return None
        self.left -= end - start
        return end if isinstance(value, dict | list) and value else None


@dataclass(slots=True)
class _Lines:
    """The text's lines: ``starts[i]`` is the place of ``rows[i]`` in the source. The first ``skip`` are front matter.

    The parser and the JSON reader see the rows joined by one newline, with those of the front matter emptied.
    """

    text: str
    starts: list[int]
    rows: list[str]
    ends: dict[str, list[int]]
    environments: dict[int, int]
    skip: int
    reader: JsonReader
    labels: frozenset[str]

    @classmethod
    def of(cls, text: str) -> _Lines:
        starts, rows, position = [], [], 0
        for match in _LINE_END.finditer(text):
            starts.append(position)
            rows.append(text[position : match.start()].replace("\0", "\ufffd"))
            position = match.end()
        starts.append(position)
        rows.append(text[position:].replace("\0", "\ufffd"))
        skip = _front_matter(rows)
        flat = "\n" * skip + "\n".join(rows[skip:])
        labels = frozenset(match[1].casefold() for match in _USED.finditer(flat))
        return cls(text, starts, rows, _end_lines(rows), environments(flat), skip, JsonReader(flat), labels)

    def closing(self, mark: str, after: int) -> int | None:
        """First line from ``after`` on that holds the closing ``mark``."""
        lines = self.ends.get(mark, [])
        place = bisect_left(lines, after)
        return lines[place] if place < len(lines) else None

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Characters of lines [first, last), the last line's end excluded."""
        return self.starts[first], self.starts[last - 1] + len(self.rows[last - 1])


def _end_lines(rows: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        for match in _ENDS.finditer(row):
            lines = found.setdefault(match[0], [])
            if not lines or lines[-1] != number:
                lines.append(number)
    return found


def environments(text: str) -> dict[int, int]:
    """Where each environment of TeX ends, by where it begins: of one name, an end belongs to the last one still open.
    One that is left open reaches to the next end of its name; one with no such end is left out."""
    opened: dict[str, list[int]] = {}
    closed: dict[str, list[int]] = {}
    ends = {}
    for mark in _ENVIRONMENT.finditer(text):
        waiting = opened.setdefault(mark[2], [])
        if mark[1] == "begin":
            waiting.append(mark.start())
            continue
        closed.setdefault(mark[2], []).append(mark.end())
        if waiting:
            ends[waiting.pop()] = mark.end()
    for name, left in opened.items():
        later = closed.get(name, [])
        ends |= {start: later[place] for start in left if (place := bisect_left(later, start)) < len(later)}
    return ends


# -- rules of ours -----------------------------------------------------------------------------------------------------


def _closing_mark(opening: re.Match[str]) -> str:
    if opening[1] is not None:
        return f"\\end{{{opening[1]}}}"
    return {"$$": "$$", "\\[": "\\]", "<tool_call>": "</tool_call>"}[opening[0]]


def _verbatim(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Display math and tool calls: from a line that opens one to the line that closes it, blank lines included."""
    if state.is_code_block(start):
        return False
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    opening = _BEGIN.match(line)
    if opening is None:
        return False
    mark = _closing_mark(opening)
    closing = _closing_line(state, start, opening, mark)
    if closing is None or closing >= end:
        return False
    last = state.src[state.bMarks[closing] : state.eMarks[closing]]
    if any(character.isalpha() for character in last[last.rindex(mark) + len(mark) :]):
        return False
    if not silent:
        _push(state, "tool_call" if mark == "</tool_call>" else "math", start, closing + 1)
    return True


def _closing_line(state: StateBlock, start: int, opening: re.Match[str], mark: str) -> int | None:
    """The line that closes what ``opening`` opens on line ``start``: its own environment's end, or the next mark."""
    lines, first = state.env["lines"], state.bMarks[start] + state.tShift[start]
    if opening[1] is None:
        return start if mark in opening.string[opening.end() :] else lines.closing(mark, start + 1)
    stop = lines.environments.get(first)
    return None if stop is None else bisect_left(state.eMarks, stop)


def _json(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """JSON in the open, on one line or many, that ends where a line ends."""
    first = state.bMarks[start] + state.tShift[start]
    if state.src[first : first + 1] not in ("{", "["):
        return False
    stop = state.env["lines"].reader.end(first)
    if stop is None:
        return False
    line_end = state.src.find("\n", stop)
    if state.src[stop : line_end if line_end >= 0 else len(state.src)].strip(" \t,;"):
        return False
    last = bisect_left(state.eMarks, stop)
    if last >= end:
        return False
    if not silent:
        _push(state, "json", start, last + 1)
    return True


def _reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A link's definition. ``[^1]: note`` is prose behind a mark, and so is ``[Label]: Negative``, which leads nowhere:
    a definition's destination looks like one, or ``[text][label]`` uses it."""
    first = state.bMarks[start] + state.tShift[start]
    if state.src.startswith("[^", first):
        return False
    found = _DEFINITION.match(state.src, first)
    if found and not _DESTINATION.match(found[2]) and found[1].casefold() not in state.env["lines"].labels:
        return False
    return reference(state, start, end, silent)


def _push(state: StateBlock, name: str, first: int, after: int) -> None:
    state.line = after
    token = state.push(name, "", 0)
    token.map = [first, after]


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table").disable("inline")
    parser.block.ruler.at("reference", _reference)
    alternatives = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("fence", "verbatim", _verbatim, {"alt": alternatives})
    parser.block.ruler.before("code", "json", _json, {"alt": alternatives})
    return parser


# -- from tokens to characters -----------------------------------------------------------------------------------------

_KINDS = {
    "fence": SpanKind.CODE,
    "code_block": SpanKind.CODE,
    "math": SpanKind.MATH,
    "tool_call": SpanKind.TOOL_CALL,
    "hr": SpanKind.MARK,
}


def parse(text: str) -> Blocks:
    """The blocks of ``text``."""
    if text[:1].isalpha() and _LINE_END.search(text) is None:  # one line that begins with a letter is a paragraph
        return Blocks((), (Stretch(((0, len(text.rstrip())),)),))
    if _PLAIN.fullmatch(text) and not _ODD.search(text):
        return Blocks((), tuple(_paragraphs(text)))
    return parse_markdown(text)


def _paragraphs(text: str) -> Iterator[Stretch]:
    """What :func:`parse_markdown` finds where no line begins like a mark, at a fraction of the price."""
    pieces: list[tuple[int, int]] = []
    position = 0
    for row in text.split("\n"):
        if body := row.rstrip(" \t"):
            pieces.append((position, position + len(body)))
        elif pieces:
            yield Stretch(tuple(pieces))
            pieces = []
        position += len(row) + 1
    if pieces:
        yield Stretch(tuple(pieces))


def parse_markdown(text: str) -> Blocks:
    """The blocks of ``text``, whatever it holds."""
    lines = _Lines.of(text)
    areas: list[Area] = []
    stretches: list[Stretch] = []
    tables: list[tuple[int, int]] = []
    if lines.skip:
        areas.append(Area(*lines.span(0, lines.skip), SpanKind.MARK))
    tokens = _parser().parse(lines.reader.text, {"lines": lines})
    for token in tokens:
        if token.map is None or token.map[0] >= len(lines.rows):
            continue
        if token.type == "table_open":
            tables.append((token.map[0], token.map[1]))
            stretches += _table(lines, *token.map)
        elif token.type == "inline" and not (tables and token.map[0] < tables[-1][1] and token.map[0] >= tables[-1][0]):
            stretches += _prose(lines, token)
        elif token.type == "html_block":
            stretches += _html(lines, *token.map)
        elif token.type == "json":
            areas.append(_json_area(lines, token))
        elif token.type in _KINDS:
            areas.append(_area(lines, token))
    return Blocks(tuple(areas), tuple(stretches))


def _front_matter(rows: Sequence[str]) -> int:
    """Number of lines of a YAML head; 0 where there is none. A letter between two rules, or a card of labels that begin
    with a capital ("Subject: Leave"), is prose."""
    if rows[0].rstrip() != "---":
        return 0
    end = next((number for number, row in enumerate(rows[1:200], 1) if row.rstrip() in ("---", "...")), 0)
    keys = [match[1] for row in rows[1:end] if (match := _KEY.match(row))]
    if not any(key[0].islower() or key[0] == "_" for key in keys) or not all(map(_YAML.match, rows[1:end])):
        return 0
    return end + 1


def _area(lines: _Lines, token: Token) -> Area:
    assert token.map is not None
    first, last = token.map
    last = min(last, len(lines.rows))
    while last > first + 1 and not lines.rows[last - 1].strip():
        last -= 1
    return Area(*lines.span(first, last), _KINDS[token.type])


def _json_area(lines: _Lines, token: Token) -> Area:
    """The reader works on lines joined by one character; the source may end its lines with two."""
    assert token.map is not None
    first, last = token.map
    start, end = lines.span(first, last)
    row = lines.rows[first]
    return Area(start + len(row) - len(row.lstrip()), end, SpanKind.JSON)


def _prose(lines: _Lines, token: Token) -> Iterator[Stretch]:
    assert token.map is not None
    pieces = []
    for number, content in zip(range(token.map[0], len(lines.rows)), token.content.split("\n"), strict=False):
        body = content.strip(" \t")
        at = lines.rows[number].rfind(body)
        if at < 0:  # a tab that was expanded: the whole line is prose
            row = lines.rows[number]
            at, body = len(row) - len(row.lstrip()), row.strip()
        if body:
            pieces.append((lines.starts[number] + at, lines.starts[number] + at + len(body)))
    if pieces:
        yield Stretch(tuple(pieces))


def _html(lines: _Lines, first: int, last: int) -> Iterator[Stretch]:
    pieces = []
    for number in range(first, min(last, len(lines.rows))):
        row = lines.rows[number]
        body = row.strip()
        if body:
            start = lines.starts[number] + len(row) - len(row.lstrip())
            pieces.append((start, start + len(body)))
    if pieces:
        yield Stretch(tuple(pieces))


def _table(lines: _Lines, first: int, last: int) -> Iterator[Stretch]:
    """One stretch a cell; the delimiter row has none."""
    columns = 0
    for number in range(first, min(last, len(lines.rows))):
        row = lines.rows[number]
        if _DELIMITER_ROW.fullmatch(row):
            columns = columns or len(re.findall("-+", row))
            continue
        for left, right in itertools.pairwise([-1, *_pipes(row, columns), len(row)]):
            cell = row[left + 1 : right].lstrip(" \t" if left >= 0 else _ROW_EDGE)
            if body := cell.rstrip(" \t"):
                start = lines.starts[number] + right - len(cell)
                yield Stretch(((start, start + len(body)),), table=True)


def _pipes(row: str, columns: int) -> list[int]:
    """Where the row's cells end. In a row that has more cells than the table, pipes end none inside code or what else
    holds pipes of its own."""
    pipes = [match.start() for match in _PIPE.finditer(row)]
    cells = len(pipes) + 1 - row.lstrip(_ROW_EDGE).startswith("|") - row.rstrip(" \t").endswith("|")
    if not columns or cells <= columns:
        return pipes
    wholes = _joined([*_code_in(row), *(match.span() for match in _WITH_PIPES.finditer(row))])
    starts = [start for start, _ in wholes]
    return [pipe for pipe in pipes if not ((place := bisect_left(starts, pipe)) and pipe < wholes[place - 1][1])]


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges from left to right, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _code_in(row: str) -> list[tuple[int, int]]:
    """[start, end) of inline code, from left to right: a run of backticks up to the next run that is as long."""
    waiting: dict[int, list[int]] = {}
    for run in _TICKS.finditer(row):
        waiting.setdefault(len(run[0]), []).append(run.start())
    found, position = [], 0
    for run in _TICKS.finditer(row):
        size = len(run[0])
        places = waiting[size]
        place = bisect_left(places, run.end())
        if run.start() >= position and place < len(places):
            position = places[place] + size
            found.append((run.start(), position))
    return found
