"""Every licence of a translator reaches every row that it writes; one name for several of them would lose some."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.corpus.address import Identity
from sindbad.corpus.export import LINEAGE, export, inherited
from sindbad.corpus.exported import licences_of
from sindbad.corpus.held import Held
from sindbad.corpus.identify import Named, owed
from sindbad.corpus.job import local_store
from sindbad.corpus.licences import obligations
from sindbad.corpus.translate import kept, translate_corpus
from sindbad.training.card import CARD, Part, card, parts_of_data
from sindbad.translation.train_teacher import FOLDER
from tests.unit.cli.test_corpus import written
from tests.unit.corpus.jobs import FAST, IDENTITY, Perfect, job, records

MADE_OF = ("unknown", "mit", "cc-by-nc-4.0")
"""Parallel text that nobody licensed, instructions, a teacher: what the translator of a tune run is made of."""


def under(licences: tuple[str, ...]) -> Identity:
    return Identity(**{**IDENTITY.model_dump(), **owed(licences)})


async def test_a_part_that_forbids_commerce_does_not_vanish_behind_one_that_nobody_licensed(tmp_path: Path) -> None:
    assert obligations(MADE_OF).card_licence == "other"  # which says nothing of non-commercial use
    one = job(local_store(tmp_path / "job"), identity=under(MADE_OF))
    await translate_corpus(one, records(3), Perfect(), settings=FAST)
    assert {row.translation.provenance.licences for row in kept(one)} == {("MIT", *MADE_OF)}
    assert not any(row.translation.provenance.commercial_use for row in kept(one))
    contents = export(one, tmp_path / "set")
    assert inherited(contents).non_commercial
    page = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "Non-commercial use only" in page
    assert "`light-1` (unknown, mit, cc-by-nc-4.0)" in page
    assert set(licences_of(tmp_path / "set")) == {"MIT", *MADE_OF}
    assert Part("translator", "light-1", MADE_OF) in parts_of_data(tmp_path / "set")


async def test_a_job_of_before_gets_the_whole_list_without_paying_for_a_row_again(tmp_path: Path) -> None:
    store, before, now = local_store(tmp_path / "job"), under(("other",)), under(MADE_OF)
    old = job(store, identity=before)
    await translate_corpus(old, records(3), Perfect(), settings=FAST)
    assert [before.key(one) for one in records(3)] == [now.key(one) for one in records(3)]
    assert before.differences(now) == []
    asked, new = Perfect(), job(store, identity=now)
    assert new.spec.plan_id != old.spec.plan_id
    await translate_corpus(new, records(3), asked, settings=FAST)
    assert asked.asked == []
    assert {row.translation.provenance.licences for row in kept(new)} == {("MIT", *MADE_OF)}
    assert {row.translation.provenance.licences for row in kept(old)} == {("MIT", "other")}  # as it was written


async def test_a_job_that_takes_rows_over_takes_what_their_job_says_now(tmp_path: Path) -> None:
    store = local_store(tmp_path / "teacher")
    await translate_corpus(job(store, identity=under(("other",))), records(2), Perfect(), settings=FAST)
    corrected = job(store, identity=under(MADE_OF))
    await translate_corpus(corrected, records(2), Perfect(), settings=FAST)
    held = Held([corrected], source="en", target="ar")
    assert held.describe()[0]["licences"] == list(MADE_OF)
    ours = Identity(revision="ours", decoding="greedy", licence="mit", unit="message")
    one = job(local_store(tmp_path / "job"), identity=ours, source={"held": held.describe()})
    one.plan(records(2), held=held)
    await translate_corpus(one, records(2), Perfect(), settings=FAST)
    assert all("cc-by-nc-4.0" in row.translation.provenance.licences for row in kept(one))
    export(one, tmp_path / "set")
    assert "`light-1` (unknown, mit, cc-by-nc-4.0): translated" in (tmp_path / "set" / "README.md").read_text("utf-8")


async def test_one_licence_is_recorded_as_before_and_an_export_of_before_is_read(tmp_path: Path) -> None:
    one = under(("Apache-2.0", "Apache-2.0 "))
    assert one == IDENTITY
    assert "licences" not in one.recorded()
    assert owed(()) == {"licence": "unknown"}
    made = job(local_store(tmp_path / "job"), identity=one)
    assert "licences" not in Held([made], source="en", target="ar").describe()[0]
    await translate_corpus(made, records(2), Perfect(), settings=FAST)
    export(made, tmp_path / "set")
    about = json.loads((tmp_path / "set" / LINEAGE).read_text("utf-8"))
    del about["spec"]["identity"]["licences"]
    (tmp_path / "set" / LINEAGE).write_text(json.dumps(about), "utf-8")
    assert Part("translator", "light-1", ("Apache-2.0",)) in parts_of_data(tmp_path / "set")
    assert Named.model_validate({"licence": "mit"}).licences == ()


def test_a_licence_with_rules_of_use_is_no_permissive_one() -> None:
    for name in ("openrail", "openrail++", "bigscience-openrail-m"):
        found = obligations([name, "mit"])
        assert found.unclear == (name,)
        assert found.card_licence == "other"


# -- from a model folder -----------------------------------------------------------------------------------------------


def translator(folder: Path) -> Path:
    """The demo's teacher, as a recipe's `train sft` would have left it: its card says what it was made of."""
    shutil.copytree(FOLDER, folder)
    parts = (Part("base model", "lfm", ("lfm1.0",)), Part("data set", "teacher", ("mit", "cc-by-nc-4.0")))
    (folder / CARD).write_text(card("light", "Tuned.", parts), "utf-8")
    return folder


@pytest.mark.slow
def test_a_translator_that_was_made_here_adds_what_it_was_made_of_to_what_the_user_says(tmp_path: Path) -> None:
    rows, folder = written(tmp_path / "rows.jsonl", 2), translator(tmp_path / "light")

    def told(*words: str) -> str:
        result = CliRunner().invoke(app, ["corpus", *words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    job_folder = str(tmp_path / "job")
    told("translate", job_folder, "--source", f"messages={rows}@cc0-1.0", "--model", str(folder), "--unit", "message",
         "--licence", "unknown", "--licence", "MIT", "--limit", "1")  # fmt: skip
    (spec,) = (tmp_path / "job" / "specs").glob("*.json")
    identity = json.loads(spec.read_text("utf-8"))["identity"]
    assert identity["licences"] == ["unknown", "mit", "lfm1.0", "cc-by-nc-4.0"]
    assert "nothing is missing" in told("resume", job_folder)


@pytest.mark.slow
async def test_the_tune_recipes_corpus_inherits_all_that_its_translator_was_made_of(tmp_path: Path) -> None:
    from pipelines.plan import parse_settings
    from pipelines.stage import Stage
    from pipelines.stages.instruction_corpus import translate
    from pipelines.tune_recipe import COMPONENTS

    folder: Path = shutil.copytree(FOLDER, tmp_path / "light")
    said: dict[str, Any] = {"licence": "other", "from": [*MADE_OF], "languages": ["en", "ar"]}
    (folder / "licence.json").write_text(json.dumps(said), "utf-8")
    written(tmp_path / "data.jsonl", 12)
    asked = {"sources": ["messages=data.jsonl@mit"], "duplicates": None}
    settings = parse_settings(COMPONENTS, "corpus", asked).model_dump(mode="json")
    stage = Stage("corpus", str(tmp_path / "run"), 60.0, settings, "d")
    page = tmp_path / "page.html"
    await translate(stage.to_json(), str(tmp_path), str(folder), str(tmp_path / "out"), str(page))
    assert set(licences_of(tmp_path / "out" / "dataset")) == {"unknown", "mit", "cc-by-nc-4.0"}
    about = json.loads((tmp_path / "out" / "about.json").read_text("utf-8"))
    assert any(one.startswith("Non-commercial use only") for one in about["obligations"])
