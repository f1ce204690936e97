"""The finished set on disk: Parquet, chat JSONL, dataset card, lineage. Appears whole or not at all.

A folder with ``trajectories/shard-*.parquet``, ``messages.jsonl``, ``messages_tools.jsonl``, ``README.md``,
``lineage.json`` and ``counts.json``. The Parquet holds ids and masks and is what ``sindbad train sft --data`` reads;
the JSONL files are the same segments for other trainers. Equal trajectories, counts and lineage give equal files, byte
for byte. Trajectories come from an iterator, a shard in memory at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from sindbad import __version__, atomic
from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.store import append, read
from sindbad.agent.trajectory import Trajectory
from sindbad.coldstart.card import Contents, card
from sindbad.coldstart.export import ChatStyle, records_in
from sindbad.coldstart.make import Counts
from sindbad.errors import InvalidInput
from sindbad.questions.question import Question
from sindbad.tools.environment import ToolSpec

TRAJECTORIES, MESSAGES, TOOL_MESSAGES = "trajectories", "messages.jsonl", "messages_tools.jsonl"
SHARD = 512
LINEAGE = "lineage.json"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a set comes from: enough to make it again, or to find what it was made of.

    Attributes:
        run: name of the run; ``teacher``: its identity (model, weight versions, agent, prompts).
        digests: SHA-256 of what was read, by role: "questions", "tests", "graph", "index".
        settings: of the cold start.
    """

    run: str
    teacher: Mapping[str, str]
    digests: Mapping[str, str]
    settings: Mapping[str, Any]
    version: str = __version__
    weight_versions: tuple[int, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "run": self.run,
            "sindbad": self.version,
            "teacher": dict(self.teacher),
            "weight_versions": list(self.weight_versions),
            "digests": dict(self.digests),
            "settings": dict(self.settings),
            **dict(self.extra),
        }


def write_dataset(
    folder: Path,
    trajectories: Iterable[Trajectory],
    counts: Counts,
    lineage: Lineage,
    tokenizer: ChatTokenizer,
    tools: Sequence[ToolSpec],
) -> Path:
    """Write the set, or replace an earlier one.

    Raises InvalidInput where nothing was kept (there is no empty set), and for a folder of something else.
    """
    atomic.check_replaceable(folder, LINEAGE)
    with atomic.new_dir(folder) as temporary:
        contents = _write_trajectories(temporary, trajectories, tokenizer, tools)
        if not contents.groups:
            raise InvalidInput(f"nothing was kept, so there is no set to write; {_why_nothing(counts)}")
        record = replace(lineage, weight_versions=tuple(sorted(contents.versions))).to_record()
        atomic.write_json(temporary / "counts.json", counts.to_record())
        atomic.write_json(temporary / LINEAGE, record)
        atomic.write_text(temporary / "README.md", card(contents, counts, record))
    return folder


def _why_nothing(counts: Counts) -> str:
    """What took everything, most of it first, with an attempt for each filter: the card that says so isn't written."""
    given_up = {**counts.refused, **counts.thought_faults}
    lost = {f"refused by {name}: {number:,} ({counts.filters.examples[name]})": number
            for name, number in counts.filters.refused.items()}  # fmt: skip
    lost |= {f"given up, {name}: {number:,}": number for name, number in given_up.items()}
    lost |= {f"removed, {name}: {number:,}": number for name, number in counts.decontamination.removed.items()}
    return "; ".join(sorted(lost, key=lambda text: -lost[text])) or "no attempt was made"


def _write_trajectories(
    folder: Path, trajectories: Iterable[Trajectory], tokenizer: ChatTokenizer, tools: Sequence[ToolSpec]
) -> Contents:
    contents = Contents()
    styles = {MESSAGES: ChatStyle.TEXT, TOOL_MESSAGES: ChatStyle.TOOLS}
    with ExitStack() as stack:
        files = [stack.enter_context((folder / name).open("w", encoding="utf-8")) for name in styles]
        for part in _parts(trajectories, SHARD):
            append(folder / TRAJECTORIES, part)
            for made in part:
                contents.add(made)
                for records in records_in(made, tokenizer, tools, tuple(styles.values())):
                    for file, record in zip(files, records, strict=True):
                        file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return contents


def read_dataset(folder: Path) -> Iterator[Trajectory]:
    """The trajectories of a set. Raises Corrupt."""
    return read(folder / TRAJECTORIES)


def digest_of_questions(questions: Iterable[Question]) -> str:
    """SHA-256 (hex) of questions in order."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(json.dumps(question.to_record(), ensure_ascii=False, sort_keys=True).encode())
    return digest.hexdigest()


def digest_of_path(path: Path) -> str:
    """SHA-256 (hex) of a file, or of every file of a folder with its name."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
    for file in files:
        digest.update(str(file.relative_to(path) if file != path else file.name).encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _parts(items: Iterable[Trajectory], size: int) -> Iterator[list[Trajectory]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
