"""Is packing exact? Our learner beside TRL's SFTTrainer, on LFM2 (short convolutions) and Qwen3 (attention alone).

    python benchmarks/packing.py                        TRL of this environment (pip install -e ".[bench]")
    python benchmarks/packing.py --trl-python PATH      TRL of another one
    python benchmarks/packing.py --quick                a miniature

The same random samples and the same random float32 weights on the CPU; both compared with a forward of one sequence at
a time. ``…_logprob_difference_micronats``: the largest over all trained tokens; ``…_gradient_difference_ppm``: the
largest of any weight, over the largest gradient of its tensor; ``…_changed_fraction``: trained tokens off by more than
0.001 nats. ``…_exact``: below 20 micronats and 100 ppm, as tests/unit/training/test_packing_exact.py wants it.

* ``ours``: one sequence a row, sorted by length, padded on the right.
* ``trl_bfd``: TRL's default packing (several sequences in a row, told apart by ``position_ids`` and ``seq_idx``), with
  attention by sdpa, ``trl_bfd_eager`` by eager. ``trl_wrapped``: its other strategy, which cuts where a row is full;
  ``…_untrained_tokens`` count what thereby loses its prediction. ``trl_padded``: TRL without packing.
* ``…_tokens_per_second``: one epoch of plain SFT, same samples, one thread, padding not counted; arms alternate, ratios
  are medians of neighbours. Ours includes its checkpoint; TRL's packing in advance is not timed.

Not measured: a GPU, where attention may be FlashAttention and, with the causal-conv1d kernel, ``seq_idx`` reaches the
convolution; here transformers computes it in PyTorch, which ignores ``seq_idx``. Null where TRL is not installed.
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

from sindbad.engines.threads import calm_threads

calm_threads(1)

import importlib.util
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

from benchmarks.figures import Figure, machine, parser, publish, ratio
from sindbad.training.examples import Example

LOGPROB_LIMIT, GRADIENT_LIMIT = 2e-5, 1e-4
MODELS = ("lfm2", "qwen3")
ARMS = {"bfd": ("bfd", "sdpa"), "bfd_eager": ("bfd", "eager"), "wrapped": ("wrapped", "sdpa"),
        "padded": ("padded", "sdpa")}  # fmt: skip
"""Figures' name: TRL's strategy and the attention."""
DIFFERENCES = {
    "logprob_difference_micronats": ("logprob_difference", 1e6),
    "gradient_difference_ppm": ("gradient_difference", 1e6),
    "changed_fraction": ("changed_fraction", 1),
    "untrained_tokens": ("untrained_tokens", 1),
}
"""Figures' name: which difference, and in which unit."""
TIMED = ("bfd", "padded")
EXACT_WIDTH = 64


@dataclass(frozen=True, slots=True)
class Size:
    """Of the timed models and samples; the exact ones are small in any case."""

    hidden: int
    vocabulary: int
    samples: int
    width: int
    repetitions: int


FULL = Size(hidden=128, vocabulary=2048, samples=64, width=512, repetitions=5)
QUICK = Size(hidden=32, vocabulary=256, samples=24, width=256, repetitions=1)
SMALL = Size(hidden=32, vocabulary=256, samples=24, width=EXACT_WIDTH, repetitions=0)


def model_of(kind: str, size: Size, *, scale: float) -> Any:
    """A random model of six layers; ``scale`` enlarges its weights, so that a leak is far above rounding."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(3)
    shared: dict[str, Any] = dict(
        vocab_size=size.vocabulary, hidden_size=size.hidden, intermediate_size=3 * size.hidden, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096, pad_token_id=0, bos_token_id=1,
        eos_token_id=3, tie_word_embeddings=True,
    )  # fmt: skip
    layers = ["conv", "conv", "full_attention", "conv", "conv", "full_attention"]
    model: Any = (
        Lfm2ForCausalLM(Lfm2Config(**shared, layer_types=layers, block_auto_adjust_ff_dim=False))
        if kind == "lfm2"
        else Qwen3ForCausalLM(Qwen3Config(**shared, head_dim=size.hidden // 4))
    )
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim > 1:
                value.mul_(scale)
    return model.to(torch.float32)


def samples_of(size: Size, longest: int, seed: int) -> list[Example]:
    """Prompts that are not trained and answers that are; lengths as instructions have them, a few long, most short."""
    chance, made = random.Random(seed), []
    for _ in range(size.samples):
        length = min(longest, max(6, round(chance.lognormvariate(0, 0.7) * longest / 4)))
        before = chance.randint(2, length - 2)
        ids = tuple(chance.randrange(4, size.vocabulary) for _ in range(length))
        made.append(Example(ids, (0,) * before + (1,) * (length - before)))
    return made


def write_samples(samples: Sequence[Example], file: Path) -> None:
    """As TRL takes them ready-made: ids, and labels with -100 where nothing is trained."""
    rows = [
        {
            "input_ids": list(one.input_ids),
            "labels": [token if bit else -100 for token, bit in zip(one.input_ids, one.loss_mask, strict=True)],
        }
        for one in samples
    ]
    file.write_text(json.dumps(rows), encoding="utf-8")


def write_model(model: Any, folder: Path, vocabulary: int) -> None:
    """A model folder with the least tokenizer that TRL accepts."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    model.save_pretrained(str(folder))
    words = {"<pad>": 0, "<s>": 1, "<unk>": 2, "</s>": 3} | {f"w{number}": number for number in range(4, vocabulary)}
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")), pad_token="<pad>", bos_token="<s>",
        unk_token="<unk>", eos_token="</s>",
    )  # fmt: skip
    made.save_pretrained(str(folder))


