"""Every cause that keeps a request from being sent, on both transports: not sent, at once, no secret in a text."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
import threading
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

SECRET = "hunter2"
KEYS = {"aws_access_key_id": "AKIALOCAL", "aws_secret_access_key": f"key-{SECRET}", "aws_session_token": None}
NONE: dict[str, Any] = dict.fromkeys(KEYS)
REQUEST = StartTaskRequest(task_definition="demo", container_instances=["0a1b"])
SOON = Timeouts(connect=0.15, attempt=0.15)  # for what ends by its clock alone
LOADER = AioSession().get_component("data_loader")


async def accept(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, '{"tasks": [], "failures": []}')


@attrs.define
class World:
    """Where a cause is set up."""

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
        """Take credentials from a profile of this text."""
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


async def refused(world: World) -> dict[str, Any]:
    return {"endpoint_url": NOWHERE}


async def refused_with_a_password(world: World) -> dict[str, Any]:
    return {"endpoint_url": NOWHERE.replace("//", f"//me:{SECRET}@")}


async def no_such_name(world: World) -> dict[str, Any]:
    return {"endpoint_url": "http://nowhere.invalid"}


async def dns_hangs(world: World) -> dict[str, Any]:
    class Never(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            await asyncio.Event().wait()

        async def close(self) -> None:
            """Close nothing."""

    config = AioConfig(connector_args={"resolver": Never()})
    return {"endpoint_url": "http://nowhere.invalid", "config": config, "timeouts": SOON}


async def no_tls_there(world: World) -> dict[str, Any]:
    return {"endpoint_url": world.server.url.replace("http:", "https:"), "timeouts": SOON}


async def untrusted_certificate(world: World) -> dict[str, Any]:
    return {"endpoint_url": (await world.serve(accept, tls=world.tls())).url}


async def wrong_host_in_certificate(world: World) -> dict[str, Any]:
    world.certificates.cert_pem.write_to_path(str(world.path / "ca.pem"))
    world.env(AWS_CA_BUNDLE=str(world.path / "ca.pem"))
    url = (await world.serve(accept, tls=world.tls())).url
    return {"endpoint_url": url.replace("127.0.0.1", "localhost")}


async def tls_stalls(world: World) -> dict[str, Any]:
    async def stall(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    url = (await world.serve(stall)).url
    return {"endpoint_url": url.replace("http:", "https:"), "timeouts": SOON}


# ------------------------------------------------------------------------------------------------------ files, proxies


async def no_ca_bundle(world: World) -> dict[str, Any]:
    world.env(AWS_CA_BUNDLE="/nowhere/ca.pem")
    return {"endpoint_url": (await world.serve(accept, tls=world.tls())).url}


async def ca_bundle_is_a_folder(world: World) -> dict[str, Any]:
    world.env(AWS_CA_BUNDLE=str(world.path))
    return {"endpoint_url": (await world.serve(accept, tls=world.tls())).url}


async def ca_bundle_is_none(world: World) -> dict[str, Any]:
    world.env(AWS_CA_BUNDLE=world.file("ca.pem", "no certificate"))
    return {"endpoint_url": (await world.serve(accept, tls=world.tls())).url}


async def no_client_certificate_file(world: World) -> dict[str, Any]:
    url = (await world.serve(accept, tls=world.tls())).url
    return {"endpoint_url": url, "config": AioConfig(client_cert="/nowhere/client.pem")}


async def proxy_refuses(world: World) -> dict[str, Any]:
    world.env(HTTP_PROXY=NOWHERE.replace("//", f"//me:{SECRET}@"))
    return {}


async def proxy_s_port_is_none(world: World) -> dict[str, Any]:
    world.env(HTTP_PROXY=f"http://me:{SECRET}@proxy:port")
    return {}


async def proxy_s_password_has_a_slash(world: World) -> dict[str, Any]:
    world.env(HTTP_PROXY=f"http://me:{SECRET}/more@proxy:3128")
    return {}


async def proxy_by_config(world: World) -> dict[str, Any]:
    return {"config": AioConfig(proxies={"http": f"http://me:{SECRET}@pro xy:3128"})}


async def proxy_wants_more(world: World) -> dict[str, Any]:
    async def denied(exchange: Exchange) -> None:
        await exchange.head()
        exchange.answer(407)
        exchange.close()

    proxy = await world.serve(denied)
    world.env(HTTPS_PROXY=proxy.url.replace("//", f"//me:{SECRET}@"))
    return {"endpoint_url": (await world.serve(accept, tls=world.tls())).url}


# --------------------------------------------------------------------------------------------------- no credentials


async def no_credentials(world: World) -> dict[str, Any]:
    return NONE


async def half_a_credential(world: World) -> dict[str, Any]:
    world.env(AWS_ACCESS_KEY_ID="AKIALOCAL")
    return NONE


async def no_such_profile(world: World) -> dict[str, Any]:
    return {**NONE, "profile_name": "nobody"}


def process(world: World, code: str) -> dict[str, Any]:
    path = world.file("process.py", code)
    return world.profile(f"credential_process = {sys.executable} {path}")


async def process_fails(world: World) -> dict[str, Any]:
    return process(world, f"import sys; sys.exit('password {SECRET}')")


async def process_writes_no_json(world: World) -> dict[str, Any]:
    return process(world, f"print('{SECRET}')")


async def process_writes_half(world: World) -> dict[str, Any]:
    return process(world, f'print(\'{{"Version": 1, "SecretAccessKey": "{SECRET}"}}\')')


async def process_is_missing(world: World) -> dict[str, Any]:
    return world.profile("credential_process = /nowhere/to-be-found")


async def token_file_is_missing(world: World) -> dict[str, Any]:
    world.env(AWS_WEB_IDENTITY_TOKEN_FILE="/nowhere/token", AWS_ROLE_ARN="arn:aws:iam::123456789012:role/r")
    return NONE


def sts(status: int, code: str) -> Callable[[World], Awaitable[dict[str, Any]]]:
    """STS answers with an error; what it is asked with is a secret."""

    async def cause(world: World) -> dict[str, Any]:
        async def answer(exchange: Exchange) -> None:
            await exchange.request()
            error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>said</Message></Error>"
            exchange.answer(status, f"<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>")

        server = await world.serve(answer)
        world.env(
            AWS_WEB_IDENTITY_TOKEN_FILE=world.file("token", f"jwt-{SECRET}"),
            AWS_ROLE_ARN="arn:aws:iam::123456789012:role/r",
            AWS_ENDPOINT_URL_STS=server.url,
        )
        return NONE

    cause.__name__ = f"sts_{status}_{code}"
    return cause


async def sts_is_unreachable(world: World) -> dict[str, Any]:
    given = await sts(400, "AccessDenied")(world)
    world.env(AWS_ENDPOINT_URL_STS=NOWHERE)
    return given


async def sts_hangs(world: World) -> dict[str, Any]:
    async def hang(exchange: Exchange) -> None:
        await exchange.request()
        await asyncio.Event().wait()

    given = await sts(400, "AccessDenied")(world)
    world.env(AWS_ENDPOINT_URL_STS=(await world.serve(hang)).url)
    return {**given, "timeouts": SOON}


ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n"


async def mfa_without_a_terminal(world: World) -> dict[str, Any]:
    def no_terminal(prompt: str) -> str:
        raise EOFError

    keys = f"aws_access_key_id = A\naws_secret_access_key = key-{SECRET}\n"
    world.profile(f"{ROLE}source_profile = base\nmfa_serial = arn:aws:iam::1:mfa/me\n[profile base]\n{keys}")
    session: Any = AioSession()
    session.register_component("data_loader", LOADER)
    session.get_component("credential_provider").get_provider("assume-role")._prompter = no_terminal
    return {**NONE, "session": session}


async def assume_role_is_denied(world: World) -> dict[str, Any]:
    await sts(403, "AccessDenied")(world)
    for name in ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"):
        world.patch.delenv(name)
    keys = f"aws_access_key_id = A\naws_secret_access_key = key-{SECRET}\n"
    return world.profile(f"{ROLE}source_profile = base\n[profile base]\n{keys}")


async def no_sso_login(world: World) -> dict[str, Any]:
    world.env(HOME=str(world.path))
    start = "sso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\n"
    return world.profile(f"{start}sso_account_id = 123456789012\nsso_role_name = r")


async def container_refuses(world: World) -> dict[str, Any]:
    async def answer(exchange: Exchange) -> None:
        await exchange.head()
        exchange.answer(500, f"the token {SECRET} is not known")

    server = await world.serve(answer)
    world.patch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    world.env(AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url, AWS_CONTAINER_AUTHORIZATION_TOKEN=f"t-{SECRET}")
    return NONE


async def container_is_gone(world: World) -> dict[str, Any]:
    world.patch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    world.env(AWS_CONTAINER_CREDENTIALS_FULL_URI=NOWHERE, AWS_CONTAINER_AUTHORIZATION_TOKEN=f"t-{SECRET}")
    return NONE


def expired(refresh: Callable[[], Awaitable[dict[str, str]]]) -> dict[str, Any]:
    """Credentials that have expired, and are refreshed so."""
    ended = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    held = {"access_key": "A", "secret_key": f"key-{SECRET}", "token": f"token-{SECRET}", "expiry_time": ended}
    session: Any = AioSession()
    session.register_component("data_loader", LOADER)
    session._credentials = AioRefreshableCredentials.create_from_metadata(held, refresh, "custom-source")
    return {**NONE, "session": session}


async def expired_and_the_source_fails(world: World) -> dict[str, Any]:
    async def fail() -> dict[str, str]:
        raise OSError(f"http://me:{SECRET}@vault is not there")

    return expired(fail)


async def expired_after_the_refresh(world: World) -> dict[str, Any]:
    async def again() -> dict[str, str]:
        ended = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        return {"access_key": "A", "secret_key": SECRET, "token": SECRET, "expiry_time": ended}

    return expired(again)


# ---------------------------------------------------------------------------------------------------------- settings


async def settings_of_aiohttp(world: World) -> dict[str, Any]:
    return {"config": AioConfig(connector_args={"force_close": True})}


async def no_such_signature(world: World) -> dict[str, Any]:
    return {"config": AioConfig(signature_version="v9")}


async def a_handler_fails(world: World) -> dict[str, Any]:
    def boom(**_: Any) -> None:
        raise RuntimeError("boom")

    session = AioSession()
    session.register_component("data_loader", LOADER)
    session.register("before-sign.ecs", boom)
    return {"session": session}


async def a_line_end_in_the_token(world: World) -> dict[str, Any]:
    world.env(AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="s", AWS_SESSION_TOKEN=f"{SECRET}\r\nX-More: 1")
    return NONE


async def no_region(world: World) -> dict[str, Any]:
    return {"region_name": None}


async def no_client_certificate(world: World) -> dict[str, Any]:
    """The server wants a certificate; it reads what still comes, so its alert is not cut off by a reset."""
    context = world.tls()
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
    world.listeners.append(listener)
    world.certificates.cert_pem.write_to_path(str(world.path / "ca.pem"))
    world.env(AWS_CA_BUNDLE=str(world.path / "ca.pem"))
    return {"endpoint_url": f"https://127.0.0.1:{listener.getsockname()[1]}"}


# What is raised and what its text names, beside that nothing was sent.
CAUSES: list[tuple[Callable[[World], Awaitable[dict[str, Any]]], type[Exception], str]] = [
    (refused, ConnectionFailed, "127.0.0.1"),
    (refused_with_a_password, ConfigurationError, "credentials encoded in URL"),
    (no_such_name, ConnectionFailed, "nowhere.invalid"),
    (dns_hangs, ConnectionFailed, ""),
    (no_tls_there, ConnectionFailed, "127.0.0.1"),
    (untrusted_certificate, ConnectionFailed, "certificate"),
    (wrong_host_in_certificate, ConnectionFailed, "certificate"),
    (tls_stalls, ConnectionFailed, "127.0.0.1"),
    (no_ca_bundle, ConfigurationError, "/nowhere/ca.pem"),
    (ca_bundle_is_a_folder, ConfigurationError, "the CA bundle can't be read"),
    (ca_bundle_is_none, ConfigurationError, "ca.pem"),
    (no_client_certificate_file, ConfigurationError, "/nowhere/client.pem"),
    (proxy_refuses, ConnectionFailed, "proxy"),
    (proxy_s_port_is_none, ConfigurationError, "proxy's URL (HTTP_PROXY or config.proxies) is malformed"),
    (proxy_s_password_has_a_slash, ConfigurationError, "proxy's URL (HTTP_PROXY or config.proxies) is malformed"),
    (proxy_by_config, ConfigurationError, "proxy's URL (HTTP_PROXY or config.proxies) is malformed"),
    (proxy_wants_more, ConnectionFailed, "proxy"),
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


def test_there_are_enough() -> None:
    """The table is as long as was promised."""
    assert len({cause.__name__ for cause, _, _ in CAUSES}) == len(CAUSES) >= 25


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with RawServer(accept) as server:
        world = World(server, tmp_path, monkeypatch)
        yield world
        for other in world.others:
            await other.__aexit__(None, None, None)
        for listener in world.listeners:
            listener.close()


@asynccontextmanager
async def whatever_the_loop_says() -> AsyncGenerator[list[str]]:
    """Collect what the loop reports of the servers' own handshakes, which fail on purpose."""
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: said.append(str(about)))
    yield said


