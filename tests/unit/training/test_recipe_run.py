"""A recipe run as one: order, what is skipped and what runs again, two runs, failures.

The commands are played here; that the real ones do the same is held by tests/e2e/test_recipe_run.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.errors import EngineFailure, InvalidInput, NotFound, Overloaded
from sindbad.training.recipe import load_recipe
from sindbad.training.recipe_commands import Places, Words, parse_added, with_added
from sindbad.training.recipe_run import LARGE, Outcome, RecipeRun, State, fingerprint, select

RECIPES = Path(__file__).parents[3] / "recipes"
NAMES = ["teacher", "bilingual", "translator", "corpus", "tuned", "merged", "measured"]


def stages(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """HALA's steps, each with what it must say; ``changes`` by stage."""
    rows = {"sources": ["messages=rows.jsonl@mit"]}
    found: list[dict[str, Any]] = [
        {"kind": "compress", "name": "teacher", "model": "big"},
        {"kind": "bilingual", "name": "bilingual", "model": "@teacher", "licence": "cc-by-nc-4.0", "out": "pairs",
         "pairs": {"teacher": {**rows, "rows": 2}, "parallel": {"sources": ["own=text.tsv@mit"]}}},
        {"kind": "sft", "name": "translator", "model": "small", "data": "pairs/pairs.jsonl"},
        {"kind": "corpus", "name": "corpus", "model": "@translator", "rows": rows, "out": "job",
         "teacher": "@bilingual"},
        {"kind": "sft", "name": "tuned", "model": "small", "data": "job/dataset"},
        {"kind": "merge", "name": "merged", "model": "@tuned", "base": "small"},
        {"kind": "measure", "name": "measured", "model": "@merged", "base": "small", "translation": "test.tsv"},
    ]  # fmt: skip
    return [{**one, **changes.get(one["name"], {})} for one in found]


class Played:
    """Makes what a command would, and remembers it; ``fails`` may end one."""

    def __init__(self, places: Places) -> None:
        self.places, self.ran, self.said = places, [], []
        self.fails: Callable[[Words], bool] = lambda words: False
        self.during: Callable[[], object] = lambda: None

    ran: list[str]
    said: list[str]

    def __call__(self, words: Words, log: Path) -> None:
        self.during()
        stage = next(one for one in self.places.recipe.stages if words in self.places.words(one))
        if self.fails(words):
            raise EngineFailure("sindbad it failed (exit 1):\nfirst words\nlast words")
        self.ran.append(stage.name)
        for path in self.places.made(stage):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("made")


