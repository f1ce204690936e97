"""The comparison with the original, its inputs, and the pages."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.errors import InvalidInput, NotFound
from sindbad.quantize.agreement import AgreementConfig, compare_folders, divergences, greedy, token_share
from sindbad.quantize.configuration import QuantizeConfig
from sindbad.quantize.folder import QuantizationReport, quantise_folder
from sindbad.quantize.heldout import HeldOut, read_held_out
from sindbad.quantize.numerics import Scheme
from sindbad.quantize.report import as_markdown, as_record, write_reports
from sindbad.quantize.throughput import Throughput
from sindbad.translation.train_teacher import FOLDER as TEACHER
from sindbad.translation.train_teacher import heldout_pairs
from tests.unit.quantize.tiny import tiny, tiny_folder

FEW = AgreementConfig(max_tokens=12, batch=2)


def rows(count: int) -> list[HeldOut]:
    return [HeldOut(pair.en, pair.ar) for pair in heldout_pairs(count=count)]


def test_divergences_are_the_definition_row_by_row_whatever_the_batch() -> None:
    models = (tiny("lfm2", seed=1).eval(), tiny("lfm2", seed=2).eval())
    prompts, told = [[1, 5, 9], [1, 7], [4, 4, 4, 4, 4]], [[3, 8], [6], [2, 2, 2]]
    found = divergences(models, prompts, told, FEW)
    for prompt, target, row in zip(prompts, told, found, strict=True):
        for place, (kl, equal) in enumerate(row):
            ids = torch.tensor([[*prompt, *target[:place]]])
            with torch.no_grad():
                left, right = (model(input_ids=ids).logits[0, -1].double().softmax(-1) for model in models)
            expected = float((left * (left.log() - right.log())).sum())
            assert kl == pytest.approx(expected, rel=1e-3)
            assert equal == (int(left.argmax()) == int(right.argmax()))
    assert [len(row) for row in found] == [2, 1, 3]


def test_greedy_outputs_do_not_depend_on_the_batch_and_end_before_the_stop() -> None:
    model = tiny("lfm2").eval()
    prompts = [[1, 5, 9], [1, 7], [4, 4, 4, 4, 4]]
    together = greedy(model, prompts, (931,), AgreementConfig(max_tokens=6, batch=3))
    alone = [greedy(model, [prompt], (931,), AgreementConfig(max_tokens=6))[0] for prompt in prompts]
    assert together == alone
    first = together[0][2]
    assert greedy(model, prompts[:1], (first,), FEW)[0] == together[0][: together[0].index(first)]


def test_the_share_of_equal_tokens_counts_what_one_side_lacks() -> None:
    assert token_share([1, 2, 3, 4], [1, 9, 3]) == 0.5
    assert token_share([], []) == 1.0
    assert token_share([1], []) == 0.0


def test_a_model_beside_itself_agrees_entirely_and_eight_bits_cost_little(tmp_path: Path) -> None:
    quantise_folder(TEACHER, tmp_path / "int8", QuantizeConfig(scheme=Scheme.INT8, backend="own"))
    found = compare_folders(TEACHER, tmp_path / "int8", rows(12))
    assert 0 < found.kl_mean.value < 1e-3
    assert found.kl_mean.low <= found.kl_mean.value <= found.kl_mean.high
    assert found.kl_p99 <= found.kl_max
    assert found.top1 > 0.99
    assert found.chrf_original is not None
    assert found.chrf_original > 90
    assert abs(found.chrf_difference or 0.0) < 1
    assert "nw:2" in found.signature
    assert "tok:intl" in found.bleu_signature


def test_a_damaged_layer_shows_in_every_figure(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    quantise_folder(TEACHER, tmp_path / "fp8", QuantizeConfig(backend="own"))
    file = str(tmp_path / "fp8" / "model.safetensors")
    state = load_file(file)
    state["model.layers.2.feed_forward.w2.weight_scale"] *= -1
    save_file(state, file)
    found = compare_folders(TEACHER, tmp_path / "fp8", rows(12))
    assert found.kl_mean.value > 0.05
    assert found.top1 < 1
    assert found.identical < 1
    assert found.chrf_difference is not None
    assert found.chrf_difference < 0
    assert found.samples[0].original != found.samples[0].quantised


def test_without_references_the_originals_own_words_are_told(tmp_path: Path) -> None:
    source = tiny_folder(tmp_path / "model", "qwen3")
    quantise_folder(source, tmp_path / "fp8", QuantizeConfig(backend="own"))
    found = compare_folders(source, tmp_path / "fp8", [HeldOut("Diromo is a city.", None)], FEW)
    assert found.chrf_original is None
    assert found.chrf_difference is None
    assert 1 <= found.positions <= FEW.max_tokens
    assert "chrF++ original" not in as_markdown(_report(source, tmp_path), found, "tiny")


def _report(source: Path, tmp_path: Path) -> QuantizationReport:
    return quantise_folder(source, tmp_path / "again", QuantizeConfig(backend="own"))


def test_held_out_files_are_read_by_their_columns(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.tsv.gz", "wt", encoding="utf-8") as file:
        file.write('id\ten\tar\n1\tHello "you"\tمرحبا\n2\t\tلا\n3\tYes\t\n')
    assert read_held_out(tmp_path / "a.tsv.gz") == [HeldOut('Hello "you"', "مرحبا"), HeldOut("Yes", None)]
    assert read_held_out(tmp_path / "a.tsv.gz", limit=1) == [HeldOut('Hello "you"', "مرحبا")]
    assert read_held_out(tmp_path / "a.tsv.gz", columns=("ar", "en"))[0] == HeldOut("مرحبا", 'Hello "you"')
    (tmp_path / "b.jsonl").write_text('{"source": "one"}\n\n{"source": "two", "target": "اثنان"}\n', encoding="utf-8")
    assert read_held_out(tmp_path / "b.jsonl") == [HeldOut("one", None), HeldOut("two", "اثنان")]


def test_held_out_files_that_are_none_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("left\tright\n1\t2\n")
    (tmp_path / "b.jsonl").write_text('{"source": "one"}\nnonsense\n')
    (tmp_path / "c.jsonl").write_text("[1]\n")
    (tmp_path / "d.tsv").write_text("en\tar\n")
    for name, words in (("a.tsv", "--columns"), ("b.jsonl", "b.jsonl:2"), ("c.jsonl", "no.* object|not an object"),
                        ("d.tsv", "no held-out rows")):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            read_held_out(tmp_path / name)
    with pytest.raises(NotFound, match="does not exist"):
        read_held_out(tmp_path / "none.tsv")


def test_the_reports_hold_every_layer_and_escape_what_a_model_wrote(tmp_path: Path) -> None:
    source = tiny_folder(tmp_path / "model", "lfm2")
    report = quantise_folder(source, tmp_path / "fp8", QuantizeConfig(backend="own"))
    found = compare_folders(source, tmp_path / "fp8", [HeldOut("a | <b>b</b>", "ج | د")], FEW)
    speed = Throughput(200.0, 300.0, 0.5, 16, 32, 2)
    page = write_reports(report, found, tmp_path / "report", name="tiny", throughput=speed)
    record = json.loads((tmp_path / "report" / "report.json").read_text())
    assert len(record["layers"]) == len(report.layers)
    assert math.isclose(record["size_ratio"], report.ratio)
    assert record["agreement"]["kl_mean"]["value"] == pytest.approx(found.kl_mean.value)
    assert record["throughput"]["ratio"] == 1.5
    assert "**1.50×** the original's speed in bfloat16 under vLLM (200 → 300 output tokens/s" in page.read_text()
    assert "a \\| <b>b</b>" in page.read_text()
    for measure, signature in (("chrF++", found.signature), ("BLEU", found.bleu_signature)):
        assert f"| signature of {measure} | {signature.replace('|', chr(92) + '|')} |" in page.read_text()
    html = (tmp_path / "report" / "report.html").read_text()
    assert "<b>b</b>" not in html
    assert "&lt;b&gt;b" in html
    assert html.count('<td dir="auto">') > 8  # Arabic cells run from the right
    bare = as_record(report, None)
    assert (bare["agreement"], bare["throughput"]) == (None, None)


def test_the_command_quantises_compares_and_reports(tmp_path: Path) -> None:
    pairs = heldout_pairs(count=4)
    (tmp_path / "held.tsv").write_text("en\tar\n" + "".join(f"{pair.en}\t{pair.ar}\n" for pair in pairs), "utf-8")
    out = tmp_path / "out"
    told = ["quantize", str(TEACHER), "--out", str(out), "--backend", "own", "--eval", str(tmp_path / "held.tsv")]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    assert "2,389,888 → 1,470,592 bytes" in done.output
    assert "4 held-out rows: KL" in done.output
    assert (out / "report" / "report.html").is_file()
    assert (out / "config.json").stat().st_mode & 0o777 == (out / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_the_command_ends_with_one_line_for_bad_input(tmp_path: Path) -> None:
    (tmp_path / "held.tsv").write_text("a\tb\n1\t2\n")
    good = ["--eval", str(tmp_path / "held.tsv"), "--columns", "a,b"]
    for told, words in (
        ([str(tmp_path), "--out", str(tmp_path / "x")], "not a model folder"),
        ([str(TEACHER), "--out", str(tmp_path / "x"), "--eval", str(tmp_path / "held.tsv")], "--columns"),
        ([str(TEACHER), "--out", str(tmp_path / "x"), "--eval", "held", "--columns", "a"], "two names"),
        ([str(TEACHER), "--out", str(tmp_path / "x"), *good, "--languages", "enar"], "no language is called 'enar'"),
        ([str(TEACHER), "--out", str(tmp_path / "x"), *good, "--device", "abacus"], "no device 'abacus'"),
    ):
        done = CliRunner().invoke(app, ["quantize", *told])
        assert done.exit_code == 1
        assert words in done.output
        assert "Traceback" not in done.output
    assert not (tmp_path / "x").exists()
