"""native_transport: requests that are rejected for their signature are corrected if possible, and sent once more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from raw_server import Exchange, RawServer

from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._transport.transport import START_TASK, SentMarker
from tests.transport.native.test_native_transport import EMPTY, LOADER, REQUEST, transport_to

LATE = "Date: Wed, 01 Jan 2031 00:00:00 GMT"
TOKEN = "X-Amz-Security-Token: "


def metadata(number: int) -> dict[str, str]:
    ends = (datetime.now(UTC) + timedelta(hours=6)).isoformat()
    return {"access_key": f"a{number}", "secret_key": "s", "token": f"token-{number}", "expiry_time": ends}


class Source:
    """Counts refreshes, and returns new credentials."""

    def __init__(self, *, broken: bool = False) -> None:
        self.asked = 0
        self._broken = broken

    async def refresh(self) -> dict[str, str]:
        self.asked += 1
        await asyncio.sleep(0)
        if self._broken:
            raise OSError("nobody there")
        return metadata(self.asked)

    def session(self) -> AioSession:
        """Make a session whose credentials are thought to hold for hours, and are refreshed here."""
        session = AioSession()
        session.register_component("data_loader", LOADER)
        session._credentials = AioRefreshableCredentials.create_from_metadata(metadata(0), self.refresh, "test")
        return session


def rejected(code: str) -> str:
    return json.dumps({"__type": code, "message": "no"})


def accept_only(token: str, code: str = "ExpiredTokenException") -> Callable[[Exchange], Awaitable[None]]:
    """Accept requests with this token, and reject others."""

    async def behave(exchange: Exchange) -> None:
        head = await exchange.head()
        await exchange.body()
        if f"{TOKEN}{token}" in head:
            exchange.answer(200, EMPTY)
        else:
            exchange.answer(400, rejected(code))

    return behave


def open_to(server: RawServer, source: Source) -> Any:
    return transport_to(server.url, session=source.session(), aws_access_key_id=None, aws_secret_access_key=None)


@pytest.mark.parametrize("code", ["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException"])
async def test_expired_credentials_are_refreshed(code: str) -> None:
    """They are refreshed before they are due, and the call is sent once more with the new ones."""
    source = Source()
    async with RawServer(accept_only("token-1", code)) as server, open_to(server, source) as transport:
        assert transport.kind == "native"
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
        assert (len(server.bodies), source.asked) == (2, 1)
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
        assert (len(server.bodies), source.asked) == (3, 1)


async def test_concurrent_rejections_cause_one_refresh() -> None:
    """Ten concurrent calls cause one refresh, and each is sent once more."""
    source = Source()
    async with RawServer(accept_only("token-1")) as server, open_to(server, source) as transport:
        outcomes = await asyncio.gather(*(transport.attempt(START_TASK, REQUEST, SentMarker()) for _ in range(10)))
        assert all(isinstance(outcome, Answered) for outcome in outcomes)
        assert source.asked == 1
        assert len(server.bodies) <= 20


@pytest.mark.parametrize(("token", "broken", "requests"), [("token-1", True, 1), ("token-9", False, 2)])
async def test_a_refresh_that_does_not_help(token: str, broken: bool, requests: int) -> None:
    """If the refresh fails, or ECS rejects the new credentials too, the rejection is reported: no third send."""
    source = Source(broken=broken)
    async with RawServer(accept_only(token)) as server, open_to(server, source) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
        assert isinstance(outcome, Rejected)
        assert outcome.error.code == "ExpiredTokenException"
        assert len(server.bodies) == requests


async def test_the_marker_follows_the_second_send() -> None:
    """If the second send is lost, the outcome is Lost; without a connection it is NotSent."""
    source = Source()

    async def then_reset(exchange: Exchange) -> None:
        await exchange.request()
        if len(server.bodies) == 2:
            exchange.reset()
        else:
            exchange.answer(400, rejected("ExpiredTokenException"))

    sent_marker = SentMarker()
    async with RawServer(then_reset) as server, open_to(server, source) as transport:
        assert isinstance(await transport.attempt(START_TASK, REQUEST, sent_marker), Lost)
    assert sent_marker.body_started

    async def then_leave(exchange: Exchange) -> None:
        await exchange.request()
        gone._listener.close()
        exchange.answer(400, rejected("ExpiredTokenException"), "Connection: close")
        exchange.close()

    sent_marker = SentMarker()
    async with RawServer(then_leave) as gone, open_to(gone, Source()) as transport:
        assert isinstance(await transport.attempt(START_TASK, REQUEST, sent_marker), NotSent)
    assert not sent_marker.body_started


async def test_a_cancel_during_the_refresh() -> None:
    """A cancel between the two sends leaves the marker unset: ECS rejected what was sent."""
    source = Source()
    begun = asyncio.Event()

    async def never() -> dict[str, str]:
        begun.set()
        await asyncio.Event().wait()
        return {}

    source.refresh = never  # type: ignore[method-assign]
    sent_marker = SentMarker()
    async with RawServer(accept_only("token-1")) as server, open_to(server, source) as transport:
        sending = asyncio.create_task(transport.attempt(START_TASK, REQUEST, sent_marker))
        await begun.wait()
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        assert not sent_marker.body_started
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "code", ["InvalidSignatureException", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "RequestExpired"]
)
async def test_a_wrong_clock_is_corrected(code: str) -> None:
    """The request is signed with the response's Date and sent once more; later ones need not be."""

    async def strict(exchange: Exchange) -> None:
        head = await exchange.head()
        await exchange.body()
        if "X-Amz-Date: 20310101T0000" in head:
            exchange.answer(200, EMPTY)
        else:
            exchange.answer(400, rejected(code), LATE)

    async with RawServer(strict) as server, transport_to(server.url) as transport:
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
        assert len(server.bodies) == 3