def own_exactness(model: Any, samples: Sequence[Example], budget: int) -> dict[str, float]:
    """Our learner's micro-batches beside a plain forward of one sequence at a time."""
    import torch

    from sindbad.training.logprobs import score
    from sindbad.training.packing import pack
    from sindbad.training.sft import accumulate, supervised_samples

    model.zero_grad()
    trained = sum(sum(one.loss_mask) for one in samples)
    wanted: dict[tuple[int, ...], torch.Tensor] = {}
    for one in samples:
        logits = model(input_ids=torch.tensor([one.input_ids]), use_cache=False).logits[0].float()
        places = torch.tensor(one.loss_mask).nonzero().flatten()
        values = torch.log_softmax(logits, -1)[places - 1, torch.tensor(one.input_ids)[places]]
        (-values.sum() / trained).backward()
        wanted[one.input_ids] = values.detach()
    alone = [value.grad.clone() for value in model.parameters()]
    model.zero_grad()
    batches, differences = pack(supervised_samples(samples), budget), []
    accumulate(model, batches)
    with torch.no_grad():
        for batch in batches:
            found = score(model, batch.input_ids_BT, batch.mask_BT).logprobs_N
            for ids, values in zip(
                batch.input_ids_BT.tolist(), found.split(batch.mask_BT.sum(1).tolist()), strict=True
            ):
                owner = next(given for given in wanted if list(given) == ids[: len(given)])
                differences.append((values - wanted[owner]).abs())
    every = torch.cat(differences)
    gradients = [
        float((value.grad - apart).abs().max()) / (float(apart.abs().max()) + 1e-6)
        for value, apart in zip(model.parameters(), alone, strict=True)
    ]
    return {
        "logprob_difference": float(every.max()), "gradient_difference": max(gradients),
        "changed_fraction": float((every > 1e-3).float().mean()), "untrained_tokens": trained - every.numel(),
    }  # fmt: skip


def verdict(found: dict[str, float]) -> bool:
    """Whether packing changed nothing: our packing test's limits, and every trained token trained."""
    return (
        found["logprob_difference"] < LOGPROB_LIMIT
        and found["gradient_difference"] < GRADIENT_LIMIT
        and not found["untrained_tokens"]
    )


def own_speed(model_dir: Path, samples: Sequence[Example], size: Size, rows: int, state: Path) -> float:
    """Tokens a second of ``run_sft`` over one epoch; ``rows`` samples a step."""
    from sindbad.training.configuration import OptimiserConfig, RunPaths, SFTConfig
    from sindbad.training.sft import load_causal_lm, run_sft

    config = SFTConfig(optimiser=OptimiserConfig(lr=1e-4, weight_decay=0.01), batch_size=rows, token_budget=size.width,
                       checkpoint_every=10_000, log_every=10_000)  # fmt: skip
    model = load_causal_lm(model_dir)
    shutil.rmtree(state, ignore_errors=True)
    paths = RunPaths(checkpoints=state / "checkpoints", metrics=state / "metrics.jsonl")
    started = time.perf_counter()
    done = run_sft(config, model, samples, paths)
    return done.tokens / (time.perf_counter() - started)


class Trl:
    """``packing_trl.py`` under a Python that has trl. One question at a time."""

    def __init__(self, process: subprocess.Popen[str], asks: IO[str], answers: IO[str]) -> None:
        self._process, self._asks, self._answers = process, asks, answers
        self.version = str(self._answer()["trl"])

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"TRL's process ended with {self._process.wait(timeout=30)}; its errors stand above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, do: str, **what: Any) -> dict[str, float]:
        """Its answer to one line. Raises RuntimeError when the process died."""
        print(json.dumps({"do": do, **what}), file=self._asks, flush=True)
        return self._answer()


