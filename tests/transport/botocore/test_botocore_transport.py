"""botocore_transport: one attempt, sent once whatever lies beneath, with a witness that sees its body being written."""

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
    """Open a port; with a session of its own if one is given, or is to be made."""
    given: dict[str, Any] = {**ACCESS, "session": SESSION, "transport": "botocore", **settings}
    async with open_transport(Settings(**given, endpoint_url=url)) as (transport, _):
        yield transport


async def start(transport: Transport, request: StartTaskRequest = REQUEST) -> Attempt[StartTaskResponse]:
    return await transport.attempt(START_TASK, request, SentMarker())


def on(local: LocalECS, **members: Any) -> StartTaskRequest:
    """Make a request that the local ECS can serve."""
    return REQUEST.replace(container_instances=local.instance_arns[:1], **members)


async def accept(exchange: Exchange) -> None:
    """Answer as ECS does when it started nothing."""
    await exchange.request()
    exchange.answer(200, EMPTY)


# ------------------------------------------------------------------------------------------ the word against the truth


async def test_an_answer(local: LocalECS) -> None:
    """What ECS answered comes back as values, with the request id, and the witness saw the request go."""
    sent_marker = SentMarker()
    async with transport_to(local.endpoint_url) as transport:
        what = await transport.attempt(START_TASK, on(local), sent_marker)
    assert isinstance(what, Answered)
    assert [task.task_arn for task in what.answer.tasks] == [task.arn for task in local.truth.tasks()]
    assert what.answer.tasks[0].started_by == "token"
    assert what.request_id
    assert sent_marker.body_started


async def test_a_partial_failure_is_an_answer(local: LocalECS) -> None:
    """Tasks and failures come back side by side."""
    request = on(local).replace(container_instances=[local.instance_arns[0], "0" * 32])
    async with transport_to(local.endpoint_url) as transport:
        what = await start(transport, request)
    assert isinstance(what, Answered)
    assert [failure.reason for failure in what.answer.failures] == ["MISSING"]
    assert len(what.answer.tasks) == 1


REFUSED = {"code": "ClientException", "status": 400}


