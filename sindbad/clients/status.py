"""gRPC status <-> ``sindbad.errors``, both ways. The one place that knows the mapping.

A failure travels as ``google.rpc.Status`` in ``grpc-status-details-bin`` with an ``ErrorInfo``: domain "sindbad", the
stable reason, the error's own metadata, and under the key ``class`` the nearest class of ``sindbad.errors``, so that
the client raises what the server raised. Without an ErrorInfo (a proxy, another server) the code alone decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from sindbad import errors
from sindbad.errors import SindbadError

DOMAIN = "sindbad"
DETAILS_KEY = "grpc-status-details-bin"
CLASS_KEY = "class"
Code = grpc.StatusCode

# Most derived first: the first class that fits decides.
CODE_OF: tuple[tuple[type[SindbadError], grpc.StatusCode], ...] = (
    (errors.InvalidInput, Code.INVALID_ARGUMENT),
    (errors.NotFound, Code.NOT_FOUND),
    (errors.PermissionRefused, Code.UNAUTHENTICATED),
    (errors.NoModel, Code.FAILED_PRECONDITION),
    (errors.WeightsBehind, Code.UNAVAILABLE),
    (errors.ToolFailure, Code.UNAVAILABLE),
    (errors.Unavailable, Code.UNAVAILABLE),
    (errors.Overloaded, Code.RESOURCE_EXHAUSTED),
    (errors.DeadlineExceeded, Code.DEADLINE_EXCEEDED),
    (errors.Cancelled, Code.CANCELLED),
    (errors.Corrupt, Code.DATA_LOSS),
    (errors.PolicyFailure, Code.ABORTED),
    (errors.EngineFailure, Code.INTERNAL),
    (SindbadError, Code.INTERNAL),
)
_CLASSES: dict[str, type[SindbadError]] = {cls.__name__: cls for cls, _ in CODE_OF}
_CLASS_OF_CODE: dict[grpc.StatusCode, type[SindbadError]] = {
    Code.INVALID_ARGUMENT: errors.InvalidInput,
    Code.OUT_OF_RANGE: errors.InvalidInput,
    Code.NOT_FOUND: errors.NotFound,
    Code.UNAUTHENTICATED: errors.PermissionRefused,
    Code.PERMISSION_DENIED: errors.PermissionRefused,
    Code.FAILED_PRECONDITION: errors.EngineFailure,
    Code.UNAVAILABLE: errors.Unavailable,
    Code.RESOURCE_EXHAUSTED: errors.Overloaded,
    Code.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    Code.CANCELLED: errors.Cancelled,
    Code.DATA_LOSS: errors.Corrupt,
    Code.ABORTED: errors.PolicyFailure,
}
_CLASS_OF_REASON = {cls.default_reason: cls for cls, _ in CODE_OF}
# A host that loses trailing metadata (Ray Serve's proxy) puts the reason in front of the message.
_REASON_IN_FRONT = re.compile(r"\[([A-Z][A-Z_]+)\] (.*)", re.DOTALL)
# gRPC cuts metadata over 8 KiB and then loses the status with it.
_MESSAGE_LIMIT = 2000
_METADATA_LIMIT = 500


def code_for(error: SindbadError) -> grpc.StatusCode:
    """The status code of ``error``. A known caller without the right is PERMISSION_DENIED, an unknown one isn't."""
    if isinstance(error, errors.PermissionRefused) and error.reason != errors.PermissionRefused.default_reason:
        return Code.PERMISSION_DENIED
    return next(code for cls, code in CODE_OF if isinstance(error, cls))


def to_status(error: SindbadError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """What to abort with: code, message, and the trailing metadata that carries the ErrorInfo."""
    code = code_for(error)
    message = error.message[:_MESSAGE_LIMIT]
    nearest = next(cls for cls, _ in CODE_OF if isinstance(error, cls))
    metadata = {key: value[:_METADATA_LIMIT] for key, value in list(error.metadata.items())[:8]}
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata={**metadata, CLASS_KEY: nearest.__name__}
    )
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(info)
    return code, message, ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc_error(error: grpc.RpcError) -> SindbadError:
    """The exception that a client raises for a failed call; reason and metadata as the server set them."""
    code, message, info = _code(error), _message(error), error_info(_trailing_metadata(error))
    if info is None:
        return _from_code(code, message)
    metadata = dict(info.metadata)
    cls = _CLASSES.get(metadata.pop(CLASS_KEY, ""), _CLASS_OF_CODE.get(code, SindbadError))
    return cls(message, reason=info.reason, metadata=metadata)


def error_info(metadata: Iterable[tuple[str, Any]] | None) -> error_details_pb2.ErrorInfo | None:
    """The ErrorInfo in trailing metadata; None when there is none that can be read."""
    for key, value in metadata or ():
        if key == DETAILS_KEY:
            return _unpack(value)
    return None


def _unpack(value: bytes) -> error_details_pb2.ErrorInfo | None:
    info = error_details_pb2.ErrorInfo()
    try:
        details = status_pb2.Status.FromString(value).details
        return next((info for detail in details if detail.Unpack(info)), None)
    except Exception:  # a foreign server's garbage must not hide the status itself
        return None


def _from_code(code: grpc.StatusCode, message: str) -> SindbadError:
    # gRPC says RESOURCE_EXHAUSTED for a message over the size limit; no retry will make it smaller.
    if code is Code.RESOURCE_EXHAUSTED and "larger than max" in message:
        return errors.InvalidInput(message, reason="MESSAGE_TOO_LARGE")
    if match := _REASON_IN_FRONT.fullmatch(message):
        cls = _CLASS_OF_REASON.get(match[1], _CLASS_OF_CODE.get(code, SindbadError))
        return cls(match[2], reason=match[1])
    cls = _CLASS_OF_CODE.get(code, SindbadError)
    return cls(message, reason=None if cls is not SindbadError else code.name)


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()
    return code


def _message(error: grpc.RpcError) -> str:
    return str(error.details() or "")


def _trailing_metadata(error: grpc.RpcError) -> Iterable[tuple[str, Any]] | None:
    metadata: Iterable[tuple[str, Any]] | None = error.trailing_metadata()
    return metadata
