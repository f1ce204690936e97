"""Bearer tokens from files, compared in constant time; TLS credentials from files."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

import grpc

from services.runtime.settings import TlsSettings
from sindbad.errors import InvalidInput, PermissionRefused


class BearerToken:
    """The token that requests must carry. Read once: a new token is a new start, as with every mounted Secret."""

    def __init__(self, file: Path) -> None:
        try:
            token = file.read_text("utf-8").strip()
        except OSError as error:
            raise InvalidInput(f"token file {file} cannot be read ({error.strerror}); mount it or unset it") from error
        if not token:
            raise InvalidInput(f"token file {file} is empty; an empty token would let nobody or everybody in")
        self._expected = f"Bearer {token}".encode()

    def check(self, metadata: Mapping[str, str | bytes]) -> None:
        """Raise PermissionRefused unless ``authorization`` carries the token."""
        offered = metadata.get("authorization", "")
        if not hmac.compare_digest(offered.encode() if isinstance(offered, str) else offered, self._expected):
            raise PermissionRefused("this port needs `authorization: Bearer <token>` and got none or a wrong one")


def bearer_token(file: Path | None) -> BearerToken | None:
    """The check for ``file``; None where no token is configured."""
    return BearerToken(file) if file is not None else None


def server_credentials(tls: TlsSettings | None) -> grpc.ServerCredentials | None:
    """Credentials for a port; None for plain text. Raises OSError when a file is missing."""
    if tls is None:
        return None
    authority = tls.client_ca_file.read_bytes() if tls.client_ca_file else None
    return grpc.ssl_server_credentials(
        [(tls.key_file.read_bytes(), tls.certificate_file.read_bytes())],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )
