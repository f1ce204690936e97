"""Typed async gRPC clients, which is what an integrator imports: domain types in and out, no torch, no service.

A client's module, and gRPC with it, is loaded when the client is first named: settings of :mod:`sindbad.clients.openai`
stand in recipes, which no command should need gRPC to read.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sindbad.clients.agent import AgentClient
    from sindbad.clients.channel import ChannelSettings
    from sindbad.clients.control import ModelControlClient
    from sindbad.clients.judge import JudgeClient
    from sindbad.clients.policy import PolicyClient
    from sindbad.clients.summarizer import SummarizerClient
    from sindbad.clients.tools import ToolClient
    from sindbad.clients.translator import TranslatorClient

_MODULES = {
    "AgentClient": "agent",
    "ChannelSettings": "channel",
    "JudgeClient": "judge",
    "ModelControlClient": "control",
    "PolicyClient": "policy",
    "SummarizerClient": "summarizer",
    "ToolClient": "tools",
    "TranslatorClient": "translator",
}

__all__ = [
    "AgentClient",
    "ChannelSettings",
    "JudgeClient",
    "ModelControlClient",
    "PolicyClient",
    "SummarizerClient",
    "ToolClient",
    "TranslatorClient",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
