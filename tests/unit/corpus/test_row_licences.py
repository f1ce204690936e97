"""A row of a mixture is under the licence of its subset, and a correction reaches a job that is there already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sindbad.corpus.job import local_store
from sindbad.corpus.schemas import SCHEMAS
from sindbad.corpus.sources import SourceRequest, read_sources
from sindbad.corpus.translate import kept, translate_corpus
from tests.unit.corpus.jobs import FAST, Perfect, job, records
from tests.unit.corpus.test_sources import ROWS, read, written

NO_ROBOTS = {
    **ROWS["tulu3"], "source": "ai2-adapt-dev/no_robots_converted",
    "messages": [{"role": "user", "content": "Bokadi was born in Diramo."},
                 {"role": "assistant", "content": "Let me search."}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("subset", "licences"),
    [
        ("ai2-adapt-dev/no_robots_converted", ("odc-by", "cc-by-nc-4.0")),
        ("allenai/tulu-3-sft-personas-math-grade", ("odc-by",)),
        ("ai2-adapt-dev/oasst1_converted", ("odc-by", "apache-2.0")),
        ("ai2-adapt-dev/flan_v2_converted", ("odc-by", "unknown")),
        ("somebody/of-tomorrow", ("odc-by", "unknown")),
    ],
)
def test_a_row_of_tulu_is_under_the_licence_of_its_subset_too(
    tmp_path: Path, subset: str, licences: tuple[str, ...]
) -> None:
    path = written(tmp_path, [{**ROWS["tulu3"], "source": subset}])
    (record,) = read("tulu3", path)
    assert record.provenance.licences == licences
    assert record.provenance.commercial_use is ("cc-by-nc-4.0" not in licences)
    (named,) = read_sources([SourceRequest("tulu3", path, licence="cc0-1.0")])
    assert named.provenance.licences == ("cc0-1.0",)  # whoever names one answers for it


def test_every_other_source_has_its_own_licence_on_every_row(tmp_path: Path) -> None:
    for name in sorted(ROWS.keys() - {"tulu3"}):
        (record,) = read(name, written(tmp_path, [ROWS[name]]))
        assert record.provenance.licences == (SCHEMAS[name].licence,)
    assert SCHEMAS["synthetic_gptj"].licence == "unknown"  # its card names none


async def test_a_job_of_before_a_correction_is_planned_anew_and_pays_for_no_row(tmp_path: Path) -> None:
    request, store = SourceRequest("tulu3", written(tmp_path, [NO_ROBOTS])), local_store(tmp_path / "job")
    now = request.describe()
    before = {name: value for name, value in now.items() if name != "terms"}
    assert now != before
    old = [replace(one, provenance=replace(one.provenance, licences=("odc-by",))) for one in read_sources([request])]
    await translate_corpus(job(store, source={"sources": [before]}), old, Perfect(), settings=FAST)
    one, asked = job(store, source={"sources": [now]}), Perfect()
    await translate_corpus(one, read_sources([request]), asked, settings=FAST)
    assert asked.asked == []
    (row,) = kept(one)
    assert row.translation.provenance.licences == ("odc-by", "cc-by-nc-4.0", "Apache-2.0")
    assert "terms" not in SourceRequest("openorca", request.path).describe()
    assert "rule" not in now
    assert "terms" not in SourceRequest("tulu3", request.path, licence="mit").describe()


async def test_a_rule_that_leaves_out_other_rows_plans_anew_and_pays_for_new_rows_only(tmp_path: Path) -> None:
    turns = [("Bokadi was born in Diramo.", "Let me search."), ("Sort it.", "def sort(a):\n    return a")]
    rows = [{"conversations": [{"from": "human", "value": one}, {"from": "gpt", "value": two}]} for one, two in turns]
    request, store = SourceRequest("hermes3", written(tmp_path, rows)), local_store(tmp_path / "job")
    now = request.describe()
    before = {name: value for name, value in now.items() if name != "rule"}
    assert now != before
    old = [*read_sources([request]), *records(1, start=5)]
    await translate_corpus(job(store, source={"sources": [before]}), old, Perfect(), settings=FAST)
    one, asked = job(store, source={"sources": [now]}), Perfect()
    report = await translate_corpus(one, read_sources([request]), asked, settings=FAST)
    assert (report.records, asked.asked) == (1, [])
