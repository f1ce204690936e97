from __future__ import annotations

import grpc
import grpc.aio
import pytest

from sindbad import errors
from sindbad.clients.status import CODE_OF, from_rpc_error, to_status
from sindbad.errors import SindbadError


def rpc_error(code: grpc.StatusCode, details: str = "", trailing: tuple[tuple[str, bytes], ...] = ()) -> grpc.RpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)


@pytest.mark.parametrize("cls", [cls for cls, _ in CODE_OF])
def test_every_error_comes_back_as_it_was(cls: type[SindbadError]) -> None:
    error = cls("what to do", reason="A_REASON", metadata={"field": "x"})
    back = from_rpc_error(rpc_error(*to_status(error)))
    assert type(back) is cls
    assert (back.message, back.reason, back.metadata) == ("what to do", "A_REASON", {"field": "x"})


def test_no_error_is_unknown_and_every_class_has_a_code() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SindbadError)]
    assert {cls for cls, _ in CODE_OF} == set(classes)
    assert all(to_status(cls("x"))[0] is not grpc.StatusCode.UNKNOWN for cls in classes)


def test_a_subclass_of_a_service_arrives_as_the_class_that_clients_know() -> None:
    class OddFailure(errors.ToolFailure):
        default_reason = "ODD"

    back = from_rpc_error(rpc_error(*to_status(OddFailure("odd"))))
    assert type(back) is errors.ToolFailure
    assert back.reason == "ODD"


def test_a_known_caller_without_the_right_is_permission_denied() -> None:
    assert to_status(errors.PermissionRefused("who?"))[0] is grpc.StatusCode.UNAUTHENTICATED
    outside = errors.PermissionRefused("no", reason="OUTSIDE_ROOT")
    assert to_status(outside)[0] is grpc.StatusCode.PERMISSION_DENIED


def test_a_foreign_status_is_mapped_by_its_code() -> None:
    assert type(from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE))) is errors.Unavailable
    assert type(from_rpc_error(rpc_error(grpc.StatusCode.UNIMPLEMENTED))) is SindbadError
    garbage = rpc_error(grpc.StatusCode.NOT_FOUND, "gone", (("grpc-status-details-bin", b"\xff\xff"),))
    assert type(from_rpc_error(garbage)) is errors.NotFound


def test_a_reason_in_front_of_the_message_stands_in_for_lost_metadata() -> None:
    error = from_rpc_error(rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "[NO_MODEL] load one\nfirst"))
    assert type(error) is errors.NoModel
    assert (error.reason, error.message) == ("NO_MODEL", "load one\nfirst")


def test_a_message_that_is_too_large_is_not_worth_a_retry() -> None:
    text = "CLIENT: Received message larger than max (5000 vs. 4096)"
    error = from_rpc_error(rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
    assert type(error) is errors.InvalidInput
    assert not error.retryable


def test_long_messages_do_not_burst_the_metadata() -> None:
    error = SindbadError("x" * 100_000, metadata={str(i): "y" * 10_000 for i in range(50)})
    assert sum(len(value) for _, value in to_status(error)[2]) < 8000
