"""The glossary of a corpus: read strictly, kept in the job, and a changed term touches the rows that hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.job import Job, local_store
from sindbad.corpus.store import JobStore
from sindbad.corpus.terms import glossary_of, read_glossary, store_glossary
from sindbad.corpus.translate import translate_corpus
from sindbad.errors import InvalidInput, NotFound
from sindbad.translation.glossary import Glossary
from tests.unit.corpus.jobs import FAST, Perfect, job, records


def test_terms_are_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "terms.tsv"
    file.write_text("\ufeffNew York\tنيويورك\n\nC++\tسي++\n#1\tالأول\r\n", encoding="utf-8")
    assert read_glossary(file).terms == {"New York": "نيويورك", "C++": "سي++", "#1": "الأول"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tb\nc d\n", "line 2: 1 columns"),
        ("a\tb\tc\n", "line 1: 3 columns"),
        ("a\tb\na\tc\n", "line 2: 'a' stands in line 1"),
        ("a\t \n", "line 1: .*not empty"),
        ("a \tb\n", "line 1: .*no blanks"),
        (f"{'a' * 201}\tb\n", "line 1: .*at most 200"),
        ("\n", "holds no term"),
    ],
)
def test_a_line_that_is_no_term_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "terms.tsv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=words):
        read_glossary(file)
    with pytest.raises(NotFound):
        read_glossary(tmp_path / "none.tsv")


async def test_a_changed_term_of_the_stored_glossary_reruns_the_rows_that_hold_it_and_no_other(tmp_path: Path) -> None:
    store, rows = local_store(tmp_path), records(5)

    async def run(terms: dict[str, str]) -> list[str]:
        name, model = store_glossary(store, Glossary(terms)), Perfect()
        begun = job(store, glossary=name, filters=FilterSettings(without=("names",)))
        made = Job.open(JobStore(store.url), begun.spec.spec_id)  # as another process sees it
        await translate_corpus(made, rows, model, glossary_of=glossary_of(made), settings=FAST)
        return model.asked

    assert len(await run({"Bokadi": "بوكادي", "Bokadiadi": "بوكاديادي"})) == 5
    assert await run({"Bokadi": "بوقادي", "Bokadiadi": "بوكاديادي"}) == [rows[0].record_id]
    assert await run({"Bokadi": "بوقادي", "Bokadiadi": "بوكاديادي", "Paris": "باريس"}) == []
    assert await run({"Bokadi": "بوقادي"}) == [rows[1].record_id]


async def test_a_row_is_given_its_own_terms_only(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    made = job(store, glossary=store_glossary(store, Glossary({"Bokadi": "ب", "Paris": "باريس"})))
    first, second = records(2)
    found = glossary_of(made)(first)
    assert found is not None
    assert found.terms == {"Bokadi": "ب"}
    assert glossary_of(made)(second) is None
    assert glossary_of(job(store))(first) is None
