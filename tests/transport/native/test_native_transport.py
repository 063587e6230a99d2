"""native_transport: it sends what botocore sends, and reports the same outcomes."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from raw_server import Exchange, RawServer

from aioecs._model import StartTaskRequest, Timeouts
from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._transport.botocore import botocore_internals
from aioecs._transport.native.connection import Connection
from aioecs._transport.settings import Settings, Transport
from aioecs._transport.transport import START_TASK, SentMarker
from aioecs._transport.transport_factory import open_transport
from aioecs.errors import ConfigurationError
from aioecs.testing import Fault, LocalECS

REQUEST = StartTaskRequest(task_definition="demo", container_instances=["0a1b"], started_by="token")
ACCESS: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "s"}
LOADER = AioSession().get_component("data_loader")
EMPTY = '{"tasks": [], "failures": []}'


@asynccontextmanager
async def transport_to(url: str, option: Transport = "auto", **settings: Any) -> AsyncGenerator[Any]:
    session = settings.pop("session", None) or AioSession()
    session.register_component("data_loader", LOADER)
    given: dict[str, Any] = {**ACCESS, "session": session, "transport": option, **settings}
    async with open_transport(Settings(**given, endpoint_url=url)) as (transport, _):
        yield transport


async def accept(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, EMPTY)


@pytest.mark.parametrize(
    ("fault", "outcome_type"),
    [
        *((Fault(kind, when="after"), Lost) for kind in ("reset", "close", "error", "truncated", "garbage", "empty")),
        (Fault("reset", when="unread"), Lost),
        (Fault("hang", when="after"), Lost),
        (Fault("error", when="before", status=400, code="ClientException"), Rejected),
        (Fault("throttle"), Rejected),
    ],
)
async def test_faults_and_outcomes(local: LocalECS, fault: Fault, outcome_type: type) -> None:
    """Each failure has the same outcome as on the botocore transport, and causes one request."""
    local.faults.add(fault)
    request = REQUEST.replace(container_instances=local.instance_arns[:1])
    sent_marker = SentMarker()
    async with transport_to(local.endpoint_url, timeouts=Timeouts(attempt=0.3)) as transport:
        outcome = await transport.attempt(START_TASK, request, sent_marker)
    assert isinstance(outcome, outcome_type)
    assert sent_marker.body_started
    assert local.truth.requests["StartTask"] == 1


async def test_no_listener() -> None:
    """Without a connection nothing is sent, and the marker is unset."""
    async with RawServer(accept) as server:
        url = server.url
    sent_marker = SentMarker()
    async with transport_to(url) as transport:
        assert isinstance(await transport.attempt(START_TASK, REQUEST, sent_marker), NotSent)
    assert not sent_marker.body_started


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """It is no answer of ECS, and the body is written once."""

    async def away(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(status, "", f"Location: {server.url}/")

    async with RawServer(away) as server, transport_to(server.url) as transport:
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Lost)
        assert len(server.bodies) == 1


async def test_a_wrong_clock_is_corrected_once() -> None:
    """The request is signed with the response's Date and sent once more; later ones need not be."""
    late = "Date: Wed, 01 Jan 2031 00:00:00 GMT"

    async def strict(exchange: Exchange) -> None:
        await exchange.request()
        if "20310101T0000" in exchange._server.heads[-1]:
            exchange.answer(200, EMPTY)
        else:
            exchange.answer(400, '{"__type": "InvalidSignatureException", "message": "Signature expired"}', late)

    async with RawServer(strict) as server, transport_to(server.url) as transport:
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
        assert len(server.bodies) == 3


@pytest.mark.parametrize("code", ["InvalidSignatureException", "ExpiredTokenException"])
async def test_a_rejection_that_can_t_be_corrected(code: str) -> None:
    """If the clock was right, or keys can't be refreshed, the rejection is reported after one request."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(400, json.dumps({"__type": code, "message": "no"}))

    async with RawServer(refuse) as server, transport_to(server.url) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
        assert isinstance(outcome, Rejected)
        assert outcome.error.code == code
        assert len(server.bodies) == 1


@pytest.mark.parametrize("zone", ["+999999999999", "-9959", "+24:00", "GMT GMT"])
async def test_an_impossible_date(zone: str) -> None:
    """It corrects nothing, and the outcome stays a rejection of a request that was sent."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(400, '{"__type": "InvalidSignatureException"}', f"Date: Fri, 01 Jan 0001 00:00:00 {zone}")

    async with RawServer(refuse) as server, transport_to(server.url) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, sent_marker := SentMarker())
        assert isinstance(outcome, Rejected)
        assert sent_marker.body_started


