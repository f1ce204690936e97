"""What a job gives away: a Hugging Face data set folder with its card, licences and lineage, in the source's order.

``data/train-*.parquet`` (messages in both languages and where each row came from), ``pairs/*.parquet`` (HALA's
4-tuples, for the translator's supervision, in columns that end in their language), ``README.md`` whose front matter
``datasets.load_dataset`` and the Hub read, ``lineage.json``. Streaming: a shard's rows are in memory, not the corpus.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sindbad import atomic
from sindbad.corpus.exported import LINEAGE, pair_columns
from sindbad.corpus.held import HELD
from sindbad.corpus.job import Job, batches
from sindbad.corpus.ledger import Ledger
from sindbad.corpus.licences import Obligations, licences_in, obligations
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.translate import CorpusReport, Kept, kept, report

SHARD_ROWS: Final = 20_000


@dataclass(frozen=True, slots=True)
class FourTuple:
    """An instruction and its response in both languages. ``stays``: whether a part of either stays in the source
    language; such a pair is no lesson in translating."""

    instruction: str
    instruction_translated: str
    response: str
    response_translated: str
    stays: tuple[bool, bool] = (False, False)

    def pairs(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Both (source, target) pairs."""
        return (self.instruction, self.instruction_translated), (self.response, self.response_translated)


@dataclass(slots=True)
class Contents:
    """What a data set holds, added up while it is written."""

    rows: int = 0
    tuples: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    licences: Counter[tuple[str, str]] = field(default_factory=Counter)
    translators: Counter[str] = field(default_factory=Counter)
    characters: int = 0

    def add(self, row: Kept) -> None:
        """Count one row."""
        provenance = row.translation.provenance
        self.rows += 1
        self.sources[provenance.source] += 1
        self.translators[provenance.translator] += 1
        for licence in provenance.licences:
            self.licences[provenance.source, licence] += 1
        self.characters += sum(len(message.content) for message in row.translation.messages)


def four_tuple(
    original: InstructionRecord, translation: InstructionRecord, stays: Sequence[Sequence[str]] = ()
) -> FourTuple | None:
    """First question and the answer after it, in both languages (papers §4.3: N rows give N of them, and 2N pairs).

    None for a conversation in which nothing answers the first question. ``stays``: see :class:`Kept`.
    """
    asked, said, turns = original.first_exchange(), translation.first_exchange(), original.first_turns()
    if asked is None or said is None or turns is None:
        return None
    first, answer = (bool(stays and stays[turn]) for turn in turns)
    return FourTuple(asked[0], said[0], asked[1], said[1], (first, answer))


def export(job: Job, folder: Path, *, name: str = "") -> Contents:
    """Write the data set of ``job`` to ``folder``, replacing an earlier one; returns what it holds.

    Raises InvalidInput for a folder that holds something else, or a file.
    """
    target = folder.resolve()
    atomic.check_replaceable(target, LINEAGE)
    contents, identity = Contents(), job.spec.identity
    columns = pair_columns(identity.source, identity.target)
    with atomic.new_dir(target) as building:
        (building / "data").mkdir()
        (building / "pairs").mkdir()
        with job.ledger() as ledger:
            for shard, rows in enumerate(batches(kept(job, ledger), SHARD_ROWS)):
                _write(building, shard, rows, contents, columns)
            if not contents.rows:  # a folder without a data file is no data set: one without rows says so itself
                _write(building, 0, [], contents, columns)
            about = lineage(job, ledger, contents)
        atomic.write_json(building / LINEAGE, about)
        atomic.write_text(building / "README.md", card(job, contents, report(job), about, name or target.name))
    return contents


