"""Merging whole folders: equality with the mergekit CLI, tokenizer and template choices, and a sweep that measures."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from sindbad.cli import merge as cli
from sindbad.demo.tokenizer import build_tokenizer
from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.quantize.configuration import QuantizeConfig
from sindbad.quantize.folder import quantise_folder
from sindbad.training.configuration import MergeConfig, OptimiserConfig, RunPaths, SFTConfig
from sindbad.training.examples import of_pair
from sindbad.training.merge import (
    REPORT_FILE,
    angle,
    merge_folders,
    merge_states,
    merge_tensor,
    merged_with,
    read_state,
)
from sindbad.training.sweep import HeldOutLoss, parse_measure, sweep_merge
from sindbad.translation.small_models import save_tokenizer
from tests.unit.training.conftest import tiny_model

SCHEDULE = [{"filter": "self_attn", "value": 0.2}, {"filter": "feed_forward", "value": [0, 1]}, {"value": 0.5}]


def save(folder: Path, seed: int, *, move: float = 0.0, dtype: torch.dtype = torch.float32, rows: int = 48) -> Any:
    """The base of seed 0, moved by noise of relative size ``move`` that differs between tensors (both branches)."""
    model = tiny_model(0, vocabulary=rows)
    torch.manual_seed(seed)
    with torch.no_grad():
        for index, value in enumerate(model.parameters()):
            noise = torch.randn_like(value)
            value.add_(noise * (move * (index % 3) * value.norm() / noise.norm()))
    model.to(dtype).save_pretrained(str(folder))
    return model


def tokenizer(folder: Path, *added: str, template: str = "") -> None:
    record = {
        "model": {"type": "WordLevel", "vocab": {f"w{i}": i for i in range(44)}, "unk_token": "w0"},
        "added_tokens": [
            {"id": 44 + i, "content": token, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False}
            for i, token in enumerate(added)
        ],
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(record))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template} if template else {}))


@pytest.mark.slow
@pytest.mark.parametrize(("t", "dtype"), [(0.5, "float32"), (SCHEDULE, "bfloat16")])
def test_a_merge_is_the_mergekit_command_lines(tmp_path: Path, t: Any, dtype: str) -> None:
    for name, seed, move in (("base", 0, 0.0), ("tuned", 1, 0.05)):
        save(tmp_path / name, seed, move=move)
        tokenizer(tmp_path / name)
    recipe = {
        "merge_method": "slerp", "base_model": str(tmp_path / "base"), "dtype": "float32", "out_dtype": dtype,
        "slices": [{"sources": [
            {"model": str(tmp_path / name), "layer_range": [0, 2]} for name in ("base", "tuned")
        ]}],
        "parameters": {"t": t},
    }  # fmt: skip
    (tmp_path / "merge.yaml").write_text(yaml.safe_dump(recipe))
    subprocess.run(
        [Path(sys.executable).parent / "mergekit-yaml", "--quiet", tmp_path / "merge.yaml", tmp_path / "theirs"],
        check=True, capture_output=True, timeout=240, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    config = MergeConfig.model_validate({"t": t, "out_dtype": dtype})
    report = merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / "ours", config)
    ours, theirs = read_state(tmp_path / "ours"), read_state(tmp_path / "theirs")
    assert {row.branch for row in report.tensors} == {"slerp", "lerp"}
    assert ours.keys() <= theirs.keys()
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype == getattr(torch, dtype)
        assert torch.equal(value, theirs[name]), name


def test_the_result_is_rounded_once_and_its_configuration_says_so(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    save(tmp_path / "base", 0)
    save(tmp_path / "tuned", 1, move=0.1)
    exact = merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / "f32")
    merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / "bf16", MergeConfig(out_dtype="bfloat16"))
    full, half = read_state(tmp_path / "f32"), read_state(tmp_path / "bf16")
    assert all(torch.equal(full[name].to(torch.bfloat16), half[name]) for name in full)
    assert AutoModelForCausalLM.from_pretrained(str(tmp_path / "bf16"), dtype="auto").dtype == torch.bfloat16
    assert all(row.branch == ("lerp" if row.angle < 1.8119 else "slerp") for row in exact.tensors)


def test_the_angle_of_nearly_equal_tensors_is_not_lost_to_rounding() -> None:
    left = torch.tensor([1.0, 0.0])
    assert angle(left, torch.tensor([1.0, 1e-5])) == pytest.approx(5.7296e-4, rel=1e-4)
    assert angle(left, torch.tensor([0.0, 3.0])) == pytest.approx(90)
    assert angle(left, -left) == pytest.approx(180)


def test_tokens_that_tuning_added_are_kept_or_refused_never_lost_in_silence(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base, tuned = tmp_path / "base", tmp_path / "tuned"
    save(base, 0)
    model = save(tuned, 1, move=0.1, rows=50)
    tokenizer(base, "<a>")
    tokenizer(tuned, "<a>", "<new>")
    with pytest.raises(InvalidInput, match=r"1 token \('<new>'\): choose --tokenizer tuned"):
        merge_folders(base, tuned, tmp_path / "x")
    with pytest.raises(InvalidInput, match="drop-added-tokens"):
        merge_folders(base, tuned, tmp_path / "x", MergeConfig(tokenizer="base"))
    assert not (tmp_path / "x").exists()
    merge_folders(base, tuned, tmp_path / "kept", MergeConfig(tokenizer="tuned"))
    loaded = AutoModelForCausalLM.from_pretrained(str(tmp_path / "kept"))
    rows = loaded.get_input_embeddings().weight
    assert rows.shape[0] == 50
    assert torch.equal(rows[48:], model.get_input_embeddings().weight[48:])
    assert "<new>" in (tmp_path / "kept" / "tokenizer.json").read_text()
    dropped = merge_folders(
        base, tuned, tmp_path / "cut", MergeConfig(tokenizer="base", drop_added_tokens=True)
    )  # fmt: skip
    assert dropped.dropped_tokens == ("<new>",)
    assert AutoModelForCausalLM.from_pretrained(str(tmp_path / "cut")).get_input_embeddings().weight.shape[0] == 48


@pytest.mark.parametrize("rows", [48, 50])
def test_added_tokens_that_stand_where_the_base_has_filling_are_the_tuned_models(tmp_path: Path, rows: int) -> None:
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    save(base, 0)
    model = save(tuned, 1, rows=rows)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(torch.randn(rows, 32))
    model.save_pretrained(str(tuned))
    tokenizer(base, "<a>")
    tokenizer(tuned, "<a>", "<new>", "<newer>")
    kept = merge_folders(base, tuned, tmp_path / "kept", MergeConfig(tokenizer="tuned"))
    name = "model.embed_tokens.weight"
    left, right, merged = (read_state(tmp_path / side)[name] for side in ("base", "tuned", "kept"))
    assert torch.equal(merged[45:47], right[45:47])
    assert torch.equal(merged[48:], right[48:])
    others = [*range(45), 47]
    expected = merge_tensor(left[others], right[others], MergeConfig())
    assert torch.equal(merged[others], expected)
    assert not any(torch.equal(merged[row], right[row]) for row in others)
    (row,) = [row for row in kept.tensors if row.name == name]
    assert row.added_rows == 2 + rows - 48
    assert {one.added_rows for one in kept.tensors if one.name != name} == {0}


def test_with_the_bases_tokenizer_filling_that_tuning_has_cut_off_stays_the_bases(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base, tuned = tmp_path / "base", tmp_path / "tuned"
    save(base, 0, rows=64)
    save(tuned, 1, rows=48)
    for folder in (base, tuned):
        tokenizer(folder, "<a>")
    merge_folders(base, tuned, tmp_path / "out")
    rows = AutoModelForCausalLM.from_pretrained(str(tmp_path / "out")).get_input_embeddings().weight
    assert rows.shape[0] == 64
    assert torch.equal(rows[48:], read_state(base)["model.embed_tokens.weight"][48:])


def test_vocabularies_numbered_differently_are_refused(tmp_path: Path) -> None:
    for name, tokens in (("base", ("<a>", "<b>")), ("tuned", ("<b>", "<a>"))):
        save(tmp_path / name, 0)
        tokenizer(tmp_path / name, *tokens)
    with pytest.raises(InvalidInput, match="number tokens differently"):
        merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / "x", MergeConfig(tokenizer="tuned"))


def test_a_changed_chat_template_needs_a_choice_and_the_choice_is_what_is_written(tmp_path: Path) -> None:
    for name in ("base", "tuned"):
        save(tmp_path / name, 0)
        tokenizer(tmp_path / name, template=f"of {name}")
    with pytest.raises(InvalidInput, match="--chat-template base or tuned"):
        merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / "x")
    for side in ("base", "tuned"):
        config = MergeConfig.model_validate({"chat_template": side})
        merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / side / "m", config)
        found = tmp_path / side / "m"
        file = found / "chat_template.jinja"
        text = file.read_text() if file.exists() else json.loads((found / "tokenizer_config.json").read_text())
        assert (text if isinstance(text, str) else text["chat_template"]) == f"of {side}"


def learnt(folder: Path, base: Path, pairs: list[tuple[str, str]]) -> Path:
    from transformers import AutoTokenizer

    from sindbad.training.examples import examples_of_pairs
    from sindbad.training.sft import load_causal_lm, run_sft, save_model_folder

    model, words = load_causal_lm(base), AutoTokenizer.from_pretrained(str(base))
    config = SFTConfig(steps=30, batch_size=4, optimiser=OptimiserConfig(lr=5e-3))
    run_sft(config, model, list(examples_of_pairs(words, pairs)), RunPaths.under(folder.parent / "work", "sft"))
    return save_model_folder(model, base, folder)


@pytest.mark.slow
def test_a_sweep_measures_every_t_and_writes_the_best_one(tmp_path: Path) -> None:
    words = build_tokenizer()
    tiny_model(0, vocabulary=len(words)).save_pretrained(str(tmp_path / "base"))
    save_tokenizer(words, tmp_path / "base")
    pairs = [("what is the capital", "the city is old"), ("who was born", "a king of the sea")] * 4
    learnt(tmp_path / "tuned", tmp_path / "base", pairs)
    (tmp_path / "dev.jsonl").write_text(
        "\n".join(json.dumps({"prompt": prompt, "completion": said}) for prompt, said in pairs[:2])
    )
    measure = parse_measure(f"loss:{tmp_path / 'dev.jsonl'}")
    found = sweep_merge(
        tmp_path / "base", tmp_path / "tuned", tmp_path / "best", [0, 0.5, 1], [measure], MergeConfig()
    )  # fmt: skip
    losses = [row.figures["loss.loss"] for row in found.rows]
    assert losses[0] > losses[1] > losses[2]
    assert (found.best, found.decided_by) == (1.0, "loss.loss")
    best, tuned = read_state(tmp_path / "best"), read_state(tmp_path / "tuned")
    assert all(torch.allclose(best[name], tuned[name], atol=1e-7) for name in best)
    assert json.loads((tmp_path / "best" / "merge_sweep.json").read_text())["best"] == 1.0
    app = typer.Typer()
    app.command()(cli.merge)
    done = CliRunner().invoke(
        app,
        [str(tmp_path / "base"), str(tmp_path / "tuned"), str(tmp_path / "cli"), "--sweep", "0,1",
         "--eval", f"chrf:{tmp_path / 'dev.jsonl'}", "--eval", f"loss:{tmp_path / 'dev.jsonl'}"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "best by chrf.chrf: t = 1" in done.output
    swept = json.loads((tmp_path / "cli" / "merge_sweep.json").read_text())["signatures"]
    assert swept.keys() == {"chrf.chrf", "chrf.bleu"}
    for name, marks in (("chrf.chrf", "nw:2"), ("chrf.bleu", "tok:intl")):
        assert marks in swept[name]
        assert f"{name}: {swept[name]}" in done.output


class Distance:
    """Measures without a model: the sweep's first t is the best."""

    name, higher_is_better = "n", False
    signatures: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, folder: Path) -> dict[str, float]:
        self.asked += 1
        return {"asked": float(self.asked)}


