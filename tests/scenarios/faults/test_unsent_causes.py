"""Every cause that keeps a request from being sent, on both transports: NOT_SENT at once, no secret in a text."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from aiohttp.abc import AbstractResolver
from botocore.utils import ContainerMetadataFetcher
from raw_server import Exchange, RawServer

import aioecs
from aioecs import ConfigurationError, ConnectionFailed, Outcome, Retries, StartTaskRequest, Timeouts
from aioecs._logic.calls.retry import max_backoff
from aioecs._transport.botocore.botocore_transport import MARGIN

SECRET = "hunter2"
KEYS = {"aws_access_key_id": "AKIALOCAL", "aws_secret_access_key": f"key-{SECRET}", "aws_session_token": None}
NONE: dict[str, Any] = dict.fromkeys(KEYS)
REQUEST = StartTaskRequest(task_definition="demo", container_instances=["0a1b"])
SHORT_TIMEOUTS = Timeouts(connect=0.15, attempt=0.15)  # for causes that end only by a timeout
NO_CONNECTION = Timeouts(connect=0.15)  # for those that end only by this one
WITHIN = 2.0
"""Seconds in which a start that can't be sent ends, with the default retries."""
QUICK = Retries(initial_backoff=0.001, max_backoff=0.001)
"""The default number of attempts; the longest backoffs between them are added to what they take."""
BACKOFFS = sum(max_backoff(Retries(), before) for before in range(Retries().max_attempts - 1))
"""The longest that the default backoffs take together, in seconds."""
LOADER = AioSession().get_component("data_loader")


async def accept(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, '{"tasks": [], "failures": []}')


@attrs.define
class CauseSetup:
    """What a cause is set up with."""

    server: RawServer
    path: Path
    patch: pytest.MonkeyPatch
    certificates: Any = attrs.Factory(trustme.CA)
    others: list[RawServer] = attrs.Factory(list)
    listeners: list[socket.socket] = attrs.Factory(list)

    def env(self, **values: str) -> None:
        for name, value in values.items():
            self.patch.setenv(name, value)

    def file(self, name: str, text: str) -> str:
        (self.path / name).write_text(text)
        return str(self.path / name)

    def profile(self, text: str) -> dict[str, Any]:
        """Use credentials from a profile with this text."""
        self.env(AWS_CONFIG_FILE=self.file("config", f"[default]\n{text}\n"))
        return NONE

    async def serve(self, behave: Callable[[Exchange], Awaitable[object]], **more: Any) -> RawServer:
        server = RawServer(behave, **more)
        await server.__aenter__()
        self.others.append(server)
        return server

    def tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificates.issue_cert("127.0.0.1").configure_cert(context)
        return context


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


NOWHERE = f"http://127.0.0.1:{free_port()}"

# ---------------------------------------------------------------------------------------------------- no connection


async def refused(setup: CauseSetup) -> dict[str, Any]:
    return {"endpoint_url": NOWHERE}


async def refused_with_a_password(setup: CauseSetup) -> dict[str, Any]:
    return {"endpoint_url": NOWHERE.replace("//", f"//me:{SECRET}@")}


async def no_such_name(setup: CauseSetup) -> dict[str, Any]:
    return {"endpoint_url": "http://nowhere.invalid"}