def in_time(head: str) -> bool:
    return "X-Amz-Date: 20310101T0000" in head


async def test_concurrent_calls_with_a_wrong_clock_are_all_corrected() -> None:
    """Each of twenty rejected calls is sent once more, and later ones need not be."""
    together = asyncio.Barrier(20)

    async def strict(exchange: Exchange) -> None:
        head = await exchange.head()
        await exchange.body()
        if in_time(head):
            exchange.answer(200, EMPTY)
        else:
            await together.wait()
            exchange.answer(400, rejected("InvalidSignatureException"), LATE)

    async with RawServer(strict) as server, transport_to(server.url) as transport:
        outcomes = await asyncio.gather(*(transport.attempt(START_TASK, REQUEST, SentMarker()) for _ in range(20)))
        assert [type(outcome) for outcome in outcomes] == [Answered] * 20
        assert len(server.bodies) == 40
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
        assert len(server.bodies) == 41


@pytest.mark.parametrize("bad", ["Date: Wed, 01 Jan 2070 00:00:00 GMT", "Date: Wed, 01 Jan 2031 00:00:00 +999999"])
async def test_one_bad_date_costs_one_call(bad: str) -> None:
    """The call that got the bad Date is rejected again; no other call uses it."""
    dates = [bad]

    async def strict(exchange: Exchange) -> None:
        head = await exchange.head()
        await exchange.body()
        if in_time(head):
            exchange.answer(200, EMPTY)
        elif "X-Amz-Date: 2070" in head:
            exchange.answer(400, rejected("RequestTimeTooSkewed"), LATE)
        else:
            exchange.answer(400, rejected("RequestTimeTooSkewed"), dates.pop() if dates else LATE)

    async with RawServer(strict) as server, transport_to(server.url) as transport:
        sent_marker = SentMarker()
        assert isinstance(await transport.attempt(START_TASK, REQUEST, sent_marker), Rejected)
        assert sent_marker.body_started
        for _ in range(3):
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
        heads = [head for head in server.heads if "X-Amz-Date: 2070" in head]
        assert len(heads) == ("2070" in bad)


@pytest.mark.parametrize("date", ["Date: yesterday", "X-Nothing: 1", "Date: Wed, 01 Jan 2031 00:00:00 GMT"])
async def test_a_date_that_does_not_help(date: str) -> None:
    """With an unreadable Date, or one that did not help, the rejection is reported."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(400, rejected("RequestTimeTooSkewed"), date)

    async with RawServer(refuse) as server, transport_to(server.url) as transport:
        assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Rejected)
        assert len(server.bodies) == (2 if "2031" in date else 1)
