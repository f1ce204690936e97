"""What the policy wrote, taken apart: a thought, then exactly one tool call or one answer.

Never raises on content: whatever a policy writes is data. Three outcomes besides a good turn, kept apart because the
papers treat them apart: *malformed* (a tool call that can't be carried out: answered by an error observation,
WebSailor-V2), *no action* (neither call nor answer: failure, ReSum Alg. 1), *format violation* (a required token such
as think is missing: the whole trajectory scores 0, ReSum §3.3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sindbad.agent.chat import IM_END, TAGS, Piece
from sindbad.tools.environment import ToolCall

_TAG_PATTERN = re.compile("|".join(re.escape(tag) for tag in (*TAGS, IM_END)))
_CODE_PATTERN = re.compile(r"<code>\n?(.*?)\n?</code>", re.DOTALL)
MAX_CALL_CHARACTERS = 20_000


class TurnKind(StrEnum):
    """What a turn asks for."""

    CALL = "call"
    ANSWER = "answer"
    MALFORMED = "malformed"
    NO_ACTION = "no_action"


@dataclass(frozen=True, slots=True)
class Turn:
    """A parsed assistant turn.

    ``raw_call`` is the call's text as written (also when malformed); ``reason`` says in a few words what is wrong with
    a malformed call; ``violations`` are the required tokens that were missing or misplaced ("think").
    """

    kind: TurnKind
    thought: str = ""
    call: ToolCall | None = None
    raw_call: str = ""
    answer: str | None = None
    reason: str = ""
    violations: tuple[str, ...] = ()


def split_tags(text: str) -> list[Piece]:
    """Pieces of a turn given as text (data sets, tests). Sampled turns use ``ChatTokenizer.pieces``: tags by id."""
    pieces: list[Piece] = []
    position = 0
    for match in _TAG_PATTERN.finditer(text):
        pieces += [Piece("", text[position : match.start()])] if match.start() > position else []
        pieces.append(Piece(match.group(), ""))
        position = match.end()
    return pieces + ([Piece("", text[position:])] if position < len(text) else [])


def parse_turn(turn: str | Sequence[Piece], *, thought_opened: bool = False) -> Turn:
    """Parse one assistant turn.

    Args:
        turn: the turn's pieces, or its text with tags written out.
        thought_opened: the prompt already ended in ``<think>``, as some models' templates do.
    """
    pieces = split_tags(turn) if isinstance(turn, str) else list(turn)
    pieces = [piece for piece in pieces if piece.tag not in {IM_END, "<|pad|>"}]
    if thought_opened:
        pieces.insert(0, Piece("<think>", ""))
    thought, rest, violations = _take_thought(pieces)
    calls, answers = _blocks(rest, "tool_call"), _blocks(rest, "answer")
    if len(answers) == 1 and not calls and answers[0].strip():
        return Turn(TurnKind.ANSWER, thought, answer=answers[0].strip(), violations=violations)
    if answers:
        return Turn(TurnKind.NO_ACTION, thought, reason=_answer_fault(answers, calls), violations=violations)
    if not calls and not _has(rest, "<tool_call>"):
        return Turn(TurnKind.NO_ACTION, thought, reason="neither a tool call nor an answer", violations=violations)
    return _with_call(thought, calls, violations)


def _answer_fault(answers: list[str], calls: list[str]) -> str:
    if calls:
        return "a tool call and an answer in one turn"
    return "more than one answer" if len(answers) > 1 else "the answer is empty"


def _with_call(thought: str, calls: list[str], violations: tuple[str, ...]) -> Turn:
    if len(calls) != 1:
        reason = "call is not closed" if not calls else "more than one call in a turn"
        return Turn(TurnKind.MALFORMED, thought, raw_call="\n".join(calls), reason=reason, violations=violations)
    call = parse_call(calls[0])
    if isinstance(call, str):
        return Turn(TurnKind.MALFORMED, thought, raw_call=calls[0], reason=call, violations=violations)
    return Turn(TurnKind.CALL, thought, call=call, raw_call=calls[0].strip(), violations=violations)


def parse_call(text: str) -> ToolCall | str:
    """Parse the inside of a tool_call block; a string says why it can't be carried out.

    Accepts arguments that are themselves a JSON string, and python code in ``<code>`` after the object (as the
    released inference code of Tongyi DeepResearch writes it).
    """
    if len(text) > MAX_CALL_CHARACTERS:
        return "call is too long"
    code = _CODE_PATTERN.search(text)
    body = text[: code.start()] if code else text
    try:
        value = _strict_json(body)
        arguments = value.get("arguments", {}) if isinstance(value, dict) else None
        arguments = _strict_json(arguments) if isinstance(arguments, str) and arguments.strip() else arguments
    except (ValueError, RecursionError):
        return "call is not valid JSON"
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        return "call has no name"
    if not isinstance(arguments, dict):
        return "arguments are not an object"
    return ToolCall(value["name"], {**arguments, "code": code.group(1)} if code else arguments)


def render_call(name: str, arguments: Mapping[str, Any]) -> str:
    """The canonical text of a call: what oracles write and models learn."""
    return json.dumps({"name": name, "arguments": dict(arguments)}, ensure_ascii=False)


def extract_summary(turn: str | Sequence[Piece]) -> str:
    """A summariser's reply without its thoughts: text inside summary tags, or the whole text when there are none.

    (ReSum's code: strip think, extract, re-wrap; the tags are put back when the next prompt is rendered.)
    An unclosed think block leaves nothing: a reply that was cut off while thinking holds no summary.
    """
    pieces = split_tags(turn) if isinstance(turn, str) else list(turn)
    spoken = _outside_thoughts(pieces)
    blocks = _blocks(spoken, "summary")
    if not blocks and _has(spoken, "<summary>"):
        opening = next(index for index, piece in enumerate(spoken) if piece.tag == "<summary>")
        blocks = ["".join(piece.text for piece in spoken[opening:])]
    return ("\n".join(blocks) if blocks else "".join(piece.text for piece in spoken)).strip()


def _outside_thoughts(pieces: Sequence[Piece]) -> list[Piece]:
    closings = [index for index, piece in enumerate(pieces) if piece.tag == "</think>"]
    if closings:
        return list(pieces[closings[-1] + 1 :])
    opening = next((index for index, piece in enumerate(pieces) if piece.tag == "<think>"), len(pieces))
    return list(pieces[:opening])


def _strict_json(text: str) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    value = json.loads(text, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate can't travel: UnicodeEncodeError
    return value


def _take_thought(pieces: Sequence[Piece]) -> tuple[str, Sequence[Piece], tuple[str, ...]]:
    """(thought, what follows, violations). Only whitespace may stand before the opening tag."""
    position = 1 if pieces and not pieces[0].tag and not pieces[0].text.strip() else 0
    closing = next((index for index, piece in enumerate(pieces) if piece.tag == "</think>"), None)
    opened = position < len(pieces) and pieces[position].tag == "<think>"
    if closing is None or not opened:
        return "", pieces, ("think",)
    inside = pieces[position + 1 : closing]
    stray = any(piece.tag for piece in inside)
    thought = "".join(piece.tag or piece.text for piece in inside).strip()
    return thought, pieces[closing + 1 :], ("think",) if stray else ()


def _blocks(pieces: Sequence[Piece], name: str) -> list[str]:
    """Texts of the closed ``<name>…</name>`` blocks, tags inside written out."""
    found: list[str] = []
    current: list[str] | None = None
    for piece in pieces:
        if piece.tag == f"<{name}>":
            current = []
        elif piece.tag == f"</{name}>" and current is not None:
            found.append("".join(current))
            current = None
        elif current is not None:
            current.append(piece.tag or piece.text)
    return found


def _has(pieces: Sequence[Piece], tag: str) -> bool:
    return any(piece.tag == tag for piece in pieces)
