"""credentials: sources are refreshed when ECS rejects their credentials, on both transports, and log no secret."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.exceptions import InvalidConfigError, NoCredentialsError
from raw_server import Exchange, RawServer

import aioecs
from aioecs import ConfigurationError, Timeouts
from aioecs._model.attempt import Answered, NotSent, Rejected
from aioecs._transport.credentials import CredentialSource
from aioecs._transport.log_redaction import redacted_logs
from aioecs._transport.native.signing import Keys
from aioecs._transport.settings import Settings
from aioecs._transport.transport import START_TASK, SentMarker
from aioecs._transport.transport_factory import open_transport
from aioecs.worker._ledgers.dynamodb import DynamoDBLedger
from aioecs.worker._sqs.queue import Queue
from tests.transport.native.test_native_transport import EMPTY, REQUEST

CANARY = "canary-hunter2"


@attrs.define
class FakeSources:
    """STS, SSO and a container's metadata server in one; it counts the credentials that it gave."""

    given: int = 0
    until: str = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def answer(self, exchange: Exchange) -> None:
        head = await exchange.head()
        await exchange.body()
        self.given += 1
        key, secret, token = f"AKIA{self.given}", f"secret-{CANARY}", f"token-{self.given}-{CANARY}"
        if head.startswith("GET /federation"):  # SSO
            held = {"accessKeyId": key, "secretAccessKey": secret, "sessionToken": token, "expiration": 4102444800000}
            exchange.answer(200, json.dumps({"roleCredentials": held}))
        elif head.startswith("GET"):  # a container's
            held = {"AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": self.until}
            exchange.answer(200, json.dumps(held))
        else:
            name = "AssumeRoleWithWebIdentity" if "AKIABASE" not in head else "AssumeRole"
            members = f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            members += f"<SessionToken>{token}</SessionToken><Expiration>{self.until}</Expiration>"
            result = f"<{name}Result><Credentials>{members}</Credentials></{name}Result>"
            exchange.answer(200, f"<{name}Response>{result}</{name}Response>")


@attrs.define
class SourceSetup:
    """What a test needs to set up a credential source."""

    url: str
    path: Path
    patch: pytest.MonkeyPatch

    def file(self, name: str, text: str) -> str:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)
        return str(self.path / name)

    def profile(self, text: str) -> None:
        self.patch.setenv("AWS_CONFIG_FILE", self.file("config", f"[default]\n{text}\n"))


def web_identity(setup: SourceSetup) -> None:
    setup.patch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", setup.file("token", f"jwt-{CANARY}"))
    setup.patch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")


def assume_role(setup: SourceSetup) -> None:
    keys = f"aws_access_key_id = AKIABASE\naws_secret_access_key = base-{CANARY}\n"
    setup.profile(f"role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n[profile base]\n{keys}")


def sso(setup: SourceSetup) -> None:
    start = "https://example.awsapps.com/start"
    cached = {"accessToken": f"bearer-{CANARY}", "expiresAt": "2999-01-01T00:00:00Z"}
    name = "a" * 40
    setup.patch.setattr("botocore.utils.SSOTokenLoader._generate_cache_key", lambda *_, **__: name)
    setup.patch.setattr("botocore.utils.JSONFileCache.__getitem__", lambda *_: cached)
    setup.patch.setattr("botocore.utils.JSONFileCache.__contains__", lambda *_: True)
    lines = f"sso_start_url = {start}\nsso_region = eu-west-1\nsso_account_id = 123456789012\nsso_role_name = r"
    setup.profile(lines)


def container(setup: SourceSetup) -> None:
    setup.patch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{setup.url}/credentials")
    setup.patch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", f"authorization-{CANARY}")


def process(setup: SourceSetup) -> None:
    code = (
        "import json, pathlib, sys\n"
        "count = pathlib.Path(__file__).with_suffix('.count')\n"
        "n = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(n))\n"
        f"sys.stderr.write('{CANARY}')\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': 'AKIA', 'SecretAccessKey': "
        f"'secret-{CANARY}', 'SessionToken': f'token-{{n}}-{CANARY}', 'Expiration': '2999-01-01T00:00:00Z'}}))\n"
    )
    setup.profile(f"credential_process = {sys.executable} {setup.file('process.py', code)}")


