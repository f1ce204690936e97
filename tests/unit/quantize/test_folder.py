"""Writing and reading eight-bit folders, by our own writer."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sindbad.errors import Corrupt, InvalidInput, NotFound, SindbadError
from sindbad.quantize import backends, folder
from sindbad.quantize.configuration import QuantizeConfig
from sindbad.quantize.folder import expected_bytes, quantise_folder
from sindbad.quantize.loading import expand_folder, folder_scheme, load_quantised, read_quantised
from sindbad.quantize.numerics import ELEMENT_BOUND, Scheme
from sindbad.quantize.source import MANIFEST, SHARDS, linear_names, read_source, weight_files
from sindbad.translation.train_teacher import FOLDER as TEACHER
from tests.unit.quantize.tiny import KINDS, TIED, tiny_folder

SCHEMES = pytest.mark.parametrize("scheme", list(Scheme))
IDS = torch.tensor([[1, 5, 9, 12]])


def own(scheme: Scheme = Scheme.FP8_DYNAMIC, **fields: object) -> QuantizeConfig:
    return QuantizeConfig.model_validate({"scheme": scheme, "backend": "own", **fields})


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp(request.param) / "model", request.param)


@pytest.fixture
def lfm2(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "model", "lfm2")


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in weight_files(path) for name, tensor in load_file(str(file)).items()}


@SCHEMES
def test_every_linear_but_the_head_is_in_eight_bits_and_nothing_else(
    model: Path, scheme: Scheme, tmp_path: Path
) -> None:
    report = quantise_folder(model, tmp_path / "out", own(scheme))
    before, after = tensors(model), tensors(tmp_path / "out")
    names = {layer.name for layer in report.layers}
    assert names == set(linear_names(model))
    assert not any(word in name for name in names for word in ("lm_head", "embed", "norm", "conv.conv"))
    for name, tensor in before.items():
        if name in names:
            assert after[name].element_size() == 1
            assert after[f"{name}_scale"].shape == (tensor.shape[0], 1)
        else:
            assert torch.equal(after[name], tensor)
    assert after.keys() == before.keys() | {f"{name}_scale" for name in names}
    assert report.worst.max_relative <= ELEMENT_BOUND
    assert report.bytes_after == sum(tensor.nbytes for tensor in after.values())


def test_lfm2s_convolution_projections_are_quantised_and_its_depthwise_kernel_is_not(
    lfm2: Path, tmp_path: Path
) -> None:
    quantise_folder(lfm2, tmp_path / "out", own())
    stored = tensors(tmp_path / "out")
    assert stored["model.layers.0.conv.in_proj.weight"].dtype == torch.float8_e4m3fn
    assert stored["model.layers.0.conv.out_proj.weight"].dtype == torch.float8_e4m3fn
    assert stored["model.layers.0.conv.conv.weight"].dtype == torch.float32


def test_tied_embeddings_stay_tied_and_untied_heads_stay_whole(model: Path, tmp_path: Path) -> None:
    quantise_folder(model, tmp_path / "out", own())
    kind = read_source(model).config["model_type"]
    stored = tensors(tmp_path / "out")
    assert ("lm_head.weight" in stored) is not TIED[kind]
    loaded = load_quantised(tmp_path / "out")
    tied = loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    assert tied is TIED[kind]
    head = stored["model.embed_tokens.weight" if TIED[kind] else "lm_head.weight"]
    assert torch.equal(loaded.get_output_embeddings().weight, head)


@SCHEMES
def test_the_expanded_folder_serves_exactly_the_quantised_values(model: Path, scheme: Scheme, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    quantise_folder(model, tmp_path / "out", own(scheme))
    expand_folder(tmp_path / "out", tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(str(tmp_path / "plain"), dtype=torch.float32, local_files_only=True)
    original = AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32, local_files_only=True)
    with torch.no_grad():
        logits, rounded, exact = (
            one(input_ids=IDS).logits
            for one in (plain, load_quantised(tmp_path / "out"), original)
        )  # fmt: skip
        assert torch.equal(logits, load_quantised(tmp_path / "out", activations=False)(input_ids=IDS).logits)
    assert not torch.equal(logits, exact)
    assert not torch.equal(logits, rounded)
    scale = float(exact.std())
    assert float((logits - exact).std()) < 0.15 * scale
    assert float((rounded - exact).std()) < 0.25 * scale
    assert not (tmp_path / "plain" / MANIFEST).exists()


def test_shards_stay_shards_and_the_index_names_every_scale(tmp_path: Path) -> None:
    source = tiny_folder(tmp_path / "model", "qwen3", shard="200KB")
    quantise_folder(source, tmp_path / "out", own())
    index = json.loads((tmp_path / "out" / SHARDS).read_text())
    stored = tensors(tmp_path / "out")
    assert len(weight_files(tmp_path / "out")) == len(weight_files(source)) > 1
    assert index["weight_map"].keys() == stored.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in stored.values())
    quantise_folder(tiny_folder(tmp_path / "whole", "qwen3"), tmp_path / "one", own())
    assert all(torch.equal(tensor.float(), stored[name].float()) for name, tensor in tensors(tmp_path / "one").items())


def test_bfloat16_models_keep_their_dtype_and_get_float32_scales(tmp_path: Path) -> None:
    source = tiny_folder(tmp_path / "model", "lfm2", dtype=torch.bfloat16)
    for arithmetic, scale in (("float32", torch.float32), ("stored", torch.bfloat16)):
        quantise_folder(source, tmp_path / "out", own(arithmetic=arithmetic))
        stored = tensors(tmp_path / "out")
        assert stored["model.embed_tokens.weight"].dtype == torch.bfloat16
        assert stored["model.layers.0.conv.in_proj.weight_scale"].dtype == scale


def test_the_demos_teacher_keeps_its_figures(tmp_path: Path) -> None:
    report = quantise_folder(TEACHER, tmp_path / "out", own())
    assert report.bytes_after == 1_470_592
    assert report.worst.max_relative == pytest.approx(0.0588, abs=1e-4)
    assert expected_bytes(read_source(TEACHER)) == report.bytes_after


def test_the_manifest_names_source_versions_and_the_inherited_licence(lfm2: Path, tmp_path: Path) -> None:
    quantise_folder(lfm2, tmp_path / "out", own())
    made = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert made["licence"]["name"] == "cc-by-nc-4.0"
    assert "Non-commercial" in made["licence"]["inherited"][0]
    assert len(made["source"]["sha256"]) == 64
    assert set(made["source"]["files"]) == {"config.json", "model.safetensors"}
    assert {"sindbad", "torch", "transformers"} <= made["versions"].keys()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: cc-by-nc-4.0" in card
    assert "base_model_relation: quantized" in card
    (lfm2 / "README.md").unlink()
    quantise_folder(lfm2, tmp_path / "out", own())
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["licence"]["name"] == "unknown"
    quantise_folder(lfm2, tmp_path / "out", own(), licence="apache-2.0")
    assert "license: apache-2.0" in (tmp_path / "out" / "README.md").read_text()


def test_what_cannot_be_quantised_is_refused_with_a_word_why(lfm2: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(NotFound, match="does not exist"):
        quantise_folder(tmp_path / "nothing", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="not a model folder"):
        quantise_folder(tmp_path / "empty", out)
    quantise_folder(lfm2, out, own())
    with pytest.raises(InvalidInput, match="quantised already") as refused:
        quantise_folder(out, tmp_path / "twice", own())
    assert refused.value.reason == "ALREADY_QUANTISED"
    cut = (lfm2 / "model.safetensors").read_bytes()[:-100]
    (lfm2 / "model.safetensors").write_bytes(cut)
    with pytest.raises(Corrupt, match="cut short"):
        quantise_folder(lfm2, out, own())


def test_eight_bit_weights_without_a_word_in_the_configuration_are_refused(lfm2: Path, tmp_path: Path) -> None:
    quantise_folder(lfm2, tmp_path / "out", own())
    shutil.copyfile(tmp_path / "out" / "model.safetensors", lfm2 / "model.safetensors")
    with pytest.raises(InvalidInput, match="stored as F8_E4M3"):
        quantise_folder(lfm2, tmp_path / "twice", own())


def test_an_architecture_that_nobody_checked_needs_a_word_and_an_unknown_one_fails(lfm2: Path, tmp_path: Path) -> None:
    config = json.loads((lfm2 / "config.json").read_text())
    (lfm2 / "config.json").write_text(json.dumps({**config, "model_type": "sinbad-net"}))
    for allowed in (False, True):
        with pytest.raises(InvalidInput) as refused:
            quantise_folder(lfm2, tmp_path / "out", own(any_architecture=allowed))
        assert refused.value.reason == "UNKNOWN_ARCHITECTURE"


def test_a_weight_that_the_configuration_names_and_the_files_lack_is_named(lfm2: Path, tmp_path: Path) -> None:
    state = load_file(str(lfm2 / "model.safetensors"))
    del state["model.layers.1.feed_forward.w1.weight"]
    save_file(state, str(lfm2 / "model.safetensors"))
    with pytest.raises(Corrupt, match=r"layers\.1\.feed_forward\.w1"):
        quantise_folder(lfm2, tmp_path / "out", own())


def test_a_folder_that_holds_something_else_is_never_replaced(lfm2: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    for target in (tmp_path / "home", lfm2, tmp_path):
        with pytest.raises(InvalidInput):
            quantise_folder(lfm2, target, own())
    assert (tmp_path / "home" / "thesis.txt").exists()
    (tmp_path / "new").mkdir()
    quantise_folder(lfm2, tmp_path / "new", own())
    quantise_folder(lfm2, tmp_path / "new", own(Scheme.INT8))
    assert folder_scheme(tmp_path / "new") is Scheme.INT8


def test_a_full_disk_is_told_before_anything_is_written(
    lfm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(SindbadError, match="free") as refused:
        quantise_folder(lfm2, tmp_path / "out", own())
    assert refused.value.reason == "DISK_FULL"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_write_that_fails_half_way_leaves_the_earlier_result_and_no_rubbish(lfm2: Path, tmp_path: Path) -> None:
    quantise_folder(lfm2, tmp_path / "out", own())
    program = (
        "import sys, torch; from pathlib import Path; from sindbad.quantize.folder import quantise_folder\n"
        "from sindbad.quantize.configuration import QuantizeConfig\n"
        "try: quantise_folder(Path(sys.argv[1]), Path(sys.argv[2]), QuantizeConfig(scheme='int8', backend='own'))\n"
        "except Exception as error: print(getattr(error, 'reason', type(error)))\n"
    )

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = subprocess.run(
        [sys.executable, "-c", program, str(lfm2), str(tmp_path / "out")],
        capture_output=True, text=True, timeout=120, preexec_fn=limited, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "CANNOT_WRITE"
    assert folder_scheme(tmp_path / "out") is Scheme.FP8_DYNAMIC
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_what_a_killed_run_left_is_gone_after_the_next_for_the_same_target(lfm2: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from sindbad.quantize import folder\n"
        "from sindbad.quantize.configuration import QuantizeConfig\n"
        "def slow(*_):\n    print('half way', flush=True)\n    sys.stdin.readline()\n"
        "folder.copy_side_files = slow\n"
        "folder.quantise_folder(Path(sys.argv[1]), Path(sys.argv[2]), QuantizeConfig(backend='own'))\n"
    )
    command = [sys.executable, "-c", program, str(lfm2), str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "half way\n"
        running.kill()
    assert len(list(tmp_path.iterdir())) == 2  # the model, and weights that nobody will finish
    quantise_folder(lfm2, tmp_path / "out", own())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_a_folder_that_was_not_quantised_or_lost_a_scale_is_named(lfm2: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no eight-bit"):
        read_quantised(lfm2)
    quantise_folder(lfm2, tmp_path / "out", own())
    state = load_file(str(tmp_path / "out" / "model.safetensors"))
    del state[next(name for name in state if name.endswith("_scale"))]
    save_file(state, str(tmp_path / "out" / "model.safetensors"))
    with pytest.raises(Corrupt, match="scale"):
        read_quantised(tmp_path / "out")


def test_asking_for_llm_compressor_where_it_is_not_installed_says_how_to_get_it(
    lfm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(backends.PYTHON_VARIABLE, str(tmp_path / "no-such-python"))
    with pytest.raises(NotFound, match=r"install\.sh quantize"):
        quantise_folder(lfm2, tmp_path / "out", QuantizeConfig(backend="llm-compressor"))
    assert quantise_folder(lfm2, tmp_path / "out", QuantizeConfig()).backend == "own"
