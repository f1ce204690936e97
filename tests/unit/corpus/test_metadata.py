"""What a source's row says of itself goes through translation into the data set; its texts do not go along untold."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sindbad.corpus.export import export
from sindbad.corpus.job import local_store
from sindbad.corpus.schemas import LONGEST_LABEL
from sindbad.corpus.translate import translate_corpus
from tests.unit.corpus.jobs import FAST, Perfect, job
from tests.unit.corpus.test_sources import ROWS, read, written


@pytest.mark.parametrize(
    ("name", "more", "metadata"),
    [
        ("tulu3", {}, {"source": "ai2-adapt-dev/flan_v2"}),
        ("lamini", {}, {"instruction_source": "alpaca"}),
        ("scp116k", {}, {"domain": "Physics"}),
        ("synthetic_gptj", {}, {}),  # the rejected answer is a text
        ("openorca", {"score": 0.5, "tags": ["x"], "empty": "", "essay": "e" * (LONGEST_LABEL + 1)}, {"score": "0.5"}),
    ],
)
def test_a_row_keeps_its_subset_and_short_fields_and_no_text(
    tmp_path: Path, name: str, more: dict[str, object], metadata: dict[str, str]
) -> None:
    (record,) = read(name, written(tmp_path, [{**ROWS[name], **more}]))
    assert record.metadata == metadata


async def test_they_stand_in_the_exported_data_set(tmp_path: Path) -> None:
    row = {"id": "r7", "instruction": "Bokadi was born in Diramo.", "input": "", "output": "Let me search.",
           "category": "geography", "difficulty": 3}  # fmt: skip
    records = read("alpaca", written(tmp_path, [row]))
    one = job(local_store(tmp_path / "job"))
    await translate_corpus(one, records, Perfect(), settings=FAST)
    export(one, tmp_path / "set")
    (found,) = pq.read_table(tmp_path / "set" / "data" / "train-00000.parquet").to_pylist()
    assert found["source_id"] == "r7"
    assert json.loads(found["metadata"]) == {"category": "geography", "difficulty": "3"}
    assert "`metadata`" in (tmp_path / "set" / "README.md").read_text("utf-8")
