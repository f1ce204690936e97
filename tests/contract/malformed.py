"""Two hundred malformed requests for any running service: clean statuses, and the server stays up.

Used by every service's contract test: ``await assert_survives_malformed(address)``. Methods are found by reflection,
so a method that is added later is attacked as well.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

# A malformed request may find nothing wrong with itself (empty bytes are a message); what it must not find is a bug.
UNCLEAN = {"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNIMPLEMENTED"}


def methods_of(service_name: str) -> list[MethodDescriptor]:
    """Descriptors of a service's methods; its generated module must be imported."""
    service = descriptor_pool.Default().FindServiceByName(service_name)
    return list(service.methods)


def malformed_payloads(count: int, seed: int = 0) -> list[bytes]:
    """Random bytes of many lengths, cut and overlong varints, wrong wire types, invalid UTF-8, a group never closed."""
    rng = random.Random(seed)
    fixed = [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xc3\x28", b"\x0b", b"\x08" + b"\x80" * 11, b"\x0a\x7fab"]
    return fixed + [rng.randbytes(rng.choice((1, 2, 3, 8, 33, 200, 4000))) for _ in range(count - len(fixed))]


def undecodable(method: MethodDescriptor, payload: bytes) -> bool:
    """Whether ``payload`` is no message of the method's request type, by protobuf's own judgement."""
    from google.protobuf import message_factory

    try:
        message_factory.GetMessageClass(method.input_type).FromString(payload)
    except Exception:
        return True
    return False


async def assert_survives_malformed(
    address: str,
    service_names: Sequence[str],
    *,
    count: int = 200,
    metadata: Sequence[tuple[str, str]] = (),
    seconds: float = 10.0,
) -> Counter[str]:
    """Send ``count`` payloads to every method; returns how often each status came.

    Undecodable bytes must be INVALID_ARGUMENT; decodable ones anything clean. Afterwards health must still answer.
    """
    seen: Counter[str] = Counter()
    async with grpc.aio.insecure_channel(address) as channel:
        for service_name in service_names:
            for method in methods_of(service_name):
                for payload in malformed_payloads(count):
                    code = await _status(channel, method, payload, metadata, seconds)
                    seen[code] += 1
                    assert code not in UNCLEAN, f"{method.full_name} answered {code} to {payload[:40]!r}"
                    if undecodable(method, payload):
                        assert code == "INVALID_ARGUMENT", f"{method.full_name} answered {code} to {payload[:40]!r}"
        reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    return seen


async def _status(
    channel: grpc.aio.Channel,
    method: MethodDescriptor,
    payload: bytes,
    metadata: Sequence[tuple[str, str]],
    seconds: float,
) -> str:
    path = f"/{method.containing_service.full_name}/{method.name}"
    streams = _proto(method).server_streaming
    make = channel.unary_stream if streams else channel.unary_unary
    call: Any = make(path)(payload, timeout=seconds, metadata=tuple(metadata))
    try:
        if streams:
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def _proto(method: MethodDescriptor) -> descriptor_pb2.MethodDescriptorProto:
    proto = descriptor_pb2.MethodDescriptorProto()
    method.CopyToProto(proto)
    return proto
