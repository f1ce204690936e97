"""The first thing that runs in a child: ``python -m sindbad.supervisor.child PARENT_PID MODULE [ARGUMENTS…]``.

``PARENT_PID -- PROGRAM [ARGUMENTS…]`` becomes another program, which keeps the signal; the file needs nothing of ours.
The child arms its own death signal. (``preexec_fn`` would do it in the parent's fork, which is unsafe once the parent
has threads, and every parent that imported torch has.)
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel for ``number`` when ``parent``'s thread that started us ends; exit now if it is gone already.

    Linux only; elsewhere it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Arm, then become MODULE or PROGRAM."""
    parent, module, *arguments = sys.argv[1:]
    die_with_parent(int(parent))
    if module == "--":
        os.execvp(arguments[0], arguments)
    sys.argv = [module, *arguments]
    # `python -m` would put the working directory first, and run_module does not.
    sys.path.insert(0, os.getcwd())
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
