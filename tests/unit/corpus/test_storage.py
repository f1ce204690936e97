"""The job's storage: a disk, memory and a real S3 protocol; one winner of every exclusive creation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sindbad.corpus.store import JobStore
from sindbad.corpus.translate import kept, translate_corpus
from sindbad.corpus.worker import Worker, prepare
from sindbad.errors import NotFound
from tests.unit.corpus.jobs import FAST, Perfect, job, records
from tests.unit.corpus.object_store import object_store


@pytest.fixture(scope="module")
def s3() -> Iterator[JobStore]:
    with object_store() as store:
        yield store


def exercise(store: JobStore) -> None:
    """What every storage must do."""
    assert store.names("a") == []
    store.write("a/one", b"1")
    assert store.create("a/two", b"2")
    assert not store.create("a/two", b"3")
    assert (store.read("a/two"), store.names("a")) == (b"2", ["one", "two"])
    with pytest.raises(NotFound):
        store.read("a/three")
    store.remove("a/one")
    store.remove("a/one")
    assert store.names("a") == ["two"]
    assert [name.rsplit("/", 1)[-1] for name in store.glob("*/two")] == ["two"]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.create("race", str(n).encode()), range(24)))
    assert won.count(True) == 1
    assert store.read("race") == str(won.index(True)).encode()


def test_a_disk_keeps_the_promises(tmp_path: Path) -> None:
    exercise(JobStore(tmp_path / "job"))
    assert not [path for path in tmp_path.rglob(".*")]  # nothing half-written stays


def test_memory_keeps_the_promises() -> None:
    store = JobStore("memory://promises")
    assert store.create("x", b"1")
    assert not store.create("x", b"2")


NAMES = ("ترجمة", "données", "orca[1]", "it's", "50%*?", 'a "b" c')


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", ["", "memory://"])
async def test_a_job_lies_in_a_folder_of_any_name(tmp_path: Path, protocol: str, name: str) -> None:
    opened = job(JobStore(f"memory://{name}/job" if protocol else tmp_path / name))
    found = await translate_corpus(opened, records(3), Perfect(), settings=FAST)
    assert (found.records, found.kept) == (3, 3)
    assert [one.original.provenance.source_id for one in kept(opened)] == ["0", "1", "2"]


@pytest.mark.slow
def test_s3_keeps_the_promises(s3: JobStore) -> None:
    exercise(JobStore(f"{s3.url}-promises", s3.options))


@pytest.mark.slow
async def test_two_workers_share_a_job_on_s3_and_the_ledger_is_asked_where_it_lies(s3: JobStore) -> None:
    rows, settings = records(12), FAST.model_copy(update={"in_flight": 2})
    current = await prepare(job(s3), lambda: rows, settings=settings)
    assert current is not None
    models = [Perfect(delay=0.01) for _ in range(2)]
    await asyncio.gather(
        *(
            Worker(job(JobStore(s3.url, s3.options)), model, settings=settings, name=f"w{number}").run(current)
            for number, model in enumerate(models)
        )
    )
    assert sorted(asked for model in models for asked in model.asked) == sorted(row.record_id for row in rows)
    again = Perfect()
    assert (await translate_corpus(job(s3), rows, again, settings=settings)).kept == 12
    assert again.asked == []
    assert len(list(kept(job(s3)))) == 12