@pytest.mark.parametrize(
    ("fault", "word", "tasks"),
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
async def test_the_word_against_the_truth(local: LocalECS, fault: Fault, word: type, tasks: int) -> None:
    """Whatever goes wrong, and before or after the start took effect: one request, and never a word too much."""
    local.faults.add(fault)
    timeouts = ATTEMPT if fault.kind == "hang" else Timeouts()
    async with transport_to(local.endpoint_url, timeouts=timeouts) as transport:
        what = await start(transport, on(local))
    assert isinstance(what, word)
    assert local.truth.requests["StartTask"] == 1
    assert len(local.truth.tasks()) == tasks


async def test_expired_credentials() -> None:
    """What the credentials are refused for is ECS's word, by its code."""
    async with LocalECS(expired_keys=["local"]) as local, transport_to(local.endpoint_url) as transport:
        what = await start(transport, on(local))
    assert isinstance(what, Rejected)
    assert what.error.code == "ExpiredTokenException"


async def test_no_credentials(local: LocalECS) -> None:
    """Where the chain finds none, nothing is sent, and the settings are to blame."""
    none: dict[str, Any] = {"aws_access_key_id": None, "aws_secret_access_key": None, "session": None}
    sent_marker = SentMarker()
    async with transport_to(local.endpoint_url, **none) as transport:
        what = await transport.attempt(START_TASK, on(local), sent_marker)
    assert isinstance(what, NotSent)
    assert isinstance(what.error, ConfigurationError)
    assert str(what.error) == "StartTask was not sent: Unable to locate credentials"
    assert (sent_marker.body_started, local.truth.requests.total()) == (False, 0)


async def test_what_botocore_won_t_take_is_not_sent(local: LocalECS) -> None:
    """A request that botocore's own check refuses is on no wire."""
    request: Any = on(local, cluster=17)
    async with transport_to(local.endpoint_url) as transport:
        what = await start(transport, request)
    assert isinstance(what, NotSent)
    assert isinstance(what.error, ConfigurationError)
    assert local.truth.requests.total() == 0


async def test_a_port_says_where_it_goes() -> None:
    """Endpoint, Region and partition are the client's."""
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


def no_setup(session: AioSession, path: Path, patch: pytest.MonkeyPatch) -> Any:
    """Botocore's own default: five attempts."""


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
    """Say yes to a retry, three times at most."""
    return 0 if attempts < 4 else None


def handler(event: str, *, first: bool = False) -> Callable[..., Any]:
    """Retries by a handler of the user's own."""

    def setup(session: AioSession, path: Path, patch: pytest.MonkeyPatch) -> Any:
        events = session.get_component("event_emitter")
        (events.register_first if first else events.register)(event, retry_thrice)

    return setup


FAULTS = [Fault("error"), Fault("throttle"), Fault("reset", when="after")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
@pytest.mark.parametrize(
    "setup",
    [
        pytest.param(no_setup, id="default"),
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
async def test_one_request_whoever_asks_for_more(
    local: LocalECS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setup: Callable[..., Any], fault: Fault
) -> None:
    """No setting and no handler makes a second request of it, and the first one's outcome is what is told."""
    session = own_session()
    given = setup(session, tmp_path / "config", monkeypatch)
    local.faults.add(fault)
    async with transport_to(local.endpoint_url, session=session, config=given) as transport:
        what = await start(transport, on(local))
    assert local.truth.requests["StartTask"] == 1
    assert isinstance(what, Rejected if fault.kind == "throttle" else Lost)
    assert not isinstance(what.error.__cause__, SentTwice)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
async def test_one_request_even_behind_our_back(local: LocalECS, fault: Fault) -> None:
    """A retry that gets past our no can't begin, for the body can't be sent again; the first answer is what is told."""
    session = own_session()
    session.get_component("event_emitter").register_first("needs-retry.*.*", retry_thrice)
    local.faults.add(fault)
    async with transport_to(local.endpoint_url, session=session) as transport:
        what = await start(transport, on(local))
    assert local.truth.requests["StartTask"] == 1
    assert isinstance(what, Rejected if fault.kind == "throttle" else Lost)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_one_body_whatever_a_redirect_says(status: int) -> None:
    """A redirect is not followed by a second body, and is no answer of ECS."""

    async def redirect(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(status, "", "Location: /there")

    async with RawServer(redirect) as server, transport_to(server.url) as transport:
        what = await start(transport)
        assert [body for body in server.bodies if body] == [server.bodies[0]]
    assert isinstance(what, Lost)


class SendsTwice:
    """A stand-in for aiobotocore's client that sends twice, swallows the no, and comes back with an answer."""

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
async def test_what_comes_after_a_second_try_is_no_answer(whole: bool) -> None:
    """Should whatever lies beneath try again and, in spite of our no, come back with an answer, it is none."""
    beneath = SendsTwice(whole=whole)
    what = await start(BotocoreTransport(beneath, 1))
    assert isinstance(what, Lost)
    assert isinstance(what.error.__cause__, SentTwice)
    assert beneath.written == [b"{}"]


# ------------------------------------------------------------------------------------------------------- the witness


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
    """Make an attempt in a task of its own, and cancel it at the end of the block."""
    task = asyncio.create_task(transport.attempt(START_TASK, REQUEST, sent_marker))
    yield task
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancel_before_the_name_is_known_sends_nothing() -> None:
    """While the DNS is asked nothing is on the wire, nor is it after a cancel."""
    resolver, sent_marker = HangingResolver(), SentMarker()
    given = AioConfig(connector_args={"resolver": resolver})
    async with transport_to("http://nowhere.invalid", config=given) as transport, attempted(transport, sent_marker):
        await resolver.asked.wait()
        assert not sent_marker.body_started
    assert not sent_marker.body_started


async def test_a_cancel_before_tls_stands_sends_nothing() -> None:
    """A server that accepts the connection and delays TLS has seen no body, nor does it after a cancel."""
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


async def test_the_witness_speaks_before_the_first_byte() -> None:
    """By the time that a server has seen anything, the witness says so; a cancel leaves its word standing."""
    sent_marker, words, read = SentMarker(), list[bool](), asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        await exchange.head()
        words.append(sent_marker.body_started)
        read.set()
        await asyncio.Event().wait()

    async with RawServer(hang) as server, transport_to(server.url) as transport, attempted(transport, sent_marker):
        assert not sent_marker.body_started
        await read.wait()
    assert words == [True]
    assert sent_marker.body_started


async def test_each_attempt_has_its_own_witness() -> None:
    """Attempts beside each other don't speak for one another."""
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
    """Fail as a handler of the user's may, before anything is sent."""
    raise RuntimeError("boom")


@pytest.mark.parametrize("proven", [False, True])
async def test_the_marker_decides_whatever_is_raised(proven: bool) -> None:
    """An exception of no table, before the body: not sent, also if this transport has never sent a body before."""
    async with (
        RawServer(accept) as server,
        open_transport(Settings(**ACCESS, endpoint_url=server.url, transport="botocore")) as (transport, client),
    ):
        if proven:
            assert isinstance(await start(transport), Answered)
        client.meta.events.register("before-sign.ecs", boom)
        what = await start(transport)
        assert len(server.bodies) == proven
    assert isinstance(what, NotSent)
    assert isinstance(what.error, ConfigurationError)
    assert isinstance(what.error.__cause__, RuntimeError)


@pytest.mark.parametrize("event", ["before-send", "before-send.ecs.StartTask"])
async def test_a_body_that_is_exchanged_counts_as_sent(event: str) -> None:
    """A handler that puts another body in place blinds the marker: what fails then is lost, never not sent."""
    session = own_session()

    def exchange(request: Any, **_: Any) -> None:
        if event == "before-send":  # which comes after ours, and fails
            request.body = b"{}"
            raise RuntimeError("boom")
        request.body = bytes(request.body)

    session.register(event, exchange)
    sent_marker = SentMarker()
    async with RawServer(accept) as server, transport_to(server.url, session=session) as transport:
        what = await transport.attempt(START_TASK, REQUEST, sent_marker)
    assert isinstance(what, Lost if event == "before-send" else Answered)
    assert sent_marker.body_started


async def test_the_clock_bounds_what_no_other_clock_does() -> None:
    """An attempt ends by its own clock even where aiohttp has none, as for the DNS."""
    given = AioConfig(connector_args={"resolver": HangingResolver()})
    timeouts = Timeouts(connect=0.05, attempt=0.05)
    async with asyncio.timeout(4), transport_to("http://nowhere.invalid", config=given, timeouts=timeouts) as transport:
        what = await start(transport)
    assert isinstance(what, NotSent)
    assert isinstance(what.error, ConnectionFailed)
    assert isinstance(what.error.__cause__, TimeoutError)


class Recorder:
    """A writer that notes what the witness said at each write."""

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
    """The witness speaks before the write, and a second write is refused before a byte of it."""
    sent_marker = SentMarker()
    body = MarkedBody(b"body", sent_marker)
    writer: Any = Recorder(sent_marker)
    await write(body, writer)
    with pytest.raises(SentTwice):
        await write(body, writer)
    assert writer.written == [(b"body", True)]
    assert isinstance(body.refused, SentTwice)


async def test_a_body_that_is_handed_over_whole_counts_as_sent() -> None:
    """Whoever asks for the bytes may send them."""
    sent_marker = SentMarker()
    assert await MarkedBody(b"body", sent_marker).as_bytes() == b"body"
    assert sent_marker.body_started


# ------------------------------------------------------------------------------------------------------ what is new


async def test_extra_reaches_the_wire_at_every_depth() -> None:
    """What only the request knows is sent in its place, beside what botocore knows."""
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
    """A request that botocore knows whole is sent as botocore makes it."""
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
    """The signature is of the body as it is sent, unknown members included."""
    signatures: list[str] = []
    for value in (1, 2):
        async with RawServer(accept) as server, transport_to(server.url) as transport:
            await start(transport, REQUEST.replace(extra={"newMember": value}))
        signatures.append(server.heads[0].partition("Signature=")[2].partition("\r\n")[0])
    assert len(set(signatures)) == 2


async def test_what_a_newer_ecs_answers_comes_back() -> None:
    """Members that botocore would drop are in `extra`, at every depth."""

    async def newer(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, '{"tasks": [{"taskArn": "arn", "newMember": {"deep": 1}}], "newList": [2]}')

    async with RawServer(newer) as server, transport_to(server.url) as transport:
        what = await start(transport)
    assert isinstance(what, Answered)
    assert what.answer.extra == {"newList": [2]}
    assert what.answer.tasks[0].extra == {"newMember": {"deep": 1}}


# --------------------------------------------------------------------------------------------------- who isn't ours


async def test_others_on_the_same_client_are_left_alone(local: LocalECS) -> None:
    """A call past the port is botocore's own: no witness, and a handler's retries as its user wants them."""
    local.faults.add(Fault("error", operation="ListClusters"))
    session = own_session()
    session.register("needs-retry.ecs", retry_thrice)
    settings = Settings(**ACCESS, session=session, endpoint_url=local.endpoint_url, transport="botocore")
    async with open_transport(settings) as (transport, client):
        answer = await client.list_clusters()
        assert isinstance(await start(transport, on(local)), Answered)
    assert len(answer["clusterArns"]) == 1
    assert "aioecs-body" not in answer
    assert local.truth.requests == {"ListClusters": 4, "StartTask": 1}


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault("throttle"), ThrottlingException), (Fault("error", **REFUSED), ClientException)],  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
)
async def test_an_error_of_ecs_s_keeps_its_facts(local: LocalECS, fault: Fault, error: type[ECSServiceError]) -> None:
    """Code, status, operation and request id come along."""
    local.faults.add(fault)
    async with transport_to(local.endpoint_url) as transport:
        what = await start(transport, on(local))
    assert isinstance(what, Rejected)
    assert type(what.error) is error
    assert (what.error.status, what.error.operation) == (400, "StartTask")
    assert what.error.request_id


async def test_a_lost_answer_is_an_error_of_its_own(local: LocalECS) -> None:
    """A 200 that can't be ECS's is told as an AnswerLost, which says what stood there."""
    local.faults.add(Fault("garbage"))
    async with transport_to(local.endpoint_url) as transport:
        what = await start(transport, on(local))
    assert isinstance(what, Lost)
    assert isinstance(what.error, AnswerLost)
    assert "bytes that are no JSON object" in str(what.error)
