"""Protected spans inside one stretch of prose: code, math, links, tags, placeholders, names, numbers.

One pass from left to right; at each place the first alternative that fits wins. Every search for a closing mark is
either answered by an index or remembered when it fails, and every repetition in a pattern is possessive or bounded:
the time is linear in the text, whatever it holds.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from sindbad.translation.blocks import JsonReader, environments
from sindbad.translation.glossary import Glossary
from sindbad.translation.json_spans import json_pieces
from sindbad.translation.kinds import SpanKind
from sindbad.translation.sentinels import CLOSE, OPEN, SENTINEL

NUMBER = r"(?<![\w.])[0-9٠-٩]+(?:[.,٫٬:/-][0-9٠-٩]+)*%?(?!\w)"
_TAG = r"</?[A-Za-z](?:[^<>\"']|\"[^\"]{0,1000}\"|'[^'\n]{0,1000}'){0,300}+>"
VERBATIM_TAGS = frozenset({"pre", "code", "script", "style", "kbd", "samp", "tt", "math", "svg", "textarea"})
_VOID_TAGS = frozenset({"br", "hr", "img", "input", "link", "meta", "area", "base", "col", "embed", "source", "wbr"})
HTML_TAGS = frozenset(
    """a abbr address article aside audio b bdi bdo big blockquote body button canvas caption center cite colgroup data
    datalist dd del details dfn dialog div dl dt em fieldset figcaption figure font footer form h1 h2 h3 h4 h5 h6 head
    header html i iframe ins label legend li main map mark menu meter nav noscript object ol optgroup option output p
    param picture progress q rp rt ruby s section select slot small span strike strong sub summary sup table tbody td
    template tfoot th thead time title tr u ul var video think answer tool_response tools""".split()  # noqa: SIM905
) | (VERBATIM_TAGS | _VOID_TAGS)

_BRACES = r"\{[^{}\n]{0,200}+\}"
for _ in range(3):  # \boxed{\frac{1}{2^{10}}}
    _BRACES = rf"\{{[^{{}}\n]{{0,200}}+(?:{_BRACES}[^{{}}\n]{{0,200}}+){{0,20}}+\}}"
"""A command's argument, its own braces balanced, four deep."""
_ROLE = r"(?:system|user|assistant|tool|model|developer|function|ipython)\b"
_BRACKETED = r"INST|MASK|[gs]MASK|CLS|SEP|PAD|UNK|BOS|EOS|unused[0-9]{1,4}|[A-Z][A-Z0-9]{0,19}(?:_[A-Z0-9]{1,20}){1,5}"
"""Tokens in square brackets: BERT's, GLM's, Mistral's ([TOOL_CALLS]); words that _ joins are no prose."""
_TARGET = r"\([^()\s]{1,200}\)"
"""Behind a bracket: it ends a link's text."""
_CONVERSION = r"(?:(?:hh?|ll?|[zjtLq])?[diuoxXeEfFgG]|[scp@])"
"""The end of a conversion: of C's printf with its lengths, and of Apple's formats."""
_DOMAIN = (
    r"(?:[A-Za-z0-9-]{1,63}\.){1,5}(?:com|org|net|edu|gov|int|io|dev|ai|app|co|me|info|tv|xyz|uk|de|fr|jp|cn|ru|eu|sa|ae|eg)"
    r"|(?:youtu\.be|bit\.ly|goo\.gl)"
)
_WORD = r"(?:\"[!#-\[\]-~]{0,80}\"|'[!-&(-\[\]-~]{0,80}')"
_ONE_WORD = (
    rf"(?:{_WORD}|\[[ ]{{0,2}}{_WORD}(?:,[ ]{{0,2}}{_WORD}){{0,30}}[ ]{{0,2}}\]|(?:true|false|null|True|False|None)\b)"
    r"(?=[ \t]{0,4}(?:[,}\]]|(?m:$)))"
)
"""What is no prose behind a key: a word, as in :mod:`sindbad.translation.json_spans`, a list of them, a constant."""

