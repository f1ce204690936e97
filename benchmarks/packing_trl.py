"""TRL's side of the packing benchmark: its own SFTTrainer, asked by lines of JSON on standard input.

Runs under any Python that has trl (``benchmarks/packing.py --trl-python``), so it imports nothing of Sindbad. FOLDER
holds a model folder with a tokenizer for every name that is asked for, and SET.json with a set of samples.

    {"do": "exact", "model": "lfm2", "arm": "bfd", "attention": "sdpa", "set": "exact", "width": 64}
    {"do": "train", "model": "lfm2", "arm": "bfd", "attention": "sdpa", "set": "speed", "width": 512, "rows": 4}

``arm``: a packing strategy of TRL's (``width`` tokens a packed row), or ``padded``: no packing, ``rows`` samples a
batch. ``exact`` compares what trainer, collator and loss of TRL score in its batches with the same model's forward over
one sequence at a time; a token that TRL does not train (cut off by a row's end) is counted, not compared.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

Ids = tuple[int, ...]


def load(folder: Path, attention: str) -> Any:
    """The model in float32, as stored."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=torch.float32, local_files_only=True, attn_implementation=attention
    )


def trainer_of(folder: Path, ask: dict[str, Any], samples: list[dict[str, Any]], output: Path) -> Any:
    """An SFTTrainer over ready token ids; nothing of it is replaced."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    model = folder / str(ask["model"])
    packed = ask["arm"] != "padded"
    packing = {"packing_strategy": ask["arm"], "max_length": ask["width"]} if packed else {"max_length": None}
    config = SFTConfig(
        output_dir=str(output), packing=packed, per_device_train_batch_size=1 if packed else ask.get("rows", 4),
        num_train_epochs=1, learning_rate=1e-4, max_grad_norm=1.0, weight_decay=0.01, optim="adamw_torch",
        lr_scheduler_type="constant", gradient_checkpointing=False, bf16=False, use_cpu=True, save_strategy="no",
        report_to="none", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False, seed=7, **packing,
    )  # fmt: skip
    return SFTTrainer(
        model=load(model, str(ask["attention"])), args=config, train_dataset=Dataset.from_list(samples),
        processing_class=AutoTokenizer.from_pretrained(str(model), local_files_only=True),
    )  # fmt: skip


def one_by_one(model: Any, samples: list[dict[str, Any]], trained: int) -> dict[Ids, dict[int, float]]:
    """Log-probability by place of every trained token, each sequence alone; leaves the gradient of their mean."""
    import torch

    found: dict[Ids, dict[int, float]] = {}
    for sample in samples:
        ids, labels = torch.tensor([sample["input_ids"]]), torch.tensor(sample["labels"])
        logits = model(input_ids=ids, use_cache=False).logits[0].float()
        places = (labels != -100).nonzero().flatten()
        values = torch.log_softmax(logits, -1)[places - 1, labels[places]]
        (-values.sum() / trained).backward()
        found[tuple(sample["input_ids"])] = dict(zip(places.tolist(), values.tolist(), strict=True))
    return found


def segments(batch: dict[str, Any], stream: dict[Ids, list[tuple[Ids, int]]]) -> list[list[tuple[Ids, int]]]:
    """For every token of every row: of which sequence it is, and its place there."""
    rows = [tuple(row.tolist()) for row in batch["input_ids"]]
    if "position_ids" not in batch:
        widths = batch["attention_mask"].sum(1).tolist()
        return [stream[row[:width]] for row, width in zip(rows, widths, strict=True)]
    (row,), places = rows, batch["position_ids"][0].tolist()
    starts = [at for at, place in enumerate(places) if place == 0] + [len(row)]
    return [[(row[a:b], place) for a, b in pairwise(starts) for place in range(b - a)]]


def streamed(samples: list[dict[str, Any]], rows: list[list[int]]) -> dict[Ids, list[tuple[Ids, int]]]:
    """Rows of a data set that cuts, or does not cut, the samples in their order: what each token is."""
    tokens = [(tuple(s["input_ids"]), place) for s in samples for place in range(len(s["input_ids"]))]
    found, at = {}, 0
    for row in rows:
        found[tuple(row)] = tokens[at : at + len(row)]
        at += len(row)
    return found


def exact(folder: Path, ask: dict[str, Any], samples: list[dict[str, Any]], output: Path) -> dict[str, float]:
    """Largest differences of TRL's batches from one sequence at a time."""
    import torch

    trained = sum(label != -100 for sample in samples for label in sample["labels"])
    plain = load(folder / str(ask["model"]), str(ask["attention"]))
    wanted = one_by_one(plain, samples, trained)
    trainer, caught = trainer_of(folder, ask, samples, output), []
    trainer.model.register_forward_hook(lambda _module, _given, made: caught.append(made))
    stream, differences = streamed(samples, list(trainer.train_dataset["input_ids"])), list[float]()
    for batch in trainer.get_train_dataloader():
        owners = segments(batch, stream)
        loss = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=torch.tensor(trained))
        loss.backward()
        made = caught.pop()
        for row, owner in enumerate(owners):
            for column in made.label_mask[row].nonzero().flatten().tolist():
                sequence, place = owner[column + 1]
                differences.append(abs(float(made.log_probs[row, column]) - wanted[sequence][place]))
    gradients = [
        float((mine.grad - other.grad).abs().max()) / (float(other.grad.abs().max()) + 1e-6)
        for mine, other in zip(trainer.model.parameters(), plain.parameters(), strict=True)
    ]
    return {
        "logprob_difference": max(differences), "gradient_difference": max(gradients),
        "changed_fraction": sum(value > 1e-3 for value in differences) / len(differences),
        "untrained_tokens": trained - len(differences),
    }  # fmt: skip


def train(folder: Path, ask: dict[str, Any], samples: list[dict[str, Any]], output: Path) -> dict[str, float]:
    """One epoch by ``trainer.train()``: real tokens and seconds (making the trainer and packing are not timed)."""
    trainer = trainer_of(folder, ask, samples, output)
    tokens = sum(len(row) for row in trainer.train_dataset["input_ids"])
    started = time.perf_counter()
    done = trainer.train()
    return {"tokens": tokens, "seconds": time.perf_counter() - started, "steps": done.global_step}


def main() -> None:
    """Answer every line of standard input by one; libraries that print, print to standard error."""
    folder = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(1)
    print(json.dumps({"trl": __import__("trl").__version__}), file=answers, flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        samples = json.loads((folder / f"{ask['set']}.json").read_text("utf-8"))
        answer = {"exact": exact, "train": train}[ask["do"]](folder, ask, samples, folder / "trl-output")
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    # Beside this file lies platform.py, which would hide the standard library's module.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    main()
