"""Compile our pipelines, and run them with KFP's own local runner."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.digest import ROOT
from pipelines.release import Release, read_release
from pipelines.stage import OWNER_VARIABLE

PIPELINES = ("mission", "translate_and_tune")
"""Each is the function of that name in the module of that name."""


def load_pipeline(name: str, release: Release | None = None) -> Any:
    """The KFP pipeline, with its steps placed beside ``release``; without one, as KFP's local runner takes it."""
    plain = getattr(import_module(f"pipelines.{name}"), name)
    if release is None:
        return plain
    from kfp import dsl

    from pipelines.step import beside

    with beside(release):
        return dsl.pipeline(name=plain.name, description=plain.description)(plain.pipeline_func)


def compile_pipeline(name: str, target: Path, release: Release | None = None) -> str:
    """Write the IR YAML (two documents: the pipeline, and its Kubernetes platform configuration).

    Args:
        release: whose images, claims and nodes the steps use; default: the chart's own values.

    Returns:
        The pipeline's name in Kubeflow.
    """
    from kfp import compiler

    pipeline = load_pipeline(name, release or read_release())
    target.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(target))
    return str(pipeline.name)


def run_pipeline(name: str, run_dir: Path, arguments: dict[str, Any]) -> None:
    """Run every step that is not in the cache, one after the other, as subprocesses of this process.

    Raises RuntimeError naming the step that failed. Finished steps stay cached below the run, so the next call
    resumes at the first unfinished one.
    """
    from kfp import local

    pipeline = load_pipeline(name)
    _prepare_environment()
    workspace = tempfile.mkdtemp(prefix="sindbad-kfp-")  # KFP deletes it after every run.
    try:
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(run_dir / "kfp" / "artifacts"),
            workspace_root=workspace,
            enable_caching=True,
            cache_root=str(run_dir / "kfp" / "cache"),
        )
        pipeline(**arguments)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _prepare_environment() -> None:
    """What the steps' processes inherit: the import path, their owner, and passive OpenMP threads."""
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    os.environ[OWNER_VARIABLE] = str(os.getpid())
    os.environ["PYTHONUNBUFFERED"] = "1"
    for name, value in (("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", "0"), ("KMP_BLOCKTIME", "0")):
        os.environ.setdefault(name, value)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def main() -> None:
    """``python -m pipelines.local RUN_DIR ARGUMENTS.json PIPELINE``: what ``sindbad demo`` and ``tune`` watch over.

    (They start this through :mod:`sindbad.supervisor.child`, so that it dies with them from its first moment on.)
    """
    import json
    import logging

    logging.getLogger().setLevel(logging.WARNING)
    run_dir, arguments = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8"))
    run_pipeline(sys.argv[3], run_dir, arguments)


if __name__ == "__main__":
    main()