# (name of the alternative, pattern). Order decides between those that begin at one place.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("sentinel", rf"{SENTINEL.pattern.replace('(', '(?:')}|[{OPEN}{CLOSE}]"),
    ("escape", r"\\[\\`$*_{}#+.!|<>~\"'-]"),
    ("ticks", r"`+"),
    ("display", r"\$\$|\\\[|\\\(|\\begin\{(?P<env>[^{}\n]{1,80})\}"),
    ("dollar", r"\$(?=[^\s$])"),
    ("command", rf"\\[A-Za-z]{{2,24}}\*?(?:\[[^\[\]\n]{{0,80}}\])?(?:{_BRACES}){{1,4}}"),
    ("autolink", r"<(?:https?|ftp|mailto):[^\s<>]{1,2000}+>"),
    ("url", r"(?:\b(?:(?:https?|[A-Za-z][A-Za-z0-9+-]{1,15}(?<!-http)(?<!-https))://|www\.(?=[\w-]{1,63}\.))"
            rf"|(?<![\w@/.:-])(?:{_DOMAIN})/(?=[\w~#?%@-]))[^\s<>\"'`|،؛؟⟦⟧]++"),
    ("email", r"(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+"),
    ("comment", r"<!--|<!\[CDATA\[|<\?(?=[a-z])"),
    ("special", rf"(?:<\|(?:im_start|start_header_id|start)\|>|<start_of_turn>|<\|turn>){_ROLE}"
                r"|<\|channel(?:\|>(?:analysis|commentary|final)|>thought)\b|<｜tool▁call▁begin｜>function(?=<｜)"
                r"|<\|[^|<>\n]{1,60}\|>|<\\\|[^|<>\n]{1,60}\|>|<｜[^｜<>\n]{1,60}｜>|<\|[\w/\"-]{1,40}>|<[\w/\"-]{1,40}\|>"
                rf"|<</?SYS>>|\[/?(?:{_BRACKETED})\](?!{_TARGET})|<0x[0-9A-Fa-f]{{2}}>"
                r"|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk|mask)>"),
    ("tool", r"<tool_call>"),
    ("tag", _TAG),
    ("entity", r"&(?:[A-Za-z]{2,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});"),
    ("anchor", r"\{/\*[^*{}\n]{0,300}\*/\}|\{#[\w-]{1,200}\}"),
    ("task", r"(?m:^)\[[ xX]\](?=[ \t]|(?m:$))"),
    ("footnote", r"(?m:^)\[\^[^\[\]\s]{1,80}\]:|\[\^[^\[\]\s]{1,80}\]"),
    ("jinja", r"\{%[^{}\n]{1,200}%\}|<%[^<>\n]{1,200}%>"),
    ("placeholder", r"\{\{[^{}\n]{1,200}\}\}|\[\[[^\[\]\n]{1,200}\]\]"
                    r"|\$?\{[A-Za-z_][\w.\[\]-]{0,80}(?:![rsa])?(?::[^{}\n\s]{0,20})?\}|%\([\w.]{1,80}\)[-+0-9.]{0,6}[a-z]|\$[A-Za-z_]\w*"
                    r"|\{[ ]{0,2}[A-Za-z_][\w-]{0,19}(?:[ ][A-Za-z_][\w-]{0,19}){0,2}[ ]{0,2}\}"
                    r"|\{[0-9]{1,3}(?::[^{}\n\s]{0,20})?\}|%[0-9]{1,2}\$"
                    rf"{_CONVERSION}|\[/?[A-Z][A-Z0-9]{{2,40}}\](?!{_TARGET}|\[(?![A-Z]))"),
    ("positional", rf"%[-+0#]{{0,2}}[0-9]{{0,3}}(?:\.[0-9]{{1,3}})?{_CONVERSION}(?![A-Za-zÀ-ɏ0-9_])|\{{\}}"),
    ("json", r"\{(?=\s{0,200}\")|\[(?=\s{0,200}[{\[\"])"),
    ("key", r"(?m:(?:^|(?<=[{,]))[ \t]{0,40})(?:\"[A-Za-z_$][\w$.-]{0,80}\"|'[A-Za-z_$][\w$.-]{0,80}')"
            rf"[ \t]{{0,4}}:(?:[ \t]{{0,4}}{_ONE_WORD})?"),
    ("bracket", r"!?\["),
    ("link", r"\](?:\((?:<[^<>\n]{0,2000}>|(?:[^()\s\\]|\\.|\([^()\s]{0,500}\)){0,2000}+)"
             r"(?:\s{1,20}(?:\"[^\"]{0,500}\"|'[^'\n]{0,500}'))?\s{0,20}\)|\[[^\[\]\n]{0,200}\]|:(?=[ \t]{1,20}\S))?"),
)  # fmt: skip
_TRIGGER = re.compile(rf"[{OPEN}{CLOSE}\\`$<&{{}}%\[\]@]|://|www\.|[\"'][ \t]{{0,4}}:|\.[a-z]{{2,4}}/")
"""Every alternative but numbers and names holds one of these: without any, the long pattern cannot match."""
_NUMBERS = re.compile(NUMBER)
_ENDS = {"$$": "$$", "\\[": "\\]", "\\(": "\\)", "<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"}


