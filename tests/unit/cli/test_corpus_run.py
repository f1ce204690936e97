"""``sindbad corpus run``: a recipe's rows into a job wherever it lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.corpus.store import JobStore
from sindbad.errors import InvalidInput
from tests.unit.corpus.endpoint import endpoint
from tests.unit.corpus.object_store import object_store

RUN = CliRunner()
RECIPE = Path("recipes/hala_mini.yaml").resolve()


@pytest.fixture(scope="module")
def s3() -> Iterator[JobStore]:
    with object_store() as store:
        yield store


def told(*words: str) -> str:
    done = RUN.invoke(app, ["corpus", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def exercise(job: str, folder: Path, *storage: str) -> None:
    """Translate, go on and ask, with nothing but the job's address."""
    file = folder / "rows.jsonl"
    row = [{"role": "user", "content": "Where is the old harbour?"}, {"role": "assistant", "content": "Nobody knows."}]
    file.write_text(json.dumps({"messages": row}), "utf-8")
    with endpoint() as server:
        words = ["run", job, "--recipe", str(RECIPE), "--source", f"messages={file}@mit", "--endpoint", server.url,
                 "--endpoint-model", "m", "--revision", "one", "--licence", "mit", *storage]  # fmt: skip
        assert "1 rows, 1 kept" in told(*words)
        assert "nothing is missing" in told(*words)
    assert "1 rows, 1 kept" in told("status", job, *storage)
    assert [path.name for path in folder.iterdir()] == ["rows.jsonl"]  # no folder of the URL's name, no settings


def test_a_recipes_corpus_goes_where_its_url_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exercise("memory://recipes/corpus", tmp_path)


@pytest.mark.slow
def test_a_recipes_corpus_goes_into_a_bucket_with_options(
    s3: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exercise("s3://corpora/recipe", tmp_path, "--storage", json.dumps(s3.options))


def test_what_must_lie_here_is_not_taken_for_a_folder_of_a_strange_name(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["corpus", "pairs", "s3://bucket/pairs"])
    assert (done.exit_code, "s3://bucket/pairs" in done.output) == (2, True)
    text = RECIPE.read_text("utf-8")
    for out in ("bilingual", "corpus"):
        (tmp_path / "r.yaml").write_text(text.replace(f"out: runs/hala_mini/{out}", "out: s3://bucket/x"), "utf-8")
        done = RUN.invoke(app, ["corpus", "run", "job", "--recipe", str(tmp_path / "r.yaml"), "--licence", "mit"])
        assert isinstance(done.exception, InvalidInput)
        assert "must be a folder of this machine" in done.exception.message