async def dns_hangs(setup: CauseSetup) -> dict[str, Any]:
    class Never(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            await asyncio.Event().wait()

        async def close(self) -> None:
            """Close nothing."""

    config = AioConfig(connector_args={"resolver": Never()})
    return {"endpoint_url": "http://nowhere.invalid", "config": config, "timeouts": SHORT_TIMEOUTS}


async def server_without_tls(setup: CauseSetup) -> dict[str, Any]:
    return {"endpoint_url": setup.server.url.replace("http:", "https:"), "timeouts": NO_CONNECTION}


async def untrusted_certificate(setup: CauseSetup) -> dict[str, Any]:
    return {"endpoint_url": (await setup.serve(accept, tls=setup.tls())).url}


async def wrong_host_in_certificate(setup: CauseSetup) -> dict[str, Any]:
    setup.certificates.cert_pem.write_to_path(str(setup.path / "ca.pem"))
    setup.env(AWS_CA_BUNDLE=str(setup.path / "ca.pem"))
    url = (await setup.serve(accept, tls=setup.tls())).url
    return {"endpoint_url": url.replace("127.0.0.1", "localhost")}


async def tls_stalls(setup: CauseSetup) -> dict[str, Any]:
    async def stall(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    url = (await setup.serve(stall)).url
    return {"endpoint_url": url.replace("http:", "https:"), "timeouts": NO_CONNECTION}


# ------------------------------------------------------------------------------------------------------ files, proxies


async def no_ca_bundle(setup: CauseSetup) -> dict[str, Any]:
    setup.env(AWS_CA_BUNDLE="/nowhere/ca.pem")
    return {"endpoint_url": (await setup.serve(accept, tls=setup.tls())).url}


async def ca_bundle_is_a_folder(setup: CauseSetup) -> dict[str, Any]:
    setup.env(AWS_CA_BUNDLE=str(setup.path))
    return {"endpoint_url": (await setup.serve(accept, tls=setup.tls())).url}


async def ca_bundle_is_invalid(setup: CauseSetup) -> dict[str, Any]:
    setup.env(AWS_CA_BUNDLE=setup.file("ca.pem", "no certificate"))
    return {"endpoint_url": (await setup.serve(accept, tls=setup.tls())).url}


async def no_client_certificate_file(setup: CauseSetup) -> dict[str, Any]:
    url = (await setup.serve(accept, tls=setup.tls())).url
    return {"endpoint_url": url, "config": AioConfig(client_cert="/nowhere/client.pem")}


async def proxy_refuses(setup: CauseSetup) -> dict[str, Any]:
    setup.env(HTTP_PROXY=NOWHERE.replace("//", f"//me:{SECRET}@"))
    return {}


async def proxy_with_invalid_port(setup: CauseSetup) -> dict[str, Any]:
    setup.env(HTTP_PROXY=f"http://me:{SECRET}@proxy:port")
    return {}


async def proxy_password_with_a_slash(setup: CauseSetup) -> dict[str, Any]:
    setup.env(HTTP_PROXY=f"http://me:{SECRET}/more@proxy:3128")
    return {}


async def proxy_by_config(setup: CauseSetup) -> dict[str, Any]:
    return {"config": AioConfig(proxies={"http": f"http://me:{SECRET}@pro xy:3128"})}


async def proxy_requires_authentication(setup: CauseSetup) -> dict[str, Any]:
    async def denied(exchange: Exchange) -> None:
        await exchange.head()
        exchange.answer(407)
        exchange.close()

    proxy = await setup.serve(denied)
    setup.env(HTTPS_PROXY=proxy.url.replace("//", f"//me:{SECRET}@"))
    return {"endpoint_url": (await setup.serve(accept, tls=setup.tls())).url}


# --------------------------------------------------------------------------------------------------- no credentials


async def no_credentials(setup: CauseSetup) -> dict[str, Any]:
    return NONE


async def half_a_credential(setup: CauseSetup) -> dict[str, Any]:
    setup.env(AWS_ACCESS_KEY_ID="AKIALOCAL")
    return NONE


async def no_such_profile(setup: CauseSetup) -> dict[str, Any]:
    return {**NONE, "profile_name": "nobody"}


def process(setup: CauseSetup, code: str) -> dict[str, Any]:
    path = setup.file("process.py", code)
    return setup.profile(f"credential_process = {sys.executable} {path}")


async def process_fails(setup: CauseSetup) -> dict[str, Any]:
    return process(setup, f"import sys; sys.exit('password {SECRET}')")


async def process_writes_no_json(setup: CauseSetup) -> dict[str, Any]:
    return process(setup, f"print('{SECRET}')")


async def process_writes_half(setup: CauseSetup) -> dict[str, Any]:
    return process(setup, f'print(\'{{"Version": 1, "SecretAccessKey": "{SECRET}"}}\')')


async def process_is_missing(setup: CauseSetup) -> dict[str, Any]:
    return setup.profile("credential_process = /nowhere/to-be-found")


async def token_file_is_missing(setup: CauseSetup) -> dict[str, Any]:
    setup.env(AWS_WEB_IDENTITY_TOKEN_FILE="/nowhere/token", AWS_ROLE_ARN="arn:aws:iam::123456789012:role/r")
    return NONE


def sts(status: int, code: str) -> Callable[[CauseSetup], Awaitable[dict[str, Any]]]:
    """STS answers with an error; the request to it has a secret."""

    async def cause(setup: CauseSetup) -> dict[str, Any]:
        async def answer(exchange: Exchange) -> None:
            await exchange.request()
            error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>message</Message></Error>"
            exchange.answer(status, f"<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>")

        server = await setup.serve(answer)
        setup.env(
            AWS_WEB_IDENTITY_TOKEN_FILE=setup.file("token", f"jwt-{SECRET}"),
            AWS_ROLE_ARN="arn:aws:iam::123456789012:role/r",
            AWS_ENDPOINT_URL_STS=server.url,
        )
        return NONE

    cause.__name__ = f"sts_{status}_{code}"
    return cause


async def sts_is_unreachable(setup: CauseSetup) -> dict[str, Any]:
    given = await sts(400, "AccessDenied")(setup)
    setup.env(AWS_ENDPOINT_URL_STS=NOWHERE)
    return given


async def sts_hangs(setup: CauseSetup) -> dict[str, Any]:
    async def hang(exchange: Exchange) -> None:
        await exchange.request()
        await asyncio.Event().wait()

    given = await sts(400, "AccessDenied")(setup)
    setup.env(AWS_ENDPOINT_URL_STS=(await setup.serve(hang)).url)
    return {**given, "timeouts": SHORT_TIMEOUTS}


ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n"


async def mfa_without_a_terminal(setup: CauseSetup) -> dict[str, Any]:
    def no_terminal(prompt: str) -> str:
        raise EOFError

    keys = f"aws_access_key_id = A\naws_secret_access_key = key-{SECRET}\n"
    setup.profile(f"{ROLE}source_profile = base\nmfa_serial = arn:aws:iam::1:mfa/me\n[profile base]\n{keys}")
    session: Any = AioSession()
    session.register_component("data_loader", LOADER)
    session.get_component("credential_provider").get_provider("assume-role")._prompter = no_terminal
    return {**NONE, "session": session}


async def assume_role_is_denied(setup: CauseSetup) -> dict[str, Any]:
    await sts(403, "AccessDenied")(setup)
    for name in ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"):
        setup.patch.delenv(name)
    keys = f"aws_access_key_id = A\naws_secret_access_key = key-{SECRET}\n"
    return setup.profile(f"{ROLE}source_profile = base\n[profile base]\n{keys}")


async def no_sso_login(setup: CauseSetup) -> dict[str, Any]:
    setup.env(HOME=str(setup.path))
    start = "sso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\n"
    return setup.profile(f"{start}sso_account_id = 123456789012\nsso_role_name = r")


async def container_refuses(setup: CauseSetup) -> dict[str, Any]:
    async def answer(exchange: Exchange) -> None:
        await exchange.head()
        exchange.answer(500, f"the token {SECRET} is not known")

    server = await setup.serve(answer)
    setup.patch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    setup.env(AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url, AWS_CONTAINER_AUTHORIZATION_TOKEN=f"t-{SECRET}")
    return NONE


async def container_is_gone(setup: CauseSetup) -> dict[str, Any]:
    setup.patch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    setup.env(AWS_CONTAINER_CREDENTIALS_FULL_URI=NOWHERE, AWS_CONTAINER_AUTHORIZATION_TOKEN=f"t-{SECRET}")
    return NONE


def expired(refresh: Callable[[], Awaitable[dict[str, str]]]) -> dict[str, Any]:
    """Return settings with expired credentials, and this function to refresh them."""
    ended = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    held = {"access_key": "A", "secret_key": f"key-{SECRET}", "token": f"token-{SECRET}", "expiry_time": ended}
    session: Any = AioSession()
    session.register_component("data_loader", LOADER)
    session._credentials = AioRefreshableCredentials.create_from_metadata(held, refresh, "custom-source")
    return {**NONE, "session": session}


async def expired_and_the_source_fails(setup: CauseSetup) -> dict[str, Any]:
    async def fail() -> dict[str, str]:
        raise OSError(f"http://me:{SECRET}@vault is not there")

    return expired(fail)


async def expired_after_the_refresh(setup: CauseSetup) -> dict[str, Any]:
    async def again() -> dict[str, str]:
        ended = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        return {"access_key": "A", "secret_key": SECRET, "token": SECRET, "expiry_time": ended}

    return expired(again)


# ---------------------------------------------------------------------------------------------------------- settings


async def settings_of_aiohttp(setup: CauseSetup) -> dict[str, Any]:
    return {"config": AioConfig(connector_args={"force_close": True})}


async def no_such_signature(setup: CauseSetup) -> dict[str, Any]:
    return {"config": AioConfig(signature_version="v9")}


async def a_handler_fails(setup: CauseSetup) -> dict[str, Any]:
    def boom(**_: Any) -> None:
        raise RuntimeError("boom")

    session = AioSession()
    session.register_component("data_loader", LOADER)
    session.register("before-sign.ecs", boom)
    return {"session": session}


async def a_line_end_in_the_token(setup: CauseSetup) -> dict[str, Any]:
    setup.env(AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="s", AWS_SESSION_TOKEN=f"{SECRET}\r\nX-More: 1")
    return NONE


async def no_region(setup: CauseSetup) -> dict[str, Any]:
    return {"region_name": None}


async def no_client_certificate(setup: CauseSetup) -> dict[str, Any]:
    """The server requires a certificate; it reads what still arrives, so that no reset discards its alert."""
    context = setup.tls()
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(8):
            try:
                connection, _ = listener.accept()
                with connection:
                    try:
                        context.wrap_socket(connection.dup(), server_side=True).close()
                    except OSError:
                        while connection.recv(65536):
                            pass
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    setup.listeners.append(listener)
    setup.certificates.cert_pem.write_to_path(str(setup.path / "ca.pem"))
    setup.env(AWS_CA_BUNDLE=str(setup.path / "ca.pem"))
    return {"endpoint_url": f"https://127.0.0.1:{listener.getsockname()[1]}"}


# The cause, the error that is raised, and what its text contains.
CAUSES: list[tuple[Callable[[CauseSetup], Awaitable[dict[str, Any]]], type[Exception], str]] = [
    (refused, ConnectionFailed, "127.0.0.1"),
    (refused_with_a_password, ConfigurationError, "credentials encoded in URL"),
    (no_such_name, ConnectionFailed, "nowhere.invalid"),
    (dns_hangs, ConnectionFailed, "nowhere.invalid could not be reached within 0.15 s"),
    (server_without_tls, ConnectionFailed, "127.0.0.1"),
    (untrusted_certificate, ConnectionFailed, "certificate"),
    (wrong_host_in_certificate, ConnectionFailed, "certificate"),
    (tls_stalls, ConnectionFailed, "127.0.0.1"),
    (no_ca_bundle, ConfigurationError, "/nowhere/ca.pem"),
    (ca_bundle_is_a_folder, ConfigurationError, "the CA bundle can't be read"),
    (ca_bundle_is_invalid, ConfigurationError, "ca.pem"),
    (no_client_certificate_file, ConfigurationError, "/nowhere/client.pem"),
    (proxy_refuses, ConnectionFailed, "proxy"),
    (proxy_with_invalid_port, ConfigurationError, "proxy's URL (HTTP_PROXY or config.proxies) is malformed"),
    (proxy_password_with_a_slash, ConfigurationError, "proxy's URL (HTTP_PROXY or config.proxies) is malformed"),
    (proxy_by_config, ConfigurationError, "proxy's URL (HTTP_PROXY or config.proxies) is malformed"),
    (proxy_requires_authentication, ConnectionFailed, "proxy"),
    (no_credentials, ConfigurationError, "Unable to locate credentials"),
    (half_a_credential, ConfigurationError, "AWS_SECRET_ACCESS_KEY"),
    (no_such_profile, ConfigurationError, "nobody"),
    (process_fails, ConfigurationError, "credential_process"),
    (process_writes_no_json, ConfigurationError, ""),
    (process_writes_half, ConfigurationError, "credential_process: Missing required key"),
    (process_is_missing, ConfigurationError, "/nowhere/to-be-found"),
    (token_file_is_missing, ConfigurationError, "/nowhere/token"),
    (sts(403, "AccessDenied"), ConfigurationError, "STS: An error occurred (AccessDenied)"),
    (sts(400, "ExpiredToken"), ConfigurationError, "STS: An error occurred (ExpiredToken)"),
    (sts(400, "Throttling"), ConnectionFailed, "STS: An error occurred (Throttling)"),
    (sts(503, "ServiceUnavailable"), ConnectionFailed, "STS: An error occurred (ServiceUnavailable)"),
    (sts_is_unreachable, ConnectionFailed, "credentials (assume-role-with-web-identity)"),
    (sts_hangs, ConnectionFailed, "credentials (assume-role-with-web-identity)"),
    (mfa_without_a_terminal, ConfigurationError, "credentials (assume-role): "),
    (assume_role_is_denied, ConfigurationError, "credentials (assume-role): STS: An error occurred (AccessDenied)"),
    (no_sso_login, ConfigurationError, "credentials (sso)"),
    (container_refuses, ConfigurationError, "container"),
    (container_is_gone, ConfigurationError, "container"),
    (expired_and_the_source_fails, ConnectionFailed, "credentials (custom-source)"),
    (expired_after_the_refresh, ConfigurationError, "credentials (custom-source)"),
    (settings_of_aiohttp, ConfigurationError, "force_close"),
    (no_such_signature, ConfigurationError, "v9"),
    (a_handler_fails, ConfigurationError, "boom"),
    (a_line_end_in_the_token, ConfigurationError, "control character"),
    (no_region, ConfigurationError, "no Region"),
    (no_client_certificate, ConfigurationError, "the server wants a client certificate"),
]


BY_CLOCK = (dns_hangs, server_without_tls, tls_stalls, sts_hangs)
"""Those where only a clock ends an attempt: `timeouts.connect`, or `attempt` of a credential source."""


def test_the_table_has_25_causes() -> None:
    """And no cause twice."""
    assert len({cause.__name__ for cause, _, _ in CAUSES}) == len(CAUSES) >= 25


@pytest.fixture
async def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CauseSetup]:
    async with RawServer(accept) as server:
        setup = CauseSetup(server, tmp_path, monkeypatch)
        yield setup
        for other in setup.others:
            await other.__aexit__(None, None, None)
        for listener in setup.listeners:
            listener.close()


@asynccontextmanager
async def loop_errors() -> AsyncGenerator[list[str]]:
    """Collect the loop's reports of the servers' handshakes, which are expected to fail."""
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(str(context)))
    yield reports