def test_what_a_killed_sweep_left_behind_is_removed_by_the_next_one(tmp_path: Path) -> None:
    save(tmp_path / "base", 0)
    save(tmp_path / "tuned", 1, move=0.05)

    def sweep(values: list[float], on_row: Any = None) -> None:
        sweep_merge(tmp_path / "base", tmp_path / "tuned", tmp_path / "out" / "merged", values, [Distance()],
                    MergeConfig(), on_row=on_row)  # fmt: skip

    half: list[Path] = []
    sweep([0.5], lambda row: half.extend((tmp_path / "out").iterdir()))
    (left,) = half  # as it is when a kill comes
    merged = {path.name for path in (tmp_path / "out" / "merged").iterdir()}
    assert merged >= {"model.safetensors", "config.json", REPORT_FILE, "merge_sweep.json"}
    assert not merged & {"best", "candidate"}
    shutil.copytree(tmp_path / "out" / "merged", left / "best")
    sweep([0.25, 0.75])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["merged"]
    assert merged_with(tmp_path / "out" / "merged").t == 0.25


def test_a_sweep_asks_for_values_and_a_known_evaluation(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="loss:FILE or chrf:FILE"):
        parse_measure("bleu:x")
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        sweep_merge(tmp_path, tmp_path, tmp_path / "o", [1.5], [HeldOutLoss((of_pair("a", "b"),))], MergeConfig())


