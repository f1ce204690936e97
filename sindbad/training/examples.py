"""Supervised examples: token ids and where the loss is. Only what the assistant wrote is trained on.

Three sources: trajectories (each segment is one example, its own ids, never re-tokenised), prompt/completion pairs
(one user turn and one assistant turn) and whole conversations; no text can ever become a special token.

A conversation is plain ChatML, the format of LFM2 and Qwen, whatever template the folder carries (a template's own
additions, a default system turn or an empty thought, are not)::

    <|startoftext|><|im_start|>system\n…<|im_end|>\n<|im_start|>user\n…<|im_end|>\n<|im_start|>assistant\n[…<|im_end|>]\n…

Loss is on the brackets of every assistant turn, a greeting that opens the conversation included; what follows the last
of them is cut off. A user turn and its answer alone give the very ids of a pair. A tokenizer without ChatML's tokens is
refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.agent.trajectory import Trajectory
from sindbad.corpus.records import ROLES
from sindbad.errors import InvalidInput
from sindbad.textfiles import json_lines

Conversation = Sequence[tuple[str, str]]
"""(role, content) in order; roles are system, user, assistant."""


@dataclass(frozen=True, slots=True)
class Example:
    """``loss_mask`` aligns with ``input_ids``: 1 on what the assistant wrote, its end-of-turn token included."""

    input_ids: tuple[int, ...]
    loss_mask: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.input_ids)


def examples_of_trajectories(trajectories: Iterable[Trajectory], *, max_length: int | None = None) -> Iterator[Example]:
    """One example a segment. Segments without trained tokens, or longer than ``max_length``, are left out."""
    for trajectory in trajectories:
        for segment in trajectory.segments:
            ids = (*segment.prompt_ids, *segment.token_ids)
            if any(segment.loss_mask) and (max_length is None or len(ids) <= max_length):
                yield Example(ids, (0,) * len(segment.prompt_ids) + tuple(segment.loss_mask))


def examples_of_pairs(tokenizer: Any, pairs: Iterable[tuple[str, str]]) -> Iterator[Example]:
    """One user turn and the assistant's answer each, rendered exactly as inference renders it (papers §4 test 6)."""
    from sindbad.agent.chat import plain_chat, user_turn_ids

    chat = plain_chat(tokenizer)
    for prompt, completion in pairs:
        before = user_turn_ids(tokenizer, prompt)
        written = [*chat.encode_text(completion), chat.end_of_turn_id]
        yield Example((*before, *written), (0,) * len(before) + (1,) * len(written))


def examples_of_conversations(
    tokenizer: Any, conversations: Iterable[Conversation], *, max_length: int | None = None
) -> Iterator[Example]:
    """One example a conversation, loss on every assistant turn; see the module for the format.

    A conversation longer than ``max_length`` ends with the last assistant turn that fits; where not even the first one
    does, it is given as far as that one, for the trainer to count and leave out. Without an assistant turn there is
    nothing to learn, and no example.

    Raises:
        InvalidInput: the tokenizer has no ChatML tokens.
    """
    from sindbad.agent.chat import plain_chat

    chat = plain_chat(tokenizer)
    for turns in conversations:
        encoded = [(role, chat.encode_text(text)) for role, text in turns]
        ids: list[int] = []
        mask: list[int] = []
        for number, (role, body) in enumerate(encoded):
            if role != "assistant":
                continue
            before = chat.dialogue(encoded[:number])  # begins with all of ids: a rendering only ever grows
            written = [*body, chat.end_of_turn_id]
            if ids and max_length is not None and len(before) + len(written) > max_length:
                break
            mask += [0] * (len(before) - len(ids)) + [1] * len(written)
            ids = [*before, *written]
        if ids:
            yield Example(tuple(ids), tuple(mask))


def of_pair(prompt: str, completion: str) -> Conversation:
    """A pair as a conversation."""
    return (("user", prompt), ("assistant", completion))


def read_conversations(path: Path) -> Iterator[Conversation]:
    """Every line of a JSONL file (also .gz): {"prompt", "completion"}, or {"messages": [{"role", "content"}, …]}.

    Raises InvalidInput naming the line that is neither, or one of a cold-start set: its tags are tokens and its mask is
    its own, which only its trajectories hold.
    """
    for number, row in json_lines(path):
        try:
            if any("train" in turn or turn.get("tool_calls") for turn in row.get("messages", ())):
                raise InvalidInput(
                    f"{path}:{number} is a row of tool calls or of a cold-start set; give the folder of trajectories"
                )
            if "messages" in row:
                turns = tuple((str(turn["role"]), _text(turn, "content")) for turn in row["messages"])
            else:
                turns = tuple(of_pair(_text(row, "prompt"), _text(row, "completion")))
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidInput(
                f'{path}:{number} is neither {{"prompt": …, "completion": …}} nor {{"messages": […]}}: {error!r}'
            ) from error
        if unknown := {role for role, _ in turns} - set(ROLES):
            raise InvalidInput(
                f"{path}:{number} has the unknown role {sorted(unknown)[0]!r}; known: {', '.join(ROLES)}"
            )
        yield turns


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Prompt and completion of every line of a JSONL file (also .gz). Raises InvalidInput naming the line that is not a
    pair."""
    for number, row in json_lines(path):
        try:
            yield _text(row, "prompt"), _text(row, "completion")
        except (KeyError, TypeError) as error:
            raise InvalidInput(f'{path}:{number} is not {{"prompt": …, "completion": …}}: {error!r}') from error


def _text(row: Mapping[str, Any], key: str) -> str:
    """Raises KeyError, or TypeError for a null, which is no text and would be trained on as "None"."""
    if row[key] is None:
        raise TypeError(f"{key} is null")
    return str(row[key])