def _write(folder: Path, shard: int, rows: list[Kept], contents: Contents, names: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for row in rows:
        contents.add(row)
    table = pa.Table.from_pylist([_plain(row) for row in rows], schema=_schema(pa))
    pq.write_table(table, folder / "data" / f"train-{shard:05d}.parquet", compression="zstd")
    made = (four_tuple(row.original, row.translation, row.stays) for row in rows)
    tuples = [one for one in made if one is not None and not any(one.stays)]
    contents.tuples += len(tuples)
    sides = [[text for pair in one.pairs() for text in pair] for one in tuples]
    columns = pa.table({name: pa.array([row[at] for row in sides], pa.string()) for at, name in enumerate(names)})
    pq.write_table(columns, folder / "pairs" / f"train-{shard:05d}.parquet", compression="zstd")


def _plain(row: Kept) -> dict[str, Any]:
    origin = row.translation.provenance
    return {
        "id": row.translation.record_id,
        "messages": [{"role": one.role, "content": one.content} for one in row.translation.messages],
        "messages_source": [{"role": one.role, "content": one.content} for one in row.original.messages],
        "source": origin.source,
        "source_id": origin.source_id,
        "licences": list(origin.licences),
        "translator": origin.translator,
        "key": row.key,
        "metadata": json.dumps(dict(row.original.metadata), ensure_ascii=False, sort_keys=True),
    }


def _schema(pa: Any) -> Any:
    text = pa.string()
    messages = pa.list_(pa.struct([("role", text), ("content", text)]))
    kinds = {"messages": messages, "messages_source": messages, "licences": pa.list_(text)}
    names = ("id", "messages", "messages_source", "source", "source_id", "licences", "translator", "key", "metadata")
    return pa.schema([(column, kinds.get(column, text)) for column in names])


def lineage(job: Job, ledger: Ledger, contents: Contents) -> dict[str, Any]:
    """Where everything came from, and what it cost."""
    spec = job.spec
    (paid,) = ledger.rows(
        """SELECT count(*) AS attempts, coalesce(sum(generations), 0)::BIGINT AS generations,
           coalesce(sum(prompt_tokens), 0)::BIGINT AS prompt_tokens,
           coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens FROM attempts"""
    )
    by_source: dict[str, list[str]] = {}
    for source, licence in sorted(contents.licences):
        by_source.setdefault(source, []).append(licence)
    return {
        "spec": json.loads(spec.model_dump_json()),
        "plan": spec.plan_id,
        "judging": spec.judging_id,
        "licences": by_source,
        "translators": dict(contents.translators.most_common()),
        "paid": paid,
    }


def inherited(contents: Contents) -> Obligations:
    """What the whole set's user must know: every licence of every source and of the translator."""
    return obligations(licence for _, licence in sorted(contents.licences))


def card(job: Job, contents: Contents, found: CorpusReport, about: dict[str, Any], name: str) -> str:
    """README.md of the data set."""
    identity, owed = job.spec.identity, inherited(contents)
    sources = [
        f"| {source} | {rows:,} | {', '.join(about['licences'].get(source, []))} |"
        for source, rows in contents.sources.most_common()
    ]
    dropped = [f"| {reason} | {rows:,} |" for reason, rows in found.dropped.items()] or ["| nothing | 0 |"]
    return _CARD.format(
        licence=owed.card_licence if contents.rows else "other",
        source_language=identity.source,
        language=identity.target,
        columns=", ".join(pair_columns(identity.source, identity.target)),
        size=_size(contents.rows),
        name=name,
        rows=f"{contents.rows:,}",
        of=f"{found.records:,}",
        model=identity.model,
        model_licence=", ".join(identity.owed),
        held=_held(job, contents),
        sources="\n".join(sources) or "| none | 0 | |",
        owed="\n".join(f"- {sentence}" for sentence in owed.sentences()),
        dropped="\n".join(dropped),
        lineage=json.dumps(about, ensure_ascii=False, indent=2, sort_keys=True),
    )


def _held(job: Job, contents: Contents) -> str:
    """What other jobs translated of it."""
    others = job.spec.source.get(HELD, ())
    found = [
        f"- {contents.translators[one['translator']]:,} rows by `{one['translator']}` ({', '.join(licences_in(one))}): "
        "translated for another job, taken over, judged by the same filters"
        for one in others
        if contents.translators[one["translator"]]
    ]
    return "\n" + "\n".join(["Not all of it is that translator's:", "", *found, ""]) if found else ""


def _size(count: int) -> str:
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
              (10_000_000, "1M<n<10M"))  # fmt: skip
    return next((label for most, label in bounds if count < most), "n>10M")


def pairs_of(rows: Iterator[Kept]) -> Iterator[tuple[str, str]]:
    """Both parallel pairs of every 4-tuple, but for those of which a part stays in the source language: what the
    translator is supervised with."""
    for row in rows:
        if (four := four_tuple(row.original, row.translation, row.stays)) is not None:
            yield from (pair for pair, stays in zip(four.pairs(), four.stays, strict=True) if not stays)


_CARD = """---
license: {licence}
language: ["{language}", "{source_language}"]
size_categories: ["{size}"]
task_categories: ["text-generation", "translation"]
tags: ["instruction-tuning", "machine-translated", "sindbad"]
configs:
- config_name: default
  default: true
  data_files: data/*.parquet
- config_name: pairs
  data_files: pairs/*.parquet
---
# {name}

{rows} of {of} instruction rows, translated from `{source_language}` to `{language}` by `{model}` ({model_licence}),
verified and filtered. Machine-translated: no person has read it.
{held}
## Licences

Every row carries the licences of its source and of its translator, and inherits what they ask for.

{owed}

| source | rows | licences |
|---|---|---|
{sources}

## What was left out

| reason | rows |
|---|---|
{dropped}

## Columns

`messages`: the conversation in `{language}`; `messages_source`: as it was; `source`, `source_id`, `licences`,
`translator`: where it came from; `key`: content address, for `sindbad corpus why`; `metadata`: what the source's row
says of itself (its subset, a category), as JSON. The configuration `pairs` holds
({columns}): first question and answer in source and target language, without rows of which a part stays in the source
language because a task works on it ("fix the grammar of …").

## Lineage

```json
{lineage}
```
"""