def test_a_merge_leaves_the_old_target_when_it_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "base", 0)
    shutil.copytree(tmp_path / "base", tmp_path / "out")
    (tmp_path / "tuned").mkdir()
    with pytest.raises(Exception, match="safetensors"):
        merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("t", [0.25, (0.0, 1.0), SCHEDULE])
def test_a_merged_folder_says_how_it_was_merged(tmp_path: Path, t: Any) -> None:
    save(tmp_path / "base", 0)
    save(tmp_path / "tuned", 1, move=0.05)
    config = MergeConfig(t=t, dot_threshold=0.9, out_dtype="bfloat16")
    merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path / "merged", config)
    assert merged_with(tmp_path / "merged") == config
    with pytest.raises(NotFound, match="not merged by Sindbad"):
        merged_with(tmp_path / "base")
    (tmp_path / "merged" / REPORT_FILE).write_text('{"t": 0.5}')
    with pytest.raises(Corrupt, match="merge it again"):
        merged_with(tmp_path / "merged")


@pytest.mark.parametrize("scheme", ["int8", "fp8-dynamic"])
@pytest.mark.parametrize("side", ["base", "tuned"])
def test_quantised_folders_are_refused_in_a_merge_and_in_a_sweep(tmp_path: Path, scheme: str, side: str) -> None:
    for seed, name in enumerate(("base", "tuned")):
        save(tmp_path / name, seed, move=0.05)
        save_tokenizer(build_tokenizer(), tmp_path / name)
    folders = {name: tmp_path / name for name in ("base", "tuned")}
    config = QuantizeConfig.model_validate({"scheme": scheme, "backend": "own", "any_architecture": True})
    quantise_folder(folders[side], tmp_path / "eight", config)
    folders[side] = tmp_path / "eight"
    measures = [HeldOutLoss((of_pair("a", "b"),))]
    for merged in (
        lambda: merge_folders(folders["base"], folders["tuned"], tmp_path / "out"),
        lambda: sweep_merge(folders["base"], folders["tuned"], tmp_path / "out", [0.5], measures, MergeConfig()),
    ):
        with pytest.raises(InvalidInput, match=r"eight is quantised already .*merge the original models, then"):
            merged()
    assert not (tmp_path / "out").exists()
    app = typer.Typer()
    app.command()(cli.merge)
    done = CliRunner().invoke(app, [str(folders["base"]), str(folders["tuned"]), str(tmp_path / "out")])
    assert (done.exit_code, "quantised already" in done.output) == (1, True)


