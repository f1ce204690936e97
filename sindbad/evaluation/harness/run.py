"""One benchmark through one harness: its own tasks and prompts, in its own environment, on a local model folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sindbad.errors import Corrupt
from sindbad.evaluation.harness.benchmarks import Benchmark, Harness
from sindbad.evaluation.harness.environment import find_python, package_folder, version_of
from sindbad.evaluation.harness.results import HarnessRun, TaskScores, count_details, read_lighteval, read_lm_eval
from sindbad.evaluation.harness.rows import LocalData, write_local_data
from sindbad.evaluation.harness.tasks import (
    MODEL,
    PLAN_VARIABLE,
    Asked,
    lighteval_command,
    lighteval_names,
    lighteval_plan,
    lm_eval_command,
    write_lm_eval_tasks,
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the items are: on the Hub (``file`` None), or in a local file, of one ``subset`` if its rows do not say."""

    file: Path | None = None
    subset: str = ""


def run_harness(
    benchmark: Benchmark,
    harness: Harness,
    asked: Asked,
    source: Source,
    *,
    python: Path | None = None,
    keep: Path | None = None,
    threads: int = 1,
    deadline_seconds: float = 3600.0,
) -> HarnessRun:
    """Ask, wait, and read what it found.

    Args:
        python: the interpreter of its environment; found if None.
        keep: folder for its task files, log and results; a temporary one if None.

    Raises:
        InvalidInput: the harness lacks the benchmark, or the file does not hold it.
        NotFound: it is not installed, or there is no such file or model.
        DeadlineExceeded, EngineFailure: it was too slow, or failed.
        Corrupt: its results have a form that this version does not know.
    """
    from sindbad.supervisor.command import foreign_environment, run_command
    from sindbad.weights.folder import check_model_folder

    tasks = benchmark.tasks(harness)
    check_model_folder(asked.model)
    interpreter = find_python(harness, python)
    with _folder(keep) as work:
        data = None
        if source.file is not None:
            data = write_local_data(
                benchmark, source.file, work / "data", subset=source.subset, first=asked.first
            )  # fmt: skip
            asked = replace(asked, first=None)
        command, plan = _command(benchmark, harness, interpreter, tasks, asked, data, work)
        environment = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false", **plan}
        if data is not None:
            environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(work / "cache")}
        (work / MODEL).symlink_to(asked.model.resolve(), target_is_directory=True)
        log = work / "log.txt"
        run_command(
            command, what="the harness", log=log, deadline_seconds=deadline_seconds, advice="(--deadline)",
            reason="HARNESS_FAILED", cwd=work, environment=foreign_environment(environment),
        )  # fmt: skip
        found = _results(work / "out")
        if harness is Harness.LM_EVAL:
            scores = read_lm_eval(found)
        else:
            scores = read_lighteval(found, count_details(work / "out"))
    return _run(benchmark, harness, interpreter, asked, scores, data, source)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        for name in ("tasks", "data", "out", "cache"):  # of an earlier run: its results are not ours
            shutil.rmtree(keep / name, ignore_errors=True)
        (keep / MODEL).unlink(missing_ok=True)
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="sindbad-harness.") as folder:
        yield Path(folder)


def _command(
    benchmark: Benchmark, harness: Harness, python: Path, tasks: tuple[str, ...], asked: Asked,
    data: LocalData | None, work: Path,
) -> tuple[list[str], dict[str, str]]:  # fmt: skip
    """What to run, and variables that it reads."""
    out = work / "out"
    if harness is Harness.LM_EVAL:
        include = work / "tasks" if data else None
        names = list(tasks)
        if data is not None and include is not None:
            package = package_folder(harness, python)
            assert package is not None
            names = write_lm_eval_tasks(package, benchmark, data, include)
        return lm_eval_command(python, names, asked, out, include), {}
    names = lighteval_names(benchmark, tasks, data)
    command = lighteval_command(python, work / "tasks.txt", names, asked, out)
    return command, {PLAN_VARIABLE: lighteval_plan(names, data)}


def _results(out: Path) -> dict[str, Any]:
    """The newest results below ``out``: the harnesses name the file by the time. Raises Corrupt where there is none."""
    files = sorted(out.rglob("results_*.json"))
    if not files:
        raise Corrupt(f"the harness ended well and left no results below {out}")
    found: dict[str, Any] = json.loads(files[-1].read_text(encoding="utf-8"))
    return found


def _run(
    benchmark: Benchmark, harness: Harness, python: Path, asked: Asked, scores: tuple[TaskScores, ...],
    data: LocalData | None, source: Source,
) -> HarnessRun:  # fmt: skip
    told = {None: "as by default", True: "applied", False: "not applied"}[asked.chat]
    where: dict[str, Any] = {"hub": benchmark.dataset}
    if data is not None:
        where = {"file": str(source.file), "converted": data.converted, "left_out": data.left_out}
        where["items"] = asdict(data)["items"]
    return HarnessRun(
        benchmark.name,
        harness,
        version_of(harness, python),
        _transformers(python),
        str(asked.model),
        told,
        scores,
        where,
    )


def _transformers(python: Path) -> str:
    found = sorted((python.parent.parent / "lib").glob("python3*/site-packages/transformers-*.dist-info"))
    return found[-1].name.removesuffix(".dist-info").partition("-")[2] if found else "unknown"
