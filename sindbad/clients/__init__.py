"""Typed async gRPC clients, which is what an integrator imports: domain types in and out, no torch, no service."""

from __future__ import annotations

from sindbad.clients.agent import AgentClient
from sindbad.clients.channel import ChannelSettings
from sindbad.clients.control import ModelControlClient
from sindbad.clients.judge import JudgeClient
from sindbad.clients.policy import PolicyClient
from sindbad.clients.summarizer import SummarizerClient
from sindbad.clients.tools import ToolClient
from sindbad.clients.translator import TranslatorClient

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
