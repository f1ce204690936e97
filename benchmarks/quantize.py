"""Eight-bit arithmetic beside bfloat16, in the same run: on this machine's CPU, and on a GPU where there is one.

    python benchmarks/quantize.py                    everything that this machine can measure
    python benchmarks/quantize.py --shapes lfm2_1b   one model shape on the GPU (compiling takes a minute or two each)
    python benchmarks/quantize.py --quick            a miniature

* ``cpu_linear_…``: every Linear of LFM2-1.2B at 64 tokens. ``int8_dynamic``: torch's INT8 dynamic layer; ``int8_mm``:
  our layer over ``torch._int_mm``. Ratios are bfloat16's (or float32's) time over theirs: above 1 is faster.
* ``cpu_vllm_…``: output tokens a second of vLLM over one random LFM2 of 60 million parameters, in bfloat16 (which a
  CPU without such units only imitates), in float32, and quantised to INT8 by ``sindbad quantize``; null with
  ``cpu_vllm_note`` where vLLM is not installed, or with --quick.
* ``gpu_…``: E4M3 through ``torch._scaled_mm``, a scale a row and a column, rounding of inputs included in its time,
  beside bfloat16; both compiled layer by layer and recorded as CUDA graphs. ``…_linear_prefill_ratio`` and
  ``…_linear_decode_ratio``: all Linear layers alone. ``…_prefill_ratio``, ``…_decode_ratio``: the whole model.
  ``…_end_to_end_ratio``: 128 requests of 1,024 prompt and 256 output tokens each. Wanted: linear layers 1.8, end to
  end 1.3 (LFM2-1.2B) and 1.5 (8B). Null with ``gpu_note`` where there is no GPU of compute capability 8.9.

Not covered: quality (``sindbad quantize --eval``), the time of an engine's scheduler and sampler on the GPU.
"""

# The path must be put right before anything else is imported.
# ruff: noqa: E402
from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == "__main__":
    # Beside this file lies platform.py, which would hide the standard library's module.
    sys.path[:] = [os.path.dirname(_HERE), *(entry for entry in sys.path if os.path.abspath(entry) != _HERE)]

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, machine, parser, publish, ratio
from sindbad.engines.threads import calm_threads

Step = Callable[[], Any]
CPU_NAMES = (
    "cpu_linear_bf16_ms", "cpu_linear_float32_ms", "cpu_linear_int8_dynamic_ms", "cpu_linear_int8_mm_ms",
    "cpu_linear_int8_dynamic_over_bf16_ratio", "cpu_linear_int8_dynamic_over_float32_ratio",
    "cpu_linear_int8_mm_over_bf16_ratio",
)  # fmt: skip
VLLM_NAMES = (
    "cpu_vllm_bf16_tokens_per_second", "cpu_vllm_float32_tokens_per_second", "cpu_vllm_int8_tokens_per_second",
    "cpu_vllm_int8_over_bf16_ratio", "cpu_vllm_int8_over_float32_ratio", "cpu_vllm_first_tokens_equal_fraction",
)  # fmt: skip
GPU_PARTS = ("linear_prefill", "linear_decode", "prefill", "decode", "end_to_end")


@dataclass(frozen=True, slots=True)
class Load:
    """``sequences`` requests of ``prompt`` and ``output`` tokens are served; prompts run ``together`` at a time."""

    sequences: int
    together: int
    prompt: int
    output: int
    rounds: int


FULL_LOAD = Load(sequences=128, together=8, prompt=1024, output=256, rounds=15)
TINY_LOAD = Load(sequences=4, together=2, prompt=8, output=4, rounds=3)


def main() -> None:
    """Command line."""
    line = parser(__doc__)
    line.add_argument("--shapes", default="lfm2_1b,dense_8b", help="model shapes for the GPU")
    line.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    line.add_argument("--no-vllm", action="store_true", help="leave vLLM out (two engine starts)")
    arguments = line.parse_args()
    calm_threads(arguments.threads)
    figures: dict[str, Figure] = {**machine(), "threads": arguments.threads}
    figures |= cpu_linear(arguments.quick)
    figures |= cpu_vllm(
        arguments.threads, skip="--quick" if arguments.quick else "--no-vllm" if arguments.no_vllm else ""
    )
    figures |= gpu([name for name in arguments.shapes.split(",") if name], arguments.quick)
    publish(figures, quick=arguments.quick, file=arguments.json)


