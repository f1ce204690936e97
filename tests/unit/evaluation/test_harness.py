"""The harness command without a harness: names, local files, generated tasks, the child, and real results files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sindbad.cli import evaluate_harness
from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.evaluation.harness.benchmarks import BENCHMARKS, Harness, find_benchmark
from sindbad.evaluation.harness.environment import find_python
from sindbad.evaluation.harness.results import HarnessRun, count_details, harness_table, read_lighteval, read_lm_eval
from sindbad.evaluation.harness.rows import LocalData, write_local_data
from sindbad.evaluation.harness.tasks import (
    Asked,
    lighteval_command,
    lighteval_names,
    lighteval_plan,
    lm_eval_command,
    lm_eval_files,
    write_lm_eval_tasks,
)
from sindbad.evaluation.tables import as_text
from tests.shared import ROOT, shared

WRITTEN = Path(__file__).with_name("harness_results")
MODEL = ROOT / "sindbad" / "demo" / "models" / "base-agent"


def test_the_six_benchmarks_are_the_116_tasks_of_the_leaderboard() -> None:
    six = [one for name, one in BENCHMARKS.items() if name != "acva"]
    names = [task for one in six for task in one.tasks(Harness.LIGHTEVAL)]
    assert len(names) == len(set(names)) == 8 + 40 + 57 + 1 + 2 + 8
    assert {"arabic_exams", "arabic_mmlu:Law (Professional)", "aratrust:MentalHealth"} <= set(names)
    assert not any(name.endswith(":All") for name in names)


@pytest.mark.parametrize("name", ["madinah_qa", "aratrust", "arbmmlu_ht"])
def test_what_lm_eval_lacks_is_told_with_the_harness_that_has_it(name: str) -> None:
    with pytest.raises(InvalidInput, match="--with lighteval"):
        find_benchmark(name).tasks(Harness.LM_EVAL)
    assert find_benchmark(name).tasks(Harness.LIGHTEVAL)


def written(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Subset → rows, by the folder's own header."""
    header = json.loads((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    found = {}
    for config in header["configs"]:
        text = (folder / config["data_files"][0]["path"]).read_text(encoding="utf-8")
        found[config["config_name"]] = [json.loads(line) for line in text.splitlines()]
    return found


def test_real_exams_rows_get_the_columns_that_both_tasks_read(tmp_path: Path) -> None:
    file = shared("data", "arabic_eval", "exams_ar.jsonl.gz")
    data = write_local_data(BENCHMARKS["arabic_exams"], file, tmp_path)
    rows = written(tmp_path)["default"]
    assert data.items == {"default": 477} == {"default": data.converted}
    assert all({"subject", "question", "A", "B", "C", "D"} < row.keys() and row["answer"] in "ABCD" for row in rows)
    assert (rows[0]["C"], rows[0]["answer"], rows[0]["subject"]) == ("خزنة جهنم", "C", "Islamic Studies")


def test_real_aratrust_rows_keep_their_words_and_get_letters_that_the_task_knows(tmp_path: Path) -> None:
    data = write_local_data(BENCHMARKS["aratrust"], shared("data", "arabic_eval", "aratrust.jsonl.gz"), tmp_path)
    rows = written(tmp_path)
    assert set(rows) == set(BENCHMARKS["aratrust"].subsets)
    assert (sum(data.items.values()), data.left_out) == (442, {"": 1})
    assert {row["Answer"] for subset in rows.values() for row in subset} == {"أ", "ب", "ج"}
    assert rows["Trustfulness"][0]["A"] == "أ) أنثى الحيوان"


def test_real_acva_rows_find_their_subset(tmp_path: Path) -> None:
    data = write_local_data(BENCHMARKS["acva"], shared("data", "arabic_eval", "acva.jsonl.gz"), tmp_path)
    assert (sum(data.items.values()), len(data.items), data.left_out, data.converted) == (5181, 58, {}, 0)


def test_real_arabicmmlu_rows_are_brought_into_the_columns_of_the_hub(tmp_path: Path) -> None:
    file = shared("data", "noncommercial", "arabicmmlu_subset.EVAL_ONLY.jsonl.gz")
    data = write_local_data(BENCHMARKS["arabicmmlu"], file, tmp_path)
    row = written(tmp_path)["Driving Test"][0]
    assert (sum(data.items.values()), data.left_out) == (2130, {})
    assert (row["Option 2"], row["Option 3"], row["Answer Key"], row["Level"]) == ("العبارة خاطئة", None, "A", None)
    assert "Biology (High School)" in data.items


def test_a_file_of_one_subset_needs_its_name(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"query": "س", "sol1": "1", "sol2": "2", "label": "0"}) + "\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="--subset"):
        write_local_data(BENCHMARKS["alghafa"], file, tmp_path / "a")
    data = write_local_data(BENCHMARKS["alghafa"], file, tmp_path / "b", subset="meta_ar_msa")
    assert data.items == {"meta_ar_msa": 1}


def test_the_column_that_names_a_subset_is_no_option_of_an_item(tmp_path: Path) -> None:
    row = {"query": "س", "sol1": "1", "sol2": "2", "label": "0"}
    (tmp_path / "rows.jsonl").write_text(json.dumps({**row, "subset": "meta_ar_msa"}) + "\n", encoding="utf-8")
    write_local_data(BENCHMARKS["alghafa"], tmp_path / "rows.jsonl", tmp_path / "made")
    assert written(tmp_path / "made") == {"meta_ar_msa": [row]}


def test_a_row_of_another_set_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"acva.jsonl.gz:1 is no row of aratrust"):
        write_local_data(BENCHMARKS["aratrust"], shared("data", "arabic_eval", "acva.jsonl.gz"), tmp_path)


