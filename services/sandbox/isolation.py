"""Command lines that run a program where it can do no harm.

With bubblewrap the program gets: namespaces of its own for users, processes, network (none), IPC and host name; a
read-only view of the interpreter and of /usr and nothing else of the host (no /etc, no home); a scratch folder in
memory of bounded size; no capabilities and no further user namespaces. Limits on CPU, address space, processes, open
files and file size are set inside the namespace by :data:`BOOT` before the program starts, as hard limits.

A service that runs as root drops to :data:`NOBODY` first: the kernel does not hold root to a limit on processes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

NOBODY: Final = 65534
SCRATCH_BYTES: Final = 32 * 1024 * 1024
BOOT: Final = """\
import json, os, resource, sys
spec = json.loads(sys.argv[1])
for name, value in spec["limits"]:
    resource.setrlimit(getattr(resource, name), (value, value))
soft, hard = spec["cpu"]
resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
os.execv(sys.executable, [sys.executable, "-I", "-u", "-X", "utf8", spec["program"]])
"""
DROP: Final = """\
import os, sys
number = int(sys.argv[1])
os.setgroups([])
os.setresgid(number, number, number)
os.setresuid(number, number, number)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one program. ``output_bytes`` is kept of each stream; a stream that goes far beyond ends the program."""

    wall_seconds: float = 20.0
    cpu_seconds: float = 10.0
    memory_bytes: int = 512 * 1024 * 1024
    output_bytes: int = 32 * 1024
    processes: int = 32
    file_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. ``options`` go to ``create_subprocess_exec``; ``inherited`` descriptors are closed afterwards."""

    arguments: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    inherited: tuple[int, ...] = ()


class Isolation(Protocol):
    """How programs are kept apart."""

    @property
    def name(self) -> str: ...

    def command(self, code: str, limits: Limits, scratch: Path) -> Command:
        """The command that runs ``code``; ``scratch`` is an empty folder of its own, removed afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """Namespaces by ``bwrap``; ``python`` must be readable for :data:`NOBODY` when the service is root."""

    bwrap: str
    python: str
    name: str = "bubblewrap"

    def command(self, code: str, limits: Limits, scratch: Path) -> Command:
        program = _memory_file(code)
        arguments = [
            *_dropped(), self.bwrap,
            "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
            "--clearenv", "--setenv", "PATH", "/usr/bin", "--setenv", "HOME", "/scratch", "--setenv", "LANG", "C.UTF-8",
            "--cap-drop", "ALL", "--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "sandbox",
            *self._files(),
            "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev",
            "--size", str(SCRATCH_BYTES), "--tmpfs", "/scratch", "--chdir", "/scratch",
            "--perms", "0444", "--ro-bind-data", str(program), "/program/main.py", "--remount-ro", "/",
            *_boot(self.python, "/program/main.py", limits),
        ]  # fmt: skip
        return Command(arguments, {"pass_fds": (program,), "cwd": "/"}, (program,))

    def _files(self) -> list[str]:
        bound = ["--ro-bind", "/usr", "/usr"]
        for name in ("lib", "lib64", "bin"):
            if os.path.islink(f"/{name}"):
                bound += ["--symlink", os.readlink(f"/{name}").lstrip("/"), f"/{name}"]
            elif os.path.isdir(f"/{name}"):
                bound += ["--ro-bind", f"/{name}", f"/{name}"]
        prefix = str(Path(self.python).parent.parent)
        return bound if prefix.startswith("/usr") else [*bound, "--ro-bind", prefix, prefix]


@dataclass(frozen=True, slots=True)
class Unisolated:
    """Limits only: the program sees the host's files and network. For a machine that is itself a sandbox."""

    python: str
    name: str = "none"

    def command(self, code: str, limits: Limits, scratch: Path) -> Command:
        program = scratch / "main.py"
        program.write_text(code, "utf-8", errors="surrogateescape")
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "LANG": "C.UTF-8"}
        return Command(_boot(self.python, str(program), limits), {"cwd": str(scratch), "env": environment})


def candidates(python: str | None) -> Sequence[str]:
    """Interpreters to try, resolved: the configured one alone, or this one's base and then the system's."""
    if python:
        return (python,)
    own = os.path.realpath(os.path.join(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}"))
    found = [path for path in (own, "/usr/local/bin/python3", "/usr/bin/python3") if os.access(path, os.X_OK)]
    return tuple(dict.fromkeys(os.path.realpath(path) for path in found))


def find_bwrap() -> str | None:
    """The bubblewrap program, if installed."""
    return shutil.which("bwrap")


def _boot(python: str, program: str, limits: Limits) -> list[str]:
    cpu = max(1, round(limits.cpu_seconds))
    fixed = {
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_AS": limits.memory_bytes,
    }
    spec = {"limits": list(fixed.items()), "cpu": [cpu, cpu + 1], "program": program}
    return [python, "-I", "-c", BOOT, json.dumps(spec)]


def _dropped() -> list[str]:
    """A prefix that gives root up.

    Not ``subprocess``'s ``user=``: that forks where it would vfork, and gRPC's fork handlers then crash some children.
    """
    return [sys.executable, "-I", "-S", "-c", DROP, str(NOBODY)] if os.geteuid() == 0 else []


def _memory_file(code: str) -> int:
    """A descriptor at the beginning of ``code``: no path that another sandbox could guess."""
    descriptor = os.memfd_create("program")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(code.encode("utf-8", "surrogatepass"))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
