"""botocore_transport: an attempt is sent once, whatever is configured, and the marker is set before its body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from raw_server import Exchange, RawServer

from aioecs._model import (
    ContainerOverride,
    KeyValuePair,
    StartTaskRequest,
    StartTaskResponse,
    Tag,
    TaskOverride,
    Timeouts,
)
from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._transport.botocore.botocore_transport import BotocoreTransport
from aioecs._transport.botocore.sent_body import MarkedBody, SentTwice
from aioecs._transport.settings import Settings
from aioecs._transport.transport import START_TASK, SentMarker, Transport
from aioecs._transport.transport_factory import open_transport
from aioecs.errors import (
    AnswerLost,
    ClientException,
    ConfigurationError,
    ConnectionFailed,
    ECSServiceError,
    ThrottlingException,
)
from aioecs.testing import Fault, LocalECS

REQUEST = StartTaskRequest(task_definition="demo", container_instances=["0a1b"], started_by="token")
ACCESS: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}
SESSION = AioSession()  # shared where nothing of it is changed, so that the service model is read once
EMPTY = '{"tasks": [], "failures": []}'
ATTEMPT = Timeouts(attempt=0.15)  # for what ends by this clock alone


@asynccontextmanager
async def transport_to(url: str, **settings: Any) -> AsyncGenerator[Transport]:
    """Open a botocore transport, with the shared session unless another is given."""
    given: dict[str, Any] = {**ACCESS, "session": SESSION, "transport": "botocore", **settings}
    async with open_transport(Settings(**given, endpoint_url=url)) as (transport, _):
        yield transport


async def start(transport: Transport, request: StartTaskRequest = REQUEST) -> Attempt[StartTaskResponse]:
    return await transport.attempt(START_TASK, request, SentMarker())


def request_on(local: LocalECS, **members: Any) -> StartTaskRequest:
    """Make a request that the local ECS can serve."""
    return REQUEST.replace(container_instances=local.instance_arns[:1], **members)


async def accept(exchange: Exchange) -> None:
    """Answer as ECS does when it started nothing."""
    await exchange.request()
    exchange.answer(200, EMPTY)


# --------------------------------------------------------------------------------------------------- outcomes of faults


async def test_an_answer(local: LocalECS) -> None:
    """ECS's answer comes back as values, with the request id, and the marker is set."""
    sent_marker = SentMarker()
    async with transport_to(local.endpoint_url) as transport:
        outcome = await transport.attempt(START_TASK, request_on(local), sent_marker)
    assert isinstance(outcome, Answered)
    assert [task.task_arn for task in outcome.answer.tasks] == [task.arn for task in local.truth.tasks()]
    assert outcome.answer.tasks[0].started_by == "token"
    assert outcome.request_id
    assert sent_marker.body_started


async def test_a_partial_failure_is_an_answer(local: LocalECS) -> None:
    """Tasks and failures are returned together."""
    request = request_on(local).replace(container_instances=[local.instance_arns[0], "0" * 32])
    async with transport_to(local.endpoint_url) as transport:
        outcome = await start(transport, request)
    assert isinstance(outcome, Answered)
    assert [failure.reason for failure in outcome.answer.failures] == ["MISSING"]
    assert len(outcome.answer.tasks) == 1


REFUSED = {"code": "ClientException", "status": 400}