def test_lm_eval_is_given_its_own_task_with_another_path(tmp_path: Path) -> None:
    benchmark = BENCHMARKS["arabicmmlu"]
    file = tmp_path / "tasks" / benchmark.folder / "arabicmmlu_driving_test.yaml"
    file.parent.mkdir(parents=True)
    file.write_text('"dataset_name": "Driving Test"\n"include": "x"\n"task": "arabicmmlu_driving_test"\n')
    (file.parent / "_arabicmmlu.yaml").write_text("group: arabicmmlu\ntask:\n- arabicmmlu_other\n")
    assert lm_eval_files(tmp_path, benchmark) == {"Driving Test": ("arabicmmlu_driving_test", file)}
    data = LocalData(tmp_path / "data", {"Driving Test": 3}, 0)
    assert write_lm_eval_tasks(tmp_path, benchmark, data, tmp_path / "made") == ["arabicmmlu_driving_test"]
    made = json.loads((tmp_path / "made" / "arabicmmlu_driving_test.yaml").read_text())
    assert (made["include"], made["dataset_path"]) == (str(file), str(tmp_path / "data"))
    assert not {"doc_to_text", "doc_to_choice", "process_docs", "metric_list"} & made.keys()
    with pytest.raises(InvalidInput, match="no task of arabicmmlu for Cooking"):
        write_lm_eval_tasks(tmp_path, benchmark, LocalData(tmp_path, {"Cooking": 1}, 0), tmp_path)