_URL_BEGINNING = re.compile(r"(?!www\.)(?:[\w+-]+://|[\w.-]+/)")
_FORMULA = re.compile(r"[\\^_={}]|\d[A-Za-z]\b")
_PROSE = re.compile(r"\b[A-Za-z]{3,}\s+[A-Za-z]{2,}\b")
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w{0,80}\})")
_FIGURES = re.compile(r"\.?\d(?:[\d.,+*/^=<>() -]*[\d)])?")
"""Inside dollars, a formula of figures alone; "5 and" or "1.50 - " between two prices is none."""
_OPERATOR = re.compile(r"[+\-*/=<>|±×÷≤≥≠≈∈]{1,2}")
_WRAPPED = re.compile(r"[\\^_={}+<>*/-]")
_SUFFIX = re.compile(r"(?:th|st|nd|rd|s|es)\b")
_GLUED = re.compile(r"[A-Za-z_{]")
_TEX = re.compile(r"[\\^]")


@dataclass(frozen=True, slots=True)
class Found:
    """A protected span at [start, end) of the stretch. ``block`` and ``role`` as in ``kinds.Span``."""

    start: int
    end: int
    kind: SpanKind
    role: str = ""
    block: bool = False


_JSON_ESCAPE = r"\\(?:u[0-9A-Fa-f]{4}|.)"


@lru_cache(maxsize=64)
def _scanner(glossary: Glossary, escapes: bool) -> re.Pattern[str]:
    names = [f"(?P<name>{glossary.pattern.pattern})"] if glossary.pattern else []
    patterns = [(name, _JSON_ESCAPE if escapes and name == "escape" else pattern) for name, pattern in _PATTERNS]
    fixed = [f"(?P<{name}>{pattern})" for name, pattern in patterns]
    return re.compile("|".join([*fixed, *names, f"(?P<number>{NUMBER})"]))


