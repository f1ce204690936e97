from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime import ServiceContext, TlsSettings, start_service
from sindbad.clients import ChannelSettings, ModelControlClient, PolicyClient
from sindbad.clients.channel import open_channel
from sindbad.errors import InvalidInput, PermissionRefused, Unavailable
from sindbad.v1 import model_control_pb2, model_control_pb2_grpc
from tests.unit.runtime.echo import POLICY, EchoSettings, build

QUIET = {"drain_seconds": 0}


class Control(model_control_pb2_grpc.ModelControlServicer):
    """Answers Get."""

    async def Get(self, request: object, context: object) -> model_control_pb2.ModelControlGetResponse:
        return model_control_pb2.ModelControlGetResponse(version=7, uri="file:///w/v7")


async def build_with_control(settings: EchoSettings, context: ServiceContext) -> None:
    await build(settings, context)
    add = model_control_pb2_grpc.add_ModelControlServicer_to_server
    context.add_control_servicer(add, Control(), service_name="sindbad.v1.ModelControl")


def token(folder: Path, text: str) -> Path:
    file = folder / f"token-{len(list(folder.iterdir()))}"
    file.write_text(text + "\n")
    return file


async def test_a_request_needs_the_token_and_health_does_not(tmp_path: Path) -> None:
    secret = token(tmp_path, "open sesame")
    async with await start_service("echo", EchoSettings(token_file=secret, **QUIET), build) as service:
        async with PolicyClient(service.address) as stranger:
            with pytest.raises(PermissionRefused):
                await stranger.info()
        wrong = ChannelSettings(token_file=token(tmp_path, "open barley"))
        async with PolicyClient(service.address, channel=wrong) as impostor:
            with pytest.raises(PermissionRefused):
                await impostor.info()
        async with PolicyClient(service.address, channel=ChannelSettings(token_file=secret)) as friend:
            assert (await friend.info()).version == 1
        async with open_channel(service.address) as channel:
            reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_control_has_a_port_and_a_token_of_its_own(tmp_path: Path) -> None:
    main, control = token(tmp_path, "main"), token(tmp_path, "control")
    settings = EchoSettings(token_file=main, control_token_file=control, **QUIET)
    async with await start_service("echo", settings, build_with_control) as service:
        assert service.control_address != service.address
        async with ModelControlClient(service.control_address, channel=ChannelSettings(token_file=control)) as client:
            state = await client.get()
            assert (state.version, state.uri) == (7, "file:///w/v7")
        async with ModelControlClient(service.control_address, channel=ChannelSettings(token_file=main)) as client:
            with pytest.raises(PermissionRefused):
                await client.get()
        async with open_channel(service.control_address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(f"/{POLICY}/GetInfo")(b"")
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_empty_or_missing_token_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        await start_service("echo", EchoSettings(token_file=token(tmp_path, " ")), build)
    with pytest.raises(InvalidInput, match="cannot be read"):
        await start_service("echo", EchoSettings(token_file=tmp_path / "absent"), build)


async def test_tls_serves_those_who_trust_it_and_nobody_in_plain_text(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = TlsSettings(certificate_file=certificate, key_file=key)
    async with await start_service("echo", EchoSettings(tls=tls, **QUIET), build) as service:
        async with PolicyClient(service.address, channel=ChannelSettings(ca_file=certificate)) as client:
            assert (await client.info()).engine == "counting"
        async with PolicyClient(service.address, deadline_seconds=0.5) as plain:
            with pytest.raises(Unavailable):
                await plain.info()


async def test_mutual_tls_refuses_a_client_without_a_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = TlsSettings(certificate_file=certificate, key_file=key, client_ca_file=certificate)
    async with await start_service("echo", EchoSettings(tls=tls, **QUIET), build) as service:
        known = ChannelSettings(ca_file=certificate, certificate_file=certificate, key_file=key)
        async with PolicyClient(service.address, channel=known) as client:
            assert (await client.info()).version == 1
        unknown = ChannelSettings(ca_file=certificate)
        async with PolicyClient(service.address, channel=unknown, deadline_seconds=0.5) as client:
            with pytest.raises(Unavailable):
                await client.info()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, for a day, that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = builder.add_extension(address, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "tls.crt", folder / "tls.key"
