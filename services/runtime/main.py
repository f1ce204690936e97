"""The command line of every service: ``python -m services.<name> --config FILE --set key=value``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from services.runtime.logs import configure_logging
from services.runtime.server import Build, RunningService, SettingsT, logger, start_service
from sindbad.configuration import override, read_mapping, resolve
from sindbad.errors import SindbadError

# sysexits.h: configuration error. A supervisor need not try again.
EX_CONFIG = 78


def run_service(
    name: str, settings_class: type[SettingsT], build: Build[SettingsT], argv: Sequence[str] | None = None
) -> None:
    """Parse the command line, serve until SIGTERM or SIGINT, drain, exit.

    Exits with 78 for a wrong configuration (naming the nearest key for a typo) and 1 when the start fails.
    """
    arguments = _parse(name, argv)
    try:
        values = read_mapping(arguments.config) if arguments.config else {}
        settings = resolve(settings_class, override(values, arguments.set), source=arguments.config or name)
    except SindbadError as error:
        print(error.message, file=sys.stderr)
        raise SystemExit(EX_CONFIG) from None
    if arguments.dry_run:
        print(settings.model_dump_json(indent=2))
        return
    configure_logging(name, settings.log_level)
    raise SystemExit(_serve(name, settings, build, arguments.host_kind))


def _parse(name: str, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}")
    parser.add_argument("--config", help="YAML or JSON file with the service's settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved settings and exit")
    parser.add_argument(
        "--host-kind", choices=("process", "kserve", "ray"), default="process", help="what serves the service"
    )
    return parser.parse_args(argv)


def _serve(name: str, settings: SettingsT, build: Build[SettingsT], host_kind: str) -> int:
    if host_kind == "kserve":
        from services.runtime.hosts import kserve_server

        return kserve_server.serve(name, settings, build)
    if host_kind == "ray":
        from services.runtime.hosts import ray_serve

        return ray_serve.serve(name, settings, build)
    return asyncio.run(_serve_process(name, settings, build))


async def _serve_process(name: str, settings: SettingsT, build: Build[SettingsT]) -> int:
    stop = asyncio.Event()
    urgent = asyncio.Event()
    _on_signals(stop, urgent)
    starting = asyncio.create_task(start_service(name, settings, build))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return 0
    try:
        service = starting.result()
    except SindbadError as error:
        logger.error("%s cannot start: %s", name, error.message, extra={"reason": error.reason})
        return 1
    _announce(name, service)
    await stop.wait()
    await _drain(service, urgent)
    return 0


def _on_signals(stop: asyncio.Event, urgent: asyncio.Event) -> None:
    def received(signal_name: str) -> None:
        if stop.is_set():
            urgent.set()  # asked twice: no more grace
        logger.info("%s: draining", signal_name)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number.name)


def _announce(name: str, service: RunningService) -> None:
    extra = {"address": service.address, "control_address": service.control_address, "metrics": service.metrics_port}
    logger.info("%s serves", name, extra=extra)


async def _drain(service: RunningService, urgent: asyncio.Event) -> None:
    drain = asyncio.create_task(service.stop())
    hurry = asyncio.create_task(urgent.wait())
    await asyncio.wait({drain, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not drain.done():
        drain.cancel()
    hurry.cancel()
    await asyncio.gather(drain, hurry, return_exceptions=True)
