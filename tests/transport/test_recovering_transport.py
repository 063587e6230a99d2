"""recovering_transport: the native transport is tried again until it can be opened."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from raw_server import Exchange, RawServer

from aioecs._model.attempt import Answered, NotSent
from aioecs._transport import recovering_transport
from aioecs._transport.recovering_transport import RecoveringTransport
from aioecs._transport.settings import Settings
from aioecs._transport.transport import START_TASK, SentMarker
from aioecs._transport.transport_factory import open_transport
from aioecs.errors import ConnectionFailed
from tests.transport.native.test_native_transport import EMPTY, REQUEST


class FakeTransport:
    """A transport that answers with its kind."""

    def __init__(self, kind: str) -> None:
        self.kind, self.endpoint_url, self.region, self.partition = kind, f"http://{kind}", f"{kind}-1", f"aws-{kind}"
        self.closed = False

    async def attempt(self, *_: Any) -> str:
        return self.kind

    async def close(self) -> None:
        self.closed = True


class World:
    """A clock, and a native transport that opens with the given outcomes."""

    def __init__(self, *outcomes: Any) -> None:
        self.now, self.outcomes, self.tried = 100.0, list(outcomes), list[float]()
        self.botocore, self.native = FakeTransport("botocore"), FakeTransport("native")
        botocore: Any = self.botocore
        self.transport: Any = RecoveringTransport(botocore, self.open_native, clock=lambda: self.now)

    async def open_native(self) -> Any:
        self.tried.append(self.now)
        outcome = self.outcomes.pop(0) if self.outcomes else self.native
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def send_until(self, end: float) -> list[str]:
        """Make an attempt each second."""
        kinds: list[str] = []
        while self.now < end:
            kinds.append(await self.transport.attempt(None, None, None))
            self.now += 1
        return kinds


async def test_the_delay_between_tries_grows() -> None:
    """The native transport is tried after 5 s, then after twice as long each time, up to a minute, until it opens."""
    world = World(*(OSError() for _ in range(6)))
    kinds = await world.send_until(460)
    assert world.tried == [105.0, 115.0, 135.0, 175.0, 235.0, 295.0, 355.0]
    assert (kinds[0], kinds[254], kinds[255], kinds[-1]) == ("botocore", "botocore", "native", "native")
    assert (world.transport.kind, world.transport.endpoint_url) == ("native", "http://native")
    assert (world.transport.region, world.transport.partition) == ("native-1", "aws-native")
    await world.transport.close()
    assert (world.native.closed, world.botocore.closed) == (True, False)


async def test_an_unsupported_configuration_is_not_tried_again() -> None:
    """The configuration doesn't change."""
    world = World(None)
    assert set(await world.send_until(300)) == {"botocore"}
    assert world.tried == [105.0]


async def test_one_request_tries_and_others_continue() -> None:
    """No request waits for another's try; after a cancelled try the next request tries."""
    world, begun = World(), asyncio.Event()

    async def slowly() -> Any:
        begun.set()
        await asyncio.Event().wait()

    world.transport = RecoveringTransport(world.botocore, slowly, clock=lambda: world.now)  # type: ignore[arg-type]
    world.now += 5
    trying = asyncio.create_task(world.transport.attempt(None, None, None))
    await begun.wait()
    assert await world.transport.attempt(None, None, None) == "botocore"
    trying.cancel()
    await asyncio.wait([trying])
    begun.clear()
    again = asyncio.create_task(world.transport.attempt(None, None, None))
    await begun.wait()
    again.cancel()
    await asyncio.wait([again])


async def test_a_transport_opened_after_close_is_closed() -> None:
    """Nothing stays open."""
    world = World()
    made = asyncio.Event()

    async def late() -> Any:
        await made.wait()
        return world.native

    world.transport = RecoveringTransport(world.botocore, late, clock=lambda: world.now)  # type: ignore[arg-type]
    world.now += 5
    trying = asyncio.create_task(world.transport.attempt(None, None, None))
    await asyncio.sleep(0)
    await world.transport.close()
    made.set()
    assert await trying == "botocore"
    assert world.native.closed


async def test_sts_fails_while_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It opens with the botocore transport and a warning, sends nothing unsigned, and recovers when STS answers."""
    answers = ["503", "503"]

    async def sts(exchange: Exchange) -> None:
        await exchange.request()
        if answers:
            exchange.answer(int(answers.pop()), "")
            return
        held = "<AccessKeyId>A</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        held += "<Expiration>2999-01-01T00:00:00Z</Expiration>"
        name = "AssumeRoleWithWebIdentity"
        exchange.answer(
            200, f"<{name}Response><{name}Result><Credentials>{held}</Credentials></{name}Result></{name}Response>"
        )

    async def accept(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, EMPTY)

    clock = [0.0]
    now = SimpleNamespace(monotonic=lambda: clock[0])
    monkeypatch.setattr(recovering_transport, "time", now)
    monkeypatch.setattr(RecoveringTransport.__init__, "__kwdefaults__", {"clock": now.monotonic})
    (tmp_path / "token").write_text("a-web-identity-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    async with RawServer(sts) as source, RawServer(accept) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", source.url)
        async with open_transport(Settings(region_name="us-east-1", endpoint_url=server.url)) as (transport, _):
            assert transport.kind == "botocore"
            assert "until the native one can be opened" in caplog.text
            outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
            assert isinstance(outcome, NotSent)
            assert isinstance(outcome.error, ConnectionFailed)
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
            assert transport.kind == "botocore"
            clock[0] = 5.0
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
            assert transport.kind == "native"