# ---- the CPU, torch alone
def cpu_linear(quick: bool) -> dict[str, Figure]:
    """Milliseconds for all Linear layers of the shape, each arithmetic in turn, medians over rounds."""
    import torch
    from torch import nn

    from benchmarks.quantize_shapes import LFM2_1B, TINY, linear_sides
    from sindbad.quantize.linear import EightBitLinear
    from sindbad.quantize.numerics import Scheme

    tokens, rounds = (16, 3) if quick else (64, 5)
    totals = dict.fromkeys(("bf16", "float32", "int8_dynamic", "int8_mm"), 0.0)
    for outputs, inputs, count in linear_sides(TINY if quick else LFM2_1B):
        plain = nn.Linear(inputs, outputs, bias=False)
        hidden = torch.randn(tokens, inputs)
        layers: dict[str, tuple[Any, Any]] = {
            "bf16": (nn.Linear(inputs, outputs, bias=False, dtype=torch.bfloat16), hidden.bfloat16()),
            "float32": (plain, hidden),
            "int8_dynamic": (dynamic_int8(plain), hidden),
            "int8_mm": (EightBitLinear(plain.weight, Scheme.INT8), hidden),
        }
        with torch.inference_mode():
            steps = {name: (lambda made=made, given=given: made(given)) for name, (made, given) in layers.items()}
            for name, seconds in alternate(steps, rounds, "cpu").items():
                totals[name] += 1000 * count * seconds
    found: dict[str, Figure] = {f"cpu_linear_{name}_ms": value for name, value in totals.items()}
    found["cpu_linear_int8_dynamic_over_bf16_ratio"] = ratio(totals["bf16"], totals["int8_dynamic"])
    found["cpu_linear_int8_dynamic_over_float32_ratio"] = ratio(totals["float32"], totals["int8_dynamic"])
    found["cpu_linear_int8_mm_over_bf16_ratio"] = ratio(totals["bf16"], totals["int8_mm"])
    return found


def dynamic_int8(layer: Any) -> Any:
    """torch's own dynamic INT8 layer of one Linear (weights by channel, inputs by tensor)."""
    import warnings

    import torch
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notice of deprecation in favour of torchao
        holder = torch.nn.Sequential(layer)
        return quantize_dynamic(holder, {torch.nn.Linear: per_channel_dynamic_qconfig})[0]


def alternate(steps: dict[str, Step], rounds: int, device: str) -> dict[str, float]:
    """Median seconds of every step; the steps take turns, so that a busy machine is busy for all of them."""
    for step in steps.values():
        step()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            taken[name].append(seconds_of(step, device))
    return {name: statistics.median(values) for name, values in taken.items()}


def seconds_of(step: Step, device: str) -> float:
    """One step, from and to an idle device."""
    import torch

    if not device.startswith("cuda"):
        started = time.perf_counter()
        step()
        return time.perf_counter() - started
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000


# ---- the CPU, vLLM
def cpu_vllm(threads: int, *, skip: str) -> dict[str, Figure]:
    """vLLM over one random model in bfloat16, in float32 and in INT8; the same prompts, greedy."""
    python = Path(__file__).resolve().parents[1] / ".venv-vllm" / "bin" / "python"
    why = f"not measured with {skip}" if skip else "" if python.is_file() else "vLLM is not installed (install.sh vllm)"
    if why:
        return {**dict.fromkeys(VLLM_NAMES), "cpu_vllm_note": why}
    with tempfile.TemporaryDirectory(prefix="quantize-vllm-") as work:
        plain, eight = make_folders(Path(work))
        runs = [(plain, "bfloat16"), (plain, "float32"), (eight, "bfloat16")]
        answers = [vllm_figures(python, folder, dtype, threads) for folder, dtype in runs]
    if failed := [one for one in answers if isinstance(one, str)]:
        return {**dict.fromkeys(VLLM_NAMES), "cpu_vllm_note": failed[0]}
    done = [one for one in answers if isinstance(one, dict)]
    bf16, float32, int8 = (float(one["tokens_per_second"]) for one in done)
    equal = [left[0] == right[0] for left, right in zip(done[0]["outputs"], done[2]["outputs"], strict=True)]
    values = (bf16, float32, int8, ratio(int8, bf16), ratio(int8, float32), sum(equal) / len(equal))
    return {**dict(zip(VLLM_NAMES, values, strict=True)), "cpu_vllm_note": "LFM2, 60M random parameters"}


