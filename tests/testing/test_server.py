"""_server: AWS JSON 1.1 and scripted faults on real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

import attrs
import pytest
from virtual_time import until

from aioecs.testing import Bucket, Engine, Fault, FaultScript, LocalECSError
from aioecs.testing._server import Server

SIGNED = "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0"
PATIENCE = 10.0  # seconds; only a failing test takes so long


@attrs.define
class Answer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


class Connection:
    """A connection to the server, for plain HTTP."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return

    def send(self, operation: str, body: bytes, *, cut: int = 0, key: str | None = "local", **headers: Any) -> None:
        """Send a request, without its last `cut` bytes."""
        lines = {
            "Host": "localhost",
            "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "Content-Length": str(len(body)),
            **({"Authorization": SIGNED.format(key=key)} if key else {}),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "POST / HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        self.writer.write(head.encode() + body[: len(body) - cut])

    async def read(self) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers["content-length"]))
            return Answer(int(status.split()[1]), headers, body)

    async def call(self, operation: str, request: dict[str, Any] | None = None, **headers: Any) -> Answer:
        """Send a request and read its answer."""
        self.send(operation, json.dumps(request or {}).encode(), **headers)
        return await self.read()

    async def read_to_end(self) -> bytes:
        """Read until the connection ends."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def get(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """Send a request of the administration, with its header by default."""
        lines = {"Host": "localhost", "X-Aioecs-Admin": "yes", "Content-Length": str(len(body))}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in lines.items() if v) + "\r\n"
        self.writer.write(head.encode() + body)
        return await self.read()


@attrs.define
class Lab:
    """A served engine with one instance."""

    engine: Engine
    faults: FaultScript
    server: Server
    port: int

    @property
    def start(self) -> dict[str, Any]:
        """A valid StartTask request."""
        return {"taskDefinition": "demo", "containerInstances": self.engine.instance_arns(), "startedBy": "t"}

    def connect(self) -> Connection:
        """Connect to it."""
        return Connection(self.port)


@asynccontextmanager
async def serving(*faults: Fault, **members: Any) -> AsyncGenerator[Lab]:
    """Serve an engine on a free port, and close it."""
    engine = Engine(**members)
    engine.add_cluster()
    engine.add_instances(1)
    engine.add_task_definition("demo")
    script = FaultScript(faults)
    server = Server(engine, script)
    _, port = await server.open("127.0.0.1", 0)
    try:
        yield Lab(engine, script, server, port)
    finally:
        await server.close()


async def recorded(lab: Lab, number: int = 1) -> None:
    """Let the loop run until so many calls have been recorded."""
    await until(lambda: len(lab.engine.truth.calls()) >= number)


async def test_an_answer_is_aws_json() -> None:
    """With its own request id, a date and the protocol's content type; the connection is kept open."""
    async with serving() as lab, lab.connect() as connection:
        answers = [await connection.call("StartTask", lab.start) for _ in range(3)]
        assert {answer.status for answer in answers} == {200}
        for answer in answers:
            assert answer.headers["content-type"] == "application/x-amz-json-1.1"
            assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer.headers["x-amzn-requestid"])
            assert answer.headers["date"].endswith("GMT")
            assert len(answer.json()["tasks"]) == 1
        assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == 3
        assert [call.answered for call in lab.engine.truth.calls()] == [True] * 3


