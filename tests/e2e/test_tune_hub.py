"""Translate-and-tune without files: the recipe's public data sets, streamed by ``datasets`` from a Hub on the loopback.

The repositories have the published names, files, configurations and columns; their rows are the demo's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sindbad.corpus.schemas import HALA, SCHEMAS
from sindbad.demo.world import build_world
from sindbad.translation.domain import parallel_pairs
from tests.contract.hub_server import Hub, serve_hub
from tests.e2e.missions import Demo
from tests.e2e.test_tune import RECIPE, finish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
EACH = 6
"""Instruction rows of every source that are read; every repository has more."""


def _chat(question: str, answer: str, role: str, content: str, names: tuple[str, str]) -> list[dict[str, str]]:
    return [{role: names[0], content: question}, {role: names[1], content: answer}]


def _rows(name: str, asked: str, said: str) -> dict[str, Any]:
    """A row of a source in its published columns."""
    sharegpt = _chat(asked, said, "from", "value", ("human", "gpt"))
    return {
        "openorca": {"id": "flan.1", "system_prompt": "", "question": asked, "response": said},
        "hermes3": {"conversations": sharegpt},
        "scp116k": {"domain": "Physics", "problem": asked, "matched_solution": said},
        "realign_alpaca": {"id": "0", "items": sharegpt},
        "lamini": {"instruction": asked, "response": said, "instruction_source": "alpaca"},
        "tulu3": {"id": "1", "source": "ai2-adapt-dev/flan_v2",
                  "messages": _chat(asked, said, "role", "content", ("user", "assistant"))},
        "synthetic_gptj": {"prompt": asked, "chosen": said, "rejected": "No."},
    }[name]  # fmt: skip


FILES = {
    "openorca": "1M-GPT4-Augmented.parquet", "hermes3": "hermes-3-dataset.json",
    "scp116k": "data/train-00000-of-00001.parquet", "realign_alpaca": "realign_alpaca.json",
    "lamini": "data/train-00000-of-00001.parquet", "tulu3": "data/train-00000-of-00001.parquet",
    "synthetic_gptj": "data/train-00000-of-00001.parquet",
}  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A Hub with HALA's eight data sets."""
    root = tmp_path_factory.mktemp("hub")
    pairs = [{"en": one.en, "ar": one.ar} for one in parallel_pairs([build_world(72_001)], 3, 120, masked_share=0.0)]
    opus = root / SCHEMAS["opus100"].hub
    for config, rows in (("ar-en", pairs), ("af-en", [{"en": "Hello", "af": "Hallo"}])):
        _write(opus / config / "train-00000-of-00001.parquet", [{"translation": row} for row in rows])
    card = {"configs": [{"config_name": name, "data_files": [{"split": "train", "path": f"{name}/train-*"}]}
                        for name in ("af-en", "ar-en")]}  # fmt: skip
    (opus / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n", "utf-8")
    world = build_world(72_002)
    said = [one.en for one in parallel_pairs([world], 4, 200, kinds=("sentence",), masked_share=0.0)]
    turns = iter(zip(said[::2], said[1::2], strict=True))
    for name, file in FILES.items():
        _write(root / SCHEMAS[name].hub / file, [_rows(name, *next(turns)) for _ in range(EACH + 4)])
    with serve_hub(root) as served:
        yield served


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(rows), "utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature, without a word about files of one's own."""
    stages = {name: {**stage, "settings": dict(stage.get("settings", {}))} for name, stage in RECIPE["stages"].items()}
    stages["parallel"]["settings"] = {"public_limit": 100, "public_held_out": 10}
    stages["corpus"]["settings"] = {"duplicates": None, "held_out": 0.2, "limit": EACH}
    for key in ("texts", "choice"):
        del stages["evaluate"]["settings"][key]
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "miniature-hub", "stages": stages}), "utf-8")
    return path


def test_without_files_the_public_data_sets_are_streamed_and_no_more_of_them_than_asked_for(
    hub: Hub, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # make sets 1: no other test may reach out
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    run = tmp_path / "run"
    finish(run, ("tune", "--recipe", str(recipe)))
    summary = json.loads((run / "tune.json").read_text("utf-8"))
    assert set(summary["translation"]) == {"opus100"}
    assert 0 < summary["pairs"] <= 90  # of 100, ten are held out
    assert summary["corpus"]["records"] == EACH * (len(HALA) - 1)
    assert summary["corpus"]["kept"] > 0
    assert any("Non-commercial" in sentence for sentence in summary["corpus"]["obligations"])  # LaMini and others
    fetched = [line for line in hub.asked if line.startswith("GET") and "/resolve/" in line]
    assert not [line for line in fetched if "af-en" in line]
    for name in HALA:
        assert any(f"/datasets/{SCHEMAS[name].hub}/resolve/" in line for line in fetched), name


def test_a_hub_that_cannot_be_reached_is_an_error_that_says_what_to_do(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    process = Demo(tmp_path / "run", words=("tune", "--recipe", str(recipe)))
    try:
        assert process.end() == 1
    finally:
        process.kill_all()
    assert "Helsinki-NLP/opus-100 cannot be read from the Hub" in process.text
    assert "--data" in process.text
    assert "Traceback" not in process.text
