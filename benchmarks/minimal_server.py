"""A minimal server for StartTask and RunTask, in its own process: complete tasks over HTTP/1.1 or TLS.

It has no state and no limits, so that a benchmark measures the client. Each request is parsed as JSON, and each task
that it asks for gets a complete answer with its own ARN. It also answers the reads that placement begins with: fifty
instances that never fill, and a task definition of one small container.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import trustme

from benchmarks.harness import server_process

ACCOUNT = "arn:aws:ecs:us-east-1:123456789012"
HOSTS = tuple(f"{ACCOUNT}:container-instance/render/{n:032x}" for n in range(1, 51))
Pending = list[tuple[asyncio.Transport, bytes]]
OVERRIDES = {"containerOverrides": [{"name": "main", "environment": [{"name": "FRAME", "value": "17"}]}]}

# The placeholders in <> are filled in for each task.
_TASK = {
    "attachments": [],
    "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
    "availabilityZone": "us-east-1a",
    "clusterArn": f"{ACCOUNT}:cluster/render",
    "containerInstanceArn": "<host>",
    "containers": [
        {
            "containerArn": f"{ACCOUNT}:container/render/<id>/<id>",
            "cpu": "256",
            "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/frame:42",
            "lastStatus": "PENDING",
            "memory": "512",
            "name": "main",
            "networkInterfaces": [],
            "taskArn": f"{ACCOUNT}:task/render/<id>",
        }
    ],
    "cpu": "256",
    "createdAt": "<now>",
    "desiredStatus": "RUNNING",
    "enableExecuteCommand": False,
    "group": "family:frame",
    "lastStatus": "PENDING",
    "launchType": "EC2",
    "memory": "512",
    "overrides": {**OVERRIDES, "inferenceAcceleratorOverrides": []},
    "startedBy": "<by>",
    "tags": [],
    "taskArn": f"{ACCOUNT}:task/render/<id>",
    "taskDefinitionArn": f"{ACCOUNT}:task-definition/frame:42",
    "version": 1,
}


def _template() -> bytes:
    """Return the task as a template with %(name)b placeholders."""
    text = json.dumps(_TASK, separators=(",", ":")).replace('"<now>"', "%(now)b")
    for name in ("host", "id", "by"):
        text = text.replace(f"<{name}>", f"%({name})b")
    return text.encode()


TEMPLATE = _template()


def started(request: Any) -> bytes:
    """Return the answer of StartTask, with one task on each of its instances, or of RunTask."""
    now = f"{time.time():.3f}".encode()
    by = request.get("startedBy", "").encode()
    tasks = [
        TEMPLATE % {b"host": host.encode(), b"id": secrets.token_hex(16).encode(), b"by": by, b"now": now}
        for host in request.get("containerInstances") or HOSTS[: request.get("count", 1)]
    ]
    return b'{"failures":[],"tasks":[%b]}' % b",".join(tasks)


_CAPACITY = [{"name": name, "type": "INTEGER", "integerValue": 10**9} for name in ("CPU", "MEMORY")]


def read(request: Any) -> bytes:
    """Return the answer of a list or a description; its members show which operation it is."""
    described = [
        {"containerInstanceArn": arn, "status": "ACTIVE", "agentConnected": True, "remainingResources": _CAPACITY}
        for arn in request.get("containerInstances", ())
    ]
    definition = {
        "taskDefinitionArn": f"{ACCOUNT}:task-definition/frame:42",
        "containerDefinitions": [{"name": "main", "cpu": 1, "memory": 1}],
    }
    return json.dumps(
        {"containerInstanceArns": HOSTS, "containerInstances": described, "failures": [], "taskDefinition": definition}
    ).encode()


class MinimalServer(asyncio.Protocol):
    """One connection. With `hold`, responses wait until that many requests have arrived on all connections."""

    def __init__(self, hold: int, pending: Pending) -> None:
        self._hold = hold
        self._pending = pending
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            if len(self._read) < end + 4 + length:
                return
            body, self._read = self._read[end + 4 : end + 4 + length], self._read[end + 4 + length :]
            starts = b".starttask\r\n" in head or b".runtask\r\n" in head
            self._answer((started if starts else read)(json.loads(body)))

    def _answer(self, body: bytes) -> None:
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body)}\r\n"
            f"x-amzn-RequestId: {secrets.token_hex(16)}\r\nDate: {formatdate(usegmt=True)}\r\n\r\n"
        )
        self._pending.append((self._transport, head.encode() + body))
        if len(self._pending) >= self._hold:
            for transport, whole in self._pending:
                transport.write(whole)
            self._pending.clear()


@attrs.frozen
class Endpoint:
    """The address of the server."""

    url: str
    authority: str | None
    """The file with the certificate to trust, with TLS."""


@contextmanager
def listening(*, tls: bool = False, hold: int = 1) -> Iterator[Endpoint]:
    """Serve during the block."""
    with server_process(_serve, tls, hold) as endpoint:
        yield endpoint


def _serve(connection: Connection, tls: bool, hold: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_listen(connection, Path(folder) if tls else None, hold))


async def _listen(connection: Connection, folder: Path | None, hold: int) -> None:
    pending: Pending = []
    context = authority = None
    if folder is not None:
        maker = trustme.CA()
        authority = str(folder / "authority.pem")
        maker.cert_pem.write_to_path(authority)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        maker.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: MinimalServer(hold, pending), "127.0.0.1", 0, ssl=context, backlog=2048)
    port = server.sockets[0].getsockname()[1]
    connection.send(Endpoint(f"http{'s' if context else ''}://127.0.0.1:{port}", authority))
    await asyncio.to_thread(connection.recv)
    server.close()