async def test_an_error_is_aws_json_too() -> None:
    """The status is the error's, the code is in `__type`."""
    async with serving(throttle={"read": Bucket(0, 0)}) as lab, lab.connect() as connection:
        answer = await connection.call("StartTask", {"cluster": "nowhere", "containerInstances": ["f" * 32]})
        assert (answer.status, answer.json()) == (
            400,
            {"__type": "ClusterNotFoundException", "message": "Cluster not found."},
        )
        assert "x-amzn-requestid" in answer.headers
        throttled = await connection.call("ListTasks")
        assert (throttled.status, throttled.json()["__type"]) == (400, "ThrottlingException")


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"x"'])
async def test_a_body_that_is_no_object_is_a_serialization_exception(body: bytes) -> None:
    """And the connection is kept open."""
    async with serving() as lab, lab.connect() as connection:
        connection.send("StartTask", body)
        answer = await connection.read()
        assert (answer.status, answer.json()["__type"]) == (400, "SerializationException")
        assert (await connection.call("ListTasks")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"tags":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"tags":' + b"[" * 64 + b"]" * 64 + b"}",
        b'{"overrides":' * 300 + b"1" + b"}" * 300,
        b'{"count": NaN}',
        b'{"count": ' + b"9" * 5000 + b"}",
    ],
)
async def test_invalid_or_too_deep_json_is_a_serialization_exception(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A 400 without a traceback; a request as deep as those of ECS is accepted."""
    async with serving() as lab, lab.connect() as connection:
        for operation in ("StartTask", "RegisterTaskDefinition"):
            connection.send(operation, body)
            answer = await connection.read()
            assert (answer.status, answer.json()["__type"]) == (400, "SerializationException")
        assert (await connection.call("StartTask", lab.start)).status == 200
    assert caplog.records == []


async def test_an_empty_body_is_an_empty_request() -> None:
    """As in ECS."""
    async with serving() as lab, lab.connect() as connection:
        connection.send("ListClusters", b"")
        assert len((await connection.read()).json()["clusterArns"]) == 1


@pytest.mark.parametrize("target", ["", "DynamoDB_20120810.PutItem", "AmazonEC2ContainerServiceV20141113.Fly"])
async def test_an_unknown_target_is_an_unknown_operation(target: str) -> None:
    """Of this service or another."""
    async with serving() as lab, lab.connect() as connection:
        answer = await connection.call("X", None, **{"X-Amz-Target": target})
        assert (answer.status, answer.json()["__type"]) == (400, "UnknownOperationException")


async def test_a_request_needs_a_valid_access_key() -> None:
    """The signature is not verified, but the access key is checked."""
    async with serving(expired_keys=["OLD"]) as lab, lab.connect() as connection:
        connection.send("StartTask", json.dumps(lab.start).encode(), key=None)
        assert (await connection.read()).json()["__type"] == "MissingAuthenticationTokenException"
        assert (await connection.call("StartTask", lab.start, key="OLD")).json()["__type"] == "ExpiredTokenException"
        assert (await connection.call("StartTask", lab.start, Authorization="other")).status == 200
        assert len(lab.engine.truth.tasks()) == 1


async def test_a_body_that_is_too_large_is_refused() -> None:
    """Nothing is started."""
    async with serving() as lab, lab.connect() as connection:
        connection.send("StartTask", b" " * (1 << 20) + json.dumps(lab.start).encode())
        assert (await connection.read()).status == 413
        assert lab.engine.truth.calls() == []


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_reset_is_a_reset(when: Any) -> None:
    """RST, seen as ECONNRESET."""
    async with serving(Fault("reset", when=when)) as lab, lab.connect() as connection:
        connection.send("StartTask", json.dumps(lab.start).encode())
        with pytest.raises(ConnectionResetError):
            await connection.read_to_end()
        assert_effect(lab, "reset", when)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_close_is_an_end_without_an_answer(when: Any) -> None:
    """FIN, without a byte before it."""
    async with serving(Fault("close", when=when)) as lab, lab.connect() as connection:
        connection.send("StartTask", json.dumps(lab.start).encode())
        assert await connection.read_to_end() == b""
        assert_effect(lab, "close", when)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_truncated_answer_is_shorter_than_its_length(when: Any) -> None:
    """The Content-Length is larger than the body."""
    async with serving(Fault("truncated", when=when)) as lab, lab.connect() as connection:
        connection.send("StartTask", json.dumps(lab.start).encode())
        head, body = (await connection.read_to_end()).split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert int(head.lower().split(b"content-length: ")[1]) > len(body) > 0
        assert_effect(lab, "truncated", when)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("kind", "status", "content_type", "body"),
    [
        ("error", 500, "application/x-amz-json-1.1", b'"__type":"ServerException"'),
        ("garbage", 200, "text/html", b"<html>"),
        ("empty", 200, "application/x-amz-json-1.1", b""),
    ],
)
async def test_garbage_and_empty_answers(kind: Any, when: Any, status: int, content_type: str, body: bytes) -> None:
    """The response is complete, and the connection is kept open."""
    async with serving(Fault(kind, when=when)) as lab, lab.connect() as connection:
        answer = await connection.call("StartTask", lab.start)
        assert (answer.status, answer.headers["content-type"]) == (status, content_type)
        assert body in answer.body
        assert bool(answer.body) is bool(body)
        assert_effect(lab, kind, when)
        assert (await connection.call("StartTask", lab.start)).json()["tasks"]


def assert_effect(lab: Lab, kind: str, when: str) -> None:
    """Check that the call took effect only if the fault was after it, and that `truth` agrees."""
    (call,) = lab.engine.truth.calls()
    assert (call.fault, call.executed, call.answered) == (kind, when == "after", False)
    assert len(call.tasks) == len(lab.engine.truth.tasks()) == (when == "after")
    assert call.token == "t"


async def test_an_error_is_the_scripted_one() -> None:
    """Code, message and status."""
    fault = Fault("error", code="ClientException", message="no", status=400)
    async with serving(fault) as lab, lab.connect() as connection:
        answer = await connection.call("StartTask", lab.start)
        assert (answer.status, answer.json()) == (400, {"__type": "ClientException", "message": "no"})


async def test_a_throttle_is_counted() -> None:
    """And nothing is started."""
    async with serving(Fault("throttle")) as lab, lab.connect() as connection:
        assert (await connection.call("StartTask", lab.start)).json()["__type"] == "ThrottlingException"
        assert lab.engine.truth.throttled == {"StartTask": 1}
        assert lab.engine.truth.tasks() == []


@pytest.mark.parametrize("kind", ["reset", "close", "hang"])
async def test_a_fault_can_hit_before_the_body_is_read(kind: Any) -> None:
    """The headers are enough; `truth` records nothing of the body."""
    seconds = 0.0 if kind == "hang" else None
    async with serving(Fault(kind, when="unread", seconds=seconds)) as lab, lab.connect() as connection:
        connection.send("StartTask", json.dumps(lab.start).encode(), cut=5)
        if kind == "reset":
            with pytest.raises(ConnectionResetError):
                await connection.read_to_end()
        else:
            assert await connection.read_to_end() == b""
        (call,) = lab.engine.truth.calls()
        assert (call.fault, call.token, call.executed) == (kind, None, False)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_hang_ends_when_the_caller_disconnects(when: Any) -> None:
    """No answer is sent, and no task of the server remains."""
    async with serving(Fault("hang", when=when)) as lab:
        async with lab.connect() as connection:
            connection.send("StartTask", json.dumps(lab.start).encode())
            await recorded(lab)
            assert_effect(lab, "hang", when)
            tasks = len(asyncio.all_tasks())
        await until(lambda: len(asyncio.all_tasks()) < tasks)


async def test_a_hang_can_be_limited() -> None:
    """Then the connection closes without an answer."""
    async with serving(Fault("hang", seconds=0.01)) as lab, lab.connect() as connection:
        connection.send("StartTask", json.dumps(lab.start).encode())
        assert await connection.read_to_end() == b""


async def test_a_hang_ends_when_the_server_closes() -> None:
    """At once; no task of the server remains."""
    before = asyncio.all_tasks()
    async with serving(Fault("hang", times=None)) as lab, lab.connect() as connection, lab.connect():
        connection.send("StartTask", json.dumps(lab.start).encode())
        await recorded(lab)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await lab.server.close()
        assert loop.time() - began < 1.0
        assert await connection.read_to_end() == b""
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_delayed_call_is_answered_correctly(when: Any) -> None:
    """Before: effect and answer are late. After: only the answer is."""
    async with serving(Fault("delay", when=when, seconds=0.02)) as lab, lab.connect() as connection:
        connection.send("StartTask", json.dumps(lab.start).encode())
        if when == "after":
            await recorded(lab)
            assert len(lab.engine.truth.tasks()) == 1
        answer = await connection.read()
        assert len(answer.json()["tasks"]) == 1
        (call,) = lab.engine.truth.calls()
        assert (call.fault, call.executed, call.answered) == ("delay", True, True)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_delayed_call_takes_effect_though_the_caller_disconnected(when: Any) -> None:
    """And `truth` records that it was not answered."""
    async with serving(Fault("delay", when=when, seconds=0.05)) as lab:
        async with lab.connect() as connection:
            connection.send("StartTask", json.dumps(lab.start).encode())
            await connection.writer.drain()
            if when == "after":
                await recorded(lab)
            else:
                await fault_taken(lab)
        await recorded(lab)
        await until(lambda: not lab.engine.truth.calls()[0].answered)
        assert len(lab.engine.truth.tasks()) == 1


async def fault_taken(lab: Lab) -> None:
    """Let the loop run until the fault has been taken from the script."""
    await until(lambda: not len(lab.faults))
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_delayed_call_ends_when_the_server_closes(when: Any) -> None:
    """What had not taken effect does not; what had taken effect is not answered."""
    async with serving(Fault("delay", when=when, seconds=60)) as lab, lab.connect() as connection:
        connection.send("StartTask", json.dumps(lab.start).encode())
        await fault_taken(lab)
        await lab.server.close()
        assert await connection.read_to_end() == b""
        assert [(call.executed, call.answered) for call in lab.engine.truth.calls()] == [(True, False)] * (
            when == "after"
        )


async def test_an_incomplete_request_has_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    """A caller that disconnects while sending starts nothing, and nothing is logged."""
    with caplog.at_level(logging.INFO):
        async with serving() as lab:
            async with lab.connect() as connection:
                connection.send("StartTask", json.dumps(lab.start).encode(), cut=5)
                await connection.writer.drain()
            async with lab.connect() as connection:
                assert (await connection.call("ListTasks")).json() == {"taskArns": []}
            assert lab.engine.truth.calls() == []
    assert caplog.records == []


async def test_a_complete_request_takes_effect_though_its_caller_disconnected() -> None:
    """A body that has arrived is executed, even if nobody waits for the answer."""
    async with serving() as lab:
        for number in range(1, 20):
            async with lab.connect() as connection:
                connection.send("StartTask", json.dumps(lab.start).encode())
                await connection.writer.drain()
                connection.writer.close()
            await recorded(lab, number)
        assert len(lab.engine.truth.tasks()) == 19


async def test_a_disconnected_caller_was_not_answered() -> None:
    """And `truth` doesn't say so."""

    class Leaving(Engine):
        """An engine whose caller disconnects while it works."""

        server: Any = None

        def answer(self, *args: Any, **kwargs: Any) -> Any:
            """Answer after the caller has disconnected."""
            found = super().answer(*args, **kwargs)
            for connection in self.server._http.connections:
                connection.transport.abort()
            return found

    engine = Leaving()
    engine.add_cluster()
    engine.add_instances(1)
    engine.add_task_definition("demo")
    server = engine.server = Server(engine, FaultScript())
    _, port = await server.open("127.0.0.1", 0)
    request = {"taskDefinition": "demo", "containerInstances": engine.instance_arns()}
    async with Connection(port) as connection:
        connection.send("StartTask", json.dumps(request).encode())
        assert await connection.read_to_end() == b""
    await server.close()
    assert [call.answered for call in engine.truth.calls()] == [False]


async def test_the_administration() -> None:
    """Health, truth, and a script of faults, which is checked before it is used."""
    async with serving() as lab, lab.connect() as connection:
        assert (await connection.get("/_aioecs/health")).json() == {"status": "ok"}
        script = json.dumps([{"kind": "error", "times": 2}]).encode()
        assert (await connection.get("/_aioecs/faults", "POST", script)).json() == {"faults": 1}
        assert (await connection.call("StartTask", lab.start)).status == 500
        refused = await connection.get("/_aioecs/faults", "POST", b'[{"kind": "explode"}]')
        assert (refused.status, refused.json()["error"][:21]) == (400, "faults[0].kind: one o")
        assert len(lab.faults) == 1
        truth = (await connection.get("/_aioecs/truth")).json()
        assert truth["requests"] == {"StartTask": 1}
        lost = await connection.get("/elsewhere")
        assert (lost.status, lost.json()) == (404, {"error": "Nothing at GET /elsewhere"})
        assert (await connection.get("/", "GET")).status == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/_aioecs/truth"), ("POST", "/_aioecs/faults")])
async def test_a_web_page_can_not_administer(method: str, path: str) -> None:
    """A simple cross-origin request can't have the header; a preflight is refused; health is public."""
    async with serving() as lab, lab.connect() as connection:
        simple = {"X_Aioecs_Admin": "", "Content_Type": "text/plain", "Origin": "http://evil.example"}
        refused = await connection.get(path, method, b'[{"kind": "hang"}]', **simple)
        assert (refused.status, "X-Aioecs-Admin" in refused.json()["error"]) == (403, True)
        leave = await connection.get(
            path, "OPTIONS", Origin="http://evil.example", Access_Control_Request_Method=method
        )
        assert (leave.status, [name for name in leave.headers if name.startswith("access-control")]) == (404, [])
        assert len(lab.faults) == 0
        assert (await connection.get("/_aioecs/health", X_Aioecs_Admin="")).status == 200


@pytest.mark.parametrize("path", ["/", "/_aioecs/truth", "/_aioecs/health"])
async def test_a_rebound_name_is_refused(path: str) -> None:
    """A page whose name resolves to this machine sends that name as Host."""
    async with serving() as lab, lab.connect() as connection:
        refused = await connection.get(path, Host="evil.example:4566")
        assert (refused.status, refused.json()["__type"]) == (403, "AccessDeniedException")
        assert "evil.example" in refused.json()["message"]
        assert (await connection.call("ListClusters", Host="evil.example")).status == 403
        assert (await connection.call("ListClusters", Host="[::1]:80")).status == 200
        assert lab.engine.truth.requests == {"ListClusters": 1}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "application/json"),
        (b"[]x", "text/plain; charset=klingon"),
        (b"\xff\xfe", "text/plain; charset=utf-8"),
    ],
)
async def test_a_malformed_script_is_refused(body: bytes, content_type: str, caplog: pytest.LogCaptureFixture) -> None:
    """With a 400 and no traceback, whatever charset it claims."""
    async with serving() as lab, lab.connect() as connection:
        answer = await connection.get("/_aioecs/faults", "POST", body, Content_Type=content_type)
        assert (answer.status, answer.json()["error"][:7]) == (400, "faults:" if body[0] != 255 else "'utf-8'")
        good = b'[{"kind": "hang"}]'
        assert (await connection.get("/_aioecs/faults", "POST", good, Content_Type="x; charset=klingon")).status == 200
        assert len(lab.faults) == 1
    assert caplog.records == []


async def test_a_port_in_use_is_reported() -> None:
    """With host and port, as an OSError; closing a server that never opened has no effect."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server(Engine(), FaultScript())
        with pytest.raises(LocalECSError, match=rf"can't listen on 127.0.0.1:{port}: the address is in use") as raised:
            await server.open("127.0.0.1", port)
        assert isinstance(raised.value, OSError)
        await server.close()


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99999), ("256.0.0.1", 0)])
async def test_an_invalid_address_is_reported(host: str, port: int) -> None:
    """Likewise."""
    with pytest.raises(LocalECSError, match=f"can't listen on {host}:{port}: "):
        await Server(Engine(), FaultScript()).open(host, port)