async def test_configurations_that_need_the_botocore_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """The botocore transport is used for what the native one does not support.

    A handler on the session, another signature, a path, a proxy, no credentials, or aiohttp's own settings.
    """
    with_handler = AioSession()
    with_handler.register("before-send.ecs", lambda **_: None)
    here = "http://127.0.0.1:9"
    for url, more in (
        (here, {"session": with_handler}),
        (here, {"config": AioConfig(signature_version="v4a")}),
        (f"{here}/under", {}),
        (here, {"config": AioConfig(proxies={"http": "http://127.0.0.1:1"})}),
        (here, {"aws_access_key_id": None, "aws_secret_access_key": None}),
        (here, {"config": AioConfig(connector_args={"force_close": True})}),
        (here, {"config": AioConfig(connector_args={"keepalive_timeout": None})}),
    ):
        given: dict[str, Any] = more
        async with transport_to(url, **given) as transport:
            assert transport.kind == "botocore", (url, more)


async def test_a_cancel_together_with_the_answer(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ARNs that arrived are in the marker, and the cancel is raised."""
    whole = Connection._complete

    def and_a_cancel(self: Connection) -> None:
        whole(self)
        task.cancel()

    sent_marker = SentMarker()
    request = REQUEST.replace(container_instances=local.instance_arns[:1])
    async with transport_to(local.endpoint_url) as transport:
        monkeypatch.setattr(Connection, "_complete", and_a_cancel)
        task = asyncio.ensure_future(transport.attempt(START_TASK, request, sent_marker))
        with pytest.raises(asyncio.CancelledError):
            await task
    assert sent_marker.body_started
    assert isinstance(sent_marker.answer, Answered)
    assert [task.task_arn for task in sent_marker.answer.answer.tasks] == [task.arn for task in local.truth.tasks()]


@pytest.mark.parametrize("body", ["<html>", "[" * 100_000, '{"tasks":' * 100_000])
async def test_a_cancel_together_with_no_answer_of_ecs(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A response that can't be ECS's, arriving with the cancel, proves nothing."""
    whole = Connection._complete

    def and_a_cancel(self: Connection) -> None:
        whole(self)
        task.cancel()

    async def page(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, body)

    sent_marker = SentMarker()
    async with RawServer(page) as server, transport_to(server.url) as transport:
        monkeypatch.setattr(Connection, "_complete", and_a_cancel)
        task = asyncio.ensure_future(transport.attempt(START_TASK, REQUEST, sent_marker))
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (sent_marker.body_started, sent_marker.answer) == (True, None)


async def test_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The native transport trusts the CA bundle of botocore's settings."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    async with RawServer(accept, tls=context) as server:
        async with transport_to(server.url) as transport:
            assert transport.kind == "native"
            outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
            assert isinstance(outcome, NotSent)
            assert "CERTIFICATE_VERIFY_FAILED" in str(outcome.error)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
        async with transport_to(server.url) as transport:
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)


@pytest.mark.parametrize("end", ["\r", "\n", "\t", "\x7f"])
async def test_credentials_with_control_characters(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line end in a token could add headers: nothing is sent, and the token is not quoted."""
    sent_marker = SentMarker()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"secret{end}X-More: 1")
    none: dict[str, Any] = {"aws_access_key_id": None, "aws_secret_access_key": None}
    async with RawServer(accept) as server:
        async with transport_to(server.url, **none) as transport:
            outcome = await transport.attempt(START_TASK, REQUEST, sent_marker)
        assert isinstance(outcome, NotSent)
        assert isinstance(outcome.error, ConfigurationError)
        assert "the session token holds a control character" in str(outcome.error)
        assert "secret" not in str(outcome.error)
        assert not server.bodies
    assert not sent_marker.body_started


async def test_a_missing_private_member(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The botocore transport is used, with a warning that names the missing member."""

    def gone(client: Any) -> Any:
        return botocore_internals._member(client, "_no_such_member")

    monkeypatch.setattr(botocore_internals, "_http_session", gone)
    async with transport_to("http://127.0.0.1:9") as transport:
        assert transport.kind == "botocore"
    assert "_no_such_member any more" in caplog.text
