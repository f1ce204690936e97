"""Channels to services: limits, keep-alive, optional TLS and bearer token from files, the trace id on every call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from sindbad.clients.tracing import TRACE_HEADER, current_trace_id, new_trace_id


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """How to reach a service.

    Attributes:
        max_message_bytes: largest message, in and out; as the server's.
        ca_file: PEM certificate authority; None means plain text.
        certificate_file, key_file: this client's own certificate, for mutual TLS.
        server_name: the name in the server's certificate where it is not the address.
        token_file: bearer token sent with every call.
    """

    max_message_bytes: int = 16 * 1024 * 1024
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    token_file: Path | None = None


def open_channel(address: str, settings: ChannelSettings | None = None) -> grpc.aio.Channel:
    """A channel to ``host:port`` or any gRPC target ("dns:///policy:9000" spreads over all its addresses)."""
    chosen = settings or ChannelSettings()
    options = _options(chosen)
    if chosen.ca_file is None:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(
        chosen.ca_file.read_bytes(),
        chosen.key_file.read_bytes() if chosen.key_file else None,
        chosen.certificate_file.read_bytes() if chosen.certificate_file else None,
    )
    return grpc.aio.secure_channel(address, credentials, options=options)


def read_token(settings: ChannelSettings | None) -> str:
    """The token to send; empty where none is configured."""
    file = settings.token_file if settings else None
    return file.read_text("utf-8").strip() if file else ""


def outgoing_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata of one call: this task's trace id (or a new one), and the token."""
    trace = (TRACE_HEADER, current_trace_id() or new_trace_id())
    return (trace, ("authorization", f"Bearer {token}")) if token else (trace,)


def _options(settings: ChannelSettings) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A replica that was restarted is back within a second or two; gRPC's default would wait up to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Retries are ours: they know the taxonomy. gRPC's transparent ones stay.
        ("grpc.enable_retries", 0),
    ]
    if settings.server_name:
        options.append(("grpc.ssl_target_name_override", settings.server_name))
    return options