def make_folders(work: Path) -> tuple[Path, Path]:
    """A random bfloat16 LFM2 and its INT8 version."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    from sindbad.demo.tokenizer import build_tokenizer
    from sindbad.quantize.configuration import QuantizeConfig
    from sindbad.quantize.folder import quantise_folder
    from sindbad.quantize.numerics import Scheme

    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=8192, hidden_size=1024, intermediate_size=3072, num_hidden_layers=4, num_attention_heads=16,
        num_key_value_heads=8, layer_types=["conv", "full_attention"] * 2, block_auto_adjust_ff_dim=False,
        max_position_embeddings=512, tie_word_embeddings=True, initializer_range=0.04,
    )  # fmt: skip
    plain = work / "bf16"
    model: Any = Lfm2ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(str(plain))
    build_tokenizer().save_pretrained(str(plain))
    quantise_folder(plain, work / "int8", QuantizeConfig(scheme=Scheme.INT8, backend="own"))
    return plain, work / "int8"


def vllm_figures(python: Path, folder: Path, dtype: str, threads: int) -> dict[str, Any] | str:
    """The worker's figures, or what went wrong."""
    from sindbad.errors import SindbadError
    from sindbad.quantize.throughput import Load, run_vllm

    try:
        return run_vllm(python, folder, Load(threads=threads, dtype=dtype), deadline_seconds=600)
    except SindbadError as error:
        return error.message.splitlines()[-1][:200]


# ---- a GPU
def gpu(names: list[str], quick: bool) -> dict[str, Figure]:
    """Every part of every shape, or nulls and why."""
    import torch

    from benchmarks.quantize_shapes import DENSE_8B, LFM2_1B, TINY
    from sindbad.quantize.linear import has_fp8

    shapes = {"lfm2_1b": LFM2_1B, "dense_8b": DENSE_8B}
    if not torch.cuda.is_available():
        return {**gpu_nulls(shapes), "gpu_note": "no GPU here"}
    if not has_fp8("cuda"):
        capability = ".".join(map(str, torch.cuda.get_device_capability()))
        return {**gpu_nulls(shapes), "gpu_note": f"{torch.cuda.get_device_name()} ({capability}) has no FP8 units"}
    found: dict[str, Figure] = {**gpu_nulls(shapes), "gpu_note": torch.cuda.get_device_name()}
    found["gpu_scaled_mm_error"] = kernel_error("cuda")
    for name in names:
        shape, load = (TINY, TINY_LOAD) if quick else (shapes[name], FULL_LOAD)
        found |= {f"gpu_{name}_{key}": value for key, value in measure_shape(shape, load, "cuda").items()}
    return found


def gpu_nulls(shapes: dict[str, Any]) -> dict[str, Figure]:
    """What could not be measured."""
    return {f"gpu_{name}_{part}_ratio": None for name in shapes for part in GPU_PARTS}


def kernel_error(device: str) -> float:
    """Relative Frobenius difference of the device's product from the same numbers summed in float32 on the CPU."""
    import torch

    from sindbad.quantize.linear import EightBitLinear
    from sindbad.quantize.numerics import Scheme

    generator = torch.Generator().manual_seed(0)
    weight, hidden = (torch.randn(size, generator=generator) for size in ((512, 1024), (64, 1024)))
    layer, given = EightBitLinear(weight, Scheme.FP8_DYNAMIC), hidden.bfloat16()
    there = layer.to(device)(given.to(device)).float().cpu()
    here = layer.to("cpu")(given).float()
    return float((there - here).norm() / here.norm())


