"""The commands that ask a harness, and what redirects its own tasks to a local data set.

Its task definitions stay its own: for lm-eval a YAML file that includes the installed one and names another
``dataset_path``; for lighteval a module (:mod:`lighteval_tasks`, run there) that copies the registered configuration.
Few-shot splits are taken off where the data are local: zero-shot needs none, and the file has none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sindbad.atomic import write_text
from sindbad.errors import InvalidInput
from sindbad.evaluation.harness.benchmarks import Benchmark
from sindbad.evaluation.harness.results import RAW_METRIC
from sindbad.evaluation.harness.rows import DEFAULT_SUBSET, LocalData

PLAN_VARIABLE = "SINDBAD_HARNESS_PLAN"
LIGHTEVAL_LAUNCHER = Path(__file__).with_name("lighteval_launch.py")
LIGHTEVAL_MODULE = Path(__file__).with_name("lighteval_tasks.py")
MODEL = "model"
"""What both are given: a link in the working folder. Both split model arguments at commas, and lighteval's cache of
answers, whose path ends in the model's, would otherwise lie inside the model's own folder and outlive the data."""
_KEY = re.compile(r"""^["']?(task|dataset_name)["']?\s*:\s*["']?([^"'#\n]+?)["']?\s*$""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a model is asked. ``chat``: with its chat template, without, or (None) as the harness does by itself.
    ``first``: items a task, None for all."""

    model: Path
    device: str = "cpu"
    batch: int = 16
    chat: bool | None = None
    first: int | None = None


def lm_eval_files(package: Path, benchmark: Benchmark) -> dict[str, tuple[str, Path]]:
    """Subset → (task, its file) as the installed lm-eval has them.

    Raises:
        InvalidInput: it has none of this benchmark.
    """
    found = {}
    for file in sorted((package / "tasks" / benchmark.folder).glob("*.yaml")) if benchmark.folder else ():
        keys = dict(_KEY.findall(file.read_text(encoding="utf-8")))
        if "task" in keys and "dataset_name" in keys:
            found[keys["dataset_name"]] = (keys["task"], file)
    if not found:
        raise InvalidInput(f"the lm-eval at {package} has no task of {benchmark.name}", reason="HARNESS_LACKS_TASK")
    return found


def write_lm_eval_tasks(package: Path, benchmark: Benchmark, data: LocalData, folder: Path) -> list[str]:
    """Overriding task files for the subsets that ``data`` has; returns their tasks' names."""
    files = lm_eval_files(package, benchmark)
    if missing := [subset for subset in data.items if subset not in files]:
        raise InvalidInput(f"lm-eval has no task of {benchmark.name} for {', '.join(missing)}")
    tasks = []
    for subset in data.items:
        task, file = files[subset]
        override = {
            "include": str(file), "task": task, "dataset_path": str(data.folder.resolve()),
            "validation_split": None, "fewshot_split": None,
        }  # fmt: skip
        write_text(folder / f"{task}.yaml", json.dumps(override, ensure_ascii=False) + "\n")  # JSON is YAML
        tasks.append(task)
    return tasks


def lm_eval_command(python: Path, tasks: Sequence[str], asked: Asked, out: Path, include: Path | None) -> list[str]:
    """``lm_eval run``, zero-shot."""
    command = [
        str(python), "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={MODEL}",
        "--tasks", *tasks, "--num_fewshot", "0", "--device", asked.device, "--batch_size", str(asked.batch),
        "--output_path", str(out),
    ]  # fmt: skip
    if include is not None:
        command += ["--include_path", str(include)]
    if asked.first is not None:
        command += ["--limit", str(asked.first)]
    return command + (["--apply_chat_template"] if asked.chat else [])


def lighteval_names(benchmark: Benchmark, tasks: Sequence[str], data: LocalData | None) -> list[str]:
    """Of the benchmark's tasks those whose subset the local data have."""
    if data is None or DEFAULT_SUBSET in data.items:
        return list(tasks)
    return [f"{benchmark.lighteval}:{subset}" for subset in data.items]


def lighteval_plan(names: Sequence[str], data: LocalData | None) -> str:
    """What :mod:`lighteval_tasks` is told, as JSON."""
    repository = str(data.folder.resolve()) if data else None
    return json.dumps({"tasks": list(names), "repository": repository, "raw_metric": RAW_METRIC}, ensure_ascii=False)


def lighteval_command(python: Path, task_file: Path, names: Sequence[str], asked: Asked, out: Path) -> list[str]:
    """``lighteval accelerate``, zero-shot; the tasks stand in a file, because names may hold a comma."""
    write_text(task_file, "".join(f"{name}|0\n" for name in names))
    arguments = [f"model_name={MODEL}", "cache_dir=cache", f"batch_size={asked.batch}", f"device={asked.device}"]
    if asked.chat is not None:
        arguments.append(f"override_chat_template={asked.chat}")
    command = [
        str(python), "-P", str(LIGHTEVAL_LAUNCHER), "accelerate", ",".join(arguments), str(task_file),
        "--custom-tasks", str(LIGHTEVAL_MODULE), "--output-dir", str(out), "--save-details",
    ]  # fmt: skip
    return command + (["--max-samples", str(asked.first)] if asked.first is not None else [])
