"""The trace id: one name for a request, from the first client through every service it touches, and into the logs."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

TRACE_HEADER = "x-trace-id"
_TRACE_ID: ContextVar[str] = ContextVar("sindbad_trace_id", default="")
# What a caller may choose: it is printed in logs, so nothing that could forge a line.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def current_trace_id() -> str:
    """The trace id of the request that this task works for; empty outside of one."""
    return _TRACE_ID.get()


def new_trace_id() -> str:
    """128 random bits, hexadecimal (the size that W3C trace context uses)."""
    return secrets.token_hex(16)


def set_trace_id(trace_id: str) -> None:
    """Set the trace id for this task and what it starts."""
    _TRACE_ID.set(trace_id)


def accept_trace_id(offered: str | None) -> str:
    """The caller's trace id if it is fit to be printed, else a new one."""
    return offered if offered and _ACCEPTABLE.fullmatch(offered) else new_trace_id()
