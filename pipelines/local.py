"""Compile the mission, and run it with KFP's own local runner."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipelines.digest import ROOT
from pipelines.stage import OWNER_VARIABLE


def compile_mission(target: Path) -> Path:
    """Write the IR YAML (two documents: the pipeline, and its Kubernetes platform configuration)."""
    from kfp import compiler

    from pipelines.mission import mission

    target.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(mission, str(target))
    return target


def run_mission(run_dir: Path, arguments: dict[str, Any]) -> None:
    """Run every step that is not in the cache, one after the other, as subprocesses of this process.

    Raises RuntimeError naming the step that failed. Finished steps stay cached below the run, so the next call
    resumes at the first unfinished one.
    """
    from kfp import local

    from pipelines.mission import mission

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
        mission(**arguments)
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
    """``python -m pipelines.local RUN_DIR ARGUMENTS.json``: the process that ``sindbad demo`` watches over.

    (It starts this through :mod:`sindbad.supervisor.child`, so that it dies with the demo from its first moment on.)
    """
    import json
    import logging

    logging.getLogger().setLevel(logging.WARNING)
    run_dir, arguments = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8"))
    run_mission(run_dir, arguments)


if __name__ == "__main__":
    main()
