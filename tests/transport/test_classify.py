"""classify: was it sent? The table, on real sockets, and the witness that beats it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiobotocore.session import AioSession
from botocore import exceptions as botocore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from raw_server import Exchange, RawServer

from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._model.options import Timeouts
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._transport.classify import classify_failure
from aioecs._transport.settings import Settings
from aioecs._transport.transport import START_TASK, SentMarker
from aioecs._transport.transport_factory import open_transport
from aioecs.errors import (
    AnswerLost,
    ClientException,
    ConfigurationError,
    ConnectionFailed,
    ECSServiceError,
    InvalidParameterException,
    ServerException,
    ThrottlingException,
)

REQUEST = StartTaskRequest(task_definition="demo", container_instances=["0a1b"])
ACCESS: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
    "session": AioSession(),  # shared, so that the service model is read once
}
USUAL = Timeouts()
# For what ends by its clock alone: the clock decides nothing but when, as no answer ever comes there.
CONNECT = Timeouts(connect=0.15)
ATTEMPT = Timeouts(attempt=0.15)


async def attempt(url: str, timeouts: Timeouts = USUAL) -> tuple[Attempt[StartTaskResponse], bool]:
    """Make one attempt through a fresh port, whose witness has proven nothing; return the witness's word too."""
    async with open_transport(Settings(transport="botocore", **ACCESS, endpoint_url=url, timeouts=timeouts)) as (
        transport,
        _,
    ):
        sent_marker = SentMarker()
        return await transport.attempt(START_TASK, REQUEST, sent_marker), sent_marker.body_started


def raised(what: Attempt[Any]) -> tuple[str, str]:
    """Name what botocore raised and what that wraps."""
    assert not isinstance(what, Answered)
    cause: Any = what.error.__cause__
    return type(cause).__name__, type(getattr(cause, "kwargs", {}).get("error")).__name__


# ---------------------------------------------------------------------------------------------------- never connected


@asynccontextmanager
async def closed_port() -> AsyncGenerator[str]:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        transport = free.getsockname()[1]
    yield f"http://127.0.0.1:{transport}"


@asynccontextmanager
async def no_such_name() -> AsyncGenerator[str]:
    """A name that no DNS knows (RFC 6761)."""
    yield "http://nowhere.invalid"


@asynccontextmanager
async def full_backlog() -> AsyncGenerator[str]:
    """A listener whose queue is full and that accepts nobody: a SYN gets no answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


async def stall(exchange: Exchange) -> None:
    """Accept, and say nothing."""
    await asyncio.Event().wait()


async def hang_up(exchange: Exchange) -> None:
    """Accept, and close."""
    exchange.close()


async def speak_plainly(exchange: Exchange) -> None:
    """Answer a TLS hello in plain HTTP."""
    exchange.answer(400)
    exchange.close()


def tls_to(behave: Callable[[Exchange], Awaitable[object]]) -> Callable[[], Any]:
    """A server that is called by https and doesn't speak TLS."""

    @asynccontextmanager
    async def served() -> AsyncGenerator[str]:
        async with RawServer(behave) as server:
            yield server.url.replace("http:", "https:")
            assert server.heads == []

    return served


@pytest.mark.parametrize(
    ("endpoint", "timeouts", "exception", "wrapped"),
    [
        (closed_port, USUAL, "EndpointConnectionError", "ClientConnectorError"),
        (no_such_name, USUAL, "EndpointConnectionError", "ClientConnectorDNSError"),
        (full_backlog, CONNECT, "ConnectTimeoutError", "ConnectionTimeoutError"),
        (tls_to(stall), CONNECT, "ConnectTimeoutError", "ConnectionTimeoutError"),
        (tls_to(hang_up), USUAL, "EndpointConnectionError", "ClientConnectorError"),
        (tls_to(speak_plainly), USUAL, "SSLError", "ClientConnectorSSLError"),
    ],
    ids=["refused", "DNS", "connect timeout", "TLS stalled", "TLS closed", "no TLS"],
)
async def test_not_sent(endpoint: Callable[[], Any], timeouts: Timeouts, exception: str, wrapped: str) -> None:
    """Where no connection came about nothing was sent, and the exception alone proves it."""
    async with endpoint() as url:
        what, body_started = await attempt(url, timeouts)
    assert isinstance(what, NotSent)
    assert isinstance(what.error, ConnectionFailed)
    assert str(what.error).startswith("StartTask was not sent: ")
    assert raised(what) == (exception, wrapped)
    assert not body_started


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for 127.0.0.1 that nobody has signed but itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "aioecs test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    unprotected = serialization.NoEncryption()
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unprotected)
    )
    return path


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def accept(exchange: Exchange) -> None:
    """Answer as ECS does when it started nothing."""
    await exchange.request()
    exchange.answer(200, '{"tasks": [], "failures": []}', "x-amzn-RequestId: r-1")


