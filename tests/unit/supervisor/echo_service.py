"""``python -m tests.unit.supervisor.echo_service``: the echo service as a process, for tests of the supervisor."""

from __future__ import annotations

from services.runtime import run_service
from tests.unit.runtime.echo import EchoSettings, build

if __name__ == "__main__":
    run_service("echo", EchoSettings, build)