class Here:
    """A folder with the recipe and what it reads."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.out = folder, folder / "recipe.yaml", folder / "out"
        for name in ("rows.jsonl", "text.tsv", "test.tsv"):
            (folder / name).write_text(name)
        for name in ("big", "small"):
            (folder / name).mkdir()
            (folder / name / "config.json").write_text(name)
        self.write()

    def write(self, **changes: dict[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump({"name": "mini", "source": "none", "stages": stages(**changes)}))

    def places(self, *added: str) -> Places:
        found = load_recipe(self.file)
        return Places(found, self.file, self.out, parse_added(added, found))

    def run(
        self, *added: str, begin: str | None = None, only: tuple[str, ...] = (), prepare: Callable[[Played], Any] = id
    ) -> tuple[Played, list[Outcome]]:
        places = self.places(*added)
        played = Played(places)
        prepare(played)
        chosen = select(places.recipe, begin, only)
        return played, RecipeRun(places, chosen, say=played.said.append, execute=played).run()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.chdir(tmp_path)
    return Here(tmp_path)


def test_stages_run_in_order_and_a_second_run_does_nothing(here: Here) -> None:
    first, outcomes = here.run()
    assert first.ran == ["teacher", "bilingual", "translator", "corpus", "corpus", "tuned", "merged", "measured"]
    assert [one.state for one in outcomes] == [State.DONE] * 7
    assert any(line.startswith("[4/7] corpus (corpus): runs; its words are in") for line in first.said)
    again, outcomes = here.run()
    assert again.ran == []
    assert [one.state for one in outcomes] == [State.KEPT] * 7


@pytest.mark.parametrize(
    ("changes", "runs"),
    [({"tuned": {"sft": {"epochs": 2}}}, ["tuned", "merged", "measured"]),
     ({"translator": {"sft": {"epochs": 2}}}, ["translator", "corpus", "tuned", "merged", "measured"]),
     ({"merged": {"merge": {"t": 0.25}}}, ["merged", "measured"]),
     ({"bilingual": {"about": "other words"}, "tuned": {"sft": {"threads": 3, "checkpoint_every": 7}}}, [])],
)  # fmt: skip
def test_a_changed_setting_runs_its_stage_again_and_what_depends_on_it(
    here: Here, changes: dict[str, dict[str, Any]], runs: list[str]
) -> None:
    here.run()
    here.write(**changes)
    assert list(dict.fromkeys(here.run()[0].ran)) == runs
    assert here.run()[0].ran == []


def test_changed_files_and_a_result_that_is_gone_run_again(here: Here) -> None:
    here.run()
    (here.folder / "test.tsv").write_text("other sentences")
    assert here.run()[0].ran == ["measured"]
    (here.folder / "small" / "config.json").write_text("another base")
    assert here.run()[0].ran == ["translator", "corpus", "corpus", "tuned", "merged", "measured"]
    shutil.rmtree(here.out / "merged")
    assert here.run()[0].ran == ["merged"]  # as it was: what is measured is the same


def test_a_failure_stops_names_the_log_and_the_next_run_goes_on_at_the_command_that_failed(here: Here) -> None:
    def exporting(played: Played) -> None:
        played.fails = lambda words: words[:2] == ("corpus", "export")

    with pytest.raises(EngineFailure, match=r"(?s)\[4/7\] corpus.*exit 1.*last words.*corpus\.log") as failed:
        here.run(prepare=exporting)
    assert failed.value.reason == "STAGE_FAILED"
    again, outcomes = here.run()
    assert again.ran == ["corpus", "tuned", "merged", "measured"]  # the translation is not begun again
    assert [one.state for one in outcomes] == [State.KEPT] * 3 + [State.DONE] * 4
    assert any("corpus (corpus): goes on (command 2)" in line for line in again.said)


def test_where_something_is_served_decides_nothing_and_what_is_asked_there_does(here: Here) -> None:
    here.run("corpus=--workers 2")
    assert here.run("corpus=--workers 8")[0].ran == []
    asked = "bilingual=--endpoint http://one/v1 --endpoint-model big"
    assert here.run(asked)[0].ran == [
        "bilingual", "translator", "corpus", "corpus", "tuned", "merged", "measured"
    ]  # fmt: skip
    assert here.run(asked.replace("//one", "//two"))[0].ran == []
    assert here.run(asked.replace("model big", "model bigger"))[0].ran[0] == "bilingual"


def test_a_translator_that_is_served_needs_no_stage_that_makes_it(here: Here) -> None:
    with pytest.raises(InvalidInput, match="bilingual needs what teacher makes"):
        here.run(only=("bilingual",))
    served = "bilingual=--endpoint http://one/v1 --endpoint-model big --revision one"
    assert here.run(served, only=("bilingual",))[0].ran == ["bilingual"]


def test_checkpoints_of_other_settings_are_not_gone_on_from(here: Here) -> None:
    here.run()
    begun = here.out / "checkpoints" / "tuned"
    begun.mkdir(parents=True)
    (begun / "step").write_text("7")
    here.run()
    assert begun.exists()
    here.write(tuned={"sft": {"epochs": 2}})
    played, _ = here.run()
    assert not begun.exists()
    assert (here.out / "recipe" / "before" / "tuned" / "step").read_text() == "7"
    assert any("are in" in line for line in played.said)


def test_checkpoints_of_a_stage_that_was_stopped_are_gone_on_from(here: Here) -> None:
    begun = here.out / "checkpoints" / "tuned"

    def training(played: Played) -> None:
        def dies(words: Words) -> bool:
            if words[:2] != ("train", "sft") or "tuned" not in words:
                return False
            begun.mkdir(parents=True)
            return True

        played.fails = dies

    with pytest.raises(EngineFailure):
        here.run(prepare=training)
    again, _ = here.run()
    assert begun.exists()
    assert again.ran == ["tuned", "merged", "measured"]
    assert any("tuned (sft): goes on;" in line for line in again.said)


def test_from_and_only_leave_the_others_as_they_are(here: Here) -> None:
    with pytest.raises(InvalidInput, match="merged needs what tuned makes"):
        here.run(begin="merged")
    assert here.run(only=("translator", "bilingual", "teacher"))[0].ran == NAMES[:3]
    assert here.run(begin="corpus")[0].ran == ["corpus", "corpus", "tuned", "merged", "measured"]
    assert here.run()[0].ran == []
    here.write(translator={"sft": {"epochs": 2}})
    assert here.run(begin="tuned")[0].ran == []  # made from what lies there, which has not changed
    with pytest.raises(NotFound, match="did you mean merged"):
        here.run(begin="merge")
    with pytest.raises(InvalidInput, match="give one"):
        here.run(begin="merged", only=("tuned",))


def test_a_stage_made_elsewhere_is_passed_over_with_what_needs_it_until_its_folder_is_here(here: Here) -> None:
    here.write(tuned={"elsewhere": True})
    played, outcomes = here.run()
    assert played.ran == ["teacher", "bilingual", "translator", "corpus", "corpus"]
    assert [(one.stage, one.state) for one in outcomes[4:]] == [
        ("tuned", State.SKIPPED), ("merged", State.SKIPPED), ("measured", State.SKIPPED)
    ]  # fmt: skip
    assert "its folder is not here yet" in outcomes[4].why
    assert (outcomes[5].why, outcomes[6].why) == ("it needs tuned", "it needs merged")
    ready = RECIPES.parent / "sindbad" / "demo" / "models" / "base-agent"
    shutil.copytree(ready, here.out / "models" / "tuned.folder")
    assert here.run()[0].ran == ["merged", "measured"]
    assert here.run()[0].ran == []
    (here.out / "models" / "tuned.folder" / "more.json").write_text("{}")  # another model now
    assert here.run()[0].ran == ["merged", "measured"]


def test_two_runs_in_one_folder_are_one_too_many(here: Here) -> None:
    refused: list[Overloaded] = []

    def second() -> None:
        with pytest.raises(Overloaded, match="another run works in") as error:
            here.run()
        refused.append(error.value)

    def twice(played: Played) -> None:
        played.during = second

    here.run(only=("teacher",), prepare=twice)
    assert len(refused) == 1
    here.run()  # given back


def test_what_can_be_known_before_is_said_before(here: Here) -> None:
    here.write(bilingual={"judge": "Qwen/Qwen2.5-3B-Instruct"})
    with pytest.raises(InvalidInput, match=r"say where Qwen/\S+ judges: --add 'bilingual=--judge URL'"):
        here.run()
    assert not (here.out / "teacher").exists()
    here.run("bilingual=--judge http://judge:8000/v1")
    (here.folder / "big" / "config.json").unlink()
    (here.folder / "big").rmdir()
    shutil.rmtree(here.out)
    played, _ = here.run("bilingual=--judge http://judge:8000/v1")
    assert "not on this machine yet: big; for teacher" in played.said
    places = Places(load_recipe(RECIPES / "websailor_v2.yaml"), RECIPES / "websailor_v2.yaml", here.out)
    with pytest.raises(InvalidInput, match="needs running services"):
        RecipeRun(places, ["rl_sim"], say=print, execute=played)
    hala = load_recipe(RECIPES / "hala.yaml")
    with pytest.raises(InvalidInput, match="is not STAGE=WORDS"):
        parse_added(["corpus"], hala)
    with pytest.raises(NotFound, match="did you mean corpus"):
        parse_added(["korpus=--workers 2"], hala)


def test_added_words_take_the_place_of_the_recipes_own() -> None:
    words = ("corpus", "pairs", "out", "--model", "here", "--judge", "http://JUDGE:8000/v1")
    served = ("--endpoint", "http://t/v1", "--endpoint-model", "big", "--judge", "http://j/v1")
    assert with_added(words, served) == ("corpus", "pairs", "out", *served)
    assert with_added(words, ("--judge-model", "folder")) == (*words[:5], "--judge-model", "folder")
    assert with_added(words, ("--model", "there"))[3:] == ("--judge", "http://JUDGE:8000/v1", "--model", "there")


def test_a_large_file_counts_by_size_and_samples_and_not_by_its_time(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    with file.open("wb") as opened:
        opened.truncate(LARGE + 1)  # sparse: no disk, no time
    before = fingerprint(str(file))
    os.utime(file, (1, 1))
    assert fingerprint(str(file)) == before
    with file.open("r+b") as opened:
        opened.seek(LARGE)
        opened.write(b"x")
    changed = fingerprint(str(file))
    with file.open("r+b") as opened:
        opened.truncate(LARGE + 2)
    assert len({before, changed, fingerprint(str(file)), fingerprint(str(tmp_path / "none"))}) == 4


def test_a_translator_is_measured_in_the_prompt_and_the_direction_of_its_supervision(here: Here) -> None:
    def asked(**pairs: Any) -> Words:
        rows = {"sources": ["messages=rows.jsonl@mit"], "rows": 2, **pairs.pop("rows", {})}
        here.write(bilingual={"pairs": {"teacher": rows, **pairs}})
        return here.places().words(load_recipe(here.file).stage("measured"))[0]

    assert "--source-column" not in asked()
    words = asked(style="teacher", source="fr", target="ar", rows={"source": "fr"})
    assert words[words.index("--prompt") + 1] == "teacher"
    assert words[words.index("--source-column") + 1] == "fr"


def test_a_missing_harness_names_what_installs_it_before_the_days_of_work_and_loses_none(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINDBAD_LIGHTEVAL_PYTHON", str(here.folder / "no-python"))
    here.write(measured={"benchmarks": ["arabic_exams"]})
    played, _ = here.run()
    assert "scripts/install.sh lighteval" in played.said[0]
    assert played.said[0].endswith("; for measured")
    assert here.run()[0].said[0].startswith("[1/7]")  # finished: nothing is needed any more


def test_the_whole_of_hala_is_known_where_it_skips_the_trainer_that_is_not_ours() -> None:
    hala = load_recipe(RECIPES / "hala.yaml")
    assert [stage.name for stage in hala.stages if getattr(stage, "elsewhere", False)] == ["sft_9b"]
    places = Places(hala, RECIPES / "hala.yaml")
    needs = {stage.name: places.needs(stage) for stage in hala.stages}
    assert needs["corpus"] == ["translator", "bilingual"]
    assert needs["translator"] == ["bilingual"]
    assert needs["sft_350m"] == ["corpus"]
    assert needs["measure_9b"] == ["hala_9b"]
    assert places.words(hala.stage("sft_9b"))[0][-1] == "--dry-run"  # the settings, for whoever trains it
    (run, _) = places.words(hala.stage("corpus"))
    assert run[run.index("--reuse") + 1] == "data/bilingual/teacher"


def test_a_corpus_takes_over_from_a_bilingual_stage_with_a_teacher_and_from_nothing_else(here: Here) -> None:
    for wrong in ("@translator", "bilingual"):
        here.write(corpus={"teacher": wrong})
        with pytest.raises(InvalidInput, match="no bilingual stage with a teacher"):
            load_recipe(here.file)
    here.write(corpus={"teacher": "@nobody"})
    with pytest.raises(InvalidInput, match="which no earlier stage makes"):
        load_recipe(here.file)


def test_without_run_and_with_dry_run_it_prints_and_makes_nothing(here: Here) -> None:
    for more in ((), ("--run", "--dry-run")):
        printed = CliRunner().invoke(app, ["recipe", str(here.file), "--out", str(here.out), *more])
        assert printed.exit_code == 0, printed.output
        assert f"sindbad corpus export {here.out}/job --out {here.out}/job/dataset" in printed.output
    assert not here.out.exists()