def measure_shape(shape: Any, load: Load, device: str) -> dict[str, Figure]:
    """Milliseconds in bfloat16 and FP8, and bfloat16's over FP8's, of every part."""
    parts = {**linear_parts(shape, load, device), **model_parts(shape, load, device)}
    steps = load.sequences / load.together
    whole = tuple(steps * parts["prefill"][side] + load.output * parts["decode"][side] for side in range(2))
    parts["end_to_end"] = (whole[0], whole[1])
    found: dict[str, Figure] = {}
    for name, (bf16, fp8) in parts.items():
        found |= {f"{name}_bf16_ms": 1000 * bf16, f"{name}_fp8_ms": 1000 * fp8, f"{name}_ratio": ratio(bf16, fp8)}
    return found


def linear_parts(shape: Any, load: Load, device: str) -> dict[str, tuple[float, float]]:
    """Seconds (bfloat16, FP8) of all Linear layers alone, at the prompt's and at the decoding batch's tokens."""
    import torch
    from torch import nn

    from benchmarks.quantize_shapes import linear_sides
    from sindbad.quantize.linear import EightBitLinear
    from sindbad.quantize.numerics import Scheme

    found = {}
    for part, tokens in (("linear_prefill", load.together * load.prompt), ("linear_decode", load.sequences)):
        totals = [0.0, 0.0]
        for outputs, inputs, count in linear_sides(shape):
            plain = nn.Linear(inputs, outputs, bias=False, dtype=torch.bfloat16, device=device)
            eight = EightBitLinear(plain.weight, Scheme.FP8_DYNAMIC)
            hidden = torch.randn(tokens, inputs, dtype=torch.bfloat16, device=device)
            steps = {
                name: prepared(layer, lambda layer=layer, hidden=hidden: layer(hidden), device)
                for name, layer in (("bf16", plain), ("fp8", eight))
            }
            taken = alternate(steps, load.rounds, device)
            totals = [totals[0] + count * taken["bf16"], totals[1] + count * taken["fp8"]]
        found[part] = (totals[0], totals[1])
    return found


def model_parts(shape: Any, load: Load, device: str) -> dict[str, tuple[float, float]]:
    """Seconds (bfloat16, FP8) of a batch of whole prompts, and of one token for every sequence."""
    import copy

    import torch

    from benchmarks.quantize_shapes import ShapedModel, make_caches
    from sindbad.quantize.linear import swap_linears
    from sindbad.quantize.numerics import Scheme

    like: dict[str, Any] = {"dtype": torch.bfloat16, "device": device}
    with torch.device(device):
        torch.manual_seed(0)
        bf16 = ShapedModel(shape).to(torch.bfloat16).eval().requires_grad_(False)
    fp8 = copy.deepcopy(bf16)
    swap_linears(fp8, Scheme.FP8_DYNAMIC)
    prompts = torch.randint(shape.vocabulary, (load.together, load.prompt), device=device)
    token = torch.randint(shape.vocabulary, (load.sequences, 1), device=device)
    caches = make_caches(shape, load.sequences, load.prompt + load.output // 2, like)
    found = {}
    for part, given in (("prefill", (prompts, None)), ("decode", (token, caches))):
        steps = {
            name: prepared(model.layers, lambda model=model, given=given: model(*given), device)
            for name, model in (("bf16", bf16), ("fp8", fp8))
        }
        taken = alternate(steps, load.rounds, device)
        found[part] = (taken["bf16"], taken["fp8"])
    return found


def prepared(modules: Any, step: Step, device: str) -> Step:
    """``step`` without gradients; on a GPU compiled layer by layer and recorded as a CUDA graph."""
    import torch

    if not device.startswith("cuda"):
        return torch.inference_mode()(step)
    torch._dynamo.config.recompile_limit = 256  # beyond it a layer would silently run uncompiled
    for module in modules if isinstance(modules, torch.nn.ModuleList) else [modules]:
        module.compile(dynamic=False)  # alike layers share one compilation
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        step()

    def replay(kept: Step = step) -> None:  # the graph reads the tensors that the step holds
        graph.replay()

    return replay


if __name__ == "__main__":
    main()
