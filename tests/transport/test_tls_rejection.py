"""tls_rejection: a server that resets the connection after the handshake, without an alert that can be read."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

import aioecs
from aioecs import Outcome, StartTaskRequest, StartUnknown, Timeouts

HINT = "it may want a client certificate"
REQUEST = StartTaskRequest(task_definition="demo", container_instances=["i"])

Serve = Callable[[socket.socket, ssl.SSLContext], None]


def reset(connection: socket.socket) -> None:
    """Close it with a reset, whatever was not read."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def handshake(connection: socket.socket, context: ssl.SSLContext, *, alert: bool) -> ssl.SSLError | None:
    """Do the server's part of the handshake; return its error, whose alert is sent only if it is to be."""
    arrived, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(arrived, leaves, server_side=True)
    while True:
        try:
            tls.do_handshake()
            connection.sendall(leaves.read())
            return None
        except ssl.SSLWantReadError:
            connection.sendall(leaves.read())
            arrived.write(connection.recv(65536))
        except ssl.SSLError as error:
            if alert:
                connection.sendall(leaves.read())
            return error


def rejects(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Want a certificate, and reset without an alert: as where the reset overtakes it."""
    context.verify_mode = ssl.CERT_REQUIRED
    assert handshake(connection, context, alert=False) is not None
    reset(connection)


def accepts_and_dies(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Accept the client, which reads its session tickets, and reset."""
    assert handshake(connection, context, alert=False) is None
    time.sleep(0.1)
    reset(connection)


def is_tls_1_2(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Reset after the handshake of TLS 1.2, which would have failed without the certificate."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(connection, context, alert=False) is None
    time.sleep(0.05)
    reset(connection)


@pytest.fixture
def serving(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve each connection by a function, and return the address."""
    authority, serve = trustme.CA(), request.param
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            serve(connection, context)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("transport", ["auto", "botocore"])
@pytest.mark.parametrize(
    ("serving", "hinted"),
    [(rejects, True), (accepts_and_dies, False), (is_tls_1_2, False)],
    indirect=["serving"],
    ids=["rejects", "accepts and dies", "TLS 1.2"],
)
async def test_the_likely_cause_is_named(serving: str, hinted: bool, transport: Any) -> None:
    """The start stays UNKNOWN: the server may have read the request. The error says what may be wrong."""
    access: dict[str, Any] = {"endpoint_url": serving, "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    clocks = Timeouts(call=0.2, consistency=0.1)
    async with aioecs.Client("us-east-1", **access, transport=transport, timeouts=clocks) as client:
        with pytest.raises(StartUnknown) as caught:
            await client.start_task(REQUEST)
    (start,) = caught.value.starts
    assert start.outcome is Outcome.UNKNOWN
    assert (HINT in str(caught.value), HINT in str(start.error)) == (hinted, hinted)