@dataclass(slots=True)
class Inline:
    """The scan of one stretch. ``escapes`` says that it stands inside a JSON string."""

    text: str
    glossary: Glossary
    escapes: bool = False
    reader: JsonReader = field(init=False)
    found: list[Found] = field(default_factory=list)
    _brackets: list[tuple[int, int]] = field(default_factory=list)
    _absent: set[str] = field(default_factory=set)
    _ticks: dict[int, list[int]] | None = None
    _environments: dict[int, int] | None = None
    _lower: str | None = None

    def __post_init__(self) -> None:
        self.reader = JsonReader(self.text)

    def scan(self) -> list[Found]:
        """All spans, disjoint, from left to right."""
        if not self.glossary and not _TRIGGER.search(self.text):
            return [Found(match.start(), match.end(), SpanKind.NUMBER) for match in _NUMBERS.finditer(self.text)]
        scanner, position = _scanner(self.glossary, self.escapes), 0
        while match := scanner.search(self.text, position):
            name = match.lastgroup if match.lastgroup != "env" else "display"
            assert name is not None
            end = _HANDLERS[name](self, match)
            position = end if end is not None and end > match.start() else self._past(match)
        return sorted(self.found, key=lambda span: span.start)

    def _past(self, match: re.Match[str]) -> int:
        """Where to go on when ``match`` turned out to be nothing: no closer, no pair."""
        name = match.lastgroup
        return match.end() if name in ("ticks", "escape", "bracket", "link") else match.start() + 1

    # -- handlers: the end of what was found, or None ------------------------------------------------------------------

    def _add(self, start: int, end: int, kind: SpanKind, role: str = "") -> int:
        self.found.append(Found(start, end, kind, role))
        return end

    def _until(self, closer: str, start: int) -> int | None:
        """End of the next ``closer``; a failure is remembered, since from further on it would fail too."""
        if closer in self._absent:
            return None
        at = self.text.find(closer, start)
        if at < 0:
            self._absent.add(closer)
            return None
        return at + len(closer)

    def _escape(self, match: re.Match[str]) -> int | None:
        if self.escapes:
            return self._add(match.start(), match.end(), SpanKind.JSON)
        return match.end()

    def _code(self, match: re.Match[str]) -> int | None:
        if self._ticks is None:
            self._ticks = {}
            for run in re.finditer(r"`+", self.text):
                self._ticks.setdefault(len(run[0]), []).append(run.start())
        size = len(match[0])
        places = self._ticks.get(size, [])
        place = bisect_left(places, match.end())
        return self._add(match.start(), places[place] + size, SpanKind.CODE) if place < len(places) else None

    def _display(self, match: re.Match[str]) -> int | None:
        if match["env"] is not None:
            return self._environment(match)
        end = self._until(_ENDS[match[0]], match.end())
        return self._add(match.start(), end, SpanKind.MATH) if end is not None else None

    def _environment(self, match: re.Match[str]) -> int:
        """All of it, those inside it included; by itself what begins one that has no end here."""
        if self._environments is None:
            self._environments = environments(self.text)
        return self._add(match.start(), self._environments.get(match.start(), match.end()), SpanKind.MATH)

    def _dollar(self, match: re.Match[str]) -> int | None:
        """``$x$``, else ``$VARIABLE``, else a price."""
        closing = self._until("$", match.end())
        if closing is not None and self._formula(self.text[match.end() : closing - 1], match.start(), closing):
            return self._add(match.start(), closing, SpanKind.MATH)
        return self._variable(match)

    def _formula(self, inner: str, start: int, end: int) -> bool:
        """Whether [start, end) is math: as Pandoc reads it (no blank inside either dollar, no digit after the second),
        with one line break at most, and neither two variables (``$A-$B``) nor two prices (``$5 and $6``)."""
        after = self.text[end : end + 1]
        if not inner or inner[-1].isspace() or inner[-1] == "\\" or after.isdigit():
            return False
        if _GLUED.match(after) and not (self._suffix(inner, end) or _TEX.search(inner)):
            return False
        if "\n" in inner and not _wrapped(inner):
            return False
        if inner[0].isdigit() or (inner[0] in ".," and inner[1:2].isdigit()):
            figures = _FIGURES.fullmatch(inner) and not self.text[start - 1 : start].isalnum()
            return bool(
                figures or (inner[-1] not in "=+*/<>,(-" and _FORMULA.search(inner) and not _PROSE.search(inner))
            )
        return any(map(str.isalnum, inner)) or bool(after != "$" and _OPERATOR.fullmatch(inner))

    def _suffix(self, inner: str, end: int) -> bool:
        """Whether a letter after the dollar is that of ``$n$th`` or ``$f(x)$is``, not of another variable."""
        called = inner[-1] == ")" and inner[0] != "("
        return called or bool(inner[-1].isalnum() and _SUFFIX.match(self.text, end))

    def _variable(self, match: re.Match[str]) -> int | None:
        name = _VARIABLE.match(self.text, match.start())
        return self._add(match.start(), name.end(), SpanKind.PLACEHOLDER) if name else None

    def _url(self, match: re.Match[str]) -> int | None:
        start, end = match.start(), match.end()
        while end > start and (self.text[end - 1] in ".,;:!?*_~…" or self._unbalanced(start, end)):
            end -= 1
        beginning = _URL_BEGINNING.match(match[0])
        least = beginning.end() if beginning else 7
        return self._add(start, end, SpanKind.URL) if end - start > least else None

    def _unbalanced(self, start: int, end: int) -> bool:
        last = self.text[end - 1]
        if last not in ")]}":
            return False
        opening = {")": "(", "]": "[", "}": "{"}[last]
        tail = self.text[max(start, end - 2000) : end]
        return tail.count(last) > tail.count(opening)

    def _email(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.EMAIL)

    def _autolink(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.URL)

    def _comment(self, match: re.Match[str]) -> int | None:
        end = self._until(_ENDS[match[0]], match.end())
        return self._add(match.start(), end, SpanKind.MARKUP) if end is not None else None

    def _special(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.SPECIAL)

    def _tool(self, match: re.Match[str]) -> int | None:
        end = self._until("</tool_call>", match.end())
        if end is None:
            return self._add(match.start(), match.end(), SpanKind.MARKUP)
        return self._add(match.start(), end, SpanKind.TOOL_CALL)

    def _tag(self, match: re.Match[str]) -> int | None:
        inner = match[0][1:-1]
        words = re.match(r"/?([A-Za-z][\w:.-]*)", inner)
        name = words[1].lower() if words else ""
        if name in HTML_TAGS or "=" in inner or inner.endswith("/") or inner.startswith("/"):
            return self._html(match, name)
        if "\n" in inner or len(inner) > 60 or not re.fullmatch(r"[\w][\w▁ .:/'-]*", inner):
            return None
        return self._add(match.start(), match.end(), SpanKind.PLACEHOLDER)

    def _html(self, match: re.Match[str], name: str) -> int | None:
        closing, empty = match[0].startswith("</"), match[0].endswith("/>")
        if name in VERBATIM_TAGS and not closing and not empty:
            end = self._closing_tag(name, match.end())
            if end is not None:
                return self._add(match.start(), end, SpanKind.CODE)
        role = "" if empty or name in _VOID_TAGS else "close" if closing else "open"
        return self._add(match.start(), match.end(), SpanKind.MARKUP, role)

    def _closing_tag(self, name: str, start: int) -> int | None:
        if name in self._absent:
            return None
        if self._lower is None:
            lower = self.text.lower()
            self._lower = lower if len(lower) == len(self.text) else self.text
        at = self._lower.find(f"</{name}", start)
        end = self.text.find(">", at) if at >= 0 else -1
        if end < 0:
            self._absent.add(name)
            return None
        return end + 1

    def _markup(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.MARKUP)

    def _task(self, match: re.Match[str]) -> int | None:
        return self._mark(match, True)

    def _footnote(self, match: re.Match[str]) -> int | None:
        """A note's mark in the text, or, at the beginning of a line, the mark of the note itself."""
        return self._mark(match, match[0].endswith(":"))

    def _mark(self, match: re.Match[str], block: bool) -> int:
        """Structure, unless it stands inside a JSON string, which is one segment."""
        kind = SpanKind.MARK if block else SpanKind.MARKUP
        self.found.append(Found(match.start(), match.end(), kind, block=block and not self.escapes))
        return match.end()

    def _placeholder(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.PLACEHOLDER)

    def _positional(self, match: re.Match[str]) -> int | None:
        before = self.text[match.start() - 1 : match.start()]
        if match[0].startswith("%") and (before.isdigit() or before == "%"):
            return None
        return self._add(match.start(), match.end(), SpanKind.PLACEHOLDER, "positional")

    def _json(self, match: re.Match[str]) -> int | None:
        end = self.reader.end(match.start())
        if end is None:
            return self._bracket(match) if match[0] == "[" else None
        pieces = json_pieces(self.text, match.start(), end)
        prose = len(pieces) > 1
        for start, stop in pieces:
            self.found.append(Found(start, stop, SpanKind.JSON, "", prose))
        for (_, left), (right, _) in itertools.pairwise(pieces):
            self._value(left, right)
        return end

    def _value(self, start: int, end: int) -> None:
        """The prose inside a JSON string: scanned like any other, its escapes protected."""
        for span in Inline(self.text[start:end], self.glossary, escapes=True).scan():
            self.found.append(Found(span.start + start, span.end + start, span.kind, span.role, span.block))

    def _key(self, match: re.Match[str]) -> int | None:
        if self.escapes:
            return None
        return self._add(match.start(), match.end(), SpanKind.JSON)

    def _bracket(self, match: re.Match[str]) -> int | None:
        self._brackets.append((match.start(), match.end()))
        return match.end()

    def _link(self, match: re.Match[str]) -> int | None:
        """The end of a bracket. Before ``(…)`` or ``[…]`` it ends a link, and its beginning is one half of a pair."""
        opening = self._brackets.pop() if self._brackets else None
        if opening is None or len(match[0]) == 1:
            return match.start() + 1
        if match[0] == "]:" and opening[0] != 0:
            return match.start() + 1
        self.found.append(Found(*opening, SpanKind.LINK, "open"))
        return self._add(match.start(), match.end(), SpanKind.LINK, "close")

    def _sentinel(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.SENTINEL)

    def _name(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.NAME)

    def _number(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.NUMBER)

    def _command(self, match: re.Match[str]) -> int | None:
        return self._add(match.start(), match.end(), SpanKind.MATH)