def test_eight_bit_tensors_are_refused_where_no_file_says_that_they_are_some() -> None:
    plain, scale = torch.ones(2, 2), torch.ones(2, 1)
    for codes in (torch.ones(2, 2, dtype=torch.int8), torch.ones(2, 2).to(torch.float8_e4m3fn)):
        eight = {"a.weight": codes, "a.weight_scale": scale}
        for pair in ((eight, eight), ({"a.weight": plain, "a.weight_scale": scale}, eight)):
            with pytest.raises(InvalidInput, match=r"a\.weight is torch\..*8.*merge the original models"):
                merge_states(*pair, MergeConfig())
    kept, _ = merge_states({"a.count": torch.tensor(3)}, {"a.count": torch.tensor(4)}, MergeConfig())
    assert kept["a.count"] == 3


def test_pairs_for_a_sweep_may_be_gzipped_and_a_null_is_named(tmp_path: Path) -> None:
    file = tmp_path / "dev.jsonl.gz"
    rows = [{"prompt": "what is", "completion": "the city"}] * 2
    for texts in (rows, [rows[0], {"prompt": "what", "completion": None}]):
        with gzip.open(file, "wt", encoding="utf-8") as out:
            out.write("\n".join(map(json.dumps, texts)))
        for kind in ("chrf", "loss"):
            if texts is rows:
                assert parse_measure(f"{kind}:{file}").name == kind
                continue
            with pytest.raises(InvalidInput, match=r"dev\.jsonl\.gz:2 .*completion is null"):
                parse_measure(f"{kind}:{file}")


def test_a_merge_and_a_sweep_never_replace_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="another folder"):
        merge_folders(tmp_path / "base", tmp_path / "tuned", tmp_path)
    with pytest.raises(InvalidInput, match="another folder"):
        sweep_merge(
            tmp_path / "base", tmp_path / "tuned", tmp_path, [0.5], [HeldOutLoss((of_pair("a", "b"),))], MergeConfig()
        )
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_merge_and_a_sweep_never_replace_what_they_read(tmp_path: Path) -> None:
    for seed, name in enumerate(("base", "tuned")):
        save(tmp_path / "models" / name, seed)
        tokenizer(tmp_path / "models" / name)
    base, tuned = tmp_path / "models" / "base", tmp_path / "models" / "tuned"
    before = {path: path.read_bytes() for path in (tmp_path / "models").rglob("*") if path.is_file()}
    for target in (base, tuned, tmp_path / "models", tmp_path / "models" / "base" / ".." / "tuned"):
        with pytest.raises(InvalidInput, match="holds what is read from"):
            merge_folders(base, tuned, target)
        with pytest.raises(InvalidInput, match="holds what is read from"):
            sweep_merge(base, tuned, target, [0.5], [HeldOutLoss((of_pair("a", "b"),))], MergeConfig())
    assert {path: path.read_bytes() for path in (tmp_path / "models").rglob("*") if path.is_file()} == before
