"""The first step of `sindbad tune` with a judge and a teacher, on real sentence pairs; without both it is as before."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.plan import parse_settings
from pipelines.stage import Stage
from pipelines.stages.parallel_text import write
from pipelines.tune_recipe import COMPONENTS, load_tune_recipe
from sindbad.corpus.parallel import ParallelFile, load_pairs, read_parallel
from sindbad.errors import EngineFailure, InvalidInput
from tests.shared import shared
from tests.unit.corpus.chat_server import JUDGING, TRANSLATING, ChatServer, serving
from tests.unit.pipelines.test_tune_recipe import RECIPE, small

TATOEBA = "parallel/tatoeba_en_ar.train.tsv.gz"
PLAIN = re.compile(r"[A-Z][a-z ]{20,60}\.")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 real pairs, and instruction rows made of others."""
    folder = tmp_path_factory.mktemp("data")
    pairs = real_pairs()
    (folder / "pairs.tsv").write_text("en\tar\n" + "".join(f"{en}\t{ar}\n" for en, ar in pairs[:60]), "utf-8")
    rows = [
        {"instruction": asked, "input": "", "output": said}
        for (asked, _), (said, _) in zip(pairs[60:68:2], pairs[61:69:2], strict=True)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def real_pairs() -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    file = ParallelFile(path=Path(TATOEBA), licence="CC BY 2.0 FR")
    for en, ar in read_parallel(shared("data"), file, training=True):
        if PLAIN.fullmatch(en) and ar.count(".") <= 1 and not re.search(r"[A-Za-z0-9]", ar):
            found.setdefault(en, ar)
    return list(found.items())[:80]


def run(data: Path, folder: Path, **more: Any) -> tuple[dict[str, float], Path]:
    """The step as a pipeline runs it: its settings travel as JSON."""
    asked = {"train": {"own": {"path": "pairs.tsv", "licence": "CC BY 2.0 FR", "held_out": 10}}, "vocabulary": 600}
    settings = parse_settings(COMPONENTS, "parallel", {**asked, **more}).model_dump(mode="json")
    stage = Stage("parallel", str(folder), 60.0, settings, "d")
    return write(stage.to_json(), str(data), str(folder / "out")), folder / "out"


def content(folder: Path) -> dict[str, str]:
    """Every file of a result by its hash."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.slow
def test_a_judge_that_accepts_everything_changes_no_byte(data: Path, tmp_path: Path) -> None:
    with serving(ChatServer(lambda prompt: "accept")) as server:
        judge = {"endpoint": {"base_url": server.url, "model": "qwen"}}
        _, judged = run(data, tmp_path / "judged", judge=judge)
    _, plain = run(data, tmp_path / "plain")
    assert content(judged) == content(plain)
    assert {"train.jsonl", "about.json", "tests/own.jsonl"} <= set(content(plain))
    assert len(server.judged()) == len(load_pairs(plain / "train.jsonl"))  # what is held out is not paid for


def test_the_judges_rejections_are_counted_and_a_second_run_asks_nothing(data: Path, tmp_path: Path) -> None:
    def answer(prompt: str) -> str:
        return "Perhaps." if "English: I " in prompt else "reject" if "English: He " in prompt else "accept"

    with serving(ChatServer(answer)) as server:
        judge = {"endpoint": {"base_url": server.url, "model": "qwen"}}
        metrics, out = run(data, tmp_path, judge=judge)
        asked = list(server.answered)
        again, _ = run(data, tmp_path, judge=judge)
        assert server.answered == asked
    assert metrics == again
    about = json.loads((out / "about.json").read_text("utf-8"))
    kept = load_pairs(out / "train.jsonl")
    reject, vague = about["dropped"]["judge_reject"], about["dropped"]["judge_unparsable"]
    assert min(reject, vague) > 0
    assert len(kept) == about["pairs"] == about["sources"]["own"] == len(asked) - reject - vague
    assert not [en for en, _ in kept if en.startswith(("I ", "He "))]


def test_a_judge_without_a_verdict_ends_the_step(data: Path, tmp_path: Path) -> None:
    with serving(ChatServer(lambda prompt: "Perhaps.")) as server:
        judge = {"endpoint": {"base_url": server.url, "model": "qwen", "parallel": 1}, "silent_pairs": 6}
        with pytest.raises(EngineFailure, match="qwen had no verdict on 6 pairs"):
            run(data, tmp_path, judge=judge)
    assert len(server.answered) == 6


def test_a_teachers_rows_join_with_their_licences_and_no_judge_sees_them(data: Path, tmp_path: Path) -> None:
    known = dict(real_pairs())

    def answer(prompt: str) -> str:
        return "accept" if prompt.startswith(JUDGING) else known[prompt.removeprefix(TRANSLATING)]

    with serving(ChatServer(answer)) as server:
        judge = {"endpoint": {"base_url": server.url, "model": "qwen"}}
        teacher = {
            "sources": ["alpaca=rows.jsonl@apache-2.0"], "rows": 3, "revision": "one", "licence": "cc-by-nc-4.0",
            "connection": {"endpoint": server.url, "endpoint_model": "command"},
        }  # fmt: skip
        _, out = run(data, tmp_path, judge=judge, teacher=teacher)
        translated = [prompt for prompt in server.answered if prompt.startswith(TRANSLATING)]
        run(data, tmp_path, judge=judge, teacher=teacher)
        assert len(translated) == len([one for one in server.answered if one.startswith(TRANSLATING)])
    about = json.loads((out / "about.json").read_text("utf-8"))
    assert len(translated) == about["sources"]["teacher"] == 6  # question and answer of three rows
    assert about["licences"] == ["CC BY 2.0 FR", "apache-2.0", "cc-by-nc-4.0"]
    assert about["licence"] == "cc-by-nc-4.0"
    assert about["pairs"] == about["sources"]["own"] + 6
    assert len(server.judged()) == about["sources"]["own"]
    pairs = set(load_pairs(out / "train.jsonl"))
    assert {
        (prompt.removeprefix(TRANSLATING), known[prompt.removeprefix(TRANSLATING)]) for prompt in translated
    } <= pairs


def test_the_teachers_rows_are_covered_by_content_and_looked_for_before_a_run(tmp_path: Path) -> None:
    teacher = (
        "stages.parallel.settings.teacher={sources: ['alpaca=rows.jsonl@mit'], licence: mit, revision: one, "
        "connection: {endpoint: 'http://127.0.0.1:1/v1', endpoint_model: m}}"
    )
    recipe = load_tune_recipe(RECIPE, small(tmp_path, teacher))
    recipe.check_inputs()
    before = recipe.stage("parallel", tmp_path / "run").digest
    (tmp_path / "rows.jsonl").write_text('{"instruction": "c", "input": "", "output": "d"}\n', "utf-8")
    assert recipe.stage("parallel", tmp_path / "run").digest != before
    with pytest.raises(InvalidInput, match=r"away\.jsonl"):
        load_tune_recipe(RECIPE, small(tmp_path, teacher.replace("rows.jsonl", "away.jsonl"))).check_inputs()