async def test_a_certificate_that_nobody_trusts(certificate: Path) -> None:
    """TLS that fails by its certificate sends nothing."""
    async with RawServer(accept, tls=tls(certificate)) as server:
        what, body_started = await attempt(server.url)
    assert isinstance(what, NotSent)
    assert raised(what) == ("SSLError", "ClientConnectorCertificateError")
    assert (body_started, server.bodies) == (False, [])


async def test_a_certificate_that_is_trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same server is answered by, over TLS, as soon as its certificate is among the trusted."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    async with RawServer(accept, tls=tls(certificate)) as server:
        what, body_started = await attempt(server.url)
    assert what == Answered(StartTaskResponse(), "r-1")
    assert (body_started, len(server.bodies)) == (True, 1)


# -------------------------------------------------------------------------------------------------- sent, and lost


async def reset_unread(exchange: Exchange) -> None:
    await exchange.head()
    exchange.reset()


async def reset(exchange: Exchange) -> None:
    await exchange.request()
    exchange.reset()


async def close_unread(exchange: Exchange) -> None:
    await exchange.head()
    exchange.close()


async def close(exchange: Exchange) -> None:
    await exchange.request()
    exchange.close()


async def hang(exchange: Exchange) -> None:
    await exchange.request()
    await asyncio.Event().wait()


