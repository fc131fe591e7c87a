"""The HTTP client over TLS, with a certificate made for the test."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from antiphon.errors import BackendError
from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient
from antiphon.net.tls import client_context

from .certificates import Authority
from .upstream import Call, Upstream


def certificate(folder: Path) -> Path:
    """Write a certificate for `localhost` and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "pair.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


async def hello(call: Call) -> None:
    await call.answer(b"hello")


async def test_tls_with_a_trusted_and_an_unknown_certificate(tmp_path: Path) -> None:
    pair = certificate(tmp_path)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(pair)
    upstream = Upstream(hello)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=ours)
    address = parse_url(f"https://localhost:{server.sockets[0].getsockname()[1]}/v1")
    trusting = HttpClient(address, tls=ssl.create_default_context(cafile=str(pair)))
    for _ in range(2):
        assert await (await trusting.send("GET", "/")).read_all() == b"hello"
    assert upstream.accepted == 1
    wary = HttpClient(address)
    with pytest.raises(BackendError) as caught:
        await wary.send("GET", "/")
    assert (caught.value.status, caught.value.message) == (503, "The backend's certificate is not trusted.")
    await trusting.close()
    await wary.close()
    server.close()
    await upstream.stop()
    await server.wait_closed()


async def test_a_server_that_wants_a_certificate_is_told_apart(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(*authority.sign("localhost"))
    ours.load_verify_locations(authority.file)
    ours.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        for _ in range(2):
            taken, _ = listener.accept()
            with contextlib.suppress(ssl.SSLError), ours.wrap_socket(taken, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            taken.close()

    thread = threading.Thread(target=answer)
    thread.start()
    address = parse_url(f"https://localhost:{listener.getsockname()[1]}/v1")
    cert, key = authority.sign("client")
    known = HttpClient(address, tls=client_context(str(authority.file), str(cert), str(key)))
    assert await (await known.send("GET", "/")).read_all() == b"hello"
    unknown = HttpClient(address, tls=client_context(str(authority.file)))
    with pytest.raises(BackendError, match="The backend refuses the TLS connection: it may want a client certificate"):
        await unknown.send("GET", "/")
    for client in (known, unknown):
        await client.close()
    thread.join()
    listener.close()
