"""Every published recipe resolves, says what is our choice, and a typo names the nearest key."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from sindbad.corpus.schemas import HALA
from sindbad.errors import InvalidInput, NotFound
from sindbad.training.advantages import PRESETS
from sindbad.training.recipe import Recipe, dump_recipe, load_recipe
from sindbad.training.recipe_commands import commands

RECIPES = Path(__file__).parents[3] / "recipes"
PUBLISHED = ("hala", "websailor_v2", "resum", "resum_grpo_baseline")
MINIATURES = ("hala_mini",)


def test_no_published_recipe_is_left_out() -> None:
    """Recipes that cite a paper; the others (the demo's, the services') have loaders and tests of their own."""
    files = {path.stem for path in RECIPES.glob("*.yaml") if "\nsource:" in path.read_text("utf-8")}
    assert files == {*PUBLISHED, *MINIATURES}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_resolves_and_its_dump_resolves_to_the_same(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    assert recipe.name == name
    assert recipe.our_choices
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_the_papers_numbers_are_in_the_recipes() -> None:
    resum = load_recipe(RECIPES / "resum.yaml")
    learner = resum.only("grpo", "resum_grpo")
    assert learner.grpo.advantage == PRESETS["resum"]
    assert learner.grpo.rollout.groups * learner.grpo.rollout.group_size == 512
    assert learner.agent.max_tool_calls == 60
    assert not learner.agent.trigger_fires(28_591)
    assert learner.agent.trigger_fires(28_592)
    baseline = load_recipe(RECIPES / "resum_grpo_baseline.yaml")
    plain = baseline.only("grpo", None)
    assert plain.grpo == learner.grpo
    assert (plain.model, plain.questions) == (learner.model, learner.questions)
    tested = [stage.agent.paradigm.value for stage in baseline.stages if stage.kind == "evaluate"]
    assert tested == ["react", "resum"]
    sailor = load_recipe(RECIPES / "websailor_v2.yaml")
    for name in ("rl_sim", "rl_live"):
        assert sailor.only("grpo", name).grpo.advantage == PRESETS["websailor_v2"]
        assert sailor.only("grpo", name).grpo.max_staleness == 0
    hala = load_recipe(RECIPES / "hala.yaml")
    merges = {stage.name: stage for stage in hala.stages if stage.kind == "merge"}
    assert set(merges) == {f"hala_{size}" for size in ("350m", "700m", "1200m", "9b")}
    assert {stage.merge.t for stage in merges.values()} == {0.5}
    assert {stage.base for stage in merges.values()} == {
        *(f"LiquidAI/LFM2-{size}" for size in ("350M", "700M", "1.2B")), "QCRI/Fanar-1-9B-Instruct"
    }  # fmt: skip


def test_what_hala_does_not_state_is_marked_at_every_stage() -> None:
    """papers.md §1c: no optimiser, epochs, batch, length; no merge setting but t and the base."""
    hala = load_recipe(RECIPES / "hala.yaml")
    for stage in hala.stages:
        if stage.kind == "sft":
            unknown = {f"sft.{name}" for name in ("optimiser", "epochs", "batch_size", "max_length", "seed")}
        elif stage.kind == "merge":
            unknown = {f"merge.{name}" for name in stage.merge.model_fields_set - {"t"}}
        else:
            continue
        assert unknown
        assert {f"{stage.name}.{name}" for name in unknown} <= set(hala.our_choices)


def test_a_typo_names_the_nearest_key(tmp_path: Path) -> None:
    text = (RECIPES / "resum.yaml").read_text().replace("max_staleness:", "max_stalness:")
    (tmp_path / "typo.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=r"max_stalness: no such key; did you mean 'max_staleness'"):
        load_recipe(tmp_path / "typo.yaml")


def test_a_choice_that_is_no_value_and_a_stage_that_is_not_made_are_refused(tmp_path: Path) -> None:
    text = (RECIPES / "hala.yaml").read_text()
    (tmp_path / "a.yaml").write_text(text.replace("teacher.scheme:", "teacher.schema:"))
    with pytest.raises(InvalidInput, match=r"teacher\.schema"):
        load_recipe(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text(text.replace('"@sft_350m"', '"@sft_35m"'))
    with pytest.raises(InvalidInput, match="no earlier stage"):
        load_recipe(tmp_path / "b.yaml")


def test_an_unknown_or_ambiguous_stage_names_what_there_is() -> None:
    recipe: Recipe = load_recipe(RECIPES / "websailor_v2.yaml")
    with pytest.raises(NotFound, match="did you mean rl_sim"):
        recipe.stage("rl_smi")
    with pytest.raises(InvalidInput, match="rl_sim, rl_live"):
        recipe.only("grpo", None)
    assert recipe.only("sft", None).name == "cold_start"


def test_what_is_no_yaml_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: [")
    with pytest.raises(InvalidInput, match="not YAML"):
        load_recipe(tmp_path / "x.yaml")


def test_halas_supervision_has_the_papers_sizes_and_they_add_up() -> None:
    """papers.md §1a, step 2: 405K rows give 810K pairs, 439,592 of about a million are kept, about 1.26M in all."""
    hala = load_recipe(RECIPES / "hala.yaml")
    stage = hala.only("bilingual", None)
    assert (stage.pairs.teacher.rows, stage.pairs.parallel.candidates) == (405_000, 1_000_000)
    assert stage.stated.model_dump() == {
        "teacher_rows": 405_000, "teacher_pairs": 810_000, "candidates": 1_000_000, "judged_pairs": 439_592,
        "pairs": 1_249_592, "rounded": 1_260_000,
    }  # fmt: skip
    assert (stage.pairs.teacher.sources, stage.pairs.parallel.sources) == (("openorca",), ("opus100",))
    assert stage.judge == "Qwen/Qwen2.5-3B-Instruct"
    corpus = hala.only("corpus", None)
    assert corpus.stated_rows == 4_500_000
    assert set(corpus.rows.sources) == set(HALA) - {"opus100"}
    six = {"alghafa", "aratrust", "arabicmmlu", "arbmmlu_ht", "arabic_exams", "madinah_qa"}
    measured = [one for one in hala.stages if one.kind == "measure" and one.benchmarks]
    assert [set(one.benchmarks) for one in measured] == [six] * 4


def test_what_one_stage_makes_is_what_the_next_one_reads() -> None:
    hala = load_recipe(RECIPES / "hala.yaml")
    assert hala.only("sft", "translator").data == f"{hala.only('bilingual', None).out}/pairs.jsonl"
    tuned = {one.data for one in hala.stages if one.kind == "sft" and one.name != "translator"}
    assert tuned == {f"{hala.only('corpus', None).out}/dataset"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [("teacher_pairs: 810000", "teacher_pairs: 810001", "405,000 rows give 810,000 pairs, not 810,001"),
     ("pairs: 1249592", "pairs: 1260000", "810,000 and 439,592 pairs are 1,249,592, not 1,260,000"),
     ("judged_pairs: 439592", "judged_pairs: 1439592", "1,439,592 of 1,000,000 candidates"),
     ("rounded: 1260000", "rounded: 1270000", "no rounding of 1,249,592"),
     ("rows: 405000", "rows: 400000", "stated are others"),
     ("harness: lighteval", "harness: lm-eval", "no task for aratrust"),
     ("[alghafa, aratrust", "[alghafa, truth", "no benchmark 'truth'")],
)  # fmt: skip
def test_sizes_that_do_not_add_up_and_benchmarks_that_nobody_has_are_refused(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    text = (RECIPES / "hala.yaml").read_text("utf-8")
    assert before in text
    (tmp_path / "wrong.yaml").write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(InvalidInput, match=said):
        load_recipe(tmp_path / "wrong.yaml")


def test_what_the_paper_leaves_open_of_the_supervision_and_the_corpus_is_marked() -> None:
    """papers.md §1c: decoding of teacher and translator, judge prompt, filters, which harness."""
    choices = set(load_recipe(RECIPES / "hala.yaml").our_choices)
    teacher = {f"bilingual.pairs.teacher.{name}" for name in ("unit", "translator", "filters")}
    parallel = {f"bilingual.pairs.parallel.{name}" for name in ("rules", "filters")}
    rest = {"bilingual.judge", "bilingual.pairs.style", "bilingual.pairs.cut", "bilingual.stated.pairs"}
    corpus = {f"corpus.rows.{name}" for name in ("unit", "translator", "filters", "duplicates")} | {"corpus.teacher"}
    measured = {f"measure_{size}.harness" for size in ("350m", "700m", "1200m", "9b")}
    assert teacher | parallel | rest | corpus | measured <= choices


@pytest.mark.parametrize("name", [*PUBLISHED, *MINIATURES])
def test_every_command_of_a_recipe_is_one_that_the_program_takes(name: str) -> None:
    import typer

    from sindbad.cli.main import app

    program = typer.main.get_command(app)
    recipe = load_recipe(file := RECIPES / f"{name}.yaml")
    for stage in recipe.stages:
        lines = commands(recipe, file, stage)
        assert lines
        for line in lines:
            words = shlex.split(line)
            assert words.pop(0) == "sindbad"
            here: click.Command = program
            context = click.Context(here)
            while isinstance(here, click.Group) and words and words[0] in here.commands:
                here = here.commands[words.pop(0)]
                context = click.Context(here, parent=context)
            here.parse_args(context, words)  # raises for an option that it has not, or an argument that is missing


def test_the_miniature_of_hala_has_its_steps_in_its_order_and_the_texts_that_it_says() -> None:
    from tests.e2e.hala_miniature import FOLDER, texts

    hala, mini = (load_recipe(RECIPES / f"{name}.yaml") for name in ("hala", "hala_mini"))
    steps = ["compress", "bilingual", "sft", "measure", "corpus", "sft", "merge", "measure"]
    assert [stage.kind for stage in mini.stages] == [stage.kind for stage in hala.stages][: len(steps)] == steps
    assert {name: (FOLDER / name).read_text("utf-8") for name in texts()} == texts()
    lines = [line for stage in mini.stages for line in commands(mini, Path("f"), stage, out=Path("elsewhere"))]
    assert "sindbad corpus export elsewhere/corpus --out elsewhere/corpus/dataset" in lines


def test_the_stages_of_a_recipe_hand_their_folders_on() -> None:
    recipe = load_recipe(file := RECIPES / "hala.yaml")
    lines = [line for stage in recipe.stages for line in commands(recipe, file, stage)]
    made = {words[words.index("--out") + 1] for line in lines if "--out" in (words := shlex.split(line))}
    assert {"runs/hala/teacher", "data/corpus/dataset"} <= made
    merges = [shlex.split(line)[2:5] for line in lines if line.startswith("sindbad merge")]
    assert merges[0] == ["LiquidAI/LFM2-350M", "runs/hala/models/sft_350m.folder", "runs/hala/hala_350m"]