async def cut_head(exchange: Exchange) -> None:
    await exchange.request()
    exchange.say(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.close()


async def cut_body(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, '{"tasks":[{"taskArn":"arn', length=4096)
    exchange.close()


async def hang_in_the_body(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, '{"tasks":[{"taskArn":"arn', length=4096)
    await asyncio.Event().wait()


async def no_http(exchange: Exchange) -> None:
    await exchange.request()
    exchange.say(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    exchange.close()


@pytest.mark.parametrize(
    ("behave", "timeouts", "exception", "wrapped"),
    [
        (reset_unread, USUAL, "EndpointConnectionError", "ClientOSError"),
        (reset, USUAL, "EndpointConnectionError", "ClientOSError"),
        (close_unread, USUAL, "ConnectionClosedError", "ServerDisconnectedError"),
        (close, USUAL, "ConnectionClosedError", "ServerDisconnectedError"),
        (hang, ATTEMPT, "ReadTimeoutError", "SocketTimeoutError"),
        (cut_head, USUAL, "ConnectionClosedError", "ServerDisconnectedError"),
        (cut_body, USUAL, "ConnectionClosedError", "ClientPayloadError"),
        (hang_in_the_body, ATTEMPT, "ReadTimeoutError", "SocketTimeoutError"),
        (no_http, USUAL, "HTTPClientError", "ClientResponseError"),
    ],
)
async def test_lost(
    behave: Callable[[Exchange], Awaitable[None]], timeouts: Timeouts, exception: str, wrapped: str
) -> None:
    """Where the connection fails once the body was written, ECS may have acted, and nothing is sent again."""
    async with RawServer(behave) as server:
        what, body_started = await attempt(server.url, timeouts)
    assert isinstance(what, Lost)
    assert isinstance(what.error, AnswerLost)
    assert str(what.error).startswith("StartTask was sent and its answer was lost: ")
    assert raised(what) == (exception, wrapped)
    assert (body_started, server.connections) == (True, 1)


# ------------------------------------------------------------------------------------------------- answered somehow


def said(code: str, message: str = "said", *, kind: str = "__type") -> str:
    return f'{{"{kind}": "{code}", "message": "{message}"}}'


HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.mark.parametrize(
    ("status", "body", "word", "error", "code"),
    [
        # Refusals, by their code.
        (400, said("ClientException"), Rejected, ClientException, "ClientException"),
        (400, said("com.amazonaws.ecs#ClientException"), Rejected, ClientException, "ClientException"),
        (400, said("ThrottlingException", "Rate exceeded"), Rejected, ThrottlingException, "ThrottlingException"),
        (
            400,
            said("InvalidParameterException", "Rate exceeded (ErrorCode: Throttling)"),
            Rejected,
            InvalidParameterException,
            "InvalidParameterException",
        ),
        (503, said("ThrottlingException"), Rejected, ThrottlingException, "ThrottlingException"),
        (403, said("ExpiredTokenException"), Rejected, ECSServiceError, "ExpiredTokenException"),
        (400, said("SomethingNew"), Rejected, ECSServiceError, "SomethingNew"),
        # Faults: ECS may have acted.
        (500, said("ServerException"), Lost, ServerException, "ServerException"),
        (400, said("ServerException"), Lost, ServerException, "ServerException"),
        (503, said("ServiceUnavailableException"), Lost, ECSServiceError, "ServiceUnavailableException"),
        (500, said("SomethingNew"), Lost, ECSServiceError, "SomethingNew"),
        # No code: a proxy's word, not ECS's.
        (400, HTML, Lost, ECSServiceError, "400"),
        (403, "", Lost, ECSServiceError, "403"),
        (429, HTML, Lost, ECSServiceError, "429"),
        (500, "", Lost, ECSServiceError, "500"),
        (502, HTML, Lost, ECSServiceError, "502"),
        (503, "{}", Lost, ECSServiceError, "503"),
    ],
)
async def test_an_error_is_read_by_its_code(
    status: int, body: str, word: type, error: type[ECSServiceError], code: str
) -> None:
    """An answer's code says whether ECS refused or may have acted; an answer without one proves nothing."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(status, body, "x-amzn-RequestId: r-1")

    async with RawServer(behave) as server:
        what, _ = await attempt(server.url)
    assert isinstance(what, word)
    assert isinstance(what, Rejected | Lost)
    assert type(what.error) is error
    assert isinstance(what.error, ECSServiceError)
    assert (what.error.code, what.error.status, what.error.operation) == (code, status, "StartTask")
    assert what.error.request_id == "r-1" or code.isdigit()  # botocore drops it where there is no code
    assert server.connections == 1


@pytest.mark.parametrize("body", [HTML, "", "[]", "null", '"text"', '{"tasks": [', "\x00"])
async def test_a_200_that_is_not_ecs_s_is_lost(body: str) -> None:
    """HTML, nothing at all, or JSON that is no object, with status 200, is a lost answer and not a success."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, body)

    async with RawServer(behave) as server:
        what, _ = await attempt(server.url)
    assert isinstance(what, Lost)
    assert isinstance(what.error, AnswerLost)


async def test_a_200_with_an_empty_object_is_an_answer() -> None:
    """`{}` can be ECS's; that it names neither a task nor a failure is for the decisions to weigh."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, "{}")

    async with RawServer(behave) as server:
        what, _ = await attempt(server.url)
    assert what == Answered(StartTaskResponse(), None)


# ------------------------------------------------------------------------------------------------------- the judge


def os_error(kind: type[aiohttp.ClientConnectorError]) -> aiohttp.ClientConnectorError:
    key: Any = SimpleNamespace(host="127.0.0.1", port=443, ssl=True)
    return kind(key, OSError(111, "said"))


URL = {"endpoint_url": "http://127.0.0.1"}
UNSIGNED: list[Exception] = [
    botocore.NoCredentialsError(),
    botocore.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
    botocore.CredentialRetrievalError(provider="process", error_msg="said"),
    botocore.MetadataRetrievalError(error_msg="said"),
    botocore.TokenRetrievalError(provider="sso", error_msg="said"),
    botocore.UnauthorizedSSOTokenError(),
    botocore.ProfileNotFound(profile="said"),
    botocore.ParamValidationError(report="said"),
    botocore.EndpointProviderError(msg="said"),
]
UNCONNECTED: list[Exception] = [
    botocore.ConnectTimeoutError(**URL),
    botocore.ProxyConnectionError(proxy_url="http://127.0.0.1"),
    botocore.EndpointConnectionError(**URL, error=os_error(aiohttp.ClientConnectorError)),
    botocore.EndpointConnectionError(**URL, error=os_error(aiohttp.ClientConnectorDNSError)),
    botocore.SSLError(**URL, error=os_error(aiohttp.ClientConnectorSSLError)),
]
UNCERTAIN: list[Exception] = [
    botocore.EndpointConnectionError(**URL, error=aiohttp.ClientOSError(104, "said")),
    botocore.EndpointConnectionError(**URL, error=None),
    botocore.SSLError(**URL, error=ssl.SSLError("said")),
    botocore.ConnectionClosedError(**URL),
    botocore.ReadTimeoutError(**URL),
    botocore.HTTPClientError(error=ValueError("said")),
    TimeoutError(),
    ConnectionResetError("said"),
    RuntimeError("said"),
]


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def kind_of(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", [*UNSIGNED, *UNCONNECTED, *UNCERTAIN], ids=kind_of)
def test_without_the_first_byte_nothing_was_sent(error: Exception) -> None:
    """Whatever is raised before the first byte of the body is not sent, and says whether another try may help."""
    what = classify_failure(error, "StartTask", False)
    assert isinstance(what, NotSent)
    settings = error in UNSIGNED or type(error) is RuntimeError or kind_of(error) == "HTTPClientError"
    assert type(what.error) is (ConfigurationError if settings else ConnectionFailed)
    assert what.error.__cause__ is error


@pytest.mark.parametrize("error", [*UNSIGNED, *UNCONNECTED, *UNCERTAIN], ids=kind_of)
def test_what_was_written_is_never_not_sent(error: Exception) -> None:
    """Once the marker saw the body being written, no exception says otherwise: a second try may have raised it."""
    what = classify_failure(error, "StartTask", True)
    assert isinstance(what, Lost)
    assert what.error.__cause__ is error


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, ConfigurationError),
        ("ExpiredToken", 400, ConfigurationError),
        ("InvalidIdentityToken", 400, ConfigurationError),
        ("Throttling", 400, ConnectionFailed),
        ("ServiceUnavailable", 503, ConnectionFailed),
        ("InternalFailure", 500, ConnectionFailed),
    ],
)
@pytest.mark.parametrize("body_started", [False, True])
def test_an_error_of_another_service_is_no_answer_of_ecs(
    code: str, status: int, kind: type, body_started: bool
) -> None:
    """What STS says tells nothing of the start: not sent before the first byte, lost after it, and named as STS's."""
    said: Any = {"Error": {"Code": code, "Message": "said"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    what = classify_failure(botocore.ClientError(said, "AssumeRoleWithWebIdentity"), "StartTask", body_started)
    assert isinstance(what, Lost if body_started else NotSent)
    assert isinstance(what, Lost | NotSent)
    if not body_started:
        assert type(what.error) is kind
        assert "STS: An error occurred" in str(what.error)
        assert code in str(what.error)


@pytest.mark.parametrize("alert", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"])
@pytest.mark.parametrize("native", [True, False])
def test_an_alert_about_the_client_s_certificate_proves_it(alert: str, native: bool) -> None:
    """The server ended TLS before it read anything of the request, also where the body was written already."""
    said = ssl.SSLError(1, alert)
    said.reason = alert
    error: Exception = botocore.EndpointConnectionError(**URL, error=caused(aiohttp.ClientOSError(1, alert), said))
    what = classify_failure(caused(ConnectionResetError("closed"), said) if native else error, "StartTask", True)
    assert isinstance(what, NotSent)
    assert isinstance(what.error, ConfigurationError)
    assert "the server wants a client certificate" in str(what.error)


@pytest.mark.parametrize("alert", ["TLSV1_ALERT_INTERNAL_ERROR", "SSLV3_ALERT_BAD_RECORD_MAC", "BAD_CERTIFICATE"])
def test_another_alert_proves_nothing(alert: str) -> None:
    """It may come after the request was read."""
    said = ssl.SSLError(1, alert)
    said.reason = alert
    assert isinstance(classify_failure(caused(ConnectionResetError("closed"), said), "StartTask", True), Lost)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "StartTask was sent and its answer was lost: TimeoutError"),
        (RuntimeError("first\nsecond"), "StartTask was sent and its answer was lost: first"),
    ],
)
def test_the_text_is_the_first_line(error: Exception, text: str) -> None:
    """An exception without words gives its name, and of many lines the first is enough: the cause has the rest."""
    what = classify_failure(error, "StartTask", True)
    assert isinstance(what, Lost)
    assert str(what.error) == text


@pytest.mark.parametrize(
    ("response", "word", "code"),
    [
        ({}, Rejected, "ECSServiceError"),
        ({"Error": {"Code": None, "Message": None}, "ResponseMetadata": {"HTTPStatusCode": 502}}, Lost, "502"),
        ({"Error": {"Code": "ClientException"}}, Rejected, "ClientException"),
    ],
)
def test_an_answer_with_little_in_it(response: Any, word: type, code: str) -> None:
    """An error of which botocore knows little still has a word: the status stands in for the code."""
    what = classify_failure(botocore.ClientError(response, "StartTask"), "StartTask", True)
    assert isinstance(what, word)
    assert isinstance(what, Rejected | Lost)
    assert isinstance(what.error, ECSServiceError)
    assert what.error.code == code
