"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket

# Below Linux's ephemeral range (32768-60999): while a service restarts, no outgoing connection can take its port.
FIRST, LAST = 20_000, 32_000


def free_ports(count: int, *, host: str = "127.0.0.1", seed: int | None = None) -> list[int]:
    """``count`` different ports that nobody listens on now. Raises OSError when there are too few."""
    candidates = random.Random(seed).sample(range(FIRST, LAST), LAST - FIRST)
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if _is_free(host, port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"only {len(found)} of {count} ports between {FIRST} and {LAST} are free")
    return found


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
