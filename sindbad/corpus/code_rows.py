"""Whether a conversation is about code: what HALA leaves out of Hermes-3 (papers §1a step 4), by our rule.

Code is known by how lines look (a fence, a definition, an include, statements that end in ";" or "{"), and a request by
a verb with a programming language and what is to be written in it. A language's name alone is nothing: Java is an
island, rust is on cars, and Swift wrote books. Covered: the languages that instruction data has. Not covered: code
inside of a sentence, pseudo-code in plain words, JSON and tables, which are text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

READ: Final = 20_000
"""Characters of a turn that are looked at."""
STATEMENTS: Final = 2
"""Lines that look like statements, in one turn, that make it code."""

_FENCE: Final = re.compile(r"^[ \t]*(?:`{3,}|~{3,})", re.M)
_DEFINITION: Final = re.compile(
    r"""^\h*+(?:
      \#include\h*[<"] | \#!/ | <\?php\b | <!DOCTYPE\h+html | <html\b | \\documentclass\b | using\h+namespace\h+\w+; |
      (?:async\h+)?def\h+\w+\h*\([^\n]{0,200}\)\h*(?:->[^\n:]{1,60})?: | class\h+\w+(?:\([^()\n]{0,80}\))?:\h*$ |
      (?:(?:export|default|async|local)\h+)*
        function(?:\h+(?:\[?[\w,\ ]{1,60}\]?\h*=\h*)?\w+\(|\h*\([^()\n]{0,200}\)\h*\{) |
      (?:(?:pub|private|suspend)\h+)*(?:fn|fun|func|sub)\h+\w+(?:<[^<>\n]{0,60}>)?(?:\(|\h*\{) |
      (?:(?:public|private|protected|internal|static|final|abstract|override)\h+)+(?:[\w<>\[\],]{1,40}\h+){0,3}\w+\( |
      (?:(?:public|static|final|abstract|data|sealed)\h+)*
        (?:class|interface|struct|enum|namespace|impl|trait)\h+[\w<>:,\ ]{1,60}\{ |
      (?:(?:unsigned|const)\h+)*(?:int|void|char|float|double|bool|string|long)\h*\**\h+\**\w+\([^()\n]{0,200}\)
        \h*(?:[{;]|$) |
      from\h+[\w.]+\h+import\h+(?:[*(]|\w+(?:(?:\h*,\h*|\h+as\h+)\w+)*\h*(?:$|[\#;])) |
      using\h+[A-Z][\w.]*; | package\h+[\w.]+; | package\h+main\h*$ |
      import\h+(?:java|javax|android|numpy|pandas|tensorflow|torch|random|re|os|sys|math|json|time)
        \h*(?:$|[;,.]|as\h) |
      (?:const|var|val)\h+[\w{},\[\]]{1,60}(?:\h*:\h*[\w<>\[\]]{1,40})?\h*=[^=] | let\h+mut\h+\w |
      for\h+\w+(?:\h*,\h*\w+)?\h+in\h+[\w.]+\([^\n]{0,200}\)\h*: | if\h+__name__\h*== |
      (?:System\.out|console)\.\w+\( | std::\w | (?:print|println|printf|echo|puts)\( | cout\h*<< |
      SELECT\h[^\n]{1,300}\n?\h*\bFROM\h | INSERT\h+INTO\h | CREATE\h+(?:TABLE|VIEW|INDEX|DATABASE)\h |
      DELETE\h+FROM\h | ALTER\h+TABLE\h | UPDATE\h+\w+\h+SET\h
    )""".replace(r"\h", r"[ \t]"),
    re.M | re.X,
)
_STATEMENT: Final = re.compile(
    r"""^\h*+(?:
      [\w.\[\]*&>-]+(?:\h+\w+)?\h*[-+*/|&]?=[^=\n][^\n]{0,300};\h*$ |
      (?:return|break|continue|throw)\b[^\n]{0,200};\h*$ |
      [\w.:>-]+\([^\n]{0,300}\);\h*$ | [^\n]{0,200}\)\h*\{\h*$ | (?:\}\h*)?else\b[^\n]{0,100}\{\h*$ | \}[);]*\h*$ |
      </?(?:div|head|body|script|style|table|form|ul|p|h[1-6]|input|button)\b[^<>\n]{0,200}>
    )""".replace(r"\h", r"[ \t]"),
    re.M | re.X,
)
_LANGUAGE: Final = (
    r"(?:python\d?|javascript|typescript|java(?!,|[ -](?:sea|island|coffee|man|war|trench|tiger))|c\+\+|c\#|sql|mysql|"
    r"html5?|css3?|golang|php|kotlin|matlab|haskell|powershell|bash|shell(?= script)|vba|node\.?js|jquery|latex|"
    r"(?-i:C(?![ -](?:major|minor|sharp|flat))|R(?!\.)|Go|Rust|Ruby|Swift|Scala|Perl|Lua|Dart|React|Django))(?![\w+#])"
)
_WORK: Final = (
    r"(?:codes?|functions?|scripts?|programs?|class(?:es)?|quer(?:y|ies)|methods?|snippets?|regex|algorithms?|modules?|"
    r"applications?|apis?|implementation|librar(?:y|ies)|packages?)"
)
_VERB: Final = (
    r"(?:write|create|implement|develop|design|build|code|generate|make|give|provide|show|fix|debug|optimi[sz]e|refactor|"
    r"rewrite|convert|complete|produce|need|want)"
)
_SAID_OF_IT: Final = r"(?: (?!(?:and|or|of|on|in|the|to|for|with)\b)[\w-]+){0,2}"
_TASK: Final = re.compile(
    rf"\b{_VERB}\b[^.?!\n]{{0,80}}(?<![\w+#])"
    rf"(?:{_LANGUAGE}{_SAID_OF_IT} {_WORK}\b|{_WORK}\b[^.?!\n]{{0,80}} (?:in|using|with) (?:the )?{_LANGUAGE})",
    re.I,
)


def about_code(turns: Iterable[tuple[str, str]]) -> bool:
    """Whether any of (role, content) holds code, or a user asks for some."""
    return any(holds_code(text) or (role == "user" and asks_for_code(text)) for role, text in turns)


def holds_code(text: str) -> bool:
    """By how its lines look."""
    read = text[:READ]
    if _FENCE.search(text) or _DEFINITION.search(read):
        return True
    return any(number >= STATEMENTS for number, _ in enumerate(_STATEMENT.finditer(read), start=1))


def asks_for_code(text: str) -> bool:
    """By a verb, a language, and what is to be written in it."""
    return _TASK.search(text[:2000]) is not None