@pytest.fixture
async def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SourceSetup]:
    async with RawServer(FakeSources().answer) as server:
        for service in ("STS", "SSO"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", server.url)
        yield SourceSetup(server.url, tmp_path, monkeypatch)


each_transport = pytest.mark.parametrize("option", ["auto", "botocore"])
each_source = pytest.mark.parametrize(
    "source", [web_identity, assume_role, sso, container, process], ids=lambda source: source.__name__
)


async def second_token_only(exchange: Exchange) -> None:
    """Accept requests signed with the second credentials, and answer others that theirs have expired."""
    head = await exchange.head()
    await exchange.body()
    if f"token-2-{CANARY}" in head:
        exchange.answer(200, EMPTY)
    else:
        exchange.answer(400, json.dumps({"__type": "ExpiredTokenException", "message": "no"}))


@each_transport
@each_source
async def test_expired_credentials_are_refreshed_from_every_source(
    setup: SourceSetup, source: Any, option: Any
) -> None:
    """Concurrent calls that are rejected are signed with new credentials and sent once more; later ones need not be."""
    source(setup)
    async with RawServer(second_token_only) as server:
        settings = Settings(region_name="us-east-1", endpoint_url=server.url, transport=option)
        async with open_transport(settings) as (transport, _):
            assert transport.kind == {"auto": "native", "botocore": "botocore"}[option]
            attempts = [transport.attempt(START_TASK, REQUEST, SentMarker()) for _ in range(10)]
            assert [type(outcome) for outcome in await asyncio.gather(*attempts)] == [Answered] * 10
            assert len(server.bodies) <= 20
            sent = len(server.bodies)
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
            assert len(server.bodies) == sent + 1


@each_transport
async def test_fixed_keys_are_not_refreshed(option: Any) -> None:
    """One request is sent, and ECS's own error is reported."""
    keys: dict[str, Any] = {"aws_access_key_id": "a", "aws_secret_access_key": "s"}
    async with RawServer(second_token_only) as server:
        settings = Settings(region_name="us-east-1", endpoint_url=server.url, transport=option, **keys)
        sent_marker = SentMarker()
        async with open_transport(settings) as (transport, _):
            assert isinstance(await transport.attempt(START_TASK, REQUEST, sent_marker), Rejected)
        assert (len(server.bodies), sent_marker.body_started) == (1, True)


@each_transport
@each_source
async def test_no_secret_of_a_source_is_logged(
    setup: SourceSetup, source: Any, option: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG no request for credentials, and no answer, is logged with a secret, also where a refresh fails."""
    caplog.set_level(logging.DEBUG)
    source(setup)
    async with RawServer(second_token_only) as server:
        given: dict[str, Any] = {"region_name": "us-east-1", "endpoint_url": server.url, "transport": option}
        async with aioecs.Client(**given, timeouts=Timeouts(consistency=0, call=1)) as client:
            assert CANARY not in repr(client)
            await client.list_tasks(aioecs.ListTasksRequest())
    logged = caplog.text + "\n".join(f"{each.msg!r} {each.args!r} {each.exc_text}" for each in caplog.records)
    assert "withheld by aioecs" in logged
    assert CANARY not in logged


@pytest.mark.parametrize(
    ("service", "method", "members"),
    [
        ("sqs", "send_message", {"QueueUrl": "http://127.0.0.1/1/q", "MessageBody": CANARY}),
        ("dynamodb", "put_item", {"TableName": "jobs", "Item": {"key": {"S": CANARY}}}),
        (
            "logs",
            "put_log_events",
            {"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": 0, "message": CANARY}]},
        ),
    ],
)
async def test_requests_of_any_client_can_be_redacted(
    service: str, method: str, members: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The block keeps bodies, tokens and answers of other services' clients out of the log."""
    caplog.set_level(logging.DEBUG)

    async def answer(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(400, json.dumps({"__type": "Refused", "message": CANARY}))

    keys = {"aws_access_key_id": "A", "aws_secret_access_key": "s", "aws_session_token": CANARY}
    async with RawServer(answer) as server:
        session: Any = AioSession()
        async with session.create_client(service, "us-east-1", endpoint_url=server.url, **keys) as client:
            with redacted_logs(), pytest.raises(Exception, match="Refused"):
                await getattr(client, method)(**members)
    assert CANARY not in caplog.text


async def test_a_worker_s_clients_log_no_secret(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests and answers of its queue and its DynamoDB ledger are redacted at DEBUG, including tokens."""
    caplog.set_level(logging.DEBUG)
    for name, held in {"ACCESS_KEY_ID": "A", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": CANARY}.items():
        monkeypatch.setenv(f"AWS_{name}", held)
    answers: list[dict[str, Any]] = [
        {"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": CANARY}]},
        {"Attributes": {"key": {"S": CANARY}}},  # the deleted item, which the ledger checks for
    ]

    async def answer(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, json.dumps(answers.pop(0)))

    async with RawServer(answer) as server:
        session = AioSession()
        async with Queue.open_client(None, session, server.url, "us-east-1") as client:
            assert [each.body for each in await Queue(client, f"{server.url}/q").receive(1, 30, 0)] == [CANARY]
        ledger = DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url=server.url, session=session)
        async with ledger:
            await ledger.release(CANARY, "holder")
        assert len(server.bodies) == 2
    assert CANARY not in caplog.text


@each_transport
@pytest.mark.parametrize("where", ["argument", "environment", "file"])
async def test_an_empty_session_token_is_not_sent(
    where: str, option: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither a header nor a signed header name, wherever it was set."""
    keys: dict[str, Any] = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "aws_session_token": ""}
    if where == "environment":
        for name, held in keys.items():
            monkeypatch.setenv(name.upper(), held)
    if where == "file":
        text = "".join(f"{name} = {held}\n" for name, held in keys.items())
        (tmp_path / "credentials").write_text(f"[default]\n{text}")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    async def accept(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, EMPTY)

    given = keys if where == "argument" else {}
    async with RawServer(accept) as server:
        settings = Settings(region_name="us-east-1", endpoint_url=server.url, transport=option, **given)
        async with open_transport(settings) as (transport, _):
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
    assert "security-token" not in server.heads[0].lower()


@each_transport
async def test_credentials_set_later_are_found(option: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there were none when the client was opened, each request looks for them again."""

    async def accept(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, EMPTY)

    async with RawServer(accept) as server:
        settings = Settings(region_name="us-east-1", endpoint_url=server.url, transport=option)
        async with open_transport(settings) as (transport, _):
            outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
            assert isinstance(outcome, NotSent)
            assert isinstance(outcome.error, ConfigurationError)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)


class Frozen(SimpleNamespace):
    """botocore's frozen credentials."""


class Fixed:
    """aiobotocore's credentials that are never refreshed."""

    method = "test"

    def __init__(self, **held: Any) -> None:
        self._frozen = Frozen(**{"access_key": "a", "secret_key": "s", "token": None, **held})

    async def get_frozen_credentials(self) -> Any:
        return self._frozen


async def test_current_credentials() -> None:
    """The same Keys object is returned until they change; control characters and missing credentials raise."""
    source = CredentialSource(Fixed(), 1)
    assert await source.current() is await source.current()
    assert source.name == "test"
    assert await source.current() == Keys("a", "s")
    for member in ("access_key", "secret_key", "token"):
        with pytest.raises(InvalidConfigError, match=r"control character \(U\+000A at position 1\)"):
            await CredentialSource(Fixed(**{member: "x\n"}), 1).current()
    with pytest.raises(NoCredentialsError):
        await CredentialSource(None, 1).current()


async def test_fixed_credentials_are_read_once_unless_they_change() -> None:
    """Of a source that refreshes, and of any object that isn't aiobotocore's own, it is not known that they are."""
    credentials = AioCredentials("a", "s", None)
    source = CredentialSource(credentials, 1)
    assert source.fixed is None
    assert await source.current() is source.fixed
    for name in ("access_key", "secret_key", "token"):
        setattr(credentials, name, "other")
        assert source.fixed is None
        keys = await source.current()
        assert getattr(keys, name) == "other"
        assert source.fixed is keys
    changing = Fixed()
    source = CredentialSource(changing, 1)
    await source.current()
    changing._frozen = Frozen(access_key="b", secret_key="s", token=None)
    assert source.fixed is None
    assert await source.current() == Keys("b", "s")


async def test_a_hanging_source_times_out() -> None:
    """A refresh is bounded by the timeout."""

    class Hanging(Fixed):
        def refresh_needed(self) -> bool:
            return True

        async def get_frozen_credentials(self) -> Any:
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        await CredentialSource(Hanging(), 0.01).current()
    assert not await CredentialSource(Hanging(), 0.01).refresh(None)
