"""Markdown documents that tests generate, and a translator that changes every word and nothing else."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from sindbad.translation.sentinels import SENTINEL

WORDS = st.sampled_from(
    ["the", "quick", "brown", "fox", "Über", "naïve", "3", "42", "don't", "(so)", "«yes»", "e.g.", "over", "a", "dog"]
)
PROSE = st.lists(WORDS, min_size=1, max_size=8).map(lambda words: " ".join(words) + ".")
CODE = st.text(alphabet="abc =(){}[]<>$%\\#*_\"'\n", max_size=30)
FORMS: dict[str, tuple[str, ...]] = {
    form: tuple(kept) or (form,)
    for form, *kept in (
        ["`see it`"], ["`` see ` it ``"],
        ["$x^2$"], ["\\(a+it\\)"], ["\\[a+it\\]"], ["$$it = x$$"], ["$\\frac{it}{2}$"], ["\\textbf{it}"],
        ["\\boxed{2^{it}}"], ["\\begin{cases} it & x \\end{cases}"],
        ["\\begin{cases} \\begin{cases} x \\end{cases} & it \\end{cases}"],
        ["https://x.org/a_(b)?c=d#e"], ["www.example.com/x"], ["s3://it/k"], ["github.com/it/b"], ["<https://it.org>"],
        ["me+it@d-e.org"], ["<me@it.org>"],
        ["[a link](https://x.org/it \"title\")", "](https://x.org/it \"title\")"], ["![alt text](it.png)", "](it.png)"],
        ["[ref text][ref]", "][ref]"],
        ["{name}"], ["{user name}"], ["{ x }"], ["{{ user }}"], ["{x.name!r}"], ["${PRICE}"], ["$HOME"], ["[[slot]]"],
        ["<placeholder>"], ["<your name>"], ["<EMAIL>"], ["<<SIX>>", "<SIX>"], ["[NAME]"], ["%(count)d"],
        ["%s"], ["%ld"], ["%@"], ["%-5d"], ["%02d"], ["%llu"], ["%zu"], ["%.2f"], ["%1$s"], ["{% if it %}"],
        ["<b class='k'>bold</b>", "<b class='k'>", "</b>"], ["<kbd>Ctrl</kbd>"], ["<code>x = it</code>"], ["<br/>"],
        ["<br>"], ["<img src='it.png' alt='it'/>"], ["<!-- note -->"], ["&amp;"],
        ["<|im_end|>"], ["<|im_start|>user"], ["<\\|im_end\\|>"], ["[INST]"], ["[/INST]"], ["[TOOL_CALLS]"],
        ["[AVAILABLE_TOOLS]"], ["[/TOOL_RESULTS]"], ["[SYSTEM_PROMPT]"], ["[UNK]"], ["[gMASK]"], ["[unused12]"],
        ["<0x0A>"], ["<|tool>"], ["<turn|>"], ["<start_of_turn>model"], ["<eos>"], ["<think>"], ["<extra_id_0>"],
        ["<｜User｜>"], ["<tool▁call▁begin>"],
        ["<tool_call>{\"it\": 1}</tool_call>"], ['{"key": "v", "n": [1, 2]}'],
        ['{"query": "two words \\n here", "deep": {"it": "x"}}', '{"query": "', '", "deep": {"it": "x"}}'],
        ["so[^it]", "[^it]"],
    )
}  # fmt: skip
"""Inline forms, and what of each a translation must hold."""
KEPT = frozenset(mark for marks in FORMS.values() for mark in marks if re.search("[^\\W\\d_abc]", mark))
"""Those with a letter that :data:`CODE` never holds: no accident puts one into a document."""
INLINE = st.one_of(
    PROSE,
    st.sampled_from(sorted(FORMS)),
    st.text(alphabet="abc $*_{}", min_size=1, max_size=8).filter(str.strip).map(lambda code: f"`{code}`"),
    st.just("``a ` b``"),
    st.sampled_from(["$5 and $6", r"$\frac{1}{2}$", "http://localhost:8080", "ftp://a.b/c", "{0}", "</s>"]),
    st.sampled_from(["$3$ and $1 + 2$", "$A-$B", "$x$y", "$n$th", "$a +\nb = c$", "5$,6$"]),
    st.sampled_from(["so[^1]", "-5", "{'tool': 'search', 'n': 1}", '{"a": "b", "c": "two words",}']),
    st.sampled_from(["⟦0⟧", "⟦ 12 ⟧", "⟦", "⟧", "**bold** and _it_", "1,234.5", "٣٤"]),
)
PARAGRAPH = st.lists(INLINE, min_size=1, max_size=5).map(" ".join)


def _fenced(parts: tuple[str, int, str]) -> str:
    mark, extra, code = parts
    longest = max((len(run) for run in re.findall(f"{mark}+", code)), default=0)
    fence = mark * (max(3, longest + 1) + extra)
    return f"{fence}python\n{code}\n{fence}"


def _table(rows: list[tuple[str, str]], frame: str) -> str:
    head = ["| one | two |", "|:---|---|"] if frame != "bare" else ["one | two", "---|---"]
    lines = [f"| {left} | {right} |" if frame != "bare" else f"{left} | {right}" for left, right in rows]
    return "\n".join(("> " if frame == "quoted" else "") + line for line in [*head, *lines])


CELL = st.lists(INLINE.map(lambda text: text.replace("\n", " ")), min_size=1, max_size=2).map(" ".join)
BLOCK = st.one_of(
    PARAGRAPH,
    st.tuples(
        st.lists(st.tuples(CELL, CELL), min_size=1, max_size=3), st.sampled_from(["piped", "bare", "quoted"])
    ).map(lambda pair: _table(*pair)),
    st.tuples(st.integers(1, 6), PROSE).map(lambda pair: f"{'#' * pair[0]} {pair[1]}"),
    st.lists(PARAGRAPH, min_size=1, max_size=3).map(lambda items: "\n".join(f"- {item}" for item in items)),
    st.lists(PARAGRAPH, min_size=1, max_size=3).map(lambda items: "\n".join(map("{}. {}".format, range(1, 9), items))),
    st.lists(PARAGRAPH, min_size=1, max_size=3).map(lambda lines: "\n".join(f"> {line}" for line in lines)),
    st.tuples(st.sampled_from("`~"), st.integers(0, 2), CODE).map(_fenced),
    CODE.filter(str.strip).map(lambda code: "\n".join(f"    {line}" for line in code.split("\n"))),
    st.tuples(PROSE, PROSE).map(lambda cells: f"| {cells[0]} | b \\| c |\n|:---|---|\n| {cells[1]} | `x` |"),
    st.sampled_from(["- [x] done", "[^1]: note", "[^a]: a note"]),
    st.just("| a | b |\n|---|---|\n| `x|y` | ``a`|b`` c |\n| d ` e | f ` g |"),
    st.just("$$\nx = y\n\n- z\n$$"),
    st.just("\\begin{aligned}\na &= b \\\\\n    c\n\\end{aligned}"),
    st.just('{\n  "tool": "search",\n  "query": "what is it like",\n  "n": 3\n}'),
    st.sampled_from(["<code>\nx y\n\n- z\n</code>", "Run: <code>\nx y\n\nz\n</code>"]),
    st.just("<div class=\"a\">\nHello world\n</div>"),
    st.just("<tool_call>\n{\"name\": \"x\",\n\n \"arguments\": {}}\n</tool_call>"),
    st.sampled_from(["---", "[ref]: https://a.b 'T'", "Setext\n===", "- [ ] open\n  more\n\n  > deep"]),
)  # fmt: skip
MARKDOWN = st.tuples(
    st.lists(BLOCK, max_size=6), st.sampled_from(["\n\n", "\n", "\r\n\r\n", "\n\n\n"]), st.sampled_from(["", "\n", " "])
).map(lambda parts: parts[1].join(parts[0]) + parts[2])

_LETTERS = re.compile(r"[^\W\d_]+")


def pseudo_arabic(text: str) -> str:
    """Every word outside sentinels in Arabic letters, one for one: what a faithful translator does to structure."""
    parts, position = [], 0
    for mark in SENTINEL.finditer(text):
        parts += [_worded(text[position : mark.start()]), mark[0]]
        position = mark.end()
    return "".join([*parts, _worded(text[position:])])


def _worded(text: str) -> str:
    return _LETTERS.sub(
        lambda match: "".join("ابتثجحخدذرزسشصضطظعغفقكلمنهوي"[ord(char) % 28] for char in match[0]), text
    )
