"""Checkpoints are gone on from by the training that wrote them, and by no other one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from sindbad.demo.tokenizer import build_tokenizer, save_tokenizer
from sindbad.errors import InvalidInput
from sindbad.training.checkpoint import latest_checkpoint, list_checkpoints, save_checkpoint
from sindbad.training.configuration import GRPOConfig, OptimiserConfig
from sindbad.training.sft import RunPaths, run_sft
from sindbad.training.subject import check_resumable, grpo_subject
from tests.unit.training.conftest import tiny_model
from tests.unit.training.test_sft import copy_task, fast

OTHERS: dict[str, Callable[[Path], Any]] = {
    "data": lambda run: run_sft(fast(steps=4), tiny_model(), copy_task(64, seed=1), RunPaths.under(run, "sft")),
    "base model": lambda run: run_sft(fast(steps=4), tiny_model(seed=1), copy_task(64), RunPaths.under(run, "sft")),
    "settings": lambda run: run_sft(fast(steps=6), tiny_model(), copy_task(64), RunPaths.under(run, "sft")),
}


@pytest.mark.parametrize("part", OTHERS)
def test_a_run_does_not_go_on_from_the_checkpoints_of_another_training(tmp_path: Path, part: str) -> None:
    run_sft(fast(steps=4), tiny_model(), copy_task(64), RunPaths.under(tmp_path, "sft"))
    with pytest.raises(InvalidInput, match=rf"not the same: {part}\)") as caught:
        OTHERS[part](tmp_path)
    assert caught.value.reason == "OTHER_TRAINING"
    assert "to train anew" in caught.value.message


def test_how_fast_a_run_goes_and_what_it_says_may_change(tmp_path: Path) -> None:
    paths = RunPaths.under(tmp_path, "sft")
    run_sft(fast(steps=4), tiny_model(), copy_task(64), paths)
    changed = fast(steps=4, log_every=1, checkpoint_every=9, validate_every=3, token_budget=64, max_length=99)
    assert run_sft(changed, tiny_model(), copy_task(64), paths).steps == 4


def test_a_checkpoint_that_names_no_training_is_refused_and_one_line_makes_it_usable(tmp_path: Path) -> None:
    paths, model = RunPaths.under(tmp_path, "sft"), tiny_model()
    run_sft(fast(steps=4), model, copy_task(64), paths)
    state = list_checkpoints(paths.checkpoints)[-1] / "state.json"
    known = json.loads(state.read_text())
    state.write_text(json.dumps({name: value for name, value in known.items() if name != "training"}))
    with pytest.raises(InvalidInput, match="earlier version") as caught:
        run_sft(fast(steps=4), tiny_model(), copy_task(64), paths)
    line = caught.value.message[caught.value.message.index("add {") + 4 : caught.value.message.rindex(" to ")]
    state.write_text(json.dumps({**json.loads(state.read_text()), **json.loads(line)}))
    assert run_sft(fast(steps=4), tiny_model(), copy_task(64), paths).steps == 4


def test_grpo_goes_on_with_the_same_policy_questions_and_settings_and_for_more_steps(tmp_path: Path) -> None:
    config = GRPOConfig(steps=2)
    model, optimiser = tiny_model(), torch.optim.AdamW(tiny_model().parameters())
    save_checkpoint(tmp_path, 0, model, optimiser, {"training": grpo_subject(config, model, "asked")})
    longer = config.model_copy(update={"steps": 9, "threads": 2, "max_seconds": 5.0})
    check_resumable(tmp_path, grpo_subject(longer, model, "asked"))
    falling = OptimiserConfig(lr=3e-4, min_lr_fraction=0.1)
    for changed, base, asked in (
        (config, model, "others"),
        (config, tiny_model(seed=1), "asked"),
        (config.model_copy(update={"seed": 1}), model, "asked"),
        (config.model_copy(update={"optimiser": falling}), model, "asked"),
    ):
        with pytest.raises(InvalidInput, match="another training"):
            check_resumable(tmp_path, grpo_subject(changed, base, asked))


def test_a_falling_rate_is_of_its_number_of_steps() -> None:
    falling = GRPOConfig(steps=2, optimiser=OptimiserConfig(lr=3e-4, min_lr_fraction=0.1))
    longer = falling.model_copy(update={"steps": 3})
    assert grpo_subject(falling, tiny_model(), "") != grpo_subject(longer, tiny_model(), "")


@pytest.mark.slow
async def test_a_grpo_run_with_other_questions_is_refused_and_with_the_same_ones_goes_on(tmp_path: Path) -> None:
    from tests.unit.training.toy import run_toy, toy_config

    config = toy_config(1)
    await run_toy(tmp_path, config, data="one")
    with pytest.raises(InvalidInput, match="not the same: data"):
        await run_toy(tmp_path, config, data="other")
    assert (await run_toy(tmp_path, toy_config(2), data="one")).resumed_from == 1


# -- the commands ------------------------------------------------------------------------------------------------------


def command(tmp_path: Path, kind: str, *given: object) -> tuple[int, str]:
    from sindbad.cli import train

    result = CliRunner().invoke(train.app, [kind, "--recipe", str(tmp_path / "r.yaml"), *map(str, given)])
    return result.exit_code, result.output


def pairs(folder: Path, word: str, licence: str) -> Path:
    folder.mkdir()
    rows = [{"prompt": f"say {word} {i}", "completion": f"{word} {i}", "licences": [licence]} for i in range(16)]
    (folder / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "counts.json").write_text(json.dumps({"origins": {word: {"licences": [licence], "lines": 16}}}))
    return folder / "pairs.jsonl"


def test_train_sft_with_other_data_does_not_publish_the_old_weights_under_the_new_licence(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tiny_model(vocabulary=-(-len(tokenizer) // 16) * 16).save_pretrained(str(tmp_path / "base"))
    save_tokenizer(tmp_path / "base")
    stage = {"kind": "sft", "name": "a", "model": "x", "data": "y", "sft": {"steps": 2, "batch_size": 4}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"name": "r", "source": "s", "stages": [stage]}))
    first, second = pairs(tmp_path / "1", "tea", "cc-by-nc-4.0"), pairs(tmp_path / "2", "sea", "mit")
    known = ("--model", tmp_path / "base", "--run", tmp_path / "run", "--data")
    assert command(tmp_path, "sft", *known, first)[0] == 0
    made = tmp_path / "run" / "models" / "a.folder"
    before = {name: (made / name).read_bytes() for name in ("model.safetensors", "README.md")}
    code, said = command(tmp_path, "sft", *known, second)
    assert code == 1
    assert "not the same: data" in said
    assert {name: (made / name).read_bytes() for name in before} == before
    assert command(tmp_path, "sft", *known, first)[0] == 0  # and the same ones go on


def test_train_grpo_with_other_questions_is_refused_before_anything_is_asked_or_written(tmp_path: Path) -> None:
    from sindbad.training.recipe import load_recipe
    from tests.unit.curation.making import ENGLISH

    model = tiny_model()
    model.save_pretrained(str(tmp_path / "base"))
    save_tokenizer(tmp_path / "base")
    stage = {"kind": "grpo", "name": "rl", "model": "x", "questions": "y", "curator": {}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"name": "r", "source": "s", "stages": [stage]}))
    (tmp_path / "q.jsonl").write_text(json.dumps(ENGLISH.to_record()) + "\n")
    subject = grpo_subject(load_recipe(tmp_path / "r.yaml").only("grpo", "rl").grpo, model, "other questions")
    checkpoints = tmp_path / "run" / "checkpoints" / "rl"
    save_checkpoint(checkpoints, 0, model, torch.optim.AdamW(model.parameters()), {"training": subject})
    found = sorted(checkpoints.rglob("*"))
    code, said = command(
        tmp_path, "grpo", "--model", tmp_path / "base", "--questions", tmp_path / "q.jsonl", "--run", tmp_path / "run"
    )
    assert code == 1
    assert "not the same: data" in said
    assert sorted(checkpoints.rglob("*")) == found


# -- the scripts that make the committed models ------------------------------------------------------------------------


def test_the_judges_training_goes_on_from_its_own_configuration_only(tmp_path: Path) -> None:
    from sindbad.judging.train_local import JudgeTraining, new_judge, train

    tokenizer, config = build_tokenizer(), JudgeTraining(steps=1, batch=2)
    model = new_judge(config, tokenizer)
    save_checkpoint(tmp_path, 1, model, torch.optim.AdamW(model.parameters()), {"loss": 0.5, "training": {}})
    with pytest.raises(InvalidInput, match="another training"):
        train(config, tokenizer, checkpoints=tmp_path)


def test_the_teachers_training_goes_on_from_its_own_texts_only(tmp_path: Path) -> None:
    from sindbad.translation.train_teacher import train_teacher

    for seed in (0, 1):
        if seed:
            with pytest.raises(InvalidInput, match="not the same: base model, data, settings"):
                train_teacher(tmp_path / "out", steps=1, batch_size=2, seed=seed, work=tmp_path / "work")
        else:
            train_teacher(tmp_path / "out", steps=1, batch_size=2, seed=seed, work=tmp_path / "work")
    assert latest_checkpoint(tmp_path / "work" / "checkpoints" / "teacher") is not None
