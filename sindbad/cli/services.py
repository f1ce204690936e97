"""``sindbad up``, ``down``, ``status``: the services of one run on this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sindbad.cli.failing import fail
from sindbad.cli.runs import DEMO, Run

if TYPE_CHECKING:
    import subprocess

    from sindbad.supervisor import Supervisor

Only = Annotated[list[str] | None, typer.Argument(help="Services to start; all of the file by default.")]
ServicesFile = Annotated[Path | None, typer.Option("--services", help="YAML of the services (recipes/services.yaml).")]
Detach = Annotated[bool, typer.Option(help="Return once they are live; `sindbad down` ends them.")]


def up(only: Only = None, run: Run = DEMO, services: ServicesFile = None, detach: Detach = False) -> None:
    """Start the services, restart what dies, and take all of them down with Ctrl-C."""
    from sindbad.errors import SindbadError
    from sindbad.supervisor.spec import DEFAULT_SERVICES, choose, read_specs
    from sindbad.supervisor.supervisor import serve_forever

    file, names = services or DEFAULT_SERVICES, only or []
    try:
        specs = choose(read_specs(file), names)
        if detach:
            _detached(run, file, names)
        else:
            serve_forever(run, specs, on_live=_show)
    except SindbadError as error:
        fail(error)


def down(run: Run = DEMO, seconds: Annotated[float, typer.Option(help="How long to wait for it.")] = 40.0) -> None:
    """Drain and end the services of a run."""
    import os
    import signal

    from sindbad.supervisor.registry import running_supervisor

    pid = running_supervisor(run)
    if pid is None:
        typer.echo(f"no services are up in {run}")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while running_supervisor(run) == pid:
        if time.monotonic() > deadline:
            fail(f"the supervisor (process {pid}) did not end within {seconds:g} s; its logs are in {run}/logs")
        time.sleep(0.1)
    typer.echo("down")


def status(
    run: Run = DEMO,
    address: Annotated[list[str] | None, typer.Option(help="Ask these addresses instead of a run's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show who serves. Exits with 1 when a service does not answer; NOT_SERVING (no model yet) is an answer."""
    import asyncio

    from sindbad.errors import SindbadError
    from sindbad.supervisor.registry import read_registry

    try:
        entries = [{"address": one} for one in address] if address else _entries(read_registry(run))
    except SindbadError as error:
        fail(error)
    rows = asyncio.run(_ask_all(entries))
    typer.echo(json.dumps(rows, indent=2) if as_json else "\n".join(_row(row) for row in rows))
    if any(row["health"] == "no answer" for row in rows):
        raise typer.Exit(1)


def _entries(registry: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{"name": name, "service": name, **entry} for name, entries in registry.items() for entry in entries]


async def _ask_all(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    import asyncio

    healths = await asyncio.gather(*(_ask(entry["address"], entry.get("service", "")) for entry in entries))
    return [{**entry, "health": health} for entry, health in zip(entries, healths, strict=True)]


async def _ask(address: str, name: str) -> str:
    """ "SERVING", "NOT_SERVING" or "no answer"."""
    import grpc.aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    service = f"sindbad.v1.{name.capitalize()}" if name else ""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            reply = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        except grpc.aio.AioRpcError as error:
            known = error.code() is grpc.StatusCode.NOT_FOUND
            return "NOT_SERVING" if known else "no answer"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def _row(row: dict[str, Any]) -> str:
    restarts = f"  restarted {row['restarts']}×" if row.get("restarts") else ""
    return f"{row.get('name', ''):<13} {row['address']:<23} {row['health']}{restarts}"


def _show(supervisor: Supervisor) -> None:
    for replica in supervisor.replicas:
        typer.echo(f"{replica.label:<14}{replica.place.address}")
    typer.echo(f"up; logs in {supervisor.run_dir}/logs; Ctrl-C takes them down")


def _detached(run: Path, file: Path, names: list[str]) -> None:
    import subprocess
    import sys

    from sindbad.supervisor.rotation import rotate

    log = run / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    command = [sys.executable, "-m", "sindbad.supervisor", str(run), str(file), *names]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    _await_live(process, run, log)
    typer.echo(f"up (supervisor is process {process.pid}); `sindbad down --run {run}` ends them")


def _await_live(process: subprocess.Popen[bytes], run: Path, log: Path) -> None:
    from sindbad.supervisor.registry import read_registry, running_supervisor

    while process.poll() is None:
        if running_supervisor(run) == process.pid:
            entries = _entries(read_registry(run)) if (run / "services.json").exists() else []
            mine = [entry for entry in entries if entry["phase"] != "stopped"]
            if mine and all(entry["phase"] == "live" for entry in mine):
                return
        time.sleep(0.2)
    last = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-20:])
    fail(f"the supervisor ended; the last lines of {log}:\n{last}")