@pytest.mark.parametrize(
    ("fault", "outcome_type", "tasks"),
    [
        (Fault("hang", when="unread"), Lost, 0),
        (Fault("hang", when="before"), Lost, 0),
        (Fault("hang", when="after"), Lost, 1),
        (Fault("reset", when="unread"), Lost, 0),
        (Fault("reset", when="before"), Lost, 0),
        (Fault("reset", when="after"), Lost, 1),
        (Fault("close", when="unread"), Lost, 0),
        (Fault("close", when="before"), Lost, 0),
        (Fault("close", when="after"), Lost, 1),
        (Fault("error", when="before"), Lost, 0),
        (Fault("error", when="after"), Lost, 1),
        (Fault("error", when="before", status=503, code="ServiceUnavailableException"), Lost, 0),
        (Fault("error", when="before", status=400, code="ClientException"), Rejected, 0),
        (Fault("throttle"), Rejected, 0),
        (Fault("truncated", when="before"), Lost, 0),
        (Fault("truncated", when="after"), Lost, 1),
        (Fault("garbage", when="before"), Lost, 0),
        (Fault("garbage", when="after"), Lost, 1),
        (Fault("empty", when="before"), Lost, 0),
        (Fault("empty", when="after"), Lost, 1),
    ],
    ids=lambda value: f"{value.kind} {value.when}" if isinstance(value, Fault) else "",
)
async def test_faults_and_outcomes(local: LocalECS, fault: Fault, outcome_type: type, tasks: int) -> None:
    """Whatever fails, before or after the start took effect: one request, and an outcome that is true."""
    local.faults.add(fault)
    timeouts = ATTEMPT if fault.kind == "hang" else Timeouts()
    async with transport_to(local.endpoint_url, timeouts=timeouts) as transport:
        outcome = await start(transport, request_on(local))
    assert isinstance(outcome, outcome_type)
    assert local.truth.requests["StartTask"] == 1
    assert len(local.truth.tasks()) == tasks


async def test_expired_credentials() -> None:
    """ECS's error about expired credentials is reported with its code."""
    async with LocalECS(expired_keys=["local"]) as local, transport_to(local.endpoint_url) as transport:
        outcome = await start(transport, request_on(local))
    assert isinstance(outcome, Rejected)
    assert outcome.error.code == "ExpiredTokenException"


async def test_no_credentials(local: LocalECS) -> None:
    """Without credentials nothing is sent, and the error is a ConfigurationError."""
    none: dict[str, Any] = {"aws_access_key_id": None, "aws_secret_access_key": None, "session": None}
    sent_marker = SentMarker()
    async with transport_to(local.endpoint_url, **none) as transport:
        outcome = await transport.attempt(START_TASK, request_on(local), sent_marker)
    assert isinstance(outcome, NotSent)
    assert isinstance(outcome.error, ConfigurationError)
    assert str(outcome.error) == "StartTask was not sent: Unable to locate credentials"
    assert (sent_marker.body_started, local.truth.requests.total()) == (False, 0)


async def test_a_request_that_botocore_refuses_is_not_sent(local: LocalECS) -> None:
    """A request that fails botocore's validation is not sent."""
    request: Any = request_on(local, cluster=17)
    async with transport_to(local.endpoint_url) as transport:
        outcome = await start(transport, request)
    assert isinstance(outcome, NotSent)
    assert isinstance(outcome.error, ConfigurationError)
    assert local.truth.requests.total() == 0


async def test_endpoint_region_and_partition() -> None:
    """They are those of aiobotocore's client."""
    async with transport_to("http://127.0.0.1:1", region_name="cn-north-1") as transport:
        assert (transport.endpoint_url, transport.region, transport.partition) == (
            "http://127.0.0.1:1",
            "cn-north-1",
            "aws-cn",
        )


# -------------------------------------------------------------------------------------------------------- sent once


def own_session() -> AioSession:
    """Make a session that a test may change."""
    session = AioSession()
    session.register_component("data_loader", SESSION.get_component("data_loader"))
    return session


def default_retries(session: AioSession, path: Path, patch: pytest.MonkeyPatch) -> Any:
    """botocore's default: five attempts."""


def environment(session: AioSession, path: Path, patch: pytest.MonkeyPatch) -> Any:
    """Retries by the environment."""
    patch.setenv("AWS_MAX_ATTEMPTS", "4")
    patch.setenv("AWS_RETRY_MODE", "legacy")


def profile(session: AioSession, path: Path, patch: pytest.MonkeyPatch) -> Any:
    """Retries by the profile."""
    path.write_text("[default]\nmax_attempts = 4\nretry_mode = adaptive\n")
    patch.setenv("AWS_CONFIG_FILE", str(path))


