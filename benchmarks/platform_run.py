"""The command line of benchmarks/platform.py (which can hold no code: its name hides the standard library's module)."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sindbad.engines.threads import calm_threads

calm_threads()  # before torch is loaded

from benchmarks.echo import measure_overhead  # noqa: E402
from benchmarks.figures import Figure, machine, parser, publish  # noqa: E402
from benchmarks.rollouts import Workload, lenient, measure_rollouts  # noqa: E402
from pipelines.recipe import load_recipe  # noqa: E402
from sindbad.agent.config import AgentConfig  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
BASE_AGENT = ROOT / "sindbad" / "demo" / "models" / "base-agent"
PARTS = ("rollouts", "echo")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    arguments = parse(argv)
    began = time.perf_counter()
    figures: dict[str, Figure] = dict(machine())
    folder = Path(tempfile.mkdtemp(prefix="sindbad-platform-"))
    try:
        if "echo" in arguments.parts:
            figures |= asyncio.run(measure_overhead(folder, calls=arguments.calls, rounds=arguments.rounds))
        if "rollouts" in arguments.parts:
            model, name = chosen_model(arguments.model, folder)
            figures["model"] = name
            figures |= asyncio.run(measure_rollouts(folder, workload(arguments, model, random=name == "random")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures["wall_seconds"] = time.perf_counter() - began
    publish(figures, quick=arguments.quick, file=arguments.json)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, sizes filled in by --quick where they are not given."""
    made = parser(__doc__)
    made.add_argument("--model", type=Path, help="model folder; default: the committed base agent")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    made.add_argument("--threads", type=int, default=2, help="torch threads of the engine, as in recipes/services.yaml")
    for name, usual, quick, text in (
        ("episodes", 256, 64, "episodes a repetition"),
        ("repetitions", 4, 2, "pairs of direct and services"),
        ("idle-episodes", 256, 96, "episodes with slow tools"),
        ("calls", 400, 200, "echo calls a round"),
        ("rounds", 30, 4, "echo rounds"),
    ):
        made.add_argument(f"--{name}", type=int, help=f"{text}: {usual}, with --quick {quick}")
        made.set_defaults(**{f"_{name.replace('-', '_')}": (usual, quick)})
    arguments = made.parse_args(argv)
    for name in ("episodes", "repetitions", "idle_episodes", "calls", "rounds"):
        if getattr(arguments, name) is None:
            setattr(arguments, name, getattr(arguments, f"_{name}")[arguments.quick])
    return arguments


def workload(arguments: argparse.Namespace, model: Path, *, random: bool) -> Workload:
    """The demo's agent (recipes/demo.yaml, stage rl_sim) on this model."""
    settings = load_recipe("recipes/demo.yaml").stages["rl_sim"].settings
    agent = AgentConfig.model_validate(settings["crew"]["agent"])
    return Workload(
        model, lenient(agent) if random else agent, arguments.episodes, arguments.repetitions,
        arguments.idle_episodes, arguments.threads,
    )  # fmt: skip


def chosen_model(given: Path | None, folder: Path) -> tuple[Path, str]:
    """The model folder and what to call it: "base-agent", the folder's name, or "random" (nothing was committed)."""
    if given is not None:
        return given.resolve(), given.name
    if (BASE_AGENT / "config.json").is_file():
        return BASE_AGENT, "base-agent"
    print("sindbad/demo/models/base-agent is not there: random weights of the same shape, which write no tool calls")
    return random_model(folder / "model"), "random"


def random_model(folder: Path) -> Path:
    """An untrained model of the base agent's shape with the demo's tokenizer."""
    from sindbad.demo.course import BaseModelConfig, new_model
    from sindbad.demo.tokenizer import save_tokenizer

    new_model(BaseModelConfig()).save_pretrained(str(folder))
    save_tokenizer(folder)
    return folder
