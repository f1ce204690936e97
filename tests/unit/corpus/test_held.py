"""Rows that another job translated: taken over with their lineage, judged here, and asked of nobody again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sindbad.corpus.address import Identity
from sindbad.corpus.duplicates import DuplicateSettings
from sindbad.corpus.export import export
from sindbad.corpus.exported import read_lineage
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.held import Held, taken_over
from sindbad.corpus.job import Job, local_store
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.store import JobStore
from sindbad.corpus.translate import kept, report, translate_corpus
from sindbad.errors import InvalidInput
from sindbad.training.card import parts_of_data
from tests.unit.corpus.jobs import FAST, IDENTITY, Perfect, job, records
from tests.unit.translation.scripted import into_arabic

TEACHER = Identity(revision="teacher-9", decoding="greedy", licence="cc-by-nc-4.0", unit="message")


async def taught(folder: Path, rows: list[InstructionRecord], spoil: str = "") -> Job:
    """A teacher's job; it leaves the row untranslated whose first turn begins with ``spoil``."""
    one = job(local_store(folder), identity=TEACHER)
    lazy = Perfect(lambda text: "Bokadi was born." if spoil and text.startswith(spoil) else text)
    await translate_corpus(one, rows, lazy, settings=FAST)
    return one


def taking(folder: Path, held: Held, **changes: object) -> Job:
    return job(local_store(folder), source={"held": held.describe()}, **changes)


async def run(one: Job, rows: list[InstructionRecord], held: Held) -> Perfect:
    if not one.planned():
        one.plan(rows, held=held)
    asked = Perfect()
    await translate_corpus(one, rows, asked, settings=FAST)
    return asked


async def test_a_row_that_the_teacher_has_is_not_asked_for_and_carries_the_teachers_licence(tmp_path: Path) -> None:
    teacher = await taught(tmp_path / "teacher", records(3))
    held = Held([teacher], source="en", target="ar")
    one = taking(tmp_path / "job", held)
    asked = await run(one, records(5), held)
    assert sorted(asked.asked) == sorted(record.record_id for record in records(2, start=3))
    found = list(kept(one))
    assert [row.original.record_id for row in found] == [
        record.record_id for record in records(5)
    ]  # the source's order
    by = [(row.translation.provenance.translator, row.translation.provenance.licences) for row in found]
    assert by == [("teacher-9", ("MIT", "cc-by-nc-4.0"))] * 3 + [("light-1", ("MIT", "Apache-2.0"))] * 2
    assert [row.key for row in found[:3]] == [row.key for row in kept(teacher)]
    assert taken_over(one) == {"teacher-9": 3}
    assert report(one).kept == report(one).records == 5
    (paid,) = one.ledger().rows("SELECT sum(output_tokens)::BIGINT AS n FROM attempts")
    assert paid["n"] == 2 * 10  # two rows of this job's own; what the teacher's cost is in its ledger
    assert (await run(one, records(5), held)).asked == []


async def test_the_data_set_says_whose_translations_it_holds_and_inherits_their_terms(tmp_path: Path) -> None:
    held = Held([await taught(tmp_path / "teacher", records(3))], source="en", target="ar")
    one = taking(tmp_path / "job", held)
    await run(one, records(5), held)
    contents = export(one, tmp_path / "set")
    assert contents.translators == {"teacher-9": 3, "light-1": 2}
    about = read_lineage(tmp_path / "set")
    assert about["translators"] == {"teacher-9": 3, "light-1": 2}
    assert about["spec"]["source"]["held"] == json.loads(json.dumps(held.describe()))
    assert about["licences"]["t"] == ["Apache-2.0", "MIT", "cc-by-nc-4.0"]
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "license: cc-by-nc-4.0" in card
    assert "- 3 rows by `teacher-9` (cc-by-nc-4.0)" in card
    made_of = {(part.kind, part.name, part.licences) for part in parts_of_data(tmp_path / "set")}
    assert ("translator", "teacher-9", ("cc-by-nc-4.0",)) in made_of
    plain = job(local_store(tmp_path / "plain"))
    await translate_corpus(plain, records(2), Perfect(), settings=FAST)
    export(plain, tmp_path / "plain-set")
    assert "Not all of it" not in (tmp_path / "plain-set" / "README.md").read_text("utf-8")


async def test_what_the_teacher_failed_at_is_asked_for_and_its_kept_rows_are_judged_by_our_filters(
    tmp_path: Path,
) -> None:
    first = records(1)[0].messages[0].content
    teacher = await taught(tmp_path / "teacher", records(3), spoil=into_arabic(first))
    assert report(teacher).dropped == {"script": 1}
    held = Held([teacher], source="en", target="ar")
    strict = FilterSettings(script_share_min=1.01)  # nothing passes
    one = taking(tmp_path / "job", held, filters=strict)
    asked = await run(one, records(3), held)
    assert asked.asked == [records(1)[0].record_id]
    assert report(one).kept == 0
    again = Perfect()  # rejected rows are tried again, as ever; but never translated under the teacher's address
    await translate_corpus(one, records(3), again, settings=FAST)
    assert again.asked == [records(1)[0].record_id]
    mild = taking(tmp_path / "job", held)  # other filters judge what is there, unpaid
    assert (await run(mild, records(3), held)).asked == []
    assert taken_over(mild) == {"teacher-9": 2}


async def test_duplicates_are_found_among_all_rows_and_a_plan_is_the_same_whoever_writes_it(tmp_path: Path) -> None:
    rows = records(4)
    held = Held([await taught(tmp_path / "teacher", rows[:2])], source="en", target="ar")
    double = InstructionRecord("own-id", "en", rows[0].messages, rows[0].provenance, {})
    exact = DuplicateSettings(near=None)
    one = taking(tmp_path / "job", held, duplicates=exact)
    asked = await run(one, [*rows, double], held)
    assert report(one).dropped == {"exact_duplicate": 1}
    assert sorted(asked.asked) == sorted(row.record_id for row in rows[2:])
    other = taking(tmp_path / "other", held, duplicates=exact)
    other.plan([*rows, double], held=held)
    name = f"ledger/from-{one.spec.plan_id}/00000.parquet"
    assert one.store.read(name) == other.store.read(name)


async def test_another_direction_is_refused_and_a_changed_teacher_is_another_plan(tmp_path: Path) -> None:
    teacher = await taught(tmp_path / "teacher", records(2))
    with pytest.raises(InvalidInput, match="translates en to ar, not ar to en"):
        Held([teacher], source="ar", target="en")
    before = Held([teacher], source="en", target="ar").describe()
    await translate_corpus(
        job(teacher.store, identity=TEACHER, source={"more": 1}), records(3), Perfect(), settings=FAST
    )
    more = Job.open(JobStore(tmp_path / "teacher"))
    after = Held([more], source="en", target="ar").describe()
    assert (before[0]["rows"], after[0]["rows"]) == (2, 3)
    assert (
        taking(tmp_path / "a", Held([more], source="en", target="ar")).spec.plan_id
        != job(local_store(tmp_path / "b"), source={"held": before}, identity=IDENTITY).spec.plan_id
    )
