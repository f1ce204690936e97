"""Supervised examples: token ids and where the loss is. Only what the assistant wrote is trained on.

Two sources: trajectories (each segment is one example, its own ids, never re-tokenised) and prompt/completion pairs
(one user turn and one assistant turn; the text of a pair can never become a special token).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sindbad.agent.trajectory import Trajectory
from sindbad.errors import InvalidInput


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


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Prompt and completion of every line of a JSONL file. Raises InvalidInput naming the line that is not a pair."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                yield str(record["prompt"]), str(record["completion"])
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidInput(f'{path}:{number} is not {{"prompt": …, "completion": …}}: {error!r}') from error