async def unsent_start(kind: type[Exception], given: dict[str, Any]) -> tuple[Any, float]:
    """Start a task with a new client; return the error, and how many seconds the start took."""
    began = 0.0
    async with loop_errors():
        with pytest.raises(kind) as caught:
            async with aioecs.Client(**given) as client:
                repr(client)
                began = time.perf_counter()
                try:
                    await client.start_task(REQUEST)
                finally:
                    began -= time.perf_counter()
    return caught.value, -began


@pytest.mark.parametrize("transport", ["auto", "botocore"])
@pytest.mark.parametrize(("cause", "kind", "names"), CAUSES, ids=lambda each: getattr(each, "__name__", None))
async def test_nothing_is_sent(
    cause: Callable[[CauseSetup], Awaitable[dict[str, Any]]],
    kind: type[Exception],
    names: str,
    transport: Any,
    setup: CauseSetup,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ends within 2 seconds; the error names the cause; nothing arrives, and no log or traceback has a secret."""
    caplog.set_level(logging.DEBUG)
    given: dict[str, Any] = {"region_name": "us-east-1", "endpoint_url": setup.server.url, **KEYS, "retries": QUICK}
    given |= await cause(setup) | {"transport": transport}
    clocks = QUICK.max_attempts * (SHORT_TIMEOUTS.connect + MARGIN) if cause in BY_CLOCK else 0.0
    error, seconds = await unsent_start(kind, given)
    if seconds + BACKOFFS > WITHIN + clocks:  # a machine that is busy with other things may take longer once
        error, seconds = await unsent_start(kind, given)
    assert seconds + BACKOFFS <= WITHIN + clocks
    assert type(error) is kind
    assert isinstance(error, aioecs.ECSError)
    assert all(start.outcome is Outcome.NOT_SENT for start in error.starts)
    assert names in str(error)
    for server in (setup.server, *setup.others):
        assert not [head for head in server.heads if "AmazonEC2ContainerService" in head]
    texts = [str(error), repr(error), "".join(traceback.format_exception(error)), caplog.text]
    texts += [f"{each.msg} {each.args}" for each in caplog.records]
    assert SECRET not in "\n".join(texts)


@pytest.mark.parametrize("transport", ["auto", "botocore"])
async def test_with_the_default_backoffs(transport: Any) -> None:
    """A refused connection is tried again for less than 2 seconds."""
    given: dict[str, Any] = {"region_name": "us-east-1", "endpoint_url": NOWHERE, "transport": transport, **KEYS}
    error, seconds = await unsent_start(ConnectionFailed, given)
    if seconds > WITHIN:
        error, seconds = await unsent_start(ConnectionFailed, given)
    assert [start.outcome for start in error.starts] == [Outcome.NOT_SENT]
    assert seconds <= WITHIN