def _wrapped(inner: str) -> bool:
    """Whether what two dollars enclose over a line's end is a formula: an operator in it, and no sentence."""
    if inner.count("\n") > 1:
        return False
    return "\\" in inner or bool(_WRAPPED.search(inner) and not _PROSE.search(inner))


_HANDLERS: dict[str, Callable[[Inline, re.Match[str]], int | None]] = {
    "sentinel": Inline._sentinel,
    "escape": Inline._escape,
    "ticks": Inline._code,
    "display": Inline._display,
    "dollar": Inline._dollar,
    "command": Inline._command,
    "autolink": Inline._autolink,
    "url": Inline._url,
    "email": Inline._email,
    "comment": Inline._comment,
    "special": Inline._special,
    "tool": Inline._tool,
    "tag": Inline._tag,
    "entity": Inline._markup,
    "anchor": Inline._markup,
    "task": Inline._task,
    "footnote": Inline._footnote,
    "jinja": Inline._placeholder,
    "placeholder": Inline._placeholder,
    "positional": Inline._positional,
    "json": Inline._json,
    "key": Inline._key,
    "bracket": Inline._bracket,
    "link": Inline._link,
    "name": Inline._name,
    "number": Inline._number,
}


def scan(text: str, glossary: Glossary) -> Iterator[Found]:
    """Spans of one stretch that do not lie within one another."""
    end = 0
    for span in Inline(text, glossary).scan():
        if span.start >= end:
            yield span
            end = span.end