@contextmanager
def trl_process(python: str, folder: Path) -> Iterator[Trl]:
    """Its process, for as long as the context lasts."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    process = subprocess.Popen(
        [python, str(Path(_HERE) / "packing_trl.py"), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=environment, cwd=folder,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Trl(process, process.stdin, process.stdout)
    finally:
        process.kill()
        process.wait(timeout=30)


def exactness(folder: Path, trl: Trl | None) -> dict[str, Figure]:
    """Every arm on both models."""
    samples = samples_of(SMALL, EXACT_WIDTH, seed=1)
    write_samples(samples, folder / "exact.json")
    figures: dict[str, Figure] = {}
    for kind in MODELS:
        model = model_of(kind, SMALL, scale=6)
        write_model(model, folder / f"{kind}-exact", SMALL.vocabulary)
        arms: dict[str, dict[str, float] | None] = {"ours": own_exactness(model, samples, EXACT_WIDTH * 4)}
        for name, (arm, attention) in ARMS.items():
            asked = dict(model=f"{kind}-exact", arm=arm, attention=attention, set="exact", width=EXACT_WIDTH)
            arms[f"trl_{name}"] = trl.ask("exact", **asked) if trl else None
        for name, found in arms.items():
            for figure, (key, unit) in DIFFERENCES.items():
                figures[f"{kind}_{name}_{figure}"] = None if found is None else round(found[key] * unit, 3)
            figures[f"{kind}_{name}_exact"] = None if found is None else verdict(found)
    passes = all(bool(figures[f"{kind}_trl_bfd_exact"]) for kind in MODELS)
    figures["trl_passes_our_packing_test"] = passes if trl else None
    return figures


def speed(folder: Path, trl: Trl | None, size: Size) -> dict[str, Figure]:
    """Tokens a second of ours and of TRL's arms, alternating."""
    samples = samples_of(size, size.width // 2, seed=2)
    write_samples(samples, folder / "speed.json")
    rows = max(1, round(size.width / (sum(map(len, samples)) / len(samples))))
    figures: dict[str, Figure] = {"speed_samples": len(samples), "speed_tokens": sum(map(len, samples)),
                                  "speed_samples_a_step": rows}  # fmt: skip
    for kind in MODELS:
        place = folder / f"{kind}-speed"
        write_model(model_of(kind, size, scale=1), place, size.vocabulary)
        taken: dict[str, list[float]] = {"ours": [], **{f"trl_{arm}": [] for arm in TIMED}}
        for round_ in range(size.repetitions + 1):  # the first warms up, and is not counted
            found = {"ours": own_speed(place, samples, size, rows, folder / "state")}
            asked = dict(model=place.name, attention="sdpa", set="speed", width=size.width, rows=rows)
            for arm, done in [(arm, trl.ask("train", arm=arm, **asked)) for arm in TIMED] if trl else ():
                found[f"trl_{arm}"] = done["tokens"] / done["seconds"]
            for name, value in found.items() if round_ else ():
                taken[name].append(value)
        for name, values in taken.items():
            figures[f"{kind}_{name}_tokens_per_second"] = median(values) if values else None
            if name != "ours":
                pairs = [ratio(mine, theirs) for mine, theirs in zip(taken["ours"], values, strict=False)]
                figures[f"{kind}_ours_over_{name}_tokens_ratio"] = median(pairs) if pairs else None
    return figures


def measure(quick: bool, trl: Trl | None, folder: Path) -> dict[str, Figure]:
    """All figures."""
    found: dict[str, Figure] = {"trl_version": trl.version if trl else None, "threads": 1}
    return found | exactness(folder, trl) | speed(folder, trl, QUICK if quick else FULL)


def main() -> None:
    """Command line."""
    line = parser(__doc__)
    line.add_argument("--trl-python", metavar="PATH", help="a Python with trl (default: this one, if it has)")
    chosen = line.parse_args()
    python = chosen.trl_python or (sys.executable if importlib.util.find_spec("trl") else None)
    figures = dict(machine())
    with tempfile.TemporaryDirectory(prefix="sindbad-packing-benchmark-") as name:
        folder = Path(name)
        if python is None:
            figures |= {"trl_note": "trl is not installed", **measure(chosen.quick, None, folder)}
        else:
            with trl_process(python, folder) as trl:
                figures |= measure(chosen.quick, trl, folder)
    publish(figures, quick=chosen.quick, file=chosen.json)


if __name__ == "__main__":
    main()
