"""The recipe of translate-and-tune: it resolves, covers the data by content, and says what is missing before a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pipelines.local import compile_pipeline
from pipelines.stage import Stage
from pipelines.tune_recipe import COMPONENTS, FROM_HUB, load_tune_recipe
from sindbad.cli.main import app
from sindbad.corpus.schemas import HALA
from sindbad.errors import InvalidInput, NotFound
from tests.shared import shared

RECIPE = "recipes/translate_and_tune.yaml"


def small(folder: Path, *more: str) -> tuple[str, ...]:
    """Assignments that leave one file of each kind."""
    (folder / "pairs.tsv").write_text("en\tar\nA cat.\tقطة.\n", "utf-8")
    (folder / "rows.jsonl").write_text('{"instruction": "a", "input": "", "output": "b"}\n', "utf-8")
    return (
        f"data={folder}",
        "stages.parallel.settings.train={own: {path: pairs.tsv, licence: CC0}}",
        "stages.parallel.settings.tests={}",
        "stages.corpus.settings.sources=['alpaca=rows.jsonl']",
        "stages.evaluate.settings.texts={}",
        "stages.evaluate.settings.choice={}",
        *more,
    )


def test_the_shipped_recipe_fits_the_shared_data() -> None:
    recipe = load_tune_recipe(RECIPE, (f"data={shared('data')}",))
    recipe.check_inputs()


def digests(folder: Path, *more: str) -> dict[str, str]:
    found = load_tune_recipe(RECIPE, small(folder, *more)).arguments(folder / "run")
    return {name: Stage.from_json(found[f"{name}_stage"]).digest for name in COMPONENTS}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in COMPONENTS if after[name] != before[name]}


def test_settings_change_the_digest_of_their_stage_and_a_budget_none(tmp_path: Path) -> None:
    before = digests(tmp_path)
    assert changed(before, digests(tmp_path, "stages.sft.budget_seconds=9")) == set()
    assert changed(before, digests(tmp_path, "stages.sft.settings.epochs=9")) == {"sft"}


def test_a_changed_file_runs_the_stage_again_that_reads_it_and_no_other(tmp_path: Path) -> None:
    """What depends on that stage gets another input, and so runs again, too; the rest keeps its work."""
    more = tmp_path / "more"
    more.mkdir()
    (more / "b.jsonl").write_text('{"instruction": "c", "input": "", "output": "d"}\n', "utf-8")
    asked = "stages.corpus.settings.sources=['alpaca=rows.jsonl', 'alpaca=more@mit']"
    for file, stage in (("pairs.tsv", "parallel"), ("rows.jsonl", "corpus"), ("more/b.jsonl", "corpus")):
        before, text = digests(tmp_path, asked), (tmp_path / file).read_text("utf-8")
        recipe = load_tune_recipe(RECIPE, small(tmp_path, asked))
        (tmp_path / file).write_text(text.replace("A", "B").replace("a", "b").replace("c", "e"), "utf-8")
        after = {name: recipe.stage(name, tmp_path / "run").digest for name in COMPONENTS}
        assert changed(before, after) == {stage}, file


def test_a_file_for_measuring_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "x.EVAL_ONLY.tsv").write_text("en\tar\nA\tب\n", "utf-8")
    measured = "{own: {path: x.EVAL_ONLY.tsv, licence: CC0}}"
    load_tune_recipe(RECIPE, small(tmp_path, f"stages.parallel.settings.tests={measured}")).check_inputs()
    with pytest.raises(InvalidInput, match="must not be trained on"):
        load_tune_recipe(RECIPE, small(tmp_path, f"stages.parallel.settings.train={measured}")).check_inputs()


def test_a_missing_file_and_a_missing_folder_are_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nothing\.jsonl.*--data"):
        load_tune_recipe(
            RECIPE, small(tmp_path, "stages.corpus.settings.sources=['alpaca=nothing.jsonl@mit']")
        ).check_inputs()  # fmt: skip
    with pytest.raises(InvalidInput, match="is no folder"):
        load_tune_recipe(RECIPE, (f"data={tmp_path / 'away'}",)).check_inputs()
    with pytest.raises(InvalidInput, match=r"start_from.*does not exist"):
        load_tune_recipe(RECIPE, small(tmp_path, "stages.base.settings.start_from=/nowhere")).check_inputs()


@pytest.mark.parametrize("key", ["base.settings.start_from", "translator.settings.training.start_from"])
def test_a_quantised_model_is_refused_before_anything_starts(tmp_path: Path, key: str) -> None:
    shutil.copytree("sindbad/demo/models/teacher", tmp_path / "eight")
    config = json.loads((tmp_path / "eight/config.json").read_text("utf-8"))
    (tmp_path / "eight" / "config.json").write_text(
        json.dumps({**config, "quantization_config": {"quant_method": "x"}})
    )
    with pytest.raises(InvalidInput, match=rf"{key}.*eight is quantised already \(x\); give the original model"):
        load_tune_recipe(RECIPE, small(tmp_path, f"stages.{key}={tmp_path / 'eight'}")).check_inputs()


def test_a_typo_names_the_nearest_key(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'held_out'"):
        load_tune_recipe(RECIPE, small(tmp_path, "stages.corpus.settings.heldout=0.5"))


def test_without_data_the_public_sets_are_read_and_no_file(tmp_path: Path) -> None:
    recipe = load_tune_recipe(RECIPE, FROM_HUB)
    recipe.check_inputs()
    named = {*recipe.settings_of("parallel")["public"], *recipe.settings_of("corpus")["public"]}
    assert named == set(HALA)
    assert recipe.inputs(tmp_path)["data_uri"] == str((tmp_path / "no-data").resolve())


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, error in (("away", NotFound), ("empty", InvalidInput)):
        done = CliRunner().invoke(app, ["tune", "--data", str(tmp_path / name), "--run", str(tmp_path / "run")])
        assert done.exit_code != 0
        assert isinstance(done.exception, error)
    assert not (tmp_path / "run").exists()


def test_it_compiles_for_kubeflow(tmp_path: Path) -> None:
    path = tmp_path / "ir.yaml"
    assert compile_pipeline("translate_and_tune", path) == "sindbad-translate-and-tune"
    pipeline, platform = yaml.safe_load_all(path.read_text("utf-8"))
    assert len(pipeline["root"]["dag"]["tasks"]) == len(COMPONENTS)
    executors = pipeline["deploymentSpec"]["executors"]
    on_gpus = {
        name for name, one in executors.items() if "accelerator" in one.get("container", {}).get("resources", {})
    }
    assert on_gpus == {
        "exec-text-translator", "exec-instruction-corpus", "exec-small-base", "exec-tune", "exec-evaluate-tuned",
    }  # fmt: skip
    assert set(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]) == set(executors)


def test_an_at_sign_in_a_sources_path_is_part_of_the_path(tmp_path: Path) -> None:
    (tmp_path / "me@host").mkdir()
    file = tmp_path / "me@host" / "rows@2.jsonl"
    file.write_text('{"instruction": "a", "input": "", "output": "b"}\n', "utf-8")
    sources = "stages.corpus.settings.sources=['alpaca=me@host/rows@2.jsonl@mit', 'alpaca=me@host/rows@2.jsonl']"
    load_tune_recipe(RECIPE, small(tmp_path, sources)).check_inputs()
    file.unlink()
    with pytest.raises(InvalidInput, match=r"there is no .*me@host/rows@2.jsonl"):
        load_tune_recipe(RECIPE, small(tmp_path, sources)).check_inputs()