def config(session: AioSession, path: Path, patch: pytest.MonkeyPatch) -> Any:
    """Retries by the client's config."""
    return AioConfig(retries={"max_attempts": 4, "mode": "adaptive"})


def default_config(session: AioSession, path: Path, patch: pytest.MonkeyPatch) -> Any:
    """Retries by the session's default config."""
    session.set_default_client_config(AioConfig(retries={"total_max_attempts": 4, "mode": "legacy"}))


def retry_thrice(attempts: int, **_: Any) -> float | None:
    """Ask for a retry, three times at most."""
    return 0 if attempts < 4 else None


def handler(event: str, *, first: bool = False) -> Callable[..., Any]:
    """Retries by a handler of the user's."""

    def setup(session: AioSession, path: Path, patch: pytest.MonkeyPatch) -> Any:
        events = session.get_component("event_emitter")
        (events.register_first if first else events.register)(event, retry_thrice)

    return setup


FAULTS = [Fault("error"), Fault("throttle"), Fault("reset", when="after")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
@pytest.mark.parametrize(
    "setup",
    [
        pytest.param(default_retries, id="default"),
        pytest.param(environment, id="environment"),
        pytest.param(profile, id="profile"),
        pytest.param(config, id="config"),
        pytest.param(default_config, id="session's default config"),
        pytest.param(handler("needs-retry"), id="handler of all"),
        pytest.param(handler("needs-retry.ecs"), id="handler of ECS"),
        pytest.param(handler("needs-retry.ecs.StartTask"), id="handler of StartTask"),
        pytest.param(handler("needs-retry.ecs.StartTask", first=True), id="first handler of StartTask"),
    ],
)
async def test_no_setting_or_handler_causes_a_retry(
    local: LocalECS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setup: Callable[..., Any], fault: Fault
) -> None:
    """Only one request is sent, and its outcome is reported."""
    session = own_session()
    given = setup(session, tmp_path / "config", monkeypatch)
    local.faults.add(fault)
    async with transport_to(local.endpoint_url, session=session, config=given) as transport:
        outcome = await start(transport, request_on(local))
    assert local.truth.requests["StartTask"] == 1
    assert isinstance(outcome, Rejected if fault.kind == "throttle" else Lost)
    assert not isinstance(outcome.error.__cause__, SentTwice)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
async def test_a_retry_that_bypasses_our_handler_sends_nothing(local: LocalECS, fault: Fault) -> None:
    """The body refuses to be sent again; the outcome of the first request is reported."""
    session = own_session()
    session.get_component("event_emitter").register_first("needs-retry.*.*", retry_thrice)
    local.faults.add(fault)
    async with transport_to(local.endpoint_url, session=session) as transport:
        outcome = await start(transport, request_on(local))
    assert local.truth.requests["StartTask"] == 1
    assert isinstance(outcome, Rejected if fault.kind == "throttle" else Lost)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_sends_no_second_body(status: int) -> None:
    """A redirect is no answer of ECS."""

    async def redirect(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(status, "", "Location: /there")

    async with RawServer(redirect) as server, transport_to(server.url) as transport:
        outcome = await start(transport)
        assert [body for body in server.bodies if body] == [server.bodies[0]]
    assert isinstance(outcome, Lost)


class SendsTwice:
    """Replaces aiobotocore's client: it sends twice, ignores the refusal, and returns an answer."""

    def __init__(self, *, whole: bool) -> None:
        self.meta = SimpleNamespace(events=self)
        self.written: list[bytes] = []
        self._whole = whole
        self._handlers: dict[str, Callable[..., Any]] = {}

    def register(self, event: str, handle: Callable[..., Any], *, unique_id: str) -> None:
        assert unique_id.startswith("aioecs-")
        self._handlers[event] = handle

    register_first = register

    async def write(self, chunk: bytes) -> None:
        self.written.append(chunk)

    async def start_task(self, **_: Any) -> dict[str, Any]:
        request: Any = SimpleNamespace(body=b"{}")
        self._handlers["before-send.ecs"](request=request)
        await request.body.write(self)
        with pytest.raises(SentTwice):
            if self._whole:
                self._handlers["before-send.ecs"](request=request)
            else:
                await request.body.write(self)
        return {"aioecs-body": EMPTY.encode(), "ResponseMetadata": {}}


@pytest.mark.parametrize("whole", [True, False], ids=["the request again", "the body again"])
async def test_an_answer_after_a_refused_second_send_is_dropped(whole: bool) -> None:
    """The attempt is lost, whatever aiobotocore returned."""
    beneath = SendsTwice(whole=whole)
    outcome = await start(BotocoreTransport(beneath, Timeouts(connect=1, attempt=1)))
    assert isinstance(outcome, Lost)
    assert isinstance(outcome.error.__cause__, SentTwice)
    assert beneath.written == [b"{}"]


# ------------------------------------------------------------------------------------------------------ the sent marker


class HangingResolver(AbstractResolver):
    """A resolver that never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def resolve(self, host: str, transport: int = 0, family: Any = 0) -> Any:
        self.asked.set()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Close nothing."""


@asynccontextmanager
async def attempted(
    transport: Transport, sent_marker: SentMarker
) -> AsyncGenerator[asyncio.Task[Attempt[StartTaskResponse]]]:
    """Make an attempt in a task, and cancel it at the end of the block."""
    task = asyncio.create_task(transport.attempt(START_TASK, REQUEST, sent_marker))
    yield task
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancel_during_dns_sends_nothing() -> None:
    """Nothing is sent while the DNS lookup runs, nor after a cancel."""
    resolver, sent_marker = HangingResolver(), SentMarker()
    given = AioConfig(connector_args={"resolver": resolver})
    async with transport_to("http://nowhere.invalid", config=given) as transport, attempted(transport, sent_marker):
        await resolver.asked.wait()
        assert not sent_marker.body_started
    assert not sent_marker.body_started


async def test_a_cancel_during_the_tls_handshake_sends_nothing() -> None:
    """A server that delays the handshake sees no body, nor does it after a cancel."""
    accepted, seen = asyncio.Event(), bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        while chunk := await reader.read(65536):
            seen.extend(chunk)
        writer.close()
        gone.set()

    gone, sent_marker = asyncio.Event(), SentMarker()
    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, transport_to(url) as transport:
        async with attempted(transport, sent_marker):
            await accepted.wait()
            assert not sent_marker.body_started
        await gone.wait()
    assert not sent_marker.body_started
    assert b"taskDefinition" not in seen
    assert b"POST" not in seen


async def test_the_marker_is_set_before_the_first_byte() -> None:
    """When the server has received anything, the marker is set; it stays set after a cancel."""
    sent_marker, states, read = SentMarker(), list[bool](), asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        await exchange.head()
        states.append(sent_marker.body_started)
        read.set()
        await asyncio.Event().wait()

    async with RawServer(hang) as server, transport_to(server.url) as transport, attempted(transport, sent_marker):
        assert not sent_marker.body_started
        await read.wait()
    assert states == [True]
    assert sent_marker.body_started


async def test_each_attempt_has_its_own_marker() -> None:
    """Concurrent attempts don't set each other's markers."""
    unsent, sent, read = SentMarker(), SentMarker(), asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        await exchange.request()
        read.set()
        await asyncio.Event().wait()

    given = AioConfig(connector_args={"resolver": HangingResolver()})
    async with (
        RawServer(hang) as server,
        transport_to(server.url) as transport,
        transport_to("http://nowhere.invalid", config=given) as other,
        attempted(other, unsent),
        attempted(transport, sent),
    ):
        await read.wait()
        assert (unsent.body_started, sent.body_started) == (False, True)


def boom(**_: Any) -> None:
    """Fail before anything is sent, as a handler of the user's may."""
    raise RuntimeError("boom")


@pytest.mark.parametrize("sent_before", [False, True])
async def test_the_marker_decides_whatever_is_raised(sent_before: bool) -> None:
    """An unknown exception before the body is not sent, also on a transport that has sent a body before."""
    async with (
        RawServer(accept) as server,
        open_transport(Settings(**ACCESS, endpoint_url=server.url, transport="botocore")) as (transport, client),
    ):
        if sent_before:
            assert isinstance(await start(transport), Answered)
        client.meta.events.register("before-sign.ecs", boom)
        outcome = await start(transport)
        assert len(server.bodies) == sent_before
    assert isinstance(outcome, NotSent)
    assert isinstance(outcome.error, ConfigurationError)
    assert isinstance(outcome.error.__cause__, RuntimeError)


@pytest.mark.parametrize("event", ["before-send", "before-send.ecs.StartTask"])
async def test_a_replaced_body_counts_as_sent(event: str) -> None:
    """The marker can't see a body that a handler replaced: a failure is lost then, never not sent."""
    session = own_session()

    def exchange(request: Any, **_: Any) -> None:
        if event == "before-send":  # which comes after ours, and fails
            request.body = b"{}"
            raise RuntimeError("boom")
        request.body = bytes(request.body)

    session.register(event, exchange)
    sent_marker = SentMarker()
    async with RawServer(accept) as server, transport_to(server.url, session=session) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, sent_marker)
    assert isinstance(outcome, Lost if event == "before-send" else Answered)
    assert sent_marker.body_started


async def test_the_timeout_bounds_a_dns_lookup() -> None:
    """The attempt's own timeout ends it where aiohttp has none, as during a DNS lookup."""
    given = AioConfig(connector_args={"resolver": HangingResolver()})
    timeouts = Timeouts(connect=0.05, attempt=0.05)
    async with asyncio.timeout(4), transport_to("http://nowhere.invalid", config=given, timeouts=timeouts) as transport:
        outcome = await start(transport)
    assert isinstance(outcome, NotSent)
    assert isinstance(outcome.error, ConnectionFailed)
    assert isinstance(outcome.error.__cause__, TimeoutError)


class Recorder:
    """A writer that records the marker's state at each write."""

    def __init__(self, sent_marker: SentMarker) -> None:
        self._sent_marker = sent_marker
        self.written: list[tuple[bytes, bool]] = []

    async def write(self, chunk: bytes) -> None:
        self.written.append((bytes(chunk), self._sent_marker.body_started))


async def by_write(body: MarkedBody, writer: AbstractStreamWriter) -> None:
    await body.write(writer)


async def by_length(body: MarkedBody, writer: AbstractStreamWriter) -> None:
    await body.write_with_length(writer, 4)


@pytest.mark.parametrize("write", [by_write, by_length])
async def test_a_body_is_written_once(write: Callable[..., Awaitable[None]]) -> None:
    """The marker is set before the write, and a second write is refused before its first byte."""
    sent_marker = SentMarker()
    body = MarkedBody(b"body", sent_marker)
    writer: Any = Recorder(sent_marker)
    await write(body, writer)
    with pytest.raises(SentTwice):
        await write(body, writer)
    assert writer.written == [(b"body", True)]
    assert isinstance(body.refused, SentTwice)


async def test_a_body_that_is_returned_counts_as_sent() -> None:
    """Whoever asks for the bytes may send them."""
    sent_marker = SentMarker()
    assert await MarkedBody(b"body", sent_marker).as_bytes() == b"body"
    assert sent_marker.body_started


# ------------------------------------------------------------------------------------------------------ unknown members


async def test_extra_members_are_sent_at_every_depth() -> None:
    """Members that botocore doesn't know are sent in their place."""
    request = StartTaskRequest(
        task_definition="demo",
        container_instances=["0a1b"],
        overrides=TaskOverride(
            container_overrides=[
                ContainerOverride(name="main", extra={"newMember": 2}),
                ContainerOverride(
                    name="side", environment=[KeyValuePair(name="KEY", value="é", extra={"newMember": None})]
                ),
            ],
            extra={"newMember": {"deep": [1]}},
        ),
        tags=[Tag(key="show", extra={"newMember": "in a tag"})],
        extra={"newMember": True, "newList": []},
    )
    async with RawServer(accept) as server, transport_to(server.url) as transport:
        assert isinstance(await start(transport, request), Answered)
    assert json.loads(server.bodies[0]) == {
        "containerInstances": ["0a1b"],
        "newList": [],
        "newMember": True,
        "overrides": {
            "containerOverrides": [
                {"name": "main", "newMember": 2},
                {"environment": [{"name": "KEY", "newMember": None, "value": "é"}], "name": "side"},
            ],
            "newMember": {"deep": [1]},
        },
        "tags": [{"key": "show", "newMember": "in a tag"}],
        "taskDefinition": "demo",
    }


async def test_without_extra_the_body_is_botocore_s() -> None:
    """A request without unknown members is sent as botocore makes it."""
    async with RawServer(accept) as server, transport_to(server.url) as transport:
        await start(transport)
    assert json.loads(server.bodies[0]) == {
        "containerInstances": ["0a1b"],
        "startedBy": "token",
        "taskDefinition": "demo",
    }
    assert "X-Amz-Target: AmazonEC2ContainerServiceV20141113.StartTask\r\n" in server.heads[0]
    assert "Content-Type: application/x-amz-json-1.1\r\n" in server.heads[0]


async def test_extra_is_signed() -> None:
    """The signature covers the body as it is sent, including unknown members."""
    signatures: list[str] = []
    for value in (1, 2):
        async with RawServer(accept) as server, transport_to(server.url) as transport:
            await start(transport, REQUEST.replace(extra={"newMember": value}))
        signatures.append(server.heads[0].partition("Signature=")[2].partition("\r\n")[0])
    assert len(set(signatures)) == 2


async def test_unknown_members_of_an_answer_are_kept() -> None:
    """Members that botocore would drop are in `extra`, at every depth."""

    async def newer(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, '{"tasks": [{"taskArn": "arn", "newMember": {"deep": 1}}], "newList": [2]}')

    async with RawServer(newer) as server, transport_to(server.url) as transport:
        outcome = await start(transport)
    assert isinstance(outcome, Answered)
    assert outcome.answer.extra == {"newList": [2]}
    assert outcome.answer.tasks[0].extra == {"newMember": {"deep": 1}}


# -------------------------------------------------------------------------------------------- other calls of the client


async def test_other_calls_of_the_client_are_unchanged(local: LocalECS) -> None:
    """A call of the raw client has no marker, and the user's handler retries it."""
    local.faults.add(Fault("error", operation="ListClusters"))
    session = own_session()
    session.register("needs-retry.ecs", retry_thrice)
    settings = Settings(**ACCESS, session=session, endpoint_url=local.endpoint_url, transport="botocore")
    async with open_transport(settings) as (transport, client):
        answer = await client.list_clusters()
        assert isinstance(await start(transport, request_on(local)), Answered)
    assert len(answer["clusterArns"]) == 1
    assert "aioecs-body" not in answer
    assert local.truth.requests == {"ListClusters": 4, "StartTask": 1}


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault("throttle"), ThrottlingException), (Fault("error", **REFUSED), ClientException)],  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
)
async def test_an_error_of_ecs_keeps_its_details(local: LocalECS, fault: Fault, error: type[ECSServiceError]) -> None:
    """Code, status, operation and request id are kept."""
    local.faults.add(fault)
    async with transport_to(local.endpoint_url) as transport:
        outcome = await start(transport, request_on(local))
    assert isinstance(outcome, Rejected)
    assert type(outcome.error) is error
    assert (outcome.error.status, outcome.error.operation) == (400, "StartTask")
    assert outcome.error.request_id


async def test_a_lost_answer_is_an_answer_lost_error(local: LocalECS) -> None:
    """A 200 that can't be ECS's is reported as AnswerLost, which describes the body."""
    local.faults.add(Fault("garbage"))
    async with transport_to(local.endpoint_url) as transport:
        outcome = await start(transport, request_on(local))
    assert isinstance(outcome, Lost)
    assert isinstance(outcome.error, AnswerLost)
    assert "bytes that are no JSON object" in str(outcome.error)
