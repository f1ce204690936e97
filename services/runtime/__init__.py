"""What every service shares: settings, start-up, guards around every method, and the hosts that serve them.

A service is a folder with ``service.py`` (settings and ``async def build(settings, context)``) and a ``__main__.py`` of
one line: ``run_service("search", SearchSettings, build)``.
"""

from __future__ import annotations

from services.runtime.context import ServiceContext
from services.runtime.main import run_service
from services.runtime.server import RunningService, start_service
from services.runtime.settings import RuntimeSettings, Settings, TlsSettings

__all__ = [
    "RunningService",
    "RuntimeSettings",
    "ServiceContext",
    "Settings",
    "TlsSettings",
    "run_service",
    "start_service",
]
