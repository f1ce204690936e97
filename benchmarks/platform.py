"""How quick the platform is: python benchmarks/platform.py [--quick] [--json FILE]

Three measurements, each beside its peer in the same run: rollouts through the services beside the same engine called
directly (benchmarks/rollouts.py), the runtime's overhead beside a bare grpc.aio server (benchmarks/echo.py), and how
long the engine stands idle while tools take 20-200 ms (benchmarks/rollouts.py).
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ in ("__main__", "platform"):
    # A script's folder comes first on the path, where this file would hide the standard library's `platform` from
    # everybody (torch asks for it), whichever script of this folder was started.
    sys.path[:] = [os.path.dirname(_HERE), *(entry for entry in sys.path if os.path.abspath(entry) != _HERE)]
if __name__ == "platform":
    import importlib

    del sys.modules["platform"]
    sys.modules["platform"] = importlib.import_module("platform")

if __name__ == "__main__":
    from benchmarks.platform_run import main

    main()