@pytest.mark.parametrize("transport", ["auto", "botocore"])
@pytest.mark.parametrize(("cause", "kind", "names"), CAUSES, ids=lambda each: getattr(each, "__name__", None))
async def test_nothing_is_sent(
    cause: Callable[[World], Awaitable[dict[str, Any]]],
    kind: type[Exception],
    names: str,
    transport: Any,
    world: World,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told at once as not sent, with what it was for; nothing arrives, and no log or traceback has a secret."""
    caplog.set_level(logging.DEBUG)
    few = Retries(max_attempts=3, initial_backoff=0.001, max_backoff=0.001)
    given: dict[str, Any] = {"region_name": "us-east-1", "endpoint_url": world.server.url, **KEYS, "retries": few}
    given |= await cause(world) | {"transport": transport}
    async with whatever_the_loop_says():
        with pytest.raises(kind) as caught:
            async with aioecs.Client(**given) as client:
                repr(client)
                await client.start_task(REQUEST)
    assert type(caught.value) is kind
    assert isinstance(caught.value, aioecs.ECSError)
    assert all(start.outcome is Outcome.NOT_SENT for start in caught.value.starts)
    assert names in str(caught.value)
    for server in (world.server, *world.others):
        assert not [head for head in server.heads if "AmazonEC2ContainerService" in head]
    told = [str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value)), caplog.text]
    told += [f"{each.msg} {each.args}" for each in caplog.records]
    assert SECRET not in "\n".join(told)