def test_the_commands_say_what_was_asked(tmp_path: Path) -> None:
    asked = Asked(MODEL, batch=4, chat=False, first=5)
    lm_eval = lm_eval_command(Path("/p"), ["arabic_exams"], asked, tmp_path / "out", None)
    assert lm_eval[-2:] == ["--limit", "5"]
    assert "--apply_chat_template" not in lm_eval
    assert "--include_path" not in lm_eval
    assert (
        lm_eval_command(Path("/p"), ["a"], Asked(MODEL, chat=True), tmp_path, tmp_path)[-1] == "--apply_chat_template"
    )
    benchmark, data = BENCHMARKS["aratrust"], LocalData(tmp_path, {"Ethics": 2}, 0)
    names = lighteval_names(benchmark, benchmark.tasks(Harness.LIGHTEVAL), data)
    command = lighteval_command(Path("/p"), tmp_path / "tasks.txt", names, asked, tmp_path / "out")
    assert (tmp_path / "tasks.txt").read_text() == "aratrust:Ethics|0\n"
    assert "override_chat_template=False" in command[4]
    assert json.loads(lighteval_plan(names, data))["repository"] == str(tmp_path)
    assert json.loads(lighteval_plan(names, None))["repository"] is None


def test_results_that_lm_eval_wrote_are_read_with_both_accuracies() -> None:
    (scores,) = read_lm_eval(json.loads((WRITTEN / "lm_eval.json").read_text()))
    assert (scores.task, scores.items, scores.shots) == ("arabic_exams", 477, 0)
    assert scores.raw.value == pytest.approx(124 / 477)
    assert scores.normalised is not None
    assert scores.raw.stderr == pytest.approx(0.0201, abs=1e-4)


def test_results_that_lighteval_wrote_are_read_with_both_accuracies() -> None:
    (scores,) = read_lighteval(json.loads((WRITTEN / "lighteval.json").read_text()), {"arabic_exams|0": 20})
    assert (scores.task, scores.items, scores.shots, scores.raw.value) == ("arabic_exams", 20, 0, 0.25)
    assert scores.normalised == scores.raw


def test_a_group_is_left_to_its_tasks_and_a_missing_metric_is_a_dash() -> None:
    found = {
        "results": {"g": {"acc,none": 0.75}, "a": {"acc,none": 1.0}, "b": {"acc,none": 0.5}},
        "group_subtasks": {"g": ["a", "b"], "a": []},
        "n-samples": {"a": {"effective": 10}, "b": {"effective": 30}},
        "n-shot": {"a": 0, "b": 0},
    }
    scores = read_lm_eval(found)
    run = HarnessRun("arabicmmlu", Harness.LM_EVAL, "1", "2", "m", "as by default", scores, {})
    rows = harness_table([run]).rows
    assert [row[1] for row in rows] == ["a", "b", "arabicmmlu, by items", "arabicmmlu, mean of tasks"]
    assert [row[4].split()[0] for row in rows] == ["100.0", "50.0", "62.5", "75.0"]
    assert {row[5] for row in rows} == {"–"}
    assert "mean of tasks" in as_text([harness_table([run])])


def test_results_of_another_form_are_told() -> None:
    found = {"results": {"x|0": {"f1": 1.0}}}
    with pytest.raises(Corrupt, match="another form"):
        read_lm_eval(found)
    with pytest.raises(Corrupt, match="one accuracy"):
        read_lighteval({"results": {"x|0": {"acc_raw": 1.0}}}, {"x|0": 1})


def test_items_are_counted_in_the_details_of_lighteval(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "details" / "model" / "details_arabic_mmlu:Law (Professional)|0_2026-11-23T09-32-02.4.parquet"
    file.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.table({"doc": ["a", "b", "c"]}), file)
    assert count_details(tmp_path) == {"arabic_mmlu:Law (Professional)|0": 3}


def test_a_harness_that_is_not_installed_is_told_with_its_installer(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"scripts/install.sh lighteval.*SINDBAD_LIGHTEVAL_PYTHON"):
        find_python(Harness.LIGHTEVAL, tmp_path / "python")


def test_the_command_refuses_before_any_harness_works() -> None:
    app = typer.Typer()
    evaluate_harness.register(app)
    app.command()(lambda: None)
    arguments = ["harness", "aratrust", "--with", "lighteval", "--with", "lm-eval", "--model", str(MODEL)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert "lm-eval has no task for aratrust" in result.output
    assert "lighteval:" not in result.output
