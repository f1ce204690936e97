"""What ``sindbad train sft`` reads: trajectories, an exported data set, or JSONL; told apart by what is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sindbad.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sindbad.training.examples import Conversation, Example


def read_examples(model_dir: Path, data: Path, max_length: int | None) -> Sequence[Example]:
    """Everything there is to train on in ``data``.

    Args:
        data: a folder of trajectory shards (or of folders of them), a folder that `sindbad corpus export` wrote or one
            of its ``data`` files, or JSONL of {prompt, completion} or {messages}.

    Raises:
        InvalidInput: a folder or file that is none of these, or that holds nothing.
    """
    from sindbad.agent.store import read
    from sindbad.training.examples import examples_of_conversations, examples_of_trajectories

    if folders := trajectory_folders(data):
        found = list(examples_of_trajectories(item for folder in folders for item in read(folder)))
    else:
        from transformers import AutoTokenizer

        conversations = _conversations(data)
        tokenizer = AutoTokenizer.from_pretrained(str(model_dir), local_files_only=True)
        found = list(examples_of_conversations(tokenizer, conversations, max_length=max_length))
    if not found:
        raise InvalidInput(f"{data} holds nothing to train on")
    return found


def trajectory_folders(data: Path) -> list[Path]:
    """``data`` if it holds trajectory shards, else the folders in it that do, in the order of their names."""
    from sindbad.agent.store import shards

    if not data.is_dir():
        return []
    return [data] if shards(data) else sorted(one for one in data.iterdir() if one.is_dir() and shards(one))


def _conversations(data: Path) -> Iterable[Conversation]:
    from sindbad.corpus import exported
    from sindbad.training.examples import read_conversations

    if data.is_dir() and exported.export_of(data) is None:
        raise InvalidInput(
            f"{data} holds neither trajectories (shard-*.parquet) nor an exported data set (lineage.json and "
            "data/*.parquet); give one of these, or a JSONL file of prompt and completion or of messages"
        )
    if data.is_dir() or data.suffix == ".parquet":
        return (translated for translated, _ in exported.read_conversations(data))
    return read_conversations(data)
